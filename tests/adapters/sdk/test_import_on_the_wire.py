"""A conversion through two real adapters: gRPC, HTTP, a followed feed, real sealing.

The origin's adapter attests for import, the destination's adapter believes the hub's
feed and enters the code at its platform's door. People are synthetic.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiohttp import web
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc, code_pb2, exchange_pb2
from hutong.v1 import feed_service_pb2_grpc as feed_grpc

from adapters.sdk import (
    AdapterParts,
    AdapterServer,
    HubReplica,
    ReplicaSettings,
    Upstream,
    UpstreamSettings,
    generate_keys,
    load_settings,
    open_connector,
)
from gateway.attestation import (
    AttestationUse,
    AttestationVerifier,
    Binding,
    check_bound,
    generate_signing_key,
    open_import_answer,
    seal_import,
)
from gateway.attestation.errors import AttestationError
from gateway.codes.documents import Document, DocumentType
from gateway.codes.proto import local_code_from_proto
from gateway.codes.schemes import load_scheme
from gateway.errors import HutongError, TrustError
from gateway.trust import jws
from gateway.trust.anchor import make_anchor
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from gateway.wire.hub_tokens import GRANT_METADATA_KEY, GRANT_TYPE
from gateway.wire.server import ServerSettings
from tests.adapters.sdk import adapter_world
from tests.adapters.sdk.import_world import (
    CALLER,
    DESTINATION,
    IMPORT,
    NAME,
    NOW,
    PERSON,
    URN,
    ImportWorld,
)
from tests.adapters.sdk.test_http_import import WITH_DOOR
from tests.codes.scheme_samples import SCHEME, VECTORS
from tests.edge.world import Clock, HubInProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.trust.simulator import FederationSimulator

pytestmark = pytest.mark.asyncio
DOOR = WITH_DOOR.replace("json_strings: [data]\n          ", "").replace(
    "            - {path: data.code, ok: [ok], own_record: [held]}\n", ""
)
_LONG_AGO = int((NOW - timedelta(hours=1)).timestamp())


@dataclass
class Door:
    """The destination's platform: what it holds, and what was entered."""

    records: dict[str, Any] = field(default_factory=dict)
    entered: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: int = 0
    status: int = 200

    async def query(self, request: web.Request) -> web.StreamResponse:
        number = (await request.json())["number"]
        return web.json_response({"code": "0", "data": self.records.get(number)})

    async def enter(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        if self.status != 200:
            return web.Response(status=self.status)
        body = (await request.json())["body"]
        self.entered.setdefault(body["ref"], body)
        number = list(self.entered).index(body["ref"])
        until = int((NOW + timedelta(hours=6)).timestamp())
        return web.json_response(
            {"code": 0, "data": {"qr": f"https://code.example/?id={number:032x}", "until": until}}
        )


@dataclass
class Wire:
    """A destination's adapter on loopback, its hub's feed, and who converts there."""

    federation: FederationSimulator
    hub: HubInProcess
    clock: Clock
    door: Door
    origin: ImportWorld
    replica: HubReplica
    keys: Any
    stub: Any

    def grant(self, **changes: Any) -> str:
        now = int(self.clock().timestamp())
        claims = {
            "iss": self.federation.anchor.hub,
            "aud": URN + DESTINATION,
            "sub": CALLER,
            "region": DESTINATION,
            "scope": "exchange.query",
            "purposes": ["HOLDER"],
            "iat": now,
            "exp": now + 600,
            "jti": "synthetic-grant-0001",
        }
        return jws.sign({**claims, **changes}, self.federation.token_key, typ=GRANT_TYPE)

    async def convert(self, *imports: exchange_pb2.Import, **grant: Any) -> list[Any]:
        reply_key = os.urandom(32)
        batch = exchange_pb2.ImportBatch(reply_key=reply_key, imports=imports)
        batch.asked_at.FromDatetime(self.clock())
        binding = Binding(URN + DESTINATION, CALLER, "HOLDER")
        key = self.keys.seal[0]
        sealed = exchange_pb2.SealedQuestion(
            region=DESTINATION,
            purpose=exchange_pb2.PURPOSE_HOLDER,
            key_id=key.key_id,
            envelope=seal_import(key.public, batch.SerializeToString(), binding),
        )
        reply = await self.stub.Import(
            adapter_service_pb2.ImportRequest(sealed=sealed),
            metadata=((GRANT_METADATA_KEY, self.grant(**grant)),),
            timeout=5,
        )
        plaintext = open_import_answer(reply_key, reply.envelope, binding, key.profile)
        return list(exchange_pb2.ImportAnswerBatch.FromString(plaintext).answers)

    async def describe(self) -> Any:
        return await self.stub.Describe(adapter_service_pb2.DescribeRequest(), timeout=5)


@asynccontextmanager
async def wire(
    tmp_path: Path, *, rule: str = IMPORT, door_in_yaml: bool = True
) -> AsyncIterator[Wire]:
    origin = ImportWorld()
    federation, clock, door = origin.federation, Clock(NOW), Door()
    federation.now = NOW
    hub = HubInProcess(federation, clock)
    async with AsyncExitStack() as stack:
        server = grpc.aio.server()
        feed_grpc.add_FeedServiceServicer_to_server(hub, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        app = web.Application()
        app.router.add_post("/query", door.query)
        app.router.add_post("/import", door.enter)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, platform_port = runner.addresses[0][:2]
        connector = DOOR if door_in_yaml else adapter_world.CONNECTOR
        scheme = load_scheme((SCHEME + rule + connector).encode(), vectors=VECTORS.encode())
        replica = HubReplica(
            federation.anchor,
            ReplicaSettings(
                target=f"127.0.0.1:{port}", path=tmp_path / "feed.replica", unsafe_insecure=True
            ),
            clock=clock,
        )
        keys = generate_keys()
        adapter = AdapterServer(
            AdapterParts(
                scheme=scheme,
                connector=open_connector(
                    scheme,
                    upstream=Upstream(UpstreamSettings(url=f"http://{host}:{platform_port}")),
                    secrets={"token": "synthetic-token"},
                    now=clock,
                ),
                keys=keys,
                anchor=federation.anchor,
                server=ServerSettings(unsafe_insecure=True, drain_seconds=5),
                replica=replica,
                clock=clock,
            )
        )
        adapter_port = await adapter.start()
        stack.push_async_callback(adapter.stop)
        channel = unsafe_open_insecure_channel(f"127.0.0.1:{adapter_port}")
        stack.push_async_callback(channel.close)
        stub = adapter_service_pb2_grpc.AdapterServiceStub(channel)
        await replica.refresh()
        yield Wire(federation, hub, clock, door, origin, replica, keys, stub)


def reason(error: grpc.aio.AioRpcError) -> str:
    failure = failure_from_rpc_error(error)
    assert isinstance(failure, RpcFailure)
    return failure.code


async def test_a_green_of_another_region_becomes_a_code_at_the_platform(tmp_path: Path) -> None:
    async with wire(tmp_path) as world:
        assert (await world.describe()).imports
        asked = world.origin.ask()
        (answer,) = await world.convert(asked)
        code = local_code_from_proto(answer.local_code)
        assert (code.origin, code.state) == ("440100", "绿码")
        assert code.valid_until == NOW + timedelta(hours=6)
        (entered,) = world.door.entered.values()
        assert (entered["number"], entered["name"]) == (PERSON.number, NAME)
        assert entered["from"] == "440100"
        (again,) = await world.convert(asked)
        assert again.local_code == answer.local_code
        assert world.door.calls == 1


async def test_the_platforms_own_red_and_a_platform_that_is_down_convert_nothing(
    tmp_path: Path,
) -> None:
    async with wire(tmp_path) as world:
        record = adapter_world.record("红码", at="20200401120000")
        world.door.records[PERSON.number] = {**record, "scope": "全域"}
        (answer,) = await world.convert(world.origin.ask())
        assert answer.refusal == exchange_pb2.IMPORT_REFUSAL_OWN_RECORD
        world.door.records.clear()
        world.door.status = 409
        (answer,) = await world.convert(world.origin.ask())
        assert answer.refusal == exchange_pb2.IMPORT_REFUSAL_OWN_RECORD
        world.door.status = 503
        (answer,) = await world.convert(world.origin.ask())
        assert answer.refusal == exchange_pb2.IMPORT_REFUSAL_PLATFORM
        assert not world.door.entered


async def test_who_is_suspended_in_the_feed_is_believed_no_longer(tmp_path: Path) -> None:
    async with wire(tmp_path) as world:
        asked = world.origin.ask()
        world.federation.suspend("440100")
        world.hub.tell()
        await world.replica.refresh()
        (answer,) = await world.convert(asked)
        assert answer.WhichOneof("result") == "error"
        assert not world.door.calls


async def test_nothing_is_converted_while_the_hub_was_silent_for_too_long(tmp_path: Path) -> None:
    async with wire(tmp_path) as world:
        world.clock.advance(hours=24, seconds=1)
        assert not world.replica.is_fresh(world.clock())
        assert not (await world.describe()).imports
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.convert(world.origin.ask())
        assert reason(caught.value) == "IMPORT_NOT_OFFERED"
        world.hub.tell()
        await world.replica.refresh()
        assert (await world.describe()).imports


async def test_the_replica_is_taken_up_from_disk_and_followed_on(tmp_path: Path) -> None:
    async with wire(tmp_path) as world:
        path = tmp_path / "feed.replica"
        assert path.exists()
        settings = ReplicaSettings(target="127.0.0.1:9", path=path, unsafe_insecure=True)
        other = HubReplica(world.federation.anchor, settings, clock=world.clock)
        assert other.verifier(world.clock()) is None
        await other.start()
        try:
            assert other.verifier(world.clock()) is not None
            assert other.verifier(world.clock()) is other.verifier(world.clock())
            with pytest.raises(RpcFailure):
                await other.refresh()
        finally:
            await other.stop()
            await other.stop()
        stranger = make_anchor(
            world.federation.anchor.hub,
            feed_keys=[generate_signing_key()],
            token_keys=[generate_signing_key()],
        )
        foreign = HubReplica(stranger, settings, clock=world.clock)
        await foreign.start()
        try:
            assert foreign.verifier(world.clock()) is None
        finally:
            await foreign.stop()


async def test_an_adapter_that_cannot_listen_follows_no_feed(tmp_path: Path) -> None:
    origin = ImportWorld()
    settings = ReplicaSettings(
        target="127.0.0.1:9", path=tmp_path / "feed.replica", unsafe_insecure=True
    )
    scheme = load_scheme((SCHEME + IMPORT + DOOR).encode(), vectors=VECTORS.encode())
    adapter = AdapterServer(
        AdapterParts(
            scheme=scheme,
            connector=origin.city,
            keys=generate_keys(),
            anchor=origin.federation.anchor,
            server=ServerSettings(
                tls_certificate=tmp_path / "none.pem", tls_key=tmp_path / "none-key.pem"
            ),
            replica=HubReplica(origin.federation.anchor, settings, clock=lambda: NOW),
            clock=lambda: NOW,
        )
    )
    before = asyncio.all_tasks()
    with pytest.raises(HutongError):
        await adapter.start()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("rule", "door_in_yaml"), [("", True), (IMPORT, False)], ids=["no-condition", "no-door"]
)
async def test_an_adapter_without_a_condition_or_a_door_offers_nothing(
    tmp_path: Path, rule: str, door_in_yaml: bool
) -> None:
    async with wire(tmp_path, rule=rule, door_in_yaml=door_in_yaml) as world:
        assert not (await world.describe()).imports
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.convert(world.origin.ask())
        assert reason(caught.value) == "IMPORT_NOT_OFFERED"


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        ({"purposes": ["CHECKPOINT"]}, "PURPOSE_NOT_ALLOWED"),
        ({"scope": "registry.publish"}, "SCOPE_MISSING"),
        ({"aud": URN + "440100"}, "TOKEN_INVALID"),
        ({"iat": _LONG_AGO, "exp": _LONG_AGO + 600}, "TOKEN_EXPIRED"),
        ({"sub": CALLER + "2"}, "ENVELOPE_UNREADABLE"),
    ],
)
async def test_who_may_not_convert_is_refused_as_a_question_would_be(
    tmp_path: Path, grant: dict[str, Any], expected: str
) -> None:
    async with wire(tmp_path) as world:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.convert(world.origin.ask(), **grant)
        assert reason(caught.value) == expected
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.stub.Import(adapter_service_pb2.ImportRequest(), timeout=5)
        assert reason(caught.value) in {"INVALID_REQUEST", "TOKEN_MISSING"}
        assert not world.door.calls


# --- the origin's side ---------------------------------------------------------


def to_import(question: exchange_pb2.Question) -> exchange_pb2.Question:
    question.use = exchange_pb2.ATTESTATION_USE_IMPORT
    return question


async def test_an_adapter_attests_for_import_bound_to_the_document_it_was_asked_about() -> None:
    async with adapter_world.world() as place:
        place.platform.records[adapter_world.PERSON] = [adapter_world.record()]
        question = to_import(adapter_world.by_document())
        (answer,) = await place.asker.query(question)
        verifier = AttestationVerifier(place.asker)
        read = verifier.verify(
            answer.attestation, audience=adapter_world.AUDIENCE, now=place.now(), is_import=True
        )
        assert (read.use, read.nonce) == (AttestationUse.IMPORT, None)
        assert read.expires_at - read.issued_at == timedelta(minutes=10)
        check_bound(
            read,
            question.nonce,
            Document(DocumentType.RESIDENT_IDENTITY_CARD, adapter_world.PERSON),
        )
        for number in (adapter_world.OTHER_PERSON,):
            with pytest.raises(TrustError):
                check_bound(
                    read, question.nonce, Document(DocumentType.RESIDENT_IDENTITY_CARD, number)
                )
        for nonce in (None, question.nonce):
            with pytest.raises(AttestationError):
                verifier.verify(
                    answer.attestation,
                    audience=adapter_world.AUDIENCE,
                    now=place.now(),
                    nonce=nonce,
                )


async def test_a_qr_text_whose_person_is_not_known_makes_an_attestation_that_is_unbound() -> None:
    text = "https://code.example/?id=0123456789abcdef0123456789abcdef"
    async with adapter_world.world() as place:
        place.platform.records[text] = [adapter_world.record()]
        (answer,) = await place.asker.query(to_import(adapter_world.by_qr(text)))
        read = AttestationVerifier(place.asker).verify(
            answer.attestation, audience=adapter_world.AUDIENCE, now=place.now(), is_import=True
        )
        assert read.bound is None


async def test_an_unknown_use_is_refused_for_its_own_question_only() -> None:
    async with adapter_world.world() as place:
        place.platform.records[adapter_world.PERSON] = [adapter_world.record()]
        odd = adapter_world.by_document()
        odd.use = 9  # type: ignore[assignment]  # wrong on purpose
        answers = await place.asker.query(odd, adapter_world.by_document())
        assert answers[0].error.reason
        assert answers[1].attestation


async def test_settings_name_the_hub_whose_feed_is_followed(tmp_path: Path) -> None:
    (tmp_path / "adapter.toml").write_text(
        '[platform]\nurl = "http://127.0.0.1:1"\n'
        '[hub]\ntarget = "hub.example:7443"\nca = "hub-ca.pem"\n'
    )
    hub = load_settings(tmp_path).hub
    assert hub is not None
    assert (hub.target, hub.ca) == ("hub.example:7443", tmp_path / "hub-ca.pem")
    assert hub.replica == tmp_path / "state" / "feed.replica"
    assert (hub.heartbeat_seconds, hub.max_trust_age_seconds) == (15, 86_400)
    (tmp_path / "adapter.toml").write_text('[platform]\nurl = "http://127.0.0.1:1"\n')
    assert load_settings(tmp_path).hub is None


async def test_places_travel_with_evidence_and_with_nothing_else() -> None:
    connector = adapter_world.CONNECTOR.replace(
        "        reason: {path: why}\n",
        "        itinerary: {records: cities, division: {path: code, pad: 6}, "
        'window_days: {value: "14"}, as_of: {path: at, time: "%Y%m%d%H%M%S"}}\n',
    )
    scheme = load_scheme(
        (SCHEME.replace("outcome: NOT_APPLIED", "outcome: EVIDENCE_ONLY", 1) + connector).encode(),
        vectors=VECTORS.replace("NOT_APPLIED", "EVIDENCE_ONLY").encode(),
    )
    platform = adapter_world.Platform()
    async with adapter_world.platform_on_loopback(platform):
        made = open_connector(
            scheme,
            upstream=Upstream(UpstreamSettings(url=platform.url)),
            secrets={"token": "synthetic-token"},
            now=lambda: adapter_world.NOW,
        )
        async with adapter_world.world(connector=made, scheme=scheme) as place:
            cities = [{"code": "3301"}, {"code": "11"}]
            for state, kind in (("未申领", "outcome"), ("绿码", "attestation")):
                record = {**adapter_world.record(state), "cities": cities}
                platform.records[adapter_world.PERSON] = [record]
                (answer,) = await place.asker.query(adapter_world.by_document())
                assert answer.WhichOneof("result") == kind
                if kind == "outcome":
                    assert answer.outcome.outcome == code_pb2.OUTCOME_EVIDENCE_ONLY
                    assert answer.outcome.state == "未申领"
                    places = [each.division for each in answer.outcome.itinerary.places]
                    assert places == ["330100", "110000"]
                    assert answer.outcome.itinerary.window_days == 14
