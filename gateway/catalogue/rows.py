"""The rows of a catalogue: one line of JSON for each person who is not green.

Each line is the canonical JSON (RFC 8785) of one object and ends in a line feed; a
reader takes no other writing of it, so a signed line has one reading::

    {"assessed_at":1590969600,"basis":["CONTACT"],"issued_by":"330100","level":"RED",
     "reason":"CONTACT","scheme":"hz-jkm@2020-02","source_at":1590969600,"state":"红码",
     "sub":"…43 characters…"}

``sub`` is the pseudonym that an attestation of the same issuer for the same audience
carries. ``area`` is there where the source says it; ``sealed`` where the file is
identified. Times are whole seconds since 1970.

Parsing goes by shape. Whether the issuer may say it (its divisions, its schemes) and
whether the times make sense is for :func:`judge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from gateway.codes.levels import Basis, Level
from gateway.trust import names
from gateway.trust.times import LEEWAY, Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

MAX_ROW_BYTES: Final = 8_192
"""The longest row, with a document sealed by HPKE, takes about 2.4 KiB."""

MAX_SEALED: Final = 4_096
"""Characters of a sealed document: HPKE's take about 1 650."""

LISTED_LEVELS: Final = frozenset({Level.YELLOW, Level.RED, Level.RESTRICTED})
"""A catalogue makes nobody green."""


class ReasonClass(StrEnum):
    """Why a person is listed, in one word: what a traveller may be told at a gate."""

    TEST = "TEST"
    CONTACT = "CONTACT"
    AREA = "AREA"
    """A stay in an area: the bases SPACE and TIME."""
    DECLARATION = "DECLARATION"
    ADMINISTRATIVE = "ADMINISTRATIVE"
    NOT_STATED = "NOT_STATED"
    """The source does not say; said aloud, so that it can be asked about."""


_CLASSES: Final = (
    # What was measured comes before what was inferred, and that before what was said
    # or ordered. Our choice.
    (Basis.TEST, ReasonClass.TEST),
    (Basis.CONTACT, ReasonClass.CONTACT),
    (Basis.SPACE, ReasonClass.AREA),
    (Basis.TIME, ReasonClass.AREA),
    (Basis.DECLARATION, ReasonClass.DECLARATION),
    (Basis.ADMINISTRATIVE, ReasonClass.ADMINISTRATIVE),
)


def reason_class(basis: Collection[Basis]) -> ReasonClass:
    """Returns the class that the bases of a level belong to."""
    return next((named for known, named in _CLASSES if known in basis), ReasonClass.NOT_STATED)


class RowOutcome(StrEnum):
    """What became of one row."""

    TAKEN = "TAKEN"
    """Nobody was listed under this pseudonym."""
    SUPERSEDED = "SUPERSEDED"
    """It takes the place of an older record, which is kept as history."""
    UNCHANGED = "UNCHANGED"
    """It says what the record held says."""
    DUPLICATE = "DUPLICATE"
    """The same file has a row of this pseudonym already; the first one stands."""
    TOO_OLD = "TOO_OLD"
    """It was assessed before the record held, which stands."""
    FROM_FUTURE = "FROM_FUTURE"
    """It was assessed or recorded after the file was made."""
    REFUSED_LEVEL = "REFUSED_LEVEL"
    """GREEN, or no level at all."""
    REFUSED_SCHEME = "REFUSED_SCHEME"
    """Not a dated scheme that the issuer has published."""
    REFUSED_DIVISION = "REFUSED_DIVISION"
    """Issued by a division that is not the issuer's."""
    REFUSED_DOCUMENT = "REFUSED_DOCUMENT"
    """A sealed document where none belongs, or none where one does."""
    MALFORMED = "MALFORMED"
    """Not a row of this profile."""


ACCEPTED: Final = frozenset(
    {RowOutcome.TAKEN, RowOutcome.SUPERSEDED, RowOutcome.UNCHANGED, RowOutcome.DUPLICATE}
)
"""Outcomes that leave no question open."""

_Text64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Division = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]


class _Row(
    msgspec.Struct,
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
    frozen=True,
    gc=False,
):
    assessed_at: Seconds
    basis: Annotated[tuple[Basis, ...], msgspec.Meta(max_length=len(Basis))]
    issued_by: _Division
    level: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    reason: ReasonClass
    scheme: Annotated[
        str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{1,31}@[0-9a-z][0-9a-z.-]{0,31}\Z")
    ]
    source_at: Seconds
    state: _Text64
    sub: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
    area: _Division | msgspec.UnsetType = msgspec.UNSET
    sealed: (
        Annotated[
            str, msgspec.Meta(min_length=1, max_length=MAX_SEALED, pattern=r"^[A-Za-z0-9_.-]+\Z")
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CatalogueRow:
    """One record of a person who is not green.

    Attributes:
        sub: the person's pseudonym towards the audience.
        level: as written; :func:`judge` says whether it may be listed.
        scheme: the dated scheme.
        state: the local state, raw.
        basis: what the level rests on.
        reason: the class of its reason.
        assessed_at: when the platform assessed it.
        source_at: when the platform last updated the record.
        issued_by: six digits of the division that issued the record.
        area: six digits of the division the level rests on; None: not stated.
        sealed: type and number of the document, sealed to the audience; None: a
            pseudonymous row.
    """

    sub: str
    level: str
    scheme: str
    state: str
    basis: tuple[Basis, ...]
    reason: ReasonClass
    assessed_at: datetime
    source_at: datetime
    issued_by: str
    area: str | None = None
    sealed: str | None = None

    def __repr__(self) -> str:
        """Without what it says of a person."""
        return f"CatalogueRow(scheme={self.scheme!r}, …)"


class RowError(ValueError):
    """A line is not a row of this profile; the message holds nothing of it."""


_decoder: Final = msgspec.json.Decoder(_Row)
_encoder: Final = msgspec.json.Encoder(order="sorted")


def encode_row(row: CatalogueRow) -> bytes:
    """Returns the line of a row, with its end."""
    return (
        _encoder.encode(
            _Row(
                assessed_at=to_seconds(row.assessed_at),
                basis=tuple(sorted(row.basis)),
                issued_by=row.issued_by,
                level=row.level,
                reason=row.reason,
                scheme=row.scheme,
                source_at=to_seconds(row.source_at),
                state=row.state,
                sub=row.sub,
                area=msgspec.UNSET if row.area is None else row.area,
                sealed=msgspec.UNSET if row.sealed is None else row.sealed,
            )
        )
        + b"\n"
    )


def parse_row(line: bytes) -> CatalogueRow:
    """Reads a line without its end.

    Raises:
        RowError: a member is missing, unknown, doubled or out of bounds, the writing
            is not canonical, or it is no JSON at all.
    """
    try:
        read = _decoder.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):  # no UTF-8 is a ValueError
        raise RowError("a member is missing, unknown or out of bounds") from None
    if list(read.basis) != sorted(set(read.basis)) or not read.state.isprintable():
        raise RowError("the bases are not in order, or the state is no text")
    if _encoder.encode(read) != line:
        raise RowError("not the canonical writing")
    return CatalogueRow(
        sub=read.sub,
        level=read.level,
        scheme=read.scheme,
        state=read.state,
        basis=read.basis,
        reason=read.reason,
        assessed_at=from_seconds(read.assessed_at),
        source_at=from_seconds(read.source_at),
        issued_by=read.issued_by,
        area=None if read.area is msgspec.UNSET else read.area,
        sealed=None if read.sealed is msgspec.UNSET else read.sealed,
    )


@dataclass(frozen=True, slots=True)
class IssuerScope:
    """What an issuer may speak of.

    Attributes:
        prefixes: its divisions.
        schemes: its dated schemes, as it published them.
    """

    prefixes: tuple[str, ...]
    schemes: frozenset[str]


def judge(
    row: CatalogueRow, scope: IssuerScope, *, made_at: datetime, identified: bool
) -> RowOutcome | None:
    """Says why a row cannot be taken, whatever is held; None: nothing speaks against it.

    Args:
        row: as read.
        scope: of the issuer.
        made_at: when the file was made.
        identified: whether the header promises documents.
    """
    if row.level not in LISTED_LEVELS:
        return RowOutcome.REFUSED_LEVEL
    if row.scheme not in scope.schemes:
        return RowOutcome.REFUSED_SCHEME
    if not names.covers(scope.prefixes, row.issued_by):
        return RowOutcome.REFUSED_DIVISION
    if (row.sealed is not None) != identified:
        return RowOutcome.REFUSED_DOCUMENT
    if max(row.assessed_at, row.source_at) > made_at + LEEWAY:
        return RowOutcome.FROM_FUTURE
    return None
