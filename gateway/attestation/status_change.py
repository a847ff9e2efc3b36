"""Change statements: the newest word of an issuer on one of its status lists.

A list of a city is kilobytes to megabytes, and a person who turns red changes one entry.
So the list is published once (its *base*), and what has changed since then travels as a
statement of type ``hutong-status+jwt`` (docs/spec/status.md)::

    {"iss": "urn:hutong:region:330100", "uri": "urn:hutong:status:330100:7Q",
     "iat": 1583035200, "seq": 3,
     "base": {"digest": "…", "size": 131072, "bits": 1},
     "changes": {"1": [17, 4021, 90210]}}

``changes`` is *cumulative*: everything that differs from the base, by value, each value's
entries in rising order. Whoever holds the base and the newest statement holds the list;
what came between need not have been seen. ``seq`` goes up with every statement on a list,
also when the base is a new one, and a reader never takes a lower one.

A reader that holds a statement but not its base still knows what was revoked since then,
and nothing about the other entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from gateway.attestation.status_list import (
    MAX_LIST_BYTES,
    Bits,
    SignedStatusList,
    StatusList,
    check_status_uri,
    invalid,
    status_issuer,
)
from gateway.attestation.status_tokens import Seconds, read_signed, sign_claims, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.attestation.keys import SigningKey
    from gateway.attestation.verifying import KeySource

CHANGE_TYPE: Final = "hutong-status+jwt"

MAX_CHANGE_BYTES: Final = 262_144
"""As ``hutong.v1.WatchChangesResponse.change``."""
REBASE_BYTES: Final = 32_768
"""From here on an issuer makes a new base: a statement goes to every edge, and one of
this length is already longer than the list of a middling city."""

_Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_LIST_BYTES * 8)]


@dataclass(frozen=True, slots=True)
class StatusBase:
    """Which list the changes are counted from.

    Attributes:
        digest: of the list's token, base64url, 43 characters.
        size: its entries.
        bits: of an entry.
    """

    digest: str
    size: int
    bits: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change statement that verified.

    Attributes:
        issuer: URN of the region that signed.
        uri: of the list.
        issued_at: when it was signed, UTC.
        sequence: goes up with every statement on this list.
        base: what the changes are counted from.
        changes: entries by their new value; each in rising order.
        key_id: thumbprint of the key.
        token: the statement as signed.
    """

    issuer: str
    uri: str
    issued_at: datetime
    sequence: int
    base: StatusBase
    changes: Mapping[int, tuple[int, ...]] = field(repr=False)
    key_id: str
    token: str = field(repr=False)

    def value(self, index: int) -> int | None:
        """Return what the statement says of an entry; None: as in the base."""
        for value, entries in self.changes.items():
            if index in entries:
                return value
        return None


class _Base(msgspec.Struct, forbid_unknown_fields=True):
    digest: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIST_BYTES * 8)]
    bits: Bits


class _Claims(msgspec.Struct, forbid_unknown_fields=True):
    iss: str
    uri: str
    iat: Seconds
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    base: _Base
    changes: dict[str, Annotated[list[_Index], msgspec.Meta(min_length=1)]]


def sign_status_change(
    key: SigningKey,
    *,
    base: SignedStatusList | StatusBase,
    uri: str,
    sequence: int,
    changes: Mapping[int, Iterable[int]],
    issued_at: datetime,
) -> str:
    """Sign what has changed since the base; return the compact token.

    Args:
        key: an attestation key of the region that the URI names.
        base: the list as published.
        uri: of the list.
        sequence: above that of every earlier statement on this list.
        changes: entries by their new value, in any order.
        issued_at: now; fractions are dropped.

    Raises:
        AttestationError: STATUS_LIST_INVALID, a reader would refuse it; also when it is
            longer than :data:`MAX_CHANGE_BYTES`: a new base is due.
    """
    held = base if isinstance(base, StatusBase) else base_of(base)
    claims = _Claims(
        status_issuer(uri),
        uri,
        whole_seconds(issued_at),
        sequence,
        _Base(held.digest, held.size, held.bits),  # type: ignore[arg-type]  # checked below
        {str(value): ordered for value in sorted(changes) if (ordered := sorted(changes[value]))},
    )
    _read_changes(claims)
    token = sign_claims(claims, key, CHANGE_TYPE)
    if len(token) > MAX_CHANGE_BYTES:
        raise invalid("too much has changed for one statement: make a new base")
    return token


def verify_status_change(
    token: str, keys: KeySource, *, now: datetime, uri: str | None = None
) -> StatusChange:
    """Verify a change statement.

    Args:
        token: the compact token.
        keys: trust; asked for the key of the issuer.
        now: the reader's clock, aware.
        uri: the list that it must be about; None: any, which stands in the result.

    Raises:
        AttestationError: STATUS_LIST_INVALID: malformed, about another list or another's,
            signed ahead of now, or an entry that the base does not have, stands twice or
            out of order; KEY_NOT_VALID_NOW, KEY_TAINTED, KEY_REVOKED: of its key.
        TrustError: trust knows no such key, or does not believe the issuer.
    """
    claims, key_id, data = read_signed(
        token, _Claims, keys, typ=CHANGE_TYPE, max_bytes=MAX_CHANGE_BYTES, now=now
    )
    check_status_uri(claims.uri, claims.iss)
    if uri is not None and claims.uri != uri:
        raise invalid("about another list than is wanted")
    return StatusChange(
        issuer=claims.iss,
        uri=claims.uri,
        issued_at=datetime.fromtimestamp(claims.iat, UTC),
        sequence=claims.seq,
        base=StatusBase(claims.base.digest, claims.base.size, claims.base.bits),
        changes=MappingProxyType(_read_changes(claims)),
        key_id=key_id,
        token=data.decode("ascii"),
    )


def base_of(signed: SignedStatusList) -> StatusBase:
    """Return what a statement says of its base, of a list that verified."""
    return StatusBase(signed.digest, signed.list.size, signed.list.bits)


def apply_change(signed: SignedStatusList, change: StatusChange) -> StatusList:
    """Return the list as it stands: the base with the changes.

    Args:
        signed: the base, verified; it stays as it is.
        change: the newest statement, verified.

    Raises:
        AttestationError: STATUS_LIST_INVALID, the statement is not about this base.
    """
    if (signed.uri, signed.issuer) != (change.uri, change.issuer) or base_of(signed) != change.base:
        raise invalid("the statement counts from another list")
    entries = signed.list.copy()
    for value, indices in change.changes.items():
        for index in indices:
            entries.set(index, value)
    return entries


def _read_changes(claims: _Claims) -> dict[int, tuple[int, ...]]:
    """Check the entries of a statement and return them by value."""
    base, found = claims.base, {}
    if base.bits not in (1, 2, 4, 8):
        raise invalid("an entry has 1, 2, 4 or 8 bits")
    seen: set[int] = set()
    for text, entries in claims.changes.items():
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else -1  # noqa: PLR2004 - 255 at most
        if not 0 <= value < 1 << base.bits or str(value) != text:
            raise invalid("a value does not fit into an entry of the base")
        if not entries or entries[-1] >= base.size:
            raise invalid("the base has no such entry")
        if any(one >= other for one, other in pairwise(entries)):
            raise invalid("the entries of a value are not in rising order")
        seen.update(entries)
        found[value] = tuple(entries)
    if len(seen) != sum(map(len, found.values())):
        raise invalid("an entry has two values")
    return found
