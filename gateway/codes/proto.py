"""Codes at the edge of a process: to and from the messages of ``hutong.v1``.

Reading is strict: an enum value that is unspecified or unknown to us is
refused, never guessed, and a value that breaks an invariant of
:class:`~gateway.codes.unified.UnifiedCode` does not become one. Unknown fields
are ignored, as protobuf readers do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import code_pb2, exchange_pb2

from gateway.codes.conversion import ImportRefusal, LocalCode
from gateway.codes.divisions import DivisionError, parse_division
from gateway.codes.documents import Document, DocumentError, parse_document
from gateway.codes.itinerary import Itinerary, ItineraryError, Place
from gateway.codes.levels import Basis, Level, Outcome, TriState
from gateway.codes.unified import (
    MAX_TEXT_CHARACTERS,
    SCHEME,
    Declarations,
    Release,
    UnifiedCode,
    UnifiedCodeError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVEL_TO_PROTO: Final[Mapping[Level, code_pb2.Level.ValueType]] = {
    level: code_pb2.Level.Value(f"LEVEL_{level.name}") for level in Level
}
OUTCOME_TO_PROTO: Final[Mapping[Outcome, code_pb2.Outcome.ValueType]] = {
    outcome: code_pb2.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome
}
BASIS_TO_PROTO: Final[Mapping[Basis, code_pb2.Basis.ValueType]] = {
    basis: code_pb2.Basis.Value(f"BASIS_{basis.name}") for basis in Basis
}
TRI_STATE_TO_PROTO: Final[Mapping[TriState, code_pb2.TriState.ValueType]] = {
    TriState.ABSENT: code_pb2.TRI_STATE_UNSPECIFIED,
    TriState.YES: code_pb2.TRI_STATE_YES,
    TriState.NO: code_pb2.TRI_STATE_NO,
    TriState.UNSURE: code_pb2.TRI_STATE_UNSURE,
}

REFUSAL_TO_PROTO: Final[Mapping[ImportRefusal, exchange_pb2.ImportRefusal.ValueType]] = {
    refusal: exchange_pb2.ImportRefusal.Value(f"IMPORT_REFUSAL_{refusal.name}")
    for refusal in ImportRefusal
}

_LEVELS = {int(value): level for level, value in LEVEL_TO_PROTO.items()}
_OUTCOMES = {int(value): outcome for outcome, value in OUTCOME_TO_PROTO.items()}
_BASES = {int(value): basis for basis, value in BASIS_TO_PROTO.items()}
_REFUSALS = {int(value): refusal for refusal, value in REFUSAL_TO_PROTO.items()}
_TRI_STATES = {int(value): answer for answer, value in TRI_STATE_TO_PROTO.items()}

_MAX_QR_CHARACTERS: Final = 2048  # LocalCode.qr_text
_LAST_SECOND: Final = 253402300799  # 9999-12-31T23:59:59Z, the end of Timestamp's range


def level_to_proto(level: Level) -> code_pb2.Level.ValueType:
    """The wire value of a level."""
    return LEVEL_TO_PROTO[level]


def level_from_proto(value: int) -> Level:
    """The level of a wire value.

    Raises:
        UnifiedCodeError: unspecified or unknown.
    """
    try:
        return _LEVELS[value]
    except KeyError:
        raise UnifiedCodeError("level: unspecified or unknown") from None


def outcome_to_proto(outcome: Outcome) -> code_pb2.Outcome.ValueType:
    """The wire value of an outcome."""
    return OUTCOME_TO_PROTO[outcome]


def outcome_from_proto(value: int) -> Outcome:
    """The outcome of a wire value.

    Raises:
        UnifiedCodeError: unspecified or unknown.
    """
    try:
        return _OUTCOMES[value]
    except KeyError:
        raise UnifiedCodeError("outcome: unspecified or unknown") from None


def basis_to_proto(basis: Basis) -> code_pb2.Basis.ValueType:
    """The wire value of a basis."""
    return BASIS_TO_PROTO[basis]


def basis_from_proto(value: int) -> Basis:
    """The basis of a wire value.

    Raises:
        UnifiedCodeError: unspecified or unknown.
    """
    try:
        return _BASES[value]
    except KeyError:
        raise UnifiedCodeError("basis: unspecified or unknown") from None


def document_to_proto(document: Document) -> exchange_pb2.Document:
    """The message of a document."""
    return exchange_pb2.Document(
        type=code_pb2.DocumentType.ValueType(int(document.type)), number=document.number
    )


def document_from_proto(message: exchange_pb2.Document) -> Document:
    """The document of a message.

    Raises:
        DocumentError: the type is unspecified or unknown, or the number is not
            one of that type, or not in the spelling the schema asks for.
    """
    document = parse_document(message.type, message.number)
    if document.number != message.number:
        raise DocumentError("number", "upper case is required")
    return document


def refusal_to_proto(refusal: ImportRefusal) -> exchange_pb2.ImportRefusal.ValueType:
    """The wire value of a refused conversion."""
    return REFUSAL_TO_PROTO[refusal]


def refusal_from_proto(value: int) -> ImportRefusal:
    """The refused conversion of a wire value.

    Raises:
        UnifiedCodeError: unspecified or unknown.
    """
    try:
        return _REFUSALS[value]
    except KeyError:
        raise UnifiedCodeError("refusal: unspecified or unknown") from None


def local_code_to_proto(code: LocalCode) -> exchange_pb2.LocalCode:
    """The message of a converted code."""
    message = exchange_pb2.LocalCode(
        scheme=code.scheme,
        state=code.state,
        qr_text=code.qr_text,
        valid_until=_to_timestamp(code.valid_until),
        origin=code.origin,
    )
    if code.negative_test_at is not None:
        message.negative_test_at.CopyFrom(_to_timestamp(code.negative_test_at))
    return message


def local_code_from_proto(message: exchange_pb2.LocalCode) -> LocalCode:
    """The converted code of a message.

    Raises:
        UnifiedCodeError: a field is absent or breaks its rule in the schema.
    """
    if not (
        SCHEME.fullmatch(message.scheme)
        and 1 <= len(message.state) <= MAX_TEXT_CHARACTERS
        and 1 <= len(message.qr_text) <= _MAX_QR_CHARACTERS
    ):
        raise UnifiedCodeError("local code: a text breaks its rule")
    try:
        origin = parse_division(message.origin)
    except DivisionError:
        raise UnifiedCodeError("origin: no division") from None
    if origin != message.origin:
        raise UnifiedCodeError("origin: six digits")
    return LocalCode(
        scheme=message.scheme,
        state=message.state,
        qr_text=message.qr_text,
        valid_until=_required(message, "valid_until"),
        origin=origin,
        negative_test_at=_optional(message, "negative_test_at"),
    )


def unified_to_proto(code: UnifiedCode) -> code_pb2.UnifiedCode:
    """The message of a unified code; bases in the order of their numbers."""
    message = code_pb2.UnifiedCode(
        level=LEVEL_TO_PROTO[code.level],
        scheme=code.scheme,
        state=code.state,
        basis=sorted(BASIS_TO_PROTO[basis] for basis in code.basis),
        assessed_at=_to_timestamp(code.assessed_at),
        source_at=_to_timestamp(code.source_at),
        area=code.area or "",
        issued_by=code.issued_by,
        rule=code.rule or "",
        also=[unified_to_proto(other) for other in code.also],
    )
    if code.valid_until is not None:
        message.valid_until.CopyFrom(_to_timestamp(code.valid_until))
    if code.declared_at is not None:
        message.declared_at.CopyFrom(_to_timestamp(code.declared_at))
    if code.declaration_valid_until is not None:
        message.declaration_valid_until.CopyFrom(_to_timestamp(code.declaration_valid_until))
    if code.negative_test_at is not None:
        message.negative_test_at.CopyFrom(_to_timestamp(code.negative_test_at))
    if code.release is not None:
        message.release.days_done = code.release.days_done
        message.release.days_needed = code.release.days_needed
    if code.declarations is not None:
        message.declarations.CopyFrom(declarations_to_proto(code.declarations))
    return message


def declarations_from_proto(message: code_pb2.Declarations) -> Declarations:
    """The self-declared answers of a message; unspecified is ABSENT.

    Raises:
        UnifiedCodeError: an unknown answer.
    """
    return Declarations(
        contact=_tri_state(message.contact),
        risk_area=_tri_state(message.risk_area),
        overseas=_tri_state(message.overseas),
    )


def declarations_to_proto(declarations: Declarations) -> code_pb2.Declarations:
    """The message of self-declared answers."""
    return code_pb2.Declarations(
        contact=TRI_STATE_TO_PROTO[declarations.contact],
        risk_area=TRI_STATE_TO_PROTO[declarations.risk_area],
        overseas=TRI_STATE_TO_PROTO[declarations.overseas],
    )


def itinerary_to_proto(itinerary: Itinerary) -> code_pb2.Itinerary:
    """The message of an itinerary, places in its order."""
    return code_pb2.Itinerary(
        window_days=itinerary.window_days,
        as_of=_to_timestamp(itinerary.as_of),
        places=[
            code_pb2.Place(division=place.division, starred=place.starred)
            for place in itinerary.places
        ],
    )


def itinerary_from_proto(message: code_pb2.Itinerary) -> Itinerary:
    """The itinerary of a message.

    Raises:
        ItineraryError: ``as_of`` is absent or no whole second, or an invariant does
            not hold.
    """
    as_of = message.as_of
    if not message.HasField("as_of") or as_of.nanos or not 0 <= as_of.seconds <= _LAST_SECOND:
        raise ItineraryError("as_of: a whole second from 1970 to 9999")
    return Itinerary(
        message.window_days,
        datetime.fromtimestamp(as_of.seconds, UTC),
        tuple(Place(place.division, place.starred) for place in message.places),
    )


def unified_from_proto(message: code_pb2.UnifiedCode) -> UnifiedCode:
    """The unified code of a message.

    Raises:
        UnifiedCodeError: an enum value is unspecified or unknown, a required
            field is absent, or an invariant does not hold.
    """
    if len(set(message.basis)) != len(message.basis):
        raise UnifiedCodeError("basis: a value stands twice")
    declarations = None
    if message.HasField("declarations"):
        declarations = declarations_from_proto(message.declarations)
    release = None
    if message.HasField("release"):
        release = Release(message.release.days_done, message.release.days_needed)
    return UnifiedCode(
        level=level_from_proto(message.level),
        scheme=message.scheme,
        state=message.state,
        assessed_at=_required(message, "assessed_at"),
        source_at=_required(message, "source_at"),
        issued_by=message.issued_by,
        basis=frozenset(basis_from_proto(value) for value in message.basis),
        valid_until=_optional(message, "valid_until"),
        declared_at=_optional(message, "declared_at"),
        declaration_valid_until=_optional(message, "declaration_valid_until"),
        release=release,
        area=message.area or None,
        declarations=declarations,
        rule=message.rule or None,
        negative_test_at=_optional(message, "negative_test_at"),
        also=tuple(unified_from_proto(other) for other in _flat(message)),
    )


def _flat(message: code_pb2.UnifiedCode) -> list[code_pb2.UnifiedCode]:
    """The other reports, once none has others of its own; so no recursion goes deep."""
    if any(other.also for other in message.also):
        raise UnifiedCodeError("a report in `also` has an `also` of its own")
    return list(message.also)


def _tri_state(value: int) -> TriState:
    try:
        return _TRI_STATES[value]
    except KeyError:
        raise UnifiedCodeError("declarations: unknown answer") from None


def _to_timestamp(moment: datetime) -> Timestamp:
    return Timestamp(seconds=int(moment.timestamp()))


def _optional(message: code_pb2.UnifiedCode | exchange_pb2.LocalCode, name: str) -> datetime | None:
    if not message.HasField(name):  # type: ignore[arg-type]  # the name comes from the schema
        return None
    return _required(message, name)


def _required(message: code_pb2.UnifiedCode | exchange_pb2.LocalCode, name: str) -> datetime:
    if not message.HasField(name):  # type: ignore[arg-type]  # the name comes from the schema
        raise UnifiedCodeError(f"{name}: required")
    timestamp: Timestamp = getattr(message, name)
    if timestamp.nanos or not 0 <= timestamp.seconds <= _LAST_SECOND:
        raise UnifiedCodeError(f"{name}: whole seconds from 1970 to 9999")
    return datetime.fromtimestamp(timestamp.seconds, UTC)
