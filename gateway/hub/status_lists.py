"""The regions' base status lists as the hub keeps and serves them: opaque, by digest.

A list is immutable under its digest, so that a cache here, at a reader or in
between can never be stale. What is asked for often stays in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.store import Store

KEPT_BYTES: Final = 64 * 1024 * 1024
"""In memory: the newest lists of a few hundred regions."""


class StatusLists:
    """See the module.

    Args:
        store: where they last.
        kept_bytes: how much stays in memory.

    Attributes:
        elsewhere: asks the hub that a list of another hub's region comes from; None:
            there are no other hubs. What it gives stays in memory only.
    """

    elsewhere: Callable[[str], Awaitable[bytes | None]] | None = None

    def __init__(self, store: Store, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def get(self, digest: str) -> bytes | None:
        """Return a list's token, or None where it is not kept.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
            return found
        found = await self._store.status_list(digest)
        if found is None and self.elsewhere is not None:
            found = await self.elsewhere(digest)
        if found is not None:
            self._keep(digest, found)
        return found

    def _keep(self, digest: str, token: bytes) -> None:
        if digest in self._kept or len(token) > self._kept_bytes:
            return
        self._kept[digest] = token
        self._bytes += len(token)
        while self._bytes > self._kept_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
