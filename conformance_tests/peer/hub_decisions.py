"""Distrusts, the audit and the lists of the reference hub."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError
from conformance_tests.peer.hub_book import INVALID, NOT_FOUND

if TYPE_CHECKING:
    from conformance_tests.peer.hub_book import Book, PeerMember

_PAGE = 100


class ReferenceDecisions:
    """Decides as the specification asks, but for the one fault of its book."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._distrusts: set[str] = set()

    def distrust(self, by: PeerMember, request: pb.DistrustRequest) -> pb.DistrustResponse:
        """Publish a distrust.

        Raises:
            RefusedError: DISTRUST_INVALID.
        """
        book, asked = self._book, request.rule
        known = book.members.get(asked.issuer)
        if (known is None or not known.approved) and book.fault != "distrust-of-nobody":
            raise RefusedError(INVALID, "DISTRUST_INVALID")
        rule: dict[str, Any] = {"issuer": asked.issuer, "signed_from": asked.signed_from.seconds}
        if asked.kind and book.fault != "distrust-widened":
            rule["kind"] = asked.kind
        name = crypto.random_text()
        self._distrusts.add(name)
        body = {"rule": rule, "reason": request.reason, "decided_at": int(time.time())}
        sequence = book.write("distrust", name, body)
        book.note("distrust", name, by.urn, request.reason, sequence)
        return pb.DistrustResponse(distrust=name, sequence=sequence)

    def undo(self, by: PeerMember, request: pb.UndoDistrustRequest) -> pb.UndoDistrustResponse:
        """Take a distrust back.

        Raises:
            RefusedError: NOT_FOUND.
        """
        book, name = self._book, request.distrust
        if name not in self._distrusts:
            if book.fault != "undo-of-nothing":
                raise RefusedError(NOT_FOUND, "NOT_FOUND")
            return pb.UndoDistrustResponse(sequence=book.chain.sequence)
        self._distrusts.remove(name)
        sequence = book.tombstone("distrust", name, request.reason)
        actor = "" if book.fault == "undo-without-actor" else by.urn
        book.note("undo-distrust", name, actor, request.reason, sequence)
        return pb.UndoDistrustResponse(sequence=sequence)

    def members(self, by: PeerMember, request: pb.ListMembersRequest) -> pb.ListMembersResponse:
        """List members by URN."""
        place = self._place("members", request.page_token, by)
        found = [
            member.to_proto()
            for urn, member in sorted(self._book.members.items())
            if member.approved or member.enrolment
        ]
        size = request.page_size or _PAGE
        more = len(found) > place + size
        return pb.ListMembersResponse(
            members=found[place : place + size],
            next_page_token=self._token("members", place + size, by) if more else "",
        )

    def audit(self, by: PeerMember, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
        """List the audit, newest first."""
        book = self._book
        place = self._place("audit", request.page_token, by)
        found = [
            record for record in reversed(book.audit) if request.subject in {"", record.subject}
        ]
        if not request.subject and book.fault == "audit-shortened":
            found = found[1:]
        size = request.page_size or _PAGE
        more = len(found) > place + size
        return pb.ListAuditResponse(
            records=found[place : place + size],
            next_page_token=self._token("audit", place + size, by) if more else "",
        )

    def _token(self, name: str, place: int, by: PeerMember) -> str:
        return f"{name}|{place}|{by.urn}"

    def _place(self, name: str, token: str, by: PeerMember) -> int:
        if not token:
            return 0
        said, place, whose = token.split("|")
        foreign = whose != by.urn and self._book.fault != "page-token-of-anybody"
        if said != name or foreign:
            raise RefusedError(INVALID, "PAGE_TOKEN_INVALID")
        return int(place)
