from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.hub.deadlines import SLOT_SECONDS, DeadlineWheel

times = st.floats(0, 120, allow_nan=False)


@given(st.lists(times, max_size=50), st.lists(times, max_size=20))
def test_every_id_is_named_once_never_early_and_at_most_a_slot_late(
    deadlines: list[float], sweeps: list[float]
) -> None:
    wheel = DeadlineWheel()
    for item, deadline in enumerate(deadlines):
        wheel.slot(deadline).append(item)
    named: set[int] = set()
    for now in [*sorted(sweeps), 130.0]:
        due = wheel.due(now)
        assert not named & set(due)
        named |= set(due)
        assert all(deadlines[item] <= now for item in due)
        assert all(
            item in named
            for item, deadline in enumerate(deadlines)
            if deadline + SLOT_SECONDS + 1e-9 < now
        )
    assert named == set(range(len(deadlines)))
    assert len(wheel) == 0


def test_answered_ids_do_not_pile_up_until_their_deadlines() -> None:
    wheel = DeadlineWheel()
    wheel.slot(60.0).extend(range(100_000))
    alive = {5, 99_999}
    wheel.compact(alive, len(alive))
    assert len(wheel) == 2
    assert wheel.due(61.0) == [5, 99_999]


def test_compacting_spares_the_work_while_most_ids_live() -> None:
    wheel = DeadlineWheel()
    wheel.slot(60.0).extend(range(5_000))
    wheel.compact(range(3_000), 3_000)
    assert len(wheel) == 5_000
