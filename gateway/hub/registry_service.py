"""Serves ``hutong.v1.RegistryService``: protobuf and authorisation around the registry.

Enrolling and proving need no token, the proofs speak. Reading needs the scope
``registry.read``, changing ``registry.approve``, publishing ``registry.publish``.
A page token is bound to the caller and to the filter, so that it is worth
nothing to anybody else and cannot be made up.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import registry_service_pb2 as pb
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from gateway.attestation import base64url
from gateway.hub.errors import RegistryError
from gateway.hub.trust_rpcs import TrustRpcs
from gateway.trust import MemberState
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from datetime import datetime

    import grpc

    from gateway.hub.access import AccessControl
    from gateway.hub.members import Member
    from gateway.hub.registry import Registry

    Context = grpc.aio.ServicerContext[Any, Any]

REGISTRY_SERVICE: Final = "hutong.v1.RegistryService"
"""Full name, for health and registration."""

READ_SCOPE: Final = "registry.read"
APPROVE_SCOPE: Final = "registry.approve"
PUBLISH_SCOPE: Final = "registry.publish"

DEFAULT_PAGE_SIZE: Final = 100
"""``ListMembersRequest.page_size`` of zero, as ``registry_service.proto`` says."""

ENROLMENT_RETRY_SECONDS: Final = 60.0
"""After a minute the window has moved on."""

_MAC_BYTES: Final = 32

_log = structlog.get_logger(__name__)


class RegistryService(TrustRpcs):
    """The service.

    Args:
        registry: does the work.
        access: verifies tokens.
        page_secret: key of the page tokens; the same in every process of a hub.
        enrolments_per_minute: enrolments taken from one address.
    """

    def __init__(
        self,
        registry: Registry,
        access: AccessControl,
        *,
        page_secret: bytes,
        enrolments_per_minute: int,
    ) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_address = RateLimitItemPerMinute(enrolments_per_minute)
        self._registry = registry
        self._access = access
        self._page_secret = page_secret

    async def Enrol(  # noqa: N802  the name of the RPC
        self, request: pb.EnrolRequest, context: Context
    ) -> pb.EnrolResponse:
        """Take an enrolment in."""
        if not await self._limiter.hit(self._per_address, _address(context)):
            raise RpcFailure(
                "OVERLOADED",
                "too many enrolments from this address",
                retry_after_seconds=ENROLMENT_RETRY_SECONDS,
            )
        enrolled = await self._registry.enrol(
            request.statement, request.key_proofs, request.schemes, request.policy
        )
        return pb.EnrolResponse(
            enrolment_id=enrolled.enrolment_id,
            state=_state_to_proto(enrolled.state),
            challenges=[
                pb.SealedChallenge(key_id=challenge.key_id, envelope=challenge.envelope)
                for challenge in enrolled.challenges
            ],
            expires_at=_timestamp(enrolled.expires_at),
        )

    async def ProvePossession(  # noqa: N802  the name of the RPC
        self, request: pb.ProvePossessionRequest, context: Context
    ) -> pb.ProvePossessionResponse:
        """Take opened challenges in."""
        del context
        opened = {item.key_id: item.plaintext for item in request.challenges}
        if len(opened) != len(request.challenges):
            raise RpcFailure("INVALID_REQUEST", "a challenge stands twice")
        state = await self._registry.prove(request.enrolment_id, opened)
        return pb.ProvePossessionResponse(state=_state_to_proto(state))

    async def GetEnrolment(  # noqa: N802  the name of the RPC
        self, request: pb.GetEnrolmentRequest, context: Context
    ) -> pb.GetEnrolmentResponse:
        """Say how far an enrolment is, to whoever holds its id."""
        del context
        member = await self._registry.enrolled(request.enrolment_id)
        return pb.GetEnrolmentResponse(member=member_to_proto(member))

    async def ListMembers(  # noqa: N802  the name of the RPC
        self, request: pb.ListMembersRequest, context: Context
    ) -> pb.ListMembersResponse:
        """List members by URN."""
        access, _ = self._access.require(context, READ_SCOPE)
        state = MemberState[_state_name(request.state)] if request.state else None
        after = self._read_page_token(request.page_token, access.caller, request.state)
        members, has_more = self._registry.members.page(
            after=after, limit=request.page_size or DEFAULT_PAGE_SIZE, state=state
        )
        token = ""
        if has_more:
            token = self._page_token(members[-1].row.urn, access.caller, request.state)
        return pb.ListMembersResponse(
            members=[member_to_proto(member) for member in members], next_page_token=token
        )

    async def Approve(  # noqa: N802  the name of the RPC
        self, request: pb.ApproveRequest, context: Context
    ) -> pb.ApproveResponse:
        """Make a member active and publish it."""
        access, _ = self._access.require(context, APPROVE_SCOPE)
        changed = await self._registry.approve(request.urn)
        _log.info(
            "member_approved", member=request.urn, by=access.caller, sequence=changed.sequence
        )
        return pb.ApproveResponse(member=member_to_proto(changed.member), sequence=changed.sequence)

    async def Suspend(  # noqa: N802  the name of the RPC
        self, request: pb.SuspendRequest, context: Context
    ) -> pb.SuspendResponse:
        """Stop a member at once and publish it."""
        access, _ = self._access.require(context, APPROVE_SCOPE)
        changed = await self._registry.suspend(request.urn, by=access.caller)
        _log.info(
            "member_suspended",
            member=request.urn,
            by=access.caller,
            reason=request.reason,
            sequence=changed.sequence,
        )
        return pb.SuspendResponse(member=member_to_proto(changed.member), sequence=changed.sequence)

    async def PublishStatement(  # noqa: N802  the name of the RPC
        self, request: pb.PublishStatementRequest, context: Context
    ) -> pb.PublishStatementResponse:
        """Put a scheme or policy into the feed."""
        access, _ = self._access.require(context, PUBLISH_SCOPE)
        sequence = await self._registry.publish(access.caller, request.statement)
        _log.info("statement_published", member=access.caller, sequence=sequence)
        return pb.PublishStatementResponse(sequence=sequence)

    def _page_token(self, urn: str, caller: str, state: int) -> str:
        return base64url.encode(self._page_mac(urn, caller, state) + urn.encode())

    def _read_page_token(self, token: str, caller: str, state: int) -> str:
        if not token:
            return ""
        try:
            data = base64url.decode(token.encode("ascii"))
            mac, urn = data[:_MAC_BYTES], data[_MAC_BYTES:].decode("ascii")
        except ValueError:
            raise RegistryError("the page token is malformed", code="PAGE_TOKEN_INVALID") from None
        if not hmac.compare_digest(mac, self._page_mac(urn, caller, state)):
            raise RegistryError("the page token is another caller's", code="PAGE_TOKEN_INVALID")
        return urn

    def _page_mac(self, urn: str, caller: str, state: int) -> bytes:
        text = f"{len(urn)}:{urn}{len(caller)}:{caller}{state}".encode()
        return hmac.digest(self._page_secret, text, hashlib.sha256)


def _address(context: Context) -> str:
    """The caller's address without its port: ``ipv4:192.0.2.1``, ``ipv6:[2001:db8::1]``."""
    return str(context.peer()).rpartition(":")[0]


def member_to_proto(member: Member) -> pb.Member:
    """The member as the registry shows it."""
    is_active = member.state is MemberState.ACTIVE
    return pb.Member(
        urn=member.row.urn,
        kind=pb.MemberKind.Value(f"MEMBER_KIND_{member.row.kind}"),
        state=_state_to_proto(member.state),
        display_name=member.row.display_name,
        prefixes=member.body.prefixes,
        endpoint=member.body.endpoint or "",
        key_ids=[key.key_id for key in member.body.keys],
        changed_at=_timestamp(member.row.changed_at),
        enrolment_id="" if is_active else member.row.enrolment_id,
    )


def _state_to_proto(state: MemberState) -> pb.MemberState.ValueType:
    return pb.MemberState.Value(f"MEMBER_STATE_{state.name}")


def _state_name(state: pb.MemberState.ValueType) -> str:
    return pb.MemberState.Name(state).removeprefix("MEMBER_STATE_")


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
