"""Who may call: assertions, roles, and every method behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import (
    issuer_desk_service_pb2,
    issuer_desk_service_pb2_grpc,
    issuer_service_pb2,
    issuer_service_pb2_grpc,
)

from gateway.attestation.keys import generate_signing_key
from gateway.codes import region_urn
from gateway.issuer.clients import ASSERTION_TYPE, Role
from gateway.issuer.desk import IssuerDeskServicer
from gateway.issuer.service import IssuerServicer
from gateway.issuer.setup import add_client, remove_client
from gateway.trust import jws
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from tests.issuer.service.world import (
    ServiceWorld,
    declaration,
    document,
    open_client,
    service_world,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio

pb, desk_pb = issuer_service_pb2, issuer_desk_service_pb2
CALL = pb.AppliedCall(serial="x", nonce=bytes(16))
QUERY = pb.QueryHealthRequest(document=document(1))


def requests() -> dict[str, tuple[Any, set[str]]]:
    """A sound request of every method, and the clients that may make it."""
    from google.protobuf.timestamp_pb2 import Timestamp
    from hutong.v1 import issuer_pb2

    now = Timestamp(seconds=1_583_000_000)
    contact = desk_pb.Contact(
        document=document(1),
        kind=desk_pb.CONTACT_KIND_CLOSE,
        at=now,
        division="330106",
        reference="x",
    )
    return {
        "DeclareHealth": (declaration(1), {"window"}),
        "DeclareItinerary": (
            pb.DeclareItineraryRequest(
                document=document(1), stays=[issuer_pb2.Stay(division="330782", entered_at=now)]
            ),
            {"window"},
        ),
        "QueryHealth": (QUERY, {"window"}),
        "ApplyCall": (pb.ApplyCallRequest(kind=pb.CALL_KIND_VERIFY), {"gate"}),
        "MakeCode": (
            pb.MakeCodeRequest(call=CALL, document=document(1), medium=pb.MEDIUM_PHONE),
            {"window"},
        ),
        "VerifyCode": (pb.VerifyCodeRequest(call=CALL, code_content="x"), {"gate"}),
        "CorrectHealth": (pb.CorrectHealthRequest(document=document(1), show="k-1"), {"window"}),
        "PublishAreas": (desk_pb.PublishAreasRequest(valid_from=now, source="x"), {"feeder"}),
        "ReportContacts": (desk_pb.ReportContactsRequest(contacts=[contact]), {"feeder"}),
        "ListCorrections": (desk_pb.ListCorrectionsRequest(), {"reviewer"}),
        "AnswerCorrection": (
            desk_pb.AnswerCorrectionRequest(
                id="k-1", status=pb.CORRECTION_STATUS_REJECTED, answer="x"
            ),
            {"reviewer"},
        ),
        "ReadTrace": (desk_pb.ReadTraceRequest(document=document(1)), {"reviewer"}),
    }


def methods() -> set[str]:
    services = (pb.DESCRIPTOR, desk_pb.DESCRIPTOR)
    return {
        method.name
        for file in services
        for service in file.services_by_name.values()
        for method in service.methods
    }


def stub_method(client: Any, name: str) -> Any:
    return getattr(client.service, name, None) or getattr(client.desk, name)


async def test_every_method_is_implemented_and_asks_for_a_client_and_its_role(
    tmp_path: Path,
) -> None:
    known = requests()
    assert known.keys() == methods()
    for servicer, base in (
        (IssuerServicer, issuer_service_pb2_grpc.IssuerServiceServicer),
        (IssuerDeskServicer, issuer_desk_service_pb2_grpc.IssuerDeskServiceServicer),
    ):
        for name in methods() & set(vars(base)):
            assert name in vars(servicer)
    async with service_world(tmp_path / "issuer") as world:
        for name, (request, allowed) in known.items():
            for client_name, client in world.clients.items():
                code = await outcome(client.call(stub_method(client, name), request))
                assert (code == "SCOPE_MISSING") is (client_name not in allowed), name
            code = await outcome(bare(world, name, request, timeout=5))
            assert code == "TOKEN_MISSING", name
            # Wrapped by the guard: deadline and rules of the schema.
            window = world.window
            assert await outcome(bare(world, name, request)) == "DEADLINE_MISSING"
            empty = type(request)()
            if name != "ListCorrections":
                assert await outcome(window.call(stub_method(window, name), empty)) == (
                    "INVALID_REQUEST"
                )


async def bare(world: ServiceWorld, name: str, request: Any, **options: Any) -> Any:
    import grpc

    try:
        return await stub_method(world.window, name)(request, **options)
    except grpc.aio.AioRpcError as error:
        raise failure_from_rpc_error(error) from None


async def outcome(work: Any) -> str:
    try:
        await work
    except RpcFailure as failure:
        return failure.code
    return "OK"


def claims(world: ServiceWorld, **changes: Any) -> dict[str, Any]:
    now = int(world.clock.now.timestamp())
    return {
        "iss": "window",
        "sub": "window",
        "aud": region_urn("100000"),
        "iat": now,
        "exp": now + 60,
        "jti": "one",
        **changes,
    }


BAD: list[tuple[str, Callable[[int], dict[str, Any]], str]] = [
    ("another-issuer", lambda _: {"aud": "urn:hutong:region:330100"}, "TOKEN_INVALID"),
    ("two-audiences", lambda _: {"aud": ["urn:hutong:region:100000"]}, "TOKEN_INVALID"),
    ("another-s-name", lambda _: {"iss": "gate", "sub": "gate"}, "TOKEN_INVALID"),
    ("unknown-client", lambda _: {"iss": "x", "sub": "x"}, "TOKEN_INVALID"),
    ("iss-is-not-sub", lambda _: {"iss": "gate"}, "TOKEN_INVALID"),
    ("lives-too-long", lambda now: {"exp": now + 61}, "TOKEN_INVALID"),
    ("from-the-future", lambda now: {"iat": now + 31, "exp": now + 60}, "TOKEN_INVALID"),
    ("no-jti", lambda _: {"jti": ""}, "TOKEN_INVALID"),
    ("long-jti", lambda _: {"jti": "x" * 129}, "TOKEN_INVALID"),
    ("exp-as-text", lambda now: {"exp": str(now + 60)}, "TOKEN_INVALID"),
    ("expired", lambda now: {"iat": now - 90, "exp": now - 30}, "TOKEN_EXPIRED"),
]


async def test_an_assertion_that_is_wrong_in_one_thing_is_refused(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        key = world.window._key
        now = int(world.clock.now.timestamp())

        async def ask(token: str) -> str:
            metadata = (("authorization", f"Bearer {token}"),)
            return await outcome(bare(world, "QueryHealth", QUERY, metadata=metadata, timeout=5))

        for name, changes, code in BAD:
            token = jws.sign(claims(world, **changes(now)), key, typ=ASSERTION_TYPE)
            assert await ask(token) == code, name
        other = jws.sign(claims(world), generate_signing_key(), typ=ASSERTION_TYPE)
        assert await ask(other) == "TOKEN_INVALID"
        assert await ask(jws.sign(claims(world), key, typ="at+jwt")) == "TOKEN_INVALID"
        assert await ask("junk") == "TOKEN_INVALID"
        good = jws.sign(claims(world), key, typ=ASSERTION_TYPE)
        assert await ask(good) == "OK"
        assert await ask(good) == "TOKEN_INVALID"


async def test_an_assertion_is_used_once_over_all_processes(
    world: ServiceWorld, tmp_path: Path
) -> None:
    from gateway.issuer.app import running_issuer
    from gateway.issuer.settings import load_settings

    token = jws.sign(claims(world), world.window._key, typ=ASSERTION_TYPE)
    metadata = (("authorization", f"Bearer {token}"),)
    settings = load_settings(world.folder)
    async with running_issuer(settings, clock=world.clock) as second:
        assert second.port != world.running.port
        assert await outcome(bare(world, "QueryHealth", QUERY, metadata=metadata, timeout=5)) == (
            "OK"
        )
        other = ServiceWorld(second, world.clock, world.folder)
        async with open_client(other, "window") as window:
            other.clients["window"] = window
            again = bare(other, "QueryHealth", QUERY, metadata=metadata, timeout=5)
            assert await outcome(again) == "TOKEN_INVALID"
            # What one process applied for, another makes.
            await world.declare(1)
            call = await world.window.applied(pb.CALL_KIND_MAKE)
            made = await other.make(1, call=call)
            assert (await world.verify(made.code_content)).HasField("holder")


async def test_clients_come_and_go_while_the_issuer_runs(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        add_client(world.folder, "clinic-7", [Role.APPLICATION])
        await world.running.reload_clients()
        async with open_client(world, "clinic-7") as clinic:
            assert await outcome(clinic.call(clinic.service.QueryHealth, QUERY)) == "OK"
            remove_client(world.folder, "clinic-7")
            await world.running.reload_clients()
            assert await outcome(clinic.call(clinic.service.QueryHealth, QUERY)) == "TOKEN_INVALID"
        assert await outcome(world.query(1)) == "OK"


async def test_a_settings_file_that_does_not_load_leaves_the_clients_as_they_were(
    tmp_path: Path,
) -> None:
    async with service_world(tmp_path / "issuer") as world:
        (world.folder / "issuer.toml").write_text("store = ")
        await world.running.reload_clients()
        assert await outcome(world.query(1)) == "OK"
