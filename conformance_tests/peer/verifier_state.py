"""What the reference verifier holds of a feed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import b64, unb64

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_hub_keys import HubKeys

ZERO = b64(bytes(32))


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified entry."""

    claims: dict[str, Any]
    digest: str
    token: str

    @property
    def sequence(self) -> int:
        """Its number."""
        return int(self.claims["seq"])

    @property
    def place(self) -> tuple[str, str]:
        """What a later entry supersedes."""
        return self.claims["kind"], self.claims["subject"]

    @property
    def is_withdrawn(self) -> bool:
        """Whether it is a tombstone."""
        return set(self.claims["body"]) == {"withdrawn"}


@dataclass(frozen=True, slots=True)
class State:
    """What a reader holds; replaced as a whole.

    Attributes:
        sequence: number of the newest entry.
        digest: of it.
        as_of: when the hub last vouched for this.
        dated: when the newest entry was signed.
        hub_keys: the newest set; None: the anchor.
        newest: the newest entry of every kind and subject.
    """

    sequence: int = 0
    digest: str = ZERO
    as_of: int = 0
    dated: int = 0
    hub_keys: HubKeys | None = None
    newest: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def live(self) -> list[Entry]:
        """What is in force, in order."""
        kept = (entry for entry in self.newest.values() if not entry.is_withdrawn)
        return sorted(kept, key=lambda entry: entry.sequence)

    def body(self, kind: str, subject: str) -> dict[str, Any] | None:
        """The body in force; None: there is none."""
        found = self.newest.get((kind, subject))
        return None if found is None or found.is_withdrawn else found.claims["body"]


def listed(entries: list[Entry]) -> str:
    """The digest over the digests of entries."""
    return b64(hashlib.sha256(b"".join(unb64(entry.digest) for entry in entries)).digest())
