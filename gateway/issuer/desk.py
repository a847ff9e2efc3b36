"""IssuerDeskService over gRPC: inputs of feeding systems, and reviewers' corrections.

Pages are walked with opaque tokens that are bound to the caller and to what was asked.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from hutong.v1 import issuer_desk_service_pb2 as pb
from hutong.v1 import issuer_desk_service_pb2_grpc

from gateway.attestation import base64url
from gateway.issuer import messages
from gateway.issuer.checks import Faults
from gateway.issuer.clients import Role
from gateway.issuer.values import ContactOutcome, CorrectionStatus
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import grpc

    from gateway.issuer.clients import ClientDesk
    from gateway.issuer.core import Issuer
    from gateway.issuer.values import ContactReport

    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE: Final = "hutong.v1.IssuerDeskService"
DEFAULT_PAGE: Final = 50
"""``ListCorrectionsRequest.page_size`` of zero."""

_MAC_BYTES: Final = 32


class IssuerDeskServicer(issuer_desk_service_pb2_grpc.IssuerDeskServiceServicer):
    """Serves feeders and reviewers.

    Args:
        issuer: the heart.
        clients: authenticates.
        page_secret: binds page tokens.
        clock: now, aware, UTC.
    """

    def __init__(
        self,
        *,
        issuer: Issuer,
        clients: ClientDesk,
        page_secret: bytes,
        clock: Callable[[], datetime],
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._page_secret = page_secret
        self._clock = clock

    async def PublishAreas(  # noqa: N802  the name of the RPC
        self, request: pb.PublishAreasRequest, context: Context
    ) -> pb.PublishAreasResponse:
        """Replace the list of areas and assess whom it touches."""
        client = await self._clients.require(context, Role.FEEDER)
        faults = Faults()
        valid_from = messages.read_moment(request.valid_from, "valid_from", faults)
        faults.refuse()
        published = await self._issuer.areas.publish(
            [messages.read_area(area) for area in request.areas],
            valid_from=valid_from,
            source=request.source,
            client=client,
            clock=self._clock,
        )
        return pb.PublishAreasResponse(
            revision=published.revision, assessed=published.assessed, changed=published.changed
        )

    async def ReportContacts(  # noqa: N802  the name of the RPC
        self, request: pb.ReportContactsRequest, context: Context
    ) -> pb.ReportContactsResponse:
        """Take contacts, each with its own outcome."""
        client = await self._clients.require(context, Role.FEEDER)
        outcomes = [ContactOutcome.REFUSED] * len(request.contacts)
        sound: list[tuple[int, ContactReport]] = []
        for place, contact in enumerate(request.contacts):
            faults = Faults()
            report = messages.read_contact(contact, faults)
            if not faults.found:
                sound.append((place, report))
        changed = 0
        if sound:
            taken = await self._issuer.facts.report_contacts(
                [report for _, report in sound], client=client, now=self._clock()
            )
            changed = taken.changed
            for (place, _), outcome in zip(sound, taken.outcomes, strict=True):
                outcomes[place] = outcome
        return pb.ReportContactsResponse(
            outcomes=[messages.contact_outcome(outcome) for outcome in outcomes], changed=changed
        )

    async def ListCorrections(  # noqa: N802  the name of the RPC
        self, request: pb.ListCorrectionsRequest, context: Context
    ) -> pb.ListCorrectionsResponse:
        """List corrections, the oldest first."""
        client = await self._clients.require(context, Role.REVIEWER)
        after = self._read_page_token(request.page_token, client, request.status)
        size = request.page_size or DEFAULT_PAGE
        found = await self._issuer.corrections.cases(
            messages.read_status(request.status), after=after, limit=size + 1
        )
        cases, token = found[:size], ""
        if len(found) > size:
            token = self._page_token(cases[-1].number, client, request.status)
        now = self._clock()
        return pb.ListCorrectionsResponse(
            cases=[messages.case_message(case, now) for case in cases], next_page_token=token
        )

    async def AnswerCorrection(  # noqa: N802  the name of the RPC
        self, request: pb.AnswerCorrectionRequest, context: Context
    ) -> pb.AnswerCorrectionResponse:
        """Uphold or reject a correction, and assess the person again."""
        client = await self._clients.require(context, Role.REVIEWER)
        status = messages.read_status(request.status) or CorrectionStatus.OPEN
        correction, code = await self._issuer.corrections.answer(
            request.id,
            status,
            request.answer,
            list(request.withdrawn),
            client=client,
            clock=self._clock,
        )
        return pb.AnswerCorrectionResponse(
            correction=messages.correction_message(correction),
            state=messages.shown_state(code, self._clock()),
        )

    async def ReadTrace(  # noqa: N802  the name of the RPC
        self, request: pb.ReadTraceRequest, context: Context
    ) -> pb.ReadTraceResponse:
        """Read everything that ever set a person's level."""
        await self._clients.require(context, Role.REVIEWER)
        faults = Faults()
        document = messages.read_document(request.document, "document", faults)
        faults.refuse()
        entries = await self._issuer.trace.read(document)
        return pb.ReadTraceResponse(entries=[messages.entry_message(entry) for entry in entries])

    def _page_token(self, number: int, client: str, status: int) -> str:
        place = str(number)
        return base64url.encode(self._page_mac(place, client, status) + place.encode())

    def _read_page_token(self, token: str, client: str, status: int) -> int:
        if not token:
            return 0
        try:
            data = base64url.decode(token.encode("ascii"))
            place = data[_MAC_BYTES:].decode("ascii")
            number = int(place)
        except ValueError:
            raise RpcFailure("PAGE_TOKEN_INVALID", "the page token is malformed") from None
        if not hmac.compare_digest(data[:_MAC_BYTES], self._page_mac(place, client, status)):
            raise RpcFailure("PAGE_TOKEN_INVALID", "the page token is another caller's")
        return number

    def _page_mac(self, place: str, client: str, status: int) -> bytes:
        text = f"{place}:{len(client)}:{client}{status}".encode()
        return hmac.digest(self._page_secret, text, hashlib.sha256)
