"""Air-gapped packs: the feed for chosen regions in one signed file (docs/spec/pack.md).

A pack travels where no line reaches: on a stick, through a diode, in a courier's
pocket. It is text, one token a line::

    hutong-pack 1
    <manifest: compact JWS of the hub's feed key, type hutong-pack+jwt>
    <entry> …
    <base status list> …

The manifest says ``{iss, iat, seq, digest, after, prefixes, count, live, entries,
tombstones, lists, bytes}``: where the chain ended when the pack was made, which
divisions were asked for, how many lines follow, and the digest over what is live for
those divisions *once the pack is taken in*. With ``after`` zero the pack is whole; with
another number it is a *delta*, which holds only on top of exactly that state.

A pack always carries every set of the hub's own keys (``hub_keys``), so that whoever has
any older trust anchor can read it. A reader checks every signature of every entry again,
as from the feed. What the
manifest adds is that nothing was left out: a pack without the entry that suspends a
region would not add up to the digest. A pack never says less than was asked for because
it had become too large: making it fails instead.

Takes bytes and a clock, raises, and never touches disk or network::

    held = load_pack(anchor, whole, now)
    held = load_pack(anchor, delta, now, held)
    held.bundle, held.as_of, held.lists

Invariants: a refused pack changes nothing, the sequence number never goes down, one
number has one entry, and a statement is never superseded by an older one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from gateway.trust import jws
from gateway.trust.bundle import TrustBundle
from gateway.trust.entries import StatusEntry, payload_of
from gateway.trust.errors import FeedError, FeedFault, PackError
from gateway.trust.feed import FeedKind, entries_digest, verify_entry
from gateway.trust.hub_keys import after_set
from gateway.trust.live import LiveSet
from gateway.trust.live_rules import check_not_older, check_not_older_status
from gateway.trust.pack_manifest import DEFAULT_PACK_BYTES as DEFAULT_PACK_BYTES
from gateway.trust.pack_manifest import FORMAT_LINE, MAX_PACK_MANIFEST_BYTES, PACK_TYPE, take_apart
from gateway.trust.pack_manifest import MAX_PACK_BYTES as MAX_PACK_BYTES
from gateway.trust.pack_manifest import PackManifest as PackManifest
from gateway.trust.pack_manifest import PackTooLargeError as PackTooLargeError
from gateway.trust.pack_manifest import pack_prefixes as pack_prefixes
from gateway.trust.pack_manifest import read_manifest as read_manifest
from gateway.trust.pack_selection import EVERYBODY, about_live, chosen_of, named_in_subject
from gateway.trust.pack_selection import select as select
from gateway.trust.times import LEEWAY, to_seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from gateway.attestation.keys import SigningKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.entries import LiveEntry
    from gateway.trust.feed import FeedEntry


class PackReplica:
    """What a reader without a line holds; a new object with every pack.

    Attributes:
        manifest: of the newest pack taken in.
        lists: base status lists by digest.
        live_set: what is in force; not to be changed.
    """

    def __init__(self, manifest: PackManifest, live: LiveSet, lists: Mapping[str, bytes]) -> None:
        self.manifest = manifest
        self.lists = dict(lists)
        self.live_set = live
        self._bundle: TrustBundle | None = None

    @property
    def sequence(self) -> int:
        """Number of the feed's newest entry when the pack was made."""
        return self.manifest.sequence

    @property
    def digest(self) -> str:
        """Digest of that entry."""
        return self.manifest.digest

    @property
    def as_of(self) -> datetime:
        """When the hub vouched for this state, by its clock."""
        return self.manifest.issued_at

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Divisions it speaks of; empty: all."""
        return self.manifest.prefixes

    @property
    def bundle(self) -> TrustBundle:
        """The answers that this state gives."""
        if self._bundle is None:
            self._bundle = TrustBundle(self.live_set, self.sequence)
        return self._bundle

    def age(self, now: datetime) -> timedelta:
        """Returns how long ago the hub vouched for this state; never negative."""
        return max(now - self.as_of, now - now)

    def live_entries(self) -> list[LiveEntry]:
        """Returns what is in force, in order of the numbers."""
        return self.live_set.entries()


def make_pack(
    key: SigningKey,
    live: LiveSet,
    *,
    hub: str,
    sequence: int,
    digest: str,
    now: datetime,
    prefixes: Iterable[str] = (),
    after: int = 0,
    later: Sequence[str] = (),
    lists: Iterable[tuple[str, bytes]] = (),
    max_bytes: int = DEFAULT_PACK_BYTES,
) -> bytes:
    """Makes a pack.

    Args:
        key: a feed key of the hub.
        live: what is in force.
        hub: URN of the hub.
        sequence: number of the newest entry.
        digest: of the newest entry.
        now: the moment of making.
        prefixes: divisions to take in; empty: all.
        after: zero for a whole pack, else the state that it continues.
        later: every entry after ``after``, in order; for a delta.
        lists: address and token of the base lists to take in.
        max_bytes: longest pack.

    Raises:
        PackTooLargeError: it would be longer.
        PackError: malformed prefixes.
    """
    wanted = pack_prefixes(prefixes)
    result = select(live, wanted)
    tokens = (
        [entry.token for entry in result]
        if not after
        else _delta(live, wanted, result, later, after)
    )
    bases = list(lists)
    body = b"".join(
        [*(token.encode("ascii") + b"\n" for token in tokens), *(base + b"\n" for _, base in bases)]
    )
    claims = {
        "iss": hub,
        "iat": to_seconds(now),
        "seq": sequence,
        "digest": digest,
        "after": after,
        "prefixes": list(wanted),
        "count": len(tokens),
        "live": len(result),
        "entries": entries_digest(entry.digest for entry in result),
        "lists": [
            {"uri": uri, "digest": jws.digest(base.decode("ascii")), "bytes": len(base)}
            for uri, base in bases
        ],
        "bytes": len(body),
    }
    manifest = jws.sign(claims, key, typ=PACK_TYPE).encode("ascii")
    data = FORMAT_LINE + manifest + b"\n" + body
    if len(data) > min(max_bytes, MAX_PACK_BYTES) or len(manifest) > MAX_PACK_MANIFEST_BYTES:
        raise PackTooLargeError(
            f"the pack takes {len(data)} bytes, and {min(max_bytes, MAX_PACK_BYTES)} are allowed"
        )
    return data


def load_pack(
    anchor: TrustAnchor, data: bytes, now: datetime, held: PackReplica | None = None
) -> PackReplica:
    """Takes a pack in.

    Args:
        anchor: the hub that is trusted.
        data: the file.
        now: the moment of loading.
        held: what was held before; needed for a delta.

    Raises:
        PackError: damaged, another hub's, a delta onto another state, or what is in
            it does not add up to what the manifest fixes.
        FeedError: FEED_ROLLED_BACK, FEED_GAP (a delta is missing in between),
            FEED_FORK, FEED_FROM_FUTURE, or what is wrong with an entry.
    """
    anchor, manifest, tokens, bases = take_apart(anchor, data)
    if manifest.issued_at > now + LEEWAY:
        raise FeedError("the pack is made ahead of the clock", code=FeedFault.FEED_FROM_FUTURE)
    _check_order(manifest, held)
    read = [verify_entry(token, anchor) for token in tokens]
    if any(entry.issued_at > now + LEEWAY or entry.sequence > manifest.sequence for entry in read):
        raise FeedError("an entry is younger than the pack", code=FeedFault.FEED_FROM_FUTURE)
    before = {} if held is None else {item.place: item for item in held.live_entries()}
    _check_one_history(read, before.values())
    standing: dict[Any, FeedEntry] = {}
    if manifest.after:
        for item in before.values():
            standing[item.place] = verify_entry(item.token, anchor)
    for entry in sorted(read, key=lambda each: each.sequence):
        standing[entry.kind, entry.subject] = entry
    in_order = sorted(standing.values(), key=lambda each: each.sequence)
    if any(later.issued_at < entry.issued_at for entry, later in itertools.pairwise(in_order)):
        raise FeedError("an entry is dated before an older one")
    live = LiveSet()
    live.put_all(chosen_of(standing.values(), manifest.prefixes))
    after_set(anchor, live)
    if held is not None and len(live.hub_keys()) < len(held.live_set.hub_keys()):
        raise FeedError("the pack knows older keys", code=FeedFault.FEED_ROLLED_BACK)
    result = live.entries()
    digests = entries_digest(entry.digest for entry in result)
    if (len(result), digests) != (manifest.live, manifest.entries):
        raise PackError("what the pack holds is not what its manifest fixes")
    if held is not None:
        _refuse_older_words(live, held)
    named = {status.base_digest for status in TrustBundle(live, 0).statuses()}
    lists = {} if held is None else held.lists
    lists = {name: base for name, base in (lists | bases).items() if name in named}
    return PackReplica(manifest, live, lists)


def _refuse_older_words(live: LiveSet, held: PackReplica) -> None:
    before = held.live_set
    for place, published in live.published.items():
        if place in before.published:
            check_not_older(published, before.published[place])
    for place, (_, extra) in live.extras.items():
        _, older = before.extras.get(place, (None, None))
        if isinstance(extra, StatusEntry) and isinstance(older, StatusEntry):
            check_not_older_status(extra, older)


def _delta(
    live: LiveSet,
    prefixes: Collection[str],
    result: Sequence[LiveEntry],
    later: Sequence[str],
    after: int,
) -> list[str]:
    """What a holder of the state ``after`` lacks, tombstones included.

    A region whose record changed comes whole: it may have been outside before. And a
    record that left the selection comes too, so that the holder sees it leave.
    """
    moved = {
        held.entry.subject for held in live.authorities.values() if held.entry.sequence > after
    }
    chosen = {entry.subject for entry in result if entry.kind is FeedKind.AUTHORITY}
    sent: dict[int, str] = {
        entry.sequence: entry.token
        for entry in result
        # The sets of the hub's keys always: the manifest is judged by the newest of them.
        if entry.sequence > after or about_live(entry) in moved or entry.kind is FeedKind.HUB_KEYS
    }
    for held in live.authorities.values():
        if held.entry.sequence > after and prefixes:
            sent[held.entry.sequence] = held.entry.token
    for token in later:
        payload = payload_of(token)
        body = payload["body"]
        if "withdrawn" not in body or len(body) != 1:
            continue
        about = named_in_subject(FeedKind(payload["kind"]), payload["subject"])
        if about is None or about in chosen or about == EVERYBODY:
            sent[payload["seq"]] = token
    return [sent[sequence] for sequence in sorted(sent)]


def _check_order(manifest: PackManifest, held: PackReplica | None) -> None:
    if held is None:
        if manifest.after:
            raise FeedError("a delta needs what it continues", code=FeedFault.FEED_GAP)
        return
    if manifest.sequence < held.sequence:
        raise FeedError("the pack is older than what is held", code=FeedFault.FEED_ROLLED_BACK)
    if manifest.sequence == held.sequence and manifest.digest != held.digest:
        raise FeedError("the pack is of another history", code=FeedFault.FEED_FORK)
    if not manifest.after:
        return
    if manifest.after != held.sequence:
        raise FeedError("a pack is missing in between", code=FeedFault.FEED_GAP)
    if manifest.prefixes != held.prefixes:
        raise PackError("the delta is for other divisions than are held")


def _check_one_history(read: Iterable[FeedEntry], held: Iterable[LiveEntry]) -> None:
    numbers = {entry.sequence: entry.digest for entry in held}
    places = {entry.place: entry.sequence for entry in held}
    for entry in read:
        if numbers.get(entry.sequence, entry.digest) != entry.digest:
            raise FeedError("a second entry for one number", code=FeedFault.FEED_FORK)
        if places.get((entry.kind, entry.subject), 0) > entry.sequence:
            raise FeedError("an entry is older than the one held", code=FeedFault.FEED_ROLLED_BACK)
