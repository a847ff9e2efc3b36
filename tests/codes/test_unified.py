from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gateway.codes import MAX_ALSO, Level, Release, UnifiedCode, UnifiedCodeError

NOON = datetime(2020, 3, 1, 4, tzinfo=UTC)


def report(level: Level = Level.GREEN, **changes: Any) -> UnifiedCode:
    base = UnifiedCode(level, "hz-jkm@2020-02", "绿码", NOON, NOON, "330100")
    return replace(base, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "hz-jkm"},
        {"scheme": "HZ@1"},
        {"scheme": "h@1"},
        {"scheme": "hz-jkm@2020-02\n"},
        {"state": ""},
        {"state": "码" * 65},
        {"issued_by": "3301"},
        {"issued_by": "33010０"},
        {"issued_by": ""},
        {"area": "33"},
        {"rule": ""},
        {"rule": "r" * 65},
        {"assessed_at": NOON.replace(tzinfo=None)},
        {"source_at": NOON.replace(microsecond=1)},
        {"valid_until": NOON.astimezone(timezone(timedelta(hours=8)))},
        {"declared_at": datetime(1969, 12, 31, tzinfo=UTC)},
    ],
)
def test_each_shape_is_held(changes: dict[str, Any]) -> None:
    with pytest.raises(UnifiedCodeError) as caught:
        report(**changes)
    assert caught.value.code == "UNIFIED_CODE_INVALID"


def test_other_reports_may_not_be_more_restrictive() -> None:
    report(Level.YELLOW, also=(report(), report(Level.YELLOW)))
    with pytest.raises(UnifiedCodeError, match="more restrictive"):
        report(also=(report(Level.YELLOW),))
    with pytest.raises(UnifiedCodeError, match="more restrictive"):
        report(Level.YELLOW, also=(report(Level.RESTRICTED),))


def test_other_reports_are_flat_and_bounded() -> None:
    with pytest.raises(UnifiedCodeError, match="of its own"):
        report(also=(report(also=(report(),)),))
    report(also=(report(),) * MAX_ALSO)
    with pytest.raises(UnifiedCodeError, match="more than"):
        report(also=(report(),) * (MAX_ALSO + 1))


def test_release_days_lie_within_a_year() -> None:
    Release(0, 14)
    for done, needed in ((-1, 14), (0, 0), (367, 14), (1, 367)):
        with pytest.raises(UnifiedCodeError):
            Release(done, needed)


def test_a_code_shows_nothing_of_the_person() -> None:
    code = report(Level.RED, state="红码", rule="contact-1", release=Release(3, 14))
    for secret in ("RED", "红码", "contact-1"):
        assert secret not in repr(code)
    assert "3" not in repr(code.release).partition(" at ")[0].rpartition(".")[2]


def test_reports_gives_the_first_and_the_others() -> None:
    other = report(issued_by="330200")
    code = report(also=(other,))
    assert code.reports == (code, other)
