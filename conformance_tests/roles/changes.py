"""What an adapter pushes about the carried attestations that it gave (docs/spec/status.md)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import adapter_service_pb2, distrust_pb2, exchange_pb2

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed, UntestableError, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.arranging import arranged
from conformance_tests.roles.revoking import Revoking
from conformance_tests.roles.watching import carried, watching

if TYPE_CHECKING:
    from conformance_tests.profile import Profile
    from conformance_tests.roles.asking import Asker

_FEWEST = 10  # HT-ADP-22
_SEVERAL = 4
_MANY = 12
_UNNAMED_SECONDS = 3600  # HT-STS-23


class Changes:
    """Plays the scenarios of lists and counts.

    Args:
        profile: the implementer's declaration.
        asker: asks the adapter.
    """

    def __init__(self, profile: Profile, asker: Asker) -> None:
        self._profile = profile
        self._asker = asker
        self._revoking = Revoking(asker)

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        scenarios = {
            "changes_described": self._described,
            "changes_standing": self._standing,
            "changes_heartbeat": self._heartbeat,
            "changes_entries": self._entries,
            "changes_turned": self._turned,
            "changes_ahead": self._ahead,
            "changes_unnamed": self._unnamed,
            "changes_drained": self._drained,
            **self._revoking.scenarios,
            "count_floor": self._floor,
            "count_many": self._many,
            "count_foreign": self._foreign,
            "count_impossible": self._impossible,
        }
        try:
            return await scenarios[name]()
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            return calls.refusal(error)

    # -- lists --------------------------------------------------------------------

    async def _described(self) -> Observed:
        request = adapter_service_pb2.DescribeRequest()
        described = await self._asker.stub.Describe(request, timeout=calls.CALL_SECONDS)
        if not described.watches:
            raise CheckFailedError("Describe does not say that changes are pushed (HT-ADP-21)")
        return Observed(kind="answer")

    async def _standing(self) -> Observed:
        async with watching(self._asker) as watch:
            # A list need not stand before there is anybody to revoke.
            while not watch.words:
                if await watch.next() == "heartbeat":
                    claims = await carried(self._asker, "green")
                    await watch.until_word_on(claims["status"]["status_list"]["uri"])
        return Observed(kind="answer")

    async def _heartbeat(self) -> Observed:
        async with watching(self._asker) as watch:
            while await watch.next() != "heartbeat":
                pass
        return Observed(kind="answer")

    async def _entries(self) -> Observed:
        held = [await carried(self._asker, "green") for _ in range(_SEVERAL)]
        places = [tuple(claims["status"]["status_list"].values()) for claims in held]
        if len(set(map(str, places))) < _SEVERAL:
            raise CheckFailedError("two attestations have one entry (HT-STS-14)")
        numbers = [claims["status"]["status_list"]["idx"] for claims in held]
        steps = {after - before for before, after in itertools.pairwise(numbers)}
        if len(steps) == 1:
            raise CheckFailedError("entries are given out in order (HT-STS-14)")
        lots = {claims.get("serial") for claims in held}
        # An hour may end between them.
        if None in lots or len(lots) > 2:  # noqa: PLR2004 - this lot and the next
            raise CheckFailedError("serial does not number lots of an hour (HT-STS-18)")
        async with watching(self._asker) as watch:
            for claims in held:
                uri = claims["status"]["status_list"]["uri"]
                await watch.until_word_on(uri)
                if watch.value(claims) != 0:
                    raise CheckFailedError("a fresh attestation is revoked (HT-STS-7)")
                if watch.ends_at(uri) <= claims["exp"]:
                    raise CheckFailedError("a list ends before what names it (HT-STS-4)")
        return Observed(kind="answer")

    async def _ahead(self) -> Observed:
        async with watching(self._asker) as watch:
            while await watch.next() != "heartbeat":
                pass
            known = set(watch.words)
            if not known:
                raise CheckFailedError("no list stands when a hub watches (HT-STS-19)")
            for _ in range(_SEVERAL):
                claims = await carried(self._asker, "green")
                if claims["status"]["status_list"]["uri"] not in known:
                    raise CheckFailedError("a list comes with its first entry (HT-STS-19)")
        return Observed(kind="answer")

    async def _unnamed(self) -> Observed:
        claims = await carried(self._asker, "unnamed")
        if claims["exp"] - claims["iat"] > _UNNAMED_SECONDS:
            raise CheckFailedError("what no change can revoke lives too long (HT-STS-23)")
        return Observed(kind="answer")

    async def _drained(self) -> Observed:
        async with watching(self._asker) as watch:
            await watch.next()
            async with arranged(dict(self._profile.need("drain"))):
                return await watch.refused()

    async def _turned(self) -> Observed:
        person = self._asker.person("turned")
        if "arrange" not in person or "bystander" not in person:
            raise UntestableError("person.turned needs `arrange`, `restore` and `bystander`")
        mine = [await carried(self._asker, "turned") for _ in range(2)]
        beside = await carried(self._asker, str(person["bystander"]))
        async with watching(self._asker) as watch:
            for claims in (*mine, beside):
                await watch.until_word_on(claims["status"]["status_list"]["uri"])
                if watch.value(claims) != 0:
                    raise VoidError("revoked before anything was turned")
            async with arranged(person):
                await watch.until_revoked(mine)
            if watch.value(beside) != 0:
                raise CheckFailedError("who stayed green was revoked too (HT-STS-20)")
        async with watching(self._asker) as again:
            for claims in mine:
                await again.until_word_on(claims["status"]["status_list"]["uri"])
                if again.value(claims) == 0:
                    raise CheckFailedError("a revocation was taken back (HT-STS-21)")
        return Observed(kind="answer")

    # -- counts -------------------------------------------------------------------

    async def _count(self, **members: Any) -> int:
        members = {"issuer": self._asker.authority, "signed_from": _moment(0), **members}
        rule = distrust_pb2.DistrustRule(**members)
        request = adapter_service_pb2.CountLiveRequest(rule=rule)
        answer = await self._asker.stub.CountLive(request, timeout=calls.CALL_SECONDS)
        return int(answer.attestations)

    async def _floor(self) -> Observed:
        await self._ask_many()
        if await self._count(signed_until=_moment(1)) != _FEWEST:
            raise CheckFailedError("a rule that touches nobody is not counted as ten (HT-ADP-22)")
        return Observed(kind="answer")

    async def _many(self) -> Observed:
        await self._ask_many()
        if await self._count() < _MANY:
            raise CheckFailedError("a rule about everything counts too few (HT-ADP-22)")
        return Observed(kind="answer")

    async def _ask_many(self) -> None:
        plan = self._asker.plan().changed({"person": "green", "question.use": "CARRIED"})
        sealed = self._asker.seal(plan, questions=_MANY)
        answered = await self._asker.query(plan, sealed)
        if isinstance(answered, Observed):
            raise VoidError(f"{answered.code} {answered.reason}")
        opened = crypto.open_answer(
            sealed.batch.reply_key, answered, sealed.binding, self._asker.seal_key.profile
        )
        answers = exchange_pb2.AnswerBatch.FromString(opened).answers
        if sum(bool(answer.attestation) for answer in answers) != _MANY:
            raise VoidError("not an attestation for each question of an envelope")

    async def _foreign(self) -> Observed:
        await self._count()
        other = "urn:hutong:region:990000"
        return Observed(kind="answer", value=str(await self._count(issuer=other)))

    async def _impossible(self) -> Observed:
        await self._count(signed_from=_moment(100), signed_until=_moment(101))
        counted = await self._count(signed_from=_moment(101), signed_until=_moment(100))
        return Observed(kind="answer", value=str(counted))


def _moment(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)
