"""Where the rows of a catalogue come from: the interface, without any source.

A city's platform is one source (``adapters.sdk.catalogue``), the national issuer's
database another. A source is read page by page and can be taken up again at the
cursor of any page, so nothing has to hold a day's records in memory. It gives all
records of one person together and each person once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from gateway.catalogue.counts import CountKey
    from gateway.codes.documents import Document
    from gateway.codes.unified import UnifiedCode


@dataclass(frozen=True, slots=True, repr=False)
class SourceRecord:
    """One person who is not green.

    Attributes:
        document: who.
        code: the unified code, the most restrictive report first.
    """

    document: Document
    code: UnifiedCode


@dataclass(frozen=True, slots=True)
class SourcePage:
    """A part of what a source holds.

    Attributes:
        records: people who are not green.
        outcomes: how many people of the page have an outcome instead of a level.
        after: cursor of the next page; None: this is the last.
        taken_at: when the source read it, by its own clock.
    """

    records: tuple[SourceRecord, ...] = field(repr=False)
    outcomes: Mapping[CountKey, int] = field(repr=False)
    after: str | None
    taken_at: datetime


class CatalogueSource(Protocol):
    """Gives everybody who is not green, page by page."""

    def pages(self, after: str | None) -> AsyncIterator[SourcePage]:
        """Read on from a cursor; None: from the beginning.

        Raises:
            CatalogueSourceError: it does not answer, or not as agreed.
        """
        ...
