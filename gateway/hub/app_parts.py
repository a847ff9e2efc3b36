"""Parts of a hub process that stand by themselves; :mod:`gateway.hub.app` puts them together."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from hutong.v1 import exchange_pb2

from gateway.attestation.keys import signing_key_to_jwk
from gateway.hub.adapter_link import AdapterLink
from gateway.hub.delegation import GrantReader
from gateway.hub.hubs_around import HubGrants, HubsAround
from gateway.hub.link_line import LinkSettings
from gateway.hub.link_service import TO_ADAPTER, TO_HUB_BELOW
from gateway.store import Store, StoreError, UsageRow
from gateway.wire.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AsyncExitStack
    from datetime import datetime

    import grpc

    from gateway.attestation.keys import SigningKey
    from gateway.hub.access import GrantMinter
    from gateway.hub.accounting import UsageRow as Sum
    from gateway.hub.directory import AdapterRecord, HubDirectory
    from gateway.hub.federation import Federation

FORGET_PROOFS_SECONDS: Final = 600.0
"""Spent proofs live five minutes; the table stays small when it is swept this often."""

_PAGE_LABEL: Final = b"hutong/v1/page-token"

_log = structlog.get_logger(__name__)


class UsageSink:
    """Gives the sums of the exchange the hour they belong to."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def add_usage(self, rows: Sequence[Sum]) -> None:
        """Add the sums of one period in one transaction."""
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        await self._store.add_usage(
            [
                UsageRow(
                    caller=row.caller,
                    region=row.region,
                    purpose=purpose_name(row.purpose),
                    hour=hour,
                    envelopes=row.envelopes,
                    bytes=row.bytes,
                )
                for row in rows
            ]
        )


async def forget_proofs(store: Store, clock: Callable[[], datetime]) -> None:
    """Sweep spent proofs for ever."""
    while True:
        await asyncio.sleep(FORGET_PROOFS_SECONDS)
        try:
            await store.forget_proofs(before=clock() - timedelta(minutes=1))
        except StoreError as error:
            _log.error("forget_proofs_failed", code=error.code)


def adapter_channel(record: AdapterRecord) -> grpc.aio.Channel:
    """Open a channel to an adapter, trusting the roots it enrolled with."""
    ca_pem = record.tls_ca_pem.encode("ascii") if record.tls_ca_pem else None
    return open_channel(record.endpoint, ca_pem=ca_pem)


def link_to(record: AdapterRecord, grants: GrantMinter) -> AdapterLink:
    """Make the way to an adapter, or to a hub below; it connects when first used."""
    return AdapterLink(
        record.authority,
        lambda: adapter_channel(record),
        grants,
        settings=LinkSettings(),
        jitter=random.random,
        service=TO_HUB_BELOW if record.is_hub else TO_ADAPTER,
    )


def hubs_around(
    hub_urn: str,
    federation: Federation,
    minter: GrantMinter,
    hubs: HubDirectory,
    clock: Callable[[], datetime],
) -> HubsAround:
    """Put together what this hub asks others on its own behalf."""
    reader = GrantReader(hub_urn, clock=clock, of_hubs=True)
    grants = HubGrants(hub_urn, minter, reader, hubs, lambda: federation.superior)
    return HubsAround(hub_urn, federation.neighbours, federation.tree, grants)


def purpose_name(number: int) -> str:
    """Return a purpose as it is counted."""
    name: str = exchange_pb2.Purpose.DESCRIPTOR.values_by_number[number].name
    return name.removeprefix("PURPOSE_")


def page_secret(key: SigningKey) -> bytes:
    """The same in every process that holds the hub's oldest token key, and told to nobody."""
    secret = signing_key_to_jwk(key)["d"].encode("ascii")
    return hmac.digest(secret, _PAGE_LABEL, hashlib.sha256)


async def background(stack: AsyncExitStack, work: Any) -> None:
    """Run work until the stack ends."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001  the rest of the stop must go on
            _log.error("background_work_failed", exception_type=type(error).__qualname__)

    stack.push_async_callback(stop)
