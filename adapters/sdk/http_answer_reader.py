"""Reads the ``answer`` of an ``http`` connector: how a reply is understood.

The format stands in :mod:`adapters.sdk.connectors`. Every problem is noted at its
line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.http_spec import (
    REPORT_TEXTS,
    REPORT_TIMES,
    CodeCheck,
    Flag,
    ImportCode,
    ItineraryMember,
    Member,
    StarMember,
    SubjectMember,
)
from gateway.codes.documents import DocumentType
from gateway.codes.itinerary import MAX_WINDOW_DAYS
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.codes.document_reader import Cursor

_PATH: Final = r"[^.\s]+(?:\.[^.\s]+)*"
_NEEDED: Final = ("state", "issued_by", "assessed_at", "source_at")
_MAX_ENVELOPES: Final = 8


def read_answer_form(cursor: Cursor) -> dict[str, Any]:
    """Read how an answer is understood: the members of ``HttpSpec`` for it."""
    statuses = cursor.member("statuses")
    codes: list[CodeCheck] = []
    for code in _one_or_several(cursor, "code"):
        path, ok = _path(code, "path"), code.texts("ok", low=1)
        inner = code.member("outcomes")
        outcomes = _outcomes(inner) if inner else {}
        retry = code.integer("retry_after_seconds", 1, 3600)
        code.done()
        if path is not None:
            codes.append(CodeCheck(path, ok, outcomes, retry))
    flags: list[Flag] = []
    for flag in cursor.items("flags", high=16):
        path, outcome = _path(flag, "path"), flag.choice("outcome", Outcome)
        value = flag.raw("is")
        flag.done()
        if path is not None and outcome is not None:
            flags.append(Flag(path, value, outcome))
    report, itinerary = _report(cursor)
    form = {
        "statuses": {
            int(name): outcome
            for name, outcome in (_outcomes(statuses) if statuses else {}).items()
            if name.isdecimal()
        },
        "json_strings": _json_strings(cursor),
        "codes": tuple(codes),
        "flags": tuple(flags),
        "records": _path(cursor, "records", required=False) or (),
        "same_person": _path(cursor, "same_person", required=False),
        "subject": _subject(cursor),
        "report": report,
        "itinerary": itinerary,
    }
    cursor.done()
    return form


def read_import_answer(cursor: Cursor | None) -> dict[str, Any]:
    """Read how the import door's answer is understood: members of ``ImportAsk``."""
    if cursor is None:
        return {
            "json_strings": (),
            "codes": (),
            "own_record_statuses": (),
            "qr_text": (),
            "valid_until": None,
        }
    codes: list[ImportCode] = []
    for code in _one_or_several(cursor, "code"):
        path = _path(code, "path")
        found = ImportCode(path or (), code.texts("ok", low=1), code.texts("own_record"))
        code.done()
        codes.append(found)
    form = {
        "json_strings": _json_strings(cursor),
        "codes": tuple(codes),
        "own_record_statuses": tuple(
            int(text)
            for text in cursor.texts(
                "own_record_statuses", pattern=r"[1-5][0-9]{2}", what="a quoted HTTP status"
            )
        ),
        "qr_text": _path(cursor, "qr_text") or (),
        "valid_until": read_member(cursor, "valid_until", is_time=True),
    }
    cursor.done()
    return form


def read_member(
    cursor: Cursor, name: str, *, is_time: bool = False, required: bool = False
) -> Member | None:
    """Read where one member of a report is found; None where it is not named."""
    inner = cursor.member(name, required=required)
    if inner is None:
        return None
    if is_time:
        member = Member(
            _path(inner, "path"),
            time=inner.text("time"),
            zone=inner.text("zone", required=False, pattern="UTC", what="UTC"),
        )
        inner.done()
        return member
    value = inner.text("value", required=False)
    parts = _parts(inner)
    path = _path(inner, "path", required=value is None and not parts)
    table = inner.member("map")
    separator = inner.raw("separator", required=False)
    if separator is not None and (not isinstance(separator, str) or not parts):
        inner.note("is no text, or nothing is joined", "write it beside `join`", "separator")
    member = Member(
        path=path,
        value=value,
        map=dict(read_words(table)) if table else None,
        pad=inner.integer("pad", 1, 12),
        join=parts,
        separator=separator if isinstance(separator, str) else "",
    )
    if (path is not None) + (value is not None) + bool(parts) > 1:
        inner.note("has a path and a value, or joins beside them", "keep one of them")
    inner.done()
    return member


def read_words(cursor: Cursor) -> list[tuple[str, str]]:
    """Return a mapping of text to text."""
    names = cursor.names()
    found = [(name, cursor.text(name)) for name in names]
    return [(name, word) for name, word in found if word is not None]


def _parts(cursor: Cursor) -> tuple[Member, ...]:
    parts: list[Member] = []
    for item in cursor.items("join", low=2 if cursor.has("join") else 0, high=8):
        path = _path(item, "path")
        table = item.member("map")
        item.done()
        parts.append(Member(path, map=dict(read_words(table)) if table else None))
    return tuple(parts)


def _report(answer: Cursor) -> tuple[dict[str, Member], ItineraryMember | None]:
    cursor = answer.member("report", required=True)
    found: dict[str, Member] = {}
    if cursor is None:
        return found, None
    undated = cursor.raw("undated", required=False)
    if undated not in (None, True, False):
        cursor.note("is neither true nor false", "write true or leave it out", "undated")
    for name in (*REPORT_TEXTS, *REPORT_TIMES, "release_days_done"):
        is_time = name in REPORT_TIMES
        needed = name in _NEEDED and not (is_time and undated is True)
        member = read_member(cursor, name, is_time=is_time, required=needed)
        if member is not None:
            found[name] = member
    itinerary = cursor.member("itinerary")
    places = _itinerary(itinerary) if itinerary is not None else None
    cursor.done()
    return found, places


def _itinerary(cursor: Cursor) -> ItineraryMember | None:
    records = _path(cursor, "records")
    division = read_member(cursor, "division", required=True)
    starred = cursor.member("starred")
    star = _star(starred) if starred is not None else None
    days = read_member(cursor, "window_days", required=True)
    if days is not None and days.value is not None:
        fits = days.value.isdecimal() and 1 <= int(days.value) <= MAX_WINDOW_DAYS
        if not fits:
            cursor.note(
                f"is no number of days from 1 to {MAX_WINDOW_DAYS}", "correct it", "window_days"
            )
    as_of = read_member(cursor, "as_of", is_time=True, required=True)
    cursor.done()
    if records is None or division is None or days is None or as_of is None:
        return None
    return ItineraryMember(records, division, star, days, as_of)


def _star(cursor: Cursor) -> StarMember | None:
    path = _path(cursor, "path")
    yes, no = cursor.raw("true"), cursor.raw("false", required=False)
    for name, value in (("true", yes), ("false", no)):
        if value is not None and not isinstance(value, str | bool):
            cursor.note("is neither a word nor true or false", 'quote it: "1"', name)
    cursor.done()
    if path is None or not isinstance(yes, str | bool):
        return None
    return StarMember(path, yes, no if isinstance(no, str | bool) else None)


def _subject(answer: Cursor) -> SubjectMember | None:
    cursor = answer.member("subject")
    if cursor is None:
        return None
    path = _path(cursor, "path")
    number = cursor.integer("document_type", 1, 99, required=True)
    try:
        kind = DocumentType(number) if number is not None else None
    except ValueError:
        kind = None
        cursor.note("is no type of document", "see gateway.codes.documents", "document_type")
    cursor.done()
    return None if path is None or kind is None else SubjectMember(path, kind)


def _one_or_several(cursor: Cursor, name: str) -> Iterator[Cursor]:
    """Yield the mapping at a member, or each mapping of the list there."""
    if isinstance(cursor.raw(name, required=False), list):
        yield from cursor.items(name, low=1, high=_MAX_ENVELOPES)
        return
    inner = cursor.member(name)
    if inner is not None:
        yield inner


def _json_strings(cursor: Cursor) -> tuple[tuple[str, ...], ...]:
    texts = cursor.texts("json_strings", high=_MAX_ENVELOPES, pattern=_PATH, what="a path")
    return tuple(tuple(text.split(".")) for text in texts)


def _outcomes(cursor: Cursor) -> dict[str, Outcome]:
    found = {name: cursor.choice(name, Outcome) for name in cursor.names()}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def _path(cursor: Cursor, name: str, *, required: bool = True) -> tuple[str, ...] | None:
    text = cursor.text(name, required=required, pattern=_PATH, what="a path such as data.0.state")
    return None if text is None else tuple(text.split("."))
