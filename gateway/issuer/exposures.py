"""A rule version compiled to SQL: who is bound by what, for how much longer.

This is the one definition of the assessment. :func:`picks` is a single SELECT that, for
the people of a *scope*, gives one row for everybody on whom something is imposed: the
most severe of it, packed into one number. The same statement serves one person and a
million, on SQLite and on PostgreSQL; ``gateway.issuer.assess`` runs it.

It reads in four steps, each a named part of the statement:

1. ``exposures``: the facts that stand and meet a rule's condition, each with the day
   from which check-ins do not count yet: when the exposure ended or was known,
   whichever is later. Small tables drive it: contacts, declarations marked notable,
   stays in divisions that ever were an area of risk.
2. ``days``: the days after the first exposure on which these very people checked in; a
   day is normal when every declaration of it is.
3. ``streaks``: normal days in a row.
4. ``unreleased``: exposures without a streak as long as their rule asks, with the days
   still missing. A streak helps no more once a day was missed or was not normal.

The day on which somebody is assessed is the Shanghai day of ``now``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateway.issuer.days import sql_day, sql_day_begins
from gateway.issuer.risky_stays import met_stays, risky_stays
from gateway.issuer.rules import (
    AnswerWhen,
    ContactWhen,
    StayWhen,
    SymptomsWhen,
    TemperatureWhen,
)
from gateway.issuer.sqlwords import NOW, Greatest, among, exposure, number, plain
from gateway.issuer.store import schema
from gateway.issuer.values import (
    ANSWER_NUMBERS,
    CONTACT_NUMBERS,
    SYMPTOM_BITS,
)

if TYPE_CHECKING:
    from sqlalchemy.sql.selectable import CTE, Select

    from gateway.issuer.rules import Rule, RuleVersion

_DAYS: Final = 1000
_NUMBERS: Final = 1000
_DIVISIONS: Final = 1_000_000
"""Places in a packed pick: level, days missing, 999 less the rule's number, division. The
greatest is the most severe, then the longest, then the first rule; every part has room
for what the rule's reader lets through."""


def picks(version: RuleVersion, scope: Any) -> Select[tuple[int, int]]:
    """Who is bound by what: ``person_id`` and ``pick``, with the parameter ``now``.

    Args:
        version: the rule.
        scope: makes of a column of person ids the condition that the person is asked
            about; applied to every table that people stand in.
    """
    exposures = _exposures(version, scope)
    days = _days(version, exposures)
    unreleased = _unreleased(exposures, days, _streaks(days))
    severity = unreleased.c.level * number(_DAYS) + unreleased.c.missing
    place = number(_NUMBERS - 1) - unreleased.c.number
    pick = (severity * number(_NUMBERS) + place) * number(_DIVISIONS) + unreleased.c.division
    return sa.select(unreleased.c.person_id, sa.func.max(pick).label("pick")).group_by(
        unreleased.c.person_id
    )


def unpack(pick: Any) -> tuple[Any, Any, Any, Any]:
    """Level, days missing, number of the rule and division of a pick.

    Takes a number, or a column of numbers.
    """
    if isinstance(pick, int):
        rest, division = divmod(pick, _DIVISIONS)
        rest, place = divmod(rest, _NUMBERS)
        level, missing = divmod(rest, _DAYS)
        return level, missing, _NUMBERS - 1 - place, division

    def part(below: int, room: int | None) -> Any:
        shifted = pick // number(below)
        return shifted if room is None else shifted % number(room)

    return (
        part(_DIVISIONS * _NUMBERS * _DAYS, None),
        part(_DIVISIONS * _NUMBERS, _DAYS),
        number(_NUMBERS - 1) - part(_DIVISIONS, _NUMBERS),
        pick % number(_DIVISIONS),
    )


def _exposures(version: RuleVersion, scope: Any) -> CTE:
    reported, risky, noted = _reported(scope), risky_stays(scope), _noted(scope)
    branches = []
    for rule in version.rules:
        when = rule.when
        if isinstance(when, ContactWhen):
            branches.append(_met_contacts(rule, when, reported))
        elif isinstance(when, StayWhen):
            branches.append(met_stays(rule, when, risky))
        else:
            branches.append(_met_declarations(rule, noted))
    return sa.union_all(*branches).cte("exposures")


def _reported(scope: Any) -> CTE:
    """Contacts, with how old each was when it was known."""
    table = schema.contacts
    happened, known = sql_day(table.c.at), sql_day(table.c.known_at)
    return (
        sa.select(
            table.c.person_id,
            table.c.kind,
            table.c.division,
            Greatest(happened, known).label("day"),
            (known - happened).label("age"),
        )
        .where(scope(table.c.person_id), table.c.withdrawn_at.is_(None))
        .cte("reported")
    )


def _met_contacts(rule: Rule, when: ContactWhen, reported: CTE) -> Any:
    return exposure(rule, reported.c.person_id, reported.c.day, reported.c.division).where(
        among(reported.c.kind, (CONTACT_NUMBERS[kind] for kind in when.kinds)),
        reported.c.age <= number(when.within_days),
    )


def _noted(scope: Any) -> CTE:
    """Declarations that some rule may look at."""
    table = schema.declarations
    return (
        sa.select(
            table.c.person_id,
            sql_day(table.c.recorded_at).label("day"),
            table.c.temperature,
            table.c.symptoms,
            table.c.contact,
            table.c.risk_area,
            table.c.overseas,
        )
        .where(
            scope(table.c.person_id), table.c.notable == plain(1), table.c.withdrawn_at.is_(None)
        )
        .cte("noted")
    )


def _met_declarations(rule: Rule, noted: CTE) -> Any:
    when = rule.when
    if isinstance(when, TemperatureWhen):
        met = noted.c.temperature >= plain(when.at_least_decicelsius)
    elif isinstance(when, SymptomsWhen):
        bits = sum(SYMPTOM_BITS[symptom] for symptom in when.any_of)
        met = noted.c.symptoms.op("&")(plain(bits)) != plain(0)
    elif isinstance(when, AnswerWhen):
        met = among(noted.c[when.question], (ANSWER_NUMBERS[answer] for answer in when.is_one_of))
    else:
        raise TypeError(type(when).__name__)
    return exposure(rule, noted.c.person_id, noted.c.day, number(0)).where(met)


def _days(version: RuleVersion, exposures: CTE) -> CTE:
    """The days after the first exposure on which these people checked in, and how."""
    begins = (
        sa.select(exposures.c.person_id, sa.func.min(exposures.c.day).label("day"))
        .group_by(exposures.c.person_id)
        .subquery("begins")
    )
    table = schema.declarations
    day = sql_day(table.c.recorded_at)
    is_abnormal = sa.or_(
        table.c.symptoms != plain(0),
        table.c.temperature >= plain(version.normal_below_decicelsius),
    )
    return (
        sa.select(
            table.c.person_id,
            day.label("day"),
            sa.func.max(sa.case((is_abnormal, plain(1)), else_=plain(0))).label("abnormal"),
        )
        .select_from(begins.join(table, table.c.person_id == begins.c.person_id))
        .where(
            # After the day of the exposure; said of the column, so that its index serves.
            table.c.recorded_at >= sql_day_begins(begins.c.day + number(1)),
            table.c.withdrawn_at.is_(None),
        )
        .group_by(table.c.person_id, day)
        .cte("days")
    )


def _streaks(days: CTE) -> CTE:
    # Days in a row keep the same distance to their place among the person's days.
    place = sa.func.row_number().over(partition_by=days.c.person_id, order_by=days.c.day)
    placed = (
        sa.select(days.c.person_id, days.c.day, (days.c.day - place).label("island"))
        .where(days.c.abnormal == plain(0))
        .subquery("placed")
    )
    return (
        sa.select(
            placed.c.person_id,
            sa.func.min(placed.c.day).label("first_day"),
            sa.func.max(placed.c.day).label("last_day"),
        )
        .group_by(placed.c.person_id, placed.c.island)
        .cte("streaks")
    )


def _unreleased(exposures: CTE, days: CTE, streaks: CTE) -> Any:
    one = number(1)
    today = sql_day(NOW)
    broken = (
        sa.select(days.c.person_id)
        .where(days.c.day == today, days.c.abnormal == plain(1))
        .subquery("broken")
    )
    length = streaks.c.last_day - Greatest(streaks.c.first_day, exposures.c.day + one) + one
    # NULL where there is no streak at all.
    longest = sa.func.coalesce(sa.func.max(length), number(0))
    # Today's check-in may still come, unless what came was not normal.
    goes_on = sa.and_(streaks.c.last_day >= today - one, broken.c.person_id.is_(None))
    done = sa.func.coalesce(sa.func.max(sa.case((goes_on, length), else_=number(0))), number(0))
    key = (
        exposures.c.person_id,
        exposures.c.number,
        exposures.c.level,
        exposures.c.needed,
        exposures.c.day,
        exposures.c.division,
    )
    return (
        sa.select(*key, (exposures.c.needed - done).label("missing"))
        .select_from(
            exposures.outerjoin(
                streaks,
                sa.and_(
                    streaks.c.person_id == exposures.c.person_id,
                    streaks.c.last_day > exposures.c.day,
                ),
            ).outerjoin(broken, broken.c.person_id == exposures.c.person_id)
        )
        .group_by(*key)
        .having(longest < exposures.c.needed)
        .subquery("unreleased")
    )
