"""Places and converted codes, as values and on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import protovalidate
import pytest
from hutong.v1 import code_pb2, exchange_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes import (
    Declarations,
    ImportRefusal,
    Itinerary,
    ItineraryError,
    LocalCode,
    Place,
    TriState,
    UnifiedCodeError,
    declarations_from_proto,
    declarations_to_proto,
    itinerary_from_proto,
    itinerary_to_proto,
    local_code_from_proto,
    local_code_to_proto,
    refusal_from_proto,
    refusal_to_proto,
)
from tests.codes.strategies import DIVISIONS, ITINERARIES, MOMENTS, SCHEMES, STATES

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2020, 3, 1, 4, tzinfo=UTC)

LOCAL_CODES = st.builds(
    LocalCode,
    scheme=SCHEMES,
    state=STATES,
    qr_text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=80),
    valid_until=MOMENTS,
    origin=DIVISIONS,
    negative_test_at=st.none() | MOMENTS,
)


@given(ITINERARIES)
def test_places_survive_the_wire_and_pass_the_schemas_own_rules(itinerary: Itinerary) -> None:
    message = itinerary_to_proto(itinerary)
    protovalidate.validate(message)
    again = code_pb2.Itinerary.FromString(message.SerializeToString())
    assert itinerary_from_proto(again) == itinerary


@pytest.mark.parametrize(
    "change",
    [
        {"window_days": 0},
        {"window_days": 32},
        {"as_of": NOON.replace(tzinfo=None)},
        {"as_of": NOON.astimezone(timezone(timedelta(hours=8)))},
        {"as_of": NOON.replace(microsecond=1)},
        {"as_of": datetime(1969, 1, 1, tzinfo=UTC)},
        {"places": (Place("330100"), Place("330100", starred=True))},
        {"places": tuple(Place(f"3301{n:02}") for n in range(65))},
    ],
)
def test_an_itinerary_that_breaks_one_rule_is_none(change: dict[str, Any]) -> None:
    good = {"window_days": 14, "as_of": NOON, "places": (Place("330100"),)}
    assert Itinerary(**good).window_days == 14
    with pytest.raises(ItineraryError):
        Itinerary(**{**good, **change})


def test_a_place_is_a_division_of_six_digits() -> None:
    with pytest.raises(ItineraryError):
        Place("33")


def test_nothing_shows_where_somebody_was() -> None:
    itinerary = Itinerary(14, NOON, (Place("330106", starred=True),))
    assert "330106" not in repr(itinerary) + repr(itinerary.places[0])
    code = LocalCode("hz-jkm@2020-02", "绿码", "https://code.example/1", NOON, "440100")
    assert "绿码" not in repr(code)
    assert "code.example" not in repr(code)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda message: message.ClearField("as_of"),
        lambda message: message.as_of.FromNanoseconds(1),
        lambda message: setattr(message.as_of, "seconds", -1),
        lambda message: setattr(message, "window_days", 0),
        lambda message: setattr(message.places[0], "division", "33"),
        lambda message: message.places.add(division="330100"),
    ],
)
def test_an_itinerary_on_the_wire_that_breaks_one_rule_is_refused(
    break_it: Callable[[code_pb2.Itinerary], None],
) -> None:
    message = itinerary_to_proto(Itinerary(14, NOON, (Place("330100"),)))
    assert itinerary_from_proto(message).places
    break_it(message)
    with pytest.raises(ItineraryError):
        itinerary_from_proto(message)


@given(LOCAL_CODES)
def test_a_converted_code_survives_the_wire(code: LocalCode) -> None:
    message = local_code_to_proto(code)
    protovalidate.validate(message)
    again = exchange_pb2.LocalCode.FromString(message.SerializeToString())
    assert local_code_from_proto(again) == code


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("scheme", "hz-jkm"),
        ("state", ""),
        ("state", "绿" * 65),
        ("qr_text", ""),
        ("qr_text", "x" * 2049),
        ("origin", "33"),
        ("origin", "999999"),
        ("valid_until", None),
    ],
)
def test_a_converted_code_on_the_wire_that_breaks_one_rule_is_refused(
    member: str, value: str | None
) -> None:
    message = local_code_to_proto(LocalCode("hz-jkm@2020-02", "绿码", "x", NOON, "330100"))
    assert local_code_from_proto(message).origin == "330100"
    if value is None:
        message.ClearField(member)  # type: ignore[arg-type]  # the name comes from the table
    else:
        setattr(message, member, value)
    with pytest.raises(UnifiedCodeError):
        local_code_from_proto(message)


def test_every_refusal_of_the_schema_is_one_of_ours_and_goes_there_and_back() -> None:
    names = {f"IMPORT_REFUSAL_{refusal.name}" for refusal in ImportRefusal}
    assert names == set(exchange_pb2.ImportRefusal.keys()[1:])
    for refusal in ImportRefusal:
        assert refusal_from_proto(refusal_to_proto(refusal)) is refusal
    for value in (0, 99, -1):
        with pytest.raises(UnifiedCodeError):
            refusal_from_proto(value)


@given(*[st.sampled_from(TriState)] * 3)
def test_answers_survive_the_wire(a: TriState, b: TriState, c: TriState) -> None:
    answers = Declarations(a, b, c)
    assert declarations_from_proto(declarations_to_proto(answers)) == answers
