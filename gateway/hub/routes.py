"""Which adapter answers for a region: the longest prefix, live.

The table follows the member directory. A region under a suspended authority is
refused as suspended and never falls through to a shorter prefix: a province
must not answer in the name of a city that was stopped.

A region that nobody here answers for goes up, to the hub above, unless it lies
inside this hub's own prefixes or the question came from above: then nobody does.

A link belongs to an authority and its endpoint. A change of prefixes or of
state keeps the link; a change of endpoint or TLS roots makes a new one and
closes the old, so that no question leaves for an address that is no more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from gateway.codes.divisions import longest_prefix
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from gateway.hub.directory import AdapterRecord, MemberDirectory


class Upward(Protocol):
    """The way to the hub above."""

    def link(self, region: str, via: Sequence[str]) -> Any:
        """Return the link to ask for a region; None: nobody above is to be asked.

        Args:
            region: six digits that no adapter here serves.
            via: hubs that the question has passed.
        """


class Closable(Protocol):
    """What a link offers to the table."""

    async def close(self) -> None:
        """End it; whatever waits is refused."""
        ...


LinkT = TypeVar("LinkT", bound=Closable)


@dataclass(frozen=True, slots=True)
class Route(Generic[LinkT]):
    """Where a prefix leads.

    Attributes:
        authority: URN of who answers.
        link: the way there; None while the authority is suspended.
    """

    authority: str
    link: LinkT | None


class RouteTable(Generic[LinkT]):
    """The live table.

    Args:
        directory: the members; the table follows it from here on.
        make_link: makes the link of an adapter; it connects when first used.
        upward: the way to the hub above; None: this hub is the highest.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        make_link: Callable[[AdapterRecord], LinkT],
        upward: Upward | None = None,
    ) -> None:
        self._upward = upward
        self._directory = directory
        self._make_link = make_link
        self._routes: dict[str, Route[LinkT]] = {}
        self._links: dict[tuple[str, str, str | None], LinkT] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self.rebuild()
        directory.subscribe(self.rebuild)

    def link(self, region: str, via: Sequence[str] = ()) -> LinkT:
        """Return the way to a region.

        Args:
            region: six digits of GB/T 2260.
            via: hubs that the question has passed.

        Raises:
            RpcFailure: ``UNKNOWN_REGION`` or ``REGION_SUSPENDED``.
        """
        route = longest_prefix(region, self._routes)
        if route is None and self._upward is not None:
            above: LinkT | None = self._upward.link(region, via)
            if above is not None:
                return above
        if route is None:
            raise RpcFailure("UNKNOWN_REGION", "no active adapter serves this region")
        if route.link is None:
            raise RpcFailure("REGION_SUSPENDED", "the region's authority is suspended")
        return route.link

    def rebuild(self) -> None:
        """Take the directory over as it is now."""
        if self._closed:
            return
        routes: dict[str, Route[LinkT]] = {}
        links: dict[tuple[str, str, str | None], LinkT] = {}
        for record in self._directory.adapters():
            link: LinkT | None = None
            if record.active:
                key = (record.authority, record.endpoint, record.tls_ca_pem)
                link = links[key] = self._links.get(key) or self._make_link(record)
            for prefix in record.prefixes:
                routes[prefix] = Route(record.authority, link)
        gone = [link for key, link in self._links.items() if key not in links]
        self._routes, self._links = routes, links
        for link in gone:
            self._end(link.close())

    async def close(self) -> None:
        """Close every link and follow no longer."""
        self._closed = True
        links, self._links, self._routes = list(self._links.values()), {}, {}
        await asyncio.gather(*(link.close() for link in links), *self._closing)

    def _end(self, closing: Coroutine[Any, Any, None]) -> None:
        # The directory tells of changes in the event loop; the task is kept so
        # that it is not collected before it ends.
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
