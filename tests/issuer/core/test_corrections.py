"""Corrections and the trace: withdrawn, assessed again, and nothing forgotten."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.codes import TriState
from gateway.issuer.errors import (
    DeclarationMissingError,
    NotFoundError,
    ProxyNotAllowedError,
    RequestError,
    WrongStateError,
)
from gateway.issuer.values import AreaRisk, ContactKind, CorrectionStatus, CorrectionSubject
from tests.issuer.core.world import POPULATION, WUHAN, document, short

if TYPE_CHECKING:
    from gateway.issuer.corrections import Correction
    from gateway.issuer.values import Code
    from tests.issuer.core.world import World

pytestmark = pytest.mark.asyncio

UPHELD, REJECTED = CorrectionStatus.UPHELD, CorrectionStatus.REJECTED


async def opened(
    world: World, index: int, subject: CorrectionSubject = CorrectionSubject.CONTACT
) -> Correction:
    return await world.issuer.corrections.open(
        document(index), subject, "我没有去过", proxy=None, client="app", now=world.clock.now
    )


async def answered(
    world: World, correction: Correction, status: CorrectionStatus, *withdrawn: str
) -> tuple[Correction, Code]:
    return await world.issuer.corrections.answer(
        correction.id, status, "已核实", withdrawn, client="reviewer", clock=world.clock
    )


async def facts(world: World, index: int, kind: str) -> list[str]:
    entries = await world.issuer.trace.read(document(index))
    return [entry.id for entry in entries if entry.kind == kind]


async def test_an_upheld_correction_withdraws_and_the_level_follows_at_once(world: World) -> None:
    await world.declare(1)
    await world.report(1, ContactKind.CLOSE)
    correction = await opened(world, 1)
    assert correction.status is CorrectionStatus.OPEN
    assert (correction.answer, correction.answered_at) == ("", None)
    world.clock.days(1)
    contact = await facts(world, 1, "contact")
    after, code = await answered(world, correction, UPHELD, *contact)
    assert short(code) == ("GREEN", "green", None)
    assert code == await world.code(1)
    assert (after.status, after.answer) == (UPHELD, "已核实")
    assert after.answered_at == world.clock.now
    shown = await world.issuer.corrections.show(document(1), correction.id, proxy=None)
    assert shown.status is UPHELD
    # The feed repeats itself; what was withdrawn stays withdrawn.
    assert await world.report(1, ContactKind.CLOSE, days_ago=1) == "KNOWN"
    assert short(await world.code(1))[0] == "GREEN"


async def test_a_rejected_correction_changes_nothing(world: World) -> None:
    await world.declare(1)
    await world.report(1, ContactKind.CLOSE)
    after, code = await answered(world, await opened(world, 1), REJECTED)
    assert after.status is REJECTED
    assert short(code) == ("RED", "red-contact", (0, 14))


async def test_what_is_left_still_counts(world: World) -> None:
    await world.declare(1)
    await world.report(1, ContactKind.CLOSE)
    await world.report(1, ContactKind.GENERAL, reference="case-2")
    contacts = await facts(world, 1, "contact")
    _, code = await answered(world, await opened(world, 1), UPHELD, contacts[0])
    assert short(code) == ("YELLOW", "yellow-contact", (0, 7))


async def test_a_withdrawn_declaration_is_no_check_in_and_no_declaration(world: World) -> None:
    first = await world.declare(1)
    await world.check_in(1, 3, contact=TriState.YES)
    declarations = await facts(world, 1, "declaration")
    correction = await opened(world, 1, CorrectionSubject.DECLARATION)
    _, code = await answered(world, correction, UPHELD, *declarations[1:])
    assert short(code) == ("GREEN", "green", None)
    # The first declaration is the one that holds.
    assert code.declared_at == first.declared_at
    assert code.declaration_valid_until == first.declaration_valid_until
    correction = await opened(world, 1, CorrectionSubject.DECLARATION)
    _, code = await answered(world, correction, UPHELD, declarations[0])
    assert not code.declaration_holds(world.clock.now)
    assert short(await world.declare(1))[0] == "GREEN"


async def test_a_withdrawn_area_frees_everybody_there(world: World) -> None:
    for index in (1, 2, 3):
        await world.declare(index, home=WUHAN)
    await world.publish({WUHAN: AreaRisk.HIGH, "330782": AreaRisk.HIGH})
    await world.stay(3, "330782", 2, 1)
    text = (await world.issuer.trace.read(document(1)))[-1].text
    listed = re.fullmatch(
        "GREEN to RED; Stay or residence in a high-risk area within 14 days; "
        "area 420103; listed as (a-[0-9]+); cause areas",
        text,
    )
    assert listed is not None, text
    correction = await opened(world, 1, CorrectionSubject.AREA)
    _, code = await answered(world, correction, UPHELD, listed[1])
    assert short(code)[0] == "GREEN"
    assert [short(await world.code(index))[0] for index in (2, 3)] == ["GREEN", "RED"]
    withdrawals = [
        entry for entry in await world.issuer.trace.read(document(1)) if entry.kind == "withdrawal"
    ]
    assert [(entry.id, entry.by) for entry in withdrawals] == [(f"w-{listed[1]}", "reviewer")]
    # Also after the list was replaced: what it imposed ends with it.
    listed = re.search(
        "listed as (a-[0-9]+)", (await world.issuer.trace.read(document(3)))[-1].text
    )
    assert listed is not None
    await world.publish({})
    correction = await opened(world, 3, CorrectionSubject.AREA)
    _, code = await answered(world, correction, UPHELD, listed[1])
    assert short(code)[0] == "GREEN"


async def test_one_correction_of_a_subject_is_open_at_a_time(world: World) -> None:
    await world.declare(1)
    await world.declare(2)
    correction = await opened(world, 1)
    await opened(world, 2)
    await opened(world, 1, CorrectionSubject.STAY)
    with pytest.raises(WrongStateError):
        await opened(world, 1)
    await answered(world, correction, REJECTED)
    await opened(world, 1)
    with pytest.raises(WrongStateError):
        await answered(world, correction, REJECTED)


@pytest.mark.parametrize(
    ("status", "withdrawn", "field"),
    [
        (UPHELD, (), "withdrawn"),
        (UPHELD, ("c-1", "c-1"), "withdrawn"),
        (UPHELD, ("c-99",), "withdrawn[0]"),
        (UPHELD, ("c-1", "x-1"), "withdrawn[1]"),
        (UPHELD, ("l-1",), "withdrawn[0]"),
        (UPHELD, ("c-2",), "withdrawn[0]"),
        (UPHELD, ("a-9",), "withdrawn[0]"),
        (REJECTED, ("c-1",), "withdrawn"),
        (CorrectionStatus.OPEN, (), "status"),
    ],
)
async def test_a_bad_answer_is_refused_by_field_and_withdraws_nothing(
    world: World, status: CorrectionStatus, withdrawn: tuple[str, ...], field: str
) -> None:
    for index in (1, 2):
        await world.declare(index)
        await world.report(index, ContactKind.CLOSE)
    own = (await facts(world, 1, "contact"))[0]
    other = (await facts(world, 2, "contact"))[0]
    names = {"c-1": own, "c-2": other}
    correction = await opened(world, 1)
    with pytest.raises(RequestError) as caught:
        await answered(world, correction, status, *(names.get(each, each) for each in withdrawn))
    assert field in {fault.field for fault in caught.value.fields}
    shown = await world.issuer.corrections.show(document(1), correction.id, proxy=None)
    assert shown.status is CorrectionStatus.OPEN
    assert short(await world.code(1))[0] == "RED"


async def test_who_may_open_and_see_a_correction(world: World) -> None:
    with pytest.raises(DeclarationMissingError):
        await opened(world, 1)
    await world.declare(1)
    await world.declare(2)
    correction = await opened(world, 1)
    show = world.issuer.corrections.show
    for index, correction_id in ((2, correction.id), (1, "k-999"), (1, "nonsense")):
        with pytest.raises(NotFoundError):
            await show(document(index), correction_id, proxy=None)
    with pytest.raises(ProxyNotAllowedError):
        await show(document(1), correction.id, proxy=document(2))
    await world.declare(1, proxy=2)
    assert (await show(document(1), correction.id, proxy=document(2))).id == correction.id
    with pytest.raises(RequestError):
        await world.issuer.corrections.open(
            document(1),
            CorrectionSubject.STAY,
            "",
            proxy=None,
            client="app",
            now=world.clock.now,
        )


async def test_a_reviewer_reads_the_cases_in_pages(world: World) -> None:
    for index in range(5):
        await world.declare(index)
        correction = await opened(world, index)
        if index == 2:
            await answered(world, correction, REJECTED)
    cases = world.issuer.corrections.cases
    everything = await cases(None)
    assert [case.identity.name for case in everything] == [
        POPULATION.person(index).name for index in range(5)
    ]
    assert everything[0].statement == "我没有去过"
    assert everything[0].code == await world.code(0)
    first = await cases(CorrectionStatus.OPEN, limit=3)
    rest = await cases(CorrectionStatus.OPEN, after=first[-1].number, limit=3)
    assert [case.correction.id for case in (*first, *rest)] == [
        case.correction.id for place, case in enumerate(everything) if place != 2
    ]


async def test_the_trace_tells_everything_in_order(world: World) -> None:
    with pytest.raises(NotFoundError):
        await world.issuer.trace.read(document(1))
    await world.declare(2)
    await world.report(1, ContactKind.CLOSE, days_ago=2)
    world.clock.days(1)
    await world.declare(1, proxy=2)
    await world.stay(1, WUHAN, 2)
    world.clock.days(1)
    correction = await opened(world, 1)
    world.clock.days(1)
    await answered(world, correction, UPHELD, *(await facts(world, 1, "contact")))
    entries = await world.issuer.trace.read(document(1))
    assert [(entry.kind, entry.by) for entry in entries] == [
        ("contact", "cdc"),
        ("stay", "app"),
        ("stay", "app"),
        ("declaration", "app"),
        ("level", "native-2020-02/red-contact"),
        ("correction", "app"),
        ("correction", "reviewer"),
        ("withdrawal", "reviewer"),
        ("level", "native-2020-02/green"),
    ]
    assert len({entry.id for entry in entries}) == len(entries)
    assert "kept until 2020-03-02" in entries[0].text
    assert entries[0].withdrawn_at == entries[7].at == world.clock.now
    assert "declared by a proxy" in entries[3].text
    for entry in entries:
        for index in (1, 2):
            person = POPULATION.person(index)
            assert person.number not in entry.text
            assert person.name not in entry.text
