"""An attestation in part, issued and held: what is told, what stays hidden, how it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

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
    Disclosure,
    digest,
    disclosed_names,
    draft_disclosed,
    is_sd_jwt,
    keep,
    split,
)
from gateway.attestation.sd_jwt_reader import read_disclosed
from gateway.attestation.verifying import AttestationVerifier
from gateway.codes.levels import Level
from tests.attestation.samples import (
    CODE,
    ES256_KEY,
    GUANGZHOU,
    KEYS,
    NONCE,
    NOW,
    SUBJECT,
    TRUST,
    attestation,
)
from tests.attestation.sd_jwt_samples import (
    ALL,
    LEVEL,
    REGION,
    WHOLE,
    drawn,
    issue,
    read,
    refused,
    signed,
)

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
