"""Air-gapped packs, made from the feed in memory and the lists in the store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

from gateway.hub.errors import RegistryError
from gateway.trust import FeedKind
from gateway.trust.pack import DEFAULT_PACK_BYTES, PackTooLargeError, pack_prefixes, select

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import grpc

    from gateway.hub.access import AccessControl
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.status_lists import StatusLists
    from gateway.store import Store

    Context = grpc.aio.ServicerContext[Any, Any]

READ_SCOPE: Final = "registry.read"

CHUNK_BYTES: Final = 256 * 1024
"""A pack of sixteen megabytes in some sixty messages."""

_OVERLAP: Final = timedelta(minutes=5)
"""A list may have come a little before the entry that first names it."""


class PackMaker:
    """See the module.

    Args:
        feed: the feed in memory.
        store: knows when base lists came.
        status_lists: the lists themselves.
    """

    def __init__(self, feed: HubFeed, store: Store, status_lists: StatusLists) -> None:
        self._feed = feed
        self._store = store
        self._status_lists = status_lists

    async def make(
        self, prefixes: Iterable[str], *, after: int, max_bytes: int, with_lists: bool
    ) -> bytes:
        """Make a pack.

        Args:
            prefixes: divisions to take in; empty: all.
            after: zero for a whole pack, else the state that it continues.
            max_bytes: longest pack; zero: 16 MiB.
            with_lists: whether base status lists are taken in.

        Raises:
            RegistryError: SEQUENCE_AHEAD; PACK_EMPTY: nothing came after that number;
                PACK_BASE_TOO_OLD: what did is no longer kept; UNKNOWN_REGION;
                PACK_TOO_LARGE.
            PackError: malformed prefixes.
            StoreError: the lists cannot be read.
        """
        feed, wanted = self._feed, pack_prefixes(prefixes)
        if after > feed.sequence:
            raise RegistryError("the feed has no such sequence number", code="SEQUENCE_AHEAD")
        if after and after == feed.sequence:
            raise RegistryError("nothing has happened since that number", code="PACK_EMPTY")
        if after and after < feed.floor:
            raise RegistryError(
                "what came after that number is no longer kept: make a whole pack",
                code="PACK_BASE_TOO_OLD",
            )
        live = feed.live
        if wanted and not any(entry.kind is FeedKind.AUTHORITY for entry in select(live, wanted)):
            raise RegistryError("no authority has these divisions", code="UNKNOWN_REGION")
        limit = max_bytes or DEFAULT_PACK_BYTES
        # As of now: what is written while the lists are read is the next pack's.
        make = feed.packing(wanted, after=after, max_bytes=limit)
        lists = await self._lists(wanted, after, limit) if with_lists else []
        try:
            return await asyncio.to_thread(make, lists=lists)
        except PackTooLargeError as error:
            raise RegistryError(str(error), code="PACK_TOO_LARGE") from None

    async def _lists(
        self, prefixes: tuple[str, ...], after: int, limit: int
    ) -> list[tuple[str, bytes]]:
        feed = self._feed
        chosen = {
            entry.subject for entry in select(feed.live, prefixes) if entry.kind is FeedKind.STATUS
        }
        named = {
            status.base_digest: status
            for status in feed.bundle.statuses()
            if status.uri in chosen and status.entry.sequence > after
        }
        if after > feed.floor:
            # Older ones stand in the pack that this one continues.
            since = feed.issued_at(after) - _OVERLAP
            came = await self._store.status_lists_received(named)
            named = {
                digest: status
                for digest, status in named.items()
                if digest not in came or came[digest] >= since
            }
        found, size = [], 0
        for digest, status in sorted(named.items(), key=lambda item: item[1].uri):
            token = await self._status_lists.get(digest)
            if token is None:
                raise RegistryError("a base list that an entry names is gone", code="NOT_FOUND")
            found.append((status.uri, token))
            size += len(token)
            if size > limit:
                raise RegistryError(
                    f"the status lists alone take more than {limit} bytes", code="PACK_TOO_LARGE"
                )
        return found


class PackRpcs(pb_grpc.RegistryServiceServicer):
    """Mixed into the registry service.

    Attributes:
        packs: makes them; None: not served.
    """

    packs: PackMaker | None = None
    _access: AccessControl

    async def MakePack(  # noqa: N802  the name of the RPC
        self, request: pb.MakePackRequest, context: Context
    ) -> AsyncIterator[pb.MakePackResponse]:
        """Make a pack and send it in chunks."""
        self._access.require(context, READ_SCOPE)
        if self.packs is None:
            # A hub that was made without a maker answers UNIMPLEMENTED.
            raise NotImplementedError
        data = await self.packs.make(
            request.prefixes,
            after=request.after_sequence,
            max_bytes=request.max_bytes,
            with_lists=request.status_lists,
        )
        for start in range(0, len(data), CHUNK_BYTES):
            yield pb.MakePackResponse(chunk=data[start : start + CHUNK_BYTES])
