"""Reads what a platform that speaks HTTP and JSON answered; pure.

Strict: what is not understood is an :class:`UnreadableError`, what the description
names as an outcome is that outcome, and everything else becomes local reports with
the platform's own words in them. No value of a person is kept or named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_spec import REPORT_TIMES
from adapters.sdk.http_times import moment_of as moment_of
from adapters.sdk.json_envelopes import MISSING as MISSING
from adapters.sdk.json_envelopes import member_at as member_at
from adapters.sdk.json_envelopes import open_envelopes as open_envelopes
from adapters.sdk.json_envelopes import parse_json as parse_json
from adapters.sdk.json_envelopes import text_of as text_of
from adapters.sdk.reports import LocalReport, OutcomeReport, Reports
from gateway.codes.divisions import DivisionError, parse_division
from gateway.codes.documents import Document, DocumentType
from gateway.codes.itinerary import MAX_PLACES, MAX_WINDOW_DAYS, Itinerary, Place
from gateway.codes.levels import Outcome
from gateway.codes.unified import MAX_ALSO

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from adapters.sdk.http_spec import HttpSpec, ItineraryMember, Member, StarMember, SubjectMember
    from adapters.sdk.reports import Fetched

_MAX_STATE: Final = 64
_TIMES: Final = frozenset(REPORT_TIMES)
# Shapes of document numbers; the second is the schema's (``hutong.v1.Document``).
_RESIDENT: Final = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9A-Z]{4,32}", re.ASCII)


def read_answer(spec: HttpSpec, body: bytes, zone: ZoneInfo) -> Fetched:
    """Turn the bytes of an answer into reports or an outcome.

    Raises:
        UnreadableError: the answer is not what the description says.
    """
    return read_document(spec, parse_json(body), zone)[0]


def read_document(spec: HttpSpec, answer: Any, zone: ZoneInfo) -> tuple[Fetched, Any]:
    """Turn a parsed answer into reports or an outcome.

    Args:
        spec: the description.
        answer: JSON values, in which no JSON inside JSON is unfolded yet.
        zone: of moments without one.

    Returns:
        What it says, and the document as far as it was unfolded.

    Raises:
        UnreadableError: the answer is not what the description says.
    """
    stated: list[OutcomeReport] = []
    unfolded = open_envelopes(
        answer,
        spec.json_strings,
        [check.path for check in spec.codes],
        lambda level, document: _add(stated, _stated_by_code(spec, level, document)),
    )
    outcome = stated[0] if stated else _stated_by_flag(spec, unfolded)
    if outcome is not None:
        return outcome, unfolded
    return read_records(spec, _records(unfolded, spec.records), zone), unfolded


def read_records(spec: HttpSpec, records: list[Any], zone: ZoneInfo) -> Fetched:
    """Turn records into reports of one person, or the outcome that there is none.

    Raises:
        UnreadableError: one is not what the description says.
    """
    if not records:
        return OutcomeReport(Outcome.NOT_FOUND)
    if len(records) > MAX_ALSO + 1:
        raise UnreadableError("too many records", spec.records)
    if spec.same_person is not None:
        # Document numbers are echoed with a lower-case x by some platforms.
        people = {
            text_of(member_at(record, spec.same_person), spec.same_person).upper()
            for record in records
        }
        if len(people) > 1:
            return OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)
    subject = None
    if spec.subject is not None:
        subjects = {_subject(record, spec.subject) for record in records}
        if len(subjects) > 1:
            return OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)
        subject = subjects.pop()
    return Reports(tuple(_report(spec, record, zone) for record in records), subject)


def _add(found: list[OutcomeReport], outcome: OutcomeReport | None) -> bool:
    if outcome is not None:
        found.append(outcome)
    return outcome is not None


def _stated_by_code(spec: HttpSpec, level: int, answer: Any) -> OutcomeReport | None:
    """Return the outcome that a return code states."""
    check = spec.codes[level]
    code = text_of(member_at(answer, check.path), check.path)
    if code in check.ok:
        return None
    outcome = check.outcomes.get(code)
    if outcome is None:
        raise UnreadableError("a result code that the scheme does not list", check.path)
    busy = outcome is Outcome.SOURCE_BUSY
    return OutcomeReport(outcome, check.retry_after_seconds if busy else None)


def _stated_by_flag(spec: HttpSpec, answer: Any) -> OutcomeReport | None:
    for flag in spec.flags:
        value = member_at(answer, flag.path)
        if type(value) is type(flag.value) and value == flag.value:
            return OutcomeReport(flag.outcome)
    return None


def _records(answer: Any, path: tuple[str, ...]) -> list[Any]:
    """Return the records at a path, one as a list of one; empty where none is stated.

    A member on the way that is absent, null or empty states none. Anything else that
    is not of the form (a text that should have been a document) is unreadable, not
    "no record".
    """
    value = answer
    for place, part in enumerate(path):
        if isinstance(value, list) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        elif _is_empty(value):
            return []
        else:
            raise UnreadableError("neither a document nor absent", path[:place])
    if path and _is_empty(value):
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise UnreadableError("no list of records", path)
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, dict | list) and not value)


def _report(spec: HttpSpec, record: Any, zone: ZoneInfo) -> LocalReport:
    members: dict[str, Any] = {}
    _refuse_number(record, spec.report["state"])
    for name, member in spec.report.items():
        value = _member(record, member)
        if value is None:
            continue
        if name in _TIMES:
            members[name] = moment_of(value, member, zone)
        elif name in ("issued_by", "area"):
            members[name] = _division(value, member)
        elif name == "release_days_done":
            members[name] = _days(value, member)
        else:
            members[name] = value
    state = members.get("state")
    if not state or len(state) > _MAX_STATE:
        raise UnreadableError("no state, or one too long", spec.report["state"].path)
    if "issued_by" not in members:
        raise UnreadableError("no division that issued it", spec.report["issued_by"].path)
    if spec.itinerary is not None:
        members["itinerary"] = _itinerary(record, spec.itinerary, zone)
    return LocalReport(**members)


def _member(record: Any, member: Member) -> str | None:
    """Return the text of a member; None where the platform states none."""
    if member.join:
        text = _joined(record, member)
    elif member.path is None:
        text = member.value
    else:
        value = member_at(record, member.path)
        is_stated = value is not MISSING and value is not None and value != ""
        text = text_of(value, member.path) if is_stated else None
    if text is None:
        return None
    if member.map is not None:
        if text not in member.map:
            raise UnreadableError("a word that the map of the scheme does not name", member.path)
        text = member.map[text]
    return text if member.pad is None else _padded(text, member.pad, member.path)


def _refuse_number(record: Any, state: Member) -> None:
    """Refuse a state that is a bare number: 1 is green here, and red with another vendor.

    Where the platform's words are digits, they are text; a map names numbers one by one.
    """
    for part in state.join or (state,):
        value = None if part.path is None else member_at(record, part.path)
        if isinstance(value, int | float) and part.map is None:
            raise UnreadableError("a number where a state is text", part.path)


def _joined(record: Any, member: Member) -> str | None:
    """Return the parts of a member as one text; None where the first is not stated."""
    parts = [_member(record, part) for part in member.join]
    if parts[0] is None:
        return None
    return member.separator.join(part for part in parts if part is not None)


def _padded(text: str, digits: int, path: tuple[str, ...] | None) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= digits):
        raise UnreadableError(f"no number of up to {digits} digits", path)
    return text.ljust(digits, "0")


def _subject(record: Any, member: SubjectMember) -> Document:
    """Return whose a record is.

    Held against the shape of the type, not against its check character: whether there
    is such a person is for the platform to say.
    """
    number = text_of(member_at(record, member.path), member.path).upper()
    is_resident = member.document_type is DocumentType.RESIDENT_IDENTITY_CARD
    if not (_RESIDENT if is_resident else _NUMBER).fullmatch(number):
        raise UnreadableError("no number of such a document", member.path)
    return Document(member.document_type, number)


def _itinerary(record: Any, member: ItineraryMember, zone: ZoneInfo) -> Itinerary | None:
    """Return the places of a record; None where it tells none at all.

    A place that stands twice is one place, starred where one of them is.
    """
    if _is_untold(member_at(record, member.records)):
        return None
    places: dict[str, bool] = {}
    for item in _records(record, member.records):
        division = _member(item, member.division)
        if division is None:
            raise UnreadableError("a place without a division", member.division.path)
        code = _division(division, member.division)
        places[code] = places.get(code, False) or _starred(item, member.starred)
    days, as_of = _member(record, member.window_days), _member(record, member.as_of)
    if days is None or not 1 <= _days(days, member.window_days) <= MAX_WINDOW_DAYS:
        raise UnreadableError("no number of days that the window has", member.window_days.path)
    if as_of is None:
        raise UnreadableError("no moment up to which places are told", member.as_of.path)
    if len(places) > MAX_PLACES:
        raise UnreadableError("too many places", member.records)
    return Itinerary(
        int(days),
        moment_of(as_of, member.as_of, zone),
        tuple(Place(code, starred) for code, starred in places.items()),
    )


def _is_untold(value: Any) -> bool:
    return value is MISSING or value is None


def _starred(item: Any, member: StarMember | None) -> bool:
    """Return whether a place is starred; a word that is neither is unreadable."""
    if member is None:
        return False
    value = member_at(item, member.path)
    word = value if isinstance(value, bool) else text_of(value, member.path)
    if type(word) is type(member.yes) and word == member.yes:
        return True
    if member.no is not None and (type(word) is not type(member.no) or word != member.no):
        raise UnreadableError("neither starred nor not", member.path)
    return False


def _division(text: str, member: Member) -> str:
    try:
        return parse_division(text)
    except DivisionError:
        raise UnreadableError("no division of GB/T 2260", member.path) from None


def _days(text: str, member: Member) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 3):  # noqa: PLR2004 - days of at most three digits
        raise UnreadableError("no number of days", member.path)
    return int(text)
