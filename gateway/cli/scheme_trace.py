"""Why a local report translates as it does: the rule, its line, every clock.

The answer itself always comes from the translation engine
(:func:`adapters.sdk.translation.translate`). This module only says which of its
steps decided, and shows of the report what :mod:`gateway.cli.scheme_mask` allows.
Its checks stand in the order of the engine; the first that fails with the engine's
own outcome is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from adapters.sdk.reports import OutcomeReport
from adapters.sdk.translation import life_end, translate
from gateway.cli.scheme_mask import shown, shown_scope
from gateway.cli.scheme_words import age, duration, life_words, moment
from gateway.codes.levels import Level, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from adapters.sdk.reports import LocalReport
    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import Life, SchemeVersion, StateRule
    from gateway.codes.unified import UnifiedCode


@dataclass(frozen=True, slots=True)
class Check:
    """One condition on a report.

    Attributes:
        name: what is checked.
        holds: whether it does; None: there is nothing to check.
        text: what was found.
        line: line of ``scheme.yaml`` that sets it; 0: a rule of every scheme.
        outcome: what the answer is where it does not hold.
    """

    name: str
    holds: bool | None
    text: str
    line: int = 0
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """A word of the scheme that was found in the free text."""

    contains: str
    basis: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class RecordTrace:
    """How one report translates.

    Attributes:
        state: the state, or its shape where the scheme does not know it.
        rule_line: line of the state's rule; 0: none.
        maps_to: level or outcome of the rule; None: there is no rule.
        meaning_zh: of the rule.
        meaning_en: of the rule.
        hints: words found in the free text.
        checks: conditions, in the order in which they are looked at.
        result: the level or the outcome of this report alone.
        because: why, in one sentence.
        left_out: whether it stands in no answer (a green record of elsewhere).
    """

    state: str
    rule_line: int
    maps_to: str | None
    meaning_zh: str
    meaning_en: str
    hints: tuple[Hint, ...]
    checks: tuple[Check, ...]
    result: str
    because: str
    left_out: bool = False


_DATES: Final = ("assessed_at", "source_at", "declared_at")
_DAY: Final = timedelta(days=1)
"""An itinerary counts up to the end of a day, which may be today."""


def trace_record(
    city: City, version: SchemeVersion, report: LocalReport, now: datetime
) -> RecordTrace:
    """Translate one report alone and say why it came out so."""
    rule = version.states.get(report.state)
    alone = replace(city.scheme, versions=(replace(version, foreign=None),))
    got = translate(alone, [report], now)
    known = {word for one in city.scheme.versions for word in one.states}
    state = shown(report.state, known)
    line = city.version_line(version, "states", report.state) if rule else 0
    checks = _checks(city, version, report, now, rule)
    result = _result(got)
    failed = next((check for check in checks if check.holds is False), None)
    if failed is not None and str(failed.outcome) == result:
        because = failed.text
    elif rule is not None:
        because = f"the scheme maps {state} to {result} (line {line})"
    else:
        because = "no check says why; the engine decided"
    return RecordTrace(
        state=state,
        rule_line=line,
        maps_to=str(rule.level or rule.outcome) if rule else None,
        meaning_zh=rule.meaning_zh if rule else "",
        meaning_en=rule.meaning_en if rule else "",
        hints=_hints(city, version, report),
        checks=tuple(checks),
        result=result,
        because=because,
        left_out=_is_foreign(city, version, report) and result == Level.GREEN,
    )


def because_of(
    city: City,
    version: SchemeVersion,
    reports: Sequence[LocalReport],
    records: Sequence[RecordTrace],
    got: UnifiedCode | OutcomeReport,
) -> list[str]:
    """Say why the answer about a person is what it is, given each of the records."""
    if not reports:
        return ["the platform answered, and holds no record of this person"]
    if not records:
        return [f"{len(reports)} records are more than an answer may hold"]
    reasons: list[str] = []
    for place, (report, record) in enumerate(zip(reports, records, strict=True), start=1):
        foreign = _is_foreign(city, version, report)
        if foreign and record.left_out:
            reasons.append(f"record {place} is green and issued elsewhere: left out")
        elif foreign or record.result not in tuple(Level):
            text = "is not green and was issued elsewhere" if foreign else record.because
            lead = f"record {place}: " if len(reports) > 1 else ""
            reasons.append(f"{lead}{text}")
            if len(reports) > 1:
                reasons.append("an answer that left it out would claim to be complete")
            return reasons
    if isinstance(got, OutcomeReport):
        reasons.append("no record of its own is left")
    elif got.also:
        reasons.append(f"of {len(got.reports)} records the most restrictive stands first")
    if not reasons and records:
        reasons.append(records[0].because)
    return reasons


def cannot_sign(city: City, got: UnifiedCode) -> str | None:
    """Say why the authority cannot attest a code; None: it can."""
    others = sorted(
        {one.issued_by for one in got.reports if not one.issued_by.startswith(city.scheme.prefixes)}
    )
    if not others:
        return None
    return (
        f"a record was issued by {', '.join(others)}, and {city.scheme.authority} signs for "
        f"{', '.join(city.scheme.prefixes)} only (line {city.line('prefixes')})"
    )


def _is_foreign(city: City, version: SchemeVersion, report: LocalReport) -> bool:
    return version.foreign is not None and not report.issued_by.startswith(city.scheme.prefixes)


def _result(got: UnifiedCode | OutcomeReport) -> str:
    return str(got.outcome if isinstance(got, OutcomeReport) else got.level)


def _checks(
    city: City, version: SchemeVersion, report: LocalReport, now: datetime, rule: StateRule | None
) -> list[Check]:
    """Every condition, in the order of the engine."""
    checks = [_known(city, version, report, rule)]
    if version.scopes is not None:
        checks.append(_scope(city, version, report))
    evidence = rule is not None and rule.outcome is Outcome.EVIDENCE_ONLY
    if rule is None or (rule.level is None and not evidence):
        return checks
    if not evidence:
        checks.extend(_present(city, version, report))
    checks.append(_not_ahead(city, version, report, now, is_evidence=evidence))
    clocks = version.clocks
    for name, life, stated, outcome in (
        ("code", clocks.code, report.valid_until, Outcome.CODE_EXPIRED),
        (
            "declaration",
            clocks.declaration,
            report.declaration_valid_until,
            Outcome.DECLARATION_EXPIRED,
        ),
    ):
        checks.append(_end(city, version, report, now, name, life, stated, outcome))
    checks.append(_fresh(city, version, report, now))
    return checks


def _known(
    city: City, version: SchemeVersion, report: LocalReport, rule: StateRule | None
) -> Check:
    if rule is not None:
        line = city.version_line(version, "states", report.state)
        return Check("state", True, f"{report.state} is mapped", line)
    near = _nearest(report.state, tuple(version.states))
    hint = f"; did it mean {near}?" if near else ""
    text = f"the state is none of {', '.join(version.states)}{hint}"
    line = city.version_line(version, "states")
    return Check("state", False, text, line, Outcome.CANNOT_DETERMINE)


def _nearest(state: str, known: Sequence[str]) -> str | None:
    """A known state that differs in blanks, width or case only."""
    from unicodedata import normalize

    def plain(text: str) -> str:
        return "".join(normalize("NFKC", text).split()).casefold()

    return next((word for word in known if plain(word) == plain(state)), None)


def _scope(city: City, version: SchemeVersion, report: LocalReport) -> Check:
    known = version.scopes or frozenset()
    line = city.version_line(version, "scopes")
    if report.scope in known:
        return Check("scope", True, f"{report.scope} is a scope of the scheme", line)
    found = "no scope"
    if report.scope is not None:
        found = f"the scope {shown_scope(report.scope, report.issued_by, known)}"
    text = f"{found}, and the scheme speaks for {', '.join(sorted(known))} only"
    return Check("scope", False, text, line, Outcome.CANNOT_DETERMINE)


def _present(city: City, version: SchemeVersion, report: LocalReport) -> list[Check]:
    needed = {"assessed_at": 0, "source_at": 0}
    if version.clocks.needs_declaration:
        needed["declared_at"] = city.version_line(version, "clocks")
    missing = [name for name in needed if getattr(report, name) is None]
    if not missing:
        return [Check("dates", True, f"{', '.join(needed)} are there")]
    return [
        Check(
            "dates",
            False,
            f"{name} is missing, and nothing stands in for a date",
            needed[name],
            Outcome.SOURCE_UNPARSABLE,
        )
        for name in missing
    ]


def _not_ahead(
    city: City, version: SchemeVersion, report: LocalReport, now: datetime, *, is_evidence: bool
) -> Check:
    leeway = version.clocks.future_leeway_seconds
    line = city.version_line(version, "clocks", "future_leeway_seconds")
    moments = {name: getattr(report, name) for name in _DATES}
    if not is_evidence:
        moments["negative_test_at"] = report.negative_test_at
    elif report.itinerary is not None:
        moments["itinerary"] = report.itinerary.as_of - _DAY
    for name, at in moments.items():
        if at is not None and at > now + version.clocks.leeway:
            text = f"{name} lies {duration((at - now).total_seconds())} ahead; {leeway} s may"
            return Check("future", False, text, line, Outcome.SOURCE_UNPARSABLE)
    return Check("future", True, f"no date lies more than {leeway} s ahead", line)


def _end(
    city: City,
    version: SchemeVersion,
    report: LocalReport,
    now: datetime,
    name: str,
    life: Life | None,
    stated: datetime | None,
    outcome: Outcome,
) -> Check:
    """The end of the code or of the declaration: the earlier of both ways to know it."""
    zone = city.scheme.timezone
    line = city.version_line(version, "clocks", name) if life else 0
    computed = life_end(life, report, zone)
    ends = [end for end in (stated, computed) if end is not None]
    if not ends:
        return Check(name, None, f"no end of the {name} is set or stated", line)
    end = min(ends)
    source = "as the platform states" if end == stated else life_words(life)
    if now >= end:
        text = f"the {name} ended {moment(end, zone)}, {age(end, now)} ({source})"
        return Check(name, False, text, line, outcome)
    text = f"the {name} holds until {moment(end, zone)}, {age(end, now)} ({source})"
    return Check(name, True, text, line)


def _fresh(city: City, version: SchemeVersion, report: LocalReport, now: datetime) -> Check:
    oldest = version.clocks.source_max_age_seconds
    line = city.version_line(version, "clocks", "source_max_age_seconds")
    if oldest is None or report.source_at is None:
        return Check("freshness", None, "no limit to the age of the record", 0)
    seconds = (now - report.source_at).total_seconds()
    text = f"the record is {duration(max(0, seconds))} old; {duration(oldest)} may"
    if seconds > oldest:
        return Check("freshness", False, text, line, Outcome.CANNOT_DETERMINE)
    return Check("freshness", True, text, line)


def _hints(city: City, version: SchemeVersion, report: LocalReport) -> tuple[Hint, ...]:
    if not report.reason:
        return ()
    return tuple(
        Hint(
            hint.contains,
            tuple(sorted(hint.basis)),
            city.version_line(version, "reasons", place),
        )
        for place, hint in enumerate(version.reasons)
        if hint.contains in report.reason
    )
