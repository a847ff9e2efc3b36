"""Stays in areas of risk, as part of the compiled rule: space and time.

A stay meets every **spell** during which its division was at a risk or above (see
``gateway.issuer.areas``). It counts from when both were known, and its last day is the
last on which the person was there and the spell went on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from gateway.issuer.days import sql_day
from gateway.issuer.sqlwords import NOW, Greatest, Least, among, exposure, number, plain
from gateway.issuer.store import schema
from gateway.issuer.values import RISK_NUMBERS, STAY_NUMBERS, StayKind

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.selectable import CTE

    from gateway.issuer.rules import Rule, StayWhen


def _ended(stay: Any) -> ColumnElement[int]:
    """When a stay ended, exclusive; NULL: it lasts.

    One that somebody said was lasting ends where a later statement begins, but not
    before the moment in which it was said to last.
    """
    later = schema.stays.alias("later")
    residence = plain(STAY_NUMBERS[StayKind.RESIDENCE])
    same_begin = later.c.entered_at == stay.c.entered_at
    tells_end = sa.and_(
        same_begin, later.c.division == stay.c.division, later.c.left_at.is_not(None)
    )
    moved_on = sa.and_(same_begin, later.c.kind == residence, later.c.id > stay.c.id)
    end = sa.case((tells_end, later.c.left_at), else_=later.c.entered_at)
    following = (
        sa.select(sa.func.min(Greatest(stay.c.recorded_at, end)))
        .where(
            later.c.person_id == stay.c.person_id,
            later.c.kind == stay.c.kind,
            later.c.withdrawn_at.is_(None),
            sa.or_(later.c.entered_at > stay.c.entered_at, tells_end, moved_on),
        )
        .correlate(stay)
        .scalar_subquery()
    )
    return sa.case((stay.c.left_at.is_not(None), stay.c.left_at), else_=following)


def _told(stay: Any) -> ColumnElement[int]:
    """When a stay was first told of: its departure told later makes it no newer."""
    same = schema.stays.alias("same")
    return (
        sa.select(sa.func.min(same.c.recorded_at))
        .where(
            same.c.person_id == stay.c.person_id,
            same.c.kind == stay.c.kind,
            same.c.division == stay.c.division,
            same.c.entered_at == stay.c.entered_at,
            same.c.withdrawn_at.is_(None),
        )
        .correlate(stay)
        .scalar_subquery()
    )


def risky_stays(scope: Any) -> CTE:
    """Stays in divisions that were at a risk, once for each spell of it."""
    stay, spell = schema.stays.alias("stay"), schema.area_spells.alias("spell")
    there = (
        sa.select(
            stay.c.id.label("stay_id"),
            stay.c.person_id,
            stay.c.kind,
            stay.c.division,
            stay.c.entered_at,
            _ended(stay).label("end_at"),
            _told(stay).label("told_at"),
            spell.c.risk,
            spell.c.from_at,
            spell.c.until_at,
        )
        .select_from(stay.join(spell, spell.c.division == stay.c.division))
        .where(scope(stay.c.person_id), stay.c.withdrawn_at.is_(None), spell.c.from_at <= NOW)
        .subquery("there")
    )
    known_at = Greatest(there.c.from_at, there.c.told_at)
    one = number(1)
    last_at = Least(
        sa.func.coalesce(there.c.end_at - one, NOW),
        sa.func.coalesce(there.c.until_at - one, NOW),
        NOW,
    )
    return (
        sa.select(
            there.c.stay_id,
            there.c.person_id,
            there.c.kind,
            there.c.division,
            there.c.risk,
            sql_day(there.c.entered_at).label("first_day"),
            sql_day(last_at).label("last_day"),
            sql_day(known_at).label("known_day"),
        )
        # A risk that was over before the stay was known imposes nothing.
        .where(sa.or_(there.c.until_at.is_(None), known_at < there.c.until_at))
        .cte("risky_stays")
    )


def met_stays(rule: Rule, when: StayWhen, risky: CTE) -> Any:
    """The stays that meet a condition: ``person_id``, ``day`` and ``division``."""
    met = sa.and_(
        risky.c.risk == plain(RISK_NUMBERS[when.risk]),
        among(risky.c.kind, (STAY_NUMBERS[kind] for kind in when.of)),
        risky.c.known_day - risky.c.last_day <= number(when.within_days),
    )
    day = Greatest(risky.c.last_day, risky.c.known_day)
    if when.stays_at_least == 1 and when.days_at_least == 1:
        return exposure(rule, risky.c.person_id, day, risky.c.division).where(met)
    # Each stay once, however many spells it met.
    stays = (
        sa.select(
            risky.c.stay_id,
            risky.c.person_id,
            risky.c.division,
            sa.func.min(risky.c.first_day).label("first_day"),
            sa.func.max(risky.c.last_day).label("last_day"),
            sa.func.max(day).label("day"),
        )
        .where(met)
        .group_by(risky.c.stay_id, risky.c.person_id, risky.c.division)
        .cte(f"stays_{rule.number}")
    )
    last, each = stays.alias(f"last_{rule.number}"), stays.alias(f"each_{rule.number}")
    window_begins = last.c.last_day - number(when.within_days)
    days = each.c.last_day - Greatest(each.c.first_day, window_begins + number(1)) + number(1)
    return (
        exposure(rule, last.c.person_id, last.c.day, last.c.division)
        .select_from(last.join(each, each.c.person_id == last.c.person_id))
        .where(each.c.last_day <= last.c.last_day, each.c.last_day >= window_begins)
        .group_by(last.c.stay_id, last.c.person_id, last.c.day, last.c.division)
        .having(
            sa.func.count() >= number(when.stays_at_least),
            sa.func.sum(days) >= number(when.days_at_least),
        )
    )
