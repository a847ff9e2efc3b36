"""Reading an attestation in part: every way to cheat, and what of it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    AttestationError,
    base64url,
    claims_to_json,
    sign_attestation,
)
from gateway.attestation.sd_jwt import (
    SD_TOKEN_TYPE,
    digest,
    disclosed_names,
    join,
    keep,
)
from gateway.attestation.signing import TOKEN_TYPE
from gateway.attestation.verifying import AttestationVerifier
from gateway.codes.levels import Level
from gateway.errors import TrustError
from gateway.trust.distrust import DistrustRule
from tests.attestation.samples import (
    ED25519_KEY,
    ES256_KEY,
    GUANGZHOU,
    NOW,
    SUBJECT,
    TRUST,
    Trust,
    header,
    sign,
    verification_key,
    verify,
)
from tests.attestation.sd_jwt_samples import (
    GOOD,
    LEVEL,
    REGION,
    WHOLE,
    disclose,
    issue,
    read,
    refused,
    signed,
)


def test_the_sample_that_the_others_change_is_good() -> None:
    assert read(GOOD).code.level is Level.GREEN


def test_a_disclosure_that_was_not_signed_is_refused() -> None:
    forged = disclose("scheme", "hz-jkm@2020-02")
    refused(GOOD + forged + "~", "DISCLOSURE_INVALID")
    refused(GOOD.replace(LEVEL, disclose("level", "GREEN", "BBBBBBBBBBBBBBBBBBBBBB")),
            "DISCLOSURE_INVALID")  # fmt: skip
    # The value may be anybody's, the digest is the issuer's.
    red = signed(disclose("level", "RED"), REGION)
    refused(red.replace(disclose("level", "RED"), LEVEL), "DISCLOSURE_INVALID")


def test_one_disclosure_may_not_stand_twice_nor_one_member() -> None:
    refused(GOOD + LEVEL + "~", "DISCLOSURE_INVALID")
    again = disclose("level", "RED", "BBBBBBBBBBBBBBBBBBBBBB")
    refused(signed(LEVEL, again, REGION), "DISCLOSURE_INVALID")


def test_a_doubled_digest_is_refused() -> None:
    digests = sorted([digest(LEVEL), digest(REGION), digest(REGION)])
    refused(signed(LEVEL, REGION, code={"_sd": digests}), "DISCLOSURE_INVALID")
    refused(signed(LEVEL, REGION, _sd=[digest(LEVEL)]), "DISCLOSURE_INVALID")


@pytest.mark.parametrize(
    "name", ["nonsense", "sub", "_sd", "...", "iss", "exp", "disclosed", ""]
)  # fmt: skip
def test_a_member_has_its_place_and_no_other(name: str) -> None:
    refused(signed(LEVEL, REGION, disclose(name, "x")), "DISCLOSURE_INVALID")
    if name != "sub":
        refused(signed(LEVEL, REGION, top=(disclose(name, "x"),)), "DISCLOSURE_INVALID")


def test_a_member_of_the_code_is_not_taken_from_the_top() -> None:
    area = disclose("area", "330106")
    refused(signed(LEVEL, REGION, top=(area,)), "DISCLOSURE_INVALID")


@pytest.mark.parametrize("missing", [LEVEL, REGION])
def test_without_level_or_region_there_is_nothing_to_decide_on(missing: str) -> None:
    refused(GOOD.replace(missing + "~", ""), "DISCLOSURE_INVALID")


@pytest.mark.parametrize(
    "text",
    [
        "", "A", "!", base64url.encode(b"{}"), base64url.encode(b'["s","level"]'),
        base64url.encode(b'["s","level","GREEN",1]'), base64url.encode(b'[1,"level","GREEN"]'),
        base64url.encode(b'["s","area",{"a":1,"a":2}]'), base64url.encode(b'["s","level",NaN]'),
        base64url.encode(b"\xff"), base64url.encode(b'["s","US"]'),
    ],
)  # fmt: skip
def test_what_is_no_disclosure_is_refused(text: str) -> None:
    token = join(GOOD.partition("~")[0], (LEVEL, REGION, text))
    refused(token, "DISCLOSURE_INVALID")
    if text:
        with pytest.raises(AttestationError):
            disclosed_names(token)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "BLUE"), ("level", None), ("issued_by", "33"), ("issued_by", None),
        ("assessed_at", 1.5), ("assessed_at", -1), ("basis", []), ("basis", ["SPACE", "SPACE"]),
        ("also", []), ("scheme", "x"), ("state", ""), ("area", "x"), ("release", {"days_done": 1}),
        ("declarations", {"contact": "ABSENT"}), ("also", [{"level": "RED"}]), ("state", None),
    ],
)  # fmt: skip
def test_a_disclosed_value_is_held_to_the_rules_of_its_member(name: str, value: Any) -> None:
    others = [text for text, n in ((LEVEL, "level"), (REGION, "issued_by")) if n != name]
    refused(signed(*others, disclose(name, value)), "CLAIMS_INVALID")


def test_a_record_beside_it_may_not_be_more_restrictive() -> None:
    payload = json.loads(claims_to_json(WHOLE))
    other = {**payload["code"]["also"][0], "level": "RED"}
    refused(signed(LEVEL, REGION, disclose("also", [other])), "CLAIMS_INVALID")


def test_it_may_not_outlive_the_end_that_it_tells() -> None:
    end = int(NOW.timestamp()) + 300
    refused(signed(LEVEL, REGION, disclose("valid_until", end)), "LIFETIME_TOO_LONG")
    refused(signed(LEVEL, REGION, exp=int(NOW.timestamp()) + 86_401), "LIFETIME_TOO_LONG")


@pytest.mark.parametrize(
    "changes",
    [
        {"_sd_alg": "sha-512"}, {"_sd_alg": ...}, {"vct": "urn:other"}, {"vct": ...},
        {"cnf": {}}, {"sub": SUBJECT}, {"bound": "x"}, {"code": {}}, {"code": {"_sd": []}},
        {"code": {"_sd": ["x"], "level": "GREEN"}}, {"code": {"_sd": [1]}}, {"_sd": []},
        {"exp": ...}, {"iat": 1.5}, {"jti": "short"}, {"iss": "urn:hutong:region:33"},
        {"nonce": "AAAAAAAAAAAAAAAAAAAAAA"}, {"serial": -1}, {"status": {}},
        {"code": {"_sd": ["x" * 43] * 65}},
    ],
    ids=str,
)  # fmt: skip
def test_the_signed_part_is_a_closed_set(changes: dict[str, Any]) -> None:
    refused(signed(LEVEL, REGION, **changes), "CLAIMS_INVALID")


def test_a_doubled_member_is_refused() -> None:
    payload = base64url.decode(GOOD.split(".")[1].encode())
    doubled = payload.replace(b'"use":"carried"', b'"use":"carried","use":"carried"')
    refused(join(sign(header(typ=SD_TOKEN_TYPE), doubled), (LEVEL, REGION)), "CLAIMS_INVALID")


def test_a_key_binding_is_refused() -> None:
    refused(GOOD + sign(header(typ="kb+jwt"), {}), "ATTESTATION_MALFORMED")
    refused(GOOD.removesuffix("~"), "ATTESTATION_MALFORMED")
    refused(GOOD.partition("~")[0], "ATTESTATION_MALFORMED")
    refused(GOOD + "~", "DISCLOSURE_INVALID")
    refused(GOOD + "~" * 40, "ATTESTATION_MALFORMED")


@pytest.mark.parametrize("text", ["é~", "\udcff~", GOOD + "é~", "~", "~~", "a.b.c~", "..~"])
def test_what_is_no_token_is_refused_by_every_door(text: str) -> None:
    for door in (read, disclosed_names, lambda token: keep(token, ())):
        with pytest.raises(AttestationError):
            door(text)
        if text in {"~", "a.b.c~", "..~"}:
            break  # nothing is disclosed, and nothing is verified by a holder


def test_neither_kind_is_read_as_the_other() -> None:
    refused(signed(LEVEL, REGION, typ=TOKEN_TYPE), "ATTESTATION_HEADER")
    refused(sign_attestation(WHOLE, ES256_KEY) + "~", "ATTESTATION_HEADER")
    for token in (GOOD, GOOD.partition("~")[0], issue()):
        with pytest.raises(AttestationError) as caught:
            verify(token)
        assert caught.value.code in {"ATTESTATION_MALFORMED", "ATTESTATION_HEADER"}
    # Also where a header of the other kind is remembered already.
    verifier = AttestationVerifier(TRUST)
    now = {"audience": GUANGZHOU, "now": NOW}
    verifier.verify_disclosed(GOOD, **now)  # type: ignore[arg-type]
    with pytest.raises(AttestationError):
        verifier.verify(GOOD.partition("~")[0], **now)  # type: ignore[arg-type]


def test_it_is_held_to_key_time_and_audience_as_a_whole_one() -> None:
    refused(GOOD, "AUDIENCE_MISMATCH", audience="urn:hutong:region:310000")
    refused(GOOD, "ATTESTATION_EXPIRED", now=NOW + timedelta(minutes=12))
    refused(GOOD, "ATTESTATION_NOT_YET_VALID", now=NOW - timedelta(minutes=2))
    narrow = Trust.of(verification_key(prefixes=("3302",)))
    refused(GOOD, "ISSUER_NOT_ALLOWED", trust=narrow)
    elsewhere = signed(LEVEL, disclose("issued_by", "310000"))
    refused(elsewhere, "ISSUER_NOT_ALLOWED")
    late = Trust.of(verification_key(not_before=NOW + timedelta(days=1), not_after=None))
    refused(GOOD, "KEY_NOT_VALID_NOW", trust=late)
    brief = Trust.of(verification_key(max_lifetime_seconds=60))
    refused(GOOD, "LIFETIME_TOO_LONG", trust=brief)
    tampered = GOOD.replace(".", ".", 1)
    head, payload, rest = tampered.split(".", 2)
    other = sign(header(ED25519_KEY, typ=SD_TOKEN_TYPE), {}, ED25519_KEY).split(".")[2]
    refused(f"{head}.{payload}.{other}~{rest.partition('~')[2]}", "SIGNATURE_INVALID")


@pytest.mark.parametrize(
    ("narrowed", "told", "touched"),
    [
        ({}, "level issued_by", True),
        ({"scheme": "hz-jkm@2020-02"}, "level issued_by", True),
        ({"scheme": "hz-jkm@2020-03"}, "level issued_by", True),
        ({"scheme": "hz-jkm@2020-03"}, "scheme", True),
        ({"scheme": "hz-jkm@2020-03"}, "scheme also", False),
        ({"scheme": "hz-jkm@2020-02"}, "scheme also", True),
        ({"prefix": "330206"}, "level", True),
        ({"prefix": "330206"}, "area also", False),
        ({"prefix": "330106"}, "area also", True),
        ({"first_serial": 4, "last_serial": 5}, "level", False),
        ({"first_serial": 3, "last_serial": 5}, "level", True),
        ({"kind": "policy"}, "level", False),
    ],
)
def test_a_distrust_is_about_what_is_withheld_unless_it_is_told_that_it_is_not(
    narrowed: dict[str, Any], told: str, touched: bool
) -> None:
    rule = DistrustRule(WHOLE.issuer, NOW - timedelta(days=1), **narrowed)
    trust = Trust.of(replace(verification_key(), distrusts=(rule,)))
    token = keep(issue(of=replace(WHOLE, serial=3)), told.split())
    if touched:
        refused(token, "ATTESTATION_DISTRUSTED", trust=trust)
    else:
        assert read(token, trust=trust).code.level is Level.GREEN


@given(st.data())
def test_any_spoiled_token_is_refused_or_says_what_the_whole_says(data: st.DataObject) -> None:
    token = issue()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AZaz09-_~."))
    try:
        shown = read(token[:place] + other + token[place + 1 :])
    except TrustError:
        return
    assert shown.whole() == WHOLE
