"""Tells the hub how far this checkpoint is, and takes part in rehearsals.

Nothing here depends on it: operators see which edges would follow a rotation before
anybody acts (docs/spec/feed.md). After every batch of changes, and now and then while
nothing changes, the checkpoint says which entry of the feed is the newest it holds;
where a feed that it follows carries a rehearsal, its own hub's or another's, it verifies
the key to come and what that key signed, with the code that will verify what it signs
later, and tells its own hub what came of it.

At most once in ten seconds, spread at random, so that a change that a thousand edges
hear of at once does not come back as one wave. A failure is counted and said to nobody:
the next word says all that this one would have.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import feed_service_pb2

from gateway.edge.exchange_line import SCOPE
from gateway.errors import HutongError
from gateway.wire.errors import failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

    from gateway.edge.exchange_line import TokenSource
    from gateway.edge.federation import Tried

APART_SECONDS: Final = 10.0
"""Least time between two words."""
JITTER_SECONDS: Final = 1.0
"""Longest wait after a change."""
LOOK_SECONDS: Final = 300.0
"""A word at least this often: a reader that says nothing for long is taken for gone."""
CALL_SECONDS: Final = 5.0
MAX_RESULTS: Final = 64
"""Rehearsals in one word, as the schema has it."""

_NEW_TOKEN = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING"})

_log = structlog.get_logger(__name__)


class Acknowledger:
    """See the module. One event loop.

    Args:
        stub: of the hub's FeedService.
        tokens: access tokens.
        sequence: number of the newest entry held; zero: none.
        rehearsals: those that the feeds carry now, the own hub's first.
        apart_seconds: least time between two words.
        jitter_seconds: longest wait after a change.
    """

    def __init__(
        self,
        stub: FeedServiceStub,
        tokens: TokenSource,
        *,
        sequence: Callable[[], int],
        rehearsals: Callable[[], Iterable[Tried]],
        apart_seconds: float = APART_SECONDS,
        jitter_seconds: float = JITTER_SECONDS,
    ) -> None:
        self._stub = stub
        self._tokens = tokens
        self._sequence = sequence
        self._rehearsals = rehearsals
        self._apart_seconds = apart_seconds
        self._jitter_seconds = jitter_seconds
        self._changed = asyncio.Event()
        self._answered: set[str] = set()
        self.told = 0
        """Words that the hub took."""
        self.failures = 0
        """Words that it did not."""

    def wake(self) -> None:
        """The feed changed."""
        self._changed.set()

    async def run(self) -> None:
        """Tell for ever; ends only when cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            jitter = random.uniform(0, self._jitter_seconds)  # noqa: S311 - spreads edges, keeps no secret
            await asyncio.sleep(jitter)
            self._changed.clear()
            try:
                await self.tell()
            except (HutongError, OSError) as error:
                code = error.code if isinstance(error, HutongError) else type(error).__name__
                _log.info("feed_not_acknowledged", code=code)
            await asyncio.sleep(max(0.0, self._apart_seconds - jitter))

    async def tell(self) -> None:
        """Say it once.

        Raises:
            HutongError: the hub did not take it; counted.
        """
        sequence = self._sequence()
        if sequence == 0:
            return
        held = {rehearsal.rehearsal_id: rehearsal for rehearsal in self._rehearsals()}
        self._answered &= held.keys()
        due = [name for name in held if name not in self._answered][:MAX_RESULTS]
        request = feed_service_pb2.AcknowledgeRequest(sequence=sequence)
        for name in due:
            reason = held[name].failure()
            request.rehearsals.add(rehearsal=name, verified=reason is None, reason=reason or "")
        try:
            await self._call(request)
        except HutongError:
            self.failures += 1
            raise
        self.told += 1
        self._answered.update(due)

    async def _call(self, request: feed_service_pb2.AcknowledgeRequest) -> None:
        for is_last in (False, True):
            token = await self._tokens.token(SCOPE)
            try:
                await self._stub.Acknowledge(
                    request,
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=CALL_SECONDS,
                )
            except grpc.aio.AioRpcError as error:
                failure = failure_from_rpc_error(error)
                if is_last or failure.code not in _NEW_TOKEN:
                    raise failure from None
                self._tokens.forget(SCOPE)
            else:
                return
