"""A city's platform as the source of a catalogue: everybody who is not green, page by page.

The platform's catalogue door answers ``GET /catalogue?after=CURSOR&limit=500`` behind
the city's own authentication (``adapters/platforms/catalogue.py``; no source shows the
door of a real city). Each person's records go through the same translation as the
answer to a question, with one difference: the door states no declaration and no scope,
so the clocks of declarations and the words for scopes are left out. That can only list
more people, and a listing makes nobody green.

A person whose records are together an outcome is not listed but counted, and so is one
with a record issued outside the authority's prefixes, which the authority cannot sign.
A number that cannot be one is SOURCE_UNPARSABLE. A green record is neither.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final, Protocol, runtime_checkable

import msgspec

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.reports import Deadline, LocalReport, OutcomeReport
from adapters.sdk.translation import translate
from gateway.catalogue.counts import CountKey
from gateway.catalogue.errors import CatalogueSourceError
from gateway.catalogue.source import SourcePage, SourceRecord
from gateway.codes.documents import DocumentError, DocumentType, parse_document
from gateway.codes.levels import Level, Outcome
from gateway.codes.scheme_model import ClockStart
from gateway.trust import names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from adapters.sdk.reports import Connector
    from adapters.sdk.upstream import UpstreamReply
    from gateway.codes.scheme_model import Scheme
    from gateway.codes.unified import UnifiedCode

PAGE_ROWS: Final = 500
"""A row takes about 250 bytes, and the default bound of an answer is 256 KiB."""

PAGE_SECONDS: Final = 30.0
"""Longest wait for one page; the platform's own time-out ends it earlier."""

_MAX_TRIES: Final = 3
"""How often a page is asked for: a day's export is not given up for one slow page."""


@runtime_checkable
class CatalogueDoor(Protocol):
    """Asks a platform's catalogue door; a connector in Python may be one."""

    async def catalogue(
        self, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Make the call ``GET /catalogue`` with these query fields and the city's own proof.

        Never raises for anything the platform did.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def require_door(connector: Connector, scheme: Scheme) -> CatalogueDoor:
    """Return a city's connector as what asks its catalogue door.

    Raises:
        AdapterConfigError: it is in Python and has no such call.
    """
    if isinstance(connector, CatalogueDoor):
        return connector
    raise AdapterConfigError(
        f"the connector of {scheme.family} has no call for the catalogue",
        fix="give it the method `catalogue` of adapters.sdk.catalogue.CatalogueDoor",
    )


class _Row(msgspec.Struct):
    number: Annotated[str, msgspec.Meta(max_length=64)]
    division: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]
    state: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    assessedAt: datetime | None  # noqa: N815 - the door's own names
    updatedAt: datetime | None  # noqa: N815 - as above
    reason: Annotated[str, msgspec.Meta(max_length=1024)] | None = None


class _Page(msgspec.Struct):
    takenAt: datetime  # noqa: N815 - the door's own name
    rows: list[_Row]
    next: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None


class CityCatalogue:
    """Everybody who is not green on one city's platform.

    Implements :class:`gateway.catalogue.source.CatalogueSource`.

    Args:
        scheme: translates.
        door: asks.
        prefixes: divisions that the authority may speak for.
        clock: now, aware, UTC.
        page_rows: rows of a page.
    """

    def __init__(
        self,
        scheme: Scheme,
        door: CatalogueDoor,
        *,
        prefixes: tuple[str, ...],
        clock: Callable[[], datetime],
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._scheme = _without_declarations(scheme)
        self._door = door
        self._prefixes = prefixes
        self._clock = clock
        self._page_rows = page_rows

    async def pages(self, after: str | None) -> AsyncIterator[SourcePage]:
        """Read on from a cursor; see :class:`CatalogueSource`."""
        cursor = after
        while True:
            page = await self._fetch(cursor)
            if page.next is not None and page.next == cursor:
                raise CatalogueSourceError("the platform's catalogue does not move on")
            yield self._translated(page)
            if page.next is None:
                return
            cursor = page.next

    async def close(self) -> None:
        """Let go of the platform."""
        await self._door.close()

    async def _fetch(self, cursor: str | None) -> _Page:
        fields = {"limit": str(self._page_rows)}
        if cursor is not None:
            fields["after"] = cursor
        reply = await self._ask(fields)
        tries = 1
        # Busy means a quota or a breaker: asking at once again helps nobody.
        while tries < _MAX_TRIES and _timed_out(reply):
            reply = await self._ask(fields)
            tries += 1
        if isinstance(reply, OutcomeReport):
            raise CatalogueSourceError(
                f"the platform did not give its catalogue: {reply.outcome}",
                fix="run it again: it goes on where it stopped",
            )
        return _read(reply.body)

    async def _ask(self, fields: Mapping[str, str]) -> UpstreamReply | OutcomeReport:
        return await self._door.catalogue(fields, Deadline.after(PAGE_SECONDS))

    def _translated(self, page: _Page) -> SourcePage:
        records: list[SourceRecord] = []
        outcomes: Counter[CountKey] = Counter()
        now = self._clock()
        for _, rows in groupby(page.rows, key=lambda row: row.number.upper()):
            person = list(rows)
            found = self._person(person, now)
            if isinstance(found, Outcome):
                outcomes[CountKey(self._counted_at(person[0]), "outcome", found.value)] += 1
            elif found is not None:
                records.append(found)
        return SourcePage(tuple(records), outcomes, page.next, page.takenAt)

    def _person(self, rows: list[_Row], now: datetime) -> SourceRecord | Outcome | None:
        """One person: a record, the outcome that stands in its place, or green."""
        try:
            document = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, rows[0].number)
        except DocumentError:
            return Outcome.SOURCE_UNPARSABLE
        code = translate(self._scheme, [_report(row) for row in rows], now)
        if isinstance(code, OutcomeReport):
            return code.outcome
        if not self._may_sign(code):
            return Outcome.CANNOT_DETERMINE
        return None if code.level is Level.GREEN else SourceRecord(document, code)

    def _counted_at(self, row: _Row) -> str:
        """Where an outcome is counted: where it was issued, or here where that is not ours."""
        is_own = names.covers(self._prefixes, row.division)
        return row.division if is_own else self._scheme.authority

    def _may_sign(self, code: UnifiedCode) -> bool:
        return all(names.covers(self._prefixes, report.issued_by) for report in code.reports)


async def listed_numbers(
    door: CatalogueDoor, *, page_rows: int = PAGE_ROWS
) -> AsyncIterator[list[str]]:
    """Yield the document numbers of everybody whom a platform lists, page by page.

    Whoever stands there is not green by the platform's own word; nothing is translated.

    Raises:
        CatalogueSourceError: the platform does not give its catalogue.
    """
    cursor: str | None = None
    while True:
        fields = {"limit": str(page_rows)} | ({} if cursor is None else {"after": cursor})
        reply = await door.catalogue(fields, Deadline.after(PAGE_SECONDS))
        for _ in range(1, _MAX_TRIES):
            if not _timed_out(reply):
                break
            reply = await door.catalogue(fields, Deadline.after(PAGE_SECONDS))
        if isinstance(reply, OutcomeReport):
            raise CatalogueSourceError(f"the platform did not give its catalogue: {reply.outcome}")
        page = _read(reply.body)
        yield [row.number for row in page.rows]
        if page.next is None:
            return
        if page.next == cursor:
            raise CatalogueSourceError("the platform's catalogue does not move on")
        cursor = page.next


def _timed_out(reply: UpstreamReply | OutcomeReport) -> bool:
    return isinstance(reply, OutcomeReport) and reply.outcome is Outcome.SOURCE_TIMED_OUT


def _report(row: _Row) -> LocalReport:
    return LocalReport(
        state=row.state,
        issued_by=row.division,
        assessed_at=_second(row.assessedAt),
        source_at=_second(row.updatedAt),
        reason=row.reason,
    )


def _second(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC).replace(microsecond=0)


def _read(body: bytes) -> _Page:
    """Read a page.

    Raises:
        CatalogueSourceError: it is none, or a moment in it has no zone.
    """
    try:
        page = msgspec.json.decode(body, type=_Page)
    except (msgspec.DecodeError, ValueError, RecursionError):  # no UTF-8 is a ValueError
        raise CatalogueSourceError("the platform's catalogue cannot be read") from None
    moments = [page.takenAt, *(m for row in page.rows for m in (row.assessedAt, row.updatedAt))]
    if any(moment is not None and moment.utcoffset() is None for moment in moments):
        raise CatalogueSourceError("a moment in the platform's catalogue has no zone")
    return page


def _without_declarations(scheme: Scheme) -> Scheme:
    """The scheme for records that state neither declaration nor scope."""
    versions = []
    for version in scheme.versions:
        clocks = version.clocks
        code = clocks.code
        if code is not None and code.start is ClockStart.DECLARED_AT:
            code = None
        versions.append(
            replace(
                version,
                scopes=None,
                clocks=replace(
                    clocks,
                    code=code,
                    declaration=None,
                    required=clocks.required - {ClockStart.DECLARED_AT},
                ),
            )
        )
    return replace(scheme, versions=tuple(versions))
