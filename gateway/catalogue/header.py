"""The header of a catalogue: one signed line that says what the other lines are.

A compact JWS of type ``hutong-catalogue+jwt`` by a *statement* key of the region that
made the file. Its claims are exactly:

==============  ======================================================================
``iss``         URN of the region that speaks
``aud``         URN of the one region that it speaks to
``iat``         when it was signed, whole seconds
``kind``        ``records`` or ``counts``
``day``         the day it stands for, in Asia/Shanghai, ``2020-06-01``
``taken_at``    when reading the source began: what changed later is not in it
``sequence``    1, 2, 3 … for this issuer, audience and kind
``previous``    digest of the header before it; absent where ``sequence`` is 1
``rows``        lines after this one
``bytes``       their length together
``digest``      base64url SHA-256 of those bytes
``correction``  where a person asks the issuer to correct a record
``identified``  whether each row carries a document, sealed to the audience
``threshold``   counts only: numbers below it are not stated
==============  ======================================================================

Pure: bytes, keys and a clock come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.catalogue.errors import CatalogueError, CatalogueFault
from gateway.errors import TrustError
from gateway.trust import jws, names
from gateway.trust.statements import check_key_times
from gateway.trust.times import LEEWAY, Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.attestation.keys import SigningKey, VerificationKey

CATALOGUE_TYPE: Final = "hutong-catalogue+jwt"

ZONE: Final = ZoneInfo("Asia/Shanghai")
"""A day is the day of the people it is about."""

MAX_HEADER_BYTES: Final = 4_096
"""The longest claims take about 1.5 KiB."""
MAX_ROWS: Final = 10_000_000
"""Ten times what the Yangtze delta exchanged in a day (local_codes §5: over a million)."""
MAX_BYTES: Final = 32 * 1024**3
"""That many identified rows."""
MAX_CORRECTION: Final = 200
"""What fits on the screen of a gate, beside a reason."""
MAX_AGE: Final = timedelta(hours=48)
"""Older than that, a daily file was held back on its way. Our choice."""

_Urn = Annotated[str, msgspec.Meta(pattern=r"^urn:hutong:region:[0-9]{6}\Z")]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
_Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]


class CatalogueKind(StrEnum):
    """What the lines of a file are."""

    RECORDS = "records"
    """One line for each person who is not green."""
    COUNTS = "counts"
    """Numbers of people, and nobody among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueHeader:
    """A header; whether it is verified, the function that gave it says.

    Attributes:
        issuer: URN of the region that speaks.
        audience: URN of the region it speaks to.
        made_at: when it was signed.
        kind: what the lines are.
        day: the day it stands for, in Asia/Shanghai.
        taken_at: when reading the source began.
        sequence: from 1, for this issuer, audience and kind.
        previous: digest of the header before it; None: it is the first.
        rows: lines after the header.
        size_bytes: their length together.
        digest: base64url SHA-256 of those bytes.
        correction: where a person asks the issuer to correct a record.
        identified: whether rows carry sealed documents.
        threshold: counts below it are not stated; zero for records.
    """

    issuer: str
    audience: str
    made_at: datetime
    kind: CatalogueKind
    day: date
    taken_at: datetime
    sequence: int
    previous: str | None
    rows: int
    size_bytes: int
    digest: str
    correction: str
    identified: bool = False
    threshold: int = 0


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header and the token that carries it.

    Attributes:
        header: what it says.
        token: the compact JWS; the first line without its end.
    """

    header: CatalogueHeader
    token: str

    @property
    def digest(self) -> str:
        """What the header after it names as ``previous``."""
        return jws.digest(self.token)


class _Claims(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    iss: _Urn
    aud: _Urn
    iat: Seconds
    kind: CatalogueKind
    day: _Day
    taken_at: Seconds
    sequence: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    previous: _Digest | msgspec.UnsetType = msgspec.UNSET
    rows: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROWS)]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_BYTES)]
    digest: _Digest
    correction: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CORRECTION)]
    identified: bool = False
    threshold: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


def shanghai_day(moment: datetime) -> date:
    """Returns the day of a moment in Asia/Shanghai."""
    return moment.astimezone(ZONE).date()


def sign_header(header: CatalogueHeader, key: SigningKey) -> SignedHeader:
    """Signs a header.

    Args:
        header: what it says.
        key: the issuer's statement key.

    Raises:
        CatalogueError: the header says what no reader would take.
    """
    claims = _Claims(
        iss=header.issuer,
        aud=header.audience,
        iat=to_seconds(header.made_at),
        kind=header.kind,
        day=header.day.isoformat(),
        taken_at=to_seconds(header.taken_at),
        sequence=header.sequence,
        previous=msgspec.UNSET if header.previous is None else header.previous,
        rows=header.rows,
        bytes=header.size_bytes,
        digest=header.digest,
        correction=header.correction,
        identified=header.identified,
        threshold=header.threshold,
    )
    members: dict[str, Any] = msgspec.to_builtins(claims)
    read_header(members)
    return SignedHeader(header, jws.sign(members, key, typ=CATALOGUE_TYPE))


def verify_header(
    line: bytes,
    key_lookup: Callable[[str, str], VerificationKey],
    *,
    audience: str | None,
    now: datetime,
    kind: CatalogueKind | None = None,
    max_age: timedelta = MAX_AGE,
) -> SignedHeader:
    """Verifies the first line of a file.

    Args:
        line: without its end.
        key_lookup: gives the statement key of (issuer, key id); may raise a
            TrustError, which passes through.
        audience: URN of the region that reads; None: any, to look at a file only.
        now: the moment of reading.
        kind: the only kind to accept; None: either.
        max_age: how long ago it may have been signed.

    Raises:
        CatalogueError: it does not hold; the code says why.
        TrustError: the key is not known, or its authority is suspended.
    """
    try:
        token = line.decode("ascii")
        parsed = jws.take_apart(token, typ=CATALOGUE_TYPE, max_bytes=MAX_HEADER_BYTES)
        header = read_header(parsed.claims())
    except (jws.MalformedError, UnicodeDecodeError) as error:
        why = "" if isinstance(error, UnicodeDecodeError) else f": {error}"
        raise CatalogueError(f"the first line is no header of a catalogue{why}") from None
    key = key_lookup(header.issuer, parsed.key_id)
    try:
        parsed.check_signature(key)
        check_key_times(key, issued_at=header.made_at, accepted_at=now)
    except (jws.SignatureError, TrustError) as error:
        raise CatalogueError(
            f"the header is not signed by its issuer: {error}",
            code=CatalogueFault.CATALOGUE_SIGNATURE,
        ) from None
    if key.issuer != header.issuer:
        raise CatalogueError("the key is another region's", code=CatalogueFault.CATALOGUE_SIGNATURE)
    _check_place(header, audience, kind)
    if header.made_at > now + LEEWAY:
        raise CatalogueError(
            "it is dated ahead of this machine's clock",
            code=CatalogueFault.CATALOGUE_FROM_FUTURE,
        )
    if header.made_at < now - max_age:
        hours = int(max_age.total_seconds() // 3600)
        raise CatalogueError(
            f"it was made more than {hours} hours ago", code=CatalogueFault.CATALOGUE_TOO_OLD
        )
    return SignedHeader(header, token)


def _check_place(header: CatalogueHeader, audience: str | None, kind: CatalogueKind | None) -> None:
    if audience is not None and header.audience != audience:
        raise CatalogueError(
            "it was made for another region", code=CatalogueFault.CATALOGUE_AUDIENCE
        )
    if kind is not None and header.kind is not kind:
        raise CatalogueError(
            f"it is a file of {header.kind}, not of {kind}", code=CatalogueFault.CATALOGUE_KIND
        )


def read_header(members: dict[str, Any]) -> CatalogueHeader:
    """Reads claims, verified or not.

    Raises:
        CatalogueError: one is missing, unknown, out of bounds, or contradicts another.
    """
    try:
        claims = msgspec.convert(members, _Claims)
        day = date.fromisoformat(claims.day)
    except (msgspec.ValidationError, ValueError):
        raise CatalogueError("a claim of the header is missing, unknown or out of bounds") from None
    header = CatalogueHeader(
        issuer=claims.iss,
        audience=claims.aud,
        made_at=from_seconds(claims.iat),
        kind=claims.kind,
        day=day,
        taken_at=from_seconds(claims.taken_at),
        sequence=claims.sequence,
        previous=None if claims.previous is msgspec.UNSET else claims.previous,
        rows=claims.rows,
        size_bytes=claims.bytes,
        digest=claims.digest,
        correction=claims.correction,
        identified=claims.identified,
        threshold=claims.threshold,
    )
    _check_sense(header)
    return header


def _check_sense(header: CatalogueHeader) -> None:
    """Refuses claims that contradict one another."""
    is_counts = header.kind is CatalogueKind.COUNTS
    for holds, what in (
        (names.region_of(header.issuer) != names.region_of(header.audience), "aud is iss"),
        ((header.sequence == 1) == (header.previous is None), "previous and sequence"),
        (header.taken_at <= header.made_at + LEEWAY, "taken_at lies after iat"),
        (header.day == shanghai_day(header.taken_at), "day is not the day of taken_at"),
        (header.correction.strip() and header.correction.isprintable(), "correction"),
        (is_counts == (header.threshold > 0), "threshold"),
        (not (is_counts and header.identified), "counts identify nobody"),
    ):
        if not holds:
            raise CatalogueError(f"the header contradicts itself: {what}")
