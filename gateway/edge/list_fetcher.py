"""Fetches base status lists as soon as the feed names them, before anybody shows one.

Whole lists, by their digest, from this checkpoint's own hub: nobody learns whose entry
is wanted, and a list that is not what its digest says is thrown away. What cannot be
fetched now is tried again; until it is here, its attestations are STATUS_UNKNOWN.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import feed_service_pb2

from gateway.attestation.status_list import MAX_TOKEN_BYTES
from gateway.errors import HutongError
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from gateway.wire.replica_store import ReplicaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

    from gateway.edge.revocation import RevocationView, StatusFolder

FETCH_SECONDS: Final = 60.0
"""The longest list, 4 MiB, on a slow line."""

LOOK_SECONDS: Final = 60.0
"""A list may be found damaged at any time; this long it stays missing at most."""

PAUSE_SECONDS: Final = (0.5, 60.0)
"""First and longest pause after a failure, doubled each time, jittered."""

_log = structlog.get_logger(__name__)


class ListFetcher:
    """Keeps the bases at hand that the feed names. One event loop.

    Args:
        stub: of the hub's FeedService.
        folder: where they are kept.
        view: the lists as the feed says now; raises where there is no feed yet.
    """

    def __init__(
        self,
        stub: FeedServiceStub,
        folder: StatusFolder,
        *,
        view: Callable[[], RevocationView],
    ) -> None:
        self._stub = stub
        self._folder = folder
        self._view = view
        self._wanted = asyncio.Event()
        self._failures_in_a_row = 0

    def wake(self) -> None:
        """The feed changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Fetch whenever something is missing; ends only when cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.fetch_missing()
                self._failures_in_a_row = 0
            except (HutongError, OSError) as error:
                self._failures_in_a_row = min(self._failures_in_a_row + 1, 16)
                code = error.code if isinstance(error, HutongError) else type(error).__name__
                _log.warning("status_list_not_fetched", code=code)
                self._wanted.set()
                await asyncio.sleep(self._pause())

    async def fetch_missing(self) -> int:
        """Fetch what the feed names and the folder lacks; returns how many came.

        Raises:
            RpcFailure: the hub does not give one of them.
            AttestationError: what it gave is another list.
            OSError: the disk does not take it.
        """
        try:
            view = self._view()
        except ReplicaError:
            return 0  # no word of the hub yet: nothing is named, so nothing is missing
        missing = view.missing()
        failure: HutongError | None = None
        for digest in missing:
            try:
                self._folder.put(digest, await self._fetch(digest))
            except HutongError as error:
                failure = error  # the others may be there all the same
        if missing:
            self._folder.forget_all_but(view.named())
        if failure is not None:
            raise failure
        return len(missing)

    async def _fetch(self, digest: str) -> bytes:
        data = bytearray()
        request = feed_service_pb2.GetStatusListRequest(digest=digest)
        call = self._stub.GetStatusList(request, timeout=FETCH_SECONDS)
        try:
            async for response in call:
                data += response.chunk
                if len(data) > MAX_TOKEN_BYTES:
                    call.cancel()
                    raise RpcFailure("MESSAGE_TOO_LARGE", "the list is longer than any may be")
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
        return bytes(data)

    def _pause(self) -> float:
        first, longest = PAUSE_SECONDS
        pause = min(longest, first * 2.0 ** (self._failures_in_a_row - 1))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads edges, keeps no secret
