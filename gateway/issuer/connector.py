"""The issuer as an adapter's source: its own database instead of a platform's wire.

A :class:`~adapters.sdk.reports.Connector` under the scheme ``cn-native``. It states
what the database holds and leaves the clocks to the translation, which is the same for
every region: past the end of the code it says CODE_EXPIRED, past the end of the
declaration DECLARATION_EXPIRED, and nothing older than the scheme allows is a level.

A document of which nothing was ever declared is NOT_APPLIED; a code of our shape that
was never made, or is long over, is NOT_FOUND; another text is WRONG_REGION. A database
that fails is SOURCE_BUSY, one that takes too long SOURCE_TIMED_OUT.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.reports import LocalReport, OutcomeReport, Reports
from gateway.codes import Document, Level, Outcome
from gateway.database import StoreError
from gateway.issuer.qr import is_ours

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.reports import Connector, Deadline, Fetched, Presentation
    from gateway.issuer.core import Issuer
    from gateway.issuer.qr import ShownCodes
    from gateway.issuer.values import Code

AUTHORITY: Final = "100000"
"""The national issuer; see ``gateway.codes.divisions``."""

STATES: Final = {Level.GREEN: "绿码", Level.YELLOW: "黄码", Level.RED: "红码"}
"""The local words of ``cn-native``; the issuer's rule knows no other level."""

_RETRY_SECONDS: Final = 30.0
"""A database comes back within a restart of it; a choice."""

_log = structlog.get_logger(__name__)


class IssuerConnector:
    """Reads the issuer's database; see the module.

    Args:
        issuer: the heart; closed by whoever opened it.
        codes: shown codes.
    """

    def __init__(self, issuer: Issuer, codes: ShownCodes) -> None:
        self._issuer = issuer
        self._codes = codes

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Say what is held about one traveller."""
        try:
            async with asyncio.timeout(deadline.remaining_seconds()):
                if isinstance(presentation, Document):
                    return await self._of_document(presentation)
                return await self._of_code(presentation.text)
        except TimeoutError:
            return OutcomeReport(Outcome.SOURCE_TIMED_OUT)
        except StoreError as error:
            _log.error("source_failed", code=error.code)
            return OutcomeReport(Outcome.SOURCE_BUSY, retry_after_seconds=_RETRY_SECONDS)

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _of_document(self, document: Document) -> Fetched:
        code = await self._issuer.code(document)
        if code is None:
            return OutcomeReport(Outcome.NOT_APPLIED)
        return Reports((_report(code, None),))

    async def _of_code(self, text: str) -> Fetched:
        if not is_ours(text):
            return OutcomeReport(Outcome.WRONG_REGION)
        shown = await self._codes.find(text)
        if shown is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        code = await self._issuer.code_of(shown.person_id)
        if code is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        holder = await self._issuer.people.identity(shown.person_id)
        return Reports((_report(code, shown.valid_until),), subject=holder.document)


def _report(code: Code, valid_until: datetime | None) -> LocalReport:
    return LocalReport(
        state=STATES[code.level],
        issued_by=AUTHORITY,
        assessed_at=code.assessed_at,
        source_at=code.assessed_at,
        valid_until=valid_until,
        declared_at=code.declared_at,
        declaration_valid_until=code.declaration_valid_until,
        basis=code.basis,
        rule=code.rule,
        area=code.area,
        release=code.release,
    )


def served_by_the_issuer(context: ConnectorContext) -> Connector:
    """Stand in the scheme where others name how their platform is reached.

    Raises:
        AdapterConfigError: always; the issuer serves this scheme in its own process.
    """
    del context
    raise AdapterConfigError(
        "the national issuer serves this scheme itself", fix="hutong issuer run"
    )
