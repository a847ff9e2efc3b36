"""The line to the hub, put together: what of a checkpoint needs the network.

Asking, following the feed and the feeds it leads to, fetching status lists, telling the
hub how far this checkpoint is, and reporting what it admitted alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from hutong.v1 import exchange_pb2
from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.sighting_service_pb2_grpc import SightingServiceStub

from gateway.codes import region_urn
from gateway.edge.acknowledging import Acknowledger
from gateway.edge.client import ExchangeClient
from gateway.edge.convert import Converter
from gateway.edge.files import read_bounded
from gateway.edge.importing import ImportClient
from gateway.edge.keys import load_authentication_key
from gateway.edge.list_fetcher import ListFetcher
from gateway.edge.reconcile import reconcile
from gateway.edge.sightings import SightingReporter
from gateway.errors import HutongError
from gateway.wire.channel import open_channel
from gateway.wire.feed_follower import FeedFollower

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from datetime import datetime
    from typing import Any

    import grpc

    from gateway.edge.federation import Tried
    from gateway.edge.reconcile import ConflictLog, SightingQueue
    from gateway.edge.revocation import StatusFolder
    from gateway.edge.settings import CheckpointSettings
    from gateway.edge.view import TrustView
    from gateway.wire.replica_store import ReplicaStore

MAX_CA_BYTES: Final = 64 * 1024
"""A chain of a handful of certificates."""

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
"""Where the hub's HTTP door issues access tokens."""

RECONCILE_EVERY_SECONDS: Final = 30.0
"""Nobody waits for it; the line has to have been back for a moment."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hands:
    """What the line works with, of the checkpoint.

    Attributes:
        settings: of the checkpoint.
        replica: of its hub's feed.
        lists: where base status lists are kept.
        queue: admissions to be reported.
        conflicts: where contradicted ones are recorded.
        view: gives the trust of the moment.
        trust_age_seconds: its age.
        refresh: brings it up to date.
        clock: now, UTC.
        random_bytes: for nonces and reply keys.
        rehearsals: keys to come that the feeds show now.
    """

    settings: CheckpointSettings
    replica: ReplicaStore
    lists: StatusFolder
    queue: SightingQueue
    conflicts: ConflictLog
    view: Callable[[], TrustView]
    trust_age_seconds: Callable[[datetime], int | None]
    refresh: Callable[[], Awaitable[None]]
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    rehearsals: Callable[[], Iterable[Tried]]


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that talks to the hub."""

    feeds: FeedServiceStub
    follower: FeedFollower
    client: ExchangeClient
    converter: Converter
    fetcher: ListFetcher
    acknowledger: Acknowledger
    reporter: SightingReporter

    def changed(self) -> None:
        """The feed changed."""
        self.fetcher.wake()
        self.acknowledger.wake()


async def open_line(
    stack: contextlib.AsyncExitStack, hands: Hands, *, on_change: Callable[[], None]
) -> Line:
    """Open the line; nothing is followed yet.

    Args:
        stack: closes what is opened.
        hands: of the checkpoint.
        on_change: called after the feed changed.

    Raises:
        SettingsError: a file that the settings name cannot be used.
    """
    # A gate that only verifies what is carried does not pay for an HTTP client.
    from gateway.wire.token_client import TokenClient  # noqa: PLC0415 - offline work needs no HTTP client

    settings = hands.settings
    key = load_authentication_key(settings.key_file)
    ca_pem = read_ca(settings)
    channel = open_channel(settings.hub, ca_pem=ca_pem)
    stack.push_async_callback(channel.close, None)
    tokens = await stack.enter_async_context(
        TokenClient(settings.http + TOKEN_PATH, settings.urn, key, ca_pem, hands.clock)
    )
    feeds = FeedServiceStub(channel)
    stub = ExchangeServiceStub(channel)
    client = await stack.enter_async_context(
        ExchangeClient(
            stub,
            caller=settings.urn,
            audience=region_urn(settings.region),
            tokens=tokens,
            keys=lambda: hands.view().bundle,
            refresh_trust=hands.refresh,
            clock=hands.clock,
            random_bytes=hands.random_bytes,
            max_in_flight=settings.max_in_flight,
        )
    )
    is_platform = settings.purpose == "PLATFORM"
    return Line(
        feeds=feeds,
        follower=FeedFollower(
            feeds,
            hands.replica,
            clock=hands.clock,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_change=on_change,
        ),
        client=client,
        converter=Converter(
            view=hands.view,
            trust_age_seconds=hands.trust_age_seconds,
            asks=client,
            imports=ImportClient(
                stub,
                caller=settings.urn,
                tokens=tokens,
                keys=lambda: hands.view().bundle,
                refresh_trust=hands.refresh,
                clock=hands.clock,
                random_bytes=hands.random_bytes,
            ),
            clock=hands.clock,
            purpose=(exchange_pb2.PURPOSE_PLATFORM if is_platform else exchange_pb2.PURPOSE_HOLDER),
            max_trust_age_seconds=settings.max_trust_age_seconds,
        ),
        fetcher=ListFetcher(feeds, hands.lists, view=lambda: hands.view().revocations),
        acknowledger=Acknowledger(
            feeds,
            tokens,
            sequence=lambda: hands.replica.sequence,
            rehearsals=hands.rehearsals,
        ),
        reporter=SightingReporter(SightingServiceStub(channel), tokens),
    )


def follow(stack: contextlib.AsyncExitStack, line: Line, hands: Hands) -> None:
    """Keep everything current in the background, until the stack ends."""
    works: tuple[Coroutine[Any, Any, None], ...] = (
        line.follower.run(),
        line.fetcher.run(),
        line.acknowledger.run(),
        _reconcile_often(line, hands),
    )
    for work in works:
        stack.push_async_callback(_cancel, asyncio.create_task(work))
    line.changed()


async def _reconcile_often(line: Line, hands: Hands) -> None:
    while True:
        try:
            await reconcile(hands.queue, line.reporter, hands.conflicts, hands.clock())
        except (HutongError, OSError) as error:
            code = error.code if isinstance(error, HutongError) else type(error).__name__
            _log.info("admissions_not_reported", code=code)
        await asyncio.sleep(RECONCILE_EVERY_SECONDS)


def read_ca(settings: CheckpointSettings) -> bytes | None:
    """The certificates under which the hub's is checked; None: the system's."""
    if settings.ca_file is None:
        return None
    return read_bounded(settings.ca_file, MAX_CA_BYTES, "CA file")


def open_hub_channel(settings: CheckpointSettings) -> grpc.aio.Channel:
    """A channel to the hub of these settings."""
    return open_channel(settings.hub, ca_pem=read_ca(settings))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
