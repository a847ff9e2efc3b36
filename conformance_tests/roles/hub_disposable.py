"""Everything that the suite plays at a hub that may be written to, by name.

Nothing here is reached without the capability ``disposable``: the command line gives it
only with ``--disposable``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc

from conformance_tests.roles import calls
from conformance_tests.roles.hub_behind import Behind
from conformance_tests.roles.hub_below import Below
from conformance_tests.roles.hub_between import Between
from conformance_tests.roles.hub_decisions import Decisions
from conformance_tests.roles.hub_desk import Desk
from conformance_tests.roles.hub_keys import Keys
from conformance_tests.roles.hub_played import played_adapter
from conformance_tests.roles.hub_preview import Previews
from conformance_tests.roles.hub_registry import Registry
from conformance_tests.roles.hub_sightings import Sightings
from conformance_tests.roles.hub_status import Statuses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from conformance_tests.model import Observed
    from conformance_tests.profile import Profile
    from conformance_tests.roles.hub_tokens import TokenDoor

ACT = "act"
"""Member of a case's ``given`` that names what is done; the others are properties of it."""


class Disposable:
    """Plays acts and scenarios, each on a clean desk.

    Args:
        desk: at the hub under test.
        parts: what offers acts and scenarios.
    """

    def __init__(self, desk: Desk, *parts: Any) -> None:
        self._desk = desk
        self._acts: dict[str, tuple[Any, Callable[[Any], Awaitable[Observed]]]] = {}
        self._scenarios: dict[str, Callable[[], Awaitable[Observed]]] = {}
        for part in parts:
            self._acts |= getattr(part, "acts", {})
            self._scenarios |= getattr(part, "scenarios", {})

    async def act(self, given: Mapping[str, Any], change: Mapping[str, Any]) -> Observed:
        """Do one act, sound but for the change."""
        sound, play = self._acts[given[ACT]]
        properties = {name: value for name, value in given.items() if name != ACT}
        plan = sound.changed(properties).changed(change)
        try:
            return await play(plan)
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._desk.profile)
            return calls.refusal(error)
        finally:
            await self._desk.clear()

    async def scenario(self, name: str) -> Observed:
        """Play a scenario.

        Raises:
            KeyError: there is none of this name.
        """
        play = self._scenarios[name]
        try:
            return await play()
        finally:
            await self._desk.clear()


@contextlib.asynccontextmanager
async def open_disposable(
    profile: Profile, channel: grpc.aio.Channel, tokens: TokenDoor
) -> AsyncIterator[Disposable]:
    """Serve the suite's adapter and yield what plays."""
    desk = Desk(profile, channel, tokens)
    host, _, port = str(desk.entry("listen", "localhost:0")).rpartition(":")
    async with played_adapter(host, int(port)) as adapter:
        below = Below(desk, adapter)
        yield Disposable(
            desk,
            Registry(desk),
            Keys(desk),
            Decisions(desk),
            Sightings(desk),
            Statuses(desk, adapter),
            Behind(desk, adapter),
            below,
            Between(desk, below),
            Previews(desk, adapter, below),
        )
