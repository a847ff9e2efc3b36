from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.sdk import Breaker, RetryBudget
from adapters.sdk.breaker import BreakerState


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures=2, open_seconds=5, clock=clock)
    for _ in range(2):
        assert breaker.refusal_seconds() is None
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_does_not(clock: Clock) -> None:
    breaker = Breaker(failures=2, open_seconds=5, clock=clock)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.state is BreakerState.CLOSED
    breaker.failed()
    assert breaker.state is BreakerState.OPEN


def test_open_it_says_how_long(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 2
    assert breaker.refusal_seconds() == 3


def test_half_open_it_lets_one_call_through(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 5
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.refusal_seconds() is None
    assert breaker.refusal_seconds() is not None
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.refusal_seconds() is None


def test_a_probe_that_fails_opens_it_again_and_one_that_is_abandoned_lets_the_next_try(
    clock: Clock,
) -> None:
    breaker = opened(clock)
    clock.now += 5
    assert breaker.refusal_seconds() is None
    breaker.abandoned()
    assert breaker.refusal_seconds() is None
    breaker.failed()
    assert breaker.state is BreakerState.OPEN
    assert breaker.refusal_seconds() == 5


def test_retries_are_a_fraction_of_calls() -> None:
    budget = RetryBudget(ratio=0.5, capacity=2)
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.withdraw()
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]


class BreakerMachine(RuleBasedStateMachine):
    """Never more than one call while half-open, never one while open."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(failures=3, open_seconds=10, clock=self.clock)
        self.flying: list[BreakerState] = []

    @rule(seconds=st.floats(0.1, 12))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def call(self) -> None:
        before = self.breaker.state
        if self.breaker.refusal_seconds() is None:
            assert before is not BreakerState.OPEN
            if before is BreakerState.HALF_OPEN:
                assert BreakerState.HALF_OPEN not in self.flying
            self.flying.append(before)
        else:
            assert before is not BreakerState.CLOSED

    @precondition(lambda self: self.flying)
    @rule(end=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def end(self, end: str) -> None:
        # The probe ends first; an older call that ends later is drawn as well.
        probes = [place for place, s in enumerate(self.flying) if s is BreakerState.HALF_OPEN]
        self.flying.pop(probes[0] if probes else 0)
        getattr(self.breaker, end)()

    @invariant()
    def known_state(self) -> None:
        assert self.breaker.state in BreakerState


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
