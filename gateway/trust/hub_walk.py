"""From an older anchor to the newest: the walk over a hub's sets of keys (``hub_keys``).

Before a manifest is judged, the sets that a snapshot, a file or a pack lists are taken
out of it and verified one under the other. What is listed is not trusted; what it cannot
do is to make a set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from gateway.attestation import base64url
from gateway.attestation.errors import KeyMaterialError
from gateway.trust.entries import live_entry
from gateway.trust.errors import FeedError, FeedFault, StatementError
from gateway.trust.feed import verify_entry
from gateway.trust.hub_keys import MAX_SETS, HubKeySet, advanced, parse_hub_keys, set_named
from gateway.trust.kinds import FeedKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.feed import FeedEntry

_WORD: Final = FeedKind.HUB_KEYS.value.encode("ascii")


def _spellings(word: bytes) -> tuple[str, ...]:
    """What base64url makes of a word at each of the three places where it can begin."""
    found = []
    for before in range(3):
        first = (before + 2) // 3 * 3 - before
        whole = word[first : first + (len(word) - first) // 3 * 3]
        found.append(base64url.encode(whole))
    return tuple(found)


_MARKS: Final = _spellings(_WORD)


class _Shell(msgspec.Struct):
    kind: str
    subject: str


def walked(anchor: TrustAnchor, tokens: Iterable[str]) -> TrustAnchor:
    """Returns the anchor after every newer set among listed entries.

    The list is not trusted: each set is verified under the one before it.

    Args:
        anchor: believed so far.
        tokens: the entries of a snapshot, a file or a pack, in any order.

    Raises:
        FeedError: FEED_SIGNATURE, FEED_GAP or FEED_MALFORMED.
    """
    found: dict[int, str] = {}
    for token in tokens:
        number = looks_like_set(token)
        if number > anchor.number:
            if found.setdefault(number, token) != token:
                raise FeedError("a second set of keys of one number", code=FeedFault.FEED_FORK)
            if len(found) > MAX_SETS:
                raise FeedError(f"more than {MAX_SETS} sets of keys")
    for number in sorted(found):
        anchor = advanced(anchor, set_of(verify_entry(found[number], anchor)))
    return anchor


def set_of(entry: FeedEntry) -> HubKeySet:
    """Reads a verified entry of kind ``hub-keys``.

    Raises:
        FeedError: it does not hold by itself.
    """
    try:
        return parse_hub_keys(live_entry(entry), entry.body)
    except (StatementError, KeyMaterialError) as error:
        raise FeedError(f"entry {entry.sequence}: {error}") from None


def looks_like_set(token: str) -> int:
    """Returns which set an entry says it is, its signature not looked at; 0: none."""
    if not any(mark in token for mark in _MARKS):
        return 0
    try:
        shell = msgspec.json.decode(
            base64url.decode(token.split(".")[1].encode("ascii")), type=_Shell
        )
    except (IndexError, ValueError, RecursionError, msgspec.MsgspecError):
        return 0
    return set_named(shell.subject)[1] if shell.kind == FeedKind.HUB_KEYS.value else 0
