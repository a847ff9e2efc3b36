"""Feeders and reviewers over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hutong.v1 import code_pb2
from hutong.v1 import issuer_desk_service_pb2 as desk_pb
from hutong.v1 import issuer_service_pb2 as pb

from gateway.wire.errors import RpcFailure
from tests.issuer.core.world import YIWU
from tests.issuer.service.world import document, moment

if TYPE_CHECKING:
    from tests.issuer.service.world import ServiceWorld

pytestmark = pytest.mark.asyncio


async def open_correction(world: ServiceWorld, index: int) -> str:
    opened = await world.window.call(
        world.window.service.CorrectHealth,
        pb.CorrectHealthRequest(
            document=document(index),
            open=pb.OpenCorrection(subject=pb.CORRECTION_SUBJECT_CONTACT, statement="不是我"),
        ),
    )
    correction: str = opened.correction.id
    return correction


async def test_a_list_of_areas_reaches_everybody_whom_it_touches(world: ServiceWorld) -> None:
    for index in (1, 2):
        await world.declare(index)
    await world.itinerary(1, (YIWU, 3, 1))
    feeder = world.clients["feeder"]
    published = await feeder.call(
        feeder.desk.PublishAreas,
        desk_pb.PublishAreasRequest(
            areas=[desk_pb.Area(division=YIWU, risk=desk_pb.AREA_RISK_HIGH)],
            valid_from=moment(world.clock.now.replace(hour=0)),
            source="synthetic",
        ),
    )
    assert (published.revision, published.assessed, published.changed) == (1, 1, 1)
    assert (await world.query(1)).state.level == code_pb2.LEVEL_RED
    assert (await world.query(2)).state.level == code_pb2.LEVEL_GREEN


async def test_each_contact_has_its_own_outcome(world: ServiceWorld) -> None:
    await world.declare(1)
    wrong = world.contact(3)
    wrong.document.number = wrong.document.number[:-1] + (
        "1" if wrong.document.number[-1] != "1" else "2"
    )
    answer = await world.contacts(
        world.contact(1),
        wrong,
        world.contact(2),
        world.contact(1),
        world.contact(4, division="339999"),
    )
    assert list(answer.outcomes) == [
        desk_pb.CONTACT_OUTCOME_TAKEN,
        desk_pb.CONTACT_OUTCOME_REFUSED,
        desk_pb.CONTACT_OUTCOME_KEPT,
        desk_pb.CONTACT_OUTCOME_KNOWN,
        desk_pb.CONTACT_OUTCOME_REFUSED,
    ]
    assert answer.changed == 1
    assert (await world.declare(2)).state.level == code_pb2.LEVEL_RED


async def test_a_reviewer_walks_pages_that_are_bound_to_the_question(world: ServiceWorld) -> None:
    ids = []
    for index in range(1, 4):
        await world.declare(index)
        ids.append(await open_correction(world, index))
    seen, token = [], ""
    while True:
        page = await world.review(
            "ListCorrections", desk_pb.ListCorrectionsRequest(page_size=2, page_token=token)
        )
        seen += [case.correction.id for case in page.cases]
        assert all(case.masked_name.endswith("*") for case in page.cases)
        last, token = token or page.next_page_token, page.next_page_token
        if not token:
            break
    assert seen == ids
    for request in (
        desk_pb.ListCorrectionsRequest(page_size=2, page_token=last, status=1),  # type: ignore[arg-type]  # OPEN
        desk_pb.ListCorrectionsRequest(page_token="x"),
        desk_pb.ListCorrectionsRequest(page_token=last[:-4] + "AAAA"),
    ):
        with pytest.raises(RpcFailure) as refused:
            await world.review("ListCorrections", request)
        assert refused.value.code == "PAGE_TOKEN_INVALID"


async def test_upholding_withdraws_changes_the_code_and_leaves_a_trace(
    world: ServiceWorld,
) -> None:
    await world.declare(1)
    await world.contacts(world.contact(1))
    correction = await open_correction(world, 1)
    trace = await world.review("ReadTrace", desk_pb.ReadTraceRequest(document=document(1)))
    [fact] = [entry.id for entry in trace.entries if entry.kind == "contact"]
    request = desk_pb.AnswerCorrectionRequest(
        id=correction, status=pb.CORRECTION_STATUS_UPHELD, answer="同名", withdrawn=[fact]
    )
    answered = await world.review("AnswerCorrection", request)
    assert answered.state.level == code_pb2.LEVEL_GREEN
    assert answered.correction.answer == "同名"
    assert (await world.query(1)).state.level == code_pb2.LEVEL_GREEN
    with pytest.raises(RpcFailure) as refused:
        await world.review("AnswerCorrection", request)
    assert refused.value.code == "WRONG_STATE"
    after = await world.review("ReadTrace", desk_pb.ReadTraceRequest(document=document(1)))
    assert {entry.id for entry in trace.entries} < {entry.id for entry in after.entries}
    [withdrawn] = [entry for entry in after.entries if entry.id == fact]
    assert withdrawn.HasField("withdrawn_at")
    assert {entry.kind for entry in after.entries} >= {"withdrawal", "correction", "level"}


async def test_the_trace_of_nobody_is_not_found(world: ServiceWorld) -> None:
    with pytest.raises(RpcFailure) as refused:
        await world.review("ReadTrace", desk_pb.ReadTraceRequest(document=document(9)))
    assert refused.value.code == "NOT_FOUND"
