"""Waiting for what tells nobody when it comes; bounded far above what a busy machine needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

WAIT_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.005


async def until(holds: Callable[[], object]) -> None:
    """Wait for a condition.

    Raises:
        InternalError: it never came.
    """
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise InternalError("what an act waits for did not come", code="DEMO_WAIT") from None


async def until_found(
    look: Callable[[], Awaitable[T]], is_it: Callable[[T], bool], *, every: float = 0.05
) -> T:
    """Ask again until the answer is the one; return it.

    Raises:
        InternalError: it never came.
    """
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not is_it(found := await look()):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(every)
            return found
    except TimeoutError:
        raise InternalError("what an act waits for did not come", code="DEMO_WAIT") from None
