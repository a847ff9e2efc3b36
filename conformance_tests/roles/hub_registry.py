"""The registry of a disposable hub: who comes in, who decides, what gets published.

Each act is sound as a whole; a case changes one property of it, and the same act without
the change runs just before.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import grpc
from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.roles import calls
from conformance_tests.roles.hub_desk import QUERY
from conformance_tests.roles.hub_documents import document, subject
from conformance_tests.roles.hub_members import (
    MemberKey,
    SuiteMember,
    caller,
    digest_of,
    new_key,
    proof,
    region,
    shortest,
)
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from jwcrypto import jwk

    from conformance_tests.roles.hub_desk import Desk

_FINDING = re.compile(r"[A-Z]+(_[A-Z]+)+\b")
_CHALLENGE_BYTES = 32
SOUND = Observed(kind="answer")


@dataclass(frozen=True, slots=True)
class EnrolPlan(Plan):
    """A region that enrols and proves its keys.

    Attributes:
        before: who was there: nobody, a ``neighbour``, or a region of the same name that
            was ``withdrawn``, or a neighbour that ``revoked`` a key.
        division: ``own``, or the ``province`` around the neighbour.
        statement_signed_by: ``state``, a ``stranger``, or another of its keys.
        proof_left_out, proof_signed_by, proof_hub, proof_digest, proof_age: of the proof
            of its attestation key.
        again: hands the enrolment in twice, with ``fresh`` or the ``same`` proofs.
        challenge_opened: ``right`` or ``wrong``.
        key: its attestation key: ``own``, ``past`` (of whoever was before), ``doubled``
            (used for two things), ``renamed`` (its id is no thumbprint).
        prefix: ``own`` or ``taken``.
        scheme: handed in with it: none, ``sound`` or ``broken``.
    """

    before: str = ""
    division: str = "own"
    statement_signed_by: str = "state"
    proof_left_out: bool = False
    proof_signed_by: str = "key"
    proof_hub: str = ""
    proof_digest: str = ""
    proof_age: int = 0
    again: str = ""
    challenge_opened: str = "right"
    key: str = "own"
    prefix: str = "own"
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class ApprovePlan(Plan):
    """An operator approves: ``proven`` says whether the keys are, ``by`` who approves."""

    proven: bool = True
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class PublishPlan(Plan):
    """A region publishes.

    Attributes:
        document: ``policy`` or ``scheme``.
        broken: the document holds little but whom it speaks for.
        region: ``free``, or ``barred``: the profile names it and what it may not sign.
        division: the ``own``, or the ``neighbour``'s.
        signed_by: ``state``, ``attest`` or a ``stranger``.
        caller: who hands it in: the region, or its ``neighbour``.
    """

    document: str = "policy"
    broken: bool = False
    region: str = "free"
    division: str = "own"
    signed_by: str = "state"
    caller: str = "own"


@dataclass(frozen=True, slots=True)
class PackPlan(Plan):
    """An operator asks for a pack; zero bytes: as the hub likes."""

    max_bytes: int = 0


class Registry:
    """Plays the acts and scenarios of the registry."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.acts = {
            "enrol": (EnrolPlan(), self._enrol),
            "approve": (ApprovePlan(), self._approve),
            "publish": (PublishPlan(), self._publish),
            "pack": (PackPlan(), self._pack),
        }
        self.scenarios = {"two_operators": self._two_operators, "not_yet": self._not_yet}

    # -- enrolment ----------------------------------------------------------------

    async def _enrol(self, plan: EnrolPlan) -> Observed:
        now = int(time.time())
        here, there = self._desk.cities()
        past = await self._before(plan.before, here, there)
        division = self._desk.province if plan.division == "province" else here
        member = region(division, now)
        if plan.prefix == "taken":
            member.prefixes = [shortest(there)]
        member.keys[0] = self._first_key(plan, member, past)
        request = self._request(plan, member, now)
        response = await self._desk.enrol(member, request)
        if plan.again:
            second = request if plan.again == "same" else self._request(plan, member, now)
            response = await self._desk.enrol(member, second)
        if len(response.challenges) != 1:
            return Observed(kind="answer", notes=("no challenge for the sealing key (HT-REG-2)",))
        opened = [
            pb.OpenedChallenge(
                key_id=each.key_id,
                plaintext=(
                    bytes(_CHALLENGE_BYTES)
                    if plan.challenge_opened == "wrong"
                    else member.open(each, self._desk.hub)
                ),
            )
            for each in response.challenges
        ]
        await self._desk.call(
            self._desk.registry.ProvePossession,
            pb.ProvePossessionRequest(enrolment_id=response.enrolment_id, challenges=opened),
            None,
        )
        return SOUND

    async def _before(self, before: str, here: str, there: str) -> MemberKey | None:
        if not before:
            return None
        other = await self._desk.region(here if before == "withdrawn" else there)
        key = other.keys[0]
        if before == "withdrawn":
            await self._desk.withdraw(other.urn)
        if before == "revoked":
            follows = new_key("attest", int(time.time()))
            body = {
                "add": [follows.body()],
                "revoke": [{"key_id": key.kid, "reason": "copied"}],
            }
            await self._desk.change(other, body, proven=(follows,))
        return key

    def _first_key(self, plan: EnrolPlan, member: SuiteMember, past: MemberKey | None) -> MemberKey:
        if plan.key == "past" and past is not None:
            return past
        if plan.key == "doubled":
            return replace(member.key("authenticate"), use="attest")
        return member.keys[0]

    def _request(self, plan: EnrolPlan, member: SuiteMember, now: int) -> pb.EnrolRequest:
        request = self._desk.request(member, now)
        body = member.body()
        signer = self._signer(plan.statement_signed_by, member)
        if plan.key == "renamed":
            body["keys"][0]["jwk"]["kid"] = new_key("attest", now).kid
        if signer is not None or plan.key == "renamed":
            kid = None if plan.statement_signed_by == "attest" else member.key("state").kid
            request.statement = member.state("enrolment", body, now, by=signer, kid=kid)
        if plan.scheme:
            broken = plan.scheme == "broken"
            made = document("scheme", member.division, broken=broken)
            request.schemes.append(member.state("scheme", made, now))
        self._spoil_proofs(plan, request, member, now)
        return request

    def _spoil_proofs(
        self, plan: EnrolPlan, request: pb.EnrolRequest, member: SuiteMember, now: int
    ) -> None:
        signed = plan.statement_signed_by == "attest"
        pair = member.pair("state" if signed else "attest")
        digest = digest_of(request.statement + plan.proof_digest)
        hub = plan.proof_hub or self._desk.hub
        by = crypto.new_signing_key() if plan.proof_signed_by == "stranger" else None
        proofs = [
            proof(pair, member.urn, digest, hub, now - plan.proof_age, by=by),
            proof(
                member.pair("authenticate"),
                member.urn,
                digest_of(request.statement),
                self._desk.hub,
                now,
            ),
        ]
        del request.key_proofs[:]
        request.key_proofs.extend(proofs[1:] if plan.proof_left_out else proofs)

    def _signer(self, name: str, member: SuiteMember) -> jwk.JWK | None:
        if name == "state":
            return None
        return crypto.new_signing_key() if name == "stranger" else member.pair(name)

    # -- approval -----------------------------------------------------------------

    async def _approve(self, plan: ApprovePlan) -> Observed:
        here, _ = self._desk.cities()
        member = region(here, int(time.time()))
        response = await self._desk.enrol(member)
        if plan.proven:
            await self._desk.prove(member, response)
        if plan.by == "checkpoint":
            other = await self._desk.checkpoint()
            request = pb.ApproveRequest(urn=member.urn)
            await self._desk.call(self._desk.registry.Approve, request, other, QUERY)
        else:
            await self._desk.approve_all(member.urn)
        return SOUND

    async def _two_operators(self) -> Observed:
        """One operator is not enough, however often; two are."""
        here, _ = self._desk.cities()
        member = region(here, int(time.time()))
        await self._desk.prove(member, await self._desk.enrol(member))
        before = await self._sequence_of(member.urn)
        first = self._desk.operators()[0]
        wanted = int(self._desk.entry("approvals", 2))
        response = await self._desk.approve(member.urn, first)
        if response.member.state == pb.MEMBER_STATE_PENDING:
            response = await self._desk.approve(member.urn, first)
        if response.member.state != pb.MEMBER_STATE_PENDING:
            raise CheckFailedError("one operator made a member active (HT-REG-10)")
        if response.member.approvals_needed != wanted:
            raise CheckFailedError("the hub says that it wants another number (HT-REG-10)")
        if list(response.member.approved_by) != [first.urn]:
            raise CheckFailedError("who approved is not named once (HT-REG-10)")
        if await self._sequence_of(member.urn) != before:
            raise CheckFailedError("in the feed before it was approved (HT-REG-3)")
        await self._desk.approve_all(member.urn)
        record = await self._desk.record(member.urn)
        if record is None or record.get("state") != "active":
            raise CheckFailedError("approved, and not in the feed (HT-REG-3)")
        return SOUND

    async def _sequence_of(self, urn: str) -> int:
        word = await self._desk.word("authority", urn)
        return 0 if word is None else word.sequence

    async def _not_yet(self) -> Observed:
        """Who waits for approval gets no token."""
        division, _ = self._desk.cities()
        member = caller("checkpoint", division, int(time.time()))
        await self._desk.enrol(member)
        pair = member.pair("authenticate")
        door = self._desk.tokens
        status, body = await door.ask(member.urn, door.assertion(member.urn, pair), QUERY)
        if body.get("error") != "invalid_client":
            raise CheckFailedError(f"before approval: {status}, not invalid_client (HT-REG-3)")
        await self._desk.approve_all(member.urn)
        await door.token(member.urn, pair, QUERY)
        return SOUND

    # -- publication --------------------------------------------------------------

    async def _publish(self, plan: PublishPlan) -> Observed:
        now = int(time.time())
        here, there = self._desk.cities()
        if plan.region == "barred":
            here = str(self._desk.profile.need("disposable", "barred", "division"))
        member = await self._desk.region(here)
        by_other = plan.caller == "neighbour" or plan.division == "neighbour"
        other = await self._desk.region(there) if by_other else member
        division = there if plan.division == "neighbour" else here
        made = document(plan.document, division, broken=plan.broken)
        signer = self._signer(plan.signed_by, member)
        kid = member.key("state").kid if plan.signed_by == "stranger" else None
        token = member.state(plan.document, made, now, by=signer, kid=kid)
        handing = other if plan.caller == "neighbour" else member
        try:
            sequence = await self._desk.publish(handing, token)
        except grpc.aio.AioRpcError as error:
            seen = calls.refusal(error)
            if plan.broken and not _FINDING.match(error.details() or ""):
                note = "the refusal does not begin with a finding's name (HT-REG-11)"
                return replace(seen, notes=(*seen.notes, note))
            return seen
        if plan.document == "policy":
            return SOUND
        word = await self._desk.word(plan.document, subject(plan.document, division))
        if word is None or (word.sequence, word.body) != (sequence, {"statement": token}):
            return Observed(kind="answer", notes=("published, not in the feed as it was signed",))
        return SOUND

    async def _pack(self, plan: PackPlan) -> Observed:
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        token = member.state("policy", document("policy", here), int(time.time()))
        await self._desk.publish(member, token)
        operator = self._desk.operators()[0]
        request = pb.MakePackRequest(prefixes=member.prefixes, max_bytes=plan.max_bytes)
        data = b""
        metadata = await self._desk.metadata(operator, "registry.read")
        call = self._desk.registry.MakePack(request, metadata=metadata, timeout=calls.CALL_SECONDS)
        async for chunk in call:
            data += chunk.chunk
        return Observed(kind="answer", notes=self._left_out(data, member, token))

    def _left_out(self, data: bytes, member: SuiteMember, policy: str) -> tuple[str, ...]:
        said = [crypto.unsafe_claims(line) for line in data.decode().splitlines()[2:]]
        places = {(claims.get("kind"), claims.get("subject")): claims for claims in said}
        found = places.get(("policy", subject("policy", member.division)), {})
        notes = []
        if ("authority", member.urn) not in places:
            notes.append("the pack leaves the authority out (HT-PCK-2)")
        if found.get("body") != {"statement": policy}:
            notes.append("the pack leaves a policy out (HT-PCK-2)")
        return tuple(notes)
