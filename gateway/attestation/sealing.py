"""Sealing: questions to a region's encryption key, answers to a one-time key.

In the manner of Oblivious HTTP (RFC 9458): the question travels in an envelope
that only the origin's adapter opens and holds a fresh reply key; the answer
comes back under it. The hub between sees neither. An envelope is bound to
origin, caller and purpose: one that is moved to another caller or purpose does
not open.

=========  ==========================================  =============================
profile    question                                    answer
=========  ==========================================  =============================
``HPKE``   RFC 9180 base mode, MLKEM768-X25519,        AES-256-GCM under the reply
           HKDF-SHA256, AES-256-GCM; ``enc`` followed  key: 12 random bytes, then
           by the ciphertext; binding in ``info``      the ciphertext; binding as
                                                       associated data
``JWE``    RFC 7516 compact, ECDH-ES + A256GCM on      RFC 7516 compact, dir +
           P-256; binding in ``apu`` and ``apv``       A256GCM; binding in ``apu``
                                                       and ``apv``
=========  ==========================================  =============================

An import (``hutong.v1.ImportBatch``) and its answer are sealed the same way under
labels of their own, so that no envelope of one kind opens as the other; so is the
document of a row of an identified catalogue.

The binding is encoded with a label and lengths, so that no two bindings and no
question and answer share an encoding: label, NUL, then each part as two bytes
of length (big endian) and UTF-8.

Whatever does not open gives one ``SealingError`` that does not tell why: the
difference between a wrong key, a wrong binding and a changed byte is an oracle.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from gateway.attestation import sealing_jwe
from gateway.attestation.errors import SealingError
from gateway.attestation.sealing_keys import (
    Profile,
    SealingKey,
    SealingPublicKey,
    generate_sealing_key,
    public_sealing_jwk,
    sealing_key_from_jwk,
    sealing_key_to_jwk,
    sealing_public_key_from_jwk,
)

__all__ = [
    "MAX_ANSWER_ENVELOPE_BYTES",
    "MAX_QUESTION_ENVELOPE_BYTES",
    "REPLY_KEY_BYTES",
    "Binding",
    "Profile",
    "SealingKey",
    "SealingPublicKey",
    "generate_sealing_key",
    "open_answer",
    "open_catalogued",
    "open_import",
    "open_import_answer",
    "open_question",
    "public_sealing_jwk",
    "seal_answer",
    "seal_catalogued",
    "seal_import",
    "seal_import_answer",
    "seal_question",
    "sealing_key_from_jwk",
    "sealing_key_to_jwk",
    "sealing_public_key_from_jwk",
]

MAX_QUESTION_ENVELOPE_BYTES: Final = 64 * 1024
"""``SealedQuestion.envelope`` in exchange.proto."""
MAX_ANSWER_ENVELOPE_BYTES: Final = 512 * 1024
"""``SealedAnswer.envelope`` in exchange.proto."""
REPLY_KEY_BYTES: Final = 32
"""``QuestionBatch.reply_key`` in exchange.proto: an AES-256 key."""

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_IV_BYTES: Final = 12
"""96 bits, random: a reply key seals one answer, so a collision cannot happen."""
_MAX_PART_BYTES: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of envelope: its label, and its ``typ`` where it is a JWE."""

    label: bytes
    jwe_type: str


_QUESTION: Final = _Kind(b"hutong/v1/question", "hutong-question+jwe")
_ANSWER: Final = _Kind(b"hutong/v1/answer", "hutong-answer+jwe")
_IMPORT: Final = _Kind(b"hutong/v1/import", "hutong-import+jwe")
_IMPORT_ANSWER: Final = _Kind(b"hutong/v1/import-answer", "hutong-import-answer+jwe")
_CATALOGUE: Final = _Kind(b"hutong/v1/catalogue", "hutong-catalogue+jwe")


@dataclass(frozen=True, slots=True)
class Binding:
    """What an envelope is bound to. All three travel in clear beside it.

    Attributes:
        origin: URN of the region that is asked.
        caller: URN of who asks.
        purpose: name of the declared purpose.
    """

    origin: str
    caller: str
    purpose: str


def seal_question(public: SealingPublicKey, plaintext: bytes, binding: Binding) -> bytes:
    """Seals a question to a region's encryption key, in the profile of that key.

    Raises:
        SealingError: ``MESSAGE_TOO_LARGE`` when the envelope would exceed what the
            wire carries; ``INVALID_REQUEST`` when there is nothing to seal.
    """
    return _seal_to_key(_QUESTION, public, plaintext, binding)


def open_question(private: SealingKey, envelope: bytes, binding: Binding) -> bytes:
    """Opens a question.

    Raises:
        SealingError: ``ENVELOPE_UNREADABLE``: too large, of another key, profile,
            binding or kind, or changed on the way.
    """
    return _open_with_key(_QUESTION, private, envelope, binding)


def seal_answer(reply_key: bytes, plaintext: bytes, binding: Binding, profile: Profile) -> bytes:
    """Seals an answer under the reply key of its question. Use a reply key once.

    Raises:
        SealingError: as for questions, or the reply key is not 32 bytes.
    """
    return _seal_direct(_ANSWER, reply_key, plaintext, binding, profile)


def open_answer(reply_key: bytes, envelope: bytes, binding: Binding, profile: Profile) -> bytes:
    """Opens an answer with the reply key that its question carried.

    Raises:
        SealingError: ``ENVELOPE_UNREADABLE``, as for questions.
    """
    return _open_direct(_ANSWER, reply_key, envelope, binding, profile)


def seal_import(public: SealingPublicKey, plaintext: bytes, binding: Binding) -> bytes:
    """Seals an import to the destination's encryption key.

    Args:
        public: the destination's.
        plaintext: a serialised ``ImportBatch``.
        binding: its ``origin`` is the region that is asked, which is the destination.

    Raises:
        SealingError: as ``seal_question``.
    """
    return _seal_to_key(_IMPORT, public, plaintext, binding)


def open_import(private: SealingKey, envelope: bytes, binding: Binding) -> bytes:
    """Opens an import.

    Raises:
        SealingError: as ``open_question``.
    """
    return _open_with_key(_IMPORT, private, envelope, binding)


def seal_import_answer(
    reply_key: bytes, plaintext: bytes, binding: Binding, profile: Profile
) -> bytes:
    """Seals the answer to an import under its reply key. Use a reply key once.

    Raises:
        SealingError: as ``seal_answer``.
    """
    return _seal_direct(_IMPORT_ANSWER, reply_key, plaintext, binding, profile)


def open_import_answer(
    reply_key: bytes, envelope: bytes, binding: Binding, profile: Profile
) -> bytes:
    """Opens the answer to an import with the reply key that it carried.

    Raises:
        SealingError: as ``open_answer``.
    """
    return _open_direct(_IMPORT_ANSWER, reply_key, envelope, binding, profile)


def seal_catalogued(public: SealingPublicKey, plaintext: bytes, binding: Binding) -> bytes:
    """Seals the document of one row of an identified catalogue to its audience.

    Args:
        public: the audience's.
        plaintext: the document.
        binding: ``origin`` the audience, ``caller`` the issuer, ``purpose`` the row's
            pseudonym, so that it opens in no other row.

    Raises:
        SealingError: as ``seal_question``.
    """
    return _seal_to_key(_CATALOGUE, public, plaintext, binding)


def open_catalogued(private: SealingKey, envelope: bytes, binding: Binding) -> bytes:
    """Opens the document of one row.

    Raises:
        SealingError: as ``open_question``.
    """
    return _open_with_key(_CATALOGUE, private, envelope, binding)


def _seal_to_key(
    kind: _Kind, public: SealingPublicKey, plaintext: bytes, binding: Binding
) -> bytes:
    _check_plaintext(plaintext)
    if public.profile is Profile.HPKE:
        envelope = _SUITE.encrypt(plaintext, public.native, _info(kind, binding))
    else:
        envelope = sealing_jwe.seal_to_key(
            public, plaintext, kind.jwe_type, *_parties(kind, binding)
        )
    return _bounded(envelope, MAX_QUESTION_ENVELOPE_BYTES)


def _open_with_key(kind: _Kind, private: SealingKey, envelope: bytes, binding: Binding) -> bytes:
    if len(envelope) > MAX_QUESTION_ENVELOPE_BYTES:
        raise _unreadable()
    if private.profile is Profile.HPKE:
        try:
            return _SUITE.decrypt(envelope, private.native, _info(kind, binding))
        except (InvalidTag, ValueError):
            raise _unreadable() from None
    return sealing_jwe.open_with_key(private, envelope, kind.jwe_type, *_parties(kind, binding))


def _seal_direct(
    kind: _Kind, reply_key: bytes, plaintext: bytes, binding: Binding, profile: Profile
) -> bytes:
    _check_plaintext(plaintext)
    _check_reply_key(reply_key)
    if profile is Profile.HPKE:
        iv = os.urandom(_IV_BYTES)
        envelope = iv + AESGCM(reply_key).encrypt(iv, plaintext, _info(kind, binding))
    else:
        envelope = sealing_jwe.seal_direct(
            reply_key, plaintext, kind.jwe_type, *_parties(kind, binding)
        )
    return _bounded(envelope, MAX_ANSWER_ENVELOPE_BYTES)


def _open_direct(
    kind: _Kind, reply_key: bytes, envelope: bytes, binding: Binding, profile: Profile
) -> bytes:
    _check_reply_key(reply_key)
    if len(envelope) > MAX_ANSWER_ENVELOPE_BYTES:
        raise _unreadable()
    if profile is Profile.HPKE:
        aad = _info(kind, binding)
        try:
            return AESGCM(reply_key).decrypt(envelope[:_IV_BYTES], envelope[_IV_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise _unreadable() from None
    return sealing_jwe.open_direct(reply_key, envelope, kind.jwe_type, *_parties(kind, binding))


# Callers times purposes of a busy adapter; what does not fit is encoded anew.
@lru_cache(4096)
def _encode(parts: tuple[bytes, *tuple[str, ...]]) -> bytes:
    label, *texts = parts
    encoded = [label, b"\0"]
    for text in texts:
        part = text.encode()
        if len(part) > _MAX_PART_BYTES:
            raise SealingError("a part of the binding is too long", code="MESSAGE_TOO_LARGE")
        encoded += (len(part).to_bytes(2, "big"), part)
    return b"".join(encoded)


def _info(kind: _Kind, binding: Binding) -> bytes:
    return _encode((kind.label, binding.origin, binding.caller, binding.purpose))


def _parties(kind: _Kind, binding: Binding) -> tuple[bytes, bytes]:
    """The producer (who asks, and why) and the recipient (who is asked) of a JWE."""
    return (
        _encode((kind.label, binding.caller, binding.purpose)),
        _encode((kind.label, binding.origin)),
    )


def _check_plaintext(plaintext: bytes) -> None:
    # A serialised batch is never empty, and not every JWE library opens nothing.
    if not plaintext:
        raise SealingError("there is nothing to seal", code="INVALID_REQUEST")


def _check_reply_key(reply_key: bytes) -> None:
    if len(reply_key) != REPLY_KEY_BYTES:
        raise _unreadable()


def _bounded(envelope: bytes, limit: int) -> bytes:
    if len(envelope) > limit:
        raise SealingError("the envelope exceeds what the wire carries", code="MESSAGE_TOO_LARGE")
    return envelope


def _unreadable() -> SealingError:
    return SealingError("the envelope does not open")
