"""Enrolling with a hub: the member's half.

Signs the enrolment statement, proves every further signing key, opens the
challenges of the sealing keys and hands the plaintexts back. What is left is an
operator's approval.

A challenge is sealed as a question is (:mod:`gateway.attestation.sealing`), bound
by :func:`challenge_binding` to the member, the hub and the word ``ENROLMENT``, so
that an adapter that opens questions is never an oracle for challenges, nor the
other way round.

Example::

    identity = MemberIdentity(body, state_key, (attest_key, auth_key), (sealing_key,))
    async with open_channel("hub.example:7443", ca_pem=ca) as channel:
        await check_hub(channel, anchor)
        enrolled = await enrol(channel, identity, hub_urn=anchor.hub, now=clock())
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
from hutong.v1 import feed_service_pb2, feed_service_pb2_grpc
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

from gateway.attestation.sealing import Binding, open_question
from gateway.trust.errors import FeedError, FeedFault
from gateway.trust.feed import MAX_LIVE_ENTRIES, verify_manifest
from gateway.trust.hub_walk import walked
from gateway.trust.key_proofs import key_proof
from gateway.trust.statements import StatementKind, sign_statement, statement_digest
from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from gateway.attestation.keys import SigningKey
    from gateway.attestation.sealing import SealingKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.authority import EnrolmentBody

CHALLENGE_BYTES: Final = 32
"""As ``hutong.v1.OpenedChallenge.plaintext``."""

CHALLENGE_PURPOSE: Final = "ENROLMENT"
"""No value of ``Purpose``: a challenge never opens as a question."""

CALL_SECONDS: Final = 30.0
"""Deadline of each call: the hub verifies a dozen signatures and loads schemes."""

ASK_SECONDS: Final = 10.0
"""A hub that needs longer to read one row is as good as down."""

POLL_SECONDS: Final = 2.0
"""How often a waiting member asks; an operator decides in minutes."""

_DECIDED: Final = frozenset({"ACTIVE", "SUSPENDED"})


@dataclass(frozen=True, slots=True)
class MemberIdentity:
    """A member with its private keys.

    Attributes:
        body: what it says about itself; names every key below.
        state_key: signs its statements.
        signing_keys: its further signing keys.
        sealing_keys: its sealing keys; none for checkpoints and operators.
    """

    body: EnrolmentBody
    state_key: SigningKey = field(repr=False)
    signing_keys: tuple[SigningKey, ...] = field(repr=False)
    sealing_keys: tuple[SealingKey, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How far an enrolment got.

    Attributes:
        enrolment_id: names it towards the hub; keep it.
        state: name of the member's state, for example ``PENDING``.
    """

    enrolment_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an enrolment is.

    Attributes:
        state: name of the member's state, for example ``PENDING``.
        approvals_left: operators who have yet to approve it.
    """

    state: str
    approvals_left: int


_NOTHING: Final = feed_service_pb2.SnapshotResponse()


async def check_hub(channel: grpc.aio.Channel, anchor: TrustAnchor) -> None:
    """Make sure that the hub at the other end signs with the keys of the trust anchor.

    TLS says which machine answers; only this says that it is the hub that was handed
    over by hand. To be called before anything is handed in.

    Raises:
        FeedError: ``FEED_SIGNATURE``: it is another hub; ``FEED_MALFORMED``: it is none.
        RpcFailure: the hub cannot be reached.
    """
    stub = feed_service_pb2_grpc.FeedServiceStub(channel)
    call = stub.Snapshot(feed_service_pb2.SnapshotRequest(), timeout=ASK_SECONDS)
    try:
        first = await call.read()
        # An end of the stream is no response.
        said = first if isinstance(first, feed_service_pb2.SnapshotResponse) else _NOTHING
        try:
            verify_manifest(said.manifest, anchor)
        except FeedError as error:
            if error.code != FeedFault.FEED_SIGNATURE:
                raise
            # The hub may have changed its keys since the anchor was handed over.
            tokens = list(said.entries)
            while isinstance(chunk := await call.read(), feed_service_pb2.SnapshotResponse):
                tokens.extend(chunk.entries)
                if len(tokens) > MAX_LIVE_ENTRIES:
                    raise
            verify_manifest(said.manifest, walked(anchor, tokens))
    except grpc.aio.AioRpcError as error:
        raise failure_from_rpc_error(error) from None
    except FeedError as error:
        raise FeedError(
            "the hub that answers is not the one of the trust anchor", code=FeedFault(error.code)
        ) from None
    finally:
        call.cancel()


def challenge_binding(member_urn: str, hub_urn: str) -> Binding:
    """What the challenge of an enrolment is bound to."""
    return Binding(origin=member_urn, caller=hub_urn, purpose=CHALLENGE_PURPOSE)


def enrol_request(
    identity: MemberIdentity,
    *,
    hub_urn: str,
    now: datetime,
    schemes: Sequence[Mapping[str, Any]] = (),
    policy: Mapping[str, Any] | None = None,
    report: bytes = b"",
) -> pb.EnrolRequest:
    """Sign an enrolment.

    Args:
        identity: who enrols.
        hub_urn: with which hub; the proofs are worth nothing elsewhere.
        now: the clock.
        schemes: scheme documents to publish on approval.
        policy: policy document to publish on approval.
        report: of the conformance checks, for the operators; empty: none.
    """
    urn = identity.body.urn
    statement = sign_statement(
        StatementKind.ENROLMENT, urn, identity.body.to_body(), identity.state_key, now=now
    )
    digest = statement_digest(statement)

    def state(kind: StatementKind, document: Mapping[str, Any]) -> str:
        return sign_statement(kind, urn, dict(document), identity.state_key, now=now)

    return pb.EnrolRequest(
        statement=statement,
        key_proofs=[
            key_proof(key, digest, issuer=urn, audience=hub_urn, now=now)
            for key in identity.signing_keys
        ],
        schemes=[state(StatementKind.SCHEME, document) for document in schemes],
        policy="" if policy is None else state(StatementKind.POLICY, policy),
        report=report,
    )


def open_challenges(
    identity: MemberIdentity, challenges: Sequence[pb.SealedChallenge], *, hub_urn: str
) -> list[pb.OpenedChallenge]:
    """Open the challenges of one's own sealing keys.

    Raises:
        RpcFailure: ``SEALING_KEY_UNKNOWN``: one is sealed to a foreign key.
        SealingError: one does not open.
    """
    keys = {key.key_id: key for key in identity.sealing_keys}
    binding = challenge_binding(identity.body.urn, hub_urn)
    opened = []
    for challenge in challenges:
        key = keys.get(challenge.key_id)
        if key is None:
            raise RpcFailure("SEALING_KEY_UNKNOWN", "a challenge names a foreign key")
        plaintext = open_question(key, challenge.envelope, binding)
        opened.append(pb.OpenedChallenge(key_id=challenge.key_id, plaintext=plaintext))
    return opened


async def enrol(
    channel: grpc.aio.Channel,
    identity: MemberIdentity,
    *,
    hub_urn: str,
    now: datetime,
    schemes: Sequence[Mapping[str, Any]] = (),
    policy: Mapping[str, Any] | None = None,
    report: bytes = b"",
    timeout_seconds: float = CALL_SECONDS,
) -> Enrolled:
    """Enrol and prove possession of every key.

    Raises:
        RpcFailure: the hub refuses or cannot be reached.
        SealingError: a challenge does not open.
    """
    request = enrol_request(
        identity, hub_urn=hub_urn, now=now, schemes=schemes, policy=policy, report=report
    )
    stub = pb_grpc.RegistryServiceStub(channel)
    try:
        enrolled = await stub.Enrol(request, timeout=timeout_seconds)
        state = enrolled.state
        if enrolled.challenges:
            proven = await stub.ProvePossession(
                pb.ProvePossessionRequest(
                    enrolment_id=enrolled.enrolment_id,
                    challenges=open_challenges(identity, enrolled.challenges, hub_urn=hub_urn),
                ),
                timeout=timeout_seconds,
            )
            state = proven.state
    except grpc.aio.AioRpcError as error:
        raise failure_from_rpc_error(error) from None
    return Enrolled(enrolled.enrolment_id, _state_name(state))


async def enrolment_state(channel: grpc.aio.Channel, enrolment_id: str) -> str:
    """Ask how far an enrolment is; return its state, for example ``PENDING``.

    Raises:
        RpcFailure: the hub does not know it, or cannot be reached.
    """
    return (await enrolment_progress(channel, enrolment_id)).state


async def enrolment_progress(channel: grpc.aio.Channel, enrolment_id: str) -> Progress:
    """Ask how far an enrolment is, and how many operators have yet to approve it.

    Raises:
        RpcFailure: the hub does not know it, or cannot be reached.
    """
    try:
        response = await pb_grpc.RegistryServiceStub(channel).GetEnrolment(
            pb.GetEnrolmentRequest(enrolment_id=enrolment_id), timeout=ASK_SECONDS
        )
    except grpc.aio.AioRpcError as error:
        raise failure_from_rpc_error(error) from None
    member = response.member
    return Progress(
        _state_name(member.state),
        max(0, member.approvals_needed - len(member.approved_by)),
    )


async def await_decision(
    channel: grpc.aio.Channel, enrolment_id: str, *, poll_seconds: float = POLL_SECONDS
) -> str:
    """Ask until an operator has decided; return ``ACTIVE`` or ``SUSPENDED``.

    Raises:
        RpcFailure: as :func:`enrolment_state`.
    """
    while True:
        state = await enrolment_state(channel, enrolment_id)
        if state in _DECIDED:
            return state
        await asyncio.sleep(poll_seconds)


def _state_name(state: pb.MemberState.ValueType) -> str:
    try:
        name = pb.MemberState.Name(state)
    except ValueError:  # one that a newer hub has added
        return "UNSPECIFIED"
    return name.removeprefix("MEMBER_STATE_")
