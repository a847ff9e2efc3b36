"""What becomes of a saved reply: read, traced member by member, translated, explained.

The reading is the connector's own (:mod:`adapters.sdk.interpreting`), the translation
the engine's. Nothing is asked of anybody. What is shown of the reply went through
:mod:`gateway.cli.scheme_mask`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.errors import UnreadableError
from adapters.sdk.interpreting import open_interpreter
from adapters.sdk.reports import OutcomeReport, Reports
from adapters.sdk.translation import translate
from gateway.cli.scheme_envelope import (
    Envelope,
    Step,
    answer_line,
    description,
    line_of_path,
    source_of,
    wire_place,
    wire_spec,
)
from gateway.cli.scheme_mask import hidden, shown, shown_key, shown_scope
from gateway.cli.scheme_trace import because_of, cannot_sign, trace_record
from gateway.cli.scheme_words import age, moment
from gateway.codes.divisions import DivisionError, division_name
from gateway.codes.levels import Outcome
from gateway.codes.scheme_model import SchemeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from adapters.sdk.http_spec import HttpSpec
    from adapters.sdk.reports import Fetched, LocalReport
    from gateway.cli.scheme_files import City
    from gateway.cli.scheme_trace import RecordTrace
    from gateway.codes.itinerary import Itinerary
    from gateway.codes.scheme_model import SchemeVersion
    from gateway.codes.unified import UnifiedCode

_MOMENTS: Final = (
    "assessed_at",
    "source_at",
    "valid_until",
    "declared_at",
    "declaration_valid_until",
    "negative_test_at",
)
_MEMBERS: Final = (
    "state",
    "issued_by",
    *_MOMENTS,
    "basis",
    "reason",
    "rule",
    "scope",
    "area",
    "release",
    "release_days_done",
    "declarations",
    "itinerary",
)


@dataclass(frozen=True, slots=True)
class Read:
    """One member of a local report and where it came from.

    Attributes:
        member: of the local report.
        source: path in the reply, or how else it came.
        value: what it became, masked; None: the reply does not state it.
        line: line of ``scheme.yaml`` that says so; 0: the connector is Python.
    """

    member: str
    source: str
    value: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Explained:
    """Everything there is to say about a saved reply.

    Attributes:
        city: name of the folder.
        at: the moment of asking.
        reader: what read it: the description, or the Python object.
        reader_line: line of ``scheme.yaml`` that names it.
        steps: what was found on the way to the records.
        version: the dated scheme in force; None: none is.
        version_line: its line.
        members: of each record, where each member came from.
        records: of each record, how it translates.
        unread: members of the reply that nobody reads, by name.
        result: level or outcome of the answer.
        because: why, the first reason first.
        code: the unified code, masked; None: there is no level.
    """

    city: str
    at: datetime
    reader: str
    reader_line: int
    steps: tuple[Step, ...]
    version: str | None
    version_line: int
    members: tuple[tuple[Read, ...], ...]
    records: tuple[RecordTrace, ...]
    unread: tuple[str, ...]
    result: str
    because: tuple[str, ...]
    code: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {**asdict(self), "at": self.at.isoformat()}


def explain_reply(
    city: City,
    body: bytes,
    now: datetime,
    *,
    asked: str | None,
    document_type: int | None,
    secrets: Mapping[str, str],
) -> Explained:
    """Read and translate a saved reply, saying why at every step.

    Args:
        city: whose platform answered.
        body: as it came.
        now: the moment of asking.
        asked: ``document`` or ``qr_text``; None: whichever the platform is asked with.
        document_type: of the document that was asked about; None: not named.
        secrets: those that the body is sealed with.

    Raises:
        SchemeError: the connector is not of the format.
        AdapterConfigError: the connector cannot be made, or reads no saved reply.
    """
    scheme = city.scheme
    target = (scheme.connector or {}).get("python")
    reader, line = "the description in YAML", city.line("connector", "http")
    if isinstance(target, str):
        reader, line = target, city.line("connector", "python")
    spec = wire_spec(city)
    envelope = Envelope(city, spec, body) if spec is not None else None
    steps: list[Step] = []
    asks = spec if target is None else None  # Python decides itself whom it asks what
    fetched: Fetched | None = _unasked(city, asks, asked, document_type, steps)
    if fetched is None:
        steps.extend(envelope.steps() if envelope else ())
        fetched = _interpret(city, body, now, secrets, steps)
    reports = fetched.reports if isinstance(fetched, Reports) else ()
    try:
        version: SchemeVersion | None = scheme.version_at(now)
    except SchemeError:
        version = None
    members = tuple(tuple(_members(city, version, report, now)) for report in reports)
    records: tuple[RecordTrace, ...] = ()
    got: UnifiedCode | OutcomeReport
    if isinstance(fetched, OutcomeReport):
        got, because = fetched, _why(steps, fetched.outcome)
    elif version is None:
        got = translate(scheme, reports, now)
        because = [f"no version of {scheme.family} is in force then"]
    else:
        got = translate(scheme, reports, now)
        records = tuple(trace_record(city, version, report, now) for report in reports)
        because = because_of(city, version, reports, records, got)
    refusal = None if isinstance(got, OutcomeReport) else cannot_sign(city, got)
    if refusal is not None:
        got, because = OutcomeReport(Outcome.CANNOT_DETERMINE), [refusal]
    return Explained(
        city=city.name,
        at=now,
        reader=reader,
        reader_line=line,
        steps=tuple(steps),
        version=version.id if version else None,
        version_line=city.version_line(version) if version else 0,
        members=members,
        records=records,
        unread=tuple(envelope.unread()) if envelope else (),
        result=str(got.outcome if isinstance(got, OutcomeReport) else got.level),
        because=tuple(because),
        code=None if isinstance(got, OutcomeReport) else _code(city, got, now),
    )


def _why(steps: list[Step], outcome: Outcome) -> list[str]:
    """The step that states the outcome: what the platform says, or what was not read."""
    stated = (step.text for step in steps if step.text.endswith(f" is {outcome}"))
    return [next(stated, steps[-1].text)]


def _unasked(
    city: City,
    spec: HttpSpec | None,
    asked: str | None,
    document_type: int | None,
    steps: list[Step],
) -> OutcomeReport | None:
    """The outcome where a platform is not even asked."""
    if spec is None:
        return None
    ask = next(iter(spec.ask.values())) if asked is None else spec.ask.get(asked)
    if ask is None:
        kind = str(asked).replace("_", " ")
        text = f"this platform is never asked with a {kind}: ask has no {asked}"
        steps.append(Step(text, city.line(*(wire_place(city) or ()), "ask")))
        return OutcomeReport(Outcome.NOT_FOUND)
    types = ask.document_types
    if document_type is not None and types is not None and document_type not in types:
        text = f"document type {document_type} is not among document_types: not asked"
        line = city.line(*(wire_place(city) or ()), "ask", "document", "document_types")
        steps.append(Step(text, line))
        return OutcomeReport(Outcome.NOT_FOUND)
    return None


def _interpret(
    city: City, body: bytes, now: datetime, secrets: Mapping[str, str], steps: list[Step]
) -> Fetched:
    interpreter = open_interpreter(city.scheme, now=lambda: now, secrets=secrets)
    try:
        fetched = interpreter.interpret(body)
    except UnreadableError as error:
        where = ".".join(map(shown_key, error.path))
        text = f"{where}: {error.why}" if where else f"the answer: {error.why}"
        steps.append(Step(f"not read: {text}", line_of_path(city, error.path)))
        return OutcomeReport(Outcome.SOURCE_UNPARSABLE)
    if isinstance(fetched, OutcomeReport):
        steps.append(Step(f"the connector reads the reply as {fetched.outcome}", 0))
    else:
        count = len(fetched.reports)
        whose = ", of one person whom it names" if fetched.subject is not None else ""
        steps.append(Step(f"{count} {'record' if count == 1 else 'records'} read{whose}", 0))
    return fetched


def _members(
    city: City, version: SchemeVersion | None, report: LocalReport, now: datetime
) -> Iterator[Read]:
    """Each member of a report: where it came from, masked."""
    described: Mapping[str, Any] = description(city).get("report") or {}
    for name in _MEMBERS:
        value = getattr(report, name)
        is_stated = not (value is None or value == frozenset())
        if not is_stated and name not in described:
            continue
        line = answer_line(city, "report", name) if name in described else 0
        yield Read(
            member=name,
            source=source_of(described.get(name)),
            value=_value(city, version, report, name, now) if is_stated else None,
            line=line,
        )


def _value(
    city: City, version: SchemeVersion | None, report: LocalReport, name: str, now: datetime
) -> str:
    value = getattr(report, name)
    if name in _MOMENTS:
        return f"{moment(value, city.scheme.timezone)}  ({age(value, now)})"
    scopes = version.scopes if version else None
    words: dict[str, Callable[[], str]] = {
        "issued_by": lambda: _division(value),
        "area": lambda: _division(value),
        "state": lambda: shown(value, _states(city)),
        "scope": lambda: shown_scope(value, report.issued_by, scopes or ()),
        "basis": lambda: " ".join(sorted(value)),
        "release": lambda: f"{value.days_done} of {value.days_needed} d",
        "release_days_done": lambda: f"{value} d",
        "declarations": lambda: "answers, hidden",
        "itinerary": lambda: _places(value, city),
    }
    return words.get(name, lambda: hidden(value))()


def _states(city: City) -> set[str]:
    """Every state that any version of the scheme writes down."""
    return {word for version in city.scheme.versions for word in version.states}


def _places(itinerary: Itinerary, city: City) -> str:
    starred = sum(1 for place in itinerary.places if place.starred)
    return (
        f"{len(itinerary.places)} places, {starred} starred, {itinerary.window_days} d up to "
        f"{moment(itinerary.as_of, city.scheme.timezone)}"
    )


def _division(code: str) -> str:
    try:
        return f"{code} {division_name(code)}"
    except DivisionError:
        return code


def _code(city: City, code: UnifiedCode, now: datetime) -> dict[str, Any]:
    """The unified code as the answer would carry it, masked."""
    zone = city.scheme.timezone
    known = _states(city)
    members: dict[str, Any] = {
        "level": str(code.level),
        "scheme": code.scheme,
        "state": shown(code.state, known),
        "issued_by": _division(code.issued_by),
        "basis": sorted(code.basis),
        "area": _division(code.area) if code.area else None,
        "rule": hidden(code.rule) if code.rule else None,
    }
    for name in _MOMENTS:
        at = getattr(code, name)
        members[name] = f"{moment(at, zone)}  ({age(at, now)})" if at is not None else None
    if code.release is not None:
        members["release"] = f"{code.release.days_done} of {code.release.days_needed} d"
    members["also"] = [
        {"level": str(one.level), "state": shown(one.state, known), "scheme": one.scheme}
        for one in code.also
    ]
    return {name: value for name, value in members.items() if value not in (None, [])}
