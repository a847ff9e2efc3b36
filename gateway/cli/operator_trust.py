"""An operator's calls on living trust: withdraw, distrust, audit, standing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hutong.v1 import distrust_pb2
from hutong.v1 import registry_service_pb2 as pb

from gateway.cli.operator_client import (
    CALL_SECONDS,
    PAGE_SIZE,
    MemberView,
    OperatorClient,
    call,
    member_view,
)
from gateway.wire.key_change import (
    HubReaders,
    RehearsalView,
    Standing,
    hub_readers,
    rehearsal_view,
    standing_view,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What a distrust would touch.

    Attributes:
        attestations: live ones that the issuer counts; None: it could not be asked.
        edges_connected: edges that follow the feed now.
        callers: URNs of who asked the issuer's divisions within a day.
        published: schemes, policies and status lists that would no longer hold.
        uncounted: who could not be asked for the count: the issuer's adapter, or the hub
            at which the way to it broke off.
        elsewhere: readers of the other hubs that it counts for.
        unknown: hubs that could not be asked for theirs.
    """

    attestations: int | None
    edges_connected: int
    callers: tuple[str, ...]
    published: tuple[str, ...]
    uncounted: str = ""
    elsewhere: tuple[HubReaders, ...] = ()
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The members of one JSON object."""
        return {
            "attestations": self.attestations,
            "edges_connected": self.edges_connected,
            "callers": list(self.callers),
            "published": list(self.published),
            "uncounted": self.uncounted,
            "elsewhere": [
                {"hub": item.hub, "edges_connected": item.connected, "callers": item.callers}
                for item in self.elsewhere
            ],
            "unknown": list(self.unknown),
        }


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit.

    Attributes:
        number: only goes up.
        at: when.
        actor: URN of who did it; empty: the hub itself.
        action: what, lower-kebab.
        subject: to whom or what.
        reason: as the actor said.
        sequence: feed entry it led to; zero: none.
    """

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    sequence: int

    def to_json(self) -> dict[str, Any]:
        """The members of one JSON object."""
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "reason": self.reason,
            "sequence": self.sequence,
        }


class TrustClient(OperatorClient):
    """Speaks to one hub as one operator. Every method raises HutongError on a refusal."""

    async def withdraw(self, urn: str, reason: str) -> tuple[MemberView, int]:
        """End a member for good; return it and the feed entry, zero for none."""
        changed = await call(
            self._registry.Withdraw(
                pb.WithdrawRequest(urn=urn, reason=reason),
                metadata=await self._metadata(),
                timeout=CALL_SECONDS,
            )
        )
        return member_view(changed.member), changed.sequence

    async def preview(self, rule: distrust_pb2.DistrustRule) -> PreviewView:
        """Ask what a distrust would touch."""
        seen = await call(
            self._registry.PreviewDistrust(
                pb.PreviewDistrustRequest(rule=rule),
                metadata=await self._metadata(),
                timeout=CALL_SECONDS,
            )
        )
        return PreviewView(
            seen.attestations if seen.counted else None,
            seen.edges_connected,
            tuple(seen.callers),
            tuple(seen.published),
            seen.uncounted,
            tuple(map(hub_readers, seen.elsewhere)),
            tuple(seen.unknown),
        )

    async def distrust(self, rule: distrust_pb2.DistrustRule, reason: str) -> tuple[str, int]:
        """Publish a distrust; return its id and the feed entry."""
        done = await call(
            self._registry.Distrust(
                pb.DistrustRequest(rule=rule, reason=reason),
                metadata=await self._metadata(),
                timeout=CALL_SECONDS,
            )
        )
        return done.distrust, done.sequence

    async def undo(self, distrust: str, reason: str) -> int:
        """Take a distrust back; return the feed entry."""
        done = await call(
            self._registry.UndoDistrust(
                pb.UndoDistrustRequest(distrust=distrust, reason=reason),
                metadata=await self._metadata(),
                timeout=CALL_SECONDS,
            )
        )
        return int(done.sequence)

    async def standing(self, urn: str = "") -> Standing:
        """Ask how a member stands; empty: this operator."""
        return standing_view(
            await call(
                self._registry.GetStanding(
                    pb.GetStandingRequest(urn=urn),
                    metadata=await self._metadata(),
                    timeout=CALL_SECONDS,
                )
            )
        )

    async def rehearsal(self, rehearsal: str) -> RehearsalView:
        """Ask what the edges said so far of a rehearsal."""
        return rehearsal_view(
            await call(
                self._registry.GetRehearsal(
                    pb.GetRehearsalRequest(rehearsal=rehearsal),
                    metadata=await self._metadata(),
                    timeout=CALL_SECONDS,
                )
            )
        )

    async def audit(self, subject: str = "") -> AsyncIterator[AuditLine]:
        """Yield the audit, newest first.

        Args:
            subject: only about this; empty: any.
        """
        page_token = ""
        while True:
            page = await call(
                self._registry.ListAudit(
                    pb.ListAuditRequest(
                        subject=subject, page_size=PAGE_SIZE, page_token=page_token
                    ),
                    metadata=await self._metadata(),
                    timeout=CALL_SECONDS,
                )
            )
            for line in page.records:
                yield AuditLine(
                    line.number,
                    line.at.ToDatetime(UTC),
                    line.actor,
                    line.action,
                    line.subject,
                    line.reason,
                    line.sequence,
                )
            page_token = page.next_page_token
            if not page_token:
                return
