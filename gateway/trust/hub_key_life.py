"""How a hub's own keys go from one set to the next.

Pure: from the keys as they stand to the next set (``hub_keys``). A rotation lets the next
key begin where the one in use ends, in one set, so that there is no half of it. A token
key that leaked is revoked and followed at once. For a feed key there is no such way.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.attestation.keys import public_jwk
from gateway.trust.errors import KeyChangeError, KeyChangeFault
from gateway.trust.keys import MAX_KEYS, KeyState, KeyUse, MemberKey, parse_member_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.hub_keys import HubKeySet

ROTATED: Final = "rotated"
"""Why a key ends that another one follows."""

_REMEMBERED_FOR: Final = timedelta(days=1)
"""A token lives an hour at most (``wire.hub_tokens``); a day is ample."""


def keys_of(anchor: TrustAnchor, newest: HubKeySet | None) -> tuple[MemberKey, ...]:
    """Returns a hub's keys as they stand: of its newest set, else of its first anchor."""
    if newest is not None:
        return newest.keys
    held = (
        *((KeyUse.FEED, key) for key in anchor.feed_keys.values()),
        *((KeyUse.TOKEN, key) for key in anchor.token_keys.values()),
    )
    return tuple(
        parse_member_key(
            {"use": use.value, "jwk": public_jwk(key), "not_before": key.first_second}
            | ({} if key.not_after is None else {"not_after": key.end_second})
        )
        for use, key in held
    )


def rotated(
    keys: Sequence[MemberKey], new: MemberKey, *, now: datetime, lead: timedelta
) -> tuple[MemberKey, ...]:
    """Returns the set in which a key follows the one of its use.

    Args:
        keys: as they stand.
        new: the key to come, of use ``feed`` or ``token``.
        now: the hub's clock.
        lead: how long a new key is in the feed before its first use.

    Raises:
        KeyChangeError: LEAD_TIME_TOO_SHORT; WRONG_STATE, another key is to come already,
            or it is one of the past.
    """
    _check_new(keys, new)
    if any(key.use is new.use and key.state(now) in _COMING for key in keys):
        raise KeyChangeError("a key of this use is to come already", code=_WRONG)
    if new.not_before < now + lead:
        raise KeyChangeError(
            "the key would be used before every reader can have seen it",
            code=KeyChangeFault.LEAD_TIME_TOO_SHORT,
        )
    ended = [
        replace(key, not_after=new.not_before, reason=ROTATED)
        if key.use is new.use and key.state(now) is KeyState.ACTIVE
        else key
        for key in keys
    ]
    return _within_bounds((*ended, replace(new, published_at=now)), now)


def replaced(
    keys: Sequence[MemberKey], new: MemberKey, *, now: datetime, reason: str
) -> tuple[MemberKey, ...]:
    """Returns the set in which every token key is revoked and another follows at once.

    Args:
        keys: as they stand.
        new: the token key that is used from now on.
        now: the hub's clock.
        reason: why; everybody reads it.

    Raises:
        KeyChangeError: WRONG_STATE, it is a feed key, or one of the past.
    """
    _check_new(keys, new)
    if new.use is not KeyUse.TOKEN:
        raise KeyChangeError(
            "a feed key is not taken back in the feed: whoever has it could say the opposite",
            code=_WRONG,
        )
    over = [
        replace(key, revoked_at=now, reason=reason)
        if key.use is new.use and key.state(now) not in _OVER
        else key
        for key in keys
    ]
    return _within_bounds((*over, replace(new, not_before=now, published_at=now)), now)


_WRONG: Final = KeyChangeFault.WRONG_STATE
_COMING: Final = (KeyState.PREPARED, KeyState.PUBLISHED)
_OVER: Final = (KeyState.RETIRED, KeyState.REVOKED)


def _check_new(keys: Sequence[MemberKey], new: MemberKey) -> None:
    if any(key.key_id == new.key_id for key in keys):
        raise KeyChangeError("the key is or was one of this hub", code=_WRONG)


def _within_bounds(keys: Sequence[MemberKey], now: datetime) -> tuple[MemberKey, ...]:
    """Forgets the oldest token keys that are over, if it must be; a feed key never."""
    excess = len(keys) - MAX_KEYS
    over = sorted(
        (key for key in keys if key.use is KeyUse.TOKEN and _is_over(key, now)),
        key=lambda key: key.not_before,
    )
    if excess > len(over):
        raise KeyChangeError("the hub has had too many feed keys", code=_WRONG)
    forgotten = {key.key_id for key in over[: max(0, excess)]}
    return tuple(key for key in keys if key.key_id not in forgotten)


def _is_over(key: MemberKey, now: datetime) -> bool:
    ends = [end for end in (key.not_after, key.revoked_at) if end is not None]
    return bool(ends) and min(ends) + _REMEMBERED_FOR < now
