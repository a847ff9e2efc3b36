"""Opening envelopes: what questions and imports have in common before they are read.

Everything here concerns an envelope as a whole and refuses it as a whole, before
anything is asked of anybody. Refusals name rules, never values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from google.protobuf.message import DecodeError
from hutong.v1 import exchange_pb2

from adapters.sdk.errors import QuestionError
from adapters.sdk.replay import WINDOW_SECONDS
from gateway.attestation.errors import SealingError
from gateway.attestation.sealing import REPLY_KEY_BYTES, Binding, SealingKey
from gateway.codes.documents import Document, DocumentType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from adapters.sdk.grants import CallerContext
    from gateway.attestation.sealing import Profile

REGION_URN: Final = "urn:hutong:region:"

CONVERSION_PURPOSES: Final = frozenset({"HOLDER", "PLATFORM"})
"""What a conversion may be asked for (``AdapterService.Import``)."""

RESERVE_SHARE: Final = 0.1
RESERVE_SECONDS: Final = 0.2
"""Time kept back to seal and send, so that an outcome still arrives in time: the
lesser of the two."""

_DOCUMENT_TYPES: Final = {int(kind): kind for kind in DocumentType}
# The schema's rule, and the shape of the one type that every platform knows.
_NUMBER: Final = re.compile(r"[0-9A-Z]{4,32}", re.ASCII)
_RESIDENT: Final = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)

B = TypeVar("B", exchange_pb2.QuestionBatch, exchange_pb2.ImportBatch)


@dataclass(frozen=True, slots=True)
class Opened:
    """Where an envelope goes back to.

    Attributes:
        reply_key: seals the answer.
        binding: of envelope and answer.
        profile: of envelope and answer.
    """

    reply_key: bytes = field(repr=False)
    binding: Binding
    profile: Profile


class EnvelopeOpener:
    """Opens envelopes for one authority.

    Args:
        prefixes: divisions it answers for.
        sealing_keys: private encryption keys by key id.
    """

    def __init__(self, prefixes: tuple[str, ...], sealing_keys: Mapping[str, SealingKey]) -> None:
        self._prefixes = prefixes
        self._sealing_keys = sealing_keys

    def open(
        self,
        sealed: exchange_pb2.SealedQuestion,
        caller: CallerContext,
        opener: Callable[[SealingKey, bytes, Binding], bytes],
        kind: type[B],
    ) -> tuple[B, Opened]:
        """Open an envelope and hold its outside against who asks.

        Args:
            sealed: as it came; its fields hold the schema's rules.
            caller: who asks, verified.
            opener: of the kind of envelope.
            kind: what the plaintext is.

        Raises:
            QuestionError: UNKNOWN_REGION, PURPOSE_NOT_ALLOWED, SEALING_KEY_UNKNOWN,
                ENVELOPE_UNREADABLE, or INVALID_REQUEST for a reply key of another
                length.
        """
        if not sealed.region.startswith(self._prefixes):
            raise QuestionError("this adapter does not serve the region", code="UNKNOWN_REGION")
        purpose = purpose_name(sealed)
        if purpose not in caller.purposes:
            raise QuestionError(
                "the caller may not ask for this purpose", code="PURPOSE_NOT_ALLOWED"
            )
        key = self._sealing_keys.get(sealed.key_id)
        if key is None:
            raise QuestionError("no such sealing key", code="SEALING_KEY_UNKNOWN")
        binding = Binding(REGION_URN + sealed.region, caller.caller, purpose)
        try:
            batch = kind.FromString(opener(key, sealed.envelope, binding))
        except (SealingError, DecodeError):
            raise QuestionError("the envelope does not open", code="ENVELOPE_UNREADABLE") from None
        if len(batch.reply_key) != REPLY_KEY_BYTES or not batch.HasField("asked_at"):
            raise QuestionError("a field of the batch breaks its rule", code="INVALID_REQUEST")
        return batch, Opened(batch.reply_key, binding, key.profile)


def purpose_name(sealed: exchange_pb2.SealedQuestion) -> str:
    """Return the declared purpose as grants and bindings name it."""
    return exchange_pb2.Purpose.Name(sealed.purpose).removeprefix("PURPOSE_")


def check_asked_at(asked_at: Timestamp, now_seconds: float) -> None:
    """Refuse what was sealed too long ago or lies ahead.

    Raises:
        QuestionError: QUESTION_STALE.
    """
    if abs(now_seconds - (asked_at.seconds + asked_at.nanos / 1e9)) > WINDOW_SECONDS:
        raise QuestionError(f"asked more than {WINDOW_SECONDS} seconds away", code="QUESTION_STALE")


def read_document(message: exchange_pb2.Document) -> Document | None:
    """Return the document of a message; None where it breaks its rule.

    Held against the schema and the shape of its type, not against its check
    character: whether there is such a person is for the platform to say, and the
    edge has asked for a well-formed number before it sealed.
    """
    kind = _DOCUMENT_TYPES.get(message.type)
    if kind is None:
        return None
    is_resident = kind is DocumentType.RESIDENT_IDENTITY_CARD
    if not (_RESIDENT if is_resident else _NUMBER).fullmatch(message.number):
        return None
    return Document(kind, message.number)
