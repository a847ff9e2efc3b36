"""A hub's own keys, as its feed says them: a chain of sets, each signed under the one before.

The trust anchor that was handed over is set 0. Set ``n`` is an entry of kind
``hub-keys`` with the subject ``{hub}#{n}`` and the body ``{"critical": true, "keys":
[…]}``: every key of uses ``feed`` and ``token`` from then on, as keys stand in a
record. All sets stay live, so whoever holds any older anchor walks from it to the
newest before anything else of a snapshot is judged.

What has to hold of a set under the anchor so far (:func:`advanced`):

* it is the next one, of the same hub, and was signed by a feed key in force;
* every feed key stays, from the same instant on: what it signed has to verify. Its end
  is said once, and not of the past;
* a new key begins no earlier than the set;
* from the set on there is a feed key in force at every instant, for ever;
* only a token key can be revoked. For a feed key there is no such word: whoever has it
  could sign the opposite.

An anchor that a neighbour's feed names (``is_bound``: a hub above or below) takes no
feed key from a set: which keys verify that feed is the neighbour's to say (HT-FED-6).
Its sets end those keys, and tell its token keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from gateway.attestation.errors import KeyMaterialError
from gateway.trust import names
from gateway.trust.errors import AnchorError, FeedError, FeedFault, StatementError
from gateway.trust.keys import KeyUse, MemberKey, parse_member_key, parse_member_keys
from gateway.trust.kinds import FeedKind
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.attestation.keys import VerificationKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.entries import LiveEntry
    from gateway.trust.live import LiveSet

MAX_SETS: Final = 4_096
"""Three changes a week for a quarter of a century."""


@dataclass(frozen=True, slots=True)
class HubKeySet:
    """One set of a hub's keys.

    Attributes:
        entry: the hub's entry.
        hub: URN of the hub.
        number: from 1, up by one.
        keys: every key of uses ``feed`` and ``token`` from then on, history included.
    """

    entry: LiveEntry
    hub: str
    number: int
    keys: tuple[MemberKey, ...]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    critical: Literal[True]
    keys: list[Any]


def hub_keys_change(
    hub: str, number: int, keys: Iterable[MemberKey]
) -> tuple[FeedKind, str, dict[str, Any]]:
    """Returns kind, subject and body of the entry that says a set."""
    body = {"critical": True, "keys": [key.to_body() for key in keys]}
    return FeedKind.HUB_KEYS, f"{hub}#{number}", body


def parse_hub_keys(entry: LiveEntry, body: dict[str, Any]) -> HubKeySet:
    """Reads a body of kind ``hub-keys``.

    Raises:
        TrustError: it does not hold by itself.
    """
    try:
        read = msgspec.convert(body, _Body)
    except msgspec.ValidationError:
        raise StatementError("a set of keys is critical and has keys, nothing else") from None
    hub, number = set_named(entry.subject)
    if not number:
        raise StatementError("the subject is the hub and the number of the set")
    # By shape; decoded is a key once, when its first set is verified (``advanced``).
    keys = parse_member_keys(read.keys, decode=False)
    for key in keys:
        if key.use not in (KeyUse.FEED, KeyUse.TOKEN):
            raise StatementError("a hub's own keys are of the uses feed and token")
        if key.tainted_from is not None or (key.revoked_at and key.use is KeyUse.FEED):
            raise StatementError("of a hub's own keys only a token key is revoked")
    if not any(key.use is KeyUse.FEED for key in keys):
        raise StatementError("a hub has a feed key")
    return HubKeySet(entry, hub, number, keys)


def advanced(anchor: TrustAnchor, keys: HubKeySet) -> TrustAnchor:
    """Returns the anchor after a set whose entry was verified under it.

    Raises:
        FeedError: FEED_ROLLED_BACK for a set that is not newer, FEED_GAP for one that
            is not the next, FEED_MALFORMED for one that does not hold.
    """
    if keys.hub != anchor.hub:
        raise FeedError("a hub says only its own keys")
    if keys.number <= anchor.number:
        raise FeedError("the set of keys is not newer", code=FeedFault.FEED_ROLLED_BACK)
    if keys.number > anchor.number + 1:
        raise FeedError("sets of keys are missing before this one", code=FeedFault.FEED_GAP)
    try:
        token_keys = _decoded(keys, KeyUse.TOKEN, anchor.token_keys)
        if anchor.is_bound:
            said = {key.key_id: key for key in keys.keys if key.use is KeyUse.FEED}
            feed_keys = {
                key_id: _narrowed(key, said.get(key_id)) for key_id, key in anchor.feed_keys.items()
            }
        else:
            feed_keys = _decoded(keys, KeyUse.FEED, anchor.feed_keys)
        after = replace(anchor, number=keys.number, feed_keys=feed_keys, token_keys=token_keys)
    except (AnchorError, KeyMaterialError) as error:
        raise FeedError(f"the set of keys does not hold: {error}") from None
    if anchor.is_bound:
        return after
    at = to_seconds(keys.entry.issued_at)
    _check_kept(anchor.feed_keys, after.feed_keys, at)
    _check_kept(anchor.token_keys, after.token_keys, at, may_go=True)
    if anchor.feed_keys.keys() & after.token_keys.keys() or (
        anchor.token_keys.keys() & after.feed_keys.keys()
    ):
        raise FeedError("a key of the hub changes its use")
    _check_no_gap(after.feed_keys.values(), at)
    return after


def after_set(anchor: TrustAnchor, live: LiveSet) -> TrustAnchor:
    """Returns the anchor after the newest set that is live, which may be one it holds.

    Raises:
        FeedError: as :func:`advanced`; FEED_FORK, the anchor holds another set of this number.
    """
    keys = live.hub_keys()[-1:]
    if not keys or keys[0].number < anchor.number:
        # An anchor that was handed over later than this entry was made.
        return anchor
    if keys[0].number > anchor.number:
        return advanced(anchor, keys[0])
    said = {
        (key.key_id, key.not_before, key.not_after)
        for key in keys[0].keys
        if key.use is KeyUse.FEED
    }
    held = {(key.key_id, key.not_before, key.not_after) for key in anchor.feed_keys.values()}
    if said != held and not anchor.is_bound:
        raise FeedError("the anchor holds other keys", code=FeedFault.FEED_FORK)
    return anchor


def set_named(subject: str) -> tuple[str, int]:
    """Returns hub and number of a set from its subject; the number is 0 where it is none."""
    hub, mark, number = subject.partition("#")
    is_number = mark and number.isascii() and number.isdigit() and len(number) <= len(str(MAX_SETS))
    if not (is_number and names.is_hub_urn(hub) and number == str(int(number))):
        return hub, 0
    return hub, int(number)


def _check_kept(
    before: Mapping[str, VerificationKey],
    after: Mapping[str, VerificationKey],
    at: int,
    *,
    may_go: bool = False,
) -> None:
    """Holds the keys of one use against those before."""
    for key_id, key in before.items():
        held = after.get(key_id)
        if held is None:
            if may_go:
                continue
            raise FeedError("a feed key of the hub is left out")
        if held.first_second != key.first_second:
            raise FeedError("a key of the hub begins at another time than was said")
        is_open = key.not_after is None
        if held.end_second != key.end_second and (not is_open or held.end_second < at):
            raise FeedError("the end of a key of the hub is said once, and not of the past")
    for key_id in after.keys() - before.keys():
        if after[key_id].first_second < at:
            raise FeedError("a new key of the hub does not begin in the past")


def _decoded(
    keys: HubKeySet, use: KeyUse, before: Mapping[str, VerificationKey]
) -> dict[str, VerificationKey]:
    """The keys of one use, without the revoked ones; those held already are not decoded anew."""
    found = {}
    for key in keys.keys:
        if key.use is not use or key.revoked_at is not None:
            continue
        held = before.get(key.key_id)
        if held is None:
            held = parse_member_key(key.to_body()).verification_key(issuer=keys.hub)
        found[key.key_id] = replace(held, not_before=key.not_before, not_after=key.not_after)
    return found


def _narrowed(key: VerificationKey, said: MemberKey | None) -> VerificationKey:
    """A key that a neighbour names, with the end that its own hub says."""
    end = None if said is None else said.not_after
    if end is None or (key.not_after is not None and key.not_after <= end):
        return key
    return replace(key, not_after=end)


def _check_no_gap(keys: Iterable[VerificationKey], at: int) -> None:
    spans = [(key.first_second, key.end_second, key.not_after) for key in keys]
    while True:
        begun = [(end, stated) for first, end, stated in spans if first <= at < end]
        if not begun:
            raise FeedError("the hub would be left without a feed key")
        if any(stated is None for _, stated in begun):
            return
        at = max(end for end, _ in begun)
