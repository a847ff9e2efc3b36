"""Token Status Lists: one small number for each carried attestation (draft-ietf-oauth-status-list).

Of the draft, in its version 19 (2026-03-20), this implements the list itself (section 4:
1, 2, 4 or 8 bits an entry, the first entry in the lowest bits of the first byte, zlib),
the Status List Token as a JWT (section 5.1) and the reference in an attestation
(section 6). Left out: CBOR, aggregation, fetching by HTTP: a list travels in the hub's
feed and is named by its digest (docs/spec/status.md).

Beyond the draft, as docs/spec/status.md says:

* the URI of a list is ``urn:hutong:status:`` with the region of its issuer and a name, so
  that no region can publish the list of another;
* ``iss`` is there and is that region; the key is one of its attestation keys, looked up
  by issuer and key id together, and it was in force when the list was signed;
* unpacking is bounded before a byte is unpacked, and what is left over is an error.

Everything that is wrong with a list is ``STATUS_LIST_INVALID``; trust raises its own
errors, which pass through. No message holds a value of a token.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import msgspec

from gateway.attestation import base64url
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.status_tokens import (
    LEEWAY_SECONDS,
    Seconds,
    read_signed,
    sign_claims,
    token_digest,
    whole_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.attestation.keys import SigningKey
    from gateway.attestation.verifying import KeySource

LIST_TYPE: Final = "statuslist+jwt"
"""``typ`` of a list (draft, section 5.1)."""

VALID: Final = 0
"""The draft's section 7.1, as the two below."""
REVOKED: Final = 1
ON_HOLD: Final = 2
"""SUSPENDED in the draft; not to be had with one bit an entry."""

MAX_TOKEN_BYTES: Final = 4 * 1024 * 1024
"""As ``hutong.v1.StatusListToken.token``: 20 million entries of one bit at any rate fit."""
MAX_LIST_BYTES: Final = 16 * 1024 * 1024
"""Longest list after unpacking: 134 million entries of one bit, and what a small edge has
to spare. A list that claims to be longer is refused after this many bytes."""
MAX_URI_CHARACTERS: Final = 256
"""As the ``status`` claim of an attestation."""

Bits = Literal[1, 2, 4, 8]
"""Bits an entry."""

_URI = re.compile(r"urn:hutong:status:([0-9]{6}):[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_COMPRESSION: Final = 9
"""The draft asks for the highest level (section 4.1)."""


class StatusList:
    """Entries of 1, 2, 4 or 8 bits, all of them zero at first.

    Args:
        bits: an entry's, 1, 2, 4 or 8.
        size: number of entries, at least one; rounded up to whole bytes.

    Raises:
        AttestationError: STATUS_LIST_INVALID, bits or size are out of bounds.
    """

    __slots__ = ("_data", "_in_byte", "_mask", "_shift", "bits", "size")

    def __init__(self, bits: int, size: int) -> None:
        self._lay_out(bits, b"")
        length = -(-size * bits // 8)
        if not 0 < length <= MAX_LIST_BYTES:
            raise invalid("a list has at least one entry and a bounded length")
        self._data = bytearray(length)
        self.size = length * 8 // bits

    def _lay_out(self, bits: int, data: bytes) -> None:
        if bits not in (1, 2, 4, 8):
            raise invalid("an entry has 1, 2, 4 or 8 bits")
        self.bits = bits
        self._mask = (1 << bits) - 1
        # Entries in a byte, as a power of two: 8, 4, 2 or 1.
        self._shift = (8 // bits).bit_length() - 1
        self._in_byte = 8 // bits - 1
        self._data = bytearray(data)
        self.size = len(data) * 8 // bits

    def __len__(self) -> int:
        """Entries."""
        return self.size

    def get(self, index: int) -> int:
        """Return an entry.

        Raises:
            AttestationError: STATUS_LIST_INVALID, there is no such entry.
        """
        if not 0 <= index < self.size:
            raise invalid("the list has no such entry")
        place = (index & self._in_byte) * self.bits
        return (self._data[index >> self._shift] >> place) & self._mask

    def set(self, index: int, value: int) -> None:
        """Write an entry.

        Raises:
            AttestationError: STATUS_LIST_INVALID, there is no such entry, or the value
                does not fit.
        """
        if not 0 <= index < self.size:
            raise invalid("the list has no such entry")
        if not 0 <= value <= self._mask:
            raise invalid("the value does not fit into an entry")
        place = (index & self._in_byte) * self.bits
        at = index >> self._shift
        self._data[at] = self._data[at] & ~(self._mask << place) | value << place

    def copy(self) -> StatusList:
        """Return a list of its own with the same entries."""
        other = object.__new__(StatusList)
        other._lay_out(self.bits, bytes(self._data))
        return other

    def entries(self) -> Iterable[tuple[int, int]]:
        """Yield index and value of every entry that is not zero, in order."""
        for at, byte in enumerate(self._data):
            if byte:
                first = at << self._shift
                for index in range(first, first + self._in_byte + 1):
                    value = self.get(index)
                    if value:
                        yield index, value

    def compress(self) -> bytes:
        """Return the entries as the draft packs them (section 4.1)."""
        return zlib.compress(self._data, _COMPRESSION)

    @classmethod
    def decompress(cls, bits: int, packed: bytes, *, size: int | None = None) -> StatusList:
        """Unpack a list, never more of it than allowed.

        Args:
            bits: an entry's.
            packed: the zlib stream (RFC 1950).
            size: entries that it must have; None: as many as it has.

        Raises:
            AttestationError: STATUS_LIST_INVALID, no such stream, something after it, too
                long, empty, or not of this size.
        """
        made = object.__new__(cls)
        made._lay_out(bits, b"")
        limit = MAX_LIST_BYTES
        if size is not None:
            limit = min(limit, -(-size * bits // 8))
        stream = zlib.decompressobj()
        try:
            # One byte more than allowed shows that there is more.
            data = stream.decompress(packed, limit + 1)
        except zlib.error:
            raise invalid("the entries do not unpack") from None
        if len(data) > limit:
            raise invalid("the entries unpack to more than is allowed")
        if not stream.eof or stream.unused_data or not data:
            raise invalid("the entries are cut short, empty, or followed by something")
        if size is not None and len(data) != limit:
            raise invalid("the list is shorter than it was said to be")
        made._lay_out(bits, data)
        return made


@dataclass(frozen=True, slots=True)
class SignedStatusList:
    """A list that verified.

    Attributes:
        issuer: URN of the region that signed.
        uri: of the list.
        issued_at: when it was signed, UTC.
        expires_at: end of the list, exclusive, UTC: no attestation names it any more.
        ttl_seconds: how long the issuer expects it to be new; None: it does not say.
        key_id: thumbprint of the key.
        digest: SHA-256 of the token, base64url, 43 characters; names it in the feed.
        list: the entries.
    """

    issuer: str
    uri: str
    issued_at: datetime
    expires_at: datetime
    ttl_seconds: int | None
    key_id: str
    digest: str
    list: StatusList = field(repr=False)


class _ListClaim(msgspec.Struct):
    """The draft lets issuers add members; they are not looked at."""

    bits: Bits
    lst: str


class _Claims(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    iss: str
    sub: str
    iat: Seconds
    exp: Seconds
    status_list: _ListClaim
    ttl: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None


def status_uri(issuer: str, name: str) -> str:
    """Return the URI of a list.

    Args:
        issuer: URN of a region, six digits.
        name: lower-case letters, digits and hyphens, at most 64.

    Raises:
        AttestationError: STATUS_LIST_INVALID, one of them is not in its form.
    """
    uri = f"urn:hutong:status:{issuer.rpartition(':')[2]}:{name}"
    check_status_uri(uri, issuer)
    return uri


def check_status_uri(uri: str, issuer: str) -> None:
    """Check that a URI is one of this issuer's lists.

    Raises:
        AttestationError: STATUS_LIST_INVALID.
    """
    found = _URI.fullmatch(uri)
    if found is None or issuer != f"urn:hutong:region:{found[1]}":
        raise invalid("the URI is not that of a list of this issuer")


def status_issuer(uri: str) -> str:
    """Return the URN of the region whose list a URI names.

    Raises:
        AttestationError: STATUS_LIST_INVALID, it names none.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise invalid("not the URI of a list")
    return f"urn:hutong:region:{found[1]}"


def sign_status_list(
    entries: StatusList,
    key: SigningKey,
    *,
    uri: str,
    issued_at: datetime,
    expires_at: datetime,
    ttl_seconds: int | None = None,
) -> str:
    """Sign a list; return the compact token.

    Args:
        entries: as they stand.
        key: an attestation key of the region that the URI names.
        uri: from :func:`status_uri`.
        issued_at: now; fractions are dropped.
        expires_at: end of the list: no attestation that names it lives longer.
        ttl_seconds: how long it is expected to be new; None: not said.

    Raises:
        AttestationError: STATUS_LIST_INVALID, a reader would refuse it.
    """
    issued, expires = whole_seconds(issued_at), whole_seconds(expires_at)
    if issued >= expires:
        raise invalid("the list would be over when it is signed")
    packed = base64url.encode(entries.compress())
    claims = _Claims(
        status_issuer(uri),
        uri,
        issued,
        expires,
        _ListClaim(cast("Bits", entries.bits), packed),
        ttl_seconds,
    )
    token = sign_claims(claims, key, LIST_TYPE)
    if len(token) > MAX_TOKEN_BYTES:
        raise invalid("the list is too long for the wire: open another one")
    return token


def verify_status_list(
    token: str | bytes,
    keys: KeySource,
    *,
    now: datetime,
    uri: str | None = None,
    size: int | None = None,
) -> SignedStatusList:
    """Verify a list.

    Args:
        token: the compact token.
        keys: trust; asked for the key of the issuer.
        now: the reader's clock, aware.
        uri: the list that is wanted; None: any, whose it is stands in the result.
        size: entries that it must have, where a change statement says so.

    Raises:
        AttestationError: STATUS_LIST_INVALID: malformed, another list, another's, signed
            ahead of now, over, or its entries do not unpack; KEY_NOT_VALID_NOW,
            KEY_TAINTED, KEY_REVOKED: of its key.
        TrustError: trust knows no such key, or does not believe the issuer.
    """
    claims, key_id, data = read_signed(
        token, _Claims, keys, typ=LIST_TYPE, max_bytes=MAX_TOKEN_BYTES, now=now
    )
    check_status_uri(claims.sub, claims.iss)
    if uri is not None and claims.sub != uri:
        raise invalid("another list than is wanted")
    if claims.exp <= claims.iat or now.timestamp() >= claims.exp + LEEWAY_SECONDS:
        raise invalid("the list is over")
    try:
        packed = base64url.decode(claims.status_list.lst.encode("ascii"))
    except ValueError:
        raise invalid("lst is not base64url") from None
    return SignedStatusList(
        issuer=claims.iss,
        uri=claims.sub,
        issued_at=datetime.fromtimestamp(claims.iat, UTC),
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
        ttl_seconds=claims.ttl,
        key_id=key_id,
        digest=token_digest(data),
        list=StatusList.decompress(claims.status_list.bits, packed, size=size),
    )


def unverified_list(token: str, bits: int, size: int) -> StatusList:
    """Read the entries of a list that the caller signed itself; nothing is verified.

    Raises:
        AttestationError: STATUS_LIST_INVALID, the entries are not of this form.
    """
    try:
        payload = base64url.decode(token.split(".")[1].encode("ascii"))
        claims = msgspec.json.decode(payload, type=_Claims)
        packed = base64url.decode(claims.status_list.lst.encode("ascii"))
    except (ValueError, IndexError):
        raise invalid("not a list") from None
    return StatusList.decompress(bits, packed, size=size)


def check_status(value: int) -> None:
    """Hold the entry of an attestation against what it may be.

    Args:
        value: from :meth:`StatusList.get`.

    Raises:
        AttestationError: ATTESTATION_REVOKED; ATTESTATION_ON_HOLD; and, for a value that
            means nothing here, ATTESTATION_REVOKED too: only zero is good.
    """
    if value == VALID:
        return
    if value == ON_HOLD:
        raise AttestationError(
            "its issuer has put it on hold", code=AttestationFault.ATTESTATION_ON_HOLD
        )
    raise AttestationError("its issuer has revoked it", code=AttestationFault.ATTESTATION_REVOKED)


def invalid(message: str) -> AttestationError:
    """Make the error of this chapter."""
    return AttestationError(message, code=AttestationFault.STATUS_LIST_INVALID)
