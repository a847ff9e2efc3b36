"""A city on loopback: an aiohttp platform, an adapter in front of it, and who asks.

Everything is real but the people: sockets, gRPC, sealing, signatures. The platform
answers from a dictionary and misbehaves on demand. All numbers are synthetic.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc, exchange_pb2

from adapters.sdk import (
    AdapterParts,
    AdapterServer,
    Upstream,
    UpstreamSettings,
    generate_keys,
    open_connector,
)
from gateway.attestation import (
    AttestationVerifier,
    Binding,
    generate_signing_key,
    open_answer,
    seal_question,
    verification_key_from_jwk,
)
from gateway.attestation.keys import public_jwk
from gateway.codes.schemes import load_scheme
from gateway.trust import jws
from gateway.trust.anchor import make_anchor
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.hub_tokens import GRANT_METADATA_KEY, GRANT_TYPE
from gateway.wire.server import ServerSettings
from tests.codes.scheme_samples import SCHEME, VECTORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.codes.schemes import Scheme

AUTHORITY = "urn:hutong:region:330100"
AUDIENCE = "urn:hutong:region:440100"
CALLER = "urn:hutong:checkpoint:440100:north-gate"
HUB = "urn:hutong:hub:000000"
NOW = datetime(2020, 3, 1, 4, 0, tzinfo=UTC)

# Synthetic resident numbers: divisions of Hangzhou, valid check characters.
PERSON = "330102199001010055"
OTHER_PERSON = "330102199001010063"

CONNECTOR = """\
connector:
  http:
    auth: {kind: header, name: X-Token, secret: token}
    ask:
      document:
        method: POST
        path: /query
        send: json
        idempotent: true
        document_types: {10: "1"}
        fields: {type: "{type}", number: "{number}"}
      qr_text:
        method: GET
        path: /decode
        send: query
        fields: {code: "{text}"}
    answer:
      statuses: {404: NOT_FOUND}
      code: {path: code, ok: ["0"], outcomes: {"18": SOURCE_BUSY}, retry_after_seconds: 30}
      records: data
      same_person: number
      report:
        state: {path: state}
        issued_by: {path: city, map: {杭州市: "330100", 绍兴市: "330600"}}
        assessed_at: {path: at, time: "%Y%m%d%H%M%S"}
        source_at: {path: at, time: "%Y%m%d%H%M%S"}
        declared_at: {path: at, time: "%Y%m%d%H%M%S"}
        reason: {path: why}
"""


def sample_scheme(connector: str = CONNECTOR) -> Scheme:
    return load_scheme((SCHEME + connector).encode(), vectors=VECTORS.encode())


def record(state: str = "绿码", *, city: str = "杭州市", at: str = "20200301080000") -> dict:
    return {"number": "synthetic", "state": state, "city": city, "at": at, "why": ""}


@dataclass
class Platform:
    """The platform: what it holds, how it misbehaves, what it was asked."""

    records: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    asked: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.called.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.raw is not None or self.status != 200:
            return web.Response(status=self.status, body=self.raw or b"", headers=self.headers)
        if request.headers.get("X-Token") != "synthetic-token":
            return web.Response(status=401)
        key = request.query["code"] if request.method == "GET" else (await request.json())["number"]
        found = self.records.get(key)
        return web.json_response({"code": "0", "data": found})


@asynccontextmanager
async def platform_on_loopback(platform: Platform) -> AsyncIterator[web.AppRunner]:
    app = web.Application()
    app.router.add_post("/query", platform.answer)
    app.router.add_get("/decode", platform.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    platform.url = f"http://{host}:{port}"
    try:
        yield runner
    finally:
        if platform.hold is not None:
            platform.hold.set()
        await runner.cleanup()


class Asker:
    """An edge with a hub's grant, in one."""

    def __init__(self, keys: Any, hub_key: Any, now: Any) -> None:
        self.keys = keys
        self.hub_key = hub_key
        self.now = now
        self.stub: Any = None
        issuer = verification_key_from_jwk(
            public_jwk(keys.attest),
            issuer=AUTHORITY,
            prefixes=("3301",),
            not_before=datetime(2020, 1, 1, tzinfo=UTC),
        )
        self.issuer_key = issuer

    def attestation_key(self, issuer: str, key_id: str) -> Any:
        assert (issuer, key_id) == (AUTHORITY, self.issuer_key.key_id)
        return self.issuer_key

    def grant(self, key: Any = None, **changes: Any) -> str:
        now = int(self.now().timestamp())
        claims = {
            "iss": HUB,
            "aud": AUTHORITY,
            "sub": CALLER,
            "region": "440100",
            "scope": "exchange.query",
            "purposes": ["CHECKPOINT"],
            "iat": now,
            "exp": now + 600,
            "jti": "synthetic-grant-0001",
        }
        return jws.sign({**claims, **changes}, key or self.hub_key, typ=GRANT_TYPE)

    def seal(
        self,
        *questions: exchange_pb2.Question,
        asked_at: datetime | None = None,
        audience: str = AUDIENCE,
        binding: Binding | None = None,
        region: str = "330100",
        purpose: str = "CHECKPOINT",
        item: int = 1,
        timeout_ms: int = 5000,
        caller: int = 1,
    ) -> tuple[exchange_pb2.SealedQuestion, Any]:
        batch = exchange_pb2.QuestionBatch(
            reply_key=os.urandom(32), audience=audience, questions=questions
        )
        batch.asked_at.FromDatetime(asked_at or self.now())
        binding = binding or Binding(f"urn:hutong:region:{region}", CALLER, purpose)
        key = self.keys.seal[0]
        sealed = exchange_pb2.SealedQuestion(
            id=item,
            region=region,
            purpose=exchange_pb2.Purpose.Value("PURPOSE_" + purpose),
            timeout_ms=timeout_ms,
            key_id=key.key_id,
            envelope=seal_question(key.public, batch.SerializeToString(), binding),
            caller=caller,
        )

        def opener(envelope: bytes) -> list[exchange_pb2.Answer]:
            plaintext = open_answer(batch.reply_key, envelope, binding, key.profile)
            return list(exchange_pb2.AnswerBatch.FromString(plaintext).answers)

        return sealed, opener

    async def query(
        self,
        *questions: exchange_pb2.Question,
        grant: str | None = None,
        seconds: float = 5.0,
        **sealing: Any,
    ) -> list[exchange_pb2.Answer]:
        sealed, opener = self.seal(*questions, **sealing)
        reply = await self.stub.Query(
            adapter_service_pb2.AdapterServiceQueryRequest(question=sealed),
            metadata=((GRANT_METADATA_KEY, grant or self.grant()),),
            timeout=seconds,
        )
        return opener(reply.envelope)

    def verify(self, answer: exchange_pb2.Answer, *, carried: bool = False) -> Any:
        verifier = AttestationVerifier(self)
        return verifier.verify(
            answer.attestation,
            audience=AUDIENCE,
            now=self.now(),
            nonce=None if carried else answer.nonce,
        )


def by_document(number: str = PERSON, *, carried: bool = False, nonce: bytes | None = None) -> Any:
    question = exchange_pb2.Question(
        nonce=nonce or os.urandom(16),
        use=exchange_pb2.ATTESTATION_USE_CARRIED
        if carried
        else exchange_pb2.ATTESTATION_USE_ONLINE,
    )
    question.document.type = 10  # type: ignore[assignment]  # wrong on purpose, or a number for the enum
    question.document.number = number
    return question


def by_qr(text: str) -> Any:
    return exchange_pb2.Question(
        nonce=os.urandom(16), use=exchange_pb2.ATTESTATION_USE_ONLINE, qr_text=text
    )


@dataclass
class World:
    platform: Platform
    runner: web.AppRunner
    adapter: AdapterServer
    asker: Asker
    channel: Any
    port: int
    offset: timedelta = timedelta()
    at: Any = None

    def now(self) -> datetime:
        return NOW + self.offset if self.at is None else self.at()


@asynccontextmanager
async def world(
    *, connector: Any = None, timeout_seconds: float = 3.0, breaker_failures: int = 5, **parts: Any
) -> AsyncIterator[World]:
    platform = Platform()
    async with platform_on_loopback(platform) as runner:
        place = World(platform, runner, None, None, None, 0)  # type: ignore[arg-type]  # wrong on purpose, or built loosely
        place.at = parts.pop("at", None)
        scheme = parts.pop("scheme", None) or sample_scheme()
        keys = generate_keys()
        hub_key = generate_signing_key()
        if connector is None:
            upstream = Upstream(
                UpstreamSettings(
                    url=platform.url,
                    timeout_seconds=timeout_seconds,
                    max_response_bytes=64 * 1024,
                    breaker_failures=breaker_failures,
                    breaker_open_seconds=3600,
                )
            )
            connector = open_connector(
                scheme, upstream=upstream, secrets={"token": "synthetic-token"}, now=place.now
            )
        place.adapter = AdapterServer(
            AdapterParts(
                scheme=scheme,
                connector=connector,
                keys=keys,
                anchor=make_anchor(HUB, feed_keys=[generate_signing_key()], token_keys=[hub_key]),
                server=ServerSettings(unsafe_insecure=True, drain_seconds=5),
                clock=place.now,
                **parts,
            )
        )
        place.port = await place.adapter.start()
        place.asker = Asker(keys, hub_key, place.now)
        place.channel = unsafe_open_insecure_channel(f"127.0.0.1:{place.port}")
        place.asker.stub = adapter_service_pb2_grpc.AdapterServiceStub(place.channel)
        try:
            yield place
        finally:
            await place.channel.close()
            await place.adapter.stop()


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
