"""Nonces seen: a bounded window in which a question is answered once.

A question is accepted within :data:`WINDOW_SECONDS` of its ``asked_at`` on either
side, so a nonce must be remembered for twice that; after that the question is
stale anyway. Two generations of sets hold them: membership costs two look-ups,
forgetting costs nothing. When the bound is reached new questions are refused
until the older generation goes: the window is never shortened to make room.

The memory is this process's own: after a restart, or beside another process of
the same adapter, a replay within the window is answered once more, under the
reply key of the original, which only the original asker holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.sdk.errors import QuestionError

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW_SECONDS: Final = 60
"""Accepted distance of ``asked_at`` (HT-SEAL-6)."""

DEFAULT_MAX_NONCES: Final = 2_000_000
"""About 200 MB at worst, 8 000 questions a second for the time of two generations."""


class NonceWindow:
    """Remembers nonces for at least ``2 * WINDOW_SECONDS``.

    Args:
        max_nonces: most nonces held.
    """

    def __init__(self, *, max_nonces: int = DEFAULT_MAX_NONCES) -> None:
        self._max = max_nonces
        self._older: set[bytes] = set()
        self._newer: set[bytes] = set()
        self._turned_at: float | None = None

    def __len__(self) -> int:
        """Nonces held."""
        return len(self._older) + len(self._newer)

    def admit(self, nonces: Sequence[bytes], now_seconds: float) -> None:
        """Remember the nonces of one envelope, all or none.

        Args:
            nonces: those of the envelope.
            now_seconds: Unix seconds.

        Raises:
            QuestionError: QUESTION_REPLAYED, one was seen; OVERLOADED, no room.
        """
        self._turn(now_seconds)
        fresh = set(nonces)
        if not (self._newer.isdisjoint(fresh) and self._older.isdisjoint(fresh)):
            raise QuestionError("a nonce was seen before", code="QUESTION_REPLAYED")
        if len(self) + len(fresh) > self._max:
            raise QuestionError("too many questions to remember", code="OVERLOADED")
        self._newer |= fresh

    def _turn(self, now_seconds: float) -> None:
        if self._turned_at is None:
            self._turned_at = now_seconds
        passed = now_seconds - self._turned_at
        if passed < 2 * WINDOW_SECONDS:
            return
        # After two quiet generations nothing is left to remember.
        self._older = self._newer if passed < 4 * WINDOW_SECONDS else set()
        self._newer = set()
        self._turned_at = now_seconds
