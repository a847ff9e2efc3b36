"""Keys that end before their time, and what follows them at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.keys import file_in_use
from gateway.cli.region_files import key_ids, read_key, slots_of
from gateway.cli.region_keys import replace_now
from gateway.trust.keys import MAX_REASON_LENGTH, KeyState, KeyUse
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
        dropped: keys of a rotation that it replaced as well.
        gap_from: when the use is left without a key; None: never.
    """

    key_id: str
    use: str
    word: str
    since: datetime | None
    sequence: int
    replaced: Rotated | None = None
    dropped: tuple[str, ...] = ()
    gap_from: datetime | None = None


async def move_key(
    region: Region,
    key: str,
    move: tuple[str, datetime | None, str],
    *,
    may_replace: bool,
    now: datetime,
) -> Moved:
    """Taint, revoke or untaint a key; where nothing of its use is left, the next one begins.

    A key that a rotation has published and that is not used yet is no reason to wait: it
    stood beside the one that leaked, so it is revoked with it and a third one begins.
    Run again after it was stopped, it does what is left.

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
    others = [
        one
        for one in standing.keys
        if one.use == found.use
        and one.key_id != found.key_id
        and one.is_live
        and (one.not_after is None or one.not_after > now)
    ]
    is_done = _is_done(found, word, since)
    is_later = since is not None and since > now
    is_used = any(one.state is KeyState.ACTIVE for one in others)
    if is_done and (is_used or not may_replace):
        return Moved(found.key_id, found.use, word, since, 0)
    if (
        word == "untaint"
        or not may_replace
        or is_used
        or is_later
        or not (found.is_live or is_done)
    ):
        state_key = read_key(file_in_use(region.folder, "state", now), "state")
        sequence = await region.line.change(_change(found, move), state_key, now=now)
        alone = found.state is KeyState.PUBLISHED and others and _end_of(others)
        return Moved(found.key_id, found.use, word, since, sequence, gap_from=alone or None)
    moved = KeyChange() if is_done else _change(found, move)
    why = f"replaced: {reason}"[:MAX_REASON_LENGTH]
    dropped = tuple(KeyMove(one.key_id, None, why) for one in others)
    change = replace(moved, revoke=(*moved.revoke, *dropped))
    slots = slots_of(region.folder, KeyUse(found.use))
    slot = next((s for s in slots if found.key_id in key_ids(region.folder, s)), slots[0])
    replaced = await replace_now(region.folder, slot, region.line, change, now)
    return Moved(
        found.key_id,
        found.use,
        word,
        since,
        replaced.sequence,
        replaced,
        tuple(one.key_id for one in others),
    )


def _change(found: KeyView, move: tuple[str, datetime | None, str]) -> KeyChange:
    word, since, reason = move
    moved = (KeyMove(found.key_id, since, reason),)
    if word == "taint":
        return KeyChange(taint=moved)
    return KeyChange(revoke=moved) if word == "revoke" else KeyChange(untaint=moved)


def _is_done(found: KeyView, word: str, since: datetime | None) -> bool:
    """Whether an earlier run, stopped later on, has done it already."""
    if word == "revoke":
        return found.state is KeyState.REVOKED
    return word == "taint" and found.state is KeyState.TAINTED and found.distrusted_from == since


def _end_of(keys: list[KeyView]) -> datetime | None:
    """When the last of these keys ends; None: one never does."""
    ends = [key.not_after for key in keys]
    return None if None in ends else max(end for end in ends if end is not None)


def find_key(keys: tuple[KeyView, ...], begin: str) -> KeyView:
    """Find a key by its id or the first characters of it.

    Raises:
        AdapterConfigError: NOT_FOUND: none begins so, or several do.
    """
    found = [key for key in keys if key.key_id.startswith(begin)]
    if len(begin) < _SHORTEST or len(found) != 1:
        raise AdapterConfigError("no single key begins with these characters", code="NOT_FOUND")
    return found[0]
