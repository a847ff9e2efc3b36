"""One question of a batch: who may ask it for whom, and what it shows; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2

from adapters.sdk.errors import QuestionError
from adapters.sdk.opening import CONVERSION_PURPOSES, REGION_URN, read_document
from adapters.sdk.reports import QrText
from gateway.attestation.claims import NONCE_BYTES
from gateway.attestation.sd_jwt import Disclosure
from gateway.codes.divisions import DivisionError, division_prefix

if TYPE_CHECKING:
    from adapters.sdk.reports import Presentation

MAX_QR_CHARACTERS: Final = 2048
"""As ``hutong.v1.Question.qr_text``."""

DISCLOSURES: Final = {
    exchange_pb2.DISCLOSURE_UNSPECIFIED: None,
    exchange_pb2.DISCLOSURE_MINIMAL: Disclosure.MINIMAL,
    exchange_pb2.DISCLOSURE_SELECTIVE: Disclosure.SELECTIVE,
}
"""What the schema's words for a part of a code mean; None: the whole code."""

_USES: Final = frozenset(exchange_pb2.AttestationUse.values()) - {0}
_CARRIED: Final = exchange_pb2.ATTESTATION_USE_CARRIED
_IMPORT: Final = exchange_pb2.ATTESTATION_USE_IMPORT


def may_be_for(batch: exchange_pb2.QuestionBatch, region: str, purpose: str) -> bool:
    """Return whether a caller that stands in ``region`` may ask for the audience.

    The audience is a region in which the caller lies. Only what is to be converted,
    all of it, for a holder or a platform, may be for any region: nobody verifies such
    an attestation at a gate, so it is worth nothing to the caller, and the destination
    takes it only with the document it is about (docs/adr/0013).
    """
    code = batch.audience.removeprefix(REGION_URN)
    if len(code) != 6 or not (code.isascii() and code.isdigit()):  # noqa: PLR2004 - digits of a division
        return False
    if batch.audience != REGION_URN + code:
        return False
    try:
        prefix = division_prefix(code)
    except DivisionError:  # the whole country is no region
        return False
    if region.startswith(prefix):
        return True
    return purpose in CONVERSION_PURPOSES and all(
        question.use == _IMPORT for question in batch.questions
    )


def read_question(
    question: exchange_pb2.Question, *, again: bool
) -> tuple[bytes | None, Presentation]:
    """Return the nonce (None for carried use) and the presentation of one question.

    Raises:
        QuestionError: INVALID_REQUEST, or QUESTION_REPLAYED where its nonce stood in
            the same envelope before; no message holds a value.
    """
    nonce, use = question.nonce, question.use
    if again:
        raise QuestionError("the nonce stands twice", code="QUESTION_REPLAYED")
    if len(nonce) != NONCE_BYTES or use not in _USES or question.disclosure not in DISCLOSURES:
        raise QuestionError("a field of the question breaks its rule")
    if use == _IMPORT and question.disclosure:
        raise QuestionError("an import is answered with the whole code")
    bound = None if use == _CARRIED else nonce
    kind = question.WhichOneof("presentation")
    if kind == "document":
        document = read_document(question.document)
        if document is not None:
            return bound, document
    elif kind == "qr_text" and 1 <= len(question.qr_text) <= MAX_QR_CHARACTERS:
        return bound, QrText(question.qr_text)
    raise QuestionError("the presentation breaks its rule")
