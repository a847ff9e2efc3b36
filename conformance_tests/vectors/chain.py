"""A hub that exists only as the chain it signs: entries, heads, manifests, tombstones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import b64, unb64
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from conformance_tests.vectors.keys import VectorKey

ENTRY = "hutong-feed-entry+jwt"
HEAD = "hutong-feed-head+jwt"
MANIFEST = "hutong-feed-manifest+jwt"
ZERO = b64(bytes(32))


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the chain."""

    sequence: int
    kind: str
    subject: str
    token: str
    withdrawn: bool

    @property
    def digest(self) -> str:
        """By which the next entry names it."""
        return digest(self.token)


@dataclass(slots=True)
class Chain:
    """The log of one hub.

    Attributes:
        hub: URN of the hub.
        key: its feed key.
        links: every entry, in order.
        floor: the oldest number that a watch can still continue after.
    """

    hub: str
    key: VectorKey
    links: list[Link] = field(default_factory=list)
    floor: int = 0

    @property
    def sequence(self) -> int:
        """Number of the newest entry."""
        return len(self.links)

    def append(self, kind: str, subject: str, body: dict[str, Any], iat: int) -> Link:
        """Sign the next entry."""
        previous = self.links[-1].digest if self.links else ZERO
        link = self.link(self.sequence + 1, previous, kind, subject, body, iat)
        self.links.append(link)
        return link

    def link(
        self,
        sequence: int,
        previous: str,
        kind: str,
        subject: str,
        body: dict[str, Any],
        iat: int,
        *,
        key: VectorKey | None = None,
        **more: Any,
    ) -> Link:
        """Sign an entry that need not be the next one."""
        claims = {
            "iss": self.hub,
            "seq": sequence,
            "prev": previous,
            "iat": iat,
            "kind": kind,
            "subject": subject,
            "body": body,
            **more,
        }
        token = (key or self.key).sign(claims, ENTRY)
        return Link(sequence, kind, subject, token, set(body) == {"withdrawn"})

    def newest(self) -> dict[tuple[str, str], Link]:
        """The newest entry of every kind and subject."""
        return {(link.kind, link.subject): link for link in self.links}

    def live(self) -> list[Link]:
        """What is in force, in order."""
        return _in_order(link for link in self.newest().values() if not link.withdrawn)

    def tombstones(self) -> list[Link]:
        """Withdrawals that a cursor above the floor may still need, in order."""
        return _in_order(
            link for link in self.newest().values() if link.withdrawn and link.sequence > self.floor
        )

    def head(self, iat: int, /, **more: Any) -> str:
        """Sign where the chain ends."""
        return self.key.sign({**self._end(iat), **more}, HEAD)

    def snapshot(self, iat: int, /, **more: Any) -> dict[str, Any]:
        """Manifest and entries."""
        live, stones = self.live(), self.tombstones()
        claims = {
            **self._end(iat),
            "count": len(live),
            "entries": listed(live),
            "floor": self.floor,
            "tombstones": listed(stones),
            **more,
        }
        tokens = [link.token for link in _in_order([*live, *stones])]
        return {"manifest": self.key.sign(claims, MANIFEST), "entries": tokens}

    def _end(self, iat: int) -> dict[str, Any]:
        last = self.links[-1].digest if self.links else ZERO
        return {"iss": self.hub, "seq": self.sequence, "digest": last, "iat": iat}


def listed(links: list[Link]) -> str:
    """The digest over the digests of entries, in order."""
    return b64(hashlib.sha256(b"".join(unb64(link.digest) for link in links)).digest())


def _in_order(links: Any) -> list[Link]:
    return sorted(links, key=lambda link: link.sequence)
