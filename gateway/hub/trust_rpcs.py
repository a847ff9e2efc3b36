"""The half of ``hutong.v1.RegistryService`` on living trust: keys, distrust, audit.

Who may do what, beyond ``registry_service.proto``: a member acts for itself with the
scope ``registry.publish``; an operator reads with ``registry.read`` and acts with
``registry.approve``. Nothing of another member is told to a member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

from gateway.hub.access import bearer_token
from gateway.hub.distrusting import rule_from_proto
from gateway.hub.errors import RegistryError
from gateway.hub.page_tokens import PageTokens
from gateway.hub.reader_counts import count_to_proto
from gateway.hub.registry_proto import (
    allowance_to_proto,
    challenge_to_proto,
    finding_to_proto,
    key_to_proto,
    member_to_proto,
    timestamp,
)

if TYPE_CHECKING:
    import grpc

    from gateway.hub.access import AccessControl
    from gateway.hub.members import Member
    from gateway.hub.registry import Registry
    from gateway.hub.trust_parts import TrustParts

    Context = grpc.aio.ServicerContext[Any, Any]

READ_SCOPE: Final = "registry.read"
APPROVE_SCOPE: Final = "registry.approve"
PUBLISH_SCOPE: Final = "registry.publish"

DEFAULT_PAGE_SIZE: Final = 100
"""``page_size`` of zero, as ``registry_service.proto`` says."""

_log = structlog.get_logger(__name__)


class TrustRpcs(pb_grpc.RegistryServiceServicer):
    """Mixed into the registry service.

    Args:
        registry: does the work.
        access: verifies tokens.
        parts: does the rest of it.
        page_secret: key of the page tokens.
    """

    def __init__(
        self, registry: Registry, access: AccessControl, parts: TrustParts, *, page_secret: bytes
    ) -> None:
        self._registry = registry
        self._access = access
        self._parts = parts
        self._audit_pages = PageTokens(page_secret, "ListAudit")

    async def Withdraw(  # noqa: N802  the name of the RPC
        self, request: pb.WithdrawRequest, context: Context
    ) -> pb.WithdrawResponse:
        """End a member for good."""
        caller, is_operator = self._actor(context, APPROVE_SCOPE)
        if not is_operator and request.urn != caller:
            raise RegistryError("no such member", code="NOT_FOUND")
        changed = await self._registry.withdraw(request.urn, by=caller, reason=request.reason)
        _log.info("member_withdrawn", member=request.urn, by=caller, sequence=changed.sequence)
        return pb.WithdrawResponse(member=self._member(changed.member), sequence=changed.sequence)

    async def ChangeKeys(  # noqa: N802  the name of the RPC
        self, request: pb.ChangeKeysRequest, context: Context
    ) -> pb.ChangeKeysResponse:
        """Take a change of keys."""
        access, _ = self._access.require(context, PUBLISH_SCOPE)
        changed = await self._registry.change_keys(
            access.caller, request.statement, request.key_proofs
        )
        _log.info("keys_changed", member=access.caller, sequence=changed.sequence)
        return pb.ChangeKeysResponse(
            enrolment_id=changed.enrolment_id,
            challenges=[challenge_to_proto(item) for item in changed.challenges],
            expires_at=None if changed.expires_at is None else timestamp(changed.expires_at),
            sequence=changed.sequence,
        )

    async def Rehearse(  # noqa: N802  the name of the RPC
        self, request: pb.RehearseRequest, context: Context
    ) -> pb.RehearseResponse:
        """Begin a rehearsal."""
        access, _ = self._access.require(context, PUBLISH_SCOPE)
        sharing = self._parts.sharing
        await sharing.refresh()
        rehearsal, sequence = await self._parts.rehearsals.begin(access.caller, request.statement)
        return pb.RehearseResponse(
            rehearsal=rehearsal, sequence=sequence, connected=sharing.watchers
        )

    async def GetRehearsal(  # noqa: N802  the name of the RPC
        self, request: pb.GetRehearsalRequest, context: Context
    ) -> pb.GetRehearsalResponse:
        """Tell what the edges said so far."""
        caller, is_operator = self._actor(context, READ_SCOPE)
        asked_by = None if is_operator else caller
        self._parts.rehearsals.check(request.rehearsal, asked_by=asked_by)
        # Half of the readers would look like all of them: without the store, no answer.
        await self._parts.sharing.refresh(request.rehearsal)
        result = self._parts.rehearsals.result(request.rehearsal, asked_by=asked_by)
        elsewhere = await self._parts.reader_counts.elsewhere(rehearsal=request.rehearsal)
        return pb.GetRehearsalResponse(
            connected=result.connected,
            verified=result.verified,
            failures=[
                pb.RehearsalFailure(edge=edge, reason=reason)
                for edge, reason in result.failures.items()
            ],
            silent=result.silent,
            elsewhere=[count_to_proto(count) for count in elsewhere.hubs],
            unknown=elsewhere.unknown,
        )

    async def PreviewDistrust(  # noqa: N802  the name of the RPC
        self, request: pb.PreviewDistrustRequest, context: Context
    ) -> pb.PreviewDistrustResponse:
        """Tell what a distrust would touch."""
        self._access.require(context, APPROVE_SCOPE)
        preview = await self._parts.distrusting.preview(rule_from_proto(request.rule))
        await self._parts.sharing.refresh()
        return pb.PreviewDistrustResponse(
            attestations=preview.attestations or 0,
            counted=preview.attestations is not None,
            edges_connected=self._parts.sharing.watchers,
            callers=preview.callers,
            published=preview.published,
            uncounted=preview.uncounted,
            elsewhere=[count_to_proto(count) for count in preview.elsewhere],
            unknown=preview.unknown,
        )

    async def Distrust(  # noqa: N802  the name of the RPC
        self, request: pb.DistrustRequest, context: Context
    ) -> pb.DistrustResponse:
        """Publish a distrust."""
        access, _ = self._access.require(context, APPROVE_SCOPE)
        rule = rule_from_proto(request.rule)
        distrust, sequence = await self._parts.distrusting.distrust(
            rule, by=access.caller, reason=request.reason
        )
        _log.warning(
            "distrusted", distrust=distrust, issuer=rule.issuer, by=access.caller, sequence=sequence
        )
        return pb.DistrustResponse(distrust=distrust, sequence=sequence)

    async def UndoDistrust(  # noqa: N802  the name of the RPC
        self, request: pb.UndoDistrustRequest, context: Context
    ) -> pb.UndoDistrustResponse:
        """Take a distrust back."""
        access, _ = self._access.require(context, APPROVE_SCOPE)
        sequence = await self._parts.distrusting.undo(
            request.distrust, by=access.caller, reason=request.reason
        )
        _log.warning("distrust_undone", distrust=request.distrust, by=access.caller)
        return pb.UndoDistrustResponse(sequence=sequence)

    async def Lint(  # noqa: N802  the name of the RPC
        self, request: pb.LintRequest, context: Context
    ) -> pb.LintResponse:
        """Check a statement without publishing it."""
        access, _ = self._access.require(context, PUBLISH_SCOPE)
        findings = await self._parts.standings.lint(
            access.caller, request.statement, reach=request.reach
        )
        return pb.LintResponse(findings=[finding_to_proto(item) for item in findings])

    async def GetStanding(  # noqa: N802  the name of the RPC
        self, request: pb.GetStandingRequest, context: Context
    ) -> pb.GetStandingResponse:
        """Tell how a member stands."""
        caller, is_operator = self._actor(context, READ_SCOPE)
        urn = request.urn or caller
        if not is_operator and urn != caller:
            raise RegistryError("no such member", code="NOT_FOUND")
        await self._parts.sharing.refresh()
        standing = await self._parts.standings.standing(urn)
        now = self._registry.now()
        return pb.GetStandingResponse(
            member=self._hub() if standing.member is None else self._member(standing.member),
            keys=[key_to_proto(key, now) for key in standing.keys],
            findings=[finding_to_proto(item) for item in standing.findings],
            sequence=self._parts.feed.sequence,
            readers=[
                pb.ReaderStanding(
                    reader=reader.urn, sequence=reader.sequence, seen_at=timestamp(reader.seen_at)
                )
                for reader in standing.readers
            ],
            readers_connected=self._parts.sharing.watchers,
        )

    async def ListAudit(  # noqa: N802  the name of the RPC
        self, request: pb.ListAuditRequest, context: Context
    ) -> pb.ListAuditResponse:
        """List the audit, newest first."""
        access, _ = self._access.require(context, READ_SCOPE)
        limit = request.page_size or DEFAULT_PAGE_SIZE
        place = self._audit_pages.read(request.page_token, access.caller, request.subject)
        subject = request.subject.replace("\0", "")
        rows = await self._parts.store.audit(
            subject=subject, before=int(place) if place else 0, limit=limit + 1
        )
        shown = rows[:limit]
        token = ""
        if len(rows) > limit:
            token = self._audit_pages.make(str(shown[-1].number), access.caller, request.subject)
        return pb.ListAuditResponse(
            records=[
                pb.AuditRecord(
                    number=row.number,
                    at=timestamp(row.at),
                    actor=row.actor,
                    action=row.action,
                    subject=row.subject,
                    reason=row.reason,
                    sequence=row.sequence,
                )
                for row in shown
            ],
            next_page_token=token,
        )

    def _actor(self, context: Context, operator_scope: str) -> tuple[str, bool]:
        """Authenticate an operator, or a member that acts for itself.

        Raises:
            RpcFailure: as ``AccessControl.require``.
        """
        access = self._access.authenticate(bearer_token(context))
        is_operator = operator_scope in access.scopes or PUBLISH_SCOPE not in access.scopes
        self._access.authorise(access, operator_scope if is_operator else PUBLISH_SCOPE)
        return access.caller, is_operator

    def _hub(self) -> pb.Member:
        """The hub itself, as far as it is one of its members: by its name and its keys."""
        return pb.Member(
            urn=self._parts.feed.hub,
            kind=pb.MEMBER_KIND_HUB,
            state=pb.MEMBER_STATE_ACTIVE,
        )

    def _member(self, member: Member) -> pb.Member:
        around = self._parts.around
        return member_to_proto(
            member,
            approvals_needed=self._registry.approvals_needed(member.body.kind),
            allowance=allowance_to_proto(
                member,
                self._registry.constraint(member.body.urn),
                None if around is None else around.path_length,
            ),
        )
