"""Keys that change at a disposable hub: asked for, proven, published, ended, remembered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.roles import calls
from conformance_tests.roles.hub_desk import PUBLISH
from conformance_tests.roles.hub_documents import document, subject
from conformance_tests.roles.hub_members import SuiteMember, digest_of, new_key, proof
from conformance_tests.roles.hub_tokens import bearer
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from jwcrypto import jwk

    from conformance_tests.roles.hub_desk import Desk

SOUND = Observed(kind="answer")
_CHALLENGE_BYTES = 32
_REASON = "a drill of the conformance suite"


@dataclass(frozen=True, slots=True)
class KeysPlan(Plan):
    """A region publishes its next key, in good time.

    Attributes:
        before: what its keys went through: nothing, another ``change``, or a ``taint`` of
            its second statement key.
        begins: when the new key is used first, seconds from the present; None: after the
            lead time.
        proof_left_out: the new key is not proven.
        signed_by: ``state``, ``attest``, a ``stranger``, or the ``second`` statement key.
        age: seconds since it was signed; younger: seconds after the change before it.
        caller: who hands it in: the region, or a ``neighbour``.
    """

    before: str = ""
    begins: int | None = None
    proof_left_out: bool = False
    signed_by: str = "state"
    age: int = 0
    caller: str = "own"


class Keys:
    """Plays the act and scenarios of keys."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.acts = {"keys": (KeysPlan(), self._change)}
        self.scenarios = {
            "key_named": self._named,
            "change_whole": self._whole,
            "sealing_waits": self._sealing_waits,
            "emergency": self._emergency,
            "key_history": self._history,
            "tainted_statement": self._tainted_statement,
            "token_ends": self._token_ends,
            "withdrawn_stays": self._withdrawn_stays,
        }

    # -- the act ------------------------------------------------------------------

    async def _change(self, plan: KeysPlan) -> Observed:
        now = int(time.time())
        here, there = self._desk.cities()
        member = await self._desk.region(here, state_keys=2)
        if plan.before == "change":
            first = self._next(now)
            await self._desk.change(member, {"add": [first.body()]}, proven=(first,))
        if plan.before == "taint":
            second = self._second(member)
            move = {"key_id": second["kid"], "from": now - 1, "reason": _REASON}
            await self._desk.change(member, {"taint": [move]})
        # Not older than the change before it.
        now = int(time.time())
        key = self._next(now, plan.begins)
        kid = member.key("state").kid if plan.signed_by == "stranger" else None
        signer = self._signer(plan.signed_by, member)
        token = member.state("keys", {"add": [key.body()]}, now - plan.age, by=signer, kid=kid)
        proofs = []
        if key.pair is not None and not plan.proof_left_out:
            proofs = [proof(key.pair, member.urn, digest_of(token), self._desk.hub, now)]
        handing = member if plan.caller == "own" else await self._desk.region(there)
        request = pb.ChangeKeysRequest(statement=token, key_proofs=proofs)
        await self._desk.call(self._desk.registry.ChangeKeys, request, handing, PUBLISH)
        return SOUND

    def _next(self, now: int, begins: int | None = None) -> Any:
        return new_key("attest", now, begins=self._desk.lead_seconds if begins is None else begins)

    def _second(self, member: SuiteMember) -> jwk.JWK:
        found = [key.pair for key in member.keys if key.use == "state"][1]
        assert found is not None  # noqa: S101 - of use `state`
        return found

    def _signer(self, name: str, member: SuiteMember) -> jwk.JWK | None:
        if name == "state":
            return None
        if name == "second":
            return self._second(member)
        return crypto.new_signing_key() if name == "stranger" else member.pair(name)

    # -- scenarios ----------------------------------------------------------------

    async def _key(self, member: SuiteMember, kid: str) -> dict[str, Any] | None:
        record = await self._desk.record(member.urn)
        found = [key for key in (record or {}).get("keys", ()) if key["jwk"]["kid"] == kid]
        return found[0] if found else None

    async def _named(self) -> Observed:
        """One entry names the key ahead of its first use, and when it was published."""
        now = int(time.time())
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        key = self._next(now)
        response = await self._desk.change(member, {"add": [key.body()]}, proven=(key,))
        word = await self._desk.word("authority", member.urn)
        if word is None or word.sequence != response.sequence:
            raise CheckFailedError("the change is not the newest word on its member (HT-REG-14)")
        found = await self._key(member, key.kid)
        if found is None:
            raise CheckFailedError("a new key is not in the feed (HT-FEED-14)")
        said = found.get("published_at", 0)
        if not now - calls.CALL_SECONDS <= said <= key.not_before - self._desk.lead_seconds // 2:
            raise CheckFailedError("the feed does not say when it was published (HT-FEED-14)")
        return SOUND

    async def _whole(self) -> Observed:
        """What cannot be done in full is not done in part."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        before = await self._desk.word("authority", member.urn)
        key = self._next(int(time.time()))
        stranger = new_key("attest", int(time.time())).kid
        body = {
            "add": [key.body()],
            "revoke": [{"key_id": stranger, "reason": _REASON}],
        }
        try:
            await self._desk.change(member, body, proven=(key,))
        except grpc.aio.AioRpcError as error:
            seen = calls.refusal(error)
            if (seen.code, seen.reason) != ("NOT_FOUND", "NOT_FOUND"):
                raise CheckFailedError(
                    f"refused with {seen.code} {seen.reason}, not NOT_FOUND"
                ) from None
        else:
            raise CheckFailedError("a key that nobody has was revoked (HT-REG-14)")
        if await self._desk.word("authority", member.urn) != before:
            raise CheckFailedError("a refused change took effect in part (HT-REG-14)")
        return SOUND

    async def _sealing_waits(self) -> Observed:
        """A new sealing key is in the feed once its challenge is opened, and not before."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        before = await self._desk.word("authority", member.urn)
        key = new_key("seal", int(time.time()), begins=self._desk.lead_seconds)
        member.keys.append(key)
        response = await self._desk.change(member, {"add": [key.body()]})
        if len(response.challenges) != 1:
            raise CheckFailedError("no challenge for a new sealing key (HT-REG-2)")
        if await self._desk.word("authority", member.urn) != before:
            raise CheckFailedError("in the feed before it was proven (HT-REG-14)")
        wrong = pb.OpenedChallenge(key_id=key.kid, plaintext=bytes(_CHALLENGE_BYTES))
        try:
            await self._desk.call(
                self._desk.registry.ProvePossession,
                pb.ProvePossessionRequest(enrolment_id=response.enrolment_id, challenges=[wrong]),
                None,
            )
        except grpc.aio.AioRpcError as error:
            if calls.refusal(error).reason != "POSSESSION_NOT_PROVEN":
                raise CheckFailedError("a wrong proof was refused for another reason") from None
        else:
            raise CheckFailedError("a sealing key was proven with zeros (HT-REG-2)")
        await self._desk.prove(member, response)
        if await self._key(member, key.kid) is None:
            raise CheckFailedError("proven, and not in the feed (HT-REG-14)")
        return SOUND

    async def _emergency(self) -> Observed:
        """Where every key of a use is revoked, the next one may begin at once."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        now = int(time.time())
        key = self._next(now, 0)
        body = {
            "add": [key.body()],
            "revoke": [{"key_id": member.key("attest").kid, "reason": _REASON}],
        }
        try:
            await self._desk.change(member, body, proven=(key,))
        except grpc.aio.AioRpcError as error:
            reason = calls.refusal(error).reason
            raise CheckFailedError(f"a copied key cannot be replaced: {reason}") from None
        return SOUND

    async def _history(self) -> Observed:
        """Keys that have ended stay, with when and why."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here, state_keys=2)
        now = int(time.time())
        follows = self._next(now, self._desk.lead_seconds)
        end = follows.not_before + 60
        first, second = member.key("attest").kid, self._second(member)["kid"]
        sign_in = new_key("authenticate", now, begins=self._desk.lead_seconds)
        await self._desk.change(
            member,
            {
                "add": [follows.body(), sign_in.body()],
                "retire": [{"key_id": first, "at": end, "reason": _REASON}],
                "revoke": [{"key_id": second, "reason": _REASON}],
            },
            proven=(follows, sign_in),
        )
        await self._desk.change(
            member, {"taint": [{"key_id": sign_in.kid, "from": end, "reason": _REASON}]}
        )
        wanted = {first: ("not_after", end), sign_in.kid: ("tainted_from", end)}
        for kid, (name, moment) in wanted.items():
            found = await self._key(member, kid) or {}
            if (found.get(name), found.get("reason")) != (moment, _REASON):
                raise CheckFailedError(f"a key ended without {name} and reason (HT-FEED-15)")
        revoked = await self._key(member, second) or {}
        if revoked.get("reason") != _REASON or not revoked.get("revoked_at", 0) >= now:
            raise CheckFailedError("a revoked key is gone, or nothing says why (HT-FEED-15)")
        return SOUND

    async def _tainted_statement(self) -> Observed:
        """What a tainted key signed since goes; what another signed stays."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here, state_keys=2)
        now = int(time.time())
        kept = member.state("scheme", document("scheme", here), now)
        gone = member.state("policy", document("policy", here), now, by=self._second(member))
        await self._desk.publish(member, kept)
        await self._desk.publish(member, gone)
        move = {"key_id": self._second(member)["kid"], "from": now - 1, "reason": _REASON}
        await self._desk.change(member, {"taint": [move]})
        policy = await self._desk.word("policy", subject("policy", here))
        scheme = await self._desk.word("scheme", subject("scheme", here))
        if policy is None or not policy.is_withdrawn:
            raise CheckFailedError("what a tainted key signed stands in the feed (HT-FEED-16)")
        if scheme is None or scheme.body != {"statement": kept}:
            raise CheckFailedError("what another key signed went with it (HT-FEED-16)")
        return SOUND

    async def _token_ends(self) -> Observed:
        """A key that is revoked takes the tokens that it fetched with it."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        now = int(time.time())
        key = new_key("authenticate", now, begins=0)
        assert key.pair is not None  # noqa: S101 - of use `authenticate`
        fetched = await self._desk.metadata(member, PUBLISH)
        move = {"key_id": member.key("authenticate").kid, "reason": _REASON}
        body = {"add": [key.body()], "revoke": [move]}
        await self._desk.change(member, body, proven=(key,))
        statement = member.state("policy", document("policy", here), int(time.time()))
        request = pb.PublishStatementRequest(statement=statement)
        publish = self._desk.registry.PublishStatement
        try:
            await publish(request, metadata=fetched, timeout=calls.CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if calls.refusal(error).reason != "TOKEN_INVALID":
                raise CheckFailedError("refused for another reason than its token") from None
        else:
            raise CheckFailedError("a token outlives the key that fetched it (HT-REG-20)")
        anew = bearer(await self._desk.tokens.token(member.urn, key.pair, PUBLISH))
        await publish(request, metadata=anew, timeout=calls.CALL_SECONDS)
        return SOUND

    async def _withdrawn_stays(self) -> Observed:
        """Who is withdrawn stays as history, without what it published, until it is back."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        await self._desk.publish(
            member, member.state("policy", document("policy", here), int(time.time()))
        )
        await self._desk.withdraw(member.urn)
        record = await self._desk.record(member.urn) or {}
        kept = {key["jwk"]["kid"] for key in record.get("keys", ())}
        if record.get("state") != "withdrawn" or kept != {key.kid for key in member.keys}:
            raise CheckFailedError("a withdrawn member does not stay with its keys (HT-REG-16)")
        policy = await self._desk.word("policy", subject("policy", here))
        if policy is None or not policy.is_withdrawn:
            raise CheckFailedError("what it published stands in the feed (HT-REG-16)")
        back = await self._desk.region(here)
        record = await self._desk.record(back.urn) or {}
        if record.get("state") != "active":
            raise CheckFailedError("its name is not free for who comes next (HT-REG-16)")
        return SOUND
