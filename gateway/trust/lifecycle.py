"""How a member's keys change: add, retire, taint, revoke, untaint.

Pure. A :class:`KeyChange` is the body of a statement of kind ``keys``::

    {"add": [{"use": …, "jwk": …, "not_before": …}],
     "retire": [{"key_id": …, "at": …, "reason": …}],
     "taint": [{"key_id": …, "from": …, "reason": …}],
     "revoke": [{"key_id": …, "reason": …}],
     "untaint": [{"key_id": …, "reason": …}]}

:func:`apply_key_change` gives the record after it, or refuses the change as a whole.
Nothing is dropped: a key that has ended stays as history with its reason, so that an
id never comes back and what it signed verifies for as long as it lives.

The lead time (docs/adr/0016): a new key is in the feed for that long before its first
use, so that no reader meets what it signed unprepared. A use of which every key is
tainted or revoked cannot wait: its new key may begin at once.

Transitions that are refused by name:

* a key that is known already, or a key of a use that its member must not have;
* retiring what is retired or revoked, retiring into the past (that is a taint), and
  retiring the last key of a use: the next one comes first;
* tainting what is revoked, or moving a taint to a later instant (that is an untaint
  in part: it takes both);
* anything at all with what is revoked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from gateway.trust.errors import KeyChangeError, KeyChangeFault
from gateway.trust.keys import (
    MAX_KEYS,
    MAX_REASON_LENGTH,
    KeyState,
    KeyUse,
    MemberKey,
    check_distinct,
    parse_member_key,
)
from gateway.trust.members import MemberRecord
from gateway.trust.times import LEEWAY, Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

LEAD_TIME: Final = timedelta(hours=5)
"""Five refresh periods of one hour, the longest a reader may go without the feed before
it must say so (SPIFFE: three to five)."""
MAX_CHANGES: Final = 16
"""Of each sort in one change; as ``hutong.v1.ChangeKeysRequest.key_proofs``."""
# Nothing lives longer that an ended key of these uses signed or opened.
_FORGETTABLE: Final = (KeyUse.ATTEST, KeyUse.AUTHENTICATE, KeyUse.SEAL)
_REMEMBERED_FOR: Final = timedelta(days=30)

Record = TypeVar("Record", bound=MemberRecord)


@dataclass(frozen=True, slots=True)
class KeyMove:
    """One key that ends or comes back.

    Attributes:
        key_id: of the key.
        at: from when, by the hub's clock; None where the move has no instant.
        reason: why, at most 256 characters; never a personal value.
    """

    key_id: str
    at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What a member wants done with its keys; see the module."""

    add: tuple[MemberKey, ...] = ()
    retire: tuple[KeyMove, ...] = ()
    taint: tuple[KeyMove, ...] = ()
    revoke: tuple[KeyMove, ...] = ()
    untaint: tuple[KeyMove, ...] = ()

    def to_body(self) -> dict[str, Any]:
        """Returns the body of the statement."""
        body: dict[str, Any] = {
            "add": [key.to_body() for key in self.add],
            "retire": [_to_body(move, "at") for move in self.retire],
            "taint": [_to_body(move, "from") for move in self.taint],
            "revoke": [_to_body(move, None) for move in self.revoke],
            "untaint": [_to_body(move, None) for move in self.untaint],
        }
        return {name: value for name, value in body.items() if value}


_Reason = Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)]
_KeyId = Annotated[str, msgspec.Meta(min_length=43, max_length=43)]


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    key_id: _KeyId
    reason: _Reason


class _Retire(_Move, forbid_unknown_fields=True):
    at: Seconds


class _Taint(_Move, forbid_unknown_fields=True):
    since: Seconds = msgspec.field(name="from")


_Few = msgspec.Meta(max_length=MAX_CHANGES)


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    add: Annotated[list[Any], _Few] | UnsetType = UNSET
    retire: Annotated[list[_Retire], _Few] | UnsetType = UNSET
    taint: Annotated[list[_Taint], _Few] | UnsetType = UNSET
    revoke: Annotated[list[_Move], _Few] | UnsetType = UNSET
    untaint: Annotated[list[_Move], _Few] | UnsetType = UNSET


def parse_key_change(body: object) -> KeyChange:
    """Reads the body of a statement of kind ``keys``, new keys decoded.

    Raises:
        KeyChangeError: STATEMENT_INVALID.
        KeyMaterialError: a new key does not hold.
    """
    try:
        read = msgspec.convert(body, _Change)
    except msgspec.ValidationError:
        raise KeyChangeError("a member of the change is missing, unknown or malformed") from None
    change = KeyChange(
        add=tuple(parse_member_key(key) for key in _listed(read.add)),
        retire=tuple(KeyMove(m.key_id, from_seconds(m.at), m.reason) for m in _listed(read.retire)),
        taint=tuple(
            KeyMove(m.key_id, from_seconds(m.since), m.reason) for m in _listed(read.taint)
        ),
        revoke=tuple(KeyMove(m.key_id, None, m.reason) for m in _listed(read.revoke)),
        untaint=tuple(KeyMove(m.key_id, None, m.reason) for m in _listed(read.untaint)),
    )
    moves = (*change.retire, *change.taint, *change.revoke, *change.untaint)
    if not (change.add or moves):
        raise KeyChangeError("the change changes nothing")
    if not all(move.reason.isprintable() for move in moves):
        raise KeyChangeError("a reason holds a character that cannot be shown")
    if any(key.has_history for key in change.add):
        raise KeyChangeError("a key's history is the hub's to tell")
    return change


def apply_key_change(
    record: Record, change: KeyChange, now: datetime, *, lead: timedelta = LEAD_TIME
) -> Record:
    """Returns the record with its keys changed.

    Possession of the new keys, and who may ask for this, are the caller's to check.

    Args:
        record: an ``Authority`` or an ``EnrolmentBody``.
        change: what is asked for.
        now: the hub's clock; becomes ``published_at`` and ``revoked_at``.
        lead: how long a new key is in the feed before its first use.

    Raises:
        KeyChangeError: any of ``KeyChangeFault``; nothing of the change holds then.
        KeyMaterialError: there would be too many keys.
        StatementError: the record would not hold.
    """
    now = from_seconds(to_seconds(now))
    keys = {key.key_id: key for key in record.keys}
    _refuse_one_key_moved_twice(change)
    for move in change.untaint:
        keys[move.key_id] = _untainted(_found(keys, move))
    for move in change.taint:
        keys[move.key_id] = _tainted(_found(keys, move), move)
    for move in change.revoke:
        keys[move.key_id] = _revoked(_found(keys, move), move, now)
    uses = {key.use for key in keys.values()}
    for key in change.add:
        if key.key_id in keys:
            raise KeyChangeError(
                "the key is or was one of this member", code=KeyChangeFault.WRONG_STATE
            )
        if key.use not in uses:
            raise KeyChangeError("the member has no such use")
        _check_lead(key, keys.values(), now, lead)
    for key in change.add:
        keys[key.key_id] = replace(key, published_at=now)
    for move in change.retire:
        keys[move.key_id] = _retired(_found(keys, move), move, now)
    for move in change.retire:
        _refuse_gap(keys[move.key_id], _instant(move), keys.values())
    after = _within_bounds(tuple(keys.values()), now)
    check_distinct(after)
    return replace(record, keys=after)


def usable_keys(keys: Iterable[MemberKey], use: KeyUse, now: datetime) -> tuple[MemberKey, ...]:
    """Returns the active keys of a use, the newest first: sign with the first."""
    found = [key for key in keys if key.use is use and key.state(now) is KeyState.ACTIVE]
    return tuple(sorted(found, key=lambda key: (key.not_before, key.key_id), reverse=True))


def _found(keys: dict[str, MemberKey], move: KeyMove) -> MemberKey:
    key = keys.get(move.key_id)
    if key is None:
        raise KeyChangeError("the member has no such key", code=KeyChangeFault.NOT_FOUND)
    if key.revoked_at is not None:
        raise KeyChangeError("the key is revoked, for good", code=KeyChangeFault.WRONG_STATE)
    return key


def _untainted(key: MemberKey) -> MemberKey:
    if key.tainted_from is None:
        raise KeyChangeError("the key is not tainted", code=KeyChangeFault.WRONG_STATE)
    return replace(key, tainted_from=None, reason=None)


def _tainted(key: MemberKey, move: KeyMove) -> MemberKey:
    since = _instant(move)
    if key.tainted_from is not None and since > key.tainted_from:
        raise KeyChangeError(
            "the key is tainted from an earlier instant", code=KeyChangeFault.WRONG_STATE
        )
    return replace(key, tainted_from=since, reason=move.reason)


def _revoked(key: MemberKey, move: KeyMove, now: datetime) -> MemberKey:
    return replace(key, revoked_at=now, reason=move.reason)


def _retired(key: MemberKey, move: KeyMove, now: datetime) -> MemberKey:
    end = _instant(move)
    if key.not_after is not None and key.not_after <= now:
        raise KeyChangeError("the key is retired", code=KeyChangeFault.WRONG_STATE)
    if end < now - LEEWAY:
        raise KeyChangeError(
            "a key does not retire in the past; taint it", code=KeyChangeFault.WRONG_STATE
        )
    if end <= key.not_before:
        raise KeyChangeError(
            "a key does not retire before its first use; revoke it",
            code=KeyChangeFault.WRONG_STATE,
        )
    return replace(key, not_after=end, reason=move.reason)


def _check_lead(
    key: MemberKey, others: Iterable[MemberKey], now: datetime, lead: timedelta
) -> None:
    is_emergency = not any(
        other.use is key.use and other.is_believed(now) and _ends_after(other, now)
        for other in others
    )
    if not is_emergency and key.not_before < now + lead:
        raise KeyChangeError(
            "the key would be used before every reader can have seen it",
            code=KeyChangeFault.LEAD_TIME_TOO_SHORT,
        )


def _refuse_gap(retired: MemberKey, end: datetime, keys: Iterable[MemberKey]) -> None:
    if not any(
        key.use is retired.use
        and key.key_id != retired.key_id
        and key.is_believed(end)
        and key.not_before <= end
        and _ends_after(key, end)
        for key in keys
    ):
        raise KeyChangeError(
            "the use would be left without a key; the next one comes first",
            code=KeyChangeFault.WRONG_STATE,
        )


def _instant(move: KeyMove) -> datetime:
    if move.at is None:
        raise KeyChangeError("the move names no instant")
    return move.at


def _ends_after(key: MemberKey, moment: datetime) -> bool:
    return key.not_after is None or key.not_after > moment


def _within_bounds(keys: Sequence[MemberKey], now: datetime) -> tuple[MemberKey, ...]:
    """Forgets the oldest ended keys under which nothing can live, if it must be."""
    excess = len(keys) - MAX_KEYS
    if excess <= 0:
        return tuple(keys)
    ended = sorted(
        (
            key
            for key in keys
            if key.use in _FORGETTABLE
            and key.not_after is not None
            and key.not_after + _REMEMBERED_FOR < now
        ),
        key=lambda key: key.not_before,
    )
    forgotten = {key.key_id for key in ended[:excess]}
    return tuple(key for key in keys if key.key_id not in forgotten)


def _refuse_one_key_moved_twice(change: KeyChange) -> None:
    # An untaint with a taint moves an instant; anything else twice is a mistake.
    moved = [m.key_id for m in (*change.retire, *change.taint, *change.revoke)]
    undone = [m.key_id for m in (*change.untaint, *change.revoke)]
    new = [key.key_id for key in change.add]
    for ids in (moved, undone, new):
        if len(set(ids)) != len(ids):
            raise KeyChangeError("the change moves one key twice")


def _to_body(move: KeyMove, instant: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"key_id": move.key_id, "reason": move.reason}
    if instant is not None and move.at is not None:
        body[instant] = to_seconds(move.at)
    return body


_Item = TypeVar("_Item")


def _listed(items: list[_Item] | UnsetType) -> list[_Item]:
    return [] if items is UNSET else items
