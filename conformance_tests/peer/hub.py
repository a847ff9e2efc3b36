"""The reference hub: one region behind it, one caller, a short feed.

The region's adapter is the reference adapter in the same process: the hub part
sees its envelopes only. Speaks plain gRPC and HTTP on loopback.
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
    error_pb2,
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
)

from conformance_tests import crypto
from conformance_tests.peer.adapter import AUTHORITY, CALLER, HUB, ReferenceAdapter
from conformance_tests.peer.common import (
    RefusedError,
    abort,
    metadata,
    private_members,
    write_json,
)
from conformance_tests.peer.hub_feed import ReferenceFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jwcrypto import jwk

_REGION = AUTHORITY.rpartition(":")[2]
_MAX_ENVELOPE_BYTES = 65_536  # SealedQuestion.envelope
_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class ReferenceHub(exchange_service_pb2_grpc.ExchangeServiceServicer):
    """Forwards as the specification asks, but for the one fault it is given."""

    fault: str = ""
    feed: ReferenceFeed = field(init=False)
    token_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    client_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    adapter: ReferenceAdapter = field(default_factory=ReferenceAdapter)
    _token_url: str = ""
    _assertions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.feed = ReferenceFeed(self.fault)

    def write_profile(self, folder: Path, target: str, token_url: str) -> Path:
        """Write what the suite needs to test this peer; return the profile's path."""
        anchor = {
            "hub": HUB,
            "keys": [
                {"use": "feed", "jwk": self.feed.chain.key.public},
                {"use": "token", "jwk": crypto.public_members(self.token_key)},
            ],
        }
        profile = {
            "role": "hub",
            "target": target,
            "insecure": True,
            "token_url": token_url,
            "client": {
                "urn": CALLER,
                "region": "440100",
                "key": write_json(folder / "client.jwk", private_members(self.client_key)),
            },
            "anchor": write_json(folder / "anchor.json", anchor),
            "origin": {
                "region": _REGION,
                "seal": write_json(folder / "seal.jwk", self.adapter.seal_key.members),
                "person": self.adapter.platform.people()["green"],
            },
            "capabilities": ["origin"],
        }
        path = folder / "profile.yaml"
        path.write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
        return path

    # -- tokens -----------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def token_endpoint(self) -> AsyncIterator[str]:
        """Serve the token endpoint; yield its URL."""
        app = web.Application()
        app.router.add_post("/oauth2/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self._token_url = f"http://127.0.0.1:{port}/oauth2/token"
        try:
            yield self._token_url
        finally:
            await runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        keys = {self.client_key["kid"]: self.client_key}
        try:
            claims, _ = crypto.read_signed(str(form.get("client_assertion", "")), keys, "JWT")
        except ValueError:
            return web.json_response({"error": "invalid_client"}, status=401)
        used = claims["jti"] in self._assertions
        self._assertions.add(claims["jti"])
        sound = claims["aud"] == self._token_url and claims["exp"] > time.time()
        if not sound or (used and self.fault != "assertion-replay-accepted"):
            return web.json_response({"error": "invalid_client"}, status=401)
        now = int(time.time())
        access = {
            "iss": HUB,
            "aud": HUB,
            "sub": CALLER,
            "client_id": CALLER,
            "scope": "exchange.query",
            "iat": now,
            "exp": now + 600,
        }
        token = crypto.sign(access, self.token_key, "at+jwt")
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 600}
        return web.json_response(body)

    def _authorise(self, context: _Context) -> None:
        token = metadata(context, "authorization").removeprefix("Bearer ")
        if not token:
            if self.fault == "token-not-needed":
                return
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        keys = {self.token_key["kid"]: self.token_key}
        try:
            crypto.read_signed(token, keys, "at+jwt")
        except ValueError as error:
            if self.fault != "token-signature-ignored":
                raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID") from error

    # -- exchange -----------------------------------------------------------------

    def _forward(self, question: exchange_pb2.SealedQuestion) -> bytes:
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        if not (question.region.isdigit() and len(question.region) == 6):  # noqa: PLR2004 - digits of a division
            said = f"region {question.region} is wrong" if self.fault == "value-repeated" else ""
            raise RefusedError(invalid, "INVALID_REQUEST", field="question.region", said=said)
        limit = 1 << 30 if self.fault == "unlimited-envelope" else _MAX_ENVELOPE_BYTES
        if len(question.envelope) > limit:
            raise RefusedError(invalid, "INVALID_REQUEST", field="question.envelope")
        if not question.region.startswith("11"):
            if self.fault == "unknown-region-internal":
                raise RefusedError(grpc.StatusCode.INTERNAL, "INTERNAL")
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "UNKNOWN_REGION")
        grant = {"sub": CALLER, "region": "440100", "purposes": ["CHECKPOINT"]}
        return self.adapter._answer(question, grant)  # noqa: SLF001 - the adapter behind the hub

    async def Query(  # noqa: N802 - the service's own name
        self, request: exchange_service_pb2.ExchangeServiceQueryRequest, context: _Context
    ) -> exchange_service_pb2.ExchangeServiceQueryResponse:
        """Forward one question."""
        try:
            self._authorise(context)
            if context.time_remaining() is None and self.fault != "deadline-not-needed":
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_MISSING")
            envelope = self._forward(request.question)
        except RefusedError as error:
            await abort(context, error)
        return exchange_service_pb2.ExchangeServiceQueryResponse(envelope=envelope)

    async def Convert(  # noqa: N802 - the service's own name
        self, request: exchange_service_pb2.ConvertRequest, context: _Context
    ) -> exchange_service_pb2.ConvertResponse:
        """Refuse, as the adapter behind it does."""
        refusal = RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "IMPORT_NOT_OFFERED")
        await abort(context, refusal)

    async def QueryStream(  # noqa: N802 - the service's own name
        self,
        request_iterator: AsyncIterator[exchange_service_pb2.ExchangeServiceQueryStreamRequest],
        context: _Context,
    ) -> AsyncIterator[exchange_service_pb2.ExchangeServiceQueryStreamResponse]:
        """Forward batches, each item on its own."""
        try:
            self._authorise(context)
        except RefusedError as error:
            await abort(context, error)
        async for request in request_iterator:
            answers = []
            in_flight: set[int] = set()
            for question in request.questions:
                answer = self._item(question, in_flight)
                if answer is not None:
                    answers.append(answer)
            yield exchange_service_pb2.ExchangeServiceQueryStreamResponse(answers=answers)

    def _item(
        self, question: exchange_pb2.SealedQuestion, in_flight: set[int]
    ) -> exchange_pb2.SealedAnswer | None:
        try:
            if question.id in in_flight and self.fault != "duplicate-accepted":
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "DUPLICATE_ID")
            in_flight.add(question.id)
            envelope = self._forward(question)
        except RefusedError as error:
            if self.fault == "item-dropped" and error.reason == "UNKNOWN_REGION":
                return None
            reason = error_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}")
            return exchange_pb2.SealedAnswer(
                id=question.id, error=error_pb2.ItemError(reason=reason)
            )
        if self.fault == "envelope-altered":
            envelope = envelope[:-1] + bytes([envelope[-1] ^ 1])
        return exchange_pb2.SealedAnswer(id=question.id, envelope=envelope)
