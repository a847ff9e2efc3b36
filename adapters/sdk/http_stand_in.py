"""A record of nobody, of the form in which a platform answers about a person; pure.

Reading an answer that holds a record costs more than reading one that holds none, and
whoever measures time would learn whether there is one. So where there is none, this is
read beside it (:mod:`adapters.sdk.nobody`). It is made from the description alone, holds
no person's value, and what is read from it goes nowhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import read_records
from adapters.sdk.http_spec import REPORT_TIMES
from adapters.sdk.reports import Reports
from gateway.codes.documents import DocumentType

if TYPE_CHECKING:
    from adapters.sdk.http_spec import HttpSpec, Member
    from adapters.sdk.reports import Fetched

_MOMENT: Final = datetime(2020, 3, 1, tzinfo=UTC)
_DIVISION: Final = "330100"  # any that exists
_WORD: Final = "synthetic"
_ZONE: Final = ZoneInfo("UTC")  # it only has to be read


def stand_in_record(spec: HttpSpec) -> dict[str, Any] | None:
    """Make what reads as one record of a person; None: the form allows none.

    It is parsed already: the answer that held no record was parsed too.

    Args:
        spec: the description.
    """
    record = _record(spec)
    try:
        is_record = isinstance(read_stand_in(spec, record, _ZONE), Reports)
    except UnreadableError:
        is_record = False
    return record if is_record else None


def read_stand_in(spec: HttpSpec, record: dict[str, Any], zone: ZoneInfo) -> Fetched:
    """Do with a record what is done with a person's; what is around it was read already.

    Raises:
        UnreadableError: the form allows none.
    """
    return read_records(spec, [record], zone)


def _record(spec: HttpSpec) -> dict[str, Any]:
    record: dict[str, Any] = {}
    members = [each for named in spec.report.items() for each in _parts(*named)]
    for name, member in members:
        if member.path is not None and member.map is None:
            _put(record, member.path, _text(name, member))
    for _, member in members:
        if member.path is not None and member.map is not None:
            # One word may be read for several members, each by a map of its own.
            maps = [one.map for _, one in members if one.path == member.path and one.map]
            words = [word for word in member.map if all(word in one for one in maps)]
            _put(record, member.path, words[0] if words else _WORD)
    if spec.same_person is not None:
        _put(record, spec.same_person, _WORD)
    if spec.subject is not None:
        is_resident = spec.subject.document_type is DocumentType.RESIDENT_IDENTITY_CARD
        _put(record, spec.subject.path, "0" * (18 if is_resident else 9))
    return record


def _parts(name: str, member: Member) -> list[tuple[str, Member]]:
    """A member and the parts that it is joined of, each with the name of the whole."""
    return [(name, member), *((name, part) for part in member.join)]


def _text(name: str, member: Member) -> str:
    if name in REPORT_TIMES:
        return _moment(member)
    if name in ("issued_by", "area"):
        return _DIVISION
    return "1" if name == "release_days_done" else _WORD


def _moment(member: Member) -> str:
    form = member.time or ""
    if form in ("unix_s", "unix_ms"):
        return str(int(_MOMENT.timestamp()) * (1 if form == "unix_s" else 1000))
    return _MOMENT.isoformat() if form == "iso" else _MOMENT.strftime(form)


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value at a path; a list position is a name here, and is read alike."""
    *way, last = path
    for part in way:
        document = document.setdefault(part, {})
    document[last] = value
