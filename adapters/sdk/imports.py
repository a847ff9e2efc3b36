"""Imports as messages: how one is read, referred to and answered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2

from adapters.sdk.errors import QuestionError
from adapters.sdk.opening import read_document
from gateway.attestation import base64url
from gateway.attestation.claims import NONCE_BYTES
from gateway.codes.conversion import ImportRefusal, LocalCode
from gateway.codes.levels import TriState
from gateway.codes.proto import declarations_from_proto, local_code_to_proto, refusal_to_proto
from gateway.codes.unified import UnifiedCodeError
from gateway.errors import HutongError
from gateway.wire.errors import item_error

if TYPE_CHECKING:
    from gateway.attestation.claims import Attestation
    from gateway.codes.documents import Document
    from gateway.codes.unified import Declarations

MAX_NAME_CHARACTERS: Final = 64
"""As ``hutong.v1.Import.name``."""
_REFERENCE: Final = b"hutong/v1/import-reference\0"

Result = LocalCode | ImportRefusal | HutongError
"""What comes of one import."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One import, read.

    Attributes:
        nonce: opens the attestation's commitment.
        token: the attestation, not yet verified.
        document: that the holder shows.
        name: as in the document.
        declarations: the holder's own answers; none is ABSENT.
    """

    nonce: bytes = field(repr=False)
    token: str = field(repr=False)
    document: Document = field(repr=False)
    name: str = field(repr=False)
    declarations: Declarations = field(repr=False)


def read_import(message: exchange_pb2.Import, *, again: bool) -> Asked:
    """Read one import.

    Raises:
        QuestionError: INVALID_REQUEST, or QUESTION_REPLAYED where its nonce stood in
            the same envelope before; no message holds a value.
    """
    if again:
        raise QuestionError("the nonce stands twice", code="QUESTION_REPLAYED")
    document = read_document(message.document)
    if (
        len(message.nonce) != NONCE_BYTES
        or document is None
        or not 1 <= len(message.name) <= MAX_NAME_CHARACTERS
        or not message.attestation
    ):
        raise QuestionError("a field of the import breaks its rule", code="INVALID_REQUEST")
    try:
        answers = declarations_from_proto(message.declarations)
    except UnifiedCodeError:
        raise QuestionError("an unknown answer", code="INVALID_REQUEST") from None
    # An answer that is missing is no answer, and never a no.
    if TriState.ABSENT in (answers.contact, answers.risk_area, answers.overseas):
        raise QuestionError("an answer of the holder is missing", code="INVALID_REQUEST")
    return Asked(message.nonce, message.attestation, document, message.name, answers)


def reference_of(attestation: Attestation) -> str:
    """Return what stands for an attestation at the platform: a hash of issuer and id."""
    data = f"{attestation.issuer} {attestation.token_id}".encode()
    return base64url.encode(hashlib.sha256(_REFERENCE + data).digest())


def answer_import(nonce: bytes, result: Result) -> exchange_pb2.ImportAnswer:
    """Return the answer to one import."""
    if isinstance(result, LocalCode):
        return exchange_pb2.ImportAnswer(nonce=nonce, local_code=local_code_to_proto(result))
    if isinstance(result, ImportRefusal):
        return exchange_pb2.ImportAnswer(nonce=nonce, refusal=refusal_to_proto(result))
    return exchange_pb2.ImportAnswer(nonce=nonce, error=item_error(result))
