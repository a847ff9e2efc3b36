"""The seven interfaces over gRPC, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hutong.v1 import code_pb2, issuer_pb2
from hutong.v1 import issuer_service_pb2 as pb

from gateway.issuer.masking import mask_name, mask_number
from gateway.wire.errors import RpcFailure
from tests.issuer.core.world import POPULATION, WUHAN, YIWU
from tests.issuer.service.world import document, proxy

if TYPE_CHECKING:
    from tests.issuer.service.world import ServiceWorld

pytestmark = pytest.mark.asyncio

GREEN, YELLOW, RED = code_pb2.LEVEL_GREEN, code_pb2.LEVEL_YELLOW, code_pb2.LEVEL_RED


async def test_a_declaration_is_assessed_at_once_and_read_back(world: ServiceWorld) -> None:
    declared = (await world.declare(1)).state
    assert declared.level == GREEN
    assert declared.rule == "native-2020-02/green"
    assert (await world.query(1)).state == declared


async def test_symptoms_turn_yellow_and_say_how_many_check_ins_are_left(
    world: ServiceWorld,
) -> None:
    state = (await world.declare(1, symptoms=[issuer_pb2.SYMPTOM_COLD])).state
    assert state.level == YELLOW
    assert code_pb2.BASIS_DECLARATION in state.basis
    assert (state.release.days_done, state.release.days_needed) == (0, 7)
    for day in range(1, 8):
        world.clock.days(1)
        state = (await world.declare(1)).state
        assert state.level == (GREEN if day == 7 else YELLOW)


async def test_whoever_never_declared_has_not_applied(world: ServiceWorld) -> None:
    assert (await world.query(1)).outcome == code_pb2.OUTCOME_NOT_APPLIED


async def test_past_its_declaration_nobody_has_a_level_anywhere(world: ServiceWorld) -> None:
    await world.declare(1)
    paper = await world.make(1, pb.MEDIUM_PAPER)
    world.clock.days(14)
    assert (await world.query(1)).outcome == code_pb2.OUTCOME_DECLARATION_EXPIRED
    # The paper's own clock ran out before.
    assert (await world.verify(paper.code_content)).outcome == code_pb2.OUTCOME_CODE_EXPIRED
    answer = await world.itinerary(1, (YIWU, 3, 1))
    assert not answer.HasField("state")
    with pytest.raises(RpcFailure) as refused:
        await world.make(1)
    assert refused.value.code == "DECLARATION_MISSING"


async def test_of_the_two_clocks_the_declaration_s_may_be_the_first(world: ServiceWorld) -> None:
    await world.declare(1)
    world.clock.days(13)
    paper = await world.make(1, pb.MEDIUM_PAPER)
    assert (await world.verify(paper.code_content)).holder.state.level == GREEN
    world.clock.days(1)
    verified = await world.verify(paper.code_content)
    assert verified.outcome == code_pb2.OUTCOME_DECLARATION_EXPIRED
    await world.declare(1)
    assert (await world.verify(paper.code_content)).holder.state.level == GREEN


async def test_a_stay_needs_a_declaration_first(world: ServiceWorld) -> None:
    with pytest.raises(RpcFailure) as refused:
        await world.itinerary(1, (WUHAN, 5, 2))
    assert refused.value.code == "DECLARATION_MISSING"


async def test_a_gate_sees_a_masked_holder_and_the_state_of_its_moment(
    world: ServiceWorld,
) -> None:
    await world.declare(1)
    made = await world.make(1)
    holder = (await world.verify(made.code_content)).holder
    person = POPULATION.person(1)
    assert holder.masked_name == mask_name(person.name) == "测" + "*" * (len(person.name) - 1)
    assert holder.masked_number == mask_number(person.number)
    assert person.number[4:16] not in str(holder)
    assert holder.gate_level == holder.state.level == GREEN
    await world.contacts(world.contact(1))
    assert (await world.verify(made.code_content)).holder.state.level == RED


async def test_a_fever_at_the_gate_is_yellow_there_and_changes_nothing_held(
    world: ServiceWorld,
) -> None:
    await world.declare(1)
    made = await world.make(1)
    holder = (await world.verify(made.code_content, 373)).holder
    assert (holder.gate_level, holder.state.level) == (YELLOW, GREEN)
    assert (await world.verify(made.code_content, 372)).holder.gate_level == GREEN
    assert (await world.query(1)).state.level == GREEN


async def test_a_fever_never_softens_red(world: ServiceWorld) -> None:
    await world.declare(1)
    await world.contacts(world.contact(1))
    made = await world.make(1)
    assert (await world.verify(made.code_content, 390)).holder.gate_level == RED


async def test_a_phone_code_lives_minutes_and_then_says_so(world: ServiceWorld) -> None:
    await world.declare(1)
    made = await world.make(1)
    assert made.code_valid_until.seconds == int(world.clock.now.timestamp()) + 300
    world.clock.days(299 / 86400)
    assert (await world.verify(made.code_content)).HasField("holder")
    world.clock.days(1 / 86400)
    assert (await world.verify(made.code_content)).outcome == code_pb2.OUTCOME_CODE_EXPIRED


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("HTCN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", code_pb2.OUTCOME_NOT_FOUND),
        ("HTCN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ23456", code_pb2.OUTCOME_WRONG_REGION),
        ("https://hzjkm.example/code?id=1", code_pb2.OUTCOME_WRONG_REGION),
    ],
    ids=["unknown", "too-short", "another-city"],
)
async def test_a_code_that_is_none_of_ours_is_an_outcome(
    world: ServiceWorld, text: str, outcome: code_pb2.Outcome.ValueType
) -> None:
    assert (await world.verify(text)).outcome == outcome


async def test_a_family_acts_for_one_another_once_a_proxy_declared(world: ServiceWorld) -> None:
    with pytest.raises(RpcFailure) as refused:
        await world.declare(2, proxy=1)
    assert refused.value.code == "PROXY_NOT_ALLOWED"
    assert (await world.query(2)).outcome == code_pb2.OUTCOME_NOT_APPLIED
    await world.declare(1)
    await world.declare(2, proxy=1)
    await world.itinerary(2, (YIWU, 3, 1), proxy_index=1)
    assert (await world.make(2, proxy_index=1)).code_content
    await world.declare(3)
    for stranger in (world.make(2, proxy_index=3), world.itinerary(2, (YIWU, 3, 1), proxy_index=3)):
        with pytest.raises(RpcFailure) as refused:
            await stranger
        assert refused.value.code == "PROXY_NOT_ALLOWED"


async def test_a_correction_is_opened_shown_and_answered(world: ServiceWorld) -> None:
    await world.declare(1)
    await world.contacts(world.contact(1))
    request = pb.CorrectHealthRequest(
        document=document(1),
        open=pb.OpenCorrection(subject=pb.CORRECTION_SUBJECT_CONTACT, statement="没有接触"),
    )
    opened = await world.window.call(world.window.service.CorrectHealth, request)
    assert opened.correction.status == pb.CORRECTION_STATUS_OPEN
    assert opened.state.level == RED
    with pytest.raises(RpcFailure) as refused:
        await world.window.call(world.window.service.CorrectHealth, request)
    assert refused.value.code == "WRONG_STATE"
    shown = await world.window.call(
        world.window.service.CorrectHealth,
        pb.CorrectHealthRequest(document=document(1), show=opened.correction.id),
    )
    assert shown.correction == opened.correction
    await world.declare(2)
    with pytest.raises(RpcFailure) as refused:
        await world.window.call(
            world.window.service.CorrectHealth,
            pb.CorrectHealthRequest(document=document(2), show=opened.correction.id),
        )
    assert refused.value.code == "NOT_FOUND"


async def test_whoever_corrects_for_somebody_is_recorded(world: ServiceWorld) -> None:
    await world.declare(1)
    await world.declare(2)
    request = pb.CorrectHealthRequest(
        document=document(2),
        proxy=proxy(1),
        open=pb.OpenCorrection(subject=pb.CORRECTION_SUBJECT_STAY, statement="x"),
    )
    with pytest.raises(RpcFailure) as refused:
        await world.window.call(world.window.service.CorrectHealth, request)
    assert refused.value.code == "PROXY_NOT_ALLOWED"


async def test_a_second_declaration_keeps_the_first(world: ServiceWorld) -> None:
    await world.declare(1, symptoms=[issuer_pb2.SYMPTOM_COLD])
    await world.declare(1)
    assert (await world.query(1)).state.level == YELLOW
