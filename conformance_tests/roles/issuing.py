"""How the suite calls an issuer: assertions, made-up people, and the issuer's clock.

Every check makes people of its own, with documents of type 99 that exist nowhere, so
that a run can be repeated against an issuer that keeps everything.

Days and expiries show only when time passes. With the capability ``clock`` the profile
names a door of the issuer under test that tells its time and moves it forward::

    clock: {url: "http://127.0.0.1:7700/clock"}   # GET → {"now": seconds}
                                                  # POST {"seconds": n} moves it

Its clock then has to stand still between two moves; the suite takes its time from there.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import (
    code_pb2,
    exchange_pb2,
    issuer_desk_service_pb2,
    issuer_desk_service_pb2_grpc,
    issuer_pb2,
    issuer_service_pb2,
    issuer_service_pb2_grpc,
)

from conformance_tests import crypto
from conformance_tests.model import Observed, UntestableError, VoidError
from conformance_tests.roles import calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conformance_tests.profile import Profile

DAY_SECONDS = 86_400
ROLES = ("application", "gate", "feeder", "reviewer", "other-application")
NORMAL_TEMPERATURE = 365
"""Tenths of a degree; nobody's rule calls it a fever."""
FEVER_TEMPERATURE = 390
"""Tenths of a degree; everybody's rule calls it a fever."""
_ASSERTION_SECONDS = 60
_DOCUMENT_TYPE = code_pb2.DOCUMENT_TYPE_OTHER
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody made up."""

    number: str = field(repr=False)
    name: str = "测试丙丁"

    def document(self) -> exchange_pb2.Document:
        """The document as a message."""
        return exchange_pb2.Document(type=_DOCUMENT_TYPE, number=self.number)

    def proxy(self) -> issuer_pb2.Proxy:
        """The same as who acts for somebody."""
        return issuer_pb2.Proxy(document=self.document())


def somebody() -> Holder:
    """Make somebody up: 96 random bits, so that no two runs meet."""
    return Holder(f"SUITE{os.urandom(12).hex().upper()}")


def stamp(seconds: float) -> Timestamp:
    """A moment on the wire."""
    moment = Timestamp()
    moment.FromNanoseconds(int(seconds * 10**9))
    return moment


class IssuerCaller:
    """Calls one issuer as each of the profile's clients.

    Args:
        profile: the implementer's declaration.

    Raises:
        ProfileError: it lacks what the role needs.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.issuer = str(profile.need("issuer"))
        self.division = str(profile.need("division"))
        self._clients = {
            role: (
                str(profile.need("clients", role, "id")),
                crypto.load_key(profile.read_json(str(profile.need("clients", role, "key")))),
            )
            for role in ROLES
        }
        self._stranger = crypto.new_signing_key()
        self.service: issuer_service_pb2_grpc.IssuerServiceStub
        self.desk: issuer_desk_service_pb2_grpc.IssuerDeskServiceStub
        self._now: float | None = None

    def connect(self, channel: grpc.aio.Channel) -> None:
        """Use a channel."""
        self.service = issuer_service_pb2_grpc.IssuerServiceStub(channel)
        self.desk = issuer_desk_service_pb2_grpc.IssuerDeskServiceStub(channel)

    # -- the clock -----------------------------------------------------------------

    async def read_clock(self) -> None:
        """Take the time from the issuer, where the profile says how."""
        if "clock" in self.profile.capabilities:
            self._now = await self._clock_door("GET", None)

    def now(self) -> float:
        """The time that the issuer has."""
        return time.time() if self._now is None else self._now

    async def advance(self, seconds: float) -> None:
        """Let time pass at the issuer."""
        self._now = await self._clock_door("POST", {"seconds": max(1, round(seconds))})

    async def _clock_door(self, method: str, body: dict[str, int] | None) -> float:
        url = str(self.profile.need("clock", "url"))
        timeout = aiohttp.ClientTimeout(total=calls.CALL_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.request(method, url, json=body) as answer,
            ):
                return float((await answer.json())["now"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise UntestableError("clock is declared, but its door does not answer") from error

    # -- calls ---------------------------------------------------------------------

    def assertion(
        self,
        role: str = "application",
        *,
        signed_by: str = "client",
        audience: str | None = None,
        age_seconds: int = 0,
    ) -> str:
        """Sign the assertion of one call, as a client."""
        name, key = self._clients[role]
        issued = int(self.now()) - age_seconds
        claims = {
            "iss": name,
            "sub": name,
            "aud": self.issuer if audience is None else audience,
            "iat": issued,
            "exp": issued + _ASSERTION_SECONDS,
            "jti": crypto.random_text(),
        }
        signer = key if signed_by == "client" else self._stranger
        return crypto.sign(claims, signer, "JWT", kid=key["kid"])

    async def call(
        self,
        method: Callable[..., Awaitable[_T]],
        request: Any,
        role: str = "application",
        *,
        assertion: str | None = None,
    ) -> _T:
        """Call; what is refused raises ``grpc.aio.AioRpcError``."""
        token = self.assertion(role) if assertion is None else assertion
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return await method(request, metadata=metadata, timeout=calls.CALL_SECONDS)

    async def refused(
        self, method: Callable[..., Awaitable[Any]], request: Any, role: str = "application"
    ) -> Observed:
        """Call, and say how it was refused, or that it was not."""
        try:
            await self.call(method, request, role)
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self.profile)
            return calls.refusal(error)
        return Observed(kind="answer")

    async def need(
        self, method: Callable[..., Awaitable[_T]], request: Any, role: str = "application"
    ) -> _T:
        """Call where a refusal makes a check void.

        Raises:
            VoidError: it was refused.
        """
        try:
            return await self.call(method, request, role)
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self.profile)
            seen = calls.refusal(error)
            raise VoidError(f"a sound call: {seen.code} {seen.reason}") from None

    # -- requests --------------------------------------------------------------------

    def declaration(
        self,
        holder: Holder,
        *,
        temperature: int = NORMAL_TEMPERATURE,
        contact: code_pb2.TriState.ValueType = code_pb2.TRI_STATE_NO,
        division: str | None = None,
        proxy: Holder | None = None,
    ) -> issuer_service_pb2.DeclareHealthRequest:
        """A sound declaration."""
        return issuer_service_pb2.DeclareHealthRequest(
            identity=issuer_pb2.Identity(
                document=holder.document(), name=holder.name, division=division or self.division
            ),
            proxy=None if proxy is None else proxy.proxy(),
            temperature_decicelsius=temperature,
            symptoms=[issuer_pb2.SYMPTOM_NONE],
            answers=code_pb2.Declarations(
                contact=contact,
                risk_area=code_pb2.TRI_STATE_NO,
                overseas=code_pb2.TRI_STATE_NO,
            ),
        )

    async def declare(self, holder: Holder, **changes: Any) -> issuer_pb2.HealthState:
        """Declare; a refusal makes the check void."""
        request = self.declaration(holder, **changes)
        return (await self.need(self.service.DeclareHealth, request)).state

    async def query(self, holder: Holder) -> issuer_service_pb2.QueryHealthResponse:
        """Ask what the issuer holds; a refusal makes the check void."""
        request = issuer_service_pb2.QueryHealthRequest(document=holder.document())
        return await self.need(self.service.QueryHealth, request)

    async def apply(
        self,
        kind: issuer_service_pb2.CallKind.ValueType,
        role: str | None = None,
    ) -> issuer_service_pb2.AppliedCall:
        """Apply for a call."""
        is_make = kind == issuer_service_pb2.CALL_KIND_MAKE
        request = issuer_service_pb2.ApplyCallRequest(kind=kind)
        applied = await self.need(
            self.service.ApplyCall, request, role or ("application" if is_make else "gate")
        )
        return issuer_service_pb2.AppliedCall(serial=applied.serial, nonce=applied.nonce)

    async def make_request(
        self,
        holder: Holder,
        *,
        medium: issuer_service_pb2.Medium.ValueType = issuer_service_pb2.MEDIUM_PHONE,
        proxy: Holder | None = None,
        call: issuer_service_pb2.AppliedCall | None = None,
    ) -> issuer_service_pb2.MakeCodeRequest:
        """A sound request for a code."""
        return issuer_service_pb2.MakeCodeRequest(
            call=call or await self.apply(issuer_service_pb2.CALL_KIND_MAKE),
            document=holder.document(),
            proxy=None if proxy is None else proxy.proxy(),
            medium=medium,
        )

    async def make(self, holder: Holder, **changes: Any) -> issuer_service_pb2.MakeCodeResponse:
        """Make a code."""
        request = await self.make_request(holder, **changes)
        return await self.need(self.service.MakeCode, request)

    async def verify(
        self, text: str, temperature: int = 0
    ) -> issuer_service_pb2.VerifyCodeResponse:
        """Verify a shown text at a gate."""
        request = issuer_service_pb2.VerifyCodeRequest(
            call=await self.apply(issuer_service_pb2.CALL_KIND_VERIFY),
            code_content=text,
            temperature_decicelsius=temperature,
        )
        return await self.need(self.service.VerifyCode, request, "gate")

    async def trace(self, holder: Holder) -> list[issuer_desk_service_pb2.TraceEntry]:
        """Everything that ever set a person's level."""
        request = issuer_desk_service_pb2.ReadTraceRequest(document=holder.document())
        return list((await self.need(self.desk.ReadTrace, request, "reviewer")).entries)


def level_name(level: code_pb2.Level.ValueType) -> str:
    """A level without prefix."""
    return code_pb2.Level.Name(level).removeprefix("LEVEL_")


def outcome_name(outcome: code_pb2.Outcome.ValueType) -> str:
    """An outcome without prefix."""
    return code_pb2.Outcome.Name(outcome).removeprefix("OUTCOME_")
