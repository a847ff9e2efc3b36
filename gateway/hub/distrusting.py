"""Surgical distrust: what it would touch, that it holds, and that it is taken back.

A distrust is the hub's own word, an entry of kind ``distrust``; taking it back is a
tombstone. Both stand in the audit. The preview counts and names; it never learns
whose attestations they are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc, distrust_pb2

from gateway.attestation import base64url
from gateway.hub.errors import RegistryError
from gateway.hub.registry_base import printable, withdrawal
from gateway.trust import DistrustError, DistrustRule, FeedKind, distrust_body, names
from gateway.trust.times import from_seconds
from gateway.wire.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.hub.directory import AdapterRecord
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.registry import Registry
    from gateway.store import Store

DISTRUST_ID_BYTES: Final = 12
"""96 random bits: distrusts are few."""

MAX_CALLERS: Final = 1000
"""As ``hutong.v1.PreviewDistrustResponse.callers``."""

COUNT_SECONDS: Final = 5.0
"""Longest a preview waits for the issuer's adapter."""

RECENT: Final = timedelta(days=1)
"""Callers of a day, as the schema says."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would touch.

    Attributes:
        attestations: live ones that the issuer's adapter counts; None: it could not be
            asked, or would not say.
        edges_connected: readers of the feed connected to this process now.
        callers: URNs of who asked the issuer's divisions within a day, at most 1 000.
        published: subjects of schemes, policies and status lists that would not hold.
    """

    attestations: int | None
    edges_connected: int
    callers: tuple[str, ...]
    published: tuple[str, ...]


class Distrusting:
    """See the module.

    Args:
        registry: makes the changes.
        feed: the feed in memory.
        store: for the usage of a day.
        channel_to: opens a channel to an adapter; for tests.
    """

    def __init__(
        self,
        registry: Registry,
        feed: HubFeed,
        store: Store,
        *,
        channel_to: Callable[[AdapterRecord], grpc.aio.Channel] | None = None,
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._store = store
        self._channel_to = channel_to or _channel_to

    async def preview(self, rule: DistrustRule) -> Preview:
        """Tell what a distrust would touch.

        Raises:
            DistrustError: the feed does not name the issuer.
        """
        self._check_issuer(rule)
        attestations, callers = await asyncio.gather(self._count(rule), self._callers(rule))
        return Preview(
            attestations=attestations,
            edges_connected=self._feed.watchers,
            callers=callers,
            published=tuple(item.entry.subject for item in self._feed.bundle.touched(rule)),
        )

    async def distrust(self, rule: DistrustRule, *, by: str, reason: str) -> tuple[str, int]:
        """Publish a distrust at once.

        Returns:
            What names it, and the sequence number of its entry.

        Raises:
            DistrustError: the feed does not name the issuer.
            StoreError: the store failed; nothing was acknowledged.
        """
        self._check_issuer(rule)
        distrust_id = base64url.encode(self._registry.random_bytes(DISTRUST_ID_BYTES))
        body = distrust_body(rule, reason=printable(reason), decided_at=self._registry.now())
        sequence = await self._registry.announce(
            [(FeedKind.DISTRUST, distrust_id, body)],
            action="distrust",
            subject=distrust_id,
            by=by,
            reason=reason,
        )
        return distrust_id, sequence

    async def undo(self, distrust_id: str, *, by: str, reason: str) -> int:
        """Take a distrust back.

        Returns:
            The sequence number of the entry that does.

        Raises:
            RegistryError: NOT_FOUND.
            StoreError: the store failed; nothing was acknowledged.
        """

        def check() -> None:
            # Inside the change: two operators may undo it at once.
            if all(held.distrust_id != distrust_id for held in self._feed.bundle.distrusts()):
                raise RegistryError("no such distrust is in force", code="NOT_FOUND")

        return await self._registry.announce(
            [withdrawal(FeedKind.DISTRUST, distrust_id, reason or "taken back")],
            action="undo-distrust",
            subject=distrust_id,
            by=by,
            reason=reason,
            check=check,
        )

    def _check_issuer(self, rule: DistrustRule) -> None:
        known = {authority.urn for authority in self._feed.bundle.authorities()}
        known |= {hub.urn for hub in self._feed.bundle.all_hubs()}
        if rule.issuer not in known:
            raise DistrustError("the feed names no such issuer")

    async def _callers(self, rule: DistrustRule) -> tuple[str, ...]:
        member = self._registry.members.get(rule.issuer)
        if member is None:
            return ()
        since = self._registry.now() - RECENT
        rows = await self._store.usage(since=since.replace(minute=0, second=0, microsecond=0))
        found = {
            row.caller
            for row in rows
            if row.caller and names.covers(member.body.prefixes, row.region)
        }
        return tuple(sorted(found)[:MAX_CALLERS])

    async def _count(self, rule: DistrustRule) -> int | None:
        records = self._registry.members.adapters()
        record = next((item for item in records if item.authority == rule.issuer), None)
        if record is None or rule.kind not in (None, "attestation"):
            return None if record is None else 0
        channel = self._channel_to(record)
        try:
            response = await adapter_service_pb2_grpc.AdapterServiceStub(channel).CountLive(
                adapter_service_pb2.CountLiveRequest(rule=rule_to_proto(rule)),
                timeout=COUNT_SECONDS,
            )
        except (grpc.aio.AioRpcError, OSError) as error:
            _log.info("count_live_failed", authority=rule.issuer, error=type(error).__name__)
            return None
        finally:
            await channel.close()
        return int(response.attestations)


def rule_from_proto(message: distrust_pb2.DistrustRule) -> DistrustRule:
    """Read a rule as operators hand it in.

    Raises:
        DistrustError: it names nothing, or a span that is none.
    """
    has_serials = bool(message.first_serial or message.last_serial)
    try:
        return DistrustRule(
            issuer=message.issuer,
            signed_from=from_seconds(message.signed_from.seconds),
            signed_until=(
                from_seconds(message.signed_until.seconds)
                if message.HasField("signed_until")
                else None
            ),
            kind=message.kind or None,
            key_id=message.key_id or None,
            prefix=names.shortest(message.prefix) or None,
            scheme=message.scheme or None,
            first_serial=message.first_serial if has_serials else None,
            last_serial=message.last_serial if has_serials else None,
        )
    except (ValueError, OverflowError):
        raise DistrustError("an instant of the rule lies outside the calendar") from None


def rule_to_proto(rule: DistrustRule) -> distrust_pb2.DistrustRule:
    """Write a rule as adapters read it."""
    message = distrust_pb2.DistrustRule(
        issuer=rule.issuer,
        kind=rule.kind or "",
        key_id=rule.key_id or "",
        prefix=rule.prefix or "",
        scheme=rule.scheme or "",
        first_serial=rule.first_serial or 0,
        last_serial=rule.last_serial or 0,
    )
    message.signed_from.FromDatetime(rule.signed_from)
    if rule.signed_until is not None:
        message.signed_until.FromDatetime(rule.signed_until)
    return message


def _channel_to(record: AdapterRecord) -> grpc.aio.Channel:
    ca_pem = record.tls_ca_pem.encode("ascii") if record.tls_ca_pem else None
    return open_channel(record.endpoint, ca_pem=ca_pem)
