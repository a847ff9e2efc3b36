"""The hub's token keys as an adapter knows them now: by which grants are verified.

A hub changes its keys in its feed (:mod:`gateway.trust.hub_keys`). An adapter that follows
the feed has the newest from there. One that does not is handed a new ``anchor.json``: the
file is looked at every second, and a newer one is taken up without a restart. Of both the
one counts that knows the later set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import HutongError
from gateway.trust.anchor import MAX_ANCHOR_BYTES, anchor_of, parse_anchor
from gateway.wire.files import read_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from adapters.sdk.replica import HubReplica
    from gateway.attestation.keys import VerificationKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.hub_keys import HubKeySet

LOOK_SECONDS: Final = 1.0
"""How often the file is looked at, as the folder of keys is."""

_log = structlog.get_logger(__name__)


class GrantKeys:
    """See the module; called, it gives the keys by id.

    Args:
        anchor: as it was read at the start.
        path: its file; None: it came from elsewhere and stays as it is.
        replica: the adapter's own replica of the feed; None: it follows none.
        clock: now, aware, UTC.
    """

    def __init__(
        self,
        anchor: TrustAnchor,
        path: Path | None,
        replica: HubReplica | None,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._anchor = anchor
        self._path = path
        self._replica = replica
        self._clock = clock
        self._seen = None if path is None else _stamp(path)
        self._looked_at = clock()
        self._set: HubKeySet | None = None

    def __call__(self) -> Mapping[str, VerificationKey]:
        """Return the token keys, those to come among them."""
        self._look()
        if self._replica is not None:
            newest = self._replica.hub_keys()
            if newest is not None and newest is not self._set:
                self._set = newest
                self._take(replace(anchor_of(newest.hub, newest.keys), number=newest.number))
        return self._anchor.token_keys

    def _look(self) -> None:
        now = self._clock()
        # A clock that was set back looks again.
        if self._path is None or 0 <= (now - self._looked_at).total_seconds() < LOOK_SECONDS:
            return
        self._looked_at = now
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._take(parse_anchor(read_bounded(self._path, MAX_ANCHOR_BYTES, "trust anchor")))
        except HutongError as error:
            _log.error("anchor_not_taken", code=error.code)

    def _take(self, anchor: TrustAnchor) -> None:
        if anchor.hub != self._anchor.hub:
            _log.error("anchor_not_taken", code="ANCHOR_INVALID")
        elif anchor.number > self._anchor.number:
            self._anchor = anchor
            _log.info("hub_keys_taken", hub=anchor.hub, number=anchor.number)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
