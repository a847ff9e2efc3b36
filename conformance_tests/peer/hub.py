"""The reference hub: one region behind it, one caller, two operators, a short feed.

The region's adapter is the reference adapter in the same process: the hub part
sees its envelopes only. Whoever enrols is reached over the wire. Speaks plain gRPC and
HTTP on loopback.
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
from conformance_tests.peer.hub_book import DENIED, SCOPES, Book, PeerMember
from conformance_tests.peer.hub_feed import ReferenceFeed
from conformance_tests.peer.hub_links import ReferenceLinks
from conformance_tests.peer.hub_registry import ReferenceRegistry
from conformance_tests.peer.hub_sightings import ReferenceSightings
from conformance_tests.peer.hub_streams import ReferenceStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jwcrypto import jwk

_REGION = AUTHORITY.rpartition(":")[2]
_PREFIX = "65"
_BARRED = {"division": "650000", "kind": "policy"}
"""A region that this hub lets publish no policies."""
_SECONDS = 10.0
_REPORTS = 4096
_IN_FLIGHT = 128
_MAX_ENVELOPE_BYTES = 65_536  # SealedQuestion.envelope
_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class ReferenceHub(exchange_service_pb2_grpc.ExchangeServiceServicer):
    """Forwards as the specification asks, but for the one fault it is given.

    Attributes:
        fault: its name; empty for a sound hub.
        feed: its feed; also_feed: the same at another address.
        book: members and audit.
        links: to the adapters of regions that enrolled.
        registry: lets members in.
        sightings: notices repeats.
        client_key: of the one caller that is there from the beginning.
        operator_keys: of its operators, by URN.
        adapter: of the one region that is there from the beginning.
    """

    fault: str = ""
    feed: ReferenceFeed = field(init=False)
    also_feed: ReferenceFeed = field(init=False)
    book: Book = field(init=False)
    links: ReferenceLinks = field(init=False)
    registry: ReferenceRegistry = field(init=False)
    sightings: ReferenceSightings = field(init=False)
    client_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    operator_keys: dict[str, jwk.JWK] = field(default_factory=dict)
    adapter: ReferenceAdapter = field(default_factory=ReferenceAdapter)
    _token_url: str = ""
    _assertions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.feed = ReferenceFeed(self.fault)
        self.also_feed = ReferenceFeed(self.fault, second=self.feed)
        self.book = Book(self.fault, HUB, self.feed.chain)
        self.book.barred[f"urn:hutong:region:{_BARRED['division']}"] = _BARRED["kind"]
        self.links = ReferenceLinks(self.book)
        self.feed.lists = self.links.lists
        self.registry = ReferenceRegistry(self.book, self.links)
        self.feed.below = self.registry.below
        self.sightings = ReferenceSightings(self.book)
        self._there("checkpoint", CALLER, self.client_key)
        for name in ("first", "second"):
            urn = f"urn:hutong:operator:{name}"
            self.operator_keys[urn] = crypto.new_signing_key()
            self._there("operator", urn, self.operator_keys[urn])

    def _there(self, kind: str, urn: str, key: jwk.JWK) -> None:
        """A member that is there from the beginning."""
        region = {"region": "440100"} if kind == "checkpoint" else {}
        member = PeerMember(urn, kind, region, "active", approved=True)
        member.keys = [{"use": "authenticate", "jwk": crypto.public_members(key)}]
        self.book.members[urn] = member

    def write_profile(self, folder: Path, target: str, also: str, token_url: str) -> Path:
        """Write what the suite needs to test this peer; return the profile's path."""
        anchor = {
            "hub": HUB,
            "keys": [
                {"use": "feed", "jwk": self.feed.chain.key.public},
                {"use": "token", "jwk": crypto.public_members(self.book.token_key)},
            ],
        }
        operators = [
            {"urn": urn, "key": write_json(folder / f"operator-{place}.jwk", private_members(key))}
            for place, (urn, key) in enumerate(self.operator_keys.items())
        ]
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
            "also": also,
            "disposable": {
                "operators": operators,
                "prefix": _PREFIX,
                "barred": _BARRED,
                "reports_per_minute": _REPORTS,
                "in_flight": _IN_FLIGHT,
            },
            "capabilities": ["origin", "also", "disposable", "disposable.barred"],
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
            await self.links.close()
            await runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        refused = web.json_response({"error": "invalid_client"}, status=401)
        member = self.book.members.get(str(form.get("client_id", "")))
        waits = member is not None and member.state == "pending"
        if member is None or (
            member.state != "active" and not (waits and self.fault == "token-before-approval")
        ):
            return refused
        keys = {
            key["jwk"]["kid"]: crypto.load_key(key["jwk"])
            for key in member.keys
            if key["use"] == "authenticate"
        }
        try:
            claims, key_id = crypto.read_signed(str(form.get("client_assertion", "")), keys, "JWT")
        except ValueError:
            return refused
        used = claims["jti"] in self._assertions
        self._assertions.add(claims["jti"])
        sound = claims["aud"] == self._token_url and claims["exp"] > time.time()
        if not sound or (used and self.fault != "assertion-replay-accepted"):
            return refused
        scope = str(form.get("scope", ""))
        if scope not in SCOPES[member.kind]:
            return web.json_response({"error": "invalid_scope"}, status=400)
        token = self.book.access_token(member.urn, scope, key_id)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 600}
        return web.json_response(body)

    def authorise(self, context: _Context) -> PeerMember:
        """Whoever asks.

        Raises:
            RefusedError: it may not.
        """
        token = metadata(context, "authorization").removeprefix("Bearer ")
        if not token:
            if self.fault == "token-not-needed":
                return self.book.members[CALLER]
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        keys = {self.book.token_key["kid"]: self.book.token_key}
        try:
            claims, _ = crypto.read_signed(token, keys, "at+jwt")
        except ValueError as error:
            if self.fault != "token-signature-ignored":
                raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID") from error
            claims = crypto.unsafe_claims(token)
        member = self.book.members.get(claims["sub"])
        if member is None or (member.state != "active" and self.fault != "suspended-caller-served"):
            raise RefusedError(DENIED, "CALLER_SUSPENDED")
        return member

    # -- exchange -----------------------------------------------------------------

    async def forward(
        self, question: exchange_pb2.SealedQuestion, caller: PeerMember, seconds: float
    ) -> bytes:
        """Hand a question to whoever answers for its region.

        Raises:
            RefusedError: nobody does, or it breaks a rule.
        """
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        if not (question.region.isdigit() and len(question.region) == 6):  # noqa: PLR2004 - digits of a division
            said = f"region {question.region} is wrong" if self.fault == "value-repeated" else ""
            raise RefusedError(invalid, "INVALID_REQUEST", field="question.region", said=said)
        large = len(question.envelope) > _MAX_ENVELOPE_BYTES
        if large and self.fault != "unlimited-envelope":
            raise RefusedError(invalid, "INVALID_REQUEST", field="question.envelope")
        behind = self.links.behind(question.region)
        if behind is not None:
            return await self.links.ask(behind, question, caller, seconds)
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
            caller = self.authorise(context)
            if context.time_remaining() is None and self.fault != "deadline-not-needed":
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_MISSING")
            if caller.kind == "hub":
                grant = metadata(context, "hutong-grant")
                caller = self.registry.below.introduced(caller, grant)
            seconds = context.time_remaining() or _SECONDS
            envelope = await self.forward(request.question, caller, seconds)
        except RefusedError as error:
            await abort(context, error)
        return exchange_service_pb2.ExchangeServiceQueryResponse(envelope=envelope)

    async def Convert(  # noqa: N802 - the service's own name
        self, request: exchange_service_pb2.ConvertRequest, context: _Context
    ) -> exchange_service_pb2.ConvertResponse:
        """Hand an import to its destination; the adapter from the beginning takes none."""
        try:
            caller = self.authorise(context)
            behind = self.links.behind(request.sealed.region)
            if behind is None:
                raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "IMPORT_NOT_OFFERED")
            envelope = await self.links.convert(behind, request.sealed, caller)
        except RefusedError as error:
            await abort(context, error)
        return exchange_service_pb2.ConvertResponse(envelope=envelope)

    async def QueryStream(  # noqa: N802 - the service's own name
        self,
        request_iterator: AsyncIterator[exchange_service_pb2.ExchangeServiceQueryStreamRequest],
        context: _Context,
    ) -> AsyncIterator[exchange_service_pb2.ExchangeServiceQueryStreamResponse]:
        """Forward batches, each item on its own."""
        try:
            caller = self.authorise(context)
        except RefusedError as error:
            await abort(context, error)
        stream = ReferenceStream(self.fault, self.book, caller, self.forward)
        try:
            async for answer in stream.carry(request_iterator):
                yield exchange_service_pb2.ExchangeServiceQueryStreamResponse(answers=[answer])
        except RefusedError as error:
            await abort(context, error)
