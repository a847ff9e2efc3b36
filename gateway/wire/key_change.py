"""Changing keys with a hub: the member's half.

Signs the change, proves every new signing key, opens the challenges of new sealing keys,
and shows a key to come to every connected edge first. What a key is and when it may be
used is :mod:`gateway.trust.lifecycle`; nothing here decides it.

Example::

    line = MemberLine(channel, tokens, urn=urn, hub_urn=anchor.hub)
    await line.change(KeyChange(add=(key,)), state_key, proving=(private,), now=clock())
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

from gateway.attestation.sealing import open_question
from gateway.trust.key_proofs import key_proof
from gateway.trust.keys import KeyState
from gateway.trust.rehearsals import rehearsal_body
from gateway.trust.statements import StatementKind, sign_statement, statement_digest
from gateway.wire.enrolment import ASK_SECONDS, CALL_SECONDS, challenge_binding
from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp
    from hutong.v1 import readers_pb2

    from gateway.attestation.keys import SigningKey
    from gateway.attestation.sealing import SealingKey
    from gateway.trust.keys import MemberKey
    from gateway.trust.lifecycle import KeyChange
    from gateway.wire.token_client import TokenClient

T = TypeVar("T")

PUBLISH_SCOPE: Final = "registry.publish"
"""What an access token must allow (docs/spec/registry.md)."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as the hub tells its owner.

    Attributes:
        key_id: thumbprint.
        use: ``attest``, ``state``, ``seal``, ``authenticate``, or of a hub ``feed``, ``token``.
        state: where it stands; None: somewhere that this version does not know.
        not_before: first moment of use.
        not_after: end of use; None: open.
        distrusted_from: from when it is not believed; None: it is.
        reason: why it ended.
    """

    key_id: str
    use: str
    state: KeyState | None
    not_before: datetime
    not_after: datetime | None
    distrusted_from: datetime | None
    reason: str

    @property
    def is_live(self) -> bool:
        """Whether it is in the feed, believed, and used now or later."""
        return self.state in (KeyState.PUBLISHED, KeyState.ACTIVE)


@dataclass(frozen=True, slots=True)
class FindingView:
    """What the linter found.

    Attributes:
        name: stable.
        is_error: whether it keeps something out of the feed.
        subject: what it is about.
        message: for people.
    """

    name: str
    is_error: bool
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class ReaderView:
    """How far a reader is.

    Attributes:
        urn: of the reader.
        sequence: the newest entry it said it holds.
        seen_at: when it said so.
    """

    urn: str
    sequence: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands.

    Attributes:
        urn: the member.
        state: ``PENDING``, ``ACTIVE`` and so on.
        approved_by: operators who approved it so far.
        approvals_needed: operators who must.
        keys: history included.
        findings: errors first.
        sequence: the feed's newest entry.
        readers: those that said how far they are, the slowest first.
        readers_connected: how many read the feed now.
    """

    urn: str
    state: str
    approved_by: tuple[str, ...]
    approvals_needed: int
    keys: tuple[KeyView, ...]
    findings: tuple[FindingView, ...]
    sequence: int
    readers: tuple[ReaderView, ...]
    readers_connected: int


@dataclass(frozen=True, slots=True)
class HubReaders:
    """What the readers of another hub come to; their names stay there.

    Attributes:
        hub: URN of the hub.
        connected: readers that follow its feed; of a rehearsal those that were there.
        verified: of a rehearsal: readers that would verify the new key.
        failing: reason and number of those that would not.
        silent: readers that have not answered.
        callers: members that asked an authority's divisions within a day.
    """

    hub: str
    connected: int
    verified: int
    failing: tuple[tuple[str, int], ...]
    silent: int
    callers: int


@dataclass(frozen=True, slots=True)
class RehearsalView:
    """What the edges said so far.

    Attributes:
        verified: edges that would verify the new key.
        failures: edge and reason of those that would not.
        silent: edges that have not answered.
        elsewhere: the edges of other hubs, hub by hub.
        unknown: hubs that could not be asked for theirs.
    """

    verified: int
    failures: tuple[tuple[str, str], ...]
    silent: tuple[str, ...]
    elsewhere: tuple[HubReaders, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def is_failing(self) -> bool:
        """Whether an edge, of whichever hub, would not verify the new key."""
        return bool(self.failures) or any(item.failing for item in self.elsewhere)

    @property
    def is_complete(self) -> bool:
        """Whether every edge that is known of has answered, at every hub."""
        return not (self.silent or self.unknown or any(item.silent for item in self.elsewhere))


class MemberLine:
    """A member's dealings with its hub after it was admitted.

    Args:
        channel: to the hub.
        tokens: fetches the member's access tokens.
        urn: of the member.
        hub_urn: the proofs are worth nothing elsewhere.
    """

    def __init__(
        self, channel: grpc.aio.Channel, tokens: TokenClient, *, urn: str, hub_urn: str
    ) -> None:
        self._stub = pb_grpc.RegistryServiceStub(channel)
        self._tokens = tokens
        self._urn = urn
        self._hub_urn = hub_urn

    async def change(
        self,
        change: KeyChange,
        state_key: SigningKey,
        *,
        proving: Iterable[SigningKey] = (),
        opening: Iterable[SealingKey] = (),
        now: datetime,
    ) -> int:
        """Change keys; done when this returns, or nothing was changed.

        Args:
            change: what is wanted.
            state_key: a statement key that is active.
            proving: the new signing keys.
            opening: the new sealing keys.
            now: the clock.

        Returns:
            Number of the feed entry; zero where sealing keys were proven last.

        Raises:
            RpcFailure: the hub refuses or cannot be reached.
            TokenError: the hub gives no token.
            SealingError: a challenge does not open.
        """
        statement = sign_statement(
            StatementKind.KEYS, self._urn, change.to_body(), state_key, now=now
        )
        digest = statement_digest(statement)
        proofs = [
            key_proof(key, digest, issuer=self._urn, audience=self._hub_urn, now=now)
            for key in proving
        ]
        changed = await self._call(
            self._stub.ChangeKeys,
            pb.ChangeKeysRequest(statement=statement, key_proofs=proofs),
        )
        if changed.challenges:
            await self._call(
                self._stub.ProvePossession,
                pb.ProvePossessionRequest(
                    enrolment_id=changed.enrolment_id,
                    challenges=self._opened(changed.challenges, opening),
                ),
            )
        return int(changed.sequence)

    async def rehearse(
        self, key: MemberKey, private: SigningKey, state_key: SigningKey, *, now: datetime
    ) -> tuple[str, int]:
        """Show a key to come to every edge; return the rehearsal and how many are connected.

        Raises:
            RpcFailure: the hub refuses or cannot be reached.
            TokenError: the hub gives no token.
        """
        body = rehearsal_body(key, private, issuer=self._urn, now=now)
        statement = sign_statement(StatementKind.REHEARSAL, self._urn, body, state_key, now=now)
        begun = await self._call(self._stub.Rehearse, pb.RehearseRequest(statement=statement))
        return begun.rehearsal, begun.connected

    async def rehearsal(self, rehearsal: str) -> RehearsalView:
        """Ask what the edges said so far; raises as :meth:`rehearse`."""
        seen = await self._call(
            self._stub.GetRehearsal, pb.GetRehearsalRequest(rehearsal=rehearsal)
        )
        return rehearsal_view(seen)

    async def standing(self) -> Standing:
        """Ask how the member stands; raises as :meth:`rehearse`."""
        return standing_view(await self._call(self._stub.GetStanding, pb.GetStandingRequest()))

    def _opened(
        self, challenges: Sequence[pb.SealedChallenge], opening: Iterable[SealingKey]
    ) -> list[pb.OpenedChallenge]:
        keys = {key.key_id: key for key in opening}
        binding = challenge_binding(self._urn, self._hub_urn)
        opened = []
        for challenge in challenges:
            key = keys.get(challenge.key_id)
            if key is None:
                raise RpcFailure("SEALING_KEY_UNKNOWN", "a challenge names a foreign key")
            plaintext = open_question(key, challenge.envelope, binding)
            opened.append(pb.OpenedChallenge(key_id=challenge.key_id, plaintext=plaintext))
        return opened

    async def _call(self, method: Callable[..., Awaitable[T]], request: object) -> T:
        token = await self._tokens.token(PUBLISH_SCOPE)
        is_change = isinstance(request, pb.ChangeKeysRequest | pb.RehearseRequest)
        try:
            return await method(
                request,
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=CALL_SECONDS if is_change else ASK_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None


def hub_readers(message: readers_pb2.HubReaders) -> HubReaders:
    """Read what another hub told of its readers."""
    return HubReaders(
        hub=message.hub,
        connected=message.connected,
        verified=message.verified,
        failing=tuple((item.reason, item.readers) for item in message.failing),
        silent=message.silent,
        callers=message.callers,
    )


def rehearsal_view(message: pb.GetRehearsalResponse) -> RehearsalView:
    """Read what the edges said of a rehearsal."""
    return RehearsalView(
        verified=message.verified,
        failures=tuple((item.edge, item.reason) for item in message.failures),
        silent=tuple(message.silent),
        elsewhere=tuple(map(hub_readers, message.elsewhere)),
        unknown=tuple(message.unknown),
    )


def standing_view(message: pb.GetStandingResponse) -> Standing:
    """Read how a member stands."""
    member = message.member
    return Standing(
        urn=member.urn,
        state=_member_state(member.state),
        approved_by=tuple(member.approved_by),
        approvals_needed=member.approvals_needed,
        keys=tuple(_key_view(key) for key in message.keys),
        findings=tuple(
            FindingView(
                item.name, item.weight == pb.FINDING_WEIGHT_ERROR, item.subject, item.message
            )
            for item in message.findings
        ),
        sequence=message.sequence,
        readers=tuple(
            ReaderView(item.reader, item.sequence, item.seen_at.ToDatetime(UTC))
            for item in message.readers
        ),
        readers_connected=message.readers_connected,
    )


def _key_view(key: pb.KeyStanding) -> KeyView:
    names = {number: name for name, number in pb.KeyState.items()}
    name = names.get(key.state, "").removeprefix("KEY_STATE_").lower()
    return KeyView(
        key_id=key.key_id,
        use=key.use,
        state=KeyState(name) if name in set(KeyState) else None,
        not_before=key.not_before.ToDatetime(UTC),
        not_after=_moment(key.not_after) if key.HasField("not_after") else None,
        distrusted_from=_moment(key.distrusted_from) if key.HasField("distrusted_from") else None,
        reason=key.reason,
    )


def _member_state(state: pb.MemberState.ValueType) -> str:
    try:
        return pb.MemberState.Name(state).removeprefix("MEMBER_STATE_")
    except ValueError:  # one that a newer hub has added
        return "UNSPECIFIED"


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
