"""The hub's gRPC door under bad input: the reason, no change, nothing repeated."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import (
    distrust_pb2,
    error_pb2,
    exchange_pb2,
    exchange_service_pb2,
    feed_service_pb2,
    registry_service_pb2,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.trust import StatementKind
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import enrol
from gateway.wire.errors import failure_from_rpc_error
from tests.doors.hub_door import MARKER, MARKER_WORD, Door, everything_said, hub_door
from tests.hub.hub_world import (
    GUANGZHOU,
    HANGZHOU,
    HUB,
    enrolment,
    now_region,
    policy,
    scheme,
    signing_key,
    statement,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.message import Message

pytestmark = pytest.mark.asyncio

REASONS = {name.removeprefix("ERROR_REASON_") for name in dict(error_pb2.ErrorReason.items())}
SERVICES = (exchange_service_pb2, feed_service_pb2, registry_service_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
Metadata = tuple[tuple[str, str], ...]


async def operator_metadata(door: Door) -> Metadata:
    async with door.world.operator_tokens() as tokens:
        return await door.world.metadata(tokens, "registry.read registry.approve")


async def _parts(data: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield data


async def _streamed(
    channel: grpc.aio.Channel, method: str, data: bytes, metadata: Metadata
) -> list[bytes]:
    while True:
        call = channel.stream_stream(method)(_parts(data, 1), metadata=metadata, timeout=5)
        try:
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            # A refusal that outruns the client's own write comes out of grpc.aio as an
            # INTERNAL without trailers: it says nothing of the server, so ask again.
            if error.code() is not grpc.StatusCode.INTERNAL or error.trailing_metadata():
                raise


async def sent(
    channel: grpc.aio.Channel, method: str, data: bytes, metadata: Metadata = (), **options: Any
) -> grpc.aio.AioRpcError | list[bytes]:
    """Send bytes as the one message of a call; its answers, or how it was refused."""
    shape = METHODS[method]
    try:
        if shape.client_streaming:
            return await _streamed(channel, method, data, metadata)
        if shape.server_streaming:
            stream = channel.unary_stream(method)(data, metadata=metadata, timeout=5)
            first = await stream.read()
            stream.cancel()
            return [first] if isinstance(first, bytes) else []
        unary = channel.unary_unary(method)
        return [await unary(data, metadata=metadata, timeout=5, **options)]
    except grpc.aio.AioRpcError as error:
        return error


def reason(refused: object) -> str:
    assert isinstance(refused, grpc.aio.AioRpcError), refused
    return failure_from_rpc_error(refused).code


async def test_any_bytes_at_any_method_are_refused_with_a_reason_and_change_nothing(
    tmp_path: Path,
) -> None:
    planted = MARKER_WORD.encode()
    valid: list[tuple[str, Message]] = [
        ("/hutong.v1.RegistryService/Enrol", enrolment(now_region(), _now())),
        (
            "/hutong.v1.ExchangeService/Query",
            exchange_service_pb2.ExchangeServiceQueryRequest(question=_question()),
        ),
        (
            "/hutong.v1.ExchangeService/QueryStream",
            exchange_service_pb2.ExchangeServiceQueryStreamRequest(questions=[_question()] * 2),
        ),
        ("/hutong.v1.FeedService/Watch", feed_service_pb2.WatchRequest(after_sequence=2**63)),
        (
            "/hutong.v1.RegistryService/ListMembers",
            registry_service_pb2.ListMembersRequest(page_token=MARKER_WORD),
        ),
    ]

    @st.composite
    def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
        method, message = draw(st.sampled_from(valid))
        data = bytearray(message.SerializeToString())
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, max(0, len(data) - 1)))
            kind = draw(st.sampled_from("dfxt"))
            if kind == "t":
                del data[at:]
            elif kind == "d":
                del data[at : at + 1]
            elif kind == "f" and data:
                data[at] ^= draw(st.integers(1, 255))
            else:
                data[at:at] = draw(st.binary(max_size=8))
        return method, bytes(data)

    arbitrary = st.tuples(
        st.sampled_from(sorted(METHODS)),
        st.binary(max_size=80).map(lambda data: planted + data) | st.binary(max_size=80),
    )
    async with hub_door(tmp_path) as door, door.world.channel() as channel:
        loop = asyncio.get_running_loop()
        metadata = await operator_metadata(door)
        before = await door.state()

        async def attempt(method: str, data: bytes, tokened: bool) -> None:
            answer = await sent(channel, method, data, metadata if tokened else ())
            if isinstance(answer, grpc.aio.AioRpcError):
                assert reason(answer) in REASONS - {"INTERNAL", "UNSPECIFIED"}, (method, data)
                assert MARKER_WORD not in everything_said(answer)

        @given(case=arbitrary | mutated(), tokened=st.booleans())
        @settings(
            max_examples=100,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        def tried(case: tuple[str, bytes], tokened: bool) -> None:
            asyncio.run_coroutine_threadsafe(attempt(*case, tokened), loop).result(20)

        await asyncio.to_thread(tried)
        after = await door.state()
        # An enrolment may survive a change of an unknown field; it is asked about, not admitted.
        assert after["sequence"] == before["sequence"]
        assert not [log for log in door.logs if log["event"] == "incident"]
        door.assert_silent()


def _now() -> Any:
    return datetime.now(UTC)


def _question(**changes: Any) -> exchange_pb2.SealedQuestion:
    fields: dict[str, Any] = {
        "id": 1,
        "region": "330100",
        "purpose": exchange_pb2.PURPOSE_CHECKPOINT,
        "timeout_ms": 1000,
        "key_id": "A" * 43,
        "envelope": b"sealed",
    }
    return exchange_pb2.SealedQuestion(**(fields | changes))


async def test_wrong_tokens_are_refused_at_every_guarded_method(tmp_path: Path) -> None:
    open_to_all = {"Enrol", "ProvePossession", "GetEnrolment", "Snapshot", "Watch"}
    open_to_all |= {"ListHubs", "GetStatusList"}
    async with hub_door(tmp_path) as door, door.world.channel() as channel:
        good = (await operator_metadata(door))[0][1].removeprefix("Bearer ")
        head, body, signature = good.split(".")
        flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
        cases: list[tuple[str, Metadata]] = [
            ("TOKEN_MISSING", ()),
            ("TOKEN_MISSING", (("authorization", f"Basic {MARKER}"),)),
            ("TOKEN_MISSING", (("authorization", f"Bearer {good}"),) * 2),
            ("TOKEN_INVALID", (("authorization", f"Bearer {MARKER_WORD}"),)),
            ("TOKEN_INVALID", (("authorization", f"Bearer {head}.{body}"),)),
            ("TOKEN_INVALID", (("authorization", f"Bearer {head}.{body}.{flipped}"),)),
            ("TOKEN_INVALID", (("authorization", "Bearer " + MARKER * 300),)),
        ]
        between_hubs: list[tuple[str, Metadata]] = [
            ("TOKEN_MISSING", ()),
            ("TOKEN_MISSING", cases[-1][1]),
            ("TOKEN_MISSING", (("hutong-grant", MARKER_WORD),) * 2),
            ("TOKEN_INVALID", (("hutong-grant", MARKER_WORD),)),
            # It is signed by this hub, for callers of this hub.
            ("TOKEN_INVALID", (("hutong-grant", good),)),
        ]
        before = await door.state()
        for method, shape in METHODS.items():
            if shape.name in open_to_all:
                continue
            request = _valid_request(shape.name)
            for expected, metadata in between_hubs if shape.name == "CountReaders" else cases:
                refused = await sent(channel, method, request, metadata)
                assert reason(refused) == expected, method
                door.assert_silent(everything_said(refused))
        assert await door.state() == before


def _valid_request(name: str) -> bytes:
    pb, exchange = registry_service_pb2, exchange_service_pb2
    rule = distrust_pb2.DistrustRule(issuer=HANGZHOU, signed_from=Timestamp(seconds=1))
    requests: dict[str, Message] = {
        "ListMembers": pb.ListMembersRequest(),
        "Approve": pb.ApproveRequest(urn=HANGZHOU),
        "Suspend": pb.SuspendRequest(urn=HANGZHOU),
        "PublishStatement": pb.PublishStatementRequest(statement="x"),
        "Withdraw": pb.WithdrawRequest(urn=HANGZHOU),
        "ChangeKeys": pb.ChangeKeysRequest(statement="x"),
        "Rehearse": pb.RehearseRequest(statement="x"),
        "GetRehearsal": pb.GetRehearsalRequest(rehearsal="x"),
        "PreviewDistrust": pb.PreviewDistrustRequest(rule=rule),
        "Distrust": pb.DistrustRequest(rule=rule, reason="x"),
        "UndoDistrust": pb.UndoDistrustRequest(distrust="x"),
        "Lint": pb.LintRequest(statement="x"),
        "GetStanding": pb.GetStandingRequest(),
        "ListAudit": pb.ListAuditRequest(),
        "MakePack": pb.MakePackRequest(),
        "Acknowledge": feed_service_pb2.AcknowledgeRequest(),
        "CountReaders": feed_service_pb2.CountReadersRequest(),
        "Query": exchange.ExchangeServiceQueryRequest(question=_question()),
        "Convert": exchange.ConvertRequest(sealed=_question()),
        "QueryStream": exchange.ExchangeServiceQueryStreamRequest(questions=[_question()]),
    }
    return requests[name].SerializeToString()


async def test_a_message_too_large_or_packed_to_burst_is_refused(tmp_path: Path) -> None:
    async with hub_door(tmp_path) as door:
        before = await door.state()
        target = f"localhost:{door.world.hub.grpc_port}"
        credentials = grpc.ssl_channel_credentials(door.world.ca_pem)
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
            for size in (5 << 20, 9 << 20, 64 << 20):
                data = b"\x0a" + _varint(size) + b"x" * size
                packed = grpc.Compression.Gzip if size > 9 << 20 else grpc.Compression.NoCompression
                refused = await sent(
                    channel, "/hutong.v1.RegistryService/Enrol", data, compression=packed
                )
                assert reason(refused) == "MESSAGE_TOO_LARGE"
        assert await door.state() == before


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


async def test_a_channel_under_another_root_says_nothing_to_the_hub(tmp_path: Path) -> None:
    async with hub_door(tmp_path / "a") as door, hub_door(tmp_path / "b") as other:
        target = f"localhost:{door.world.hub.grpc_port}"
        async with open_channel(target, ca_pem=other.world.ca_pem) as channel:
            refused = await sent(channel, "/hutong.v1.FeedService/Snapshot", b"")
            assert isinstance(refused, grpc.aio.AioRpcError)
            assert refused.code() in {
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            }


async def test_statements_that_do_not_hold_are_refused_and_change_nothing(tmp_path: Path) -> None:
    """Wrong key, wrong region, clock skew, duplicate members, unknown kinds of an enrolment."""
    pb = registry_service_pb2
    async with hub_door(tmp_path) as door, door.world.channel() as channel:
        who, neighbour = now_region(), now_region(GUANGZHOU)
        now = _now()
        good, foreign = enrolment(who, now), enrolment(neighbour, now)
        planted = {**scheme(), "note": MARKER_WORD}

        cases: list[tuple[str, Any]] = [
            ("STATEMENT_INVALID", pb.EnrolRequest(statement=MARKER_WORD)),
            ("STATEMENT_INVALID", pb.EnrolRequest(statement=good.statement[:-1])),
            (
                "STATEMENT_INVALID",
                pb.EnrolRequest(
                    statement=good.statement.rsplit(".", 1)[0]
                    + "."
                    + foreign.statement.rsplit(".", 1)[1]
                ),
            ),
            ("STATEMENT_INVALID", enrolment(who, now + timedelta(minutes=10))),
            # A statement may be old; what proves possession may not.
            ("POSSESSION_NOT_PROVEN", enrolment(who, now - timedelta(days=30))),
            (
                "POSSESSION_NOT_PROVEN",
                pb.EnrolRequest(statement=good.statement, key_proofs=foreign.key_proofs),
            ),
            (
                "POSSESSION_NOT_PROVEN",
                pb.EnrolRequest(
                    statement=good.statement,
                    key_proofs=[good.key_proofs[0], *good.key_proofs],
                ),
            ),
            ("SCHEME_INVALID", enrolment(who, now, schemes=[planted])),
            ("STATEMENT_INVALID", enrolment(who, now, schemes=[scheme("440100")])),
            ("STATEMENT_INVALID", enrolment(who, now, schemes=[scheme(), scheme()])),
            ("POLICY_INVALID", enrolment(who, now, policy={**policy(), MARKER_WORD: 1})),
            ("STATEMENT_INVALID", enrolment(who, now, policy=policy("440100"))),
            (
                "STATEMENT_INVALID",
                pb.EnrolRequest(
                    statement=good.statement,
                    key_proofs=good.key_proofs,
                    policy=statement(neighbour, StatementKind.POLICY, policy(), now),
                ),
            ),
        ]
        before = await door.state()
        for expected, request in cases:
            refused = await sent(
                channel, "/hutong.v1.RegistryService/Enrol", request.SerializeToString()
            )
            assert reason(refused) == expected
            said = everything_said(refused)
            if expected not in {"POLICY_INVALID", "SCHEME_INVALID"}:
                door.assert_silent(said)
        assert await door.state() == before


async def test_a_region_cannot_publish_for_another_nor_with_another_key(tmp_path: Path) -> None:
    async with hub_door(tmp_path) as door, door.world.channel() as channel:
        who = now_region()
        await enrol(channel, who, hub_urn=HUB, now=_now())
        await door.world.hub.registry.approve(HANGZHOU)
        async with door.world.tokens(HANGZHOU, signing_key(f"{HANGZHOU}/auth")) as tokens:
            metadata = await door.world.metadata(tokens, "registry.publish")
        neighbour = now_region(GUANGZHOU)
        good = statement(who, StatementKind.POLICY, policy(), _now())
        before = await door.state()
        for token in (
            statement(neighbour, StatementKind.POLICY, policy("440100"), _now()),
            statement(neighbour, StatementKind.POLICY, policy(), _now()),
            statement(who, StatementKind.POLICY, policy("440100"), _now()),
            good[:-2],
            good + "." + MARKER_WORD,
            "\N{SNOWMAN}" + MARKER_WORD,
            os.urandom(40).hex(),
        ):
            request = registry_service_pb2.PublishStatementRequest(statement=token)
            refused = await sent(
                channel,
                "/hutong.v1.RegistryService/PublishStatement",
                request.SerializeToString(),
                metadata,
            )
            assert reason(refused) == "STATEMENT_INVALID"
            door.assert_silent(everything_said(refused))
        assert await door.state() == before
