"""What the operators of a disposable hub decide, and what is written down of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import distrust_pb2
from hutong.v1 import registry_service_pb2 as pb

from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.roles.hub_desk import APPROVE, QUERY, READ
from conformance_tests.roles.hub_members import HOUR_SECONDS, region
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from conformance_tests.roles.hub_desk import Desk, Operator
    from conformance_tests.roles.hub_members import SuiteMember

SOUND = Observed(kind="answer")
_REASON = "a drill of the conformance suite"
_DAY_SECONDS = 86_400
_KEY_DAYS = (300, 20)
"""A key that began so long ago and ends so soon: it is due a word of warning."""


@dataclass(frozen=True, slots=True)
class DistrustPlan(Plan):
    """A distrust of a member: ``issuer`` its own or ``nobody``'s, ``by`` an operator."""

    issuer: str = "member"
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class UndoPlan(Plan):
    """A distrust is taken back: the one that was decided, or ``unknown``."""

    distrust: str = "decided"


@dataclass(frozen=True, slots=True)
class PagePlan(Plan):
    """The second page of a list, ``members`` or ``audit``; ``by`` whoever had the first."""

    list: str = "members"
    by: str = "first"


class Decisions:
    """Plays the acts and scenarios of operators."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.acts = {
            "distrust": (DistrustPlan(), self._distrust),
            "undo": (UndoPlan(), self._undo),
            "page": (PagePlan(), self._page),
        }
        self.scenarios = {
            "distrust_told": self._distrust_told,
            "audit_grows": self._audit_grows,
            "warned_ahead": self._warned_ahead,
        }

    # -- distrust -----------------------------------------------------------------

    def _rule(self, issuer: str) -> distrust_pb2.DistrustRule:
        began = Timestamp(seconds=int(time.time()) - HOUR_SECONDS)
        return distrust_pb2.DistrustRule(issuer=issuer, signed_from=began, kind="attestation")

    async def _decide(self, issuer: str, by: SuiteMember | Operator, scope: str) -> Any:
        request = pb.DistrustRequest(rule=self._rule(issuer), reason=_REASON)
        return await self._desk.call(self._desk.registry.Distrust, request, by, scope)

    async def _take_back(self, distrust: str) -> Any:
        request = pb.UndoDistrustRequest(distrust=distrust, reason=_REASON)
        operator = self._desk.operators()[1]
        return await self._desk.call(self._desk.registry.UndoDistrust, request, operator, APPROVE)

    async def _distrust(self, plan: DistrustPlan) -> Observed:
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        issuer = member.urn if plan.issuer == "member" else f"urn:hutong:region:{here[:2]}9000"
        if plan.by == "operator":
            response = await self._decide(issuer, self._desk.operators()[0], APPROVE)
        else:
            response = await self._decide(issuer, await self._desk.checkpoint(), QUERY)
        await self._take_back(response.distrust)
        return SOUND

    async def _undo(self, plan: UndoPlan) -> Observed:
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        response = await self._decide(member.urn, self._desk.operators()[0], APPROVE)
        if plan.distrust == "unknown":
            await self._take_back("nobody-decided-this")
        await self._take_back(response.distrust)
        return SOUND

    async def _distrust_told(self) -> Observed:
        """One entry each, both in the audit with who, why and the number."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        first, second = self._desk.operators()[:2]
        before = await self._desk.words(lambda claims: claims["kind"] == "distrust")
        decided = await self._decide(member.urn, first, APPROVE)
        word = await self._desk.word("distrust", decided.distrust)
        after = await self._desk.words(lambda claims: claims["kind"] == "distrust")
        if word is None or word.sequence != decided.sequence or len(after) != len(before) + 1:
            raise CheckFailedError("a distrust is not one entry (HT-REG-17)")
        rule = word.body.get("rule", {})
        if (rule.get("issuer"), rule.get("kind")) != (member.urn, "attestation") or set(rule) != {
            *("issuer", "signed_from", "kind")
        }:
            raise CheckFailedError("the feed distrusts something else (HT-FEED-17)")
        undone = await self._take_back(decided.distrust)
        word = await self._desk.word("distrust", decided.distrust)
        if word is None or not word.is_withdrawn or word.sequence != undone.sequence:
            raise CheckFailedError("taken back without a tombstone (HT-FEED-17)")
        records = await self._audit(decided.distrust)
        told = {record.action: (record.actor, record.reason, record.sequence) for record in records}
        wanted = {
            "distrust": (first.urn, _REASON, decided.sequence),
            "undo-distrust": (second.urn, _REASON, undone.sequence),
        }
        if told != wanted:
            raise CheckFailedError("the audit does not say who, why and which entry (HT-REG-17)")
        return SOUND

    # -- the audit ----------------------------------------------------------------

    async def _audit(self, subject: str = "") -> list[pb.AuditRecord]:
        request = pb.ListAuditRequest(subject=subject)
        operator = self._desk.operators()[0]
        response = await self._desk.call(self._desk.registry.ListAudit, request, operator, READ)
        return list(response.records)

    async def _audit_grows(self) -> Observed:
        """A line for each act, above those that stood, none of which changes."""
        here, _ = self._desk.cities()
        member = region(here, int(time.time()))
        before = await self._audit()
        await self._desk.prove(member, await self._desk.enrol(member))
        approved = await self._desk.approve_all(member.urn)
        await self._desk.suspend(member.urn, _REASON)
        withdrawn = await self._desk.withdraw(member.urn, _REASON)
        after = await self._audit()
        numbers = [record.number for record in after]
        if numbers != sorted(set(numbers), reverse=True):
            raise CheckFailedError("the numbers of the audit do not go up (HT-REG-18)")
        newest = before[0].number if before else 0
        stood = [record for record in after if record.number <= newest]
        if stood != before[: len(stood)]:
            raise CheckFailedError("a line of the audit changed or went (HT-REG-18)")
        new = [record for record in after if record.number > newest]
        own = [(each.action, each.sequence) for each in new if each.subject == member.urn]
        actions = [action for action, _ in own]
        if not {"approve", "suspend", "withdraw"} <= set(actions):
            raise CheckFailedError("an operator's act is not in the audit (HT-REG-18)")
        if not {("approve", approved), ("withdraw", withdrawn.sequence)} <= set(own):
            raise CheckFailedError("the audit names another entry (HT-REG-18)")
        return SOUND

    async def _page(self, plan: PagePlan) -> Observed:
        first, second = self._desk.operators()[:2]
        here, there = self._desk.cities()
        await self._desk.region(here)
        await self._desk.region(there)
        members = plan.list == "members"
        method = self._desk.registry.ListMembers if members else self._desk.registry.ListAudit
        request = pb.ListMembersRequest if members else pb.ListAuditRequest
        page = await self._desk.call(method, request(page_size=1), first, READ)
        if not page.next_page_token:
            return Observed(kind="answer", notes=("one page held everything",))
        follows = request(page_size=1, page_token=page.next_page_token)
        who = first if plan.by == "first" else second
        await self._desk.call(method, follows, who, READ)
        return SOUND

    # -- notices ------------------------------------------------------------------

    async def _warned_ahead(self) -> Observed:
        """The feed warns of a key of a member that ends soon."""
        here, _ = self._desk.cities()
        now = int(time.time())
        member = region(here, now)
        begun, ends = _KEY_DAYS
        old = member.keys[0]
        member.keys[0] = type(old)(
            old.use, now - begun * _DAY_SECONDS, now + ends * _DAY_SECONDS, old.pair
        )
        await self._desk.admit(member)
        found = await self._desk.until(
            "notice",
            f"{member.urn}#key-expiring",
            lambda word: not word.is_withdrawn,
            "nobody is warned of a key that ends in 20 days (HT-REG-19)",
        )
        if [key["key_id"] for key in found.body.get("keys", ())] != [old.kid]:
            raise CheckFailedError("the feed warns of another key (HT-REG-19)")
        return SOUND
