"""An attestation in part: what is told, what stays hidden, and every way to cheat."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    AttestationError,
    AttestationUse,
    SigningKey,
    StatusReference,
    base64url,
    claims_to_json,
    from_armour,
    parse_claims,
    sign_attestation,
    to_armour,
)
from gateway.attestation.disclosed import CODE_MEMBERS, DisclosedAttestation
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.sd_jwt import (
    MINIMAL_MEMBERS,
    SD_TOKEN_TYPE,
    Disclosure,
    digest,
    disclosed_names,
    draft_disclosed,
    is_sd_jwt,
    join,
    keep,
    sign_disclosed,
    split,
)
from gateway.attestation.sd_jwt_reader import read_disclosed
from gateway.attestation.signing import TOKEN_TYPE
from gateway.attestation.verifying import AttestationVerifier
from gateway.codes.levels import Level
from gateway.errors import TrustError
from gateway.trust.distrust import DistrustRule
from tests.attestation.samples import (
    CODE,
    ED25519_KEY,
    ES256_KEY,
    GUANGZHOU,
    KEYS,
    NONCE,
    NOW,
    SUBJECT,
    TRUST,
    Trust,
    attestation,
    compact,
    header,
    sign,
    verification_key,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = frozenset({*CODE_MEMBERS, "sub"})
OTHER = replace(CODE, state="黄码", level=Level.GREEN, rule="synthetic-rule-2")
WHOLE = attestation(code=replace(CODE, also=(OTHER,)))


def drawn(seed: int = 1) -> Callable[[int], bytes]:
    """Random bytes that a test can draw again."""
    return random.Random(seed).randbytes  # noqa: S311 - a test draws it again


def issue(
    disclosure: Disclosure = Disclosure.SELECTIVE,
    of: Any = WHOLE,
    key: SigningKey = ES256_KEY,
    decoys: int = 0,
) -> str:
    draft = draft_disclosed(claims_to_json(of), disclosure, drawn(), decoys=decoys)
    return sign_disclosed(draft, key)


def read(
    token: str, *, trust: Trust = TRUST, nonce: bytes | None = None, **changes: Any
) -> DisclosedAttestation:
    arguments = {"audience": GUANGZHOU, "now": NOW, "nonce": nonce, **changes}
    return AttestationVerifier(trust).verify_disclosed(token, **arguments)


def disclose(name: str, value: Any, salt: str = "AAAAAAAAAAAAAAAAAAAAAA") -> str:
    return base64url.encode(compact([salt, name, value]))


def signed(
    *disclosures: str, top: tuple[str, ...] = (), typ: str = SD_TOKEN_TYPE, **changes: Any
) -> str:
    """A token signed over these disclosures, with claims changed or (``...``) left out."""
    members = {
        "iss": WHOLE.issuer,
        "aud": GUANGZHOU,
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
        "jti": "synthetic-token-id-0001",
        "use": "carried",
        "vct": "urn:hutong:vct:code",
        "_sd_alg": "sha-256",
        "code": {"_sd": sorted(digest(text) for text in disclosures)},
        **({"_sd": [digest(text) for text in top]} if top else {}),
        **changes,
    }
    payload = {name: value for name, value in members.items() if value is not ...}
    return join(sign(header(typ=typ), payload), (*disclosures, *top))


LEVEL = disclose("level", "GREEN")
REGION = disclose("issued_by", "330100")
GOOD = signed(LEVEL, REGION)


def refused(token: str, code: str, **arguments: Any) -> None:
    with pytest.raises(AttestationError) as caught:
        read(token, **arguments)
    assert caught.value.code == code
    assert "GREEN" not in str(caught.value)


# --- vectors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "contents", "expected"),
    # RFC 9901 §4.2.1 and §5.1: disclosures of the RFC, byte for byte, and their digests.
    [
        (
            "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd",
            ["2GLC42sKQveCfGfryNRN9w", "given_name", "John"],
            "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4",
        ),
        (
            "WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImZhbWlseV9uYW1lIiwgIkRvZSJd",
            ["eluV5Og3gSNII8EYnsxA_A", "family_name", "Doe"],
            "TGf4oLbgwd5JQaHyKVQZU9UdGE0w5rtDsrZzfUaomLo",
        ),
        (
            "WyI2SWo3dE0tYTVpVlBHYm9TNXRtdlZBIiwgImVtYWlsIiwgImpvaG5kb2VAZXhhbXBsZS5jb20iXQ",
            ["6Ij7tM-a5iVPGboS5tmvVA", "email", "johndoe@example.com"],
            "JzYjH4svliH0R3PyEMfeZu6Jt69u5qehZo7F7EPYlSE",
        ),
        (
            "WyJRZ19PNjR6cUF4ZTQxMmExMDhpcm9BIiwgInBob25lX251bWJlcl92ZXJpZmllZCIsIHRydWVd",
            ["Qg_O64zqAxe412a108iroA", "phone_number_verified", True],
            "XQ_3kPKt1XyX7KANkqVR6yZ2Va5NrPIvPYbyMvRKBMM",
        ),
        (
            (
                "WyJBSngtMDk1VlBycFR0TjRRTU9xUk9BIiwgImFkZHJlc3MiLCB7InN0cmVldF9hZGRyZXNzIjogIjEy"
                "MyBNYWluIFN0IiwgImxvY2FsaXR5IjogIkFueXRvd24iLCAicmVnaW9uIjogIkFueXN0YXRlIiwgImNv"
                "dW50cnkiOiAiVVMifV0"
            ),
            [
                "AJx-095VPrpTtN4QMOqROA",
                "address",
                {
                    "street_address": "123 Main St",
                    "locality": "Anytown",
                    "region": "Anystate",
                    "country": "US",
                },
            ],
            "XzFrzwscM6Gn6CJDc6vVK8BkMnfG8vOSKfpPIZdAfdE",
        ),
        (
            "WyJQYzMzSk0yTGNoY1VfbEhnZ3ZfdWZRIiwgImJpcnRoZGF0ZSIsICIxOTQwLTAxLTAxIl0",
            ["Pc33JM2LchcU_lHggv_ufQ", "birthdate", "1940-01-01"],
            "gbOsI4Edq2x2Kw-w5wPEzakob9hV1cRD0ATN3oQL9JM",
        ),
        (
            "WyJHMDJOU3JRZmpGWFE3SW8wOXN5YWpBIiwgInVwZGF0ZWRfYXQiLCAxNTcwMDAwMDAwXQ",
            ["G02NSrQfjFXQ7Io09syajA", "updated_at", 1570000000],
            "CrQe7S5kqBAHt-nMYXgc6bdt2SH5aTY1sU_M-PgkjPI",
        ),
    ],
)
def test_the_digests_of_the_rfc_hold(encoded: str, contents: list[Any], expected: str) -> None:
    assert json.loads(base64url.decode(encoded.encode())) == contents
    assert digest(encoded) == expected


# --- what is told --------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
def test_all_disclosures_give_the_whole_attestation(key: SigningKey) -> None:
    shown = read(issue(key=key))
    assert shown.whole() == WHOLE
    assert not shown.code.withheld


def test_a_minimal_one_tells_level_validity_and_region_and_nothing_else() -> None:
    token = issue(Disclosure.MINIMAL)
    assert disclosed_names(token) == MINIMAL_MEMBERS
    shown = read(token)
    assert (shown.code.level, shown.code.issued_by) == (Level.GREEN, "330100")
    assert shown.code.valid_until == CODE.valid_until
    assert shown.code.withheld == frozenset(CODE_MEMBERS) - set(MINIMAL_MEMBERS)
    assert shown.subject is None
    assert shown.whole() is None


@pytest.mark.parametrize("disclosure", Disclosure)
def test_the_bytes_that_are_shown_hold_nothing_that_is_withheld(disclosure: Disclosure) -> None:
    token = keep(issue(disclosure), MINIMAL_MEMBERS)
    signed_part, disclosures = split(token.encode())
    seen = (
        b"".join(base64url.decode(part) for part in (*signed_part.split(b".")[:2], *disclosures))
        + from_armour(to_armour(token)).encode()
    )
    hidden = [
        CODE.scheme, CODE.state, SUBJECT, CODE.rule, CODE.area, *CODE.basis, "declared_at",
        "scheme", "state", "basis", "assessed_at", "source_at", "sub", "also", "release",
    ]  # fmt: skip
    for text in hidden:
        assert str(text).encode() not in seen
    for moment in (CODE.assessed_at, CODE.source_at, CODE.declared_at):
        assert moment is not None
        assert str(int(moment.timestamp())).encode() not in seen


def test_the_number_of_digests_tells_nothing_of_the_code() -> None:
    bare = replace(
        CODE, basis=frozenset(), valid_until=None, declared_at=None, declaration_valid_until=None,
        release=None, area=None, declarations=None, rule=None,
    )  # fmt: skip
    for disclosure in Disclosure:
        counts = set()
        for code in (bare, CODE, WHOLE.code):
            token = issue(disclosure, attestation(code=code))
            payload = json.loads(base64url.decode(token.split(".")[1].encode()))
            digests = payload["code"]["_sd"]
            assert digests == sorted(digests)
            counts.add(len(digests))
        assert len(counts) == 1


def test_what_a_code_does_not_have_can_be_told_from_what_is_withheld() -> None:
    bare = attestation(code=replace(CODE, area=None, rule=None))
    shown = read(keep(issue(of=bare), {"area"}))
    assert shown.code.area is None
    assert "area" in shown.code.disclosed
    assert "rule" in shown.code.withheld
    assert read(issue(of=bare)).whole() == bare


def test_decoys_change_nothing_for_the_reader() -> None:
    assert read(issue(decoys=5)).whole() == WHOLE
    minimal = read(issue(Disclosure.MINIMAL, decoys=5))
    assert minimal.code == read(issue(Disclosure.MINIMAL)).code


@given(st.sets(st.sampled_from(sorted(ALL))))
def test_a_holder_shows_any_part_and_it_says_what_the_whole_says(names: set[str]) -> None:
    shown = read(keep(issue(), names))
    told = names | {"level", "issued_by"}
    assert shown.code.disclosed == told - {"sub"}
    assert shown.subject == (WHOLE.subject if "sub" in names else None)
    for name in told - {"sub"}:
        assert getattr(shown.code, name) == getattr(WHOLE.code, name)
    for name in shown.code.withheld:
        assert not getattr(shown.code, name)


def test_level_and_region_stay_whatever_is_kept() -> None:
    token = issue()
    assert disclosed_names(keep(token, ())) == ("level", "issued_by")
    assert keep(keep(token, {"area"}), ()) == keep(token, ())


def test_an_online_one_answers_its_question() -> None:
    online = attestation(AttestationUse.ONLINE)
    token = issue(of=online)
    assert read(token, nonce=NONCE).whole() == online
    refused(token, "ATTESTATION_REPLAYED")
    refused(token, "ATTESTATION_REPLAYED", nonce=bytes(16))


def test_status_and_serial_stay_in_sight() -> None:
    status = StatusReference("https://status.example.invalid/1", 7)
    shown = read(issue(Disclosure.MINIMAL, attestation(status=status, serial=12)))
    assert (shown.status, shown.serial) == (status, 12)
    whole = attestation(status=status, serial=12)
    assert read(issue(of=whole)).whole() == whole


def test_an_import_is_not_disclosed_in_part() -> None:
    payload = claims_to_json(attestation(AttestationUse.IMPORT))
    with pytest.raises(AttestationError) as caught:
        draft_disclosed(payload, Disclosure.SELECTIVE, drawn())
    assert caught.value.code == "CLAIMS_INVALID"
    refused(signed(LEVEL, REGION, use="import"), "ATTESTATION_REPLAYED")


def test_a_repr_shows_nothing_of_the_person() -> None:
    shown = read(issue())
    for text in (repr(shown), repr(shown.code)):
        assert "GREEN" not in text
        assert SUBJECT not in text


# --- every way to cheat --------------------------------------------------------------


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


# --- armour and presentation ---------------------------------------------------------


@pytest.mark.parametrize("disclosure", Disclosure)
def test_armour_of_either_kind_reads_back_and_verifies(disclosure: Disclosure) -> None:
    token = issue(disclosure)
    text = to_armour(token)
    assert text.startswith("HUTONG2:")
    assert from_armour(text) == token
    shown = verify_presentation(
        text, AttestationVerifier(TRUST), audience=GUANGZHOU, now=NOW
    )  # fmt: skip
    assert isinstance(shown, DisclosedAttestation) is (disclosure is Disclosure.MINIMAL)


def test_a_whole_one_is_presented_as_before() -> None:
    token = sign_attestation(WHOLE, ES256_KEY)
    for text in (token, to_armour(token), f"  {to_armour(token)}\n"):
        shown = verify_presentation(
            text, AttestationVerifier(TRUST), audience=GUANGZHOU, now=NOW
        )  # fmt: skip
        assert shown == WHOLE
    assert not is_sd_jwt(token)


def test_a_draft_is_made_of_claims_that_were_checked() -> None:
    payload = claims_to_json(WHOLE)
    draft = draft_disclosed(payload, Disclosure.SELECTIVE, drawn())
    claims, shown = read_disclosed(draft.payload, tuple(d.encode() for d in draft.disclosures))
    assert claims.iss == WHOLE.issuer
    assert shown.subject == parse_claims(payload).subject
