"""What an import door takes and gives: the far end of a conversion.

A connector that can enter a code into its platform is an :class:`Importer`. It is
asked only after the attestation was verified and the scheme's condition holds; what
it enters is made from another region's level and says so. The platform may still
refuse, and where it holds a record of its own that is less than green it has to.

Values of a person live in these objects and nowhere else: their ``repr`` is masked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.sdk.reports import Deadline, OutcomeReport
    from gateway.codes.conversion import ImportRefusal
    from gateway.codes.documents import Document
    from gateway.codes.levels import Level
    from gateway.codes.unified import Declarations


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """A code to enter.

    Attributes:
        reference: the same whenever the same attestation is imported again; a
            platform that has seen it gives back what it gave then. 43 characters of
            base64url that say nothing about a person.
        document: whose code it is.
        name: as in the document.
        declarations: the holder's own answers; none is ABSENT.
        origin: six digits of the region whose level it rests on.
        level: that level.
        state: the local state to give.
        assessed_at: when the origin assessed it.
        negative_test_at: sample of the last negative test; None: the origin states none.
        valid_until: latest end, exclusive; the platform may end it sooner.
    """

    reference: str
    document: Document = field(repr=False)
    name: str = field(repr=False)
    declarations: Declarations = field(repr=False)
    origin: str
    level: Level = field(repr=False)
    state: str = field(repr=False)
    assessed_at: datetime = field(repr=False)
    negative_test_at: datetime | None = field(default=None, repr=False)
    valid_until: datetime = field(repr=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """A code that the platform entered.

    Attributes:
        qr_text: what the holder shows at the platform's own gates.
        valid_until: end as the platform states it, exclusive; None: as ordered.
    """

    qr_text: str = field(repr=False)
    valid_until: datetime | None = field(default=None, repr=False)


@runtime_checkable
class Importer(Protocol):
    """A connector whose platform takes codes of other regions. Safe to call concurrently."""

    async def import_code(
        self, order: ImportOrder, deadline: Deadline
    ) -> Imported | ImportRefusal | OutcomeReport:
        """Enter one code.

        Never raises for anything the platform did; what it raises is a defect.

        Args:
            order: what to enter.
            deadline: when the answer must be there.

        Returns:
            What was entered; the platform's own refusal (OWN_RECORD); or the outcome
            of a call that failed, which means that nothing was converted.
        """
        ...
