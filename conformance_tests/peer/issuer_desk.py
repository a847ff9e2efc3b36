"""The reference issuer's desk: areas, contacts, corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import (
    issuer_desk_service_pb2,
    issuer_desk_service_pb2_grpc,
    issuer_service_pb2,
)

from conformance_tests.crypto import random_text
from conformance_tests.peer.common import RefusedError, abort
from conformance_tests.peer.issuer_book import Book, Fact, Person, day_of
from conformance_tests.roles.issuing import stamp

if TYPE_CHECKING:
    from conformance_tests.peer.issuer_clients import Clients

_Context = grpc.aio.ServicerContext[Any, Any]
_OPEN = issuer_service_pb2.CORRECTION_STATUS_OPEN
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_DESK = issuer_desk_service_pb2


def find_correction(person: Person, name: str) -> issuer_service_pb2.Correction:
    """A correction of a person by its identifier.

    Raises:
        RefusedError: NOT_FOUND.
    """
    if name not in person.corrections:
        raise RefusedError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    return person.corrections[name]


@dataclass(slots=True)
class ReferenceDesk(issuer_desk_service_pb2_grpc.IssuerDeskServiceServicer):
    """Takes what officials bring, but for the one fault."""

    fault: str
    book: Book
    clients: Clients

    async def PublishAreas(  # noqa: N802 - the service's own name
        self, request: _DESK.PublishAreasRequest, context: _Context
    ) -> _DESK.PublishAreasResponse:
        """Replace the list of areas."""
        await self._require(context, "feeder")
        return self._publish(request)

    async def ReportContacts(  # noqa: N802 - the service's own name
        self, request: _DESK.ReportContactsRequest, context: _Context
    ) -> _DESK.ReportContactsResponse:
        """Take contacts, each with its own outcome."""
        client = await self._require(context, "feeder")
        outcomes = [self._contact(contact, client) for contact in request.contacts]
        return _DESK.ReportContactsResponse(outcomes=outcomes)

    async def ListCorrections(  # noqa: N802 - the service's own name
        self, request: _DESK.ListCorrectionsRequest, context: _Context
    ) -> _DESK.ListCorrectionsResponse:
        """List corrections, all on one page."""
        await self._require(context, "reviewer")
        cases = [
            _DESK.CorrectionCase(correction=correction, state=self.book.state(person))
            for person in self.book.people.values()
            for correction in person.corrections.values()
            if request.status in (0, correction.status)
        ]
        return _DESK.ListCorrectionsResponse(cases=cases)

    async def AnswerCorrection(  # noqa: N802 - the service's own name
        self, request: _DESK.AnswerCorrectionRequest, context: _Context
    ) -> _DESK.AnswerCorrectionResponse:
        """Answer a correction."""
        client = await self._require(context, "reviewer")
        try:
            return self._answer(request, client)
        except RefusedError as error:
            await abort(context, error)

    async def ReadTrace(  # noqa: N802 - the service's own name
        self, request: _DESK.ReadTraceRequest, context: _Context
    ) -> _DESK.ReadTraceResponse:
        """Read everything about a person."""
        await self._require(context, "reviewer")
        person = self.book.person(request.document)
        if person is None:
            await abort(context, RefusedError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"))
        return _DESK.ReadTraceResponse(entries=[fact.entry() for fact in person.facts])

    async def _require(self, context: _Context, role: str) -> str:
        try:
            return self.clients.require(context, role)
        except RefusedError as error:
            await abort(context, error)

    def _publish(self, request: _DESK.PublishAreasRequest) -> _DESK.PublishAreasResponse:
        """Replace the list of areas."""
        listed = {area.division for area in request.areas}
        added_up = self.fault == "areas-added-up"
        self.book.areas = self.book.areas | listed if added_up else listed
        self.book.revision += self.fault != "areas-not-numbered"
        return _DESK.PublishAreasResponse(revision=self.book.revision)

    def _contact(self, contact: _DESK.Contact, client: str) -> _DESK.ContactOutcome.ValueType:
        book, key = self.book, (contact.document.number, contact.reference)
        if contact.at.ToSeconds() > book.now and self.fault != "contact-ahead-taken":
            return _DESK.CONTACT_OUTCOME_REFUSED
        if key in book.references and self.fault != "contact-taken-twice":
            return _DESK.CONTACT_OUTCOME_KNOWN
        book.references.add(key)
        person = book.person(contact.document)
        if person is None:
            if self.fault != "contact-dropped":
                fact = Fact(
                    "contact", book.now, client, "contact", day_of(book.now), is_exposure=True
                )
                book.kept.setdefault(contact.document.number, []).append(fact)
            return _DESK.CONTACT_OUTCOME_KEPT
        book.add(person, "contact", client, is_exposure=self.fault != "contact-not-assessed")
        return _DESK.CONTACT_OUTCOME_TAKEN

    def open(
        self, person: Person, asked: issuer_service_pb2.OpenCorrection, client: str
    ) -> issuer_service_pb2.Correction:
        """Open a correction.

        Raises:
            RefusedError: WRONG_STATE, one is open.
        """
        is_open = any(
            held.subject == asked.subject and held.status == _OPEN
            for held in person.corrections.values()
        )
        if is_open and self.fault != "correction-opened-twice":
            raise RefusedError(_PRECONDITION, "WRONG_STATE")
        correction = issuer_service_pb2.Correction(
            id=random_text(), subject=asked.subject, status=_OPEN, opened_at=stamp(self.book.now)
        )
        person.corrections[correction.id] = correction
        self.book.add(person, "correction", client)
        return correction

    def _answer(
        self, request: _DESK.AnswerCorrectionRequest, client: str
    ) -> _DESK.AnswerCorrectionResponse:
        """Answer a correction, and withdraw facts.

        Raises:
            RefusedError: NOT_FOUND or WRONG_STATE.
        """
        holders = (each for each in self.book.people.values() if request.id in each.corrections)
        person = next(holders, None)
        if person is None:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        correction = person.corrections[request.id]
        if correction.status != _OPEN and self.fault != "correction-answered-twice":
            raise RefusedError(_PRECONDITION, "WRONG_STATE")
        correction.status, correction.answer = request.status, request.answer
        correction.answered_at.CopyFrom(stamp(self.book.now))
        if self.fault == "correction-deletes":
            person.facts = [each for each in person.facts if each.id not in request.withdrawn]
        for fact in person.facts:
            if fact.id in request.withdrawn:
                fact.withdrawn_at = self.book.now
        self.book.add(person, "withdrawal", client)
        return _DESK.AnswerCorrectionResponse(correction=correction, state=self.book.state(person))
