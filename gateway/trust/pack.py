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

A reader checks every signature of every entry again, as from the feed. What the
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

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from gateway.trust import jws, names
from gateway.trust.authority import parse_authority
from gateway.trust.bundle import TrustBundle
from gateway.trust.entries import StatusEntry, payload_of
from gateway.trust.errors import FeedError, FeedFault, PackError, TrustLookupError
from gateway.trust.feed import FeedKind, entries_digest, entry_digest, verify_entry
from gateway.trust.live import LiveSet, check_not_older, check_not_older_status
from gateway.trust.times import LEEWAY, Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from gateway.attestation.keys import SigningKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.entries import LiveEntry
    from gateway.trust.feed import FeedEntry

PACK_TYPE: Final = "hutong-pack+jwt"
FORMAT_LINE: Final = b"hutong-pack 1\n"

MAX_PACK_BYTES: Final = 256 * 1024 * 1024
"""As a replica's file: the most live entries, with room for lists."""
DEFAULT_PACK_BYTES: Final = 16 * 1024 * 1024
"""``MakePackRequest.max_bytes`` of zero."""
MAX_PACK_MANIFEST_BYTES: Final = 4 * 1024 * 1024
"""Some twenty thousand lists, named by address and digest."""
MAX_PACK_PREFIXES: Final = 512
"""As ``hutong.v1.MakePackRequest.prefixes``."""

_EVERYBODY: Final = ""


class PackTooLargeError(PackError):
    """The pack would be longer than was allowed; nothing is left out to fit."""

    default_code = "PACK_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class PackedList:
    """A base status list in a pack.

    Attributes:
        uri: which list it is.
        digest: base64url SHA-256 of its token.
        bytes: its length.
    """

    uri: str
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PackManifest:
    """A verified manifest.

    Attributes:
        hub: URN of the hub.
        issued_at: when the pack was made.
        sequence: number of the feed's newest entry then.
        digest: of that entry.
        after: zero for a whole pack; else the sequence it continues.
        prefixes: divisions asked for, shortest forms, sorted; empty: all.
        count: lines of entries that follow.
        live: entries in force once the pack is taken in.
        entries: digest over their digests, in order of their numbers.
        lists: the base lists that follow the entries, in order.
        bytes: of everything below the manifest.
        token: the manifest as signed.
    """

    hub: str
    issued_at: datetime
    sequence: int
    digest: str
    after: int
    prefixes: tuple[str, ...]
    count: int
    live: int
    entries: str
    lists: tuple[PackedList, ...]
    bytes: int
    token: str = field(repr=False)


class _List(msgspec.Struct, forbid_unknown_fields=True):
    uri: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    digest: Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
    bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_PACK_BYTES)]


class _Claims(msgspec.Struct, forbid_unknown_fields=True):
    iss: Annotated[str, msgspec.Meta(max_length=names.MAX_URN_LENGTH)]
    iat: Seconds
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    digest: Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    prefixes: Annotated[list[str], msgspec.Meta(max_length=MAX_PACK_PREFIXES)]
    count: Annotated[int, msgspec.Meta(ge=0)]
    live: Annotated[int, msgspec.Meta(ge=0)]
    entries: Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
    lists: list[_List]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_PACK_BYTES)]


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


def pack_prefixes(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Returns prefixes in the form a manifest has them: shortest, sorted, each once.

    Raises:
        PackError: one is no division prefix, or there are too many.
    """
    shortened = sorted({names.shortest(prefix) for prefix in prefixes})
    if len(shortened) > MAX_PACK_PREFIXES:
        raise PackError(f"more than {MAX_PACK_PREFIXES} prefixes")
    if not all(names.is_prefix(prefix) for prefix in shortened):
        raise PackError("a division prefix has 2, 4 or 6 digits")
    return tuple(shortened)


def select(live: LiveSet, prefixes: Collection[str]) -> list[LiveEntry]:
    """Returns what is in force for the regions of some divisions, in order.

    That is every authority that holds a prefix in or around one of them, what it
    published and revoked, what is distrusted of it, and what concerns everybody.
    """
    chosen = {
        urn
        for urn, held in live.authorities.items()
        if not prefixes or _touches(held.authority.prefixes, prefixes)
    }
    return [
        entry
        for entry in live.entries()
        if (about := _about_live(entry)) == _EVERYBODY or about in chosen
    ]


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


def read_manifest(anchor: TrustAnchor, data: bytes) -> PackManifest:
    """Reads and verifies the manifest of a pack, and that its length is what it says.

    Raises:
        PackError: not a pack, damaged, cut short, or another hub's.
    """
    return _take_apart(anchor, data)[0]


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
    manifest, tokens, bases = _take_apart(anchor, data)
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
    live = LiveSet()
    live.put_all(_chosen(standing.values(), manifest.prefixes))
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


def _chosen(standing: Iterable[FeedEntry], prefixes: Collection[str]) -> list[FeedEntry]:
    """As :func:`select`, before anything is put into a set; without tombstones."""
    entries = [entry for entry in standing if not entry.is_tombstone]
    urns = {
        entry.subject
        for entry in entries
        if entry.kind is FeedKind.AUTHORITY
        and (not prefixes or _touches(parse_authority(entry.body).prefixes, prefixes))
    }
    return [
        entry
        for entry in entries
        if (about := _about(entry.kind, entry.subject, entry.body)) == _EVERYBODY or about in urns
    ]


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
        if entry.sequence > after or _about_live(entry) in moved
    }
    for held in live.authorities.values():
        if held.entry.sequence > after and prefixes:
            sent[held.entry.sequence] = held.entry.token
    for token in later:
        payload = payload_of(token)
        body = payload["body"]
        if "withdrawn" not in body or len(body) != 1:
            continue
        about = _named_in_subject(FeedKind(payload["kind"]), payload["subject"])
        if about is None or about in chosen or about == _EVERYBODY:
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


def _take_apart(
    anchor: TrustAnchor, data: bytes
) -> tuple[PackManifest, list[str], dict[str, bytes]]:
    if len(data) > MAX_PACK_BYTES:
        raise PackError(f"longer than {MAX_PACK_BYTES} bytes")
    if not data.startswith(FORMAT_LINE):
        raise PackError("not a pack, or one of a younger format")
    end = data.find(b"\n", len(FORMAT_LINE), len(FORMAT_LINE) + MAX_PACK_MANIFEST_BYTES + 1)
    if end < 0:
        raise PackError("the pack has no manifest")
    manifest = _verify_manifest(anchor, data[len(FORMAT_LINE) : end])
    body = data[end + 1 :]
    if len(body) != manifest.bytes:
        raise PackError("the pack is cut short, or something was added")
    lines = body.split(b"\n")
    if lines.pop() != b"" or len(lines) != manifest.count + len(manifest.lists):
        raise PackError("the lines are not those of the manifest")
    try:
        tokens = [line.decode("ascii") for line in lines[: manifest.count]]
    except UnicodeDecodeError:
        raise PackError("an entry is not ASCII") from None
    bases: dict[str, bytes] = {}
    for line, packed in zip(lines[manifest.count :], manifest.lists, strict=True):
        if len(line) != packed.bytes or _digest(line) != packed.digest:
            raise PackError("a status list is not the one of the manifest")
        bases[packed.digest] = line
    return manifest, tokens, bases


def _verify_manifest(anchor: TrustAnchor, line: bytes) -> PackManifest:
    try:
        token = line.decode("ascii")
        parsed = jws.take_apart(token, typ=PACK_TYPE, max_bytes=MAX_PACK_MANIFEST_BYTES)
        key = anchor.feed_key(parsed.key_id)
        parsed.check_signature(key)
        claims = msgspec.convert(parsed.claims(), _Claims)
    except (UnicodeDecodeError, jws.MalformedError):
        raise PackError("the manifest is malformed") from None
    except (jws.SignatureError, TrustLookupError):
        raise FeedError(
            "not signed by a feed key of this hub", code=FeedFault.FEED_SIGNATURE
        ) from None
    except msgspec.ValidationError:
        raise PackError("a claim is missing, unknown or out of bounds") from None
    if claims.iss != anchor.hub or claims.iat >= key.believed_until_second:
        raise FeedError("not in this hub's name", code=FeedFault.FEED_SIGNATURE)
    if claims.after >= claims.seq and claims.after:
        raise PackError("a delta brings something newer")
    prefixes = tuple(claims.prefixes)
    if prefixes != pack_prefixes(prefixes):
        raise PackError("the prefixes are not sorted, or not the shortest")
    return PackManifest(
        hub=claims.iss,
        issued_at=from_seconds(claims.iat),
        sequence=claims.seq,
        digest=claims.digest,
        after=claims.after,
        prefixes=prefixes,
        count=claims.count,
        live=claims.live,
        entries=claims.entries,
        lists=tuple(PackedList(item.uri, item.digest, item.bytes) for item in claims.lists),
        bytes=claims.bytes,
        token=token,
    )


def _about_live(entry: LiveEntry) -> str:
    named = _named_in_subject(entry.kind, entry.subject)
    if named is not None:
        return named
    return _about(entry.kind, entry.subject, payload_of(entry.token)["body"])


def _about(kind: FeedKind, subject: str, body: Mapping[str, Any]) -> str:
    """URN of whom an entry concerns; empty: everybody.

    Raises:
        PackError: the body does not say.
    """
    named = _named_in_subject(kind, subject)
    if named is not None:
        return named
    try:
        if kind is FeedKind.DISTRUST:
            return str(body["rule"]["issuer"])
        return str(payload_of(body["statement"])["iss"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise PackError("an entry does not say whom it concerns") from None


def _named_in_subject(kind: FeedKind, subject: str) -> str | None:
    """URN of whom a subject concerns; empty: everybody; None: the subject does not say."""
    if kind is FeedKind.AUTHORITY:
        return subject
    if kind in (FeedKind.SCHEME, FeedKind.POLICY, FeedKind.NOTICE):
        urn = subject.partition("#")[0]
        return _EVERYBODY if names.is_hub_urn(urn) and kind is FeedKind.NOTICE else urn
    if kind is FeedKind.STATUS:
        return f"urn:hutong:region:{subject.removeprefix('urn:hutong:status:')[:6]}"
    if kind in (FeedKind.DISTRUST, FeedKind.REHEARSAL):
        return None
    # The superior, and kinds that are not known here: left out, they might be missed.
    return _EVERYBODY


def _touches(held: Iterable[str], wanted: Collection[str]) -> bool:
    return any(one.startswith(other) or other.startswith(one) for one in held for other in wanted)


def _digest(line: bytes) -> str:
    try:
        return entry_digest(line.decode("ascii"))
    except UnicodeDecodeError:
        raise PackError("a status list is not ASCII") from None
