"""Synthetic unified codes for property tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from gateway.codes.itinerary import MAX_WINDOW_DAYS, Itinerary, Place
from gateway.codes.levels import RESTRICTIVENESS, Basis, Level, TriState
from gateway.codes.unified import Declarations, Release, UnifiedCode

MOMENTS = st.integers(0, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
DIVISIONS = st.sampled_from(["330100", "330106", "330200", "440100", "420100", "500000"])
STATES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
SCHEMES = st.sampled_from(["hz-jkm@2020-02", "gz-skm@v2", "gd-ykm@2020-02"])
_ANSWERS = st.sampled_from(TriState)

REPORTS = st.builds(
    UnifiedCode,
    level=st.sampled_from(Level),
    scheme=SCHEMES,
    state=STATES,
    assessed_at=MOMENTS,
    source_at=MOMENTS,
    issued_by=DIVISIONS,
    basis=st.frozensets(st.sampled_from(Basis)),
    valid_until=st.none() | MOMENTS,
    declared_at=st.none() | MOMENTS,
    declaration_valid_until=st.none() | MOMENTS,
    release=st.none() | st.builds(Release, st.integers(0, 366), st.integers(1, 366)),
    area=st.none() | DIVISIONS,
    declarations=st.none() | st.builds(Declarations, _ANSWERS, _ANSWERS, _ANSWERS),
    rule=st.none() | STATES,
    negative_test_at=st.none() | MOMENTS,
)

ITINERARIES = st.builds(
    Itinerary,
    window_days=st.integers(1, MAX_WINDOW_DAYS),
    as_of=MOMENTS,
    places=st.lists(
        st.builds(Place, DIVISIONS, st.booleans()), max_size=6, unique_by=lambda p: p.division
    ).map(tuple),
)


def gather(reports: list[UnifiedCode]) -> UnifiedCode:
    """One unified code of several reports, the most restrictive first."""
    first, *others = sorted(reports, key=lambda report: -RESTRICTIVENESS[report.level])
    return replace(first, also=tuple(others))


UNIFIED_CODES = st.lists(REPORTS, min_size=1, max_size=4).map(gather)
