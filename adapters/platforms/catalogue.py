"""The catalogue door: everybody who is not green, page by page.

The regions of the Yangtze delta exchanged files of their red and yellow records
every day; no source shows the file. Our choice, the same in every city, behind the
city's own authentication::

    GET /catalogue?after=CURSOR&limit=500

    {"city":"guangdong","takenAt":"2020-06-01T04:00:00Z","next":"1234","rows":[
      {"number":"…","division":"440000","state":"红码","reason":"…",
       "assessedAt":"…Z","updatedAt":"…Z","changedAt":"…Z"}]}

``next`` is null on the last page. Times are RFC 3339 in UTC. Imported codes are
green and therefore never listed. The faults that act on records act here too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from adapters.platforms.faulty import refused_by, spoil
from adapters.platforms.records import Answer, Colour, Holding, Result
from adapters.platforms.server import json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from adapters.platforms.base import AnyCity
    from adapters.platforms.people import Person
    from adapters.platforms.records import Record

MAX_ROWS: Final = 1_000
"""Rows of a page; a page is made in one go, and others wait meanwhile."""

_MAX_LOOKED_AT: Final = 5_000  # people a page: about a tenth of a second
_MAX_CURSOR_DIGITS: Final = 9


def catalogue_page(platform: AnyCity, query: Mapping[str, str]) -> web.Response:
    """One page of the catalogue.

    Args:
        platform: whose.
        query: ``after`` (the last page's ``next``; left out: from the beginning) and
            ``limit`` (1 to `MAX_ROWS`; left out: as many).
    """
    start, limit = _integer(query.get("after", "0")), _integer(query.get("limit", str(MAX_ROWS)))
    if start is None or limit is None or not 1 <= limit <= MAX_ROWS:
        problem = f"after is a cursor, limit 1 to {MAX_ROWS}"
        return json_response({"error": problem}, HTTPStatus.BAD_REQUEST)
    refusal = refused_by(platform.faults)
    if refusal is not None:
        return json_response(
            {"error": str(refusal), "code": platform.code(refusal)}, HTTPStatus.TOO_MANY_REQUESTS
        )
    now = platform.clock()
    rows: list[dict[str, object]] = []
    index, size = start, platform.population.size
    while index < min(size, start + _MAX_LOOKED_AT) and len(rows) < limit:
        person = platform.population.person(index)
        found = [r for r in platform.records_of(person) if r.colour is not Colour.GREEN]
        if found and len(rows) + len(found) > limit and rows:
            break
        index += 1
        if found:
            answer = spoil(platform, Answer(Result.OK, (Holding(person, tuple(found)),)), now)
            rows += [_row(platform, *held) for held in answer.records]
    return json_response(
        {
            "city": platform.city,
            "takenAt": _utc(now),
            "next": str(index) if index < size else None,
            "rows": rows,
        }
    )


def _row(platform: AnyCity, person: Person, record: Record) -> dict[str, object]:
    return {
        "number": platform.number(person),
        "division": record.division,
        "state": record.state,
        "reason": record.reason,
        "assessedAt": _utc(record.assessed_at),
        "updatedAt": _utc(record.updated_at),
        "changedAt": _utc(record.changed_at),
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _integer(text: str) -> int | None:
    fits = len(text) <= _MAX_CURSOR_DIGITS and text.isascii() and text.isdigit()
    return int(text) if fits else None
