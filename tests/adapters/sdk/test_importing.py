"""Conversions: what converts, and one thing that does not hold for each refusal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hutong.v1 import exchange_pb2

from adapters.sdk import OutcomeReport
from adapters.sdk.imports import reference_of
from gateway.attestation import Profile
from gateway.codes.conversion import ImportRefusal
from gateway.codes.documents import Document, DocumentType
from gateway.codes.levels import Level, Outcome
from gateway.codes.proto import local_code_from_proto
from tests.adapters.sdk.import_world import (
    DESTINATION,
    IMPORT,
    NAME,
    NOW,
    PERSON,
    SOMEBODY_ELSE,
    TESTED,
    URN,
    ImportWorld,
    destination_scheme,
    green,
    held,
)

pytestmark = pytest.mark.asyncio
NONCE = bytes(range(16))
DAY = timedelta(days=1)


@pytest.fixture
def world() -> ImportWorld:
    return ImportWorld()


# --- what converts -----------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("purpose", ["HOLDER", "PLATFORM"])
async def test_the_other_sides_green_becomes_a_local_code(profile: Profile, purpose: str) -> None:
    world = ImportWorld(profile=profile)
    world.caller = replace(world.caller, purposes=frozenset({purpose}))
    asked = world.ask()
    (answer,) = await world.convert(asked, purpose=purpose)
    assert answer.nonce == asked.nonce
    code = local_code_from_proto(answer.local_code)
    assert (code.scheme, code.state, code.origin) == ("ex-jkm@2020-03", "绿码", "440100")
    assert code.qr_text == "https://code.example/?id=" + "0" * 32
    assert code.valid_until == NOW + timedelta(hours=12)
    assert code.negative_test_at == TESTED
    (order,) = world.city.orders
    assert (order.document, order.name, order.origin) == (PERSON, NAME, "440100")
    assert (order.level, order.state) == (Level.GREEN, "绿码")
    assert order.assessed_at == NOW - timedelta(hours=3)
    assert (order.negative_test_at, order.valid_until) == (TESTED, code.valid_until)
    assert len(order.reference) == 43
    assert world.city.fetched == [PERSON]


@pytest.mark.parametrize(
    ("change", "end"),
    [
        ({"valid_until": NOW + timedelta(hours=1)}, NOW + timedelta(hours=1)),
        ({"declaration_valid_until": NOW + timedelta(hours=2)}, NOW + timedelta(hours=2)),
        ({"valid_until": NOW + DAY}, NOW + timedelta(hours=12)),
    ],
)
async def test_a_local_code_never_outlives_the_origins_clocks(
    world: ImportWorld, change: dict[str, Any], end: datetime
) -> None:
    token = world.attest(green(**change), nonce=NONCE)
    (answer,) = await world.convert(world.ask(token, nonce=NONCE))
    assert local_code_from_proto(answer.local_code).valid_until == end


@pytest.mark.parametrize("hours", [1, 99])
async def test_the_platform_may_end_a_code_sooner_and_not_later(
    world: ImportWorld, hours: int
) -> None:
    world.city.valid_until = NOW + timedelta(hours=hours, microseconds=5)
    (answer,) = await world.convert(world.ask())
    assert local_code_from_proto(answer.local_code).valid_until == NOW + timedelta(
        hours=min(hours, 12)
    )


async def test_several_greens_convert_with_the_newest_test(world: ImportWorld) -> None:
    newer = TESTED + timedelta(hours=5)
    code = green(also=(green(negative_test_at=None), green(negative_test_at=newer)))
    (answer,) = await world.convert(world.ask(world.attest(code, nonce=NONCE), nonce=NONCE))
    assert local_code_from_proto(answer.local_code).negative_test_at == newer


async def test_any_origin_scheme_and_no_test_convert_where_the_scheme_says_so() -> None:
    rule = IMPORT.replace('["44", "990000"]', "null").replace("[gz-skm]", "null")
    rule = rule.replace("604800", "null").replace(
        "answers_must_be_no: true", "answers_must_be_no: false"
    )
    world = ImportWorld(scheme=destination_scheme(rule))
    code = green(scheme="xx-yy@1", negative_test_at=None)
    asked = world.ask(
        world.attest(code, nonce=NONCE), nonce=NONCE, declarations={"contact": "UNSURE"}
    )
    (answer,) = await world.convert(asked)
    assert not local_code_from_proto(answer.local_code).negative_test_at


@pytest.mark.parametrize(
    "held_by_city",
    [
        (),
        (held("绿码"),),
        (held("绿码", assessed_at=NOW - 9 * DAY),),
        OutcomeReport(Outcome.NOT_FOUND),
        OutcomeReport(Outcome.NOT_APPLIED),
        OutcomeReport(Outcome.WRONG_REGION),
        OutcomeReport(Outcome.EVIDENCE_ONLY),
    ],
)
async def test_what_the_city_holds_does_not_stand_against_it(
    world: ImportWorld, held_by_city: Any
) -> None:
    world.city.held = held_by_city
    (answer,) = await world.convert(world.ask())
    assert answer.HasField("local_code")


# --- imported again ----------------------------------------------------------


async def test_the_same_attestation_gives_the_same_code_and_is_entered_once(
    world: ImportWorld,
) -> None:
    asked = world.ask(world.attest(nonce=NONCE), nonce=NONCE)
    (first,) = await world.convert(asked)
    world.city.held = (held("红码"),)
    (again,) = await world.convert(asked)
    assert first.local_code == again.local_code
    assert len(world.city.orders) == 1
    (other,) = await world.convert(world.ask())
    assert other.refusal == exchange_pb2.IMPORT_REFUSAL_OWN_RECORD


async def test_imports_of_one_attestation_at_the_same_time_are_entered_once(
    world: ImportWorld,
) -> None:
    world.city.hold = asyncio.Event()
    asked = world.ask(world.attest(nonce=NONCE), nonce=NONCE)
    both = [asyncio.ensure_future(world.convert(asked)) for _ in range(2)]
    await world.city.asked.wait()
    world.city.hold.set()
    first, again = await asyncio.gather(*both)
    assert first == again
    assert len(world.city.orders) == 1


async def test_without_memory_the_platform_sees_the_same_reference(world: ImportWorld) -> None:
    asked = world.ask(world.attest(nonce=NONCE), nonce=NONCE)
    (first,) = await world.convert(asked)
    world.pipeline = world.new_pipeline()
    (again,) = await world.convert(asked)
    assert first.local_code == again.local_code
    assert len({order.reference for order in world.city.orders}) == 1
    assert len(world.city.orders) == 2


async def test_the_memory_is_bounded_and_forgets_the_oldest(world: ImportWorld) -> None:
    world.pipeline = world.new_pipeline(max_remembered=1)
    first, second = world.ask(), world.ask()
    for asked in (first, second, second, first):
        await world.convert(asked)
    assert len(world.city.orders) == 3


async def test_conditions_are_held_against_a_repeated_import_anew(world: ImportWorld) -> None:
    token = world.attest(nonce=NONCE)
    await world.convert(world.ask(token, nonce=NONCE))
    repeated = world.ask(token, nonce=NONCE, declarations={"overseas": "YES"})
    assert await world.refusal(repeated) == "DECLARATION"
    assert await world.refusal(world.ask(token, nonce=NONCE, document=SOMEBODY_ELSE)) == "SUBJECT"


async def test_a_reference_says_nothing_and_tells_issuers_apart() -> None:
    world = ImportWorld()
    verifier = world.trust.verifier(NOW)
    assert verifier is not None
    token = world.attest(nonce=NONCE)
    one = verifier.verify(token, audience=URN + DESTINATION, now=NOW, is_import=True)
    assert reference_of(one) == reference_of(one)
    assert reference_of(one) != reference_of(replace(one, issuer=URN + "440200"))
    assert reference_of(one) != reference_of(replace(one, token_id="T" * 22))


# --- refusals: valid but for one property ------------------------------------

CODES = {
    "yellow": ("LEVEL", {"level": Level.YELLOW}),
    "red": ("LEVEL", {"level": Level.RED}),
    "restricted": ("LEVEL", {"level": Level.RESTRICTED}),
    "red-beside-green": ("LEVEL", {"level": Level.RED, "also": (green(),)}),
    "another-scheme": ("ORIGIN", {"scheme": "gd-ykm@2020-02"}),
    "another-scheme-beside": ("ORIGIN", {"also": (green(scheme="gd-ykm@2020-02"),)}),
    "old": ("TOO_OLD", {"assessed_at": NOW - DAY - timedelta(seconds=1)}),
    "old-beside": ("TOO_OLD", {"also": (green(assessed_at=NOW - 2 * DAY),)}),
    "ahead": ("TOO_OLD", {"assessed_at": NOW + timedelta(seconds=61)}),
    "declaration-over": ("TOO_OLD", {"declaration_valid_until": NOW}),
    "untested": ("TEST", {"negative_test_at": None}),
    "tested-long-ago": ("TEST", {"negative_test_at": NOW - 7 * DAY - timedelta(seconds=1)}),
    "tested-tomorrow": ("TEST", {"negative_test_at": NOW + timedelta(seconds=61)}),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "change"), CODES.values(), ids=list(CODES))
async def test_a_code_of_which_one_thing_does_not_hold_is_not_converted(
    world: ImportWorld, reason: str, change: dict[str, Any]
) -> None:
    token = world.attest(green(**change), nonce=NONCE)
    assert await world.refusal(world.ask(token, nonce=NONCE)) == reason
    assert not world.city.orders
    assert not world.city.fetched


async def test_bounds_of_age_and_test_are_inclusive(world: ImportWorld) -> None:
    code = green(assessed_at=NOW - DAY, negative_test_at=NOW - 7 * DAY)
    (answer,) = await world.convert(world.ask(world.attest(code, nonce=NONCE), nonce=NONCE))
    assert answer.HasField("local_code")


@pytest.mark.parametrize("origin", ["420100", "330200", "330100"])
async def test_an_origin_that_is_not_listed_and_our_own_are_not_converted(origin: str) -> None:
    rule = IMPORT.replace('["44", "990000"]', '["44", "3301"]')
    world = ImportWorld(scheme=destination_scheme(rule))
    if origin not in world.federation.regions:
        world.federation.add_region(origin)
    token = world.attest(green(issued_by=origin), nonce=NONCE, issuer=origin)
    assert await world.refusal(world.ask(token, nonce=NONCE)) == "ORIGIN"


SUBJECTS: dict[str, dict[str, Any]] = {
    "another-person": {"document": SOMEBODY_ELSE},
    "another-type": {"document": Document(DocumentType.PASSPORT, PERSON.number)},
    "another-question": {"nonce": bytes(16)},
}


@pytest.mark.parametrize("change", SUBJECTS.values(), ids=list(SUBJECTS))
async def test_nobody_converts_another_persons_code(
    world: ImportWorld, change: dict[str, Any]
) -> None:
    asked = world.ask(world.attest(nonce=NONCE), **{"nonce": NONCE, **change})
    assert await world.refusal(asked) == "SUBJECT"


async def test_an_attestation_that_does_not_say_about_whom_is_not_converted(
    world: ImportWorld,
) -> None:
    token = world.attest(nonce=NONCE, bound=None)
    assert await world.refusal(world.ask(token, nonce=NONCE)) == "SUBJECT"


async def test_whose_it_is_is_settled_before_anything_else_is_told(world: ImportWorld) -> None:
    red = world.attest(green(level=Level.RED, negative_test_at=None), nonce=NONCE)
    assert await world.refusal(world.ask(red, nonce=NONCE, document=SOMEBODY_ELSE)) == "SUBJECT"


@pytest.mark.parametrize("answer", ["YES", "UNSURE"])
@pytest.mark.parametrize("member", ["contact", "risk_area", "overseas"])
async def test_an_answer_that_is_not_no_stands_against_it(
    world: ImportWorld, member: str, answer: str
) -> None:
    asked = world.ask(declarations={member: answer})
    assert await world.refusal(asked) == "DECLARATION"


HELD = {
    "red": (held("红码"),),
    "red-run-out": (held("红码", assessed_at=NOW - 9 * DAY, valid_until=NOW - DAY),),
    "red-beside-green": (held("绿码"), held("红码")),
    "unmapped": (held("灰码"),),
    "expired": OutcomeReport(Outcome.CODE_EXPIRED),
    "undetermined": OutcomeReport(Outcome.CANNOT_DETERMINE),
    "under-review": OutcomeReport(Outcome.PENDING_REVIEW),
    "must-update": OutcomeReport(Outcome.HOLDER_MUST_UPDATE),
    "two-people": OutcomeReport(Outcome.AMBIGUOUS_SUBJECT),
}


@pytest.mark.parametrize("held_by_city", HELD.values(), ids=list(HELD))
async def test_a_record_of_the_destination_less_than_green_is_never_overwritten(
    world: ImportWorld, held_by_city: Any
) -> None:
    world.city.held = held_by_city
    assert await world.refusal() == "OWN_RECORD"
    assert not world.city.orders


async def test_the_door_itself_may_refuse_for_a_record_of_its_own(world: ImportWorld) -> None:
    world.city.refusal = ImportRefusal.OWN_RECORD
    assert await world.refusal() == "OWN_RECORD"


SILENT = (Outcome.SOURCE_BUSY, Outcome.SOURCE_TIMED_OUT, Outcome.SOURCE_UNPARSABLE)


@pytest.mark.parametrize("outcome", SILENT)
async def test_nothing_is_entered_where_the_platform_does_not_say_what_it_holds(
    world: ImportWorld, outcome: Outcome
) -> None:
    world.city.held = OutcomeReport(outcome)
    assert await world.refusal() == "PLATFORM"
    assert not world.city.orders


@pytest.mark.parametrize("outcome", [*SILENT, Outcome.NOT_FOUND])
async def test_a_door_that_does_not_answer_converts_nothing_and_may_be_asked_again(
    world: ImportWorld, outcome: Outcome
) -> None:
    world.city.refusal = OutcomeReport(outcome)
    asked = world.ask()
    assert await world.refusal(asked) == "PLATFORM"
    world.city.refusal = None
    (answer,) = await world.convert(asked)
    assert answer.HasField("local_code")


@pytest.mark.parametrize(
    "change",
    [{"qr_text": ""}, {"qr_text": "x" * 2049}, {"valid_until": NOW}],
    ids=["no-text", "too-long", "already-over"],
)
async def test_an_answer_of_the_door_that_nobody_can_use_is_no_code(
    world: ImportWorld, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(world.city, name, value)
    assert await world.refusal() == "PLATFORM"


async def test_a_platform_slower_than_the_deadline_is_told_in_time(world: ImportWorld) -> None:
    world.city.hold = asyncio.Event()
    asked = world.ask()
    (answer,) = await world.convert(asked, seconds=0.3)
    assert answer.refusal == exchange_pb2.IMPORT_REFUSAL_PLATFORM
    world.city.hold.set()
