"""Taking facts: what is refused, who may act, what is kept, and what the tables hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from gateway.codes import Declarations, TriState, parse_document
from gateway.database import StoreError
from gateway.issuer.checks import MAX_CONTACTS, MAX_STAYS
from gateway.issuer.errors import (
    DeclarationMissingError,
    IdentityError,
    NotFoundError,
    ProxyNotAllowedError,
    RequestError,
)
from gateway.issuer.people import IdentityBox, People
from gateway.issuer.store import schema
from gateway.issuer.values import AreaRisk, ContactKind, ContactReport, Stay, Symptom
from tests.issuer.core.world import (
    BEGIN,
    HOME,
    POPULATION,
    WUHAN,
    Randomness,
    declaration,
    document,
    short,
)

if TYPE_CHECKING:
    from tests.issuer.core.world import World

pytestmark = pytest.mark.asyncio

DAY = timedelta(days=1)


def fields(error: RequestError) -> set[str]:
    return {fault.field for fault in error.fields}


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({"name": ""}, "identity.name"),
        ({"name": "长" * 65}, "identity.name"),
        ({"nationality": "China"}, "identity.nationality"),
        ({"phone": "10-0"}, "identity.phone"),
        ({"home": "999999"}, "identity.division"),
        ({"home": "33"}, "identity.division"),
        ({"home": "100000"}, "identity.division"),
        ({"proxy": 1}, "proxy.document"),
        ({"temperature": 339}, "temperature_decicelsius"),
        ({"temperature": 431}, "temperature_decicelsius"),
        ({"symptoms": frozenset()}, "symptoms"),
        ({"symptoms": frozenset({Symptom.NONE, Symptom.COLD})}, "symptoms"),
        ({"contact": TriState.ABSENT}, "answers.contact"),
        ({"risk_area": TriState.ABSENT}, "answers.risk_area"),
        ({"overseas": TriState.ABSENT}, "answers.overseas"),
    ],
)
async def test_a_bad_declaration_is_refused_by_field_and_leaves_nothing(
    world: World, what: dict[str, Any], field: str
) -> None:
    with pytest.raises(RequestError) as caught:
        await world.declare(1, **what)
    assert caught.value.code == "INVALID_REQUEST"
    assert fields(caught.value) == {field}
    assert await world.issuer.code(document(1)) is None


async def test_every_bad_field_is_named_at_once_and_no_value(world: World) -> None:
    with pytest.raises(RequestError) as caught:
        await world.declare(1, name="", phone="secret", temperature=500, contact=TriState.ABSENT)
    assert fields(caught.value) == {
        "identity.name",
        "identity.phone",
        "temperature_decicelsius",
        "answers.contact",
    }
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("stays", "field"),
    [
        ([], "stays"),
        ([Stay(HOME, BEGIN - DAY)] * (MAX_STAYS + 1), "stays"),
        ([Stay("999999", BEGIN - DAY)], "stays[0].division"),
        ([Stay(HOME, BEGIN + DAY)], "stays[0].entered_at"),
        ([Stay(HOME, datetime(1990, 1, 1, tzinfo=UTC))], "stays[0].entered_at"),
        ([Stay(HOME, BEGIN - DAY, BEGIN + DAY)], "stays[0].left_at"),
        ([Stay(HOME, BEGIN - DAY, BEGIN - DAY)], "stays[0].left_at"),
        ([Stay(HOME, BEGIN - 20 * DAY, BEGIN - 16 * DAY)], "stays[0].left_at"),
        (
            [Stay(HOME, BEGIN - 3 * DAY, BEGIN - DAY), Stay(WUHAN, BEGIN - 2 * DAY)],
            "stays[1].entered_at",
        ),
        ([Stay(WUHAN, BEGIN - DAY), Stay(HOME, BEGIN - 2 * DAY)], "stays[0].entered_at"),
    ],
)
async def test_a_bad_itinerary_is_refused_by_field_and_nothing_of_it_is_taken(
    world: World, stays: list[Stay], field: str
) -> None:
    await world.declare(1)
    with pytest.raises(RequestError) as caught:
        await world.issuer.facts.declare_itinerary(
            document(1), stays, proxy=None, client="app", now=BEGIN
        )
    assert field in fields(caught.value)
    trace = await world.issuer.trace.read(document(1))
    assert [entry.kind for entry in trace] == ["stay", "declaration", "level"]


async def test_stays_may_touch(world: World) -> None:
    await world.declare(1)
    stays = [
        Stay(WUHAN, BEGIN - 3 * DAY, BEGIN - 2 * DAY),
        Stay(HOME, BEGIN - 2 * DAY, BEGIN - DAY),
        Stay(WUHAN, BEGIN - DAY),
    ]
    await world.issuer.facts.declare_itinerary(
        document(1), stays, proxy=None, client="app", now=BEGIN
    )
    trace = await world.issuer.trace.read(document(1))
    assert sum(entry.kind == "stay" for entry in trace) == 4


async def test_who_never_declared_can_tell_no_itinerary(world: World) -> None:
    with pytest.raises(DeclarationMissingError):
        await world.stay(1, WUHAN, 2)


async def test_a_proxy_declares_first_and_may_act_from_then_on(world: World) -> None:
    with pytest.raises(ProxyNotAllowedError):
        await world.declare(1, proxy=2)
    assert await world.issuer.code(document(1)) is None
    await world.declare(2)
    await world.declare(1)
    with pytest.raises(ProxyNotAllowedError):
        await world.stay(1, WUHAN, 2, proxy=2)
    await world.declare(1, proxy=2)
    await world.declare(1, proxy=2)
    await world.stay(1, WUHAN, 2, proxy=2)
    person = await world.issuer.people.find(document(1))
    assert person is not None
    assert await world.issuer.people.may_act(person, document(2))
    assert not await world.issuer.people.may_act(person, document(3))
    # Not the other way round.
    with pytest.raises(ProxyNotAllowedError):
        await world.stay(2, WUHAN, 2, proxy=1)
    with pytest.raises(DeclarationMissingError):
        await world.stay(4, WUHAN, 2, proxy=2)


async def test_a_contact_of_somebody_unknown_is_kept_until_a_declaration_comes(
    world: World,
) -> None:
    assert await world.report(1, ContactKind.CLOSE, days_ago=3) == "KEPT"
    assert await world.report(1, ContactKind.CLOSE, days_ago=3) == "KNOWN"
    world.clock.days(2)
    assert short(await world.declare(1)) == ("RED", "red-contact", (0, 14))
    assert await world.report(1, ContactKind.CLOSE, days_ago=5) == "KNOWN"


async def test_a_contact_that_was_kept_too_long_means_nothing(world: World) -> None:
    await world.report(1, ContactKind.CLOSE, days_ago=3)
    world.clock.days(12)
    assert short(await world.declare(1))[0] == "GREEN"


async def test_a_contact_is_known_by_client_reference_kind_and_date(world: World) -> None:
    await world.declare(1)
    assert await world.report(1, ContactKind.GENERAL, days_ago=3) == "TAKEN"
    assert await world.report(1, ContactKind.GENERAL, days_ago=3) == "KNOWN"
    assert await world.report(1, ContactKind.GENERAL, days_ago=4) == "KNOWN"
    # More serious, later, another case, another feeder: each is news.
    assert await world.report(1, ContactKind.CLOSE, days_ago=3) == "TAKEN"
    assert await world.report(1, ContactKind.GENERAL, days_ago=2) == "TAKEN"
    assert await world.report(1, ContactKind.GENERAL, days_ago=3, reference="b") == "TAKEN"
    assert await world.report(1, ContactKind.GENERAL, days_ago=3, client="other") == "TAKEN"


async def test_every_contact_of_a_batch_has_its_own_outcome(world: World) -> None:
    for index in range(150):
        await world.declare(index)
    good = ContactReport(document(0), ContactKind.CLOSE, BEGIN - DAY, HOME, "case-1")
    contacts = [
        good,
        good,
        replace(good, document=document(200)),
        replace(good, document=document(1), at=BEGIN + DAY),
        replace(good, document=document(2), at=BEGIN - 29 * DAY),
        replace(good, document=document(3), division="999999"),
        replace(good, document=document(4), reference="张三"),
        *(replace(good, document=document(index)) for index in range(5, 150)),
    ]
    reported = await world.issuer.facts.report_contacts(contacts, client="cdc", now=BEGIN)
    assert [outcome.value for outcome in reported.outcomes] == (
        ["TAKEN", "KNOWN", "KEPT"] + ["REFUSED"] * 4 + ["TAKEN"] * 145
    )
    assert reported.changed == 146
    for index, level in ((0, "RED"), (1, "GREEN"), (4, "GREEN"), (149, "RED")):
        assert short(await world.code(index))[0] == level


@pytest.mark.parametrize("count", [0, MAX_CONTACTS + 1])
async def test_a_batch_has_a_size(world: World, count: int) -> None:
    contact = ContactReport(document(1), ContactKind.CLOSE, BEGIN, HOME, "case-1")
    with pytest.raises(RequestError) as caught:
        await world.issuer.facts.report_contacts([contact] * count, client="cdc", now=BEGIN)
    assert fields(caught.value) == {"contacts"}


async def test_the_newest_identity_holds_and_the_former_is_kept(world: World) -> None:
    await world.declare(1)
    await world.declare(1, name="测试新", phone="")
    await world.declare(1, name="测试新", phone="")
    person = await world.issuer.people.find(document(1))
    assert person is not None
    identity = await world.issuer.people.identity(person)
    assert (identity.name, identity.phone, identity.document) == ("测试新", "", document(1))
    assert repr(identity) == "Identity(…)"
    async with world.issuer.store.read() as connection:
        kept = (await connection.execute(sa.select(schema.identities_before))).all()
    assert [row.person_id for row in kept] == [person]
    lookup = world.issuer.people.box.lookup(document(1))
    assert world.issuer.people.box.open(lookup, kept[0].sealed).name == POPULATION.person(1).name


async def test_another_key_file_opens_nothing_and_finds_nobody(world: World) -> None:
    await world.declare(1)
    people = People(world.issuer.store, IdentityBox(bytes(32), Randomness()))
    assert await people.find(document(1)) is None
    person = await world.issuer.people.find(document(1))
    assert person is not None
    with pytest.raises(IdentityError):
        await people.identity(person)
    with pytest.raises(NotFoundError):
        await people.identity(person + 1)


async def test_no_number_no_name_and_no_phone_stands_in_the_tables(world: World) -> None:
    await world.declare(2)
    await world.declare(1, proxy=2)
    await world.stay(1, WUHAN, 2)
    await world.report(1, ContactKind.CLOSE)
    await world.report(9, ContactKind.CLOSE)
    await world.publish({WUHAN: AreaRisk.HIGH})
    held = []
    async with world.issuer.store.read() as connection:
        for table in schema.metadata.sorted_tables:
            for row in await connection.execute(sa.select(table)):
                held.extend(bytes(v) if isinstance(v, memoryview) else v for v in row)
    text = b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in held)
    for index in (1, 2, 9):
        person = POPULATION.person(index)
        for secret in (person.number, person.name, person.phone):
            assert secret.encode() not in text


FACTS = {
    "declarations": "temperature = 365",
    "stays": "division = 110101",
    "contacts": "kind = 3",
    "areas": "risk = 1",
    "area_lists": "source = 'other'",
    "level_changes": "level = 1",
    "identities_before": "replaced_at = 1",
}


@pytest.mark.parametrize("table", FACTS)
async def test_a_fact_can_be_neither_changed_nor_deleted(world: World, table: str) -> None:
    await world.declare(1)
    await world.declare(1, name="测试新")
    await world.report(1, ContactKind.CLOSE)
    await world.publish({WUHAN: AreaRisk.HIGH})
    change = f"UPDATE {table} SET {FACTS[table]}"  # noqa: S608  names of ours
    for statement in (change, f"DELETE FROM {table}"):  # noqa: S608  names of ours
        with pytest.raises(StoreError):
            async with world.issuer.store.write() as connection:
                await connection.execute(sa.text(statement))


async def test_a_document_of_another_type_is_another_person(world: World) -> None:
    number = document(1).number
    other = parse_document(99, number)
    await world.declare(1)
    assert await world.issuer.people.find(other) is None


async def test_a_declaration_shows_nothing_of_a_person() -> None:
    told = declaration(1)
    answers = Declarations(TriState.NO, TriState.NO, TriState.NO)
    for value in (told, told.identity, answers, Stay(HOME, BEGIN), document(1)):
        assert POPULATION.person(1).number not in repr(value)
        assert HOME not in repr(value)
