"""Path 1: what a region's platform asks other regions, through its own hub.

The first official way of recognition leaves every code as it is and shares data. The
platform of Beijing takes a :class:`~adapters.platforms.beijing.shared.SharedSource`;
this is the one that asks the federation. It is the platform's own client of the hub:
enrolled as the region itself, asking for ``PLATFORM``, with the region's own key
(``checkpoint.toml``)::

    urn = "urn:hutong:region:110000"
    region = "110000"
    purpose = "PLATFORM"
    key_file = "keys/authenticate.json"      # of the region's adapter

What it gives was verified for this region; no recognition policy is applied, because
the platform has a rule of its own. A failure is a failure and never a finding.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from adapters.platforms.beijing.shared import Finding, SharedSourceError
from gateway.attestation.disclosed import DisclosedAttestation
from gateway.cli.terminal import Exit, fail
from gateway.edge import Checkpoint
from gateway.errors import HutongError
from gateway.recognition import OutcomeEvidence, RefusedEvidence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from typing import Any

    from gateway.attestation import Attestation
    from gateway.codes import Document
    from gateway.edge import CheckpointSettings


class HubSource:
    """Asks regions through a hub, as one region's platform.

    Args:
        checkpoint: opened online, of purpose PLATFORM.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    async def ask(self, document: Document, origin: str) -> Finding:
        """Return what the origin attests now; see ``SharedSource``.

        Raises:
            SharedSourceError: there is no answer, or none that verifies.
        """
        try:
            evidence = await self._checkpoint.attested(document, origin=origin)
        except HutongError as error:
            raise SharedSourceError("the region could not be asked", code=error.code) from None
        if isinstance(evidence, RefusedEvidence):
            raise SharedSourceError("the region gave nothing that verifies", code=evidence.code)
        if isinstance(evidence, OutcomeEvidence):
            return Finding(origin=evidence.origin or origin, outcome=evidence.outcome)
        attestation = evidence.attestation
        if isinstance(attestation, DisclosedAttestation):
            raise SharedSourceError("the region told a part only", code="ADAPTER_MISBEHAVED")
        return _finding(attestation)


@contextlib.asynccontextmanager
async def sharing(settings: CheckpointSettings, **more: Any) -> AsyncIterator[HubSource]:
    """Open a source that follows the feed.

    Args:
        settings: of a region's platform.
        more: as ``Checkpoint.open`` takes.
    """
    async with Checkpoint.open(settings, **more) as checkpoint:
        await checkpoint.refresh_if_stale()
        yield HubSource(checkpoint)


def require_region(settings: CheckpointSettings, division: str) -> None:
    """Leave, unless the settings are those of this region's own platform."""
    if settings.purpose != "PLATFORM" or settings.region != division:
        fail(
            "the platform shares data under its own region's name",
            fix=f'write urn = "urn:hutong:region:{division}", region = "{division}" and '
            'purpose = "PLATFORM"',
            code=Exit.USAGE,
        )


def _finding(attestation: Attestation) -> Finding:
    """The most restrictive report's level, on the oldest basis of all of them."""
    code = attestation.code
    ends: list[datetime] = [attestation.expires_at]
    for report in code.reports:
        ends += [
            end for end in (report.valid_until, report.declaration_valid_until) if end is not None
        ]
    tests = [r.negative_test_at for r in code.reports if r.negative_test_at is not None]
    return Finding(
        origin=attestation.issuer[-6:],
        level=code.level,
        assessed_at=min(report.assessed_at for report in code.reports),
        valid_until=min(ends),
        attestation=attestation.token_id,
        scheme=code.scheme,
        negative_test_at=max(tests, default=None),
    )
