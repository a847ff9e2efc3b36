"""The reference issuer: in memory, a clock that is moved, one fault at most.

Speaks plain gRPC on loopback and writes the profile that the suite needs to test it.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import yaml
from aiohttp import web
from hutong.v1 import (
    code_pb2,
    issuer_pb2,
    issuer_service_pb2,
    issuer_service_pb2_grpc,
)

from conformance_tests import crypto
from conformance_tests.peer.common import (
    RefusedError,
    abort,
    private_members,
    write_json,
)
from conformance_tests.peer.issuer_book import Book, Person, day_of
from conformance_tests.peer.issuer_clients import ISSUER, Clients
from conformance_tests.peer.issuer_desk import ReferenceDesk, find_correction
from conformance_tests.roles.issuing import DAY_SECONDS, stamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hutong.v1 import exchange_pb2

_HOME, _AREA = "110101", "330302"
_KNOWN_DIVISIONS = {_HOME, _AREA}
_TEMPERATURES = range(340, 431)
_FEVER = 373
_CALL_SECONDS = 120
_LIVES = {
    issuer_service_pb2.MEDIUM_PHONE: 300,
    issuer_service_pb2.MEDIUM_PAPER: 7 * DAY_SECONDS,
}
_MARK = "REF1:"
_Context = grpc.aio.ServicerContext[Any, Any]
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_DENIED = grpc.StatusCode.PERMISSION_DENIED
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_NO = code_pb2.TRI_STATE_NO


def _missing() -> RefusedError:
    return RefusedError(_PRECONDITION, "DECLARATION_MISSING")


@dataclass(slots=True)
class ReferenceIssuer(issuer_service_pb2_grpc.IssuerServiceServicer):
    """Answers as the specification asks, but for the one fault it is given."""

    fault: str = ""
    book: Book = field(init=False)
    clients: Clients = field(init=False)
    desk: ReferenceDesk = field(init=False)
    _calls: dict[str, tuple[bytes, str, int, float]] = field(default_factory=dict)
    _codes: dict[str, tuple[str, float]] = field(default_factory=dict)
    _url: str = ""

    def __post_init__(self) -> None:
        # Midday, so that no check stands at the end of a day.
        noon = day_of(time.time()) * DAY_SECONDS + DAY_SECONDS // 6
        self.book = Book(self.fault, float(noon))
        self.clients = Clients(self.fault, self.book)
        self.desk = ReferenceDesk(self.fault, self.book, self.clients)

    def write_profile(self, folder: Path, target: str) -> Path:
        """Write what the suite needs to test this peer; return the profile's path."""
        profile = {
            "role": "issuer",
            "target": target,
            "insecure": True,
            "issuer": ISSUER,
            "division": _HOME,
            "area-division": _AREA,
            "clock": {"url": self._url},
            "clients": {
                role: {"id": role, "key": write_json(folder / f"{role}.jwk", private_members(key))}
                for role, key in self.clients.keys.items()
            },
            "capabilities": ["clock", "areas"],
        }
        path = folder / "profile.yaml"
        path.write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
        return path

    @contextlib.asynccontextmanager
    async def clock_door(self) -> AsyncIterator[None]:
        """Open the door that moves the clock."""
        app = web.Application()
        app.router.add_route("*", "/clock", self._clock)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._url = f"http://127.0.0.1:{runner.addresses[0][1]}/clock"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _clock(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.book.now += (await request.json())["seconds"]
        return web.json_response({"now": self.book.now})

    # -- declaring -------------------------------------------------------------------

    async def DeclareHealth(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.DeclareHealthRequest, context: _Context
    ) -> issuer_service_pb2.DeclareHealthResponse:
        """Take a declaration."""
        try:
            client = self.clients.require(context, "application")
            try:
                self._check(request)
            except RefusedError:
                if self.fault == "refused-yet-kept":
                    self._declared(request, client)
                raise
            proxy = request.proxy.document if request.HasField("proxy") else None
            unknown = proxy is not None and self.book.person(proxy) is None
            if unknown and self.fault != "proxy-unknown-accepted":
                raise RefusedError(_DENIED, "PROXY_NOT_ALLOWED")
            person = self._declared(request, client)
        except RefusedError as error:
            await abort(context, error)
        return issuer_service_pb2.DeclareHealthResponse(state=self.book.state(person))

    def _declared(self, request: issuer_service_pb2.DeclareHealthRequest, client: str) -> Person:
        identity, book = request.identity, self.book
        number = identity.document.number
        person = book.people.setdefault(number, Person())
        person.name, person.number = identity.name, number
        person.division, person.declared_at = identity.division, book.now
        if request.HasField("proxy"):
            person.proxies.add(request.proxy.document.number)
        if self.fault == "declaration-replaces":
            person.facts = [fact for fact in person.facts if fact.kind != "declaration"]
        said_yes = request.answers.contact == code_pb2.TRI_STATE_YES
        said_yes = said_yes and self.fault != "yes-is-green"
        fever = request.temperature_decicelsius >= _FEVER
        book.add(person, "declaration", client, is_exposure=said_yes, is_normal=not fever)
        person.facts += book.kept.pop(number, [])
        return person

    def _check(self, request: issuer_service_pb2.DeclareHealthRequest) -> None:
        none = issuer_pb2.SYMPTOM_NONE in request.symptoms
        answers = request.answers
        absent = not all((answers.contact, answers.risk_area, answers.overseas))
        rules = (
            ("symptoms", "none-with-others-accepted", none and len(request.symptoms) > 1),
            (
                "temperature_decicelsius",
                "temperature-unchecked",
                request.temperature_decicelsius not in _TEMPERATURES,
            ),
            ("answers.contact", "absent-answer-is-no", absent),
            (
                "identity.division",
                "division-unchecked",
                request.identity.division not in _KNOWN_DIVISIONS,
            ),
        )
        for name, fault, broken in rules:
            if broken and self.fault != fault:
                raise self._invalid(name)

    def _invalid(self, name: str) -> RefusedError:
        shown = "" if self.fault == "field-not-named" else name
        return RefusedError(_INVALID, "INVALID_REQUEST", field=shown)

    async def DeclareItinerary(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.DeclareItineraryRequest, context: _Context
    ) -> issuer_service_pb2.DeclareItineraryResponse:
        """Take stays: all of them or none."""
        try:
            client = self.clients.require(context, "application")
            person = self.book.person(request.document)
            if person is None:
                if self.fault != "itinerary-without-declaration":
                    raise _missing()
                person = Person()
            self._allow(person, request)
            ended = 0.0
            for place, stay in enumerate(request.stays):
                overlaps = stay.entered_at.ToSeconds() < ended
                if overlaps and self.fault != "itinerary-overlap-accepted":
                    raise self._invalid(f"stays[{place}].entered_at")
                ended = stay.left_at.ToSeconds()
                if self.fault == "itinerary-in-part":
                    self.book.add(person, "stay", client)
            if self.fault != "itinerary-in-part":
                for _ in request.stays:
                    self.book.add(person, "stay", client)
        except RefusedError as error:
            await abort(context, error)
        return issuer_service_pb2.DeclareItineraryResponse(state=self.book.state(person))

    def _allow(
        self,
        person: Person,
        request: issuer_service_pb2.DeclareItineraryRequest
        | issuer_service_pb2.MakeCodeRequest
        | issuer_service_pb2.CorrectHealthRequest,
    ) -> None:
        if not request.HasField("proxy") or self.fault == "proxy-of-anybody":
            return
        if request.proxy.document.number not in person.proxies:
            raise RefusedError(_DENIED, "PROXY_NOT_ALLOWED")

    async def QueryHealth(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.QueryHealthRequest, context: _Context
    ) -> issuer_service_pb2.QueryHealthResponse:
        """Say what is held."""
        try:
            self.clients.require(context, "application")
        except RefusedError as error:
            await abort(context, error)
        person = self.book.person(request.document)
        if person is None:
            other = self.fault == "nobody-not-found"
            outcome = code_pb2.OUTCOME_NOT_FOUND if other else code_pb2.OUTCOME_NOT_APPLIED
            return issuer_service_pb2.QueryHealthResponse(outcome=outcome)
        if not self.book.holds(person):
            expired = code_pb2.OUTCOME_DECLARATION_EXPIRED
            return issuer_service_pb2.QueryHealthResponse(outcome=expired)
        return issuer_service_pb2.QueryHealthResponse(state=self.book.state(person))

    # -- codes -----------------------------------------------------------------------

    async def ApplyCall(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.ApplyCallRequest, context: _Context
    ) -> issuer_service_pb2.ApplyCallResponse:
        """Give a call."""
        is_make = request.kind == issuer_service_pb2.CALL_KIND_MAKE
        try:
            client = self.clients.require(context, "application" if is_make else "gate")
        except RefusedError as error:
            await abort(context, error)
        serial, nonce = crypto.random_text(), crypto.unb64(crypto.random_text())
        ends = self.book.now + _CALL_SECONDS
        self._calls[serial] = (nonce, client, request.kind, ends)
        return issuer_service_pb2.ApplyCallResponse(
            serial=serial, nonce=nonce, expires_at=stamp(ends)
        )

    def _use(self, call: issuer_service_pb2.AppliedCall, client: str, kind: int) -> None:
        held = self._calls.get(call.serial)
        if held is None:
            raise RefusedError(_PRECONDITION, "CALL_NOT_APPLIED")
        if self.fault != "call-made-twice":
            del self._calls[call.serial]
        nonce, owner, applied, ends = held
        broken = (
            ("", nonce != call.nonce),
            ("call-client-ignored", owner != client and applied == kind),
            ("call-kind-ignored", applied != kind),
            ("call-life-ignored", self.book.now >= ends),
        )
        if any(holds and self.fault != (fault or None) for fault, holds in broken):
            raise RefusedError(_PRECONDITION, "CALL_NOT_APPLIED")

    async def MakeCode(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.MakeCodeRequest, context: _Context
    ) -> issuer_service_pb2.MakeCodeResponse:
        """Make a code."""
        try:
            client = self.clients.require(context, "application")
            self._use(request.call, client, issuer_service_pb2.CALL_KIND_MAKE)
            person = self.book.person(request.document)
            if person is None or not self.book.holds(person):
                if self.fault != "code-without-declaration" or person is not None:
                    raise _missing()
                person = Person(number=request.document.number)
            self._allow(person, request)
        except RefusedError as error:
            await abort(context, error)
        text, ends = self._text(request), self.book.now + _LIVES[request.medium]
        return issuer_service_pb2.MakeCodeResponse(
            code_content=text, code_valid_until=stamp(ends), state=self.book.state(person)
        )

    def _text(self, request: issuer_service_pb2.MakeCodeRequest) -> str:
        number = request.document.number
        shown = number
        if self.fault == "proxy-shows-itself" and request.HasField("proxy"):
            shown = request.proxy.document.number
        reference = crypto.random_text()
        if self.fault == "code-holds-number":
            reference += number
        if self.fault == "code-repeats":
            reference = str(abs(hash(number)))
        self._codes[_MARK + reference] = (shown, self.book.now + _LIVES[request.medium])
        return _MARK + reference

    async def VerifyCode(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.VerifyCodeRequest, context: _Context
    ) -> issuer_service_pb2.VerifyCodeResponse:
        """Tell a gate."""
        try:
            client = self.clients.require(context, "gate")
            self._use(request.call, client, issuer_service_pb2.CALL_KIND_VERIFY)
            found = self._shown(request.code_content)
        except RefusedError as error:
            await abort(context, error)
        if not isinstance(found, Person):
            return issuer_service_pb2.VerifyCodeResponse(outcome=found)
        return issuer_service_pb2.VerifyCodeResponse(
            holder=self._holder(found, request.temperature_decicelsius)
        )

    def _shown(self, text: str) -> Person | code_pb2.Outcome.ValueType:
        if not text.startswith(_MARK):
            return code_pb2.OUTCOME_WRONG_REGION
        if text not in self._codes:
            if self.fault == "unknown-code-refused":
                raise RefusedError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
            return code_pb2.OUTCOME_NOT_FOUND
        number, ends = self._codes[text]
        if self.book.now >= ends and self.fault != "expired-code-accepted":
            if self.fault == "expired-code-refused":
                raise RefusedError(_PRECONDITION, "WRONG_STATE")
            return code_pb2.OUTCOME_CODE_EXPIRED
        person = self.book.people[number]
        return person if self.book.holds(person) else code_pb2.OUTCOME_DECLARATION_EXPIRED

    def _holder(self, person: Person, temperature: int) -> issuer_service_pb2.VerifiedHolder:
        state = self.book.state(person)
        level = state.level
        fever = temperature >= _FEVER and level == code_pb2.LEVEL_GREEN
        if fever and self.fault == "gate-fever-kept":
            self.book.add(person, "declaration", "gate", is_exposure=True)
        if fever and self.fault != "gate-fever-ignored":
            level = code_pb2.LEVEL_YELLOW
        name, number = person.name, person.number
        if self.fault != "holder-unmasked":
            name = name[0] + "*" * (len(name) - 1)
            number = number[:4] + "*" * (len(number) - 6) + number[-2:]
        return issuer_service_pb2.VerifiedHolder(
            masked_name=name, masked_number=number, state=state, gate_level=level
        )

    # -- corrections ------------------------------------------------------

    async def CorrectHealth(  # noqa: N802 - the service's own name
        self, request: issuer_service_pb2.CorrectHealthRequest, context: _Context
    ) -> issuer_service_pb2.CorrectHealthResponse:
        """Open a correction, or show one."""
        try:
            client = self.clients.require(context, "application")
            person = self._corrected(request.document)
            self._allow(person, request)
            if request.HasField("open"):
                correction = self.desk.open(person, request.open, client)
            else:
                correction = find_correction(person, request.show)
        except RefusedError as error:
            await abort(context, error)
        return issuer_service_pb2.CorrectHealthResponse(
            correction=correction, state=self.book.state(person)
        )

    def _corrected(self, document: exchange_pb2.Document) -> Person:
        person = self.book.person(document)
        if person is None:
            raise _missing()
        return person
