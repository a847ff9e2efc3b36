"""Keys change while the adapter runs: the folder of keys is looked at, nothing restarts.

A key to come lies beside the old one with the second of its first use in its name
(:mod:`adapters.sdk.keys`). From that second on it signs; whatever was sealed to an older
sealing key opens for as long as that key's file is there. A look costs one listing of
the folder; a file is read once.

What cannot be read is no reason to stop: the keys that were there go on, and the file is
tried again with the next look.

Example::

    schedule = KeySchedule(settings.keys, load_keys(settings.keys), clock=clock)
    keys = schedule.look()          # every second or so
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapters.sdk.keys import file_in_use, seal_files
from gateway.attestation.keys import signing_key_from_jwk
from gateway.attestation.sealing_keys import sealing_key_from_jwk
from gateway.wire.files import FileError
from gateway.wire.private_files import read_private_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from adapters.sdk.keys import AdapterKeys

LOOK_SECONDS: Final = 1.0
"""How often a running adapter looks: well within the leeway of every reader (60 s)."""

_SIGNING: Final = ("state", "attest", "authenticate")

_log = structlog.get_logger(__name__)


class KeySchedule:
    """See the module.

    Args:
        folder: of the keys.
        keys: as they were read at the start.
        clock: now, aware, UTC.
    """

    def __init__(self, folder: Path, keys: AdapterKeys, *, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._keys = keys
        self._clock = clock
        self._read: dict[Path, Any] = {}
        self._unreadable: set[Path] = set()

    @property
    def keys(self) -> AdapterKeys:
        """The keys as of the last look."""
        return self._keys

    def look(self) -> AdapterKeys:
        """Look at the folder; return the keys to use now. May block: it reads files."""
        now = self._clock()
        kept = self._keys
        signing = {
            slot: self._key(file_in_use(self._folder, slot, now), signing_key_from_jwk)
            or getattr(kept, slot)
            for slot in _SIGNING
        }
        files = seal_files(self._folder)
        found = [self._key(path, sealing_key_from_jwk) for path in files]
        seal = tuple(key for key in found if key is not None)
        if len(seal) < len(found):
            # One that cannot be read now may be one that opened a moment ago.
            held = {key.key_id for key in seal}
            seal += tuple(key for key in kept.seal if key.key_id not in held)
        self._keys = replace(kept, seal=seal or kept.seal, **signing)
        return self._keys

    async def follow(self, turn: Callable[[AdapterKeys], Awaitable[None]]) -> None:
        """Look every second and hand over what is to be used, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                # A key in a module takes a while to open.
                await turn(await asyncio.to_thread(self.look))
            except Exception as error:  # noqa: BLE001 - the next look goes on
                _log.error("keys_not_turned", kind=type(error).__name__)

    def _key(self, path: Path, parse: Callable[[dict[str, Any]], Any]) -> Any:
        key = self._read.get(path)
        if key is None:
            try:
                key = self._read[path] = read_private_key(path, parse)
            except FileError as error:
                if path not in self._unreadable:
                    self._unreadable.add(path)
                    _log.error("key_unreadable", file=path.name, code=error.code)
                return None
            self._unreadable.discard(path)
        return key
