"""The registry of the reference hub: enrolment, approval, the end of members, the service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError, abort
from conformance_tests.peer.hub_below import ReferenceBelow
from conformance_tests.peer.hub_book import (
    EXISTS,
    INVALID,
    NOT_FOUND,
    PRECONDITION,
    PeerMember,
    check_new_key,
    kid_of,
)
from conformance_tests.peer.hub_decisions import ReferenceDecisions
from conformance_tests.peer.hub_keys import ReferenceKeys
from conformance_tests.peer.hub_publishing import ReferencePublishing
from conformance_tests.peer.hub_unserved import UnservedRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conformance_tests.peer.hub_book import Book
    from conformance_tests.peer.hub_links import ReferenceLinks

_Context = grpc.aio.ServicerContext[Any, Any]
_Answer = TypeVar("_Answer")
_CHALLENGE_BYTES = 32
_APPROVALS = 2


class ReferenceRegistry(UnservedRegistry):
    """Decides as the specification asks, but for the one fault of its book."""

    def __init__(self, book: Book, links: ReferenceLinks) -> None:
        self._book = book
        self._links = links
        self._publishing = ReferencePublishing(book)
        self._keys = ReferenceKeys(book, self.challenge)
        self._decisions = ReferenceDecisions(book)
        self.below = ReferenceBelow(book)

    # -- enrolment ----------------------------------------------------------------

    def _enrol(self, request: pb.EnrolRequest) -> pb.EnrolResponse:
        book = self._book
        body = crypto.unsafe_claims(request.statement)["body"]
        member = PeerMember(body["urn"], body["kind"], body, "challenged")
        for key in body["keys"]:
            check_new_key(book.fault, key)
        member.keys = [dict(key) for key in body["keys"]]
        self._check_division(member)
        ids = [key["jwk"]["kid"] for key in member.keys]
        if len(set(ids)) != len(ids) and book.fault != "key-of-two-uses":
            raise RefusedError(INVALID, "KEY_MALFORMED")
        state = {key["jwk"]["kid"] for key in member.keys if key["use"] == "state"}
        signing = member.named()
        if kid_of(request.statement) in state or book.fault != "enrolment-by-any-key":
            signing = {kid: key for kid, key in signing.items() if kid in state}
        claims = book.statement(request.statement, signing, "statement-by-stranger-taken")
        if claims["iss"] != member.urn or claims["kind"] != "enrolment":
            raise RefusedError(INVALID, "STATEMENT_INVALID")
        signer = kid_of(request.statement)
        further = [
            key for key in member.keys if key["use"] != "seal" and key["jwk"]["kid"] != signer
        ]
        book.prove(request.statement, member.urn, list(request.key_proofs), further)
        self._check_free(member, ids)
        for token in request.schemes:
            member.waiting.append(self._publishing.checked(member, token))
        sealing = [key for key in member.keys if key["use"] == "seal"]
        challenges = [self.challenge(member.urn, key, member.challenges) for key in sealing]
        member.enrolment = crypto.random_text()
        member.state = "challenged" if challenges else "pending"
        granted = member.kind == "hub" and book.fault == "hubs-below-granted"
        member.path_length = 1 if granted else 0
        book.members[member.urn] = member
        return pb.EnrolResponse(
            enrolment_id=member.enrolment,
            state=member.to_proto().state,
            challenges=challenges,
        )

    def _check_division(self, member: PeerMember) -> None:
        own = member.urn.split(":")[3]
        while own.endswith("00"):
            own = own[:-2]
        inside = all(prefix.startswith(own) for prefix in member.prefixes)
        if not inside and self._book.fault != "prefix-outside-taken":
            raise RefusedError(INVALID, "STATEMENT_INVALID")

    def _check_free(self, member: PeerMember, ids: list[str]) -> None:
        book = self._book
        before = book.members.get(member.urn)
        if before is not None and before.approved and before.state != "withdrawn":
            raise RefusedError(EXISTS, "AUTHORITY_EXISTS")
        for other in book.members.values():
            holds = other.approved and other.state != "withdrawn" and other is not before
            taken = holds and set(other.prefixes) & set(member.prefixes)
            if taken and book.fault != "prefix-taken-twice":
                raise RefusedError(EXISTS, "PREFIX_TAKEN")
        for kid in ids:
            others = book.held.get(kid, member.urn) != member.urn
            if kid in book.past and book.fault != "ended-key-taken":
                raise RefusedError(INVALID, "KEY_MALFORMED")
            if others and kid not in book.past and book.fault != "key-of-another-member":
                raise RefusedError(INVALID, "KEY_MALFORMED")

    def challenge(
        self, urn: str, key: dict[str, Any], kept: dict[str, bytes]
    ) -> pb.SealedChallenge:
        """Seal random bytes to a key and remember them."""
        seal = crypto.load_seal_key(key["jwk"])
        kept[seal.kid] = os.urandom(_CHALLENGE_BYTES)
        binding = crypto.Binding(urn, self._book.hub, "ENROLMENT")
        envelope = crypto.seal_question(seal, kept[seal.kid], binding)
        return pb.SealedChallenge(key_id=seal.kid, envelope=envelope)

    def _prove(self, request: pb.ProvePossessionRequest) -> pb.ProvePossessionResponse:
        book = self._book
        opened = {each.key_id: each.plaintext for each in request.challenges}
        for member in book.members.values():
            changes = member.change_id == request.enrolment_id
            if not changes and member.enrolment != request.enrolment_id:
                continue
            if opened != member.challenges and book.fault != "challenge-unchecked":
                raise RefusedError(PRECONDITION, "POSSESSION_NOT_PROVEN")
            member.challenges = {}
            if changes:
                self._keys.proven(member)
            else:
                member.state = "pending"
                book.held |= {key["jwk"]["kid"]: member.urn for key in member.keys}
            return pb.ProvePossessionResponse(state=member.to_proto().state)
        raise RefusedError(NOT_FOUND, "NOT_FOUND")

    # -- decisions ----------------------------------------------------------------

    def _member(self, urn: str) -> PeerMember:
        found = self._book.members.get(urn)
        if found is None:
            raise RefusedError(NOT_FOUND, "NOT_FOUND")
        return found

    def _approve(self, urn: str, by: str) -> pb.ApproveResponse:
        book, member = self._book, self._member(urn)
        waits = {"pending", "suspended"}
        if member.state == "challenged" and book.fault == "approved-unproven":
            waits.add("challenged")
        if member.state not in waits:
            raise RefusedError(PRECONDITION, "WRONG_STATE")
        if by not in member.approvals or book.fault == "operator-counted-twice":
            member.approvals.append(by)
        sequence = 0
        if len(member.approvals) >= _APPROVALS or member.approved:
            member.state, member.approved = "active", True
            sequence = book.publish_record(member)
            book.warn(member)
            for kind, subject, token in member.waiting:
                sequence = book.write(kind, subject, {"statement": token})
                member.published[kind, subject] = token
            member.waiting = []
            book.held |= {key["jwk"]["kid"]: member.urn for key in member.keys}
        book.note("approve", urn, by, "", sequence)
        book.changed()
        return pb.ApproveResponse(member=member.to_proto(), sequence=sequence)

    def _suspend(self, request: pb.SuspendRequest, by: str) -> pb.SuspendResponse:
        book, member = self._book, self._member(request.urn)
        if member.state in {"suspended", "withdrawn"}:
            raise RefusedError(PRECONDITION, "WRONG_STATE")
        member.state = "suspended"
        sequence = book.publish_record(member) if member.approved else 0
        action = "suspend" if member.approved else "reject"
        book.note(action, member.urn, by, request.reason, sequence)
        book.changed()
        return pb.SuspendResponse(member=member.to_proto(), sequence=sequence)

    def _withdraw(self, request: pb.WithdrawRequest, by: str) -> pb.WithdrawResponse:
        book, member = self._book, self._member(request.urn)
        if not member.approved or member.state == "withdrawn":
            raise RefusedError(PRECONDITION, "WRONG_STATE")
        member.state = "withdrawn"
        for kind, subject in member.published:
            if book.fault != "published-outlives-member":
                book.tombstone(kind, subject, request.reason)
        member.published = {}
        if member.warned:
            book.tombstone("notice", f"{member.urn}#key-expiring", request.reason)
        book.past |= {key["jwk"]["kid"] for key in member.keys}
        sequence = 0
        if member.kind in {"region", "hub"}:
            sequence = book.publish_record(member)
        book.note("withdraw", member.urn, by, request.reason, sequence)
        book.changed()
        return pb.WithdrawResponse(member=member.to_proto(), sequence=sequence)

    # -- the service ----------------------------------------------------------------

    async def _serve(self, context: _Context, answer: Callable[[], _Answer]) -> _Answer:
        try:
            return answer()
        except RefusedError as error:
            await abort(context, error)

    async def Enrol(  # noqa: N802 - the service's own name
        self, request: pb.EnrolRequest, context: _Context
    ) -> pb.EnrolResponse:
        """Take an enrolment in."""
        return await self._serve(context, lambda: self._enrol(request))

    async def ProvePossession(  # noqa: N802 - the service's own name
        self, request: pb.ProvePossessionRequest, context: _Context
    ) -> pb.ProvePossessionResponse:
        """Take opened challenges in."""
        return await self._serve(context, lambda: self._prove(request))

    async def Approve(  # noqa: N802 - the service's own name
        self, request: pb.ApproveRequest, context: _Context
    ) -> pb.ApproveResponse:
        """Count an approval."""
        book = self._book
        member = book.members.get(request.urn)
        try:
            if member is not None and member.kind == "hub" and member.state == "pending":
                await self.below.check(member)
        except RefusedError as error:
            await abort(context, error)
        return await self._serve(
            context,
            lambda: self._approve(request.urn, book.caller(context, "registry.approve").urn),
        )

    async def Suspend(  # noqa: N802 - the service's own name
        self, request: pb.SuspendRequest, context: _Context
    ) -> pb.SuspendResponse:
        """Stop a member."""
        book = self._book
        return await self._serve(
            context, lambda: self._suspend(request, book.caller(context, "registry.approve").urn)
        )

    async def Withdraw(  # noqa: N802 - the service's own name
        self, request: pb.WithdrawRequest, context: _Context
    ) -> pb.WithdrawResponse:
        """End a member."""
        book = self._book
        return await self._serve(
            context, lambda: self._withdraw(request, book.caller(context, "registry.approve").urn)
        )

    async def PublishStatement(  # noqa: N802 - the service's own name
        self, request: pb.PublishStatementRequest, context: _Context
    ) -> pb.PublishStatementResponse:
        """Publish a scheme or policy."""
        book = self._book
        return await self._serve(
            context,
            lambda: self._publishing.publish(
                book.caller(context, "registry.publish"), request.statement
            ),
        )

    async def ChangeKeys(  # noqa: N802 - the service's own name
        self, request: pb.ChangeKeysRequest, context: _Context
    ) -> pb.ChangeKeysResponse:
        """Change keys."""
        book = self._book
        return await self._serve(
            context,
            lambda: self._keys.change(book.caller(context, "registry.publish"), request),
        )

    async def ListMembers(  # noqa: N802 - the service's own name
        self, request: pb.ListMembersRequest, context: _Context
    ) -> pb.ListMembersResponse:
        """List members."""
        book = self._book
        return await self._serve(
            context,
            lambda: self._decisions.members(book.caller(context, "registry.read"), request),
        )

    async def ListAudit(  # noqa: N802 - the service's own name
        self, request: pb.ListAuditRequest, context: _Context
    ) -> pb.ListAuditResponse:
        """List the audit."""
        book = self._book
        return await self._serve(
            context, lambda: self._decisions.audit(book.caller(context, "registry.read"), request)
        )

    async def Distrust(  # noqa: N802 - the service's own name
        self, request: pb.DistrustRequest, context: _Context
    ) -> pb.DistrustResponse:
        """Publish a distrust."""
        book = self._book
        return await self._serve(
            context,
            lambda: self._decisions.distrust(book.caller(context, "registry.approve"), request),
        )

    async def PreviewDistrust(  # noqa: N802 - the service's own name
        self, request: pb.PreviewDistrustRequest, context: _Context
    ) -> pb.PreviewDistrustResponse:
        """Tell what a distrust would touch."""
        book = self._book
        member = await self._serve(
            context,
            lambda: (
                book.caller(context, "registry.approve"),
                self._member(request.rule.issuer),
            )[1],
        )
        told = await self._links.count(member, request.rule)
        named = told is None and book.fault != "uncounted-unnamed"
        return pb.PreviewDistrustResponse(
            attestations=told or 0,
            counted=told is not None,
            uncounted=member.urn if named else "",
            unknown=await self._links.unknown(),
        )

    async def UndoDistrust(  # noqa: N802 - the service's own name
        self, request: pb.UndoDistrustRequest, context: _Context
    ) -> pb.UndoDistrustResponse:
        """Take a distrust back."""
        book = self._book
        return await self._serve(
            context, lambda: self._decisions.undo(book.caller(context, "registry.approve"), request)
        )

    async def MakePack(  # noqa: N802 - the service's own name
        self, request: pb.MakePackRequest, context: _Context
    ) -> AsyncIterator[pb.MakePackResponse]:
        """Make a pack."""
        book = self._book

        def made() -> bytes:
            book.caller(context, "registry.read")
            return self._publishing.pack(request)

        yield pb.MakePackResponse(chunk=await self._serve(context, made))
