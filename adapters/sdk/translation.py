"""The translation engine: local reports in, a unified code or an outcome out.

Pure: a scheme, the reports and a clock decide; nothing is fetched, nothing is
remembered. The rules (docs/spec/codes.md, HT-CODE-1 to 8):

* GREEN only where the platform wrote a state that the version of the scheme in
  force *now* maps to GREEN and every clock of the source holds;
* a state that is not mapped, or a scope the scheme does not know, is
  CANNOT_DETERMINE and carries the raw state;
* a required date that is missing, or one further ahead than the scheme allows,
  is SOURCE_UNPARSABLE; nothing is replaced by the present;
* past ``valid_until`` is CODE_EXPIRED, past ``declaration_valid_until``
  DECLARATION_EXPIRED (both exclusive), a record too old is CANNOT_DETERMINE;
* a state that is EVIDENCE_ONLY is handed on with its raw state and its places, and is
  never a level; the moments its record states must hold as those of a level must;
* a record issued elsewhere that the version leaves out when green
  (``foreign: leave_out_green``) never stands in an answer, and makes it
  CANNOT_DETERMINE unless it is green and holds;
* several reports are never merged: the most restrictive stands first, the others
  in ``also``. If any one of them is not a level, the whole answer is that
  outcome, because a code that left it out would claim to be complete.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adapters.sdk.reports import LocalReport, OutcomeReport
from gateway.codes.levels import RESTRICTIVENESS, Level, Outcome
from gateway.codes.scheme_model import ClockStart, SchemeError
from gateway.codes.unified import MAX_ALSO, Release, UnifiedCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from gateway.codes.levels import Basis
    from gateway.codes.scheme_model import Clocks, Life, Scheme, SchemeVersion

_MAX_STATE = 64  # UnifiedCode.state
_MAX_RULE = 64  # UnifiedCode.rule
_MAX_DAYS = 366  # Release.days_done
_DAY = timedelta(days=1)


def translate(
    scheme: Scheme, reports: Sequence[LocalReport], now: datetime
) -> UnifiedCode | OutcomeReport:
    """Translate every record of one person.

    Args:
        scheme: the city's scheme.
        reports: all records the platform holds of this person, in any order.
        now: the moment of asking, aware, UTC.

    Returns:
        The unified code; or the outcome where there is no level. Of several
        outcomes, the first in order of the reports.
    """
    try:
        version = scheme.version_at(now)
    except SchemeError:
        return OutcomeReport(Outcome.CANNOT_DETERMINE, state=_first_state(reports))
    if not reports:
        return OutcomeReport(Outcome.NOT_FOUND, scheme=version.id)
    if len(reports) > MAX_ALSO + 1:
        return OutcomeReport(Outcome.SOURCE_UNPARSABLE, scheme=version.id)
    codes = _translate_all(scheme, version, reports, now)
    if isinstance(codes, OutcomeReport):
        return codes
    if len(codes) == 1:
        return codes[0]
    # sorted() is stable: among equals the platform's own order stays.
    first, *also = sorted(codes, key=lambda code: -RESTRICTIVENESS[code.level])
    return replace(first, also=tuple(also))


def _translate_all(
    scheme: Scheme, version: SchemeVersion, reports: Sequence[LocalReport], now: datetime
) -> list[UnifiedCode] | OutcomeReport:
    """Translate each record: at least one code, or the outcome that all of it is."""
    codes: list[UnifiedCode] = []
    for report in reports:
        code = _translate_one(version, scheme.timezone, report, now)
        if version.foreign is not None and not report.issued_by.startswith(scheme.prefixes):
            if isinstance(code, OutcomeReport) or code.level is not Level.GREEN:
                return _undetermined(version, report)
            continue
        if isinstance(code, OutcomeReport):
            return code
        codes.append(code)
    # Green everywhere else says nothing about what is green here.
    return codes or OutcomeReport(Outcome.CANNOT_DETERMINE, scheme=version.id)


def _translate_one(
    version: SchemeVersion, zone: ZoneInfo, report: LocalReport, now: datetime
) -> UnifiedCode | OutcomeReport:
    rule = version.states.get(report.state)
    if rule is None or (version.scopes is not None and report.scope not in version.scopes):
        return _undetermined(version, report)
    if rule.level is None:
        return _no_level(version, zone, rule.outcome, report, now)
    clocks = version.clocks
    assessed_at, source_at, declared_at = report.assessed_at, report.source_at, report.declared_at
    test_at, horizon = report.negative_test_at, now + clocks.leeway
    if (
        assessed_at is None
        or source_at is None
        or assessed_at > horizon
        or source_at > horizon
        or (clocks.needs_declaration if declared_at is None else declared_at > horizon)
        or (test_at is not None and test_at > horizon)
    ):
        return OutcomeReport(Outcome.SOURCE_UNPARSABLE, scheme=version.id)
    valid_until = _earlier(report.valid_until, life_end(clocks.code, report, zone))
    declaration_until = _earlier(
        report.declaration_valid_until, life_end(clocks.declaration, report, zone)
    )
    expired = _expired(version, report, now, valid_until, declaration_until)
    if expired is not None:
        return expired
    # By position, which is the order of the class: a third faster than by name.
    return UnifiedCode(
        rule.level,
        version.id,
        report.state,
        assessed_at,
        source_at,
        report.issued_by,
        _basis(version, rule.basis, report) if report.reason or report.basis else rule.basis,
        valid_until,
        declared_at,
        declaration_until,
        report.release or _release(rule.release_days_needed, report),
        report.area,
        report.declarations,
        report.rule[:_MAX_RULE] if report.rule else None,
        test_at,
    )


def _no_level(
    version: SchemeVersion,
    zone: ZoneInfo,
    outcome: Outcome | None,
    report: LocalReport,
    now: datetime,
) -> OutcomeReport:
    if outcome is Outcome.EVIDENCE_ONLY:
        return _evidence(version, zone, report, now)
    if outcome is None or outcome is Outcome.CANNOT_DETERMINE:
        return _undetermined(version, report)
    return OutcomeReport(outcome, scheme=version.id)


def _evidence(
    version: SchemeVersion, zone: ZoneInfo, report: LocalReport, now: datetime
) -> OutcomeReport:
    """Hand evidence on, unless a moment that its record states does not hold.

    Unlike a level it may come without a date: systems that tell places or whether
    somebody may enter need not say when they found out.
    """
    clocks, itinerary = version.clocks, report.itinerary
    horizon = now + clocks.leeway
    if (
        any(
            moment is not None and moment > horizon
            for moment in (report.assessed_at, report.source_at, report.declared_at)
        )
        # The end of the newest day that is counted; that day may be today.
        or (itinerary is not None and itinerary.as_of > horizon + _DAY)
    ):
        return OutcomeReport(Outcome.SOURCE_UNPARSABLE, scheme=version.id)
    expired = _expired(
        version,
        report,
        now,
        _earlier(report.valid_until, life_end(clocks.code, report, zone)),
        _earlier(report.declaration_valid_until, life_end(clocks.declaration, report, zone)),
    )
    if expired is not None:
        return expired
    return OutcomeReport(
        Outcome.EVIDENCE_ONLY,
        state=report.state[:_MAX_STATE],
        scheme=version.id,
        itinerary=itinerary,
    )


def _undetermined(version: SchemeVersion, report: LocalReport) -> OutcomeReport:
    state = report.state[:_MAX_STATE] or None
    return OutcomeReport(Outcome.CANNOT_DETERMINE, state=state, scheme=version.id)


def _expired(
    version: SchemeVersion,
    report: LocalReport,
    now: datetime,
    valid_until: datetime | None,
    declaration_until: datetime | None,
) -> OutcomeReport | None:
    """Return the outcome of the first clock that does not hold."""
    if valid_until is not None and now >= valid_until:
        return OutcomeReport(Outcome.CODE_EXPIRED, scheme=version.id)
    if declaration_until is not None and now >= declaration_until:
        return OutcomeReport(Outcome.DECLARATION_EXPIRED, scheme=version.id)
    if report.source_at is not None and _is_stale(version.clocks, report.source_at, now):
        return _undetermined(version, report)
    return None


def _is_stale(clocks: Clocks, source_at: datetime, now: datetime) -> bool:
    oldest = clocks.source_max_age_seconds
    return oldest is not None and (now - source_at).total_seconds() > oldest


def life_end(life: Life | None, report: LocalReport, zone: ZoneInfo) -> datetime | None:
    """Return when a life ends, exclusive; None where there is no life or no start."""
    if life is None:
        return None
    if life.start is ClockStart.ASSESSED_AT:
        start = report.assessed_at
    else:
        is_source = life.start is ClockStart.SOURCE_AT
        start = report.source_at if is_source else report.declared_at
    if start is None:
        return None
    if life.length is not None:
        return start + life.length
    next_day = start.astimezone(zone).date() + timedelta(days=1)
    return datetime(next_day.year, next_day.month, next_day.day, tzinfo=zone).astimezone(UTC)


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _basis(
    version: SchemeVersion, always: frozenset[Basis], report: LocalReport
) -> frozenset[Basis]:
    basis = always | report.basis
    for hint in version.reasons:
        if report.reason and hint.contains in report.reason:
            basis |= hint.basis
    return basis


def _release(days_needed: int | None, report: LocalReport) -> Release | None:
    days_done = report.release_days_done
    if days_needed is None or days_done is None or not 0 <= days_done <= _MAX_DAYS:
        return None
    return Release(days_done, days_needed)


def _first_state(reports: Sequence[LocalReport]) -> str | None:
    return reports[0].state[:_MAX_STATE] or None if reports else None
