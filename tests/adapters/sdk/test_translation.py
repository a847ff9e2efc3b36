from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.sdk import LocalReport, OutcomeReport, check_vectors, run_vectors, translate
from gateway.codes.levels import RESTRICTIVENESS, Basis, Level, Outcome
from gateway.codes.schemes import SchemeError, load_scheme
from gateway.codes.unified import Release, UnifiedCode
from tests.codes.scheme_samples import SCHEME, VECTORS

EX = load_scheme(SCHEME.encode(), vectors=VECTORS.encode())
NOW = datetime(2020, 3, 1, 4, 0, tzinfo=UTC)
LATER = datetime(2020, 4, 1, 4, 0, tzinfo=UTC)
AGO = timedelta(hours=4)


def green(now: datetime = NOW, **changes: Any) -> LocalReport:
    """A record that is green; a test changes one property of it."""
    report = LocalReport(
        state="绿码",
        issued_by="330100",
        assessed_at=now - AGO,
        source_at=now - AGO,
        declared_at=now - timedelta(days=2),
        scope="全域",
    )
    return replace(report, **changes)


def outcome_of(report: LocalReport, now: datetime = NOW) -> Outcome:
    result = translate(EX, [report], now)
    assert isinstance(result, OutcomeReport)
    return result.outcome


def code_of(report: LocalReport, now: datetime = NOW) -> UnifiedCode:
    result = translate(EX, [report], now)
    assert isinstance(result, UnifiedCode)
    return result


def test_a_green_record_in_time_is_green_with_all_it_rests_on() -> None:
    code = code_of(green(rule="R7", area="330106"))
    assert code.level is Level.GREEN
    assert code.scheme == "ex-jkm@2020-02"
    assert code.valid_until == NOW - AGO + timedelta(days=1)
    assert code.declaration_valid_until == NOW + timedelta(days=12)
    assert (code.rule, code.area, code.issued_by) == ("R7", "330106", "330100")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"state": "灰码"}, Outcome.CANNOT_DETERMINE),
        ({"state": "green"}, Outcome.CANNOT_DETERMINE),
        ({"state": "绿码 "}, Outcome.CANNOT_DETERMINE),
        ({"state": "未申领"}, Outcome.NOT_APPLIED),
        ({"assessed_at": None}, Outcome.SOURCE_UNPARSABLE),
        ({"source_at": None}, Outcome.SOURCE_UNPARSABLE),
        ({"declared_at": None}, Outcome.SOURCE_UNPARSABLE),
        ({"assessed_at": NOW + timedelta(seconds=61)}, Outcome.SOURCE_UNPARSABLE),
        ({"source_at": NOW + timedelta(seconds=61)}, Outcome.SOURCE_UNPARSABLE),
        ({"declared_at": NOW + timedelta(seconds=61)}, Outcome.SOURCE_UNPARSABLE),
        ({"assessed_at": NOW - timedelta(days=1)}, Outcome.CODE_EXPIRED),
        ({"valid_until": NOW}, Outcome.CODE_EXPIRED),
        ({"declared_at": NOW - timedelta(days=14)}, Outcome.DECLARATION_EXPIRED),
        ({"declaration_valid_until": NOW}, Outcome.DECLARATION_EXPIRED),
        ({"source_at": NOW - timedelta(seconds=172_801)}, Outcome.CANNOT_DETERMINE),
    ],
)
def test_one_thing_that_does_not_hold_makes_an_outcome_of_a_green_record(
    change: dict[str, Any], expected: Outcome
) -> None:
    assert code_of(green()).level is Level.GREEN
    assert outcome_of(green(**change)) is expected


@pytest.mark.parametrize(
    "change",
    [
        {"assessed_at": NOW + timedelta(seconds=60), "source_at": NOW + timedelta(seconds=60)},
        {"assessed_at": NOW - timedelta(days=1) + timedelta(seconds=1)},
        {"valid_until": NOW + timedelta(seconds=1)},
        {"declaration_valid_until": NOW + timedelta(seconds=1)},
        {"source_at": NOW - timedelta(seconds=172_800)},
    ],
)
def test_the_last_moment_that_holds_is_green(change: dict[str, Any]) -> None:
    assert code_of(green(**change)).level is Level.GREEN


def test_the_earlier_of_two_ends_counts() -> None:
    stated = NOW + timedelta(hours=1)
    assert code_of(green(valid_until=stated)).valid_until == stated
    far = NOW + timedelta(days=30)
    assert code_of(green(valid_until=far)).valid_until == NOW - AGO + timedelta(days=1)


def test_a_code_that_ends_with_the_day_ends_at_midnight_of_the_schemes_zone() -> None:
    # 23:59 of 1 April in Shanghai is 15:59 UTC.
    midnight = datetime(2020, 4, 1, 16, tzinfo=UTC)
    before = midnight - timedelta(seconds=1)
    assert code_of(green(before), before).valid_until == midnight
    late = replace(green(before), assessed_at=before - AGO)
    assert outcome_of(late, midnight) is Outcome.CODE_EXPIRED


def test_another_scope_than_the_scheme_knows_cannot_be_determined() -> None:
    assert code_of(green(LATER), LATER).level is Level.GREEN
    assert outcome_of(green(LATER, scope="本域内"), LATER) is Outcome.CANNOT_DETERMINE
    assert outcome_of(green(LATER, scope=None), LATER) is Outcome.CANNOT_DETERMINE


def test_the_same_word_means_what_the_version_in_force_says() -> None:
    assert code_of(green(state="红码")).level is Level.RED
    assert code_of(green(LATER, state="红码"), LATER).level is Level.RESTRICTED
    assert outcome_of(green(LATER, state="黄码"), LATER) is Outcome.CANNOT_DETERMINE


def test_outside_every_version_nothing_is_determined() -> None:
    past = datetime(2020, 2, 1, tzinfo=UTC)
    result = translate(EX, [green(past)], past)
    assert result == OutcomeReport(Outcome.CANNOT_DETERMINE, state="绿码")


def test_an_unknown_state_is_carried_raw_and_bounded() -> None:
    result = translate(EX, [green(state="灰" * 200)], NOW)
    assert isinstance(result, OutcomeReport)
    assert result.state == "灰" * 64


def test_basis_comes_from_record_state_and_reason_together() -> None:
    report = green(state="黄码", basis=frozenset({Basis.TEST}), reason="系原密接人员")
    assert code_of(report).basis == {Basis.SPACE, Basis.TEST, Basis.CONTACT}


def test_days_done_meet_the_days_the_scheme_needs() -> None:
    assert code_of(green(state="黄码", release_days_done=3)).release == Release(3, 7)
    assert code_of(green(state="绿码", release_days_done=3)).release is None
    assert code_of(green(state="黄码", release_days_done=400)).release is None
    stated = Release(1, 2)
    assert code_of(green(state="黄码", release=stated)).release == stated


def test_no_record_is_not_found_and_too_many_are_unparsable() -> None:
    assert translate(EX, [], NOW) == OutcomeReport(Outcome.NOT_FOUND, scheme="ex-jkm@2020-02")
    assert isinstance(translate(EX, [green()] * 16, NOW), UnifiedCode)
    result = translate(EX, [green()] * 17, NOW)
    assert isinstance(result, OutcomeReport)
    assert result.outcome is Outcome.SOURCE_UNPARSABLE


def test_one_record_that_is_no_level_makes_the_whole_answer_that_outcome() -> None:
    stale = green(source_at=NOW - timedelta(days=9))
    for reports in ([green(), stale], [stale, green()], [green(state="红码"), stale]):
        result = translate(EX, reports, NOW)
        assert isinstance(result, OutcomeReport)
        assert result.outcome is Outcome.CANNOT_DETERMINE


def test_nothing_of_a_person_is_in_the_repr() -> None:
    shown = repr(green(state="红码", reason="synthetic reason", rule="R7"))
    assert "红码" not in shown
    assert "synthetic" not in shown
    assert "2020" not in shown
    assert {f.name for f in fields(LocalReport)} >= {"state", "reason", "rule"}


def test_vectors_that_come_out_pass_and_one_that_does_not_is_named() -> None:
    check_vectors(EX)
    wrong = VECTORS.replace("expect: {outcome: CODE_EXPIRED}", "expect: {level: GREEN}")
    scheme = load_scheme(SCHEME.encode(), vectors=wrong.encode())
    with pytest.raises(SchemeError, match="expired: expected GREEN, got CODE_EXPIRED"):
        check_vectors(scheme)
    assert [result.name for result in run_vectors(scheme) if not result.passed] == ["expired"]


moments = st.none() | st.integers(-23_000_000, 40_000_000).map(
    lambda seconds: NOW + timedelta(seconds=seconds)
)
near = st.integers(-200_000, 200_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
records = st.builds(
    LocalReport,
    state=st.sampled_from(["绿码", "黄码", "红码", "未申领", "灰码", "", "GREEN", "1"]),
    issued_by=st.just("330100"),
    assessed_at=moments | near,
    source_at=moments | near,
    valid_until=moments | near,
    declared_at=moments | near,
    declaration_valid_until=moments | near,
    reason=st.none() | st.text(max_size=12),
    scope=st.sampled_from([None, "全域", "本域内"]),
    release_days_done=st.none() | st.integers(-5, 500),
)
nows = st.integers(-5_000_000, 8_000_000).map(lambda s: NOW + timedelta(seconds=s)) | near


def holds(report: LocalReport, now: datetime) -> bool:
    """Whether the promise allows GREEN, spelt out once more from the samples' own words."""
    if report.state != "绿码" or report.assessed_at is None or report.source_at is None:
        return False
    dates = [report.assessed_at, report.source_at, report.declared_at]
    if any(moment and moment > now + timedelta(seconds=60) for moment in dates):
        return False
    if any(end and now >= end for end in (report.valid_until, report.declaration_valid_until)):
        return False
    change = datetime(2020, 3, 24, tzinfo=UTC)
    if datetime(2020, 2, 10, 16, tzinfo=UTC) <= now < change:
        return (
            report.declared_at is not None
            and now < report.assessed_at + timedelta(days=1)
            and now < report.declared_at + timedelta(days=14)
            and now - report.source_at <= timedelta(seconds=172_800)
        )
    shanghai = timedelta(hours=8)
    return (
        now >= change
        and report.scope == "全域"
        and (now + shanghai).date() <= (report.assessed_at + shanghai).date()
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(records, max_size=5), nows)
@example([green()], NOW)
@example([green(LATER)], LATER)
def test_faults_are_never_green_and_green_is_never_more_than_promised(
    reports: list[LocalReport], now: datetime
) -> None:
    result = translate(EX, reports, now)
    if isinstance(result, OutcomeReport):
        return
    assert len(result.reports) == len(reports)
    restrictiveness = [RESTRICTIVENESS[code.level] for code in result.reports]
    assert restrictiveness == sorted(restrictiveness, reverse=True)
    assert sorted(code.state for code in result.reports) == sorted(r.state for r in reports)
    if result.level is Level.GREEN:
        assert reports
        assert all(holds(report, now) for report in reports)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 86_400 * 3), st.integers(0, 86_400 * 20), st.integers(0, 86_400 * 3))
def test_a_green_record_is_green_exactly_while_it_holds(
    assessed: int, declared: int, updated: int
) -> None:
    report = green(
        assessed_at=NOW - timedelta(seconds=assessed),
        declared_at=NOW - timedelta(seconds=declared),
        source_at=NOW - timedelta(seconds=updated),
    )
    result = translate(EX, [report], NOW)
    assert isinstance(result, UnifiedCode) == holds(report, NOW)
