"""A hub that changes its own keys, step by step, in the simulator."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.trust.anchor import TrustAnchor, anchor_of
from gateway.trust.errors import FeedError
from gateway.trust.hub_keys import hub_keys_change
from gateway.trust.keys import KeyUse, MemberKey, signing_member_key
from gateway.trust.replica import FeedReplica
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.trust.feed import FeedEntry

EPOCH = datetime.fromtimestamp(0, UTC)
LEAD = timedelta(seconds=60)


class ChangingHub(FederationSimulator):
    """Signs with the feed key whose time it is, as an honest hub does."""

    def __init__(self) -> None:
        self.private: dict[str, SigningKey] = {}
        self.keys: list[MemberKey] = []
        self.number = 0
        super().__init__()
        self.keys = [
            signing_member_key(self._first, KeyUse.FEED, not_before=EPOCH),
            signing_member_key(self.token_key, KeyUse.TOKEN, not_before=EPOCH),
        ]
        self.private = {key.key_id: key for key in (self._first, self.token_key)}

    @property
    def feed_key(self) -> SigningKey:
        begun = [key for key in self.keys if key.use is KeyUse.FEED and key.is_valid(self.now)]
        if not begun:
            return self._first
        return self.private[max(begun, key=lambda key: key.not_before).key_id]

    @feed_key.setter
    def feed_key(self, key: SigningKey) -> None:
        self._first = key

    def made(self, use: KeyUse, *, begins: datetime, key: SigningKey | None = None) -> MemberKey:
        """Makes a key to come."""
        private = key or generate_signing_key()
        self.private[private.key_id] = private
        return signing_member_key(private, use, not_before=begins)

    def say(self, keys: Sequence[MemberKey], *, number: int | None = None) -> FeedEntry:
        """Publishes a set, checked by nobody."""
        change = hub_keys_change(self.hub, self.number + 1 if number is None else number, keys)
        entry = self.append(*change)
        self.number, self.keys = self.number + 1, list(keys)
        return entry

    def rotated(self, use: KeyUse, *, begins: datetime | None = None) -> list[MemberKey]:
        """Returns the set after a rotation: the next key begins where the last one ends."""
        begin = self.now + LEAD if begins is None else begins
        kept = [
            dataclasses.replace(key, not_after=begin)
            if key.use is use and key.not_after is None and key.revoked_at is None
            else key
            for key in self.keys
        ]
        return [*kept, self.made(use, begins=begin)]

    def rotate(self, use: KeyUse = KeyUse.FEED) -> FeedEntry:
        """Publishes a rotation and lets its time come."""
        entry = self.say(self.rotated(use))
        self.tick(LEAD.total_seconds())
        return entry

    def anchor_now(self) -> TrustAnchor:
        """The anchor as it would be handed over now."""
        return dataclasses.replace(anchor_of(self.hub, self.keys), number=self.number)


def hub_with_a_region() -> ChangingHub:
    """A hub that has said something already."""
    made = ChangingHub()
    made.add_region("330100")
    made.publish_policy("330100")
    made.tick(60)
    return made


def code_of(attempt: Callable[[], object]) -> str:
    """Return why a feed is refused."""
    with pytest.raises(FeedError) as caught:
        attempt()
    return caught.value.code


def snapshot_reader(hub: ChangingHub) -> FeedReplica:
    """Return a reader that has the first anchor and nothing else."""
    replica = FeedReplica(hub.anchor)
    replica.load_snapshot(*hub.snapshot(), hub.now)
    return replica
