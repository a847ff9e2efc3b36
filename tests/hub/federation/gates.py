"""What the tests of several hubs ask of a checkpoint, and wait for at it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from adapters.platforms import scenario
from gateway.errors import HutongError
from gateway.trust.errors import TrustLookupError
from tests.hub.federation.world import WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.codes import Document
    from gateway.edge import Checkpoint, Result
    from gateway.trust import TrustBundle


async def until_trusted(checkpoint: Checkpoint, holds: Callable[[TrustBundle], object]) -> None:
    """Wait until the checkpoint's trust says something."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(HutongError):
                if holds(checkpoint._trust.bundle):
                    return
            with contextlib.suppress(HutongError):
                await checkpoint.refresh()
            await asyncio.sleep(0.02)


def refusal(checkpoint: Checkpoint, urn: str) -> str:
    """Why an authority is not believed; empty: it is."""
    try:
        checkpoint._trust.bundle.authority(urn)
    except TrustLookupError as error:
        return error.code
    return ""


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


def shown(story: str) -> str:
    text = scenario(f"hangzhou/{story}").qr_text
    assert text is not None
    return text


async def until_admitted(checkpoint: Checkpoint) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await checkpoint.ask(shown("green"), timeout_seconds=20)).is_admitted:  # noqa: ASYNC110  a question is what is waited with
            await asyncio.sleep(0.05)


async def fetched(checkpoint: Checkpoint, document: Document) -> str:
    """An attestation to carry, as soon as it is one that verifies here."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = await checkpoint.fetch(document, origin="330100", timeout_seconds=20)
            if found.armour is not None:
                return found.armour
            await asyncio.sleep(0.05)


async def until_true(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition that is asked for."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0.05)
