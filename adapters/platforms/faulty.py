"""The faults that change what an answer says, on neutral records.

Those that change bytes, time or the connection stand in
:mod:`adapters.platforms.server`. Order: a refusal is decided before anything is
looked up; then an old cache, other people, another record, other issuers, other
words; `empty` last, so that it wins.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

from adapters.platforms.qr import IMPORTED_FROM
from adapters.platforms.records import Answer, Colour, Holding, Record, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from adapters.platforms.base import AnyCity
    from adapters.platforms.faults import Faults
    from adapters.platforms.tables import City, Version

_VENDOR: Final = {Colour.GREEN: "3", Colour.MIDDLE: "4", Colour.RED: "5", Colour.NONE: "7"}
"""The numbers of one camera's event; 7 is its "query failed". No city here writes
its green as any of them."""


def refused_by(faults: Faults) -> Result | None:
    """The result that a fault puts in place of every answer."""
    if faults.quota:
        return Result.QUOTA
    if faults.qr_expired:
        return Result.QR_EXPIRED
    if faults.wrong_province:
        return Result.QR_NOT_OURS
    if faults.must_update:
        return Result.MUST_UPDATE
    return None


def spoil(platform: AnyCity, answer: Answer, now: datetime) -> Answer:
    """The answer as the platform's faults leave it."""
    faults, city = platform.faults, platform.table
    version = city.version_at(now)
    held = list(answer.holdings)
    if faults.another_province:
        if not platform.shows_issuer:
            return Answer(Result.QR_NOT_OURS)
        held = [_map(h, lambda record: replace(record, division=city.elsewhere)) for h in held]
    if faults.shared_phone:
        if not platform.several_people:
            return Answer(Result.AMBIGUOUS)
        held.append(_neighbour(platform, held[0]))
    if faults.disagree:
        held = [
            Holding(h.person, _disagreeing(version, h.records, several=platform.several_records))
            for h in held
        ]
    if faults.stale:
        held = [_map(h, lambda record: _old(city, version, record)) for h in held]
    if faults.proxy:
        guardian = platform.population.person(0).number
        held = [_map(h, lambda record: replace(record, proxy=guardian)) for h in held]
    if faults.ordinal:
        held = [_map(h, lambda record: _numbered(city, record)) for h in held]
    if faults.empty:
        held = [Holding(h.person, ()) for h in held]
    return Answer(answer.result, tuple(held))


def _map(held: Holding, change: Callable[[Record], Record]) -> Holding:
    return Holding(held.person, tuple(change(record) for record in held.records))


def _neighbour(platform: AnyCity, held: Holding) -> Holding:
    """Whoever comes next in the population, with what is held of the first."""
    index = held.person.index
    other = 0 if index >= IMPORTED_FROM else index + 1
    person = platform.population.person(other if other < platform.population.size else 0)
    return Holding(person, held.records)


def _disagreeing(
    version: Version, records: tuple[Record, ...], *, several: bool
) -> tuple[Record, ...]:
    """The records and one of another colour; the less free of the two for one record."""
    if not records:
        return records
    first = records[0]
    others = [state for state in version.states if state.colour is not first.colour]
    # A person without a colour gets a red one: a fault adds no green to nothing.
    coloured = first.colour in (Colour.MIDDLE, Colour.RED)
    wanted = Colour.GREEN if coloured else Colour.RED
    state = next((s for s in others if s.colour is wanted), others[-1] if others else None)
    if state is None:
        return records
    other = replace(
        first,
        state=state.word,
        colour=state.colour,
        reason=state.reasons[0] if state.reasons else "",
        kind=state.kind or first.kind,
        source=(version.second or first).source or first.source,
        extra={**first.extra, **state.extra},
        release_days=state.release_days,
        release_days_done=0 if state.release_days else None,
    )
    if several:
        return (*records, other)
    return (other,) if first.colour is Colour.GREEN else records


def _old(city: City, version: Version, record: Record) -> Record:
    """What a cache holds that was filled days ago, when everybody was green."""
    green = version.green
    if green is not None:
        record = replace(
            record,
            state=green.word,
            colour=green.colour,
            reason="",
            extra={**record.extra, **green.extra},
            release_days=None,
            release_days_done=None,
        )
    age = city.stale_by
    assessed = record.assessed_at - age
    return replace(
        record,
        applied_at=min(record.applied_at, assessed),
        issued_at=min(record.issued_at, assessed),
        assessed_at=assessed,
        updated_at=record.updated_at - age,
        changed_at=record.changed_at - age,
        declared_at=_earlier(record.declared_at, age),
        valid_until=_earlier(record.valid_until, age),
        negative_test_at=_earlier(record.negative_test_at, age),
    )


def _earlier(moment: datetime | None, age: timedelta) -> datetime | None:
    return None if moment is None else (moment - age).astimezone(UTC)


def _numbered(city: City, record: Record) -> Record:
    return replace(record, state=city.ordinals.get(record.state, _VENDOR[record.colour]))
