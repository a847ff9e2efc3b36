"""A hub that the suite plays below a disposable one: how it joins, whom it speaks for.

Questions of its callers come in through the exchange, each introduced by a grant that it
signs; questions for its prefixes reach it as they reach an adapter (docs/spec/federation.md).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2, error_pb2, exchange_pb2, exchange_service_pb2

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.hub_desk import QUERY, WAIT_SECONDS
from conformance_tests.roles.hub_members import NOWHERE, hub_below, shortest
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from conformance_tests.roles.hub_desk import Desk
    from conformance_tests.roles.hub_members import SuiteMember
    from conformance_tests.roles.hub_played import Asked, PlayedAdapter

SOUND = Observed(kind="answer")
GRANT = "hutong-grant+jwt"
GRANT_SECONDS = 300
_ENVELOPE_BYTES = 600
_ROUNDING_SECONDS = 0.5
_PATIENCE_SECONDS = 8.0
_Stream = exchange_service_pb2.ExchangeServiceQueryStreamRequest


@dataclass(frozen=True, slots=True)
class JoinPlan(Plan):
    """A hub enrols below and is approved.

    Attributes:
        superiors: what it says stands above it: ``none``, or the hub under test (``loop``).
        reachable: whether it can be asked.
        prefix: its ``own``, one that a region holds (``taken``), or one ``outside`` its
            own division.
        proof_left_out: its token key is not proven.
        beside: whether a region stands there that holds a prefix.
    """

    superiors: str = "none"
    reachable: bool = True
    prefix: str = "own"
    proof_left_out: bool = False
    beside: bool = False


@dataclass(frozen=True, slots=True)
class DelegatePlan(Plan):
    """The hub below asks for a caller of its own.

    Attributes:
        caller: stands ``inside`` its prefixes or ``outside``, or is the hub ``itself``.
        via: ``own``, or through the hub under test already (``loop``).
        signed_by: its ``token`` key, its ``feed`` key, or a ``stranger``.
        age: seconds since the grant was signed.
        audience: URN of another hub for which it was signed; empty: the one under test.
        suspended: an operator stopped the hub below meanwhile.
    """

    caller: str = "inside"
    via: str = "own"
    signed_by: str = "token"
    age: int = 0
    audience: str = ""
    suspended: bool = False


class Below:
    """Plays the acts and scenarios of a hub below.

    Args:
        desk: at the hub under test.
        adapter: plays both the hub below and a region beside it.
    """

    def __init__(self, desk: Desk, adapter: PlayedAdapter) -> None:
        self._desk = desk
        self._adapter = adapter
        self.acts = {
            "join": (JoinPlan(), self._join),
            "delegate": (DelegatePlan(), self._delegate),
        }
        self.scenarios = {
            "introduced_on": self._introduced_on,
            "asked_below": self._asked_below,
            "hub_lost": self._hub_lost,
            "superiors_named": self._superiors_named,
            "none_below_granted": self._none_below_granted,
        }

    # -- joining ------------------------------------------------------------------

    def _played(self, division: str, *, reachable: bool = True) -> SuiteMember:
        adapter = self._adapter
        adapter.holds, adapter.deaf, adapter.watches, adapter.superiors = False, False, False, ()
        endpoint = adapter.endpoint if reachable else NOWHERE
        made = hub_below(division, int(time.time()), endpoint=endpoint, ca_pem=adapter.ca_pem)
        adapter.authority = made.urn
        return made

    async def _join(self, plan: JoinPlan) -> Observed:
        here, there = self._desk.cities()
        division = self._desk.province if plan.beside else here
        if plan.beside:
            await self._desk.region(there)
        member = self._played(division, reachable=plan.reachable)
        if plan.superiors == "loop":
            self._adapter.superiors = (member.urn, self._desk.hub)
        if plan.prefix != "own":
            member.prefixes = [shortest(there)]
        request = self._desk.request(member, int(time.time()))
        if plan.proof_left_out:
            kid = member.key("token").kid
            kept = [token for token in request.key_proofs if _kid(token) != kid]
            del request.key_proofs[:]
            request.key_proofs.extend(kept)
        await self._desk.prove(member, await self._desk.enrol(member, request))
        await self._desk.approve_all(member.urn)
        return SOUND

    async def join(self, division: str) -> SuiteMember:
        """Admit a hub that answers for a division."""
        return await self._desk.admit(self._played(division))

    # -- its callers --------------------------------------------------------------

    def _grant(self, hub: SuiteMember, plan: DelegatePlan) -> str:
        now = int(time.time()) - plan.age
        region = "440100" if plan.caller == "outside" else hub.division
        itself = plan.caller == "itself"
        passed = [hub.urn] if plan.via == "own" else [self._desk.hub, hub.urn]
        claims = {
            "iss": hub.urn,
            "aud": plan.audience or self._desk.hub,
            "sub": hub.urn if itself else f"urn:hutong:checkpoint:{region}:suite-gate",
            "region": region,
            "scope": QUERY,
            "purposes": [] if itself else ["TRANSPORT", "WORKPLACE"],
            "via": passed,
            "iat": now,
            "exp": now + GRANT_SECONDS,
            "jti": crypto.random_text(),
        }
        stranger = plan.signed_by == "stranger"
        key = crypto.new_signing_key() if stranger else hub.pair(plan.signed_by)
        return crypto.sign(claims, key, GRANT, kid=hub.key("token").kid if stranger else None)

    async def _ask(self, hub: SuiteMember, grant: str, question: Any) -> bytes:
        request = exchange_service_pb2.ExchangeServiceQueryRequest(question=question)
        metadata = (*await self._desk.metadata(hub, QUERY), ("hutong-grant", grant))
        response = await self._desk.exchange.Query(
            request, metadata=metadata, timeout=_PATIENCE_SECONDS
        )
        return bytes(response.envelope)

    def _question(self, region: str, item: int = 0) -> exchange_pb2.SealedQuestion:
        return exchange_pb2.SealedQuestion(
            id=item,
            region=region,
            purpose=exchange_pb2.PURPOSE_WORKPLACE,
            timeout_ms=int(calls.CALL_SECONDS * 1000) if item else 0,
            key_id=crypto.b64(os.urandom(32)),
            envelope=os.urandom(_ENVELOPE_BYTES),
        )

    async def _both(self) -> tuple[SuiteMember, SuiteMember]:
        """A hub below, and a region beside it at the hub under test."""
        here, there = self._desk.cities()
        hub = await self.join(here)
        adapter = self._adapter
        region = await self._desk.region(there, endpoint=adapter.endpoint, ca_pem=adapter.ca_pem)
        return hub, region

    async def _delegate(self, plan: DelegatePlan) -> Observed:
        hub, region = await self._both()
        await self._desk.metadata(hub, QUERY)
        if plan.suspended:
            await self._desk.suspend(hub.urn)
        await self._ask(hub, self._grant(hub, plan), self._question(region.division))
        return SOUND

    async def _introduced_on(self) -> Observed:
        """The next is told who asks, as it came, and which hubs the question has passed."""
        hub, region = await self._both()
        given = self._grant(hub, DelegatePlan())
        question = self._question(region.division)
        try:
            await self._ask(hub, given, question)
        except grpc.aio.AioRpcError as error:
            seen = calls.refusal(error)
            raise VoidError(f"a sound question brought {seen.code} {seen.reason}") from None
        asked = self._adapter.asked[-1]
        self._check_unchanged(question, asked)
        before, after = crypto.unsafe_claims(given), self._read(asked.grant)
        if any(after.get(name) != before[name] for name in ("sub", "region")):
            raise CheckFailedError("the caller is told otherwise than it came (HT-FED-14)")
        if sorted(after.get("purposes", ())) != before["purposes"]:
            raise CheckFailedError("the purposes changed on the way (HT-FED-14)")
        if after.get("via") != [hub.urn, self._desk.hub]:
            raise CheckFailedError("via does not name the hubs passed, this one last (HT-FED-14)")
        if after["exp"] > before["exp"]:
            raise CheckFailedError("a grant outlives the one it rests on (HT-FED-14)")
        return SOUND

    def _read(self, grant: str) -> dict[str, Any]:
        try:
            return crypto.read_signed(grant, self._desk.token_keys, GRANT)[0]
        except ValueError as error:
            raise CheckFailedError(f"the grant: {error} (HT-FED-14)") from None

    def _check_unchanged(self, question: Any, asked: Asked) -> None:
        seen = (asked.envelope, asked.region, asked.purpose, asked.key_id)
        if seen != (question.envelope, question.region, question.purpose, question.key_id):
            raise CheckFailedError("a question changed on the way (HT-FED-13)")
        if not 0 < asked.seconds <= _PATIENCE_SECONDS + _ROUNDING_SECONDS:
            raise CheckFailedError("the time left grew on the way (HT-FED-13)")

    # -- questions for its prefixes -------------------------------------------------

    async def _asked_below(self) -> Observed:
        """A question for a division of the hub below reaches it, with a grant for it."""
        here, _ = self._desk.cities()
        hub, checkpoint = await self.join(here), await self._desk.checkpoint()
        question = self._question(here)
        request = exchange_service_pb2.ExchangeServiceQueryRequest(question=question)
        metadata = await self._desk.metadata(checkpoint, QUERY)
        await self._desk.exchange.Query(request, metadata=metadata, timeout=_PATIENCE_SECONDS)
        asked = self._adapter.asked[-1]
        self._check_unchanged(question, asked)
        claims = self._read(asked.grant)
        if (claims.get("aud"), claims.get("via")) != (hub.urn, [self._desk.hub]):
            raise CheckFailedError("the hub below is not told whom this passed (HT-FED-14)")
        return SOUND

    async def _hub_lost(self) -> Observed:
        """What is in flight when a hub below goes is answered, and says which end went."""
        here, _ = self._desk.cities()
        await self.join(here)
        checkpoint = await self._desk.checkpoint()
        question = self._question(here, item=1)
        self._adapter.holds = True
        metadata = await self._desk.metadata(checkpoint, QUERY)
        call = self._desk.exchange.QueryStream(metadata=metadata, timeout=calls.CALL_SECONDS)
        await call.write(_Stream(questions=[question]))
        envelope = question.envelope
        there = await self._adapter.until(
            lambda: any(asked.envelope == envelope for asked in self._adapter.asked), WAIT_SECONDS
        )
        if not there:
            call.cancel()
            raise VoidError("a sound question did not reach the hub below")
        self._adapter.drop()
        response = await call.read()
        call.cancel()
        answers = list(getattr(response, "answers", ()))
        if [answer.error.reason for answer in answers] != [error_pb2.ERROR_REASON_HUB_UNREACHABLE]:
            raise CheckFailedError("a hub that went is not said to be unreachable (HT-FED-17)")
        if not answers[0].error.retry_after_ms:
            raise CheckFailedError("nothing says when to ask again (HT-FED-17)")
        return SOUND

    async def _none_below_granted(self) -> Observed:
        """An approval grants no hub below, and says so before and after."""
        here, _ = self._desk.cities()
        member = self._played(here)
        await self._desk.prove(member, await self._desk.enrol(member))
        for operator in self._desk.operators()[:2]:
            shown = (await self._desk.approve(member.urn, operator)).member
            if not shown.HasField("allowance"):
                raise CheckFailedError("what a hub is allowed is not shown (HT-FED-23)")
            if shown.allowance.path_length:
                raise CheckFailedError("an approval grants hubs below (HT-FED-23)")
        record = await self._desk.record(member.urn) or {}
        if record.get("state") != "active" or record.get("path_length"):
            raise CheckFailedError("the feed lets hubs stand below it (HT-FED-23)")
        return SOUND

    async def _superiors_named(self) -> Observed:
        """Who asks is told which hubs stand above, from this one up."""
        request = adapter_service_pb2.DescribeRequest()
        said = await self._desk.described.Describe(request, timeout=calls.CALL_SECONDS)
        if said.authority != self._desk.hub or list(said.superiors[:1]) != [self._desk.hub]:
            raise CheckFailedError("the hub does not name itself first (HT-FED-3)")
        return SOUND


def _kid(token: str) -> str:
    head = token.split(".", maxsplit=1)[0]
    return str(crypto.unsafe_claims(f".{head}.")["kid"])
