"""Packs: whole ones and deltas add up, and whatever was left out or put back is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import StatusList, sign_status_list, status_uri
from gateway.errors import HutongError
from gateway.trust import FeedLog, MemberState, StatementKind, authority_change, make_anchor, pack
from gateway.trust.entries import notice_body
from gateway.trust.feed import FeedKind
from gateway.trust.feed_log import withdrawal_change
from gateway.trust.jws import digest
from gateway.trust.live import LiveSet
from gateway.trust.pack import PackReplica, load_pack, make_pack, read_manifest
from tests.hub.hub_world import (
    GUANGZHOU,
    HANGZHOU,
    HUB,
    START,
    ZHEJIANG,
    policy,
    region,
    scheme,
    signing_key,
    statement,
)

ANCHOR = make_anchor(HUB, feed_keys=[signing_key("hub/feed")])


@dataclass
class Feed:
    """A chain and what is live in it."""

    log: FeedLog = field(default_factory=lambda: FeedLog(HUB))
    live: LiveSet = field(default_factory=LiveSet)
    tokens: list[str] = field(default_factory=list)

    def put(self, kind: FeedKind, subject: str, body: dict[str, Any]) -> int:
        entry, self.log = self.log.append(signing_key("hub/feed"), kind, subject, body, now=START)
        self.live.put(entry)
        self.tokens.append(entry.token)
        return self.log.sequence

    def region(self, urn: str, state: MemberState = MemberState.ACTIVE, **changes: Any) -> None:
        who = region(urn, **changes)
        self.put(*authority_change(who.body.authority(state=state)))

    def scheme(self, urn: str) -> None:
        code, family = urn[-6:], "ex-jkm"
        token = statement(region(urn), StatementKind.SCHEME, scheme(code, family))
        self.put(FeedKind.SCHEME, f"{urn}#{family}", {"statement": token})

    def status(self, urn: str, number: int, *entries: int) -> tuple[str, bytes]:
        uri, base = base_list(urn)
        token = sign_status_change(
            signing_key(f"{urn}/attest"),
            base=_base(base),
            uri=uri,
            sequence=number,
            changes={1: entries},
            issued_at=START,
        )
        self.put(FeedKind.STATUS, uri, {"statement": token})
        return uri, base

    def pack(self, *prefixes: str, after: int = 0, **options: Any) -> bytes:
        return make_pack(
            signing_key("hub/feed"),
            self.live,
            hub=HUB,
            sequence=self.log.sequence,
            digest=self.log.digest,
            now=options.pop("now", START),
            prefixes=prefixes,
            after=after,
            later=self.tokens[after:],
            **options,
        )


@cache
def base_list(urn: str) -> tuple[str, bytes]:
    uri = status_uri(urn, "a1")
    token = sign_status_list(
        StatusList(1, 1000),
        signing_key(f"{urn}/attest"),
        uri=uri,
        issued_at=START,
        expires_at=START + timedelta(days=1),
    )
    return uri, token.encode("ascii")


def _base(token: bytes) -> Any:
    return StatusBase(digest(token.decode("ascii")), 1000, 1)


@pytest.fixture
def feed() -> Feed:
    feed = Feed()
    feed.region(HANGZHOU)
    feed.scheme(HANGZHOU)
    feed.region(GUANGZHOU)
    feed.scheme(GUANGZHOU)
    return feed


def code_of(data: bytes, held: PackReplica | None = None, *, now: Any = START) -> str:
    with pytest.raises(HutongError) as caught:
        load_pack(ANCHOR, data, now, held)
    return caught.value.code


def holds(replica: PackReplica) -> set[str]:
    return {authority.urn for authority in replica.bundle.authorities()}


def same(replica: PackReplica, feed: Feed, *prefixes: str) -> bool:
    """Whether a reader holds exactly what the hub has in force for the divisions."""
    wanted = [entry.digest for entry in pack.select(feed.live, prefixes)]
    return [entry.digest for entry in replica.live_entries()] == wanted


def test_a_whole_pack_holds_the_chosen_regions_and_nothing_else(feed: Feed) -> None:
    replica = load_pack(ANCHOR, feed.pack("33"), START)
    assert holds(replica) == {HANGZHOU}
    assert [each["family"] for each in replica.bundle.schemes()] == ["ex-jkm"]
    assert (replica.sequence, replica.as_of, replica.prefixes) == (4, START, ("33",))
    assert replica.age(START + timedelta(hours=2)) == timedelta(hours=2)
    assert same(load_pack(ANCHOR, feed.pack(), START), feed)


def test_an_authority_around_a_chosen_division_is_taken_in(feed: Feed) -> None:
    feed.region(ZHEJIANG, prefixes=["3306"])
    assert holds(load_pack(ANCHOR, feed.pack("330108"), START)) == {HANGZHOU}
    assert holds(load_pack(ANCHOR, feed.pack("3306"), START)) == {ZHEJIANG}


def test_a_delta_brings_what_changed_and_adds_up(feed: Feed) -> None:
    held = load_pack(ANCHOR, feed.pack("33"), START)
    feed.region(GUANGZHOU, state=MemberState.SUSPENDED)
    feed.scheme(HANGZHOU)
    delta = feed.pack("33", after=4)
    assert read_manifest(ANCHOR, delta).live == 2
    held = load_pack(ANCHOR, delta, START, held)
    assert same(held, feed, "33")
    assert (held.sequence, holds(held)) == (6, {HANGZHOU})


def test_a_withdrawal_travels_in_a_delta(feed: Feed) -> None:
    feed.put(FeedKind.NOTICE, f"{HANGZHOU}#drill", notice_body("drill", at=START))
    held = load_pack(ANCHOR, feed.pack("33"), START)
    assert len(held.bundle.notices()) == 1
    feed.put(*withdrawal_change(FeedKind.NOTICE, f"{HANGZHOU}#drill", "over"))
    held = load_pack(ANCHOR, feed.pack("33", after=5), START, held)
    assert held.bundle.notices() == ()
    assert same(held, feed, "33")


def test_a_region_whose_divisions_move_enters_and_leaves_with_all_it_published(feed: Feed) -> None:
    narrow, wide = (
        load_pack(ANCHOR, feed.pack("3306"), START),
        load_pack(ANCHOR, feed.pack("33"), START),
    )
    assert holds(narrow) == set()
    # Zhejiang joins with a division that was nobody's, and leaves it again.
    feed.region(ZHEJIANG, prefixes=["3306"])
    narrow = load_pack(ANCHOR, feed.pack("3306", after=4), START, narrow)
    assert holds(narrow) == {ZHEJIANG}
    feed.region(ZHEJIANG, prefixes=["3307"])
    narrow = load_pack(ANCHOR, feed.pack("3306", after=5), START, narrow)
    assert holds(narrow) == set()
    wide = load_pack(ANCHOR, feed.pack("33", after=4), START, wide)
    assert same(wide, feed, "33")


def test_status_lists_travel_and_are_held_by_digest(feed: Feed) -> None:
    bases = [feed.status(HANGZHOU, 1, 5)]
    held = load_pack(ANCHOR, feed.pack("33", lists=bases), START)
    assert held.lists == {digest(bases[0][1].decode()): bases[0][1]}
    assert held.bundle.status(bases[0][0]).number == 1
    feed.status(HANGZHOU, 2, 5, 7)
    held = load_pack(ANCHOR, feed.pack("33", after=5), START, held)
    assert held.bundle.status(bases[0][0]).changes() == {1: (5, 7)}
    assert len(held.lists) == 1
    assert "440100" not in str(load_pack(ANCHOR, feed.pack("44"), START).bundle.statuses())


def test_an_older_pack_is_refused(feed: Feed) -> None:
    older = feed.pack("33")
    feed.region(HANGZHOU, state=MemberState.SUSPENDED)
    held = load_pack(ANCHOR, feed.pack("33"), START)
    assert code_of(older, held) == "FEED_ROLLED_BACK"
    assert load_pack(ANCHOR, feed.pack("33"), START, held).sequence == 5


def test_a_delta_with_one_missing_before_it_is_refused(feed: Feed) -> None:
    held = load_pack(ANCHOR, feed.pack("33"), START)
    feed.scheme(HANGZHOU)
    feed.region(HANGZHOU, state=MemberState.SUSPENDED)
    assert code_of(feed.pack("33", after=5), held) == "FEED_GAP"
    assert code_of(feed.pack("33", after=5)) == "FEED_GAP"


def test_a_delta_for_other_divisions_is_refused(feed: Feed) -> None:
    held = load_pack(ANCHOR, feed.pack("33"), START)
    feed.scheme(HANGZHOU)
    assert code_of(feed.pack("44", after=4), held) == "PACK_INVALID"


def test_two_histories_of_one_hub_are_told_apart(feed: Feed) -> None:
    other = Feed()
    other.region(HANGZHOU)
    other.region(GUANGZHOU)
    other.region(GUANGZHOU, state=MemberState.SUSPENDED)
    other.scheme(HANGZHOU)
    held = load_pack(ANCHOR, feed.pack(), START)
    assert code_of(other.pack(), held) == "FEED_FORK"
    other.scheme(HANGZHOU)
    assert code_of(other.pack(), held) in {"FEED_FORK", "FEED_ROLLED_BACK"}


def test_a_pack_that_leaves_an_entry_out_is_refused(feed: Feed) -> None:
    """The hub's key signs the manifest; without that key nothing can be left out."""
    whole = feed.pack("33")
    head, manifest, first, _, last = whole.split(b"\n")
    assert last == b""
    assert code_of(b"\n".join([head, manifest, first, b""])) == "PACK_INVALID"
    assert code_of(b"\n".join([head, manifest, first, first, b""])) == "PACK_INVALID"


def test_a_manifest_whose_digest_is_of_more_than_is_sent_is_refused(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "_delta", lambda *_: [])
    held = load_pack(ANCHOR, feed.pack("33"), START)
    feed.region(HANGZHOU, state=MemberState.SUSPENDED)
    assert code_of(feed.pack("33", after=4), held) == "PACK_INVALID"


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda data: b"hutong-pack 2" + data[13:],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:40],
        lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        lambda data: data.replace(b"\n", b"\r\n"),
    ],
    ids=["empty", "version", "cut", "longer", "no manifest", "flipped", "lines"],
)
def test_a_damaged_pack_is_refused(feed: Feed, change: Any) -> None:
    bases = [feed.status(HANGZHOU, 1, 5)]
    assert code_of(change(feed.pack("33", lists=bases))) in {
        "PACK_INVALID",
        "FEED_SIGNATURE",
        "FEED_MALFORMED",
    }


def test_a_pack_of_another_key_or_from_the_future_is_refused(feed: Feed) -> None:
    stranger = make_anchor(HUB, feed_keys=[signing_key("other/feed")])
    with pytest.raises(HutongError) as caught:
        load_pack(stranger, feed.pack(), START)
    assert caught.value.code == "FEED_SIGNATURE"
    assert code_of(feed.pack(now=START + timedelta(minutes=2))) == "FEED_FROM_FUTURE"


def test_a_pack_that_would_be_too_large_is_not_made(feed: Feed) -> None:
    size = len(feed.pack())
    assert len(feed.pack(max_bytes=size)) == size
    with pytest.raises(HutongError) as caught:
        feed.pack(max_bytes=size - 1)
    assert caught.value.code == "PACK_TOO_LARGE"


def test_malformed_prefixes_are_refused(feed: Feed) -> None:
    with pytest.raises(HutongError) as caught:
        feed.pack("3")
    assert caught.value.code == "PACK_INVALID"


def test_the_manifest_tells_sizes_without_loading(feed: Feed) -> None:
    bases = [feed.status(HANGZHOU, 1)]
    data = feed.pack("33", lists=bases)
    manifest = read_manifest(ANCHOR, data)
    assert (manifest.count, manifest.live, manifest.after) == (3, 3, 0)
    assert manifest.lists[0].bytes == len(bases[0][1])
    assert manifest.bytes < len(data)


def test_a_policy_of_a_chosen_region_decides_offline(feed: Feed) -> None:
    token = statement(region(HANGZHOU), StatementKind.POLICY, policy())
    feed.put(FeedKind.POLICY, f"{HANGZHOU}#330100", {"statement": token})
    held = load_pack(ANCHOR, feed.pack("3301"), START)
    assert held.bundle.policy("330106")["id"] == "330100@2020-04"
