"""Remembering what was verified, so that the same token is not verified twice.

Keyed by the SHA-256 of the whole token, signature included: two tokens share an
entry only if they are the same bytes. An entry holds what the signature proves
and the key that proved it. It answers nothing that depends on who asks or when:
the verifier judges audience, nonce, use, times and key anew on every hit.

Invariants:

* never more than ``max_entries``; the least recently used one goes first;
* an entry is gone at its ``exp``, leeway or not;
* after ``clear`` nothing that was verified before comes back: whoever began
  earlier holds an older generation, and what it puts is dropped.

Safe to share between threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import InternalError

if TYPE_CHECKING:
    from gateway.attestation.claim_set import Claims
    from gateway.attestation.claims import Attestation
    from gateway.attestation.keys import VerificationKey


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What one verification found.

    Attributes:
        attestation: what the token says.
        key: the key under which its signature held.
        claims: the claim set as it stands in the token.
    """

    attestation: Attestation = field(repr=False)
    key: VerificationKey
    claims: Claims = field(repr=False)


class VerifiedTokenCache:
    """A bounded store of verified tokens; see the module's contract."""

    def __init__(self, max_entries: int = 65_536) -> None:
        """Makes an empty cache.

        Args:
            max_entries: at least 1. An entry takes about 4 KB; the default holds the
                morning peak of a large checkpoint in a quarter of a gigabyte.

        Raises:
            InternalError: ``max_entries`` is below 1.
        """
        if max_entries < 1:
            raise InternalError("a cache holds at least one entry")
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._lock = threading.Lock()
        self._generation = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def generation(self) -> int:
        """Counts the calls of ``clear``; read it before a verification begins."""
        return self._generation

    def get(self, digest: bytes, now_seconds: int) -> VerifiedToken | None:
        """Returns the entry of a token, or None where there is none that lives.

        Args:
            digest: SHA-256 of the whole token.
            now_seconds: the reader's clock, seconds since the epoch.
        """
        with self._lock:
            entry = self._entries.get(digest)
            if entry is None:
                return None
            if now_seconds >= entry.claims.exp:
                del self._entries[digest]
                return None
            self._entries.move_to_end(digest)
            return entry

    def put(self, digest: bytes, entry: VerifiedToken, generation: int) -> None:
        """Remembers a verification, unless trust has changed since it began.

        Args:
            digest: SHA-256 of the whole token.
            entry: what was found.
            generation: the value of ``generation`` before the verification.
        """
        with self._lock:
            if generation != self._generation:
                return
            self._entries[digest] = entry
            self._entries.move_to_end(digest)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forgets everything: trust has changed."""
        with self._lock:
            self._generation += 1
            self._entries.clear()
