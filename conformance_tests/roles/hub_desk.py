"""What the suite does at a disposable hub: it enrols members of its own and decides on them.

The profile's section ``disposable`` names two operators at least and the two digits of a
province that nobody else uses here. Everything that a check enrols it also withdraws, so
that the next one finds the names free; what stays behind is history.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import (
    adapter_service_pb2_grpc,
    exchange_service_pb2_grpc,
    feed_service_pb2,
    feed_service_pb2_grpc,
    sighting_service_pb2_grpc,
)
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, UntestableError, VoidError
from conformance_tests.profile import ProfileError
from conformance_tests.roles import calls
from conformance_tests.roles.hub_members import SuiteMember, caller, digest_of, proof, region
from conformance_tests.roles.hub_tokens import bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwcrypto import jwk

    from conformance_tests.profile import Profile
    from conformance_tests.roles.hub_tokens import Metadata, TokenDoor

READ, APPROVE, PUBLISH, QUERY = (
    *("registry.read", "registry.approve", "registry.publish"),
    "exchange.query",
)
WAIT_SECONDS = 30.0
"""Longest that something is waited for which a hub does by itself."""
_OWN_PACE_SECONDS = 90.0
"""Longest wait for an entry where the profile says nothing: a hub may look once a minute."""
_LOOK_SECONDS = 0.05
_REFRESH_SECONDS = 15
"""A hub's refresh period where the profile says nothing (docs/spec/registry.md)."""
_PREFIX_DIGITS = 2
_OPERATORS = 2


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever decides."""

    urn: str
    key: jwk.JWK


@dataclass(frozen=True, slots=True)
class Word:
    """An entry of the feed: its number and what it says."""

    sequence: int
    body: dict[str, Any]

    @property
    def is_withdrawn(self) -> bool:
        """Whether it is a tombstone."""
        return set(self.body) == {"withdrawn"}


class Desk:
    """Plays members and operators.

    Args:
        profile: with the section ``disposable``.
        channel: to the hub under test.
        tokens: its token endpoint.
    """

    def __init__(self, profile: Profile, channel: grpc.aio.Channel, tokens: TokenDoor) -> None:
        anchor = profile.read_json(str(profile.need("anchor")))
        self.hub = str(anchor["hub"])
        loaded = [(each["use"], crypto.load_key(each["jwk"])) for each in anchor["keys"]]
        self._feed_keys = {key["kid"]: key for use, key in loaded if use == "feed"}
        self.token_keys = {key["kid"]: key for use, key in loaded if use == "token"}
        self.profile = profile
        self.tokens = tokens
        self.registry = pb_grpc.RegistryServiceStub(channel)
        self.exchange = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        self.sightings = sighting_service_pb2_grpc.SightingServiceStub(channel)
        self.described = adapter_service_pb2_grpc.AdapterServiceStub(channel)
        self.feed = feed_service_pb2_grpc.FeedServiceStub(channel)
        self._made: list[SuiteMember] = []
        self._turn = 0

    # -- the profile --------------------------------------------------------------

    def entry(self, name: str, otherwise: Any = None) -> Any:
        """An entry of the section ``disposable``."""
        return self.profile.need("disposable").get(name, otherwise)

    def operators(self) -> list[Operator]:
        """The operators of the profile, two at least.

        Raises:
            ProfileError: fewer.
        """
        named = self.entry("operators", [])
        if len(named) < _OPERATORS:
            raise ProfileError("`disposable.operators` must name two; give --operator twice")
        return [
            Operator(str(each["urn"]), crypto.load_key(self.profile.read_json(str(each["key"]))))
            for each in named
        ]

    def _prefix(self) -> str:
        prefix = str(self.entry("prefix", ""))
        if not (prefix.isdigit() and len(prefix) == _PREFIX_DIGITS):
            raise ProfileError("`disposable.prefix` must be the two digits of a province")
        return prefix

    @property
    def province(self) -> str:
        """The division around both cities."""
        return f"{self._prefix()}0000"

    def cities(self) -> tuple[str, str]:
        """Two divisions to play; they take turns, so that neither asks for tokens too often.

        A token belongs to the keys of one enrolment, so each region asks for its own.
        """
        self._turn += 1
        both = (f"{self._prefix()}0100", f"{self._prefix()}0200")
        return both if self._turn % 2 else both[::-1]

    @property
    def lead_seconds(self) -> int:
        """A lead time that every hub takes: five refresh periods, and a minute for clocks."""
        return 5 * int(self.entry("refresh_seconds", _REFRESH_SECONDS)) + 60

    # -- members ------------------------------------------------------------------

    async def metadata(self, member: SuiteMember | Operator, scope: str) -> Metadata:
        """The metadata by which somebody is let in."""
        key = member.key if isinstance(member, Operator) else member.pair("authenticate")
        return bearer(await self.tokens.token(member.urn, key, scope))

    async def call(
        self, method: Any, request: Any, who: SuiteMember | Operator | None, scope: str = ""
    ) -> Any:
        """Call a method as somebody; None: without a token."""
        metadata = () if who is None else await self.metadata(who, scope)
        return await method(request, metadata=metadata, timeout=calls.CALL_SECONDS)

    def request(self, member: SuiteMember, now: int) -> pb.EnrolRequest:
        """A sound enrolment with a proof of every further signing key."""
        statement = member.state("enrolment", member.body(), now)
        digest = digest_of(statement)
        first = member.key("state").kid
        return pb.EnrolRequest(
            statement=statement,
            key_proofs=[
                proof(key.pair, member.urn, digest, self.hub, now)
                for key in member.keys
                if key.pair is not None and key.kid != first
            ],
        )

    async def enrol(
        self, member: SuiteMember, request: pb.EnrolRequest | None = None
    ) -> pb.EnrolResponse:
        """Hand an enrolment in."""
        request = request or self.request(member, int(time.time()))
        if member not in self._made:
            self._made.append(member)
        response: pb.EnrolResponse = await self.call(self.registry.Enrol, request, None)
        member.enrolment = response.enrolment_id
        return response

    async def prove(self, member: SuiteMember, response: Any) -> None:
        """Open the challenges."""
        if not response.challenges:
            return
        opened = [
            pb.OpenedChallenge(key_id=each.key_id, plaintext=member.open(each, self.hub))
            for each in response.challenges
        ]
        request = pb.ProvePossessionRequest(enrolment_id=response.enrolment_id, challenges=opened)
        await self.call(self.registry.ProvePossession, request, None)

    async def approve(self, urn: str, by: Operator) -> Any:
        """One approval; returns the response."""
        return await self.call(self.registry.Approve, pb.ApproveRequest(urn=urn), by, APPROVE)

    async def approve_all(self, urn: str) -> int:
        """Approve until the member is active; returns the number of the last entry."""
        for operator in self.operators():
            response = await self.approve(urn, operator)
            if response.member.state == pb.MEMBER_STATE_ACTIVE:
                return int(response.sequence)
        raise UntestableError(f"{urn} needs more operators; name them under `disposable.operators`")

    async def admit(self, member: SuiteMember) -> SuiteMember:
        """Enrol, prove and approve: everything that must go well before a check.

        Raises:
            VoidError: it did not.
        """
        try:
            await self.prove(member, await self.enrol(member))
            await self.approve_all(member.urn)
        except grpc.aio.AioRpcError as error:
            seen = calls.refusal(error)
            raise VoidError(
                f"a {member.kind} was not admitted: {seen.code} {seen.reason}"
            ) from None
        return member

    async def region(self, division: str, **options: Any) -> SuiteMember:
        """Admit a region."""
        return await self.admit(region(division, int(time.time()), **options))

    async def checkpoint(self) -> SuiteMember:
        """Admit a checkpoint that stands in the first city."""
        division = f"{self._prefix()}0100"
        return await self.admit(caller("checkpoint", division, int(time.time())))

    async def publish(self, member: SuiteMember, statement: str) -> int:
        """Publish a statement; returns its number."""
        request = pb.PublishStatementRequest(statement=statement)
        response = await self.call(self.registry.PublishStatement, request, member, PUBLISH)
        return int(response.sequence)

    async def change(
        self,
        member: SuiteMember,
        body: dict[str, Any],
        *,
        by: jwk.JWK | None = None,
        proven: tuple[Any, ...] = (),
    ) -> Any:
        """Change keys; returns the response."""
        now = int(time.time())
        token = member.state("keys", body, now, by=by)
        proofs = [
            proof(key.pair, member.urn, digest_of(token), self.hub, now)
            for key in proven
            if key.pair is not None
        ]
        request = pb.ChangeKeysRequest(statement=token, key_proofs=proofs)
        return await self.call(self.registry.ChangeKeys, request, member, PUBLISH)

    async def withdraw(self, urn: str, reason: str = "the check is over") -> Any:
        """End a member for good."""
        request = pb.WithdrawRequest(urn=urn, reason=reason)
        return await self.call(self.registry.Withdraw, request, self.operators()[0], APPROVE)

    async def suspend(self, urn: str, reason: str = "the check is over") -> Any:
        """Stop a member, or reject one that was never approved."""
        request = pb.SuspendRequest(urn=urn, reason=reason)
        return await self.call(self.registry.Suspend, request, self.operators()[0], APPROVE)

    async def clear(self) -> None:
        """Withdraw whatever was enrolled since the last time, and reject the rest."""
        made, self._made = self._made, []
        for urn in dict.fromkeys(member.urn for member in reversed(made)):
            for end in (self.withdraw, self.suspend):
                try:
                    await end(urn)
                except grpc.aio.AioRpcError:
                    continue
                break

    # -- the feed -----------------------------------------------------------------

    async def words(self, wanted: Callable[[dict[str, Any]], bool]) -> list[Word]:
        """The newest entries of the feed that somebody wants, tombstones included, verified.

        Raises:
            CheckFailedError: one is not signed by the hub.
        """
        newest: dict[tuple[str, str], tuple[int, str]] = {}
        request = feed_service_pb2.SnapshotRequest(hub=self.hub)
        async for chunk in self.feed.Snapshot(request, timeout=calls.CALL_SECONDS):
            for token in chunk.entries:
                claims = crypto.unsafe_claims(token)
                place = (claims["kind"], claims["subject"])
                if wanted(claims) and newest.get(place, (0, ""))[0] < claims["seq"]:
                    newest[place] = (claims["seq"], token)
        return [self._verified(token) for _, token in sorted(newest.values())]

    def _verified(self, token: str) -> Word:
        try:
            claims, _ = crypto.read_signed(token, self._feed_keys, "hutong-feed-entry+jwt")
        except ValueError as error:
            raise CheckFailedError(f"an entry of the feed: {error} (HT-FEED-1)") from None
        return Word(claims["seq"], claims["body"])

    async def word(self, kind: str, subject: str) -> Word | None:
        """The newest entry of a kind and subject; None: there is none."""
        found = await self.words(
            lambda claims: claims["kind"] == kind and claims["subject"] == subject
        )
        return found[0] if found else None

    async def record(self, urn: str) -> dict[str, Any] | None:
        """What the feed says of an authority; None: nothing."""
        found = await self.word("authority", urn)
        return None if found is None else found.body

    async def until(
        self, kind: str, subject: str, wanted: Callable[[Word], bool], what: str
    ) -> Word:
        """Wait for an entry.

        Args:
            kind: of the entry.
            subject: of the entry.
            wanted: whether it is the one.
            what: what did not come, for the report.

        Raises:
            CheckFailedError: it did not come.
        """
        seconds = float(self.entry("wait_seconds", _OWN_PACE_SECONDS))
        end = asyncio.get_running_loop().time() + seconds
        while True:
            found = await self.word(kind, subject)
            if found is not None and wanted(found):
                return found
            if asyncio.get_running_loop().time() > end:
                raise CheckFailedError(what)
            await asyncio.sleep(_LOOK_SECONDS)
