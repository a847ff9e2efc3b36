"""Evidence that is no level, records of other regions, and the test that travels along."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk import LocalReport, OutcomeReport, translate
from gateway.codes.itinerary import Itinerary, Place
from gateway.codes.levels import Level, Outcome
from gateway.codes.schemes import load_scheme
from gateway.codes.unified import UnifiedCode
from tests.codes.scheme_samples import SCHEME, VECTORS

NOW = datetime(2020, 3, 1, 4, 0, tzinfo=UTC)
AGO = timedelta(hours=4)

_EVIDENCE = SCHEME.replace("outcome: NOT_APPLIED", "outcome: EVIDENCE_ONLY", 1)
EX = load_scheme(
    _EVIDENCE.encode(), vectors=VECTORS.replace("NOT_APPLIED", "EVIDENCE_ONLY").encode()
)
FOREIGN = load_scheme(
    SCHEME.replace(
        "    several: report_all\n", "    several: report_all\n    foreign: leave_out_green\n", 1
    ).encode(),
    vectors=VECTORS.encode(),
)

PLACES = Itinerary(14, NOW - AGO, (Place("330100", starred=True), Place("110000")))


def evidence(**changes: Any) -> LocalReport:
    """A record that is evidence; a test changes one property of it."""
    report = LocalReport(
        state="未申领",
        issued_by="330100",
        assessed_at=NOW - AGO,
        source_at=NOW - AGO,
        declared_at=NOW - AGO,
        itinerary=PLACES,
    )
    return replace(report, **changes)


def record(state: str = "绿码", issued_by: str = "330100", **changes: Any) -> LocalReport:
    return evidence(state=state, issued_by=issued_by, itinerary=None, **changes)


def test_evidence_is_handed_on_with_its_raw_state_and_its_places() -> None:
    assert translate(EX, [evidence()], NOW) == OutcomeReport(
        Outcome.EVIDENCE_ONLY, state="未申领", scheme="ex-jkm@2020-02", itinerary=PLACES
    )


def test_evidence_may_come_without_a_date_and_without_places() -> None:
    bare = LocalReport(state="未申领", issued_by="330100")
    result = translate(EX, [bare], NOW)
    assert isinstance(result, OutcomeReport)
    assert (result.outcome, result.itinerary) == (Outcome.EVIDENCE_ONLY, None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"assessed_at": NOW + timedelta(seconds=61)}, Outcome.SOURCE_UNPARSABLE),
        ({"source_at": NOW + timedelta(seconds=61)}, Outcome.SOURCE_UNPARSABLE),
        ({"declared_at": NOW + timedelta(seconds=61)}, Outcome.SOURCE_UNPARSABLE),
        (
            {"itinerary": replace(PLACES, as_of=NOW + timedelta(days=1, seconds=61))},
            Outcome.SOURCE_UNPARSABLE,
        ),
        ({"source_at": NOW - timedelta(seconds=172_801)}, Outcome.CANNOT_DETERMINE),
        ({"valid_until": NOW}, Outcome.CODE_EXPIRED),
        ({"assessed_at": NOW - timedelta(days=1)}, Outcome.CODE_EXPIRED),
        ({"declaration_valid_until": NOW}, Outcome.DECLARATION_EXPIRED),
    ],
)
def test_evidence_of_which_a_moment_does_not_hold_is_none(
    change: dict[str, Any], expected: Outcome
) -> None:
    result = translate(EX, [evidence(**change)], NOW)
    assert isinstance(result, OutcomeReport)
    assert (result.outcome, result.itinerary) == (expected, None)


def test_the_day_of_today_may_be_the_newest_that_places_are_told_for() -> None:
    today = replace(PLACES, as_of=NOW + timedelta(days=1))
    result = translate(EX, [evidence(itinerary=today)], NOW)
    assert isinstance(result, OutcomeReport)
    assert result.itinerary == today


@pytest.mark.parametrize("state", ["绿码", "红码"])
def test_evidence_beside_a_level_is_evidence_and_no_level(state: str) -> None:
    result = translate(EX, [record(state), evidence()], NOW)
    assert isinstance(result, OutcomeReport)
    assert result.outcome is Outcome.EVIDENCE_ONLY


def test_places_in_a_record_with_a_level_go_no_further() -> None:
    result = translate(EX, [evidence(state="绿码")], NOW)
    assert isinstance(result, UnifiedCode)
    assert result.level is Level.GREEN


def test_the_time_of_a_negative_test_travels_with_the_code() -> None:
    sampled = NOW - timedelta(days=3)
    result = translate(EX, [record(negative_test_at=sampled)], NOW)
    assert isinstance(result, UnifiedCode)
    assert result.negative_test_at == sampled
    several = translate(EX, [record(), record("红码", negative_test_at=sampled)], NOW)
    assert isinstance(several, UnifiedCode)
    assert (several.level, several.negative_test_at) == (Level.RED, sampled)
    assert several.also[0].negative_test_at is None


def test_a_test_of_tomorrow_is_not_believed() -> None:
    result = translate(EX, [record(negative_test_at=NOW + timedelta(seconds=61))], NOW)
    assert isinstance(result, OutcomeReport)
    assert result.outcome is Outcome.SOURCE_UNPARSABLE


def test_a_foreign_green_is_left_out_and_says_nothing() -> None:
    own = record("黄码")
    result = translate(FOREIGN, [record(issued_by="420100"), own, record(issued_by="110000")], NOW)
    assert isinstance(result, UnifiedCode)
    assert (result.level, result.also) == (Level.YELLOW, ())
    assert result == translate(FOREIGN, [own], NOW)


@pytest.mark.parametrize(
    "foreign",
    [
        record("红码", "420100"),
        record("黄码", "420100"),
        record("未申领", "420100"),
        record("灰码", "420100"),
        record("绿码", "420100", valid_until=NOW),
        record("绿码", "420100", source_at=None),
    ],
    ids=["red", "yellow", "outcome", "unknown", "expired", "undated"],
)
def test_a_foreign_record_that_is_not_green_leaves_nothing_determined(foreign: LocalReport) -> None:
    result = translate(FOREIGN, [record(), foreign], NOW)
    assert isinstance(result, OutcomeReport)
    assert (result.outcome, result.state) == (Outcome.CANNOT_DETERMINE, foreign.state)


def test_green_everywhere_else_says_nothing_about_here() -> None:
    result = translate(FOREIGN, [record(issued_by="420100")], NOW)
    assert result == OutcomeReport(Outcome.CANNOT_DETERMINE, scheme="ex-jkm@2020-02")


def test_without_the_member_a_foreign_record_stands_as_any_other() -> None:
    result = translate(EX, [record(), record("红码", "420100")], NOW)
    assert isinstance(result, UnifiedCode)
    assert [code.issued_by for code in result.reports] == ["420100", "330100"]


REPORTS = st.builds(
    record,
    state=st.sampled_from(["绿码", "黄码", "红码", "未申领", "灰码"]),
    issued_by=st.sampled_from(["330100", "330106", "420100", "110000"]),
    source_at=st.sampled_from([None, NOW - AGO, NOW - timedelta(days=9), NOW + AGO]),
)


@given(st.lists(REPORTS, max_size=5))
def test_green_comes_only_of_green_records_of_which_one_is_our_own(
    reports: list[LocalReport],
) -> None:
    result = translate(FOREIGN, reports, NOW)
    if isinstance(result, UnifiedCode) and result.level is Level.GREEN:
        assert {report.state for report in reports} == {"绿码"}
        assert any(report.issued_by.startswith("3301") for report in reports)
        assert all(code.issued_by.startswith("3301") for code in result.reports)


@given(st.lists(REPORTS | st.builds(evidence), max_size=5))
def test_evidence_is_never_a_level_nor_part_of_one(reports: list[LocalReport]) -> None:
    result = translate(EX, reports, NOW)
    if any(report.state == "未申领" for report in reports):
        assert isinstance(result, OutcomeReport)
    if isinstance(result, OutcomeReport) and result.itinerary is not None:
        assert result.outcome is Outcome.EVIDENCE_ONLY
