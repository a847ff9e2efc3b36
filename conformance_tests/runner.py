"""Runs the cases of one role against one target, each negative one after its twin."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

from conformance_tests.model import (
    Case,
    CheckFailedError,
    Observed,
    Result,
    Severity,
    Status,
    UntestableError,
    VoidError,
    judge,
)
from conformance_tests.profile import ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from conformance_tests.profile import Profile


class Bench(Protocol):
    """What a role brings: a connection to the target, exchanges and scenarios."""

    def __init__(self, profile: Profile) -> None:
        """Read what the role needs from the profile."""

    async def __aenter__(self) -> Self:
        """Connect."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        ...

    async def exchange(self, case: Case) -> Observed:
        """Do one exchange, sound but for ``case.change``."""
        ...

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario; raise ``CheckFailedError`` on a defect."""
        ...


def _milliseconds(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def twin_of(case: Case) -> Case | None:
    """Return the positive twin: the same exchange without the one change.

    A case without a change, or one that expects an answer, is its own proof.
    """
    negative = {"refused", "refusals"} & set(case.expect)
    if case.scenario is not None or not case.change or not negative:
        return None
    return replace(case, change={}, expect={})


async def run_case(bench: Bench, case: Case, capabilities: frozenset[str]) -> Result:
    """Run one case and never let it end the run."""
    started = time.perf_counter()
    missing = [need for need in case.needs if need not in capabilities]
    if missing:
        return Result(case, Status.NOT_APPLICABLE, f"not declared: {', '.join(missing)}")
    try:
        twin = twin_of(case)
        if twin is not None:
            status, why = judge(twin, await bench.exchange(twin))
            if status is not Status.PASS:
                detail = f"the sound exchange beside it failed: {why}"
                return Result(case, Status.VOID, detail, _milliseconds(started))
        if case.scenario is not None:
            seen = await bench.scenario(case.scenario)
        else:
            seen = await bench.exchange(case)
        status, why = judge(case, seen)
    except CheckFailedError as defect:
        bad = Status.FAIL if case.severity is Severity.MUST else Status.WARN
        status, why = bad, str(defect)
    except VoidError as error:
        status, why = Status.VOID, f"the sound exchange beside it failed: {error}"
    except (UntestableError, ProfileError) as error:
        status, why = Status.UNTESTABLE, str(error)
    except Exception as error:  # noqa: BLE001 - a fault of the suite must not hide the others
        status, why = Status.ERROR, f"{type(error).__name__} in the suite"
    return Result(case, status, why, _milliseconds(started))


async def run_cases(
    profile: Profile,
    bench: Bench,
    cases: Sequence[Case],
    on_result: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Run cases in order on one connection.

    Args:
        profile: the implementer's declaration.
        bench: the role's bench, not yet connected.
        cases: what to run.
        on_result: called after each, for progress.
    """
    results = []
    async with bench:
        for case in cases:
            result = await run_case(bench, case, profile.capabilities)
            on_result(result)
            results.append(result)
    return results
