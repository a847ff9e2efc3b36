"""Attestations that are converted: their claim, their reader, their envelope."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import code_pb2, exchange_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    IMPORT_ANSWER_BUCKET_BYTES,
    IMPORT_BUCKET_BYTES,
    MAX_IMPORT_SECONDS,
    Attestation,
    AttestationError,
    AttestationUse,
    AttestationVerifier,
    Profile,
    SealingError,
    SubjectError,
    VerifiedTokenCache,
    base64url,
    bound_to,
    check_bound,
    claims_to_json,
    open_answer,
    open_import,
    open_import_answer,
    open_question,
    pad,
    parse_claims,
    seal_answer,
    seal_import,
    seal_import_answer,
    seal_question,
    sign_attestation,
)
from gateway.codes.documents import Document, DocumentType
from gateway.errors import InternalError
from tests.attestation.samples import (
    ES256_KEY,
    GUANGZHOU,
    NONCE,
    NOW,
    SECONDS,
    TRUST,
    attestation,
    claims,
    compact,
    header,
    sign,
)
from tests.attestation.test_sealing import BINDING, KEYS, PLAINTEXTS, QUESTION, REPLY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORT = AttestationUse.IMPORT
PERSON = Document(DocumentType.RESIDENT_IDENTITY_CARD, "330102199001010055")
BOUND = bound_to(NONCE, PERSON)
_NO = code_pb2.TRI_STATE_NO
profiles = pytest.mark.parametrize("profile", Profile)


def imported(**changes: Any) -> Attestation:
    return attestation(IMPORT, **{"bound": BOUND, **changes})


def read(token: str, **how: Any) -> Attestation:
    verifier = AttestationVerifier(TRUST, cache=how.pop("cache", None))
    return verifier.verify(token, audience=GUANGZHOU, now=NOW, **how)


# --- the commitment ----------------------------------------------------------


def test_the_commitment_is_the_hash_that_the_specification_writes_down() -> None:
    # HT-ATT-17: label, NUL, nonce, type as two bytes, number.
    expected = hashlib.sha256(
        b"hutong/v1/bound\x00" + bytes(range(16)) + b"\x00\x0a" + b"330102199001010055"
    ).digest()
    assert expected == BOUND
    assert bound_to(NONCE, Document(DocumentType.OTHER, "ABCD")) == (
        hashlib.sha256(b"hutong/v1/bound\x00" + NONCE + b"\x00\x63ABCD").digest()
    )


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_nonce_of_another_length_commits_to_nothing(length: int) -> None:
    with pytest.raises(InternalError):
        bound_to(bytes(length), PERSON)


def test_an_attestation_about_the_document_that_is_shown_passes() -> None:
    check_bound(imported(), NONCE, PERSON)


@pytest.mark.parametrize(
    ("change", "nonce", "document"),
    [
        ({}, NONCE, Document(DocumentType.RESIDENT_IDENTITY_CARD, "330102199001010063")),
        ({}, NONCE, Document(DocumentType.PASSPORT, PERSON.number)),
        ({}, bytes(16), PERSON),
        ({}, NONCE[:15], PERSON),
        ({"bound": None}, NONCE, PERSON),
        ({"bound": bytes(32)}, NONCE, PERSON),
    ],
    ids=["another-number", "another-type", "another-question", "short-nonce", "unbound", "zeros"],
)
def test_an_attestation_about_anything_else_is_refused(
    change: dict[str, Any], nonce: bytes, document: Document
) -> None:
    with pytest.raises(SubjectError) as caught:
        check_bound(imported(**change), nonce, document)
    assert caught.value.code == "SUBJECT_MISMATCH"
    assert PERSON.number not in str(caught.value)


NUMBERS = st.text("0123456789ABCX", min_size=4, max_size=32)
DOCUMENTS = st.builds(Document, st.sampled_from(DocumentType), NUMBERS)
NONCES = st.binary(min_size=16, max_size=16)


@given(NONCES, DOCUMENTS, NONCES, DOCUMENTS)
def test_no_two_documents_or_questions_share_a_commitment(
    nonce: bytes, document: Document, other_nonce: bytes, other: Document
) -> None:
    same = (nonce, document) == (other_nonce, other)
    assert (bound_to(nonce, document) == bound_to(other_nonce, other)) is same


# --- the claim ---------------------------------------------------------------


def test_the_claim_is_written_as_base64url_and_left_out_where_it_is_unknown() -> None:
    payload = claims_to_json(imported())
    assert f'"bound":"{base64url.encode(BOUND)}"'.encode() in payload
    assert parse_claims(payload) == imported()
    unbound = imported(bound=None)
    assert b"bound" not in claims_to_json(unbound)
    assert parse_claims(claims_to_json(unbound)).bound is None
    assert base64url.encode(BOUND) not in repr(imported())


GOOD = claims(use="import", bound=base64url.encode(BOUND))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bound": base64url.encode(BOUND[:31])}, "CLAIMS_INVALID"),
        ({"bound": base64url.encode(BOUND + b"x")}, "CLAIMS_INVALID"),
        ({"bound": base64url.encode(BOUND) + "="}, "CLAIMS_INVALID"),
        ({"bound": ""}, "CLAIMS_INVALID"),
        ({"bound": "é" * 43}, "CLAIMS_INVALID"),
        ({"bound": None}, "CLAIMS_INVALID"),
        ({"bound": 1}, "CLAIMS_INVALID"),
        ({"use": "carried"}, "CLAIMS_INVALID"),
        ({"use": "online", "nonce": base64url.encode(NONCE)}, "CLAIMS_INVALID"),
        ({"nonce": base64url.encode(NONCE)}, "CLAIMS_INVALID"),
        ({"use": "IMPORT"}, "CLAIMS_INVALID"),
        ({"exp": SECONDS + MAX_IMPORT_SECONDS + 1}, "LIFETIME_TOO_LONG"),
    ],
)
def test_claims_of_an_import_that_are_good_but_for_one_are_refused(
    change: dict[str, Any], code: str
) -> None:
    assert parse_claims(compact(GOOD)).bound == BOUND
    with pytest.raises(AttestationError) as caught:
        parse_claims(compact({**GOOD, **change}))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"bound": BOUND[:31]},
        {"nonce": NONCE},
        {"expires_at": NOW + timedelta(seconds=MAX_IMPORT_SECONDS + 1)},
    ],
)
def test_nothing_is_signed_that_a_strict_reader_would_refuse(change: dict[str, Any]) -> None:
    with pytest.raises(AttestationError):
        sign_attestation(imported(**change), ES256_KEY)
    with pytest.raises(AttestationError):
        sign_attestation(attestation(bound=BOUND), ES256_KEY)


# --- the reader --------------------------------------------------------------


@pytest.mark.parametrize("cache", [None, VerifiedTokenCache(4)], ids=["cold", "cached"])
def test_only_who_converts_reads_an_import(cache: VerifiedTokenCache | None) -> None:
    token = sign_attestation(imported(), ES256_KEY)
    for _ in range(2):
        assert read(token, cache=cache, is_import=True) == imported()
        for how in ({}, {"nonce": NONCE}):
            with pytest.raises(AttestationError) as caught:
                read(token, cache=cache, **how)
            assert caught.value.code == "ATTESTATION_REPLAYED"


@pytest.mark.parametrize("use", [AttestationUse.ONLINE, AttestationUse.CARRIED])
def test_an_attestation_of_another_use_is_not_converted(use: AttestationUse) -> None:
    token = sign_attestation(attestation(use), ES256_KEY)
    for how in ({}, {"nonce": NONCE}):
        with pytest.raises(AttestationError) as caught:
            read(token, is_import=True, **how)
        assert caught.value.code == "ATTESTATION_REPLAYED"


def test_all_other_rules_hold_for_an_import_too() -> None:
    assert read(sign(header(), GOOD), is_import=True).bound == BOUND
    for change, code in (
        ({"aud": "urn:hutong:region:110000"}, "AUDIENCE_MISMATCH"),
        ({"exp": SECONDS - 60, "iat": SECONDS - 600, "nbf": SECONDS - 600}, "ATTESTATION_EXPIRED"),
        ({"iss": "urn:hutong:region:330200"}, "KEY_UNKNOWN"),
    ):
        with pytest.raises(Exception, match=r".") as caught:
            read(sign(header(), {**GOOD, **change}), is_import=True)
        assert getattr(caught.value, "code", None) == code


# --- the envelope ------------------------------------------------------------


@given(PLAINTEXTS, st.sampled_from(Profile))
def test_an_import_that_is_sealed_opens(plaintext: bytes, profile: Profile) -> None:
    asked = seal_import(KEYS[profile].public, plaintext, BINDING)
    assert open_import(KEYS[profile], asked, BINDING) == plaintext
    answered = seal_import_answer(REPLY_KEY, plaintext, BINDING, profile)
    assert open_import_answer(REPLY_KEY, answered, BINDING, profile) == plaintext


@profiles
def test_no_envelope_of_one_kind_opens_as_another(profile: Profile) -> None:
    key = KEYS[profile]
    question = seal_question(key.public, QUESTION, BINDING)
    imports = seal_import(key.public, QUESTION, BINDING)
    answer = seal_answer(REPLY_KEY, QUESTION, BINDING, profile)
    import_answer = seal_import_answer(REPLY_KEY, QUESTION, BINDING, profile)
    tries: list[Callable[[], bytes]] = [
        lambda: open_import(key, question, BINDING),
        lambda: open_question(key, imports, BINDING),
        lambda: open_import_answer(REPLY_KEY, answer, BINDING, profile),
        lambda: open_answer(REPLY_KEY, import_answer, BINDING, profile),
        lambda: open_import_answer(REPLY_KEY, imports, BINDING, profile),
    ]
    for attempt in tries:
        with pytest.raises(SealingError) as caught:
            attempt()
        assert caught.value.code == "ENVELOPE_UNREADABLE"


@profiles
@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_changed_byte_does_not_open(profile: Profile, at: int) -> None:
    asked = bytearray(seal_import(KEYS[profile].public, QUESTION, BINDING))
    answered = bytearray(seal_import_answer(REPLY_KEY, QUESTION, BINDING, profile))
    asked[at] ^= 1
    answered[at] ^= 1
    with pytest.raises(SealingError):
        open_import(KEYS[profile], bytes(asked), BINDING)
    with pytest.raises(SealingError):
        open_import_answer(REPLY_KEY, bytes(answered), BINDING, profile)


def test_a_converted_code_and_a_refusal_have_one_length() -> None:
    converted, refused = exchange_pb2.ImportAnswerBatch(), exchange_pb2.ImportAnswerBatch()
    for _ in range(16):
        code = converted.answers.add(nonce=bytes(16)).local_code
        code.scheme, code.state, code.qr_text = "gz-skm@v2", "绿码", "x" * 2048
        refused.answers.add(nonce=bytes(16)).refusal = exchange_pb2.IMPORT_REFUSAL_LEVEL
    sizes = {
        len(pad(batch.SerializeToString(), 16 * IMPORT_ANSWER_BUCKET_BYTES, max_bytes=1 << 20))
        for batch in (converted, refused)
    }
    assert sizes == {16 * IMPORT_ANSWER_BUCKET_BYTES}


def test_imports_have_one_length_and_sixteen_fit_into_an_envelope() -> None:
    batch = exchange_pb2.ImportBatch(reply_key=bytes(32))
    for place in range(16):
        batch.imports.add(
            nonce=bytes([place] * 16),
            attestation="x" * 1300,
            document=exchange_pb2.Document(type=code_pb2.DOCUMENT_TYPE_PASSPORT, number="E" * 9),
            name="合成姓名" * 4,
            declarations=code_pb2.Declarations(contact=_NO, risk_area=_NO, overseas=_NO),
        )
    plaintext = pad(batch.SerializeToString(), 16 * IMPORT_BUCKET_BYTES, max_bytes=1 << 20)
    assert len(plaintext) == 16 * IMPORT_BUCKET_BYTES
    for profile in Profile:
        assert seal_import(KEYS[profile].public, plaintext, BINDING)
