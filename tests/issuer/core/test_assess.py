"""Every rule of 2020-02 and every way back, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.codes import Basis, TriState
from gateway.issuer.values import AreaRisk, ContactKind, Symptom
from tests.issuer.core.world import HOME, WUHAN, YIWU, short

if TYPE_CHECKING:
    from tests.issuer.core.world import World

pytestmark = pytest.mark.asyncio

RED, YELLOW = (0, 14), (0, 7)

DECLARED: list[tuple[dict[str, Any], str, tuple[int, int]]] = [
    ({"temperature": 373}, "yellow-fever", YELLOW),
    ({"symptoms": frozenset({Symptom.COLD})}, "yellow-symptoms", YELLOW),
    ({"symptoms": frozenset({Symptom.BREATH, Symptom.EYES})}, "yellow-symptoms", YELLOW),
    *(
        ({"symptoms": frozenset({symptom})}, "yellow-symptoms-other", (0, 3))
        for symptom in (Symptom.DIGESTION, Symptom.CHEST, Symptom.EYES, Symptom.OTHER)
    ),
    ({"contact": TriState.YES}, "red-answer-contact", RED),
    ({"contact": TriState.UNSURE}, "yellow-answer-contact", YELLOW),
    ({"overseas": TriState.YES}, "red-answer-overseas", RED),
    ({"overseas": TriState.UNSURE}, "yellow-answer-overseas", YELLOW),
    ({"risk_area": TriState.YES}, "yellow-answer-area", YELLOW),
    ({"risk_area": TriState.UNSURE}, "yellow-answer-area", YELLOW),
]


@pytest.mark.parametrize(("what", "rule", "release"), DECLARED)
async def test_what_is_declared_counts_at_once(
    world: World, what: dict[str, Any], rule: str, release: tuple[int, int]
) -> None:
    code = await world.declare(1, **what)
    level = "RED" if rule.startswith("red") else "YELLOW"
    assert short(code) == (level, rule, release)
    assert code == await world.code(1)


async def test_who_declares_nothing_and_was_nowhere_is_green(world: World) -> None:
    code = await world.declare(1, temperature=372)
    assert short(code) == ("GREEN", "green", None)
    assert code.basis == frozenset()
    assert code.area is None
    assert code.since == code.assessed_at == code.declared_at == world.clock.now
    assert code.declaration_valid_until == world.clock.now + timedelta(days=14)
    assert code.reason_zh == "现有数据中未见异常"


@pytest.mark.parametrize(
    ("kind", "rule", "release", "window"),
    [
        (ContactKind.CASE, "red-case", RED, 28),
        (ContactKind.CLOSE, "red-contact", RED, 14),
        (ContactKind.GENERAL, "yellow-contact", YELLOW, 14),
    ],
)
async def test_a_contact_counts_within_its_window(
    world: World, kind: ContactKind, rule: str, release: tuple[int, int], window: int
) -> None:
    for index in (1, 2):
        await world.declare(index)
    assert await world.report(1, kind, days_ago=window) == "TAKEN"
    code = await world.code(1)
    assert short(code)[1:] == (rule, release)
    assert code.area == HOME
    assert Basis.CONTACT in code.basis
    outcome = await world.report(2, kind, days_ago=window + 1)
    assert outcome == ("REFUSED" if window == 28 else "TAKEN")
    assert short(await world.code(2))[0] == "GREEN"


async def test_a_stay_in_a_high_risk_area_is_red_and_in_a_medium_one_yellow(world: World) -> None:
    await world.publish({WUHAN: AreaRisk.HIGH, YIWU: AreaRisk.MEDIUM})
    for index, division, expected in (
        (1, WUHAN, ("RED", "red-area-high", RED)),
        (2, YIWU, ("YELLOW", "yellow-area-medium", YELLOW)),
        (3, "330108", ("GREEN", "green", None)),
    ):
        await world.declare(index)
        code = await world.stay(index, division, 5, 4)
        assert short(code) == expected
        assert code.area == (None if index == 3 else division)


async def test_a_stay_counts_for_fourteen_days_before_the_area_is_known(world: World) -> None:
    await world.declare(1)
    await world.declare(2)
    await world.stay(1, WUHAN, 5, 4)
    await world.stay(2, WUHAN, 5, 4)
    world.clock.days(10)
    published = await world.publish({WUHAN: AreaRisk.HIGH})
    assert (published.assessed, published.changed) == (2, 2)
    assert short(await world.code(1))[1] == "red-area-high"
    await world.publish({})
    await world.declare(3)
    await world.stay(3, WUHAN, 5, 4)
    world.clock.days(11)
    assert (await world.publish({WUHAN: AreaRisk.HIGH})).changed == 0
    assert short(await world.code(3))[0] == "GREEN"


async def test_living_in_an_area_of_risk_counts_until_the_person_moves(world: World) -> None:
    await world.declare(1, home=WUHAN)
    await world.publish({WUHAN: AreaRisk.HIGH})
    assert short(await world.code(1)) == ("RED", "red-area-high", RED)
    assert short(await world.check_in(1, 14, home=WUHAN)) == ("RED", "red-area-high", RED)
    # Moved away: from the day after, check-ins count.
    assert short(await world.check_in(1, 1, home=HOME)) == ("RED", "red-area-high", RED)
    assert short(await world.check_in(1, 13, home=HOME)) == ("RED", "red-area-high", (13, 14))
    assert short(await world.check_in(1, 1, home=HOME)) == ("GREEN", "green", None)


async def test_two_moves_in_one_second_end_the_first_home(world: World) -> None:
    await world.publish({WUHAN: AreaRisk.HIGH})
    for home in (HOME, WUHAN, HOME):
        code = await world.declare(1, home=home)
    assert short(code) == ("RED", "red-area-high", RED)
    assert short(await world.check_in(1, 14)) == ("GREEN", "green", None)


async def test_a_stay_that_lasts_ends_where_the_person_says_so(world: World) -> None:
    await world.publish({WUHAN: AreaRisk.HIGH})
    await world.declare(1)
    await world.stay(1, WUHAN, 5)
    entered_days_ago = 5 + 6
    assert short(await world.check_in(1, 6)) == ("RED", "red-area-high", RED)
    # The same stay, with its departure now known.
    code = await world.stay(1, WUHAN, entered_days_ago, 1)
    assert short(code) == ("RED", "red-area-high", (1, 14))
    assert short(await world.check_in(1, 13)) == ("GREEN", "green", None)


async def test_a_stay_that_was_said_to_last_did_last_until_then(world: World) -> None:
    await world.publish({WUHAN: AreaRisk.HIGH})
    await world.declare(1)
    world.clock.days(3)
    await world.stay(1, WUHAN, 5)
    await world.check_in(1, 2)
    # A departure before the moment in which the stay was said to last.
    code = await world.stay(1, WUHAN, 7, 5)
    assert short(code) == ("RED", "red-area-high", (2, 14))


async def test_a_stay_that_lasts_ends_where_the_next_begins(world: World) -> None:
    await world.publish({WUHAN: AreaRisk.HIGH})
    await world.declare(1)
    await world.stay(1, WUHAN, 3)
    await world.check_in(1, 4)
    code = await world.stay(1, HOME, 2)
    assert short(code) == ("RED", "red-area-high", (2, 14))


async def test_a_list_that_changes_ends_an_exposure_but_not_what_it_imposed(world: World) -> None:
    await world.declare(1, home=WUHAN)
    await world.publish({WUHAN: AreaRisk.HIGH})
    world.clock.days(1)
    await world.publish({})
    assert short(await world.code(1)) == ("RED", "red-area-high", RED)
    assert short(await world.check_in(1, 14, home=WUHAN)) == ("GREEN", "green", None)


async def test_many_stays_in_medium_risk_areas_are_red(world: World) -> None:
    await world.publish({YIWU: AreaRisk.MEDIUM, WUHAN: AreaRisk.MEDIUM})
    await world.declare(1)
    for days_ago, expected in ((9, "yellow-area-medium"), (6, "yellow-area-medium"), (3, None)):
        code = await world.stay(1, YIWU, days_ago, days_ago - 0.1)
        if expected:
            assert short(code)[1] == expected
    assert short(code) == ("RED", "red-area-often", RED)
    # The same itinerary again is the same itinerary.
    await world.declare(2)
    for _ in range(3):
        code = await world.stay(2, WUHAN, 3, 2.9)
    assert short(code) == ("YELLOW", "yellow-area-medium", YELLOW)


async def test_long_stays_in_medium_risk_areas_are_red(world: World) -> None:
    await world.publish({YIWU: AreaRisk.MEDIUM})
    await world.declare(1)
    assert short(await world.stay(1, YIWU, 6, 1))[1] == "yellow-area-medium"
    await world.declare(2)
    assert short(await world.stay(2, YIWU, 7, 1)) == ("RED", "red-area-long", RED)
    # Living there is not travelling there.
    assert short(await world.declare(3, home=YIWU))[1] == "yellow-area-medium"


async def test_days_before_the_window_do_not_make_a_stay_longer(world: World) -> None:
    await world.publish({YIWU: AreaRisk.MEDIUM})
    await world.declare(1)
    await world.stay(1, YIWU, 13, 11)
    # Three days, and four: seven, of which the first lies outside the fourteen.
    world.clock.days(2)
    code = await world.stay(1, YIWU, 3, 0)
    assert short(code)[1] == "yellow-area-medium"


async def test_red_is_green_after_fourteen_normal_check_ins(world: World) -> None:
    await world.declare(1, contact=TriState.YES)
    for day in range(1, 14):
        code = await world.check_in(1, 1)
        assert short(code) == ("RED", "red-answer-contact", (day, 14))
    code = await world.check_in(1, 1)
    assert short(code) == ("GREEN", "green", None)
    assert code.since == world.clock.now


async def test_yellow_is_green_after_seven_normal_check_ins_at_most(world: World) -> None:
    await world.declare(1, temperature=380)
    assert short(await world.check_in(1, 6)) == ("YELLOW", "yellow-fever", (6, 7))
    assert short(await world.check_in(1, 1)) == ("GREEN", "green", None)
    await world.declare(2, symptoms=frozenset({Symptom.OTHER}))
    assert short(await world.check_in(2, 3)) == ("GREEN", "green", None)


async def test_a_missed_day_begins_the_count_anew(world: World) -> None:
    await world.declare(1, contact=TriState.YES)
    assert short(await world.check_in(1, 10)) == ("RED", "red-answer-contact", (10, 14))
    world.clock.days(1)
    await world.recompute()
    # Today's check-in may still come.
    assert short(await world.code(1)) == ("RED", "red-answer-contact", (10, 14))
    world.clock.days(1)
    await world.recompute()
    assert short(await world.code(1)) == ("RED", "red-answer-contact", RED)
    assert short(await world.declare(1)) == ("RED", "red-answer-contact", (1, 14))
    assert short(await world.check_in(1, 13)) == ("GREEN", "green", None)


async def test_a_day_ends_at_midnight_in_shanghai(world: World) -> None:
    await world.declare(1, symptoms=frozenset({Symptom.OTHER}))
    # 23:59 and 00:01 in Shanghai: two days.
    world.clock.now = world.clock.now.replace(hour=15, minute=59)
    await world.declare(1)
    assert short(await world.code(1))[2] == (0, 3)
    world.clock.now += timedelta(minutes=2)
    assert short(await world.declare(1))[2] == (1, 3)


@pytest.mark.parametrize("abnormal", [{"temperature": 373}, {"symptoms": {Symptom.CHEST}}])
async def test_an_abnormal_check_in_begins_the_count_anew(
    world: World, abnormal: dict[str, Any]
) -> None:
    await world.declare(1, contact=TriState.YES)
    await world.check_in(1, 13)
    if "symptoms" in abnormal:
        abnormal = {"symptoms": frozenset(abnormal["symptoms"])}
    assert short(await world.check_in(1, 1, **abnormal)) == ("RED", "red-answer-contact", RED)
    # A normal one on the same day heals nothing.
    assert short(await world.declare(1)) == ("RED", "red-answer-contact", RED)
    assert short(await world.check_in(1, 13)) == ("RED", "red-answer-contact", (13, 14))
    assert short(await world.check_in(1, 1)) == ("GREEN", "green", None)


async def test_what_was_released_does_not_come_back(world: World) -> None:
    await world.declare(1, contact=TriState.YES)
    await world.check_in(1, 14)
    world.clock.days(30)
    await world.recompute()
    code = await world.code(1)
    assert short(code) == ("GREEN", "green", None)
    assert not code.declaration_holds(world.clock.now)


async def test_nothing_ends_by_waiting(world: World) -> None:
    await world.declare(1, contact=TriState.YES)
    world.clock.days(100)
    await world.recompute()
    assert short(await world.code(1)) == ("RED", "red-answer-contact", RED)


async def test_the_most_severe_counts_and_then_what_holds_longest(world: World) -> None:
    await world.declare(1, temperature=380)
    assert short(await world.check_in(1, 3, contact=TriState.UNSURE)) == (
        "YELLOW",
        "yellow-answer-contact",
        YELLOW,
    )
    await world.report(1, ContactKind.CLOSE)
    assert short(await world.code(1))[1] == "red-contact"
    await world.check_in(1, 2)
    await world.report(1, ContactKind.CASE, reference="case-2")
    assert short(await world.code(1)) == ("RED", "red-case", RED)


async def test_since_moves_with_the_level_and_not_with_the_rule(world: World) -> None:
    await world.declare(1, temperature=380)
    begin = world.clock.now
    code = await world.check_in(1, 1, contact=TriState.UNSURE)
    assert (code.level, code.since) == ("YELLOW", begin)
    code = await world.check_in(1, 1, contact=TriState.YES)
    assert (code.level, code.since) == ("RED", world.clock.now)


async def test_an_assessment_is_never_dated_back(world: World) -> None:
    await world.declare(1)
    world.clock.days(-1)
    code = await world.declare(1)
    assert code.assessed_at == code.declared_at == world.clock.now + timedelta(days=1)
