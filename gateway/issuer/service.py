"""IssuerService over gRPC: the seven interfaces, in the shape of GB/T 38963.

Each method authenticates its client, reads the request field by field, and hands it to
the issuer's heart; a refused request changes nothing. What is answered about a person
never goes into a log.

Of the two clocks, the code's is asked first: an expired code is CODE_EXPIRED whatever
the declaration says. Where the declaration is past its validity there is no level, in
no answer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hutong.v1 import code_pb2, issuer_service_pb2, issuer_service_pb2_grpc

from gateway.codes import Level, Outcome, level_to_proto, outcome_to_proto
from gateway.issuer import messages
from gateway.issuer.calls import CallKind
from gateway.issuer.checks import TEMPERATURES, Faults, check_declaration, check_stays
from gateway.issuer.clients import Role
from gateway.issuer.errors import (
    DeclarationMissingError,
    NotFoundError,
    ProxyNotAllowedError,
    RequestError,
)
from gateway.issuer.masking import mask_name, mask_number
from gateway.issuer.paper import PaperCode, draw_paper
from gateway.issuer.qr import Medium, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import grpc
    from hutong.v1 import exchange_pb2, issuer_pb2

    from gateway.codes import Document
    from gateway.issuer.calls import Calls
    from gateway.issuer.clients import ClientDesk
    from gateway.issuer.core import Issuer
    from gateway.issuer.qr import ShownCodes
    from gateway.issuer.values import Code

    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE: Final = "hutong.v1.IssuerService"


class IssuerServicer(issuer_service_pb2_grpc.IssuerServiceServicer):
    """Serves applications and gates.

    Args:
        issuer: the heart.
        clients: authenticates.
        calls: applied calls.
        codes: shown codes.
        clock: now, aware, UTC.
        paper: size of the page of a paper code, ``A5`` or ``A6``.
    """

    def __init__(
        self,
        *,
        issuer: Issuer,
        clients: ClientDesk,
        calls: Calls,
        codes: ShownCodes,
        clock: Callable[[], datetime],
        paper: str = "A6",
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._calls = calls
        self._codes = codes
        self._clock = clock
        self._paper = paper

    async def DeclareHealth(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.DeclareHealthRequest, context: Context
    ) -> issuer_service_pb2.DeclareHealthResponse:
        """Take a health declaration and assess at once."""
        client = await self._clients.require(context, Role.APPLICATION)
        now = self._clock()
        faults = Faults()
        declaration = messages.read_declaration(request, faults)
        rule = self._issuer.assessor.rules.in_force(now)
        messages.check_contradictions(declaration, rule.normal_below_decicelsius, faults)
        messages.also(partial(check_declaration, declaration, now), faults, RequestError)
        code = await self._issuer.facts.declare_health(declaration, client=client, now=now)
        return issuer_service_pb2.DeclareHealthResponse(state=self._state(code))

    async def DeclareItinerary(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.DeclareItineraryRequest, context: Context
    ) -> issuer_service_pb2.DeclareItineraryResponse:
        """Take stays of the last 14 days and assess at once."""
        client = await self._clients.require(context, Role.APPLICATION)
        now = self._clock()
        faults = Faults()
        document, proxy = self._acting(request, faults)
        stays = messages.read_stays(request, faults)
        messages.also(partial(check_stays, stays, now), faults, RequestError)
        code = await self._issuer.facts.declare_itinerary(
            document, stays, proxy=proxy, client=client, now=now
        )
        return issuer_service_pb2.DeclareItineraryResponse(state=self._state(code))

    async def QueryHealth(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.QueryHealthRequest, context: Context
    ) -> issuer_service_pb2.QueryHealthResponse:
        """Say what the issuer holds."""
        await self._clients.require(context, Role.APPLICATION)
        code = await self._issuer.code(_document(request.document))
        if code is None:
            return issuer_service_pb2.QueryHealthResponse(
                outcome=outcome_to_proto(Outcome.NOT_APPLIED)
            )
        state = self._state(code)
        if state is None:
            return issuer_service_pb2.QueryHealthResponse(
                outcome=outcome_to_proto(Outcome.DECLARATION_EXPIRED)
            )
        return issuer_service_pb2.QueryHealthResponse(state=state)

    async def ApplyCall(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.ApplyCallRequest, context: Context
    ) -> issuer_service_pb2.ApplyCallResponse:
        """Give a serial number and a nonce."""
        kind = CallKind(request.kind)
        role = Role.APPLICATION if kind is CallKind.MAKE else Role.GATE
        client = await self._clients.require(context, role)
        applied = await self._calls.apply(client, kind, self._clock())
        return issuer_service_pb2.ApplyCallResponse(
            serial=applied.serial,
            nonce=applied.nonce,
            expires_at=messages.moment(applied.expires_at),
        )

    async def MakeCode(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.MakeCodeRequest, context: Context
    ) -> issuer_service_pb2.MakeCodeResponse:
        """Make a code to show, on a phone or on paper."""
        client = await self._clients.require(context, Role.APPLICATION)
        now = self._clock()
        faults = Faults()
        document, proxy = self._acting(request, faults)
        faults.refuse()
        await self._use(request.call, client, CallKind.MAKE, now)
        code = await self._issuer.code(document)
        state = self._state(code)
        if code is None or state is None:
            raise DeclarationMissingError("a code needs a declaration that holds")
        await self._allow(code, proxy)
        medium = Medium(request.medium)
        made = await self._codes.make(code.person_id, medium, client=client, now=now)
        response = issuer_service_pb2.MakeCodeResponse(
            code_content=made.text,
            code_valid_until=messages.moment(made.valid_until),
            state=state,
        )
        if medium is Medium.PAPER:
            holder = await self._issuer.people.identity(code.person_id)
            response.pdf = draw_paper(
                PaperCode(
                    text=made.text,
                    masked_name=mask_name(holder.name),
                    masked_number=mask_number(holder.document.number),
                    made_at=made.made_at,
                    valid_until=made.valid_until,
                ),
                size=self._paper,
            )
        return response

    async def VerifyCode(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.VerifyCodeRequest, context: Context
    ) -> issuer_service_pb2.VerifyCodeResponse:
        """Tell a gate what a shown code stands for."""
        client = await self._clients.require(context, Role.GATE)
        now = self._clock()
        temperature = request.temperature_decicelsius
        faults = Faults()
        faults.need(
            temperature == 0 or temperature in TEMPERATURES,
            "temperature_decicelsius",
            f"0, or {TEMPERATURES.start} to {TEMPERATURES.stop - 1}",
        )
        faults.refuse()
        await self._use(request.call, client, CallKind.VERIFY, now)
        found = await self._look_up(request.code_content, now)
        if isinstance(found, Outcome):
            return issuer_service_pb2.VerifyCodeResponse(outcome=outcome_to_proto(found))
        holder = await self._issuer.people.identity(found.person_id)
        return issuer_service_pb2.VerifyCodeResponse(
            holder=issuer_service_pb2.VerifiedHolder(
                masked_name=mask_name(holder.name),
                masked_number=mask_number(holder.document.number),
                state=messages.state_message(found),
                gate_level=self._gate_level(found, temperature, now),
            )
        )

    async def CorrectHealth(  # noqa: N802  the name of the RPC
        self, request: issuer_service_pb2.CorrectHealthRequest, context: Context
    ) -> issuer_service_pb2.CorrectHealthResponse:
        """Open a correction, or show how one stands."""
        client = await self._clients.require(context, Role.APPLICATION)
        faults = Faults()
        document, proxy = self._acting(request, faults)
        faults.refuse()
        corrections = self._issuer.corrections
        if request.HasField("open"):
            correction = await corrections.open(
                document,
                messages.read_subject(request.open.subject),
                request.open.statement,
                proxy=proxy,
                client=client,
                now=self._clock(),
            )
        else:
            correction = await corrections.show(document, request.show, proxy=proxy)
        code = await self._issuer.code(document)
        return issuer_service_pb2.CorrectHealthResponse(
            correction=messages.correction_message(correction), state=self._state(code)
        )

    def _state(self, code: Code | None) -> issuer_pb2.HealthState | None:
        return messages.shown_state(code, self._clock())

    def _acting(
        self,
        request: issuer_service_pb2.DeclareItineraryRequest
        | issuer_service_pb2.MakeCodeRequest
        | issuer_service_pb2.CorrectHealthRequest,
        faults: Faults,
    ) -> tuple[Document, Document | None]:
        document = messages.read_document(request.document, "document", faults)
        if not request.HasField("proxy"):
            return document, None
        proxy = messages.read_document(request.proxy.document, "proxy.document", faults)
        faults.need(proxy != document or faults.found, "proxy.document", "another's document")
        return document, proxy

    async def _use(
        self, call: issuer_service_pb2.AppliedCall, client: str, kind: CallKind, now: datetime
    ) -> None:
        await self._calls.make(call.serial, call.nonce, client=client, kind=kind, now=now)

    async def _allow(self, code: Code, proxy: Document | None) -> None:
        if proxy is not None and not await self._issuer.people.may_act(code.person_id, proxy):
            raise ProxyNotAllowedError("nobody is recorded who may act for this person")

    async def _look_up(self, text: str, now: datetime) -> Code | Outcome:
        """The code of this moment that a shown text stands for, or why there is none."""
        if not is_ours(text):
            return Outcome.WRONG_REGION
        shown = await self._codes.find(text)
        if shown is None:
            return Outcome.NOT_FOUND
        if now >= shown.valid_until:
            return Outcome.CODE_EXPIRED
        code = await self._issuer.code_of(shown.person_id)
        if code is None:
            raise NotFoundError("the code's holder is not there")
        return code if code.declaration_holds(now) else Outcome.DECLARATION_EXPIRED

    def _gate_level(self, code: Code, temperature: int, now: datetime) -> code_pb2.Level.ValueType:
        """Yellow at this gate where the data are clean and somebody has a fever."""
        normal_below = self._issuer.assessor.rules.in_force(now).normal_below_decicelsius
        is_fever = temperature >= normal_below
        is_green = code.level is Level.GREEN
        return level_to_proto(Level.YELLOW if is_green and is_fever else code.level)


def _document(message: exchange_pb2.Document) -> Document:
    faults = Faults()
    document = messages.read_document(message, "document", faults)
    faults.refuse()
    return document
