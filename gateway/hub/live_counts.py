"""How many live attestations a distrust would touch, asked of the issuer's own adapter.

Where the issuer stands behind another hub, the question goes there over the hubs
between, as questions about travellers do: ``AdapterService.CountLive`` of the next one.
No count below ten leaves any of them. Who could not be asked is named: the adapter, or
the hub at which the way broke off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc

from gateway.hub.hubs_around import NEXT_SHARE
from gateway.hub.rule_proto import rule_to_proto
from gateway.trust import names
from gateway.wire.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.hub.directory import AdapterRecord, MemberDirectory
    from gateway.hub.hubs_around import HubAsk, HubsAround
    from gateway.hub.link_line import Metadata
    from gateway.trust import DistrustRule

FEWEST_COUNTED: Final = 10
"""As ``hutong.v1.AdapterService.CountLive``: smaller counts are given as this one, and
a hub holds the adapters and hubs behind it to that."""

COUNT_SECONDS: Final = 5.0
"""Longest that the issuer's adapter is waited for, however many hubs lie between."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LiveCount:
    """What came of a count.

    Attributes:
        attestations: live ones; None: not known.
        unknown: URN of who could not be asked; empty: everybody was.
    """

    attestations: int | None
    unknown: str = ""


class LiveCounts:
    """See the module.

    Args:
        directory: the adapters of this hub.
        around: the other hubs; None: there are none.
        channel_to: opens a channel to an adapter; for tests.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        around: HubsAround | None,
        *,
        channel_to: Callable[[AdapterRecord], grpc.aio.Channel] | None = None,
    ) -> None:
        self._directory = directory
        self._around = around
        self._channel_to = channel_to or _channel_to

    async def count(
        self, rule: DistrustRule, ask: HubAsk | None = None, *, seconds: float = COUNT_SECONDS
    ) -> LiveCount:
        """Count what a rule touches.

        Args:
            rule: the rule.
            ask: who asks; None: this hub.
            seconds: how long the answer is waited for.
        """
        # Only an attestation is live, and a hub signs none.
        if rule.kind not in (None, "attestation") or names.is_hub_urn(rule.issuer):
            return LiveCount(0)
        for record in self._directory.adapters():
            if record.authority == rule.issuer:
                return await self._ask_adapter(rule, record, seconds)
        if self._around is None:
            return LiveCount(None, rule.issuer)
        ask = ask or self._around.grants.own
        hub = self._around.next_hop(rule.issuer)
        if hub is None or hub not in self._around.onward(ask):
            # Nobody leads there; or only whoever asks, which would be a loop.
            return LiveCount(None, hub or rule.issuer)
        return await self._ask_hub(rule, ask, hub, seconds * NEXT_SHARE)

    async def _ask_adapter(
        self, rule: DistrustRule, record: AdapterRecord, seconds: float
    ) -> LiveCount:
        channel = self._channel_to(record)
        try:
            return await _ask(channel, rule, record.authority, seconds)
        finally:
            await channel.close()

    async def _ask_hub(
        self, rule: DistrustRule, ask: HubAsk, hub: str, seconds: float
    ) -> LiveCount:
        around = self._around
        channel = None if around is None else around.neighbours.channel(hub)
        if around is None or channel is None:
            return LiveCount(None, hub)
        return await _ask(channel, rule, hub, seconds, around.grants.metadata(ask, hub))


async def _ask(
    channel: grpc.aio.Channel,
    rule: DistrustRule,
    authority: str,
    seconds: float,
    metadata: Metadata = (),
) -> LiveCount:
    try:
        response = await adapter_service_pb2_grpc.AdapterServiceStub(channel).CountLive(
            adapter_service_pb2.CountLiveRequest(rule=rule_to_proto(rule)),
            timeout=seconds,
            metadata=metadata,
        )
    except (grpc.aio.AioRpcError, OSError) as error:
        _log.info("count_live_failed", authority=authority, error=type(error).__name__)
        return LiveCount(None, authority)
    if response.unknown:
        named = response.unknown[0]
        is_urn = names.region_of(named) is not None or names.is_hub_urn(named)
        return LiveCount(None, named if is_urn else authority)
    return LiveCount(max(FEWEST_COUNTED, int(response.attestations)))


def _channel_to(record: AdapterRecord) -> grpc.aio.Channel:
    ca_pem = record.tls_ca_pem.encode("ascii") if record.tls_ca_pem else None
    return open_channel(record.endpoint, ca_pem=ca_pem)
