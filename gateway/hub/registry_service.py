"""Serves ``hutong.v1.RegistryService``: protobuf and authorisation around the registry.

Enrolling and proving need no token, the proofs speak. Reading needs the scope
``registry.read``, changing ``registry.approve``, publishing ``registry.publish``.
A page token is bound to the caller and to the filter, so that it is worth
nothing to anybody else and cannot be made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from hutong.v1 import registry_service_pb2 as pb
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from gateway.hub.packs import PackRpcs
from gateway.hub.page_tokens import PageTokens
from gateway.hub.registry_proto import challenge_to_proto, state_name, state_to_proto, timestamp
from gateway.hub.trust_rpcs import (
    APPROVE_SCOPE,
    DEFAULT_PAGE_SIZE,
    PUBLISH_SCOPE,
    READ_SCOPE,
    TrustRpcs,
)
from gateway.trust import MemberState
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    import grpc

    from gateway.hub.access import AccessControl
    from gateway.hub.registry import Registry
    from gateway.hub.trust_parts import TrustParts

    Context = grpc.aio.ServicerContext[Any, Any]

REGISTRY_SERVICE: Final = "hutong.v1.RegistryService"
"""Full name, for health and registration."""

ENROLMENT_RETRY_SECONDS: Final = 60.0
"""After a minute the window has moved on."""

_log = structlog.get_logger(__name__)


class RegistryService(TrustRpcs, PackRpcs):
    """The service.

    Args:
        registry: does the work.
        access: verifies tokens.
        parts: serves the calls on living trust.
        page_secret: key of the page tokens; the same in every process of a hub.
        enrolments_per_minute: enrolments taken from one address.
    """

    def __init__(
        self,
        registry: Registry,
        access: AccessControl,
        parts: TrustParts,
        *,
        page_secret: bytes,
        enrolments_per_minute: int,
    ) -> None:
        super().__init__(registry, access, parts, page_secret=page_secret)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_address = RateLimitItemPerMinute(enrolments_per_minute)
        self._pages = PageTokens(page_secret, "ListMembers")

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
            request.statement, request.key_proofs, request.schemes, request.policy, request.report
        )
        return pb.EnrolResponse(
            enrolment_id=enrolled.enrolment_id,
            state=state_to_proto(enrolled.state),
            challenges=[challenge_to_proto(challenge) for challenge in enrolled.challenges],
            expires_at=timestamp(enrolled.expires_at),
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
        return pb.ProvePossessionResponse(state=state_to_proto(state))

    async def GetEnrolment(  # noqa: N802  the name of the RPC
        self, request: pb.GetEnrolmentRequest, context: Context
    ) -> pb.GetEnrolmentResponse:
        """Say how far an enrolment is, to whoever holds its id."""
        del context
        member = await self._registry.enrolled(request.enrolment_id)
        return pb.GetEnrolmentResponse(member=self._member(member))

    async def ListMembers(  # noqa: N802  the name of the RPC
        self, request: pb.ListMembersRequest, context: Context
    ) -> pb.ListMembersResponse:
        """List members by URN."""
        access, _ = self._access.require(context, READ_SCOPE)
        state = MemberState[state_name(request.state)] if request.state else None
        after = self._pages.read(request.page_token, access.caller, str(request.state))
        members, has_more = self._registry.members.page(
            after=after, limit=request.page_size or DEFAULT_PAGE_SIZE, state=state
        )
        token = ""
        if has_more:
            token = self._pages.make(members[-1].row.urn, access.caller, str(request.state))
        return pb.ListMembersResponse(
            members=[self._member(member) for member in members], next_page_token=token
        )

    async def Approve(  # noqa: N802  the name of the RPC
        self, request: pb.ApproveRequest, context: Context
    ) -> pb.ApproveResponse:
        """Make a member active and publish it."""
        access, _ = self._access.require(context, APPROVE_SCOPE)
        changed = await self._registry.approve(request.urn, by=access.caller)
        _log.info(
            "member_approved", member=request.urn, by=access.caller, sequence=changed.sequence
        )
        return pb.ApproveResponse(member=self._member(changed.member), sequence=changed.sequence)

    async def Suspend(  # noqa: N802  the name of the RPC
        self, request: pb.SuspendRequest, context: Context
    ) -> pb.SuspendResponse:
        """Stop a member at once and publish it."""
        access, _ = self._access.require(context, APPROVE_SCOPE)
        changed = await self._registry.suspend(request.urn, by=access.caller, reason=request.reason)
        _log.info(
            "member_suspended",
            member=request.urn,
            by=access.caller,
            reason=request.reason,
            sequence=changed.sequence,
        )
        return pb.SuspendResponse(member=self._member(changed.member), sequence=changed.sequence)

    async def PublishStatement(  # noqa: N802  the name of the RPC
        self, request: pb.PublishStatementRequest, context: Context
    ) -> pb.PublishStatementResponse:
        """Put a scheme or policy into the feed."""
        access, _ = self._access.require(context, PUBLISH_SCOPE)
        sequence = await self._registry.publish(access.caller, request.statement)
        _log.info("statement_published", member=access.caller, sequence=sequence)
        return pb.PublishStatementResponse(sequence=sequence)


def _address(context: Context) -> str:
    """The caller's address without its port: ``ipv4:192.0.2.1``, ``ipv6:[2001:db8::1]``."""
    return str(context.peer()).rpartition(":")[0]
