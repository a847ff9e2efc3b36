"""What a city holds of each person, as a function of table, seed and moment.

Nothing is stored: the same question at the same moment always finds the same
records, and a population of a million costs nothing until somebody asks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from adapters.platforms.records import UNSET, Colour, Record, Result
from adapters.platforms.times import SHANGHAI

if TYPE_CHECKING:
    from adapters.platforms.people import Person, Population
    from adapters.platforms.tables import City, Recomputation, State, Version

_DAY: Final = timedelta(days=1)
_FIRST_YEAR: Final = timedelta(days=365)
"""People apply within a year from the beginning of a code."""

_SINCE_CHANGE: Final = timedelta(days=14)
"""A colour that is not counted in days changed within the usual isolation."""

_ISSUED_AFTER: Final = timedelta(seconds=2)


def hold(
    city: City, population: Population, person: Person, now: datetime
) -> tuple[Result, tuple[Record, ...]]:
    """What the platform holds of a person, without any fault.

    Returns:
        `Result.OK` and one record or more, or another result and none.
    """
    version = city.version_at(now)
    told = city.told(person.index, version)
    if told is not None:
        result, records = told.result, told.records
    else:
        result, records = _drawn(population, version, person)
    if result is not Result.OK:
        return result, ()
    return result, tuple(
        settle(city, population, person, record, now, place=place)
        for place, record in enumerate(records)
    )


def _drawn(
    population: Population, version: Version, person: Person
) -> tuple[Result, tuple[Record, ...]]:
    chance = population.draw(person.index, "standing")
    for result, share in version.standings.items():
        if chance < share:
            return result, ()
        chance -= share
    state = _pick(version.states, population.draw(person.index, "state"))
    pick = population.draw(person.index, "reason")
    reason = state.reasons[int(pick * len(state.reasons))] if state.reasons else ""
    record = Record(state=state.word, reason=reason)
    second = version.second
    if second is None:
        return Result.OK, (record,)
    if population.draw(person.index, "second") >= version.second_share:
        return Result.OK, (record,)
    division = second.division
    if version.second_divisions:
        division = version.second_divisions[int(pick * len(version.second_divisions))]
    if not second.state:
        second = replace(second, state=record.state, reason=record.reason)
    return Result.OK, (record, replace(second, division=division))


def _pick(states: tuple[State, ...], chance: float) -> State:
    for state in states:
        if chance < state.share:
            return state
        chance -= state.share
    # Only rounding leads here; whoever is left over belongs to the last with a share.
    return next(state for state in reversed(states) if state.share)


def settle(
    city: City,
    population: Population,
    person: Person,
    record: Record,
    now: datetime,
    *,
    place: int = 0,
) -> Record:
    """Fill in what the table leaves open: colour, issuer, clocks.

    Args:
        city: the table.
        population: the person's population.
        person: whose record.
        record: as the table has it.
        now: aware time of the question.
        place: of the record among this person's records.
    """
    version = city.version_at(now)
    state = version.state(record.state)
    launch = city.versions[0].since
    assessed = last_run(version.recomputed, now)
    assessed += version.recomputed.lasts * population.draw(person.index, f"run/{place}")
    known = min(max(now - launch, timedelta(0)), _FIRST_YEAR)
    applied = min(launch + known * population.draw(person.index, f"applied-at/{place}"), assessed)
    declared = _ago(record.declared_ago, now)
    if declared is None and version.declared_every is not None:
        phase = population.draw(person.index, "declared-at")
        declared = _latest(version.declared_every, phase, now)
    tested = _ago(record.tested_ago, now)
    if tested is None and version.tested_every is not None:
        tested = _latest(version.tested_every, population.draw(person.index, "tested-at"), now)
    until = record.valid_until
    if until is None and version.until_midnight:
        until = midnight_after(now)
    elif until is None and version.code_life is not None:
        until = (declared or assessed) + version.code_life
    if state is not None and state.lapses_to and until is not None and until <= now:
        state = version.state(state.lapses_to) or state
        record = replace(record, state=state.word)
    changed = _ago(record.changed_ago, now)
    if changed is None:
        changed = _changed(population, person, state, now, applied)
    days = state.release_days if state is not None and record.release_days is None else None
    days = record.release_days if days is None else days
    done = record.release_days_done
    if done is None and days is not None:
        done = min(max((now - changed) // _DAY, 0), days)
    return replace(
        record,
        colour=Colour.NONE if state is None else state.colour,
        division=record.division or city.division,
        kind=record.kind or (state.kind if state else ""),
        source=record.source or (state.source if state else ""),
        extra={**(state.extra if state else {}), **record.extra},
        applied_at=applied,
        issued_at=min(applied + _ISSUED_AFTER, assessed),
        assessed_at=assessed,
        updated_at=assessed,
        changed_at=min(changed, assessed),
        declared_at=declared,
        valid_until=until,
        negative_test_at=tested,
        release_days=days,
        release_days_done=done,
        proxy=population.person(0).number if record.proxy else "",
        declared_ago=None,
        tested_ago=None,
        changed_ago=None,
    )


def last_run(recomputed: Recomputation, now: datetime) -> datetime:
    """The beginning of the last recomputation that has finished by ``now``."""
    now = now.astimezone(UTC)
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) + recomputed.offset
    while start + recomputed.lasts <= now:
        start += recomputed.every
    while start + recomputed.lasts > now:
        start -= recomputed.every
    return start


def midnight_after(now: datetime) -> datetime:
    """24:00 of the day in Shanghai, as UTC."""
    day = now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + _DAY).astimezone(UTC)


def _ago(age: timedelta | None, now: datetime) -> datetime | None:
    return None if age is None else (now - age).replace(microsecond=0)


def _latest(every: timedelta, phase: float, now: datetime) -> datetime:
    """The last of the moments that repeat with this period and phase."""
    first = UNSET + every * phase
    moment = first + ((now - first) // every) * every
    return moment.replace(microsecond=0)


def _changed(
    population: Population, person: Person, state: State | None, now: datetime, applied: datetime
) -> datetime:
    """When the colour last changed: days ago where days are counted, else on applying."""
    if state is None or state.colour is Colour.GREEN:
        return applied
    days = timedelta(days=state.release_days) if state.release_days else _SINCE_CHANGE
    # Constant through a day, so that two questions of a day find the same answer.
    today = midnight_after(now) - _DAY
    return max(today - days * population.draw(person.index, "changed-at"), applied)
