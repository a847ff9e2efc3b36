"""One checkpoint, put together: the door through which other programs use the edge.

Example::

    settings = load_settings(Path("checkpoint.toml"))
    async with Checkpoint.open(settings) as checkpoint:
        result = await checkpoint.ask("https://code.example/?id=…")
        print(result.decision.verdict, result.to_json())

Opened online, it follows the feed in the background and asks over one stream;
opened with ``online=False`` it touches no network at all and decides about carried
attestations from what is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
from hutong.v1 import exchange_pb2
from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from gateway.attestation import VerifiedTokenCache, to_armour
from gateway.codes import parse_division, region_urn
from gateway.edge.batch import CONCURRENT_ROWS, run_batch
from gateway.edge.client import ExchangeClient
from gateway.edge.convert import Converter
from gateway.edge.decide import Pipeline
from gateway.edge.federation import FederatedTrust
from gateway.edge.files import read_bounded
from gateway.edge.images import read_code_from_image
from gateway.edge.importing import ImportClient
from gateway.edge.keys import load_authentication_key
from gateway.edge.record import DecisionLog
from gateway.edge.seen import SeenAttestations
from gateway.edge.status import Fetched as Fetched
from gateway.edge.status import Status as Status
from gateway.edge.view import TrustView
from gateway.errors import HutongError
from gateway.trust import parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.wire.channel import open_channel
from gateway.wire.errors import RpcFailure
from gateway.wire.feed_follower import FeedFollower
from gateway.wire.replica_store import ReplicaStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    import grpc

    from gateway.attestation.sd_jwt import Disclosure
    from gateway.codes import Declarations, Document
    from gateway.edge.convert import Conversion
    from gateway.edge.manifest import ManifestRow
    from gateway.edge.questions import Askable
    from gateway.edge.result import Result
    from gateway.edge.settings import CheckpointSettings
    from gateway.recognition import Evidence
    from gateway.trust import TrustAnchor

MAX_CA_BYTES: Final = 64 * 1024
"""A chain of a handful of certificates."""

STALE_SECONDS: Final = 60
"""A one-shot command refreshes trust that is older than this before it asks."""

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
"""Where the hub's HTTP door issues access tokens."""

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class Checkpoint:
    """One checkpoint. Made by ``open``; belongs to one event loop."""

    def __init__(
        self,
        settings: CheckpointSettings,
        anchor: TrustAnchor,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.settings = settings
        self._anchor = anchor
        self._clock = clock
        self._store = ReplicaStore(settings.replica_file, anchor)
        self._cache = VerifiedTokenCache()
        self._trust = FederatedTrust(
            self._store,
            anchor.hub,
            settings.state_dir,
            clock=clock,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_change=self._cache.clear,
        )
        self._view: TrustView | None = None
        self._follower: FeedFollower | None = None
        self._pipeline: Pipeline | None = None
        self._converter: Converter | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: CheckpointSettings,
        *,
        online: bool = True,
        follow: bool = True,
        clock: Callable[[], datetime] = utc_now,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> AsyncIterator[Checkpoint]:
        """Open a checkpoint.

        Args:
            settings: of the checkpoint.
            online: False: no network, no key needed; only what is carried is decided.
            follow: keep the feed current in the background; False suits commands
                that end at once, which then call ``refresh_if_stale``.
            clock: now, UTC.
            random_bytes: source of nonces and reply keys.

        Raises:
            SettingsError: a file that the settings name cannot be used.
            AnchorError: the trust anchor is malformed.
        """
        anchor = parse_anchor(read_bounded(settings.trust_anchor, MAX_ANCHOR_BYTES, "trust anchor"))
        checkpoint = cls(settings, anchor, clock=clock)
        async with contextlib.AsyncExitStack() as stack:
            checkpoint._store.load(clock())
            log = DecisionLog(settings.record_file)
            stack.callback(log.close)
            client: ExchangeClient | None = None
            if online:
                client = await checkpoint._go_online(stack, follow, random_bytes)
            checkpoint._pipeline = Pipeline(
                region=settings.region,
                view=checkpoint._trust_view,
                trust_age_seconds=checkpoint._store.age_seconds,
                client=client,
                seen=SeenAttestations(settings.seen_file, random_bytes),
                log=log,
                clock=clock,
                purpose=exchange_pb2.Purpose.Value(f"PURPOSE_{settings.purpose}"),
                max_trust_age_seconds=settings.max_trust_age_seconds,
                catalogue_file=settings.catalogue_file,
            )
            yield checkpoint

    async def ask(
        self,
        shown: str | Askable,
        *,
        origin: str | None = None,
        timeout_seconds: float | None = None,
        beside: str | None = None,
        disclosure: Disclosure | None = None,
    ) -> Result:
        """Decide about one traveller; see ``Pipeline.ask``.

        Args:
            shown: scanned text or a document.
            origin: division the code is from, 2, 4 or 6 digits; needed with a document.
            timeout_seconds: None: as the settings say.
            beside: scanned text of a travel card shown beside it.
            disclosure: that no more than a part be answered; None: the whole code.
        """
        return await self._ready().ask(
            shown,
            origin=_division(origin),
            timeout_seconds=self._timeout(timeout_seconds),
            beside=beside,
            disclosure=disclosure,
        )

    async def fetch(
        self,
        shown: str | Askable,
        *,
        origin: str | None = None,
        timeout_seconds: float | None = None,
        disclosure: Disclosure | None = None,
    ) -> Fetched:
        """Fetch an attestation that the holder carries here; see ``Pipeline.fetch``."""
        token, result = await self._ready().fetch(
            shown,
            origin=_division(origin),
            timeout_seconds=self._timeout(timeout_seconds),
            disclosure=disclosure,
        )
        return Fetched(token, None if token is None else to_armour(token), result)

    async def convert(
        self,
        document: Document,
        *,
        name: str,
        declarations: Declarations,
        origin: str,
        destination: str,
        timeout_seconds: float | None = None,
    ) -> Conversion:
        """Convert a holder's code into a local code of another region; see ``Converter``.

        Args:
            document: the holder's.
            name: as in the document.
            declarations: the holder's own answers; none is ABSENT.
            origin: division whose code it is, 2, 4 or 6 digits.
            destination: division whose code is wanted, likewise.
            timeout_seconds: for both legs; None: twice what the settings say.

        Raises:
            ConversionError: the name or an answer is missing.
        """
        if self._converter is None:
            raise RpcFailure("PEER_UNREACHABLE", "this checkpoint runs offline")
        return await self._converter.convert(
            document,
            name=name,
            declarations=declarations,
            origin=parse_division(origin),
            destination=parse_division(destination),
            timeout_seconds=timeout_seconds or 2 * self._timeout(None),
        )

    async def attested(
        self, document: Document, *, origin: str, timeout_seconds: float | None = None
    ) -> Evidence:
        """What an origin attests, verified, for a platform's own rule; see ``Pipeline``."""
        return await self._ready().attested(
            document,
            origin=parse_division(origin),
            timeout_seconds=self._timeout(timeout_seconds),
        )

    def verify_offline(self, text: str) -> Result:
        """Decide about a carried attestation; see ``Pipeline.verify_offline``."""
        return self._ready().verify_offline(text)

    def verify_image(self, data: bytes) -> Result:
        """Decide about a carried attestation in a PNG or SVG picture.

        Raises:
            ImageError: the picture holds no readable code.
        """
        return self.verify_offline(read_code_from_image(data))

    async def batch(
        self,
        rows: Iterable[ManifestRow],
        *,
        on_result: Callable[[ManifestRow, Result], None],
        timeout_seconds: float | None = None,
    ) -> None:
        """Decide every row of a manifest; see ``run_batch``."""
        await run_batch(
            self._ready(),
            rows,
            timeout_seconds=self._timeout(timeout_seconds),
            on_result=on_result,
            concurrent_rows=min(CONCURRENT_ROWS, self.settings.max_in_flight),
        )

    async def refresh(self) -> None:
        """Bring the replica of the feed up to date now.

        Raises:
            RpcFailure: the hub cannot be reached, or this checkpoint is offline.
            FeedError: what the hub sent was refused.
        """
        if self._follower is not None:
            await self._follower.refresh()
            await self._trust.refresh()

    async def refresh_if_stale(self) -> None:
        """Refresh trust older than a minute; an unreachable hub is no error here.

        What is held goes on ageing, and the decision tells its age.
        """
        age = self._store.age_seconds(self._clock())
        if age is not None and age <= STALE_SECONDS:
            return
        try:
            await self.refresh()
        except HutongError as error:
            _log.warning("trust_not_refreshed", code=error.code, age_seconds=age)

    def status(self) -> Status:
        """What this checkpoint knows now."""
        age = self._store.age_seconds(self._clock())
        view = self._trust_view() if self._store.is_usable else None
        policy = view.policy if view is not None else None
        limit = self.settings.max_trust_age_seconds
        if policy is not None:
            limit = min(limit, policy.ages.trust * 3600)
        return Status(
            urn=self.settings.urn,
            region=self.settings.region,
            hub=self._anchor.hub,
            sequence=self._store.sequence if view is not None else None,
            trust_seconds=age,
            authorities=tuple(
                (authority.urn, authority.state.value)
                for authority in (view.bundle.authorities() if view is not None else ())
            ),
            policy_id=policy.id if policy is not None else None,
            feed_failure=self._follower.last_failure if self._follower is not None else None,
            is_trust_too_old=age is None or age > limit,
        )

    # --- assembly ------------------------------------------------------------

    async def _go_online(
        self,
        stack: contextlib.AsyncExitStack,
        follow: bool,  # noqa: FBT001 - one caller
        random_bytes: Callable[[int], bytes],
    ) -> ExchangeClient:
        # A gate that only verifies what is carried does not pay for an HTTP client.
        from gateway.wire.token_client import TokenClient  # noqa: PLC0415 - offline work needs no HTTP client

        settings = self.settings
        key = load_authentication_key(settings.key_file)
        ca_pem = read_ca(settings)
        channel = open_channel(settings.hub, ca_pem=ca_pem)
        stack.push_async_callback(channel.close, None)
        tokens = await stack.enter_async_context(
            TokenClient(settings.http + TOKEN_PATH, settings.urn, key, ca_pem, self._clock)
        )
        self._follower = FeedFollower(
            FeedServiceStub(channel),
            self._store,
            clock=self._clock,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_change=self._feed_changed,
        )
        self._trust.start(FeedServiceStub(channel), follow=follow)
        stack.push_async_callback(self._trust.close)
        if follow:
            task = asyncio.create_task(self._follower.run())
            stack.push_async_callback(_cancel, task)
        stub = ExchangeServiceStub(channel)
        client = await stack.enter_async_context(
            ExchangeClient(
                stub,
                caller=settings.urn,
                audience=region_urn(settings.region),
                tokens=tokens,
                keys=lambda: self._trust_view().bundle,
                refresh_trust=self.refresh,
                clock=self._clock,
                random_bytes=random_bytes,
                max_in_flight=settings.max_in_flight,
            )
        )
        is_platform = settings.purpose == "PLATFORM"
        self._converter = Converter(
            view=self._trust_view,
            trust_age_seconds=self._store.age_seconds,
            asks=client,
            imports=ImportClient(
                stub,
                caller=settings.urn,
                tokens=tokens,
                keys=lambda: self._trust_view().bundle,
                refresh_trust=self.refresh,
                clock=self._clock,
                random_bytes=random_bytes,
            ),
            clock=self._clock,
            purpose=(exchange_pb2.PURPOSE_PLATFORM if is_platform else exchange_pb2.PURPOSE_HOLDER),
            max_trust_age_seconds=settings.max_trust_age_seconds,
        )
        return client

    def _age_of(self, now: datetime, origin: str) -> int | None:
        return self._trust.tree.age_seconds(now, origin)

    def _feed_changed(self) -> None:
        self._cache.clear()
        self._trust.tree.update()

    def _trust_view(self) -> TrustView:
        bundle = self._trust.bundle
        if self._view is None or self._view.bundle is not bundle:
            self._cache.clear()
            self._view = TrustView(bundle, self.settings.region, self._cache, age_of=self._age_of)
        return self._view

    def _ready(self) -> Pipeline:
        if self._pipeline is None:
            raise RuntimeError("use `async with Checkpoint.open(settings)`")
        return self._pipeline

    def _timeout(self, given: float | None) -> float:
        return self.settings.question_timeout_seconds if given is None else given


def read_ca(settings: CheckpointSettings) -> bytes | None:
    """The certificates under which the hub's is checked; None: the system's."""
    if settings.ca_file is None:
        return None
    return read_bounded(settings.ca_file, MAX_CA_BYTES, "CA file")


def open_hub_channel(settings: CheckpointSettings) -> grpc.aio.Channel:
    """A channel to the hub of these settings."""
    return open_channel(settings.hub, ca_pem=read_ca(settings))


def _division(origin: str | None) -> str | None:
    return None if origin is None else parse_division(origin)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
