"""The manifest of an air-gapped pack, and a pack taken apart by it (docs/spec/pack.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from gateway.trust import jws, names
from gateway.trust.errors import FeedError, FeedFault, PackError, TrustLookupError
from gateway.trust.feed import entry_digest
from gateway.trust.hub_walk import walked
from gateway.trust.times import Seconds, from_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor

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


def read_manifest(anchor: TrustAnchor, data: bytes) -> PackManifest:
    """Reads and verifies the manifest of a pack, and that its length is what it says.

    Raises:
        PackError: not a pack, damaged, cut short, or another hub's.
    """
    return take_apart(anchor, data)[1]


def take_apart(
    anchor: TrustAnchor, data: bytes
) -> tuple[TrustAnchor, PackManifest, list[str], dict[str, bytes]]:
    """Splits a pack and verifies its manifest: the keys, what it says, the entries, the lists.

    Raises:
        PackError: not a pack, damaged, or not what its manifest says.
        FeedError: FEED_SIGNATURE, another hub's.
    """
    if len(data) > MAX_PACK_BYTES:
        raise PackError(f"longer than {MAX_PACK_BYTES} bytes")
    if not data.startswith(FORMAT_LINE):
        raise PackError("not a pack, or one of a younger format")
    end = data.find(b"\n", len(FORMAT_LINE), len(FORMAT_LINE) + MAX_PACK_MANIFEST_BYTES + 1)
    if end < 0:
        raise PackError("the pack has no manifest")
    body = data[end + 1 :]
    # The sets of the hub's keys come first: the newest may have signed the manifest.
    anchor = walked(anchor, (line.decode("ascii", "replace") for line in body.split(b"\n")))
    manifest = _verify_manifest(anchor, data[len(FORMAT_LINE) : end])
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
    return anchor, manifest, tokens, bases


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
    is_in_time = key.first_second <= claims.iat < key.end_second
    if claims.iss != anchor.hub or not is_in_time or claims.iat >= key.believed_until_second:
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


def _digest(line: bytes) -> str:
    try:
        return entry_digest(line.decode("ascii"))
    except UnicodeDecodeError:
        raise PackError("a status list is not ASCII") from None
