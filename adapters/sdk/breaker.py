"""What keeps a sick platform from being asked to death: a breaker and a retry budget.

Neither does I/O and neither waits; both are driven by whoever makes the calls.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Stops calls after failures in a row, lets one through after a while.

    Closed: every call may go; ``failures`` in a row open it. Open: no call may
    go for ``open_seconds``. Half-open: one call may go; its success closes the
    breaker, its failure opens it again, its abandonment lets the next one try.

    Args:
        failures: failures in a row that open it.
        open_seconds: how long it stays open.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        open_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        if self._clock() - self._opened_at < self._open_seconds:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    def refusal_seconds(self) -> float | None:
        """Ask for leave to call; None: granted, else seconds until asking may help.

        Whoever was granted leave calls exactly one of ``succeeded``, ``failed``
        and ``abandoned``.
        """
        if self._opened_at is None:
            return None
        left = self._opened_at + self._open_seconds - self._clock()
        if left > 0:
            return left
        if self._probing:
            return self._open_seconds
        self._probing = True
        return None

    def succeeded(self) -> None:
        """Record that the platform answered."""
        self._failures = 0
        self._opened_at = None
        self._probing = False

    def failed(self) -> None:
        """Record that the platform did not answer, or answered that it cannot."""
        self._failures += 1
        if self._probing or self._failures >= self._limit:
            self._opened_at = self._clock()
            self._probing = False

    def abandoned(self) -> None:
        """Record that the caller left before the platform could answer."""
        self._probing = False


class RetryBudget:
    """Lets retries be a fraction of calls, so that a retry storm cannot start.

    Every first call puts ``ratio`` of a token in, every retry takes one out.

    Args:
        ratio: retries per call in the long run.
        capacity: most retries in a row; also what it starts with.
    """

    def __init__(self, *, ratio: float = 0.1, capacity: float = 10.0) -> None:
        self._ratio = ratio
        self._capacity = capacity
        self._tokens = capacity

    def deposit(self) -> None:
        """Record a first call."""
        self._tokens = min(self._capacity, self._tokens + self._ratio)

    def withdraw(self) -> bool:
        """Take leave for one retry; False: the budget is spent."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
