"""What regions revoke, from their adapters into the feed.

For every active region whose adapter says that it pushes changes, one
``WatchChanges`` stream is followed. What comes is held against the region's
attestation keys as the feed has them: a base list is stored before anything names
it, a change statement goes into the feed as it is. The hub reads whose it is, its
number and its base; what an entry means it neither knows nor could tell.

Refused, each with its own line in the log, and without stopping the stream: another
region's list, a statement below the number held, a statement whose base nobody has,
more lists than one region needs, the end of a list that has not ended.

A frame may say up to when the region's own platform is followed (``as_of``); the region
counts as heard up to then and no further, whatever else arrives on its line (HT-FEED-45).

Whom the hub does not hear is told in the feed (:mod:`gateway.hub.silence`); what is
written goes through :mod:`gateway.hub.status_publisher`. Over several hub processes on
one database one follows at a time (:class:`gateway.store.wakeups.Turn`); should two
overlap, the number of each statement keeps the feed from going back.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import adapter_service_pb2 as pb
from hutong.v1.adapter_service_pb2_grpc import AdapterServiceStub

from gateway.attestation.status_change import verify_status_change
from gateway.attestation.status_list import status_issuer, verify_status_list
from gateway.errors import HutongError
from gateway.hub.errors import RegistryError
from gateway.hub.silence import Hearing, SilenceWatch
from gateway.hub.status_publisher import held_lists
from gateway.store import StatusListRow, StoreError
from gateway.trust.entries import payload_of
from gateway.trust.times import LEEWAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    from gateway.attestation.status_list import SignedStatusList
    from gateway.hub.directory import AdapterRecord, MemberDirectory
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.status_publisher import StatusPublisher
    from gateway.store import Store
    from gateway.store.wakeups import Turn

HEARTBEAT_SECONDS: Final = 15
"""Asked of an adapter; silence of twice that is a lost line."""

CALL_SECONDS: Final = 10.0
"""Longest a Describe takes."""

ASK_AGAIN_SECONDS: Final = 60.0
"""Pause before an adapter that pushes nothing is asked whether it does by now."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 15.0
"""Pauses between attempts double from the first to the longest."""

SWEEP_SECONDS: Final = 600.0
"""Lists that are over leave the feed, and the store a day after."""

KEEP_LISTS: Final = timedelta(days=1)
"""A reader that is a day behind still gets the base that its entry names."""

LONGEST_AGO: Final = timedelta(days=3650)
"""What a region says of its platform is taken for no longer ago; nothing lives as long."""

MAX_LISTS: Final = 512
"""Of one region: a new list every hour, each for a carried day, and room."""

_THREAD_BYTES: Final = 65_536
"""Longer lists are unpacked beside the event loop."""

_log = structlog.get_logger(__name__)


class StatusIntake:
    """See the module.

    Args:
        directory: the members; followed from here on.
        feed: whose keys count, and what is held.
        publisher: takes what is good.
        store: keeps the base lists.
        turn: which process follows.
        open_channel: the way to an adapter.
        clock: the time, UTC.
        jitter: a number in [0, 1) that spreads reconnections.
        monotonic: seconds on a clock that is never set.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        feed: HubFeed,
        publisher: StatusPublisher,
        store: Store,
        turn: Turn,
        *,
        open_channel: Callable[[AdapterRecord], grpc.aio.Channel],
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._feed = feed
        self._publisher = publisher
        self._store = store
        self._turn = turn
        self._open_channel = open_channel
        self._clock = clock
        self._jitter = jitter
        self._following: dict[AdapterRecord, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        directory.subscribe(self._changed.set)
        self.connected: set[str] = set()
        """URNs of the authorities whose changes stream in now."""
        self.heard_at: dict[str, datetime] = {}
        """Up to when each of them said anything, or that there is nothing to say."""
        self.silences = SilenceWatch(feed, publisher, store, clock=clock, monotonic=monotonic)
        """Tells who is not heard, while this process follows."""

    async def run(self) -> None:
        """Follow for ever, whenever it is this process's turn."""
        await self._turn.run(self._follow_all)

    async def _follow_all(self) -> None:
        beside = [asyncio.create_task(self._sweep()), asyncio.create_task(self.silences.run())]
        try:
            while True:
                self._changed.clear()
                wanted = {record for record in self._directory.adapters() if record.active}
                for record in [each for each in self._following if each not in wanted]:
                    self._following.pop(record).cancel()
                    self.heard_at.pop(record.authority, None)
                for record in wanted:
                    if record not in self._following:
                        self._following[record] = asyncio.create_task(self._follow(record))
                await self._changed.wait()
        finally:
            tasks = [*beside, *self._following.values()]
            self._following.clear()
            self.heard_at.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, record: AdapterRecord) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            heard = False
            wait = pause
            try:
                async with self._open_channel(record) as channel:
                    stub = AdapterServiceStub(channel)
                    described = await stub.Describe(pb.DescribeRequest(), timeout=CALL_SECONDS)
                    if described.watches and described.authority == record.authority:
                        self.connected.add(record.authority)
                        hearing = Hearing(self._lists_of(record.authority))
                        async for frame in _frames(stub):
                            heard = True
                            now = self._clock()
                            ago = _ago(frame, now)
                            self.heard_at[record.authority] = now - ago
                            await self._take(record.authority, frame, hearing)
                            if hearing.is_complete and not self._publisher.has_refused(
                                record.authority
                            ):
                                self.silences.hear(record.authority, ago)
                    else:
                        wait = ASK_AGAIN_SECONDS
            except (grpc.aio.AioRpcError, OSError, StoreError) as error:
                # TimeoutError and ConnectionError are OSErrors.
                _log.debug("status_stream_lost", authority=record.authority, error=_name(error))
            except Exception as error:  # noqa: BLE001  one adapter must not end the others
                _log.error("status_stream_failed", authority=record.authority, error=_name(error))
            finally:
                self.connected.discard(record.authority)
            if heard:
                wait = pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(wait * (0.5 + self._jitter() / 2))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _lists_of(self, authority: str) -> list[str]:
        held = held_lists(self._feed)
        return [uri for uri, status in held.items() if status.issuer == authority]

    async def _take(self, authority: str, frame: pb.WatchChangesResponse, hearing: Hearing) -> None:
        kind = frame.WhichOneof("frame")
        try:
            if kind == "list":
                await self._take_list(authority, frame.list.token)
            elif kind == "change":
                hearing.take(await self._take_change(authority, frame.change))
            elif kind == "ended":
                await self._take_end(authority, frame.ended)
                hearing.take(frame.ended)
            else:
                hearing.rest()
        except StoreError:
            raise
        except HutongError as error:
            uri = _named_list(frame.change) if kind == "change" else ""
            if uri in self._lists_of(authority):
                hearing.refuse(uri)
            self._publisher.refused[error.code] += 1
            _log.warning("status_refused", authority=authority, frame=kind, code=error.code)

    async def _take_list(self, authority: str, token: bytes) -> None:
        signed = await self._verified(token)
        _check_owner(signed.issuer, authority)
        held = held_lists(self._feed)
        lists = sum(status.issuer == authority for status in held.values())
        if signed.uri not in held and lists >= MAX_LISTS:
            raise RegistryError("more lists than one region needs", code="OVERLOADED")
        if await self._store.status_list_end(signed.digest) is None:
            await self._store.add_status_list(
                StatusListRow(
                    digest=signed.digest,
                    uri=signed.uri,
                    urn=authority,
                    token=token,
                    received_at=self._clock(),
                    expires_at=signed.expires_at,
                )
            )

    async def _take_change(self, authority: str, token: str) -> str:
        """Take a statement; return the address of its list."""
        change = verify_status_change(token, self._feed.bundle, now=self._clock())
        _check_owner(change.issuer, authority)
        held = held_lists(self._feed).get(change.uri)
        if held is not None and change.sequence < held.number:
            raise RegistryError("older than the statement held", code="STATUS_ROLLED_BACK")
        if held is not None and change.sequence == held.number:
            return change.uri  # What holds comes again with every stream.
        if await self._store.status_list_end(change.base.digest) is None:
            raise RegistryError("no such base list was sent", code="STATUS_BASE_UNKNOWN")
        self._publisher.change(change)
        return change.uri

    async def _take_end(self, authority: str, uri: str) -> None:
        _check_owner(status_issuer(uri), authority)
        held = held_lists(self._feed).get(uri)
        if held is None:
            return
        end = await self._store.status_list_end(held.base_digest)
        if end is not None and end > self._clock():
            raise RegistryError("attestations may still name the list", code="WRONG_STATE")
        self._publisher.end(uri)

    async def _verified(self, token: bytes) -> SignedStatusList:
        now, bundle = self._clock(), self._feed.bundle
        if len(token) < _THREAD_BYTES:
            return verify_status_list(token, bundle, now=now)
        return await asyncio.to_thread(verify_status_list, token, bundle, now=now)

    async def _sweep(self) -> None:
        """Drop what is over, also where an adapter is no more to say so."""
        while True:
            try:
                now = self._clock()
                held = held_lists(self._feed)
                for uri, status in held.items():
                    end = await self._store.status_list_end(status.base_digest)
                    if end is not None and end <= now - LEEWAY:
                        self._publisher.end(uri)
                await self._store.forget_status_lists(
                    named={status.base_digest for status in held.values()}, before=now - KEEP_LISTS
                )
            except HutongError as error:
                _log.error("status_sweep_failed", code=error.code)
            await asyncio.sleep(SWEEP_SECONDS)


def _ago(frame: pb.WatchChangesResponse, now: datetime) -> timedelta:
    """For how long the region has not heard its platform; zero: it does, or has none.

    By the region's own clock, so that clocks which differ by what is tolerated anywhere
    make nobody silent; a line that holds every frame back for longer still shows.
    """
    if not frame.HasField("as_of"):
        return timedelta()
    by_hub = now.timestamp() - _seconds(frame.as_of)
    by_region = _seconds(frame.now) - _seconds(frame.as_of) if frame.HasField("now") else by_hub
    ago = max(by_region, by_hub - LEEWAY.total_seconds(), 0.0)
    return timedelta(seconds=min(ago, LONGEST_AGO.total_seconds()))


def _seconds(stamp: Timestamp) -> float:
    # Not as a datetime: what a peer says may lie outside of what that holds.
    return float(stamp.seconds + stamp.nanos / 1e9)


def _named_list(token: str) -> str:
    """The list that a statement which does not hold names; empty: it cannot be read."""
    try:
        return str(payload_of(token)["uri"])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return ""


def _check_owner(issuer: str, authority: str) -> None:
    if issuer != authority:
        raise RegistryError("a list of another authority", code="STATEMENT_INVALID")


async def _frames(stub: AdapterServiceStub) -> AsyncIterator[pb.WatchChangesResponse]:
    """The frames of one stream.

    Raises:
        OSError: silence for twice the heartbeat, or the stream was cancelled from afar.
        AioRpcError: the stream failed.
    """
    call = stub.WatchChanges(pb.WatchChangesRequest(heartbeat_seconds=HEARTBEAT_SECONDS))
    try:
        while True:
            async with asyncio.timeout(2 * HEARTBEAT_SECONDS):
                frame = await call.read()
            if isinstance(frame, pb.WatchChangesResponse):
                yield frame
            else:
                return
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # grpc.aio raises it for a call that was cancelled; nobody cancelled us.
        raise ConnectionError from None
    finally:
        call.cancel()


def _name(error: BaseException) -> str:
    return type(error).__qualname__
