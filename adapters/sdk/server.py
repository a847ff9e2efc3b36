"""One adapter process: settings, keys, scheme, connector, pipeline, gRPC.

:func:`make_adapter` wires values that are already there; :func:`load_adapter` reads
them from a folder first. Either gives an :class:`AdapterServer` that is started and
stopped, or run until a signal.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hutong.v1.adapter_service_pb2_grpc import add_AdapterServiceServicer_to_server

from adapters.sdk.attest import Attester
from adapters.sdk.city import load_city
from adapters.sdk.connectors import change_feed_path, open_connector
from adapters.sdk.conversion import Importer
from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.grants import GrantVerifier
from adapters.sdk.hub_anchor import GrantKeys
from adapters.sdk.importing import ImportPipeline
from adapters.sdk.issued import UNNAMED_SECONDS, IssuedLedger, StatusSettings
from adapters.sdk.key_schedule import KeySchedule
from adapters.sdk.keys import load_keys
from adapters.sdk.pipeline import AnswerPipeline
from adapters.sdk.replay import NonceWindow
from adapters.sdk.replica import HubReplica, ReplicaSettings
from adapters.sdk.service import SERVICE, STREAM_METHOD, AdapterServicer
from adapters.sdk.upstream import Upstream, UpstreamSettings
from adapters.sdk.watching import CALL_SECONDS, ChangeDoor, PlatformChanges
from gateway.codes.divisions import division_prefix, parse_division, region_urn
from gateway.trust.anchor import parse_anchor
from gateway.wire.files import refused_as
from gateway.wire.hub_tokens import TokenKeys
from gateway.wire.private_files import read_private
from gateway.wire.server import HutongServer, ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import grpc

    from adapters.sdk.keys import AdapterKeys
    from adapters.sdk.reports import Connector
    from adapters.sdk.settings import AdapterSettings, HubSettings, PlatformSettings
    from adapters.sdk.watching import ChangeSource
    from gateway.attestation.sealing import SealingKey
    from gateway.codes.scheme_model import Scheme
    from gateway.trust.anchor import TrustAnchor


LONGEST_CARRIED: Final = timedelta(days=1)
"""Nothing that is carried lives longer (HT-ATT-7)."""


def system_clock() -> datetime:
    """Return the wall clock, aware, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterParts:
    """What an adapter is made of.

    Attributes:
        scheme: the city's scheme; its authority is the adapter's.
        connector: speaks the platform's wire; closed with the server.
        keys: the adapter's secrets.
        anchor: whose grants are accepted.
        anchor_file: where it was read from; a newer one is taken up from there. None: none is.
        server: how it listens.
        prefixes: divisions it answers for; empty: those of the scheme.
        max_attestation_seconds: longest life the hub grants this authority.
        max_in_flight: envelopes being answered at once.
        max_nonces: nonces remembered.
        status: how status lists are kept; None: nothing that is carried can be revoked.
        changes: tells who is no longer green; followed while the server runs.
        replica: the adapter's own replica of the feed, by which it believes other
            regions; followed while the server runs. None: it converts nothing.
        schedule: tells when a key takes over from another; None: none ever does.
        clock: now, aware, UTC.
    """

    scheme: Scheme
    connector: Connector
    keys: AdapterKeys = field(repr=False)
    anchor: TrustAnchor
    anchor_file: Path | None = None
    server: ServerSettings
    prefixes: tuple[str, ...] = ()
    max_attestation_seconds: int = 86_400
    max_in_flight: int = 4096
    max_nonces: int = 2_000_000
    status: StatusSettings | None = None
    changes: ChangeSource | None = None
    replica: HubReplica | None = None
    schedule: KeySchedule | None = None
    clock: Callable[[], datetime] = system_clock


class AdapterServer:
    """A running adapter.

    Args:
        parts: what it is made of.

    Raises:
        DivisionError: the authority of the scheme does not exist.
    """

    def __init__(self, parts: AdapterParts) -> None:
        scheme, keys = parts.scheme, parts.keys
        # Also loads the division table, which the first question should not wait for.
        authority = region_urn(parse_division(scheme.authority))
        prefixes = tuple(division_prefix(p) for p in parts.prefixes or scheme.prefixes)
        self.ledger = _ledger(parts, authority)
        # Shared by all that opens envelopes, and changed in place when keys change.
        self._sealing_keys = dict(keys.sealing_keys)
        self._attester = Attester(
            authority=authority,
            prefixes=prefixes,
            scheme=scheme,
            key=keys.attest,
            pseudonym_secret=keys.pseudonym_secret,
            max_seconds=parts.max_attestation_seconds,
            ledger=self.ledger,
            unnamed_seconds=UNNAMED_SECONDS if parts.changes is not None else None,
        )
        self.pipeline = AnswerPipeline(
            prefixes=prefixes,
            scheme=scheme,
            connector=parts.connector,
            sealing_keys=self._sealing_keys,
            attester=self._attester,
            ledger=self.ledger,
            nonces=NonceWindow(max_nonces=parts.max_nonces),
            clock=parts.clock,
        )
        servicer = AdapterServicer(
            authority=authority,
            prefixes=prefixes,
            scheme=scheme,
            sealing_key_ids=self._sealing_keys,
            pipeline=self.pipeline,
            grants=GrantVerifier(
                parts.anchor,
                authority,
                clock=parts.clock,
                keys=TokenKeys(
                    GrantKeys(parts.anchor, parts.anchor_file, parts.replica, clock=parts.clock)
                ),
            ),
            clock=parts.clock,
            imports=_imports(parts, prefixes, self._sealing_keys),
            max_in_flight=parts.max_in_flight,
            ledger=self.ledger,
        )
        self.authority = authority
        self._clock = parts.clock
        self._connector = parts.connector
        self._replica = parts.replica
        self._changes = parts.changes
        self._schedule = parts.schedule
        self._following: asyncio.Task[None] | None = None
        self._turning: asyncio.Task[None] | None = None
        self._server = HutongServer(parts.server, items_validated_by_servicer=[STREAM_METHOD])
        self._server.add(SERVICE, add_AdapterServiceServicer_to_server, servicer)
        self._server.on_drain(servicer.drain)

    def add(
        self, service: str, add_to_server: Callable[[Any, grpc.aio.Server], None], servicer: object
    ) -> None:
        """Serve a further service on the same port; before the start."""
        self._server.add(service, add_to_server, servicer)

    async def start(self) -> int:
        """Bind and serve; return the port.

        Raises:
            ServerError: the address cannot be bound or the TLS files not be read.
            FileError: the replica cannot be read.
            AdapterConfigError: the file of what was issued cannot be used.
        """
        async with AsyncExitStack() as undo:
            if self._replica is not None:
                await self._replica.start()
                undo.push_async_callback(self._replica.stop)
            if self.ledger is not None:
                await self.ledger.start()
                undo.push_async_callback(self.ledger.close)
                if self._changes is not None:
                    # Nothing was heard of the platform yet, and nothing older still lives.
                    self.ledger.board.follow(self._clock() - LONGEST_CARRIED)
            port = await self._server.start()
            undo.pop_all()
        if self.ledger is not None and self._changes is not None:
            self._following = asyncio.create_task(self._changes.follow(self.ledger))
        if self._schedule is not None:
            self._turning = asyncio.create_task(self._schedule.follow(self.turn_keys))
        return port

    async def turn_keys(self, keys: AdapterKeys) -> None:
        """Use other keys from now on; what is in flight ends with those it began with."""
        # First the new ones: at no moment is one missing that is in use.
        self._sealing_keys.update(keys.sealing_keys)
        for key_id in self._sealing_keys.keys() - keys.sealing_keys.keys():
            del self._sealing_keys[key_id]
        self._attester.use(keys.attest)
        if self.ledger is not None:
            await self.ledger.use(keys.attest)

    async def stop(self) -> None:
        """Drain, stop, and let go of the platform."""
        await self._server.stop()
        await self._let_go()

    async def run_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain and stop."""
        try:
            await self._server.run_until_signal()
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        for task in (self._turning, self._following):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self._changes is not None:
            await self._changes.close()
        if self.ledger is not None:
            await self.ledger.close()
        if self._replica is not None:
            await self._replica.stop()
        await self._connector.close()


def _ledger(parts: AdapterParts, authority: str) -> IssuedLedger | None:
    if parts.status is None:
        return None
    lives = [version.clocks.carried_max_seconds for version in parts.scheme.versions]
    return IssuedLedger(
        parts.status,
        authority=authority,
        key=parts.keys.attest,
        pseudonym_secret=parts.keys.pseudonym_secret,
        max_seconds=min(parts.max_attestation_seconds, max(lives)),
        clock=parts.clock,
    )


def _imports(
    parts: AdapterParts, prefixes: tuple[str, ...], sealing_keys: Mapping[str, SealingKey]
) -> ImportPipeline | None:
    """What converts; None where the platform takes nothing or nobody would be believed."""
    if not isinstance(parts.connector, Importer) or parts.replica is None:
        return None
    return ImportPipeline(
        prefixes=prefixes,
        scheme=parts.scheme,
        connector=parts.connector,
        importer=parts.connector,
        trust=parts.replica,
        sealing_keys=sealing_keys,
        clock=parts.clock,
    )


def load_adapter(
    settings: AdapterSettings, *, clock: Callable[[], datetime] = system_clock
) -> AdapterServer:
    """Read everything that the settings name and make the adapter; starts nothing.

    Raises:
        AdapterConfigError: a file is missing, malformed or readable by others.
        SchemeError: the scheme or its connector does not load, or a vector fails.
        AnchorError: the trust anchor does not load.
    """
    scheme = load_city(settings.scheme)
    grpc = settings.grpc
    anchor = parse_anchor(_read(settings.anchor))
    keys = load_keys(settings.keys, now=clock())
    return AdapterServer(
        AdapterParts(
            scheme=scheme,
            connector=platform_connector(scheme, settings.platform, clock=clock),
            keys=keys,
            anchor=anchor,
            anchor_file=settings.anchor,
            server=ServerSettings(
                host=grpc.host,
                port=grpc.port,
                tls_certificate=grpc.certificate,
                tls_key=grpc.key,
                unsafe_insecure=grpc.unsafe_insecure,
                drain_seconds=grpc.drain_seconds,
                reflection=grpc.reflection,
            ),
            prefixes=settings.prefixes,
            max_attestation_seconds=settings.max_attestation_seconds,
            max_in_flight=grpc.max_in_flight,
            max_nonces=settings.max_nonces,
            status=StatusSettings(
                path=settings.status.path,
                bits=settings.status.bits,
                entries=settings.status.entries,
                period_seconds=settings.status.period_seconds,
            ),
            changes=platform_changes(scheme, settings.platform, clock=clock),
            replica=_replica(settings.hub, anchor, clock),
            schedule=KeySchedule(settings.keys, keys, clock=clock),
            clock=clock,
        )
    )


def platform_changes(
    scheme: Scheme,
    platform: PlatformSettings,
    *,
    clock: Callable[[], datetime] = system_clock,
) -> PlatformChanges | None:
    """Make what follows the change feed that the scheme names; None: it names none.

    It has a connector of its own, because a call that waits for news may take longer
    than one that answers a traveller, and must not tell the breaker anything.

    Raises:
        AdapterConfigError: the connector has no call for it.
        SchemeError: the connector of the scheme does not load.
    """
    path = change_feed_path(scheme)
    if path is None:
        return None
    patient = platform.model_copy(update={"timeout_seconds": CALL_SECONDS, "max_connections": 2})
    door = platform_connector(scheme, patient, clock=clock)
    if not isinstance(door, ChangeDoor):
        raise AdapterConfigError(
            f"the connector of {scheme.family} has no call for the change feed",
            fix="give it the method `changes` of adapters.sdk.watching.ChangeDoor",
        )
    return PlatformChanges(door, path, scheme, clock=clock)


def _replica(
    hub: HubSettings | None, anchor: TrustAnchor, clock: Callable[[], datetime]
) -> HubReplica | None:
    if hub is None:
        return None
    return HubReplica(
        anchor,
        ReplicaSettings(
            target=hub.target,
            path=hub.replica,
            ca_pem=_read(hub.ca) if hub.ca else None,
            heartbeat_seconds=hub.heartbeat_seconds,
            max_age_seconds=hub.max_trust_age_seconds,
            unsafe_insecure=hub.unsafe_insecure,
        ),
        clock=clock,
    )


def platform_connector(
    scheme: Scheme,
    platform: PlatformSettings,
    *,
    clock: Callable[[], datetime] = system_clock,
) -> Connector:
    """Make the connector to the platform that the settings name.

    Raises:
        AdapterConfigError: the address or a secret cannot be used.
        SchemeError: the connector of the scheme does not load.
    """
    with refused_as(AdapterConfigError):
        secrets = {
            name: read_private(path).decode("utf-8", "replace").strip()
            for name, path in platform.secrets.items()
        }
    upstream = Upstream(
        UpstreamSettings(
            url=platform.url,
            timeout_seconds=platform.timeout_seconds,
            connect_timeout_seconds=platform.connect_timeout_seconds,
            max_response_bytes=platform.max_response_bytes,
            max_connections=platform.max_connections,
            breaker_failures=platform.breaker_failures,
            breaker_open_seconds=platform.breaker_open_seconds,
            ca_pem=_read(platform.ca).decode("ascii", "replace") if platform.ca else None,
            unsafe_plain_http=platform.unsafe_plain_http,
        )
    )
    return open_connector(scheme, upstream=upstream, secrets=secrets, now=clock)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise AdapterConfigError(f"{path} cannot be read") from None
