"""The hubs next to this one: the one above, those below, and a channel to each.

A channel is opened when it is first needed and kept; where a hub's address changed,
the old one is closed and the next use opens another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.trust import MemberState
from gateway.wire.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from gateway.hub.members import Member, MemberTable
    from gateway.hub.superior import Superior

    Address = tuple[str, bytes | None]


class Neighbours:
    """See the module. One event loop.

    Args:
        members: the hubs below are among them.
        superior: how the hub above is reached; None: there is none.
    """

    def __init__(self, members: MemberTable, superior: Callable[[], Superior | None]) -> None:
        self._members = members
        self._superior = superior
        self._channels: dict[str, tuple[Address, grpc.aio.Channel]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def above(self) -> str | None:
        """URN of the hub above; None: there is none."""
        superior = self._superior()
        return None if superior is None else superior.urn

    @property
    def below(self) -> tuple[str, ...]:
        """URNs of the active hubs below."""
        return tuple(hub.body.urn for hub in self._members.hubs() if hub.is_active)

    @property
    def suspended(self) -> tuple[str, ...]:
        """URNs of the hubs below that are suspended."""
        return tuple(hub.body.urn for hub in self._members.hubs() if _is_suspended(hub))

    def channel(self, hub: str) -> grpc.aio.Channel | None:
        """Return the channel to a hub next to this one; None: it is none, or has left."""
        address = self._address(hub)
        if address is None:
            return None
        known = self._channels.get(hub)
        if known is None or known[0] != address:
            if known is not None:
                self._end(known[1])
            known = (address, open_channel(address[0], ca_pem=address[1]))
            self._channels[hub] = known
        return known[1]

    def moved(self) -> tuple[str, ...]:
        """Return the hubs below that a channel leads to under an address they left."""
        found = []
        for hub in self._members.hubs():
            known = self._channels.get(hub.body.urn)
            if known is not None and known[0] != _address_of(hub):
                found.append(hub.body.urn)
        return tuple(found)

    async def close(self) -> None:
        """Close every channel."""
        for _, channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _address(self, hub: str) -> Address | None:
        superior = self._superior()
        if superior is not None and hub == superior.urn:
            return superior.target, superior.ca_pem
        member = self._members.get(hub)
        if member is None or self._members.hub(hub) is None:
            return None
        return _address_of(member)

    def _end(self, channel: grpc.aio.Channel) -> None:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(channel.close(None))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _is_suspended(hub: Member) -> bool:
    return hub.state is MemberState.SUSPENDED


def _address_of(hub: Member) -> Address | None:
    ca = hub.body.tls_ca_pem
    if hub.body.endpoint is None:
        return None
    return hub.body.endpoint, ca.encode("ascii") if ca else None
