from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.keys import generate_signing_key, public_jwk
from gateway.trust.authority import (
    Authority,
    EnrolmentBody,
    MemberKind,
    MemberState,
    parse_authority,
    parse_enrolment,
)
from gateway.trust.enrolment import verify_enrolment, verify_enrolment_proofs
from gateway.trust.errors import PossessionError, StatementError, TrustLookupError
from gateway.trust.key_proofs import key_proof
from gateway.trust.keys import KeyUse, signing_member_key
from gateway.trust.statements import StatementKind, sign_statement, statement_digest
from tests.trust.simulator import HUB, START, make_region, member_keys

if TYPE_CHECKING:
    from gateway.attestation.keys import SigningKey
    from gateway.trust.key_proofs import KeyProof
    from gateway.trust.statements import Statement

REGION = make_region("330100")
STATE = REGION.signing[KeyUse.STATE]


def _enrolment(**changes: Any) -> EnrolmentBody:
    authority = REGION.authority
    members: dict[str, Any] = {
        "urn": authority.urn,
        "kind": MemberKind.REGION,
        "name_zh": authority.name_zh,
        "name_en": authority.name_en,
        "keys": authority.keys,
        "prefixes": authority.prefixes,
        "endpoint": authority.endpoint,
    }
    return EnrolmentBody(**(members | changes))


ENROLMENT = _enrolment()


def _certificate() -> tuple[str, str]:
    key = generate_signing_key().private
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "synthetic")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return pem, private


CERTIFICATE, PRIVATE_PEM = _certificate()


def sign(
    body: dict[str, Any] | None = None, key: SigningKey = STATE, issuer: str = ENROLMENT.urn
) -> str:
    return sign_statement(
        StatementKind.ENROLMENT,
        issuer,
        ENROLMENT.to_body() if body is None else body,
        key,
        now=START,
    )


def checkpoint(**changes: Any) -> tuple[EnrolmentBody, dict[KeyUse, SigningKey]]:
    signing = {use: generate_signing_key() for use in (KeyUse.STATE, KeyUse.AUTHENTICATE)}
    members: dict[str, Any] = {
        "urn": "urn:hutong:checkpoint:440100:north-gate",
        "kind": MemberKind.CHECKPOINT,
        "name_zh": "北门",
        "name_en": "North Gate",
        "keys": member_keys(dict(signing), None, START),
        "region": "440100",
    }
    return EnrolmentBody(**(members | changes)), dict(signing)


@pytest.mark.parametrize(
    "enrolment",
    [
        ENROLMENT,
        _enrolment(tls_ca_pem=CERTIFICATE * 2),
        _enrolment(prefixes=("330106", "330108"), endpoint="[::1]:7501", name_en=""),
        checkpoint()[0],
        checkpoint(kind=MemberKind.OPERATOR, urn="urn:hutong:operator:front-desk", region=None)[0],
    ],
    ids=["region", "with certificates", "of two counties", "checkpoint", "operator"],
)
def test_every_kind_of_member_reads_back(enrolment: EnrolmentBody) -> None:
    assert parse_enrolment(enrolment.to_body()) == enrolment


def test_an_enrolment_verifies_by_the_key_it_brings() -> None:
    statement, body = verify_enrolment(sign(), now=START)
    assert body == ENROLMENT
    assert statement.key_id == STATE.key_id


@pytest.mark.parametrize("use", [KeyUse.ATTEST, KeyUse.AUTHENTICATE])
def test_only_a_statement_key_signs_an_enrolment(use: KeyUse) -> None:
    with pytest.raises(StatementError):
        verify_enrolment(sign(key=REGION.signing[use]), now=START)


def test_a_foreign_key_does_not_sign_an_enrolment() -> None:
    with pytest.raises(StatementError):
        verify_enrolment(sign(key=generate_signing_key()), now=START)


def test_nobody_enrols_in_anothers_name() -> None:
    with pytest.raises(StatementError):
        verify_enrolment(sign(issuer="urn:hutong:region:330200"), now=START)


REFUSED: dict[str, dict[str, Any]] = {
    "a hub's URN": {"urn": HUB},
    "a URN of five digits": {"urn": "urn:hutong:region:33010"},
    "no name": {"name_zh": "", "name_en": ""},
    "a name too long": {"name_en": "x" * 129},
    "a name with a line break": {"name_en": "Hang\nzhou"},
    "a name that turns the text around": {"name_en": "Hang\u202ezhou"},
    "an unknown kind": {"kind": "hub"},
    "a kind of another URN": {"kind": "checkpoint"},
    "no prefixes": {"prefixes": []},
    "another's prefix": {"prefixes": ["4401"]},
    "the province's prefix": {"prefixes": ["33"]},
    "a prefix twice": {"prefixes": ["3301", "3301"]},
    "a prefix inside another": {"prefixes": ["3301", "330106"]},
    "a prefix of five digits": {"prefixes": ["33010"]},
    "a prefix not in its shortest form": {"prefixes": ["330100"]},
    "a prefix in other digits": {"prefixes": ["３３０１"]},
    "an empty prefix": {"prefixes": [""]},
    "no endpoint": {"endpoint": ...},
    "an endpoint without a port": {"endpoint": "adapter.example"},
    "port 0": {"endpoint": "adapter.example:0"},
    "port 65536": {"endpoint": "adapter.example:65536"},
    "a URL": {"endpoint": "https://adapter.example:443"},
    "an endpoint with a name in it": {"endpoint": "me@adapter.example:443"},
    "a region": {"region": "330100"},
    "a certificate that is none": {"tls_ca_pem": "no certificate"},
    "a certificate cut short": {"tls_ca_pem": CERTIFICATE.replace("M", "N", 3)},
    "a private key": {"tls_ca_pem": CERTIFICATE + PRIVATE_PEM},
    "an unknown member": {"note": "x"},
    "null": {"endpoint": None},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_an_enrolment_with_one_thing_out_of_place_is_refused(changes: dict[str, Any]) -> None:
    body = {k: v for k, v in (ENROLMENT.to_body() | changes).items() if v is not ...}
    with pytest.raises((StatementError, KeyMaterialError)):
        verify_enrolment(sign(body), now=START)


def test_a_division_that_does_not_exist_is_refused_at_the_door_and_not_by_readers() -> None:
    region = make_region("990100")
    enrolment = _enrolment(
        urn=region.urn, keys=region.authority.keys, prefixes=region.authority.prefixes
    )
    token = sign(enrolment.to_body(), region.signing[KeyUse.STATE], region.urn)
    with pytest.raises(StatementError, match="exist"):
        verify_enrolment(token, now=START)
    assert parse_authority(region.authority.to_body()) == region.authority


@pytest.mark.parametrize("missing", sorted({key.use for key in ENROLMENT.keys}))
def test_a_region_needs_a_key_for_every_use(missing: KeyUse) -> None:
    keys = tuple(key for key in ENROLMENT.keys if key.use is not missing)
    with pytest.raises(KeyMaterialError):
        _enrolment(keys=keys)


def test_a_checkpoint_attests_nothing() -> None:
    attest = signing_member_key(generate_signing_key(), KeyUse.ATTEST, not_before=START)
    with pytest.raises(KeyMaterialError):
        checkpoint(keys=(*checkpoint()[0].keys, attest))


@pytest.mark.parametrize(
    "changes",
    [
        {"region": "330100"},
        {"region": None},
        {"prefixes": ("4401",)},
        {"endpoint": "127.0.0.1:1"},
        {"tls_ca_pem": CERTIFICATE},
        {"urn": "urn:hutong:checkpoint:440100:"},
        {"urn": "urn:hutong:checkpoint:440100:North"},
        {"urn": "urn:hutong:checkpoint:440100:north-"},
        {"urn": "urn:hutong:checkpoint:440100:" + "n" * 65},
    ],
)
def test_a_checkpoint_with_one_thing_out_of_place_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StatementError):
        checkpoint(**changes)


# --- proofs of the other keys ---------------------------------------------------------

OTHERS = (KeyUse.ATTEST, KeyUse.AUTHENTICATE)
# Signed once: a signature is another every time, and with it the digest.
STATEMENT, BODY = verify_enrolment(sign(), now=START)


def proofs(
    statement: Statement, *uses: KeyUse, audience: str = HUB, now: datetime = START
) -> list[str]:
    digest = statement_digest(statement.token)
    return [
        key_proof(REGION.signing[use], digest, issuer=ENROLMENT.urn, audience=audience, now=now)
        for use in uses
    ]


def check(given_proofs: list[str], now: datetime = START) -> tuple[KeyProof, ...]:
    return verify_enrolment_proofs(STATEMENT, BODY, given_proofs, audience=HUB, now=now)


def test_a_proof_for_each_other_signing_key_is_enough_in_any_order() -> None:
    proven = check(proofs(STATEMENT, *reversed(OTHERS)))
    assert {proof.key_id for proof in proven} == {REGION.signing[use].key_id for use in OTHERS}


@pytest.mark.parametrize(
    "uses",
    [
        (),
        (KeyUse.ATTEST,),
        (KeyUse.ATTEST, KeyUse.ATTEST),
        (*OTHERS, KeyUse.ATTEST),
        (*OTHERS, KeyUse.STATE),
    ],
)
def test_a_missing_doubled_or_needless_proof_is_refused(uses: tuple[KeyUse, ...]) -> None:
    with pytest.raises(PossessionError):
        check(proofs(STATEMENT, *uses))


def test_a_proof_for_another_statement_hub_or_time_is_refused() -> None:
    other, _ = verify_enrolment(sign(_enrolment(name_en="Other").to_body()), now=START)
    with pytest.raises(PossessionError):
        check(proofs(other, *OTHERS))
    with pytest.raises(PossessionError):
        check(proofs(STATEMENT, *OTHERS, audience="urn:hutong:hub:330000"))
    with pytest.raises(PossessionError):
        check(proofs(STATEMENT, *OTHERS), now=START + timedelta(minutes=11))
    with pytest.raises(PossessionError):
        check(["no token", *proofs(STATEMENT, KeyUse.ATTEST)])


# --- the hub's record -----------------------------------------------------------------


def test_an_authority_reads_back_in_either_state() -> None:
    for state in (MemberState.ACTIVE, MemberState.SUSPENDED):
        authority = ENROLMENT.authority(state=state, max_attestation_seconds=600)
        assert parse_authority(authority.to_body(), decode_keys=True) == authority


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "pending"},
        {"state": "removed"},
        {"kind": "checkpoint"},
        {"max_attestation_seconds": 59},
        {"max_attestation_seconds": 86_401},
        {"max_attestation_seconds": 600.0},
        {"prefixes": ["44"]},
        {"prefixes": ["3301"] * 65},
        {"keys": []},
        {"endpoint": "nowhere"},
        {"region": "330100"},
    ],
)
def test_a_record_with_one_thing_out_of_place_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((StatementError, KeyMaterialError)):
        parse_authority(REGION.authority.to_body() | changes)


def test_a_checkpoint_is_never_an_authority() -> None:
    with pytest.raises(StatementError):
        checkpoint()[0].authority()


def test_a_key_is_found_by_id_and_use_together() -> None:
    key_id = REGION.signing[KeyUse.ATTEST].key_id
    authority = REGION.authority
    assert authority.verification_key(key_id, KeyUse.ATTEST).issuer == authority.urn
    for use in (KeyUse.STATE, KeyUse.AUTHENTICATE):
        with pytest.raises(TrustLookupError):
            authority.verification_key(key_id, use)


def test_keys_are_decoded_once_a_record_and_bounded_by_it() -> None:
    authority = ENROLMENT.authority(max_attestation_seconds=600)
    key_id = REGION.signing[KeyUse.ATTEST].key_id
    key = authority.verification_key(key_id, KeyUse.ATTEST)
    assert authority.verification_key(key_id, KeyUse.ATTEST) is key
    assert key.max_lifetime_seconds == 600
    assert key.prefixes == ("3301",)
    narrowed = dataclasses.replace(authority, prefixes=("330106",))
    assert narrowed.verification_key(key_id, KeyUse.ATTEST).prefixes == ("330106",)


@given(
    st.dictionaries(
        st.sampled_from(sorted(REGION.authority.to_body())),
        st.none() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=6)),
        min_size=1,
        max_size=3,
    )
)
def test_any_value_in_any_member_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        authority = parse_authority(REGION.authority.to_body() | changes)
    except (StatementError, KeyMaterialError):
        return
    assert isinstance(authority, Authority)
    assert parse_authority(authority.to_body()) == authority


def test_no_private_member_is_ever_published() -> None:
    for item in REGION.authority.to_body()["keys"]:
        assert not {"d", "priv", "k"} & set(item["jwk"])
    assert "d" not in public_jwk(STATE)
