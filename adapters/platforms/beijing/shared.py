"""What Beijing asks of other regions, and what it takes for an answer.

The first of the three national ways of recognition leaves every code as it is and
shares data: Beijing's platform asks where a traveller comes from and feeds the answer
into its own rule. Who carries the question stands outside; a platform is given a
:class:`SharedSource` and knows neither keys nor hubs::

    class HubSource:                                  # elsewhere; not in this room
        async def ask(self, document, origin):
            ...                                       # ask the hub, verify what comes
            return Finding(origin="330100", level=Level.GREEN, assessed_at=..., ...)

    platform.shared = HubSource(...)

A source verifies before it answers. Whatever keeps it from a sound answer is a
:class:`SharedSourceError`, which the platform takes as "not confirmed"; so it takes
every outcome, and a finding that names another origin, tells no time or is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.codes.divisions import parse_division
from gateway.errors import PeerError

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.codes.documents import Document
    from gateway.codes.levels import Level, Outcome


class SharedSourceError(PeerError):
    """The source cannot answer; what it says names no person."""

    default_code = "SHARED_SOURCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What another region states of one person, verified, in nobody's own words.

    Attributes:
        origin: six digits: who stated it. The region that was asked about, a region
            that contains it, or ``100000`` where the national code answered for it.
        level: the level; None: it is an outcome.
        outcome: the outcome; None: it is a level. Exactly one of the two.
        assessed_at: when the origin assessed the level, aware; None with an outcome.
        valid_until: end of the code or of its attestation, whichever is earlier,
            exclusive; None: neither states one.
        attestation: identifier (``jti``) of what was verified; empty: an outcome came
            without one.
        scheme: the dated scheme that the origin applied, where it says.
        negative_test_at: last negative test, where the origin states one.

    Raises:
        DivisionError: the origin is no division.
        ValueError: it is a level and an outcome, or neither.
    """

    origin: str
    level: Level | None = field(default=None, repr=False)
    outcome: Outcome | None = field(default=None, repr=False)
    assessed_at: datetime | None = field(default=None, repr=False)
    valid_until: datetime | None = field(default=None, repr=False)
    attestation: str = ""
    scheme: str = ""
    negative_test_at: datetime | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parse_division(self.origin)
        if (self.level is None) == (self.outcome is None):
            raise ValueError("a finding is a level or an outcome, exactly one of the two")


class SharedSource(Protocol):
    """Asks a region about one person. Safe to call concurrently."""

    async def ask(self, document: Document, origin: str) -> Finding:
        """Return what the origin states now.

        Args:
            document: the traveller's.
            origin: six-digit division the traveller comes from.

        Raises:
            SharedSourceError: there is no answer, or none that could be verified.
        """
        ...
