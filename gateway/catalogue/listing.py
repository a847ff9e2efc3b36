"""Whether a pseudonym is listed, as a checkpoint asks: one indexed read of a SQLite file.

Reads only, and needs no network. An import into the same file by another process is
seen whole or not at all. A listing never makes anything better: all that follows from
one is that a carried green is older than what its own issuer said since.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from gateway.catalogue.errors import CatalogueStoreError
from gateway.trust.times import from_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from gateway.attestation import Attestation

_QUERY: Final = """
SELECT l.*, f.taken_at AS taken_at, f.day AS day, f.correction AS correction
FROM catalogue_listings AS l JOIN catalogue_files AS f ON f.id = l.last_file
WHERE l.issuer = ? AND l.sub = ? AND l.closed_by IS NULL
"""

BUSY_SECONDS: Final = 1.0
"""A reader of a write-ahead log waits only while the log is taken up; never long."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Listing:
    """What an issuer says of a person who is not green.

    Attributes:
        issuer: URN.
        audience: URN.
        sub: the pseudonym.
        level: the level.
        scheme: the dated scheme.
        state: the local state, raw.
        reason: the class of its reason.
        assessed_at: when the platform assessed it.
        issued_by: six digits of the division that issued the record.
        area: six digits the level rests on; None: not stated.
        sealed: the sealed document of an identified row.
        taken_at: when the issuer read its platform for the newest file that says so.
        day: that file's day.
        correction: where a person asks the issuer to correct the record.
    """

    issuer: str
    audience: str
    sub: str
    level: str
    scheme: str
    state: str
    reason: str
    assessed_at: datetime
    issued_by: str
    area: str | None
    sealed: str | None
    taken_at: datetime
    day: date
    correction: str

    def __repr__(self) -> str:
        """Without what it says of a person."""
        return f"Listing(issuer={self.issuer!r}, day={self.day.isoformat()!r}, …)"

    @classmethod
    def from_members(cls, row: Mapping[str, Any] | sqlite3.Row | Any) -> Self:
        """Read a row of the listings with its file's moment, day and contact."""
        return cls(
            issuer=row["issuer"],
            audience=row["audience"],
            sub=row["sub"],
            level=row["level"],
            scheme=row["scheme"],
            state=row["state"],
            reason=row["reason"],
            assessed_at=from_seconds(row["assessed_at"]),
            issued_by=row["issued_by"],
            area=row["area"],
            sealed=row["sealed"],
            taken_at=from_seconds(row["taken_at"]),
            day=date.fromisoformat(row["day"]),
            correction=row["correction"],
        )

    def contradicts(self, attestation: Attestation) -> bool:
        """Whether the issuer said this after the attestation, or of a later assessment.

        Either is enough: the record was assessed after any report of the attestation,
        or the file was read after the attestation was issued.
        """
        newest = max(report.assessed_at for report in attestation.code.reports)
        return self.assessed_at > newest or self.taken_at > attestation.issued_at


class ListingFile:
    """The listings of one SQLite store, opened anew for each question.

    That takes half a millisecond together, and nothing is held that could outlive a
    store that was put in place of another.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.resolve().as_uri()}?mode=ro"

    def listed(self, issuer: str, sub: str) -> Listing | None:
        """The open listing of a pseudonym; None: the issuer does not list it.

        Raises:
            CatalogueStoreError: the file cannot be read; nothing is known then.
        """
        try:
            connection = sqlite3.connect(self._uri, uri=True, timeout=BUSY_SECONDS)
            try:
                connection.row_factory = sqlite3.Row
                row = connection.execute(_QUERY, (issuer, sub)).fetchone()
                return None if row is None else Listing.from_members(row)
            finally:
                connection.close()
        except (sqlite3.Error, ValueError, TypeError, IndexError) as error:
            raise CatalogueStoreError(
                f"the listings cannot be read ({type(error).__name__})"
            ) from None

    def contradicts(self, attestation: Attestation) -> bool:
        """Whether the issuer has since listed the subject of an attestation.

        Raises:
            CatalogueStoreError: the file cannot be read; nothing is known then.
        """
        listing = self.listed(attestation.issuer, attestation.subject)
        return listing is not None and listing.contradicts(attestation)
