"""Nothing that anybody is or shows reaches a log, and no name or number the database."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from hutong.v1 import issuer_desk_service_pb2 as desk_pb
from hutong.v1 import issuer_pb2
from hutong.v1 import issuer_service_pb2 as pb

from gateway.wire.errors import RpcFailure
from gateway.wire.logging import configure_logging
from tests.issuer.core.world import POPULATION, YIWU
from tests.issuer.service.world import declaration, document, service_world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.issuer.service.world import ServiceWorld

pytestmark = pytest.mark.asyncio

STATEMENT = "合成的申诉陈述"


async def whole_session(world: ServiceWorld) -> list[str]:
    """Everything a day brings, refusals and faults included; returns the QR texts."""
    for index in (1, 2):
        await world.declare(index)
    await world.declare(3, proxy=1)
    await world.itinerary(1, (YIWU, 3, 1))
    texts = []
    for medium in (pb.MEDIUM_PHONE, pb.MEDIUM_PAPER):
        made = await world.make(1, medium)
        texts.append(made.code_content)
        await world.verify(made.code_content, 380)
    await world.contacts(world.contact(1), world.contact(9))
    await world.window.call(
        world.window.service.CorrectHealth,
        pb.CorrectHealthRequest(
            document=document(1),
            open=pb.OpenCorrection(subject=pb.CORRECTION_SUBJECT_CONTACT, statement=STATEMENT),
        ),
    )
    await world.review("ListCorrections", desk_pb.ListCorrectionsRequest())
    await world.review("ReadTrace", desk_pb.ReadTraceRequest(document=document(1)))
    bad = declaration(4, symptoms=[issuer_pb2.SYMPTOM_NONE, issuer_pb2.SYMPTOM_COLD])
    for refused in (
        world.window.call(world.window.service.DeclareHealth, bad),
        world.make(5),
        world.itinerary(2, (YIWU, -1, None)),
        world.make(1, proxy_index=2),
    ):
        with pytest.raises(RpcFailure):
            await refused
    world.clock.days(1)
    await world.running.tick()
    await world.running.run_daily()
    # An incident: the key file no longer opens what it sealed.
    people = world.running.issuer.people
    people.box._box = type(people.box._box)(bytes(32))
    with pytest.raises(RpcFailure) as incident:
        await world.verify(texts[1])
    assert incident.value.code == "INTERNAL"
    return texts


async def test_logs_hold_no_personal_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    configure_logging(verbose=True)
    async with service_world(tmp_path / "issuer") as world:
        texts = await whole_session(world)
    written = log.getvalue()
    assert "issuer_listening" in written
    assert "incident" in written
    people = [POPULATION.person(index) for index in (1, 2, 3, 4, 5, 9)]
    personal = {*texts, STATEMENT}
    for person in people:
        personal |= {person.number, person.name, person.phone, person.number[6:14]}
    assert [value for value in personal if value in written] == []
    database = b"".join(path.read_bytes() for path in (tmp_path / "issuer").glob("issuer.db*"))
    held = [value for value in personal if value.encode() in database]
    assert held == []
