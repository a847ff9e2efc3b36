from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation.keys import (
    generate_signing_key,
    public_jwk,
    verification_key_from_jwk,
)
from gateway.trust import jws
from gateway.trust.errors import (
    Missing,
    PossessionError,
    StatementError,
    TrustLookupError,
)
from gateway.trust.key_proofs import KEY_PROOF_TYPE, key_proof, key_proof_key_id, verify_key_proof
from gateway.trust.statements import (
    MAX_ENROLMENT_BYTES,
    MAX_STATEMENT_BYTES,
    STATEMENT_TYPE,
    Statement,
    StatementKind,
    check_scope,
    sign_statement,
    statement_digest,
    verify_statement,
)

if TYPE_CHECKING:
    from gateway.attestation.keys import VerificationKey

NOW = datetime(2020, 4, 1, 8, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
MINUTE = timedelta(minutes=1)
REGION = "urn:hutong:region:330100"
HUB = "urn:hutong:hub:000000"
KEY = generate_signing_key()
POLICY = {"id": "330100@2020-04", "region": "330100"}
SCHEME = {"family": "hz-jkm", "authority": "330100", "prefixes": ["3301"]}


def bound(**changes: Any) -> VerificationKey:
    members: dict[str, Any] = {
        "issuer": REGION,
        "prefixes": ("3301",),
        "not_before": NOW - timedelta(days=1),
    } | changes
    return verification_key_from_jwk(public_jwk(KEY), **members)


def lookup(issuer: str, key_id: str) -> VerificationKey:
    if (issuer, key_id) != (REGION, KEY.key_id):
        raise TrustLookupError("no such key", code=Missing.KEY_UNKNOWN)
    return bound()


def policy(**changes: Any) -> str:
    claims = {"iss": REGION, "iat": SECONDS, "kind": "policy", "body": POLICY} | changes
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jws.sign(claims, KEY, typ=STATEMENT_TYPE)


def verify(token: str, **changes: Any) -> Statement:
    arguments: dict[str, Any] = {"now": NOW, "kinds": (StatementKind.POLICY,)} | changes
    return verify_statement(token, arguments.pop("key_lookup", lookup), **arguments)


def test_a_statement_reads_back() -> None:
    token = sign_statement(
        StatementKind.POLICY, REGION, POLICY, KEY, now=NOW, ttl=timedelta(hours=1)
    )
    statement = verify(token)
    assert statement == Statement(
        StatementKind.POLICY, REGION, NOW, NOW + timedelta(hours=1), POLICY, KEY.key_id, token
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"iss": 5},
        {"iss": "u" * 129},
        {"iat": ...},
        {"iat": str(SECONDS)},
        {"iat": float(SECONDS)},
        {"iat": -1},
        {"iat": True},
        {"exp": None},
        {"exp": 10**15},
        {"kind": ...},
        {"kind": "risk-map"},
        {"kind": "enrolment"},
        {"body": ...},
        {"body": [POLICY]},
        {"nbf": SECONDS},
        {"iat": SECONDS + 61},
        {"exp": SECONDS - 60},
    ],
)
def test_a_statement_with_one_claim_out_of_place_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StatementError) as caught:
        verify(policy(**changes))
    assert caught.value.code == "STATEMENT_INVALID"


@pytest.mark.parametrize(
    "changes", [{"iat": SECONDS + 60}, {"exp": SECONDS - 59}, {"exp": SECONDS}]
)
def test_clocks_may_differ_by_a_minute(changes: dict[str, Any]) -> None:
    verify(policy(**changes))


def test_a_key_is_looked_up_by_issuer_and_id_together() -> None:
    with pytest.raises(TrustLookupError):
        verify(policy(iss="urn:hutong:region:330200"))


def test_a_key_of_another_issuer_is_refused_even_when_the_lookup_gives_it() -> None:
    with pytest.raises(StatementError, match="another member"):
        verify(policy(), key_lookup=lambda *_: bound(issuer="urn:hutong:region:330200"))


def test_another_signature_is_refused() -> None:
    one, two = policy(), policy(iat=SECONDS - 1)
    swapped = one.rpartition(".")[0] + "." + two.rpartition(".")[2]
    with pytest.raises(StatementError, match="signature"):
        verify(swapped)


@pytest.mark.parametrize(
    ("key", "is_valid"),
    [
        ({"not_before": NOW}, True),
        ({"not_before": NOW + timedelta(seconds=1)}, False),
        ({"not_after": NOW + timedelta(seconds=1)}, True),
        ({"not_after": NOW}, False),
    ],
)
def test_a_key_must_be_valid_when_it_signs(key: dict[str, Any], is_valid: bool) -> None:
    if is_valid:
        verify(policy(), key_lookup=lambda *_: bound(**key))
    else:
        with pytest.raises(StatementError):
            verify(policy(), key_lookup=lambda *_: bound(**key))


def test_a_lapsed_key_cannot_sign_with_an_old_date() -> None:
    end = NOW + timedelta(hours=1)
    with pytest.raises(StatementError, match="no longer"):
        verify(policy(), key_lookup=lambda *_: bound(not_after=end), now=end + MINUTE)


def test_a_token_of_another_type_is_no_statement() -> None:
    claims = {"iss": REGION, "iat": SECONDS, "kind": "policy", "body": POLICY}
    with pytest.raises(StatementError):
        verify(jws.sign(claims, KEY, typ="hutong-feed-entry+jwt"))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(StatementKind.ENROLMENT, MAX_ENROLMENT_BYTES), (StatementKind.POLICY, MAX_STATEMENT_BYTES)],
)
def test_a_statement_over_its_size_is_neither_signed_nor_read(
    kind: StatementKind, limit: int
) -> None:
    body = {"region": "330100", "text": "x" * limit}
    with pytest.raises(StatementError, match="longer"):
        sign_statement(kind, REGION, body, KEY, now=NOW)
    with pytest.raises(StatementError, match="longer"):
        verify(policy(kind=kind.value, body=body), kinds=(kind,))


def test_subjects_carry_their_issuer() -> None:
    assert verify(policy()).subject == f"{REGION}#330100"
    scheme = verify(policy(kind="scheme", body=SCHEME), kinds=tuple(StatementKind))
    assert scheme.subject == f"{REGION}#hz-jkm"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("scheme", SCHEME | {"family": "Hz Jkm"}),
        ("scheme", SCHEME | {"family": 7}),
        ("scheme", {"prefixes": ["3301"]}),
        ("policy", {"region": "3301"}),
        ("policy", {"region": 330100}),
        ("policy", {}),
    ],
)
def test_a_body_that_does_not_name_its_subject_is_refused(kind: str, body: dict[str, Any]) -> None:
    statement = verify(policy(kind=kind, body=body), kinds=tuple(StatementKind))
    with pytest.raises(StatementError):
        _ = statement.subject


@pytest.mark.parametrize(
    ("kind", "body", "is_own"),
    [
        ("policy", POLICY, True),
        ("policy", {"region": "330106"}, True),
        ("policy", {"region": "330000"}, False),
        ("policy", {"region": "330200"}, False),
        ("policy", {"region": "440100"}, False),
        ("policy", {"region": "000000"}, False),
        ("scheme", SCHEME, True),
        ("scheme", SCHEME | {"prefixes": ["330106", "330108"]}, True),
        ("scheme", SCHEME | {"prefixes": ["330100"]}, True),
        ("scheme", SCHEME | {"prefixes": ["3301", "3302"]}, False),
        ("scheme", SCHEME | {"prefixes": ["33"]}, False),
        ("scheme", SCHEME | {"prefixes": ["330000"]}, False),
        ("scheme", SCHEME | {"prefixes": [""]}, False),
        ("scheme", SCHEME | {"prefixes": ["00"]}, False),
        ("scheme", SCHEME | {"prefixes": [3301]}, False),
        ("scheme", SCHEME | {"prefixes": ["33011"]}, False),
        ("scheme", SCHEME | {"prefixes": []}, False),
        ("scheme", SCHEME | {"prefixes": "3301"}, False),
        ("scheme", SCHEME | {"authority": "330200"}, False),
        ("scheme", SCHEME | {"authority": None}, False),
        ("enrolment", {}, False),
    ],
)
def test_a_region_speaks_only_for_its_own_prefixes(
    kind: str,
    body: dict[str, Any],
    is_own: bool,
) -> None:
    statement = Statement(StatementKind(kind), REGION, NOW, None, body, KEY.key_id, "")
    if is_own:
        check_scope(statement, ("3301",))
    else:
        with pytest.raises(StatementError):
            check_scope(statement, ("3301",))


@given(st.dictionaries(st.sampled_from(["family", "prefixes", "region", "authority"]), st.text()))
def test_any_document_has_a_scope_or_is_refused(body: dict[str, Any]) -> None:
    for kind in (StatementKind.SCHEME, StatementKind.POLICY):
        statement = Statement(kind, REGION, NOW, None, body, KEY.key_id, "")
        with pytest.raises(StatementError):
            check_scope(statement, ("9999",))


# --- key proofs -----------------------------------------------------------------------

DIGEST = statement_digest("an enrolment")
PROOF = {
    "iss": REGION,
    "aud": HUB,
    "iat": SECONDS,
    "exp": SECONDS + 600,
    "jti": "0123456789abcdef",
    "digest": DIGEST,
}


def proof(**changes: Any) -> str:
    claims = {name: value for name, value in (PROOF | changes).items() if value is not ...}
    return jws.sign(claims, KEY, typ=KEY_PROOF_TYPE)


def test_a_proof_reads_back_with_what_makes_it_accepted_once() -> None:
    token = key_proof(
        KEY, DIGEST, issuer=REGION, audience=HUB, now=NOW, random_bytes=lambda size: b"\1" * size
    )
    read = verify_key_proof(token, bound(), audience=HUB, digest=DIGEST, now=NOW)
    assert read.key_id == KEY.key_id == key_proof_key_id(token)
    assert read.token_id == "AQEBAQEBAQEBAQEBAQEBAQ"
    assert read.expires_at == NOW + timedelta(minutes=10)


def test_two_proofs_never_share_an_id() -> None:
    made = {
        verify_key_proof(
            key_proof(KEY, DIGEST, issuer=REGION, audience=HUB, now=NOW),
            bound(),
            audience=HUB,
            digest=DIGEST,
            now=NOW,
        ).token_id
        for _ in range(5)
    }
    assert len(made) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "urn:hutong:region:330200"},
        {"aud": "urn:hutong:hub:330000"},
        {"digest": statement_digest("another enrolment")},
        {"digest": "short"},
        {"jti": "short"},
        {"jti": ...},
        {"exp": SECONDS + 601},
        {"exp": SECONDS},
        {"iat": SECONDS + 61, "exp": SECONDS + 120},
        {"iat": SECONDS - 600, "exp": SECONDS - 60},
        {"nonce": "x"},
    ],
)
def test_a_proof_with_one_claim_out_of_place_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PossessionError) as caught:
        verify_key_proof(proof(**changes), bound(), audience=HUB, digest=DIGEST, now=NOW)
    assert caught.value.code == "POSSESSION_NOT_PROVEN"


def test_a_proof_by_another_key_is_refused() -> None:
    other = generate_signing_key()
    token = key_proof(other, DIGEST, issuer=REGION, audience=HUB, now=NOW)
    with pytest.raises(PossessionError):
        verify_key_proof(token, bound(), audience=HUB, digest=DIGEST, now=NOW)


def test_a_statement_is_no_proof_and_a_proof_no_statement() -> None:
    with pytest.raises(PossessionError):
        verify_key_proof(policy(), bound(), audience=HUB, digest=DIGEST, now=NOW)
    with pytest.raises(PossessionError):
        key_proof_key_id(policy())
    with pytest.raises(StatementError):
        verify(proof())


def test_statements_are_values() -> None:
    statement = verify(policy())
    assert dataclasses.replace(statement) == statement
