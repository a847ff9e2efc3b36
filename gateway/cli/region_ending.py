"""Keys that end before their time, and what follows them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.keys import file_in_use
from gateway.cli.region_files import key_ids, read_key, slots_of
from gateway.cli.region_keys import replace_now
from gateway.trust.keys import KeyUse
from gateway.trust.lifecycle import KeyChange, KeyMove

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.cli.region_keys import Rotated
    from gateway.cli.region_line import Region
    from gateway.wire.key_change import KeyView

_SHORTEST: Final = 4
"""Characters of a key id that name it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was done with a key.

    Attributes:
        key_id: of the key.
        use: what it was for.
        word: ``taint``, ``revoke`` or ``untaint``.
        since: from when it is not believed; None: where the word has no instant.
        sequence: feed entry; zero: not known.
        replaced: the key that follows at once; None: there is none.
    """

    key_id: str
    use: str
    word: str
    since: datetime | None
    sequence: int
    replaced: Rotated | None = None


async def move_key(
    region: Region,
    key: str,
    move: tuple[str, datetime | None, str],
    *,
    may_replace: bool,
    now: datetime,
) -> Moved:
    """Taint, revoke or untaint a key; where nothing of its use is left, the next one begins.

    Args:
        region: whose.
        key: its id, or the first characters of it.
        move: word, instant and reason.
        may_replace: whether a new key may be made.
        now: the clock.

    Raises:
        HutongError: no such key, or the hub refuses or cannot be reached.
    """
    word, since, reason = move
    standing = await region.line.standing()
    found = find_key(standing.keys, key)
    moved = (KeyMove(found.key_id, since, reason),)
    if word == "taint":
        change = KeyChange(taint=moved)
    elif word == "revoke":
        change = KeyChange(revoke=moved)
    else:
        change = KeyChange(untaint=moved)
    others = [
        one
        for one in standing.keys
        if one.use == found.use
        and one.key_id != found.key_id
        # One that only begins later follows too: the hub lets no other begin before it.
        and one.is_live
        and (one.not_after is None or one.not_after > now)
    ]
    is_later = since is not None and since > now
    if word == "untaint" or not may_replace or others or is_later or not found.is_live:
        state_key = read_key(file_in_use(region.folder, "state", now), "state")
        sequence = await region.line.change(change, state_key, now=now)
        return Moved(found.key_id, found.use, word, since, sequence)
    slots = slots_of(region.folder, KeyUse(found.use))
    slot = next((s for s in slots if found.key_id in key_ids(region.folder, s)), slots[0])
    replaced = await replace_now(region.folder, slot, region.line, change, now)
    return Moved(found.key_id, found.use, word, since, replaced.sequence, replaced)


def find_key(keys: tuple[KeyView, ...], begin: str) -> KeyView:
    """Find a key by its id or the first characters of it.

    Raises:
        AdapterConfigError: NOT_FOUND: none begins so, or several do.
    """
    found = [key for key in keys if key.key_id.startswith(begin)]
    if len(begin) < _SHORTEST or len(found) != 1:
        raise AdapterConfigError("no single key begins with these characters", code="NOT_FOUND")
    return found[0]
