"""The suite towards a verifier under test: worlds in, answers out (docs/spec/verifier.md).

A verifier is a library, so it is driven through a harness: a program of the
implementer's, in any language, that reads one request a line on standard input and
writes one answer a line on standard output. A request stands for itself: trust anchor,
what came of the feed, status lists, the attestation, who reads, and what the time is.
"""

from __future__ import annotations

import asyncio
import functools
import json
import shlex
from typing import TYPE_CHECKING, Any, Protocol, Self

from conformance_tests.model import Case, CheckFailedError, Observed
from conformance_tests.peer.verifier import ReferenceVerifier
from conformance_tests.profile import ProfileError
from conformance_tests.vectors.plan import VerifierPlan
from conformance_tests.vectors.world import World, build

if TYPE_CHECKING:
    from types import TracebackType

    from conformance_tests.profile import Profile

ANSWER_SECONDS = 30.0
"""A verification takes a millisecond; a harness may have to start first."""
_MAX_LINE_BYTES = 1 << 20
REFERENCE = "reference"
"""Harness of a profile that means the reference verifier, in this process."""


class Harness(Protocol):
    """Whatever answers requests."""

    async def start(self) -> None:
        """Make ready."""

    async def ask(self, request: dict[str, Any]) -> Any:
        """Answer one request."""

    async def stop(self) -> None:
        """Leave nothing behind."""


class InProcess:
    """The reference verifier without a process around it."""

    def __init__(self, fault: str = "") -> None:
        self._verifier = ReferenceVerifier(fault)

    async def start(self) -> None:
        """Nothing to do."""

    async def ask(self, request: dict[str, Any]) -> Any:
        """Answer as the process would."""
        return {"id": request["id"], **self._verifier.answer(request)}

    async def stop(self) -> None:
        """Nothing to do."""


class Subprocess:
    """A program of the implementer's."""

    def __init__(self, command: str, folder: str) -> None:
        self._command = shlex.split(command)
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it.

        Raises:
            ProfileError: there is no such program.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=self._folder,
                limit=_MAX_LINE_BYTES,
            )
        except (OSError, IndexError) as error:
            raise ProfileError("the harness does not start; check `harness`") from error

    async def ask(self, request: dict[str, Any]) -> Any:
        """Send one line and wait for one.

        Raises:
            ProfileError: it has ended.
            CheckFailedError: it does not answer in time, or not in JSON.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ProfileError("the harness has not been started")
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            line = await asyncio.wait_for(process.stdout.readline(), ANSWER_SECONDS)
        except TimeoutError:
            raise CheckFailedError("the harness does not answer (HT-VER-1)") from None
        except (ConnectionError, ValueError) as error:
            raise ProfileError("the harness ended or wrote too much") from error
        if not line:
            raise ProfileError("the harness ended; a refusal is an answer (HT-VER-1)")
        try:
            return json.loads(line)
        except ValueError:
            raise CheckFailedError("the harness answers with no JSON (HT-VER-1)") from None

    async def stop(self) -> None:
        """Close its input and wait for its end."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), ANSWER_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


class VerifierBench:
    """Builds the worlds of the cases and holds the answers against them."""

    def __init__(self, profile: Profile) -> None:
        command = profile.target
        self._harness: Harness
        if command == REFERENCE:
            self._harness = InProcess(profile.entries.get("fault", ""))
        else:
            self._harness = Subprocess(command, str(profile.folder))
        self._asked = 0

    async def __aenter__(self) -> Self:
        """Start the harness."""
        await self._harness.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self._harness.stop()

    async def exchange(self, case: Case) -> Observed:
        """Ask one request, sound but for the case's change."""
        world = world_of(case)
        self._asked += 1
        answer = await self._harness.ask({"id": str(self._asked), **world.request})
        if not isinstance(answer, dict) or answer.get("id") != str(self._asked):
            raise CheckFailedError("not the answer to this request (HT-VER-1)")
        return observed(world, answer)

    async def scenario(self, name: str) -> Observed:
        """The role has none: a world says everything.

        Raises:
            KeyError: always.
        """
        raise KeyError(name)


def world_of(case: Case) -> World:
    """The world of a case; of its sound twin, if the change is left out."""
    change = json.dumps([dict(case.given), dict(case.change)], sort_keys=True)
    return _world(change)


@functools.lru_cache(1024)
def _world(change: str) -> World:
    given, changed = json.loads(change)
    return build(VerifierPlan().changed(given).changed(changed))


def observed(world: World, answer: dict[str, Any]) -> Observed:
    """Read an answer: what became of the feed, and of the attestation, the last time."""
    if world.after is None:
        return _reading(world, answer)
    first = _reading(world, answer)
    if first.notes or (first.value if first.kind == "item error" else "") != world.first:
        found = first.notes[0] if first.notes else f"{first.kind} {first.value}"
        return Observed(kind="answer", notes=(f"the first of two readings: {found}",))
    later = answer.get("later")
    if not isinstance(later, list) or len(later) != 1 or not isinstance(later[0], dict):
        raise CheckFailedError("not one answer for each later reading (HT-VER-8)")
    return _reading(world.after, later[0])


def _reading(world: World, answer: dict[str, Any]) -> Observed:
    steps = answer.get("feed")
    if not isinstance(steps, list) or len(steps) != len(world.request["feed"]):
        raise CheckFailedError("not one result for each step of the feed (HT-VER-2)")
    notes = [
        f"a sound step of the feed was refused with {reason}"
        for place, reason in enumerate(steps)
        if reason is not None and place != world.refused
    ]
    taken_in = world.refused is not None and steps[world.refused] is None
    held = (answer.get("sequence"), answer.get("live"))
    if held != (world.sequence, world.live) and not taken_in:
        notes.append("holds another state than the one that the feed leads to (HT-VER-4)")
    notes += _ages(world, answer)
    if world.listed is not None:
        return _catalogued(world, answer, tuple(notes))
    if world.refused is not None:
        if taken_in:
            return Observed(kind="answer", value="taken in", notes=tuple(notes))
        if world.refused and answer.get("ok") is not True:
            notes.append("the refused step changed what is believed (HT-FEED-5)")
        return Observed(kind="item error", value=str(steps[world.refused]), notes=tuple(notes))
    if answer.get("ok") is not True:
        reason = str(answer.get("reason") or "no reason")
        return Observed(kind="item error", value=reason, notes=tuple(notes))
    if answer.get("issuer") != world.issuer:
        notes.append("names another issuer (HT-VER-3)")
    return Observed(kind="level", value=str(answer.get("level")), notes=tuple(notes))


def _ages(world: World, answer: dict[str, Any]) -> list[str]:
    found = []
    if world.as_of is not None and answer.get("as_of") != world.as_of:
        found.append("tells another age than the newest word of the hub (HT-FEED-8)")
    if world.status_as_of is not None and answer.get("status_as_of") != world.status_as_of:
        found.append("tells another age of the status (HT-DEC-12)")
    if world.trust_as_of is not None and answer.get("trust_as_of") != world.trust_as_of:
        found.append("tells another age of trust (HT-FED-11)")
    return found


def _catalogued(world: World, answer: dict[str, Any], notes: tuple[str, ...]) -> Observed:
    """What became of the last catalogue, and how many are listed after it."""
    said = answer.get("catalogues")
    if not isinstance(said, list) or len(said) != len(world.request["catalogues"]):
        raise CheckFailedError("not one result for each catalogue (HT-VER-9)")
    if any("refused" in each for each in said[:-1]):
        notes = (*notes, "a sound file before the last was refused (HT-CAT-4)")
    last, listed = said[-1], answer.get("listed")
    if "refused" in last:
        if listed != world.listed:
            notes = (*notes, "a refused file changed what is listed (HT-CAT-5)")
        return Observed(kind="item error", value=str(last["refused"]), notes=notes)
    told = "repeat" if last.get("repeat") else " ".join(last.get("rows", ())) or "no rows"
    return Observed(kind="outcome", value=f"{told}, {listed} listed", notes=notes)
