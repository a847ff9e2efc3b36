from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sdk.errors import QuestionError
from adapters.sdk.replay import WINDOW_SECONDS, NonceWindow


def code_of(window: NonceWindow, nonces: list[bytes], now: float) -> str | None:
    try:
        window.admit(nonces, now)
    except QuestionError as refused:
        return refused.code
    return None


def test_one_nonce_seen_refuses_the_whole_envelope_and_remembers_none_of_it() -> None:
    window = NonceWindow()
    assert code_of(window, [b"a", b"b"], 0) is None
    assert code_of(window, [b"c", b"a"], 1) == "QUESTION_REPLAYED"
    assert code_of(window, [b"c"], 2) is None


def test_when_there_is_no_room_it_refuses_rather_than_forgets() -> None:
    window = NonceWindow(max_nonces=2)
    assert code_of(window, [b"a", b"b"], 0) is None
    assert code_of(window, [b"c"], 10) == "OVERLOADED"
    assert code_of(window, [b"a"], 11) == "QUESTION_REPLAYED"
    assert code_of(window, [b"c"], 4 * WINDOW_SECONDS) is None


def test_after_a_long_quiet_nothing_is_held() -> None:
    window = NonceWindow()
    window.admit([b"a"], 0)
    window.admit([b"b"], 10_000)
    assert len(window) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 90)), max_size=40))
def test_a_nonce_is_never_answered_twice_while_its_question_could_be_fresh(
    steps: list[tuple[int, int]],
) -> None:
    window = NonceWindow()
    accepted: dict[bytes, float] = {}
    now = 0.0
    for name, passed in steps:
        now += passed
        nonce = bytes([name])
        if code_of(window, [nonce], now) is None:
            # Accepted at most a minute early, a question is fresh for two minutes at most.
            assert nonce not in accepted or now - accepted[nonce] >= 2 * WINDOW_SECONDS
            accepted[nonce] = now


@pytest.mark.parametrize("count", [1, 256])
def test_what_is_held_is_what_was_admitted(count: int) -> None:
    window = NonceWindow()
    window.admit([bytes([n % 256, n // 256]) for n in range(count)], 0)
    assert len(window) == count
