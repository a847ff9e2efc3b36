"""What every command of a region that is a member does first: keys, hub, access."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.sdk.city import read_city
from adapters.sdk.keys import load_keys
from gateway.cli.adapter_hub import TOKEN_PATH
from gateway.cli.region_files import pending, settle
from gateway.codes import region_urn
from gateway.trust import parse_anchor
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import check_hub
from gateway.wire.key_change import PUBLISH_SCOPE, MemberLine
from gateway.wire.token_client import TokenClient, TokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from adapters.sdk.settings import AdapterSettings
    from gateway.cli.adapter_hub import HubDoor


@dataclass(frozen=True, slots=True)
class Region:
    """A region at its hub.

    Attributes:
        urn: of the region.
        folder: of its keys.
        line: to the hub.
    """

    urn: str
    folder: Path
    line: MemberLine


def system_clock() -> datetime:
    """Return the wall clock, aware, UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_region(
    settings: AdapterSettings,
    door: HubDoor,
    http: str,
    *,
    clock: Callable[[], datetime] = system_clock,
) -> AsyncIterator[Region]:
    """Open a region's line to its hub, which must be the one of the anchor.

    What an earlier run began at the hub and did not finish here is finished first.

    Raises:
        HutongError: something cannot be read, or the hub refuses or cannot be reached.
    """
    anchor = parse_anchor(door.anchor)
    urn = region_urn(read_city(settings.scheme).authority)
    keys = load_keys(settings.keys, now=clock())
    async with open_channel(door.target, ca_pem=door.ca_pem) as channel:
        await check_hub(channel, anchor)
        url = http.rstrip("/") + TOKEN_PATH
        tokens = TokenClient(url, urn, keys.authenticate, door.ca_pem, clock)
        try:
            try:
                await tokens.token(PUBLISH_SCOPE)
            except TokenError as error:
                coming = pending(settings.keys, "authenticate")
                if error.code != "TOKEN_REFUSED" or coming is None:
                    raise
                # Stopped between the change that replaced the key and its name.
                await tokens.close()
                tokens = TokenClient(url, urn, coming.signing, door.ca_pem, clock)
                await tokens.token(PUBLISH_SCOPE)
            line = MemberLine(channel, tokens, urn=urn, hub_urn=anchor.hub)
            settle(settings.keys, await line.standing())
            yield Region(urn, settings.keys, line)
        finally:
            await tokens.close()
