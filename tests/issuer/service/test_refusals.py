"""What is refused is refused field by field, and changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import code_pb2, exchange_pb2, issuer_pb2
from hutong.v1 import issuer_service_pb2 as pb

from gateway.wire.errors import RpcFailure
from tests.issuer.core.world import HOME, POPULATION, YIWU
from tests.issuer.service.world import declaration, document, moment, service_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.issuer.service.world import ServiceWorld

pytestmark = pytest.mark.asyncio

NUMBER = POPULATION.person(1).number
WRONG = NUMBER[:-1] + ("1" if NUMBER[-1] != "1" else "2")


def change(path: str, value: Any) -> Callable[[pb.DeclareHealthRequest], None]:
    def apply(request: pb.DeclareHealthRequest) -> None:
        *parents, name = path.split(".")
        target: Any = request
        for parent in parents:
            target = getattr(target, parent)
        if isinstance(value, list):
            del getattr(target, name)[:]
            getattr(target, name).extend(value)
        elif value is None:
            target.ClearField(name)
        else:
            setattr(target, name, value)

    return apply


S = issuer_pb2
CASES = [
    ("no-identity", change("identity", None), {"identity"}),
    ("no-name", change("identity.name", ""), {"identity.name"}),
    ("name-of-spaces", change("identity.name", "  "), {"identity.name"}),
    ("no-document", change("identity.document", None), {"identity.document"}),
    ("bad-checksum", change("identity.document.number", WRONG), {"identity.document.number"}),
    (
        "resident-number-in-a-passport-s-shape",
        change("identity.document.number", "E12345678"),
        {"identity.document.number"},
    ),
    ("unknown-type", change("identity.document.type", 12), {"identity.document.type"}),
    ("division-of-a-province", change("identity.division", "330000"), {"identity.division"}),
    ("division-that-never-was", change("identity.division", "339999"), {"identity.division"}),
    ("division-of-two-digits", change("identity.division", "33"), {"identity.division"}),
    ("national-division", change("identity.division", "100000"), {"identity.division"}),
    ("phone-of-letters", change("identity.phone", "phone"), {"identity.phone"}),
    ("no-temperature", change("temperature_decicelsius", None), {"temperature_decicelsius"}),
    ("no-symptoms", change("symptoms", []), {"symptoms"}),
    (
        "none-beside-another",
        change("symptoms", [S.SYMPTOM_NONE, S.SYMPTOM_COLD]),
        {"symptoms"},
    ),
    ("fever-without-symptoms", change("temperature_decicelsius", 373), {"symptoms"}),
    ("no-answers", change("answers", None), {"answers"}),
    ("contact-not-answered", change("answers.contact", 0), {"answers.contact"}),
    ("risk-area-not-answered", change("answers.risk_area", 0), {"answers.risk_area"}),
    ("overseas-not-answered", change("answers.overseas", 0), {"answers.overseas"}),
]


async def refusal(work: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as refused:
        await work
    return refused.value


async def test_every_bad_declaration_names_its_field_and_changes_nothing(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        for name, apply, fields in CASES:
            request = declaration(1)
            apply(request)
            failure = await refusal(world.window.call(world.window.service.DeclareHealth, request))
            assert failure.code == "INVALID_REQUEST", name
            named = {fault.field for fault in failure.fields}
            assert named == fields, name
            assert NUMBER not in str(failure.fields), name
        assert (await world.query(1)).outcome == code_pb2.OUTCOME_NOT_APPLIED


async def test_all_faults_of_a_declaration_come_at_once(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        request = declaration(1, division="330000")
        request.identity.document.number = WRONG
        request.answers.overseas = code_pb2.TRI_STATE_UNSPECIFIED
        failure = await refusal(world.window.call(world.window.service.DeclareHealth, request))
        assert {fault.field for fault in failure.fields} == {
            "identity.division",
            "identity.document.number",
            "answers.overseas",
        }


@pytest.mark.parametrize(
    ("stays", "fields"),
    [
        ([(YIWU, -1, None)], {"stays[0].entered_at"}),
        ([(YIWU, 3, -1)], {"stays[0].left_at"}),
        ([(YIWU, 3, 4)], {"stays[0].left_at"}),
        ([(YIWU, 20, 16)], {"stays[0].left_at"}),
        ([(YIWU, 5, 2), (HOME, 3, 1)], {"stays[1].entered_at"}),
        ([(YIWU, 5, None), (HOME, 3, 1)], {"stays[1].entered_at"}),
        ([("330000", 3, 1)], {"stays[0].division"}),
        ([("339999", 3, 1)], {"stays[0].division"}),
        ([], {"stays"}),
    ],
    ids=[
        *("future", "leaves-in-the-future", "leaves-before", "too-old", "overlapping"),
        *("beside-an-open-one", "province", "unknown-division", "none"),
    ],
)
async def test_a_bad_itinerary_is_refused_as_a_whole(
    tmp_path: Path, stays: list[tuple[str, float, float | None]], fields: set[str]
) -> None:
    async with service_world(tmp_path / "issuer") as world:
        before = (await world.declare(1)).state
        failure = await refusal(world.itinerary(1, *stays))
        assert failure.code == "INVALID_REQUEST"
        assert {fault.field for fault in failure.fields} == fields
        assert (await world.query(1)).state == before


async def test_stays_may_touch(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        await world.declare(1)
        assert (await world.itinerary(1, (YIWU, 5, 3), (HOME, 3, 1))).HasField("state")


async def test_nobody_is_a_proxy_of_himself(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        await world.declare(1)
        for work in (
            world.declare(1, proxy=1),
            world.itinerary(1, (YIWU, 5, 3), proxy_index=1),
            world.make(1, proxy_index=1),
        ):
            failure = await refusal(work)
            assert {fault.field for fault in failure.fields} == {"proxy.document"}


async def test_an_impossible_temperature_at_a_gate_is_refused(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        await world.declare(1)
        made = await world.make(1)
        failure = await refusal(world.verify(made.code_content, 36))
        assert {fault.field for fault in failure.fields} == {"temperature_decicelsius"}


async def test_a_wrong_document_is_refused_in_every_call(tmp_path: Path) -> None:
    wrong = exchange_pb2.Document(type=code_pb2.DocumentType.ValueType(10), number=WRONG)
    async with service_world(tmp_path / "issuer") as world:
        window, service = world.window, world.window.service
        call = await window.applied(pb.CALL_KIND_MAKE)
        stay = issuer_pb2.Stay(
            division=YIWU, entered_at=moment(world.clock.now - timedelta(days=1))
        )
        for method, request in (
            (service.QueryHealth, pb.QueryHealthRequest(document=wrong)),
            (service.DeclareItinerary, pb.DeclareItineraryRequest(document=wrong, stays=[stay])),
            (service.CorrectHealth, pb.CorrectHealthRequest(document=wrong, show="k-1")),
            (
                service.MakeCode,
                pb.MakeCodeRequest(call=call, document=wrong, medium=pb.MEDIUM_PHONE),
            ),
        ):
            failure = await refusal(window.call(method, request))
            assert failure.code == "INVALID_REQUEST"
            assert {fault.field for fault in failure.fields} == {"document.number"}
        # The request was refused before the call was used.
        await world.declare(1)
        assert (await world.make(1, call=call)).code_content


async def replayed(world: ServiceWorld) -> RpcFailure:
    call = await world.window.applied(pb.CALL_KIND_MAKE)
    await world.make(1, call=call)
    return await refusal(world.make(1, call=call))


async def foreign(world: ServiceWorld) -> RpcFailure:
    # The reviewer's name on the same call: a client with the role, but another one.
    from gateway.issuer.clients import Role
    from gateway.issuer.setup import add_client
    from tests.issuer.service.world import open_client

    add_client(world.folder, "other", [Role.APPLICATION])
    await world.running.reload_clients()
    call = await world.window.applied(pb.CALL_KIND_MAKE)
    async with open_client(world, "other") as other:
        return await refusal(
            other.call(
                other.service.MakeCode,
                pb.MakeCodeRequest(call=call, document=document(1), medium=pb.MEDIUM_PHONE),
            )
        )


async def expired(world: ServiceWorld) -> RpcFailure:
    call = await world.window.applied(pb.CALL_KIND_MAKE)
    world.clock.days(120 / 86400)
    return await refusal(world.make(1, call=call))


async def wrong_kind(world: ServiceWorld) -> RpcFailure:
    call = await world.gate.applied(pb.CALL_KIND_VERIFY)
    return await refusal(world.make(1, call=call))


async def wrong_nonce(world: ServiceWorld) -> RpcFailure:
    call = await world.window.applied(pb.CALL_KIND_MAKE)
    call.nonce = bytes(16)
    return await refusal(world.make(1, call=call))


async def never_given(world: ServiceWorld) -> RpcFailure:
    return await refusal(world.make(1, call=pb.AppliedCall(serial="synthetic", nonce=bytes(16))))


async def test_calls_not_applied_are_told_apart_nowhere(world: ServiceWorld) -> None:
    await world.declare(1)
    told = set()
    for way in (replayed, foreign, expired, wrong_kind, wrong_nonce, never_given):
        failure = await way(world)
        told.add((failure.code, str(failure), failure.fields, failure.incident))
    assert len(told) == 1
    assert told.pop()[0] == "CALL_NOT_APPLIED"


async def test_of_many_at_once_one_makes_the_call(world: ServiceWorld) -> None:
    import asyncio

    await world.declare(1)
    call = await world.window.applied(pb.CALL_KIND_MAKE)
    answers = await asyncio.gather(
        *(world.make(1, call=call) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(answer, pb.MakeCodeResponse) for answer in answers) == 1
