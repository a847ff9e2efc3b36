"""The replica as a state machine: whatever arrives, it holds an honest prefix.

An honest hub appends; a network delivers, repeats, drops, reorders and forges; a
process restarts. After every step the replica equals what superseding alone makes
of the first entries of the honest feed, and a refused input has left it, byte for
byte, as it was.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.attestation.keys import generate_signing_key
from gateway.trust import feed, feed_log
from gateway.trust.errors import FeedError
from gateway.trust.feed_log import FeedLog
from gateway.trust.replica import FeedReplica
from tests.trust.simulator import START, FederationSimulator, make_region

CODES = ("330000", "330100", "440100")
# Keys cost more than everything else here; the machines share them.
REGIONS = {code: make_region(code, prefixes=(code.rstrip("0"),)) for code in ("330000",)} | {
    code: make_region(code) for code in ("330100", "440100")
}
HUB_KEYS = FederationSimulator()
FOREIGN_KEY = generate_signing_key()


class ReplicaMachine(RuleBasedStateMachine):
    @initialize()
    def found(self) -> None:
        self.hub = FederationSimulator()
        self.hub.feed_key, self.hub.anchor = HUB_KEYS.feed_key, HUB_KEYS.anchor
        self.hub.log = FeedLog(self.hub.hub)
        self.hub.regions = {code: dataclasses.replace(r) for code, r in REGIONS.items()}
        self.replica = FeedReplica(self.hub.anchor)
        self.heads: list[tuple[int, str]] = []
        self.snapshots: list[tuple[int, tuple[str, list[str]]]] = []
        self.floor = 0
        for code in CODES:
            self.hub.publish_authority(self.hub.regions[code].authority)

    # --- the hub ----------------------------------------------------------------------

    @rule(code=st.sampled_from(CODES), what=st.sampled_from(["policy", "scheme", "state"]))
    def hub_publishes(self, code: str, what: str) -> None:
        self.hub.tick()
        turn = len(self.hub.entries)
        if what == "policy":
            self.hub.publish_policy(code, turn=turn)
        elif what == "scheme":
            self.hub.publish_scheme(code, turn=turn)
        elif self.hub.regions[code].authority.is_active:
            self.hub.suspend(code)
        else:
            self.hub.resume(code)

    @rule()
    def hub_signs_a_head_and_a_snapshot(self) -> None:
        self.hub.tick()
        self.heads.append((self.hub.log.sequence, self.hub.head()))
        self.snapshots.append(
            (self.hub.log.sequence, self.hub.snapshot(floor=min(self.floor, self.hub.log.sequence)))
        )

    @precondition(lambda self: self.hub.live()[-1].kind is not feed.FeedKind.AUTHORITY)
    @rule()
    def hub_withdraws(self) -> None:
        self.hub.tick()
        newest = self.hub.live()[-1]
        self.hub.append(*feed_log.withdrawal_change(newest.kind, newest.subject, "synthetic"))

    @rule(data=st.data())
    def hub_compacts(self, data: st.DataObject) -> None:
        self.floor = data.draw(st.integers(self.floor, self.hub.log.sequence))

    # --- an honest network ------------------------------------------------------------

    @precondition(lambda self: self.replica.sequence < self.hub.log.sequence)
    @rule(count=st.integers(1, 4))
    def the_next_entries_arrive(self, count: int) -> None:
        start = self.replica.sequence
        for entry in self.hub.entries[start : start + count]:
            self.replica.apply_entry(entry.token, self.hub.now)

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def some_snapshot_arrives(self, data: st.DataObject) -> None:
        sequence, snapshot = data.draw(st.sampled_from(self.snapshots))
        if sequence < self.replica.sequence:
            self.refuses(lambda: self.replica.load_snapshot(*snapshot, self.hub.now))
        else:
            self.replica.load_snapshot(*snapshot, self.hub.now)
            assert self.replica.sequence == sequence

    @precondition(lambda self: self.heads)
    @rule(data=st.data())
    def some_head_arrives(self, data: st.DataObject) -> None:
        sequence, head = data.draw(st.sampled_from(self.heads))
        if sequence == self.replica.sequence:
            self.replica.apply_head(head, self.hub.now)
        else:
            self.refuses(lambda: self.replica.apply_head(head, self.hub.now))

    @rule()
    def the_process_restarts(self) -> None:
        data = self.replica.to_bytes()
        self.replica = FeedReplica.from_bytes(self.hub.anchor, data, self.hub.now)
        assert self.replica.to_bytes() == data

    # --- a hostile one ----------------------------------------------------------------

    @rule(data=st.data())
    def any_entry_arrives(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.hub.entries))
        held = self.replica.sequence
        if entry.sequence in (held, held + 1):
            self.replica.apply_entry(entry.token, self.hub.now)
        else:
            self.refuses(lambda: self.replica.apply_entry(entry.token, self.hub.now))

    @rule(data=st.data(), what=st.sampled_from(["seq", "prev", "iat", "subject", "key", "iss"]))
    def a_forged_entry_arrives(self, data: st.DataObject, what: str) -> None:
        entry = data.draw(st.sampled_from(self.hub.entries))
        seconds = int(self.hub.now.timestamp())
        forged = {
            "seq": lambda: self.hub.resign(entry, seq=self.replica.sequence + 2),
            "prev": lambda: self.hub.resign(entry, prev=entry.digest),
            "iat": lambda: self.hub.resign(entry, iat=seconds + 61),
            "subject": lambda: self.hub.resign(entry, subject="urn:hutong:region:110000"),
            "key": lambda: self.hub.resign(entry, key=FOREIGN_KEY),
            "iss": lambda: self.hub.resign(entry, iss="urn:hutong:hub:330000"),
        }[what]()
        self.refuses(lambda: self.replica.apply_entry(forged, self.hub.now))

    @rule(code=st.sampled_from(CODES))
    def a_fork_of_the_history_arrives(self, code: str) -> None:
        """Signed by the hub's own key: on another entry than the one held."""
        log = FeedLog(self.hub.hub, self.replica.sequence, FORKED_DIGEST)
        change = feed_log.authority_change(self.hub.regions[code].authority)
        token = log.append(self.hub.feed_key, *change, now=self.hub.now)[0].token
        self.refuses(lambda: self.replica.apply_entry(token, self.hub.now), "FEED_FORK")
        head = log.head(self.hub.feed_key, now=self.hub.now)
        self.refuses(lambda: self.replica.apply_head(head, self.hub.now), "FEED_FORK")

    @precondition(lambda self: self.replica.sequence >= 2)
    @rule(data=st.data())
    def a_snapshot_without_one_entry_arrives(self, data: st.DataObject) -> None:
        live = self.hub.latest()
        dropped = data.draw(st.sampled_from(live))
        if dropped.sequence > self.replica.sequence:
            return
        kept = [entry for entry in live if entry is not dropped]
        if kept[-1].sequence < self.replica.sequence:
            return
        manifest = feed_log.sign_manifest(
            self.hub.feed_key,
            hub=self.hub.hub,
            sequence=kept[-1].sequence,
            digest=kept[-1].digest,
            issued_at=self.hub.now,
            live=[entry.digest for entry in kept if not entry.is_tombstone],
            tombstones=[entry.digest for entry in kept if entry.is_tombstone],
        )
        tokens = [entry.token for entry in kept]
        self.refuses(lambda: self.replica.load_snapshot(manifest, tokens, self.hub.now))

    @rule(data=st.binary(max_size=60), place=st.integers(0, 10_000))
    def a_damaged_file_is_read(self, data: bytes, place: int) -> None:
        file = self.replica.to_bytes()
        place %= len(file)
        damaged = file[:place] + data + file[place + len(data) :]
        if damaged != file:
            with pytest.raises(FeedError):
                FeedReplica.from_bytes(self.hub.anchor, damaged, self.hub.now)

    # --- what must hold ---------------------------------------------------------------

    def refuses(self, attempt: object, code: str | None = None) -> None:
        before, bundle = self.replica.to_bytes(), self.replica.bundle
        assert callable(attempt)
        with pytest.raises(FeedError) as caught:
            attempt()
        assert code is None or caught.value.code == code
        assert self.replica.to_bytes() == before
        assert self.replica.bundle is bundle

    @invariant()
    def the_replica_holds_an_honest_prefix(self) -> None:
        if not hasattr(self, "replica"):
            return
        sequence = self.replica.sequence
        assert self.replica.live_tokens() == tuple(e.token for e in self.hub.live(sequence))
        digest = self.hub.entries[sequence - 1].digest if sequence else feed.ZERO_DIGEST
        assert self.replica.digest == digest

    @invariant()
    def its_age_is_that_of_something_the_hub_signed(self) -> None:
        if not hasattr(self, "replica") or self.replica.as_of is None:
            return
        assert START <= self.replica.as_of <= self.hub.now
        assert timedelta() <= self.replica.age(self.hub.now)


FORKED_DIGEST = "F" * 42 + "A"

TestReplicaMachine = ReplicaMachine.TestCase
TestReplicaMachine.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@given(st.lists(st.text(max_size=60), max_size=4), st.text(max_size=60))
def test_any_texts_are_refused(tokens: list[str], other: str) -> None:
    replica = FeedReplica(HUB_KEYS.anchor)
    before = replica.to_bytes()
    for attempt in (
        lambda: replica.apply_entry(other, START),
        lambda: replica.apply_head(other, START),
        lambda: replica.load_snapshot(other, tokens, START),
    ):
        with pytest.raises(FeedError):
            attempt()
    assert replica.to_bytes() == before


@given(st.binary(max_size=200))
def test_any_file_is_refused(data: bytes) -> None:
    with pytest.raises(FeedError):
        FeedReplica.from_bytes(HUB_KEYS.anchor, data, START)
