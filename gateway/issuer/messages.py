"""Between the messages of ``hutong.v1`` and the values of the issuer.

Reading gathers what is wrong with every field under its path in the message, in a
:class:`~gateway.issuer.checks.Faults`; whoever reads ends with ``faults.refuse()``
before anything is changed. Rules that need the clock or the rule in force stand in
:mod:`gateway.issuer.checks` and in :func:`check_contradictions`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import (
    code_pb2,
    issuer_desk_service_pb2,
    issuer_pb2,
    issuer_service_pb2,
)

from gateway.codes import (
    Document,
    DocumentError,
    DocumentType,
    basis_to_proto,
    declarations_from_proto,
    document_from_proto,
    level_to_proto,
)
from gateway.issuer.masking import mask_name
from gateway.issuer.values import (
    Area,
    AreaRisk,
    ContactKind,
    ContactOutcome,
    ContactReport,
    CorrectionStatus,
    CorrectionSubject,
    HealthDeclaration,
    Identity,
    Sex,
    Stay,
    Symptom,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hutong.v1 import exchange_pb2

    from gateway.issuer.checks import Faults
    from gateway.issuer.corrections import Correction, CorrectionCase
    from gateway.issuer.errors import RequestError
    from gateway.issuer.trace import TraceEntry
    from gateway.issuer.values import Code

_NOBODY: Final = Document(DocumentType.OTHER, "0000")
"""Stands where a document was refused, so that the other fields can still be checked."""

_PROVINCE_ENDS: Final = "0000"
_WITHOUT_CITIES: Final = frozenset({"710000", "810000", "820000"})
"""Taiwan, Hong Kong and Macao: nothing stands below them in the table."""


def read_document(message: exchange_pb2.Document, field: str, faults: Faults) -> Document:
    """Read a document.

    Args:
        message: of the request.
        field: path of the message.
        faults: takes note of what is wrong.
    """
    try:
        return document_from_proto(message)
    except DocumentError as error:
        described = str(error).partition(": ")[2]
        faults.note(f"{field}.{error.field}", described or "a document of its type")
        return _NOBODY


def read_declaration(
    request: issuer_service_pb2.DeclareHealthRequest, faults: Faults
) -> HealthDeclaration:
    """Read a health declaration."""
    told = request.identity
    proxy = None
    if request.HasField("proxy"):
        proxy = read_document(request.proxy.document, "proxy.document", faults)
    identity = Identity(
        document=read_document(told.document, "identity.document", faults),
        name=told.name,
        division=told.division,
        sex=Sex(told.sex),
        nationality=told.nationality,
        phone=told.phone,
    )
    faults.need(
        told.name == told.name.strip() and told.name.isprintable(),
        "identity.name",
        "as in the document, without spaces around it",
    )
    _need_place(told.division, "identity.division", faults)
    return HealthDeclaration(
        identity=identity,
        temperature_decicelsius=request.temperature_decicelsius,
        symptoms=frozenset(_symptom(number) for number in request.symptoms),
        answers=declarations_from_proto(request.answers),
        proxy=proxy,
    )


def check_contradictions(
    declaration: HealthDeclaration, normal_below_decicelsius: int, faults: Faults
) -> None:
    """Note what cannot be true together."""
    is_fever = declaration.temperature_decicelsius >= normal_below_decicelsius
    faults.need(
        not (is_fever and declaration.symptoms == {Symptom.NONE}),
        "symptoms",
        "SYMPTOM_NONE contradicts a temperature that is a fever",
    )


def also(check: Callable[[], None], faults: Faults, refused: type[RequestError]) -> None:
    """Run a check that refuses by itself, and end with everything noted by both.

    Raises:
        RequestError: anything was noted.
    """
    try:
        check()
    except refused as error:
        for fault in error.fields:
            faults.note(fault.field, fault.description)
    faults.refuse()


def read_stays(
    request: issuer_service_pb2.DeclareItineraryRequest, faults: Faults
) -> tuple[Stay, ...]:
    """Read the stays of an itinerary."""
    stays: list[Stay] = []
    for place, stay in enumerate(request.stays):
        field = f"stays[{place}]"
        _need_place(stay.division, f"{field}.division", faults)
        left_at = None
        if stay.HasField("left_at"):
            left_at = read_moment(stay.left_at, f"{field}.left_at", faults)
        stays.append(
            Stay(
                division=stay.division,
                entered_at=read_moment(stay.entered_at, f"{field}.entered_at", faults),
                left_at=left_at,
            )
        )
    return tuple(stays)


def read_contact(message: issuer_desk_service_pb2.Contact, faults: Faults) -> ContactReport:
    """Read one reported contact."""
    kind = issuer_desk_service_pb2.ContactKind.Name(message.kind)
    return ContactReport(
        document=read_document(message.document, "document", faults),
        kind=ContactKind(kind.removeprefix("CONTACT_KIND_")),
        at=read_moment(message.at, "at", faults),
        division=message.division,
        reference=message.reference,
    )


def read_area(message: issuer_desk_service_pb2.Area) -> Area:
    """Read one area of a list."""
    risk = issuer_desk_service_pb2.AreaRisk.Name(message.risk)
    return Area(message.division, AreaRisk(risk.removeprefix("AREA_RISK_")))


def read_subject(number: int) -> CorrectionSubject:
    """Read what a correction is about; the schema has refused UNSPECIFIED."""
    name = issuer_service_pb2.CorrectionSubject.Name(
        issuer_service_pb2.CorrectionSubject.ValueType(number)
    )
    return CorrectionSubject(name.removeprefix("CORRECTION_SUBJECT_"))


def read_status(number: int) -> CorrectionStatus | None:
    """Read how a correction stands; None: not stated."""
    name = issuer_service_pb2.CorrectionStatus.Name(
        issuer_service_pb2.CorrectionStatus.ValueType(number)
    )
    word = name.removeprefix("CORRECTION_STATUS_")
    return None if word == "UNSPECIFIED" else CorrectionStatus(word)


def read_moment(message: Timestamp, field: str, faults: Faults) -> datetime:
    """Read a moment; one that the calendar does not know is noted."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        faults.note(field, "a moment of the years 1 to 9999")
        return datetime(1970, 1, 1, tzinfo=UTC)


def moment(value: datetime) -> Timestamp:
    """A moment on the wire."""
    message = Timestamp()
    message.FromDatetime(value)
    return message


def state_message(code: Code) -> issuer_pb2.HealthState:
    """The health state of a code."""
    state = issuer_pb2.HealthState(
        level=level_to_proto(code.level),
        assessed_at=moment(code.assessed_at),
        since=moment(code.since),
        rule=code.rule,
        reason_zh=code.reason_zh,
        reason_en=code.reason_en,
        basis=sorted(basis_to_proto(each) for each in code.basis),
        area=code.area or "",
        declared_at=moment(code.declared_at),
        declaration_valid_until=moment(code.declaration_valid_until),
    )
    if code.release is not None:
        state.release.CopyFrom(
            code_pb2.Release(days_done=code.release.days_done, days_needed=code.release.days_needed)
        )
    return state


def shown_state(code: Code | None, now: datetime) -> issuer_pb2.HealthState | None:
    """The state of a code whose declaration holds; else none, for there is no level then."""
    if code is None or not code.declaration_holds(now):
        return None
    return state_message(code)


def correction_message(correction: Correction) -> issuer_service_pb2.Correction:
    """A correction."""
    message = issuer_service_pb2.Correction(
        id=correction.id,
        subject=issuer_service_pb2.CorrectionSubject.Value(
            f"CORRECTION_SUBJECT_{correction.subject}"
        ),
        status=issuer_service_pb2.CorrectionStatus.Value(f"CORRECTION_STATUS_{correction.status}"),
        opened_at=moment(correction.opened_at),
        answer=correction.answer,
    )
    if correction.answered_at is not None:
        message.answered_at.CopyFrom(moment(correction.answered_at))
    return message


def case_message(case: CorrectionCase, now: datetime) -> issuer_desk_service_pb2.CorrectionCase:
    """A correction as a reviewer sees it."""
    return issuer_desk_service_pb2.CorrectionCase(
        correction=correction_message(case.correction),
        statement=case.statement,
        masked_name=mask_name(case.identity.name),
        state=shown_state(case.code, now),
    )


def contact_outcome(outcome: ContactOutcome) -> issuer_desk_service_pb2.ContactOutcome.ValueType:
    """What became of one contact."""
    return issuer_desk_service_pb2.ContactOutcome.Value(f"CONTACT_OUTCOME_{outcome}")


def entry_message(entry: TraceEntry) -> issuer_desk_service_pb2.TraceEntry:
    """One entry of a trace."""
    message = issuer_desk_service_pb2.TraceEntry(
        id=entry.id, at=moment(entry.at), kind=entry.kind, by=entry.by, text=entry.text
    )
    if entry.withdrawn_at is not None:
        message.withdrawn_at.CopyFrom(moment(entry.withdrawn_at))
    return message


def _symptom(number: int) -> Symptom:
    name = issuer_pb2.Symptom.Name(issuer_pb2.Symptom.ValueType(number))
    return Symptom(name.removeprefix("SYMPTOM_"))


def _need_place(division: str, field: str, faults: Faults) -> None:
    # A province counts as its most severe county; nobody lives in all of one.
    is_place = not division.endswith(_PROVINCE_ENDS) or division in _WITHOUT_CITIES
    faults.need(is_place, field, "a city or a county, not a province")
