"""Who shows a QR text, by the form in force and the forms before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.platforms.qr import IMPORTED_FROM
from adapters.platforms.records import Result
from adapters.platforms.stories import generation_of

if TYPE_CHECKING:
    from adapters.platforms.base import AnyCity
    from adapters.platforms.people import Person
    from adapters.platforms.tables import Version


def who_shows(city: AnyCity, text: str) -> Result | tuple[Person, ...]:
    """The people behind a QR text; where there are none, why.

    Args:
        city: whose text it may be.
        text: as scanned.
    """
    now = city.clock()
    version = city.table.version_at(now)
    form = city.table.qr_form(version)
    ticket = form.read(text) if form is not None else None
    if form is None or ticket is None:
        return _earlier(city, version, text)
    if ticket.genuine and ticket.serial >= IMPORTED_FROM:
        imported = city.imports.by_serial(ticket.serial)
        if imported is None:
            return Result.QR_UNKNOWN
        return (imported.person,) if now < imported.expires_at else Result.QR_EXPIRED
    if not ticket.genuine or ticket.serial >= city.population.size:
        return Result.QR_UNKNOWN
    generation = generation_of(city.table, version, ticket.serial)
    if not form.holds(ticket.stamp, now, generation):
        return Result.QR_EXPIRED
    return city.together(ticket.serial)


def _earlier(city: AnyCity, version: Version, text: str) -> Result:
    """A text that the form in force does not know: of an age that is over, or nobody's."""
    before = city.table.version_before(version)
    while before is not None:
        form = city.table.qr_form(before)
        ticket = form.read(text) if form is not None else None
        if ticket is not None:
            known = ticket.genuine and ticket.serial < city.population.size
            return Result.QR_EXPIRED if known else Result.QR_UNKNOWN
        before = city.table.version_before(before)
    return Result.QR_NOT_OURS
