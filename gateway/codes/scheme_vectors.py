"""Vectors of a scheme: records at a moment, and what must come of them.

They stand in ``vectors.yaml`` beside the scheme and travel inside the public
document. Reading them, and finding which states they test, is all that happens
here; :mod:`adapters.sdk.vectors` runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codes.itinerary import (
    MAX_PLACES,
    MAX_WINDOW_DAYS,
    Itinerary,
    ItineraryError,
    Place,
)
from gateway.codes.levels import Basis, Level, Outcome
from gateway.codes.scheme_model import Vector
from gateway.codes.unified import MAX_ALSO

if TYPE_CHECKING:
    from gateway.codes.document_reader import Cursor
    from gateway.codes.scheme_model import SchemeVersion

_MOMENTS: Final = (
    "assessed_at",
    "source_at",
    "valid_until",
    "declared_at",
    "declaration_valid_until",
    "negative_test_at",
)
_TEXTS: Final = {"state": 64, "reason": 1024, "rule": 64, "scope": 64}
_DIVISION: Final = r"[1-9][0-9]{5}"


def read_vectors(cursor: Cursor, family: str) -> tuple[Vector, ...]:
    """Read a vectors document, noting problems at the cursor."""
    if cursor.raw("hutong") != "vectors/1":
        cursor.note("is not of this format", "begin with `hutong: vectors/1`", "hutong")
    if cursor.raw("scheme") != family:
        cursor.note("is not the family of the scheme", f"write `scheme: {family}`", "scheme")
    defaults: dict[str, Any] = {}
    inner = cursor.member("defaults")
    if inner is not None:
        defaults = _report(inner)
    found: list[Vector] = []
    names: set[str] = set()
    for item in cursor.items("vectors", low=1, high=1024):
        vector = _vector(item, defaults)
        if vector is not None:
            if vector.name in names:
                item.note("is the name of another vector", "choose another", "name")
            names.add(vector.name)
            found.append(vector)
    cursor.done()
    return tuple(found)


def tested_states(
    version: SchemeVersion, vectors: tuple[Vector, ...]
) -> dict[str, tuple[str, ...]]:
    """Return, for each state of a version that is tested alone, the vectors that do."""
    tested: dict[str, tuple[str, ...]] = {}
    for vector in vectors:
        if len(vector.reports) != 1 or not version.in_force(vector.at):
            continue
        state = vector.reports[0]["state"]
        rule = version.states.get(state)
        if rule and (rule.level, rule.outcome) == (vector.level, vector.outcome):
            tested[state] = (*tested.get(state, ()), vector.name)
    return tested


def _vector(item: Cursor, defaults: dict[str, Any]) -> Vector | None:
    name = item.text("name", max_length=128)
    at = item.moment("at", required=True)
    reports = tuple(
        {**defaults, **_report(report)} for report in item.items("reports", high=MAX_ALSO + 1)
    )
    if not item.has("reports"):
        item.note("`reports` is missing", "write `reports: []` for a person without records")
    for place, report in enumerate(reports):
        for member in ("state", "issued_by"):
            if member not in report:
                item.note(f"`{member}` is missing", f"add `{member}: …`", "reports", place)
    expect = item.member("expect", required=True)
    item.done()
    if expect is None:
        return None
    level = expect.choice("level", Level, required=False)
    outcome = expect.choice("outcome", Outcome, required=False)
    also = expect.choices("also", Level)
    basis = frozenset(expect.choices("basis", Basis)) if expect.has("basis") else None
    expect.done()
    if expect.has("level") == expect.has("outcome"):
        expect.note("needs a level or an outcome", "write exactly one of the two")
    if name is None or at is None or any("state" not in report for report in reports):
        return None
    return Vector(name, at, reports, level, outcome, also, basis)


def _report(cursor: Cursor) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, length in _TEXTS.items():
        members[name] = cursor.text(name, required=False, max_length=length)
    for name in ("issued_by", "area"):
        members[name] = cursor.text(
            name, required=False, pattern=_DIVISION, what="a six-digit division"
        )
    for name in _MOMENTS:
        members[name] = cursor.moment(name)
    members["release_days_done"] = cursor.integer("release_days_done", 0, 366)
    if cursor.has("basis"):
        members["basis"] = frozenset(cursor.choices("basis", Basis))
    itinerary = cursor.member("itinerary")
    if itinerary is not None:
        members["itinerary"] = _itinerary(itinerary)
    cursor.done()
    return {name: value for name, value in members.items() if value is not None}


def _itinerary(cursor: Cursor) -> Itinerary | None:
    days = cursor.integer("window_days", 1, MAX_WINDOW_DAYS, required=True)
    as_of = cursor.moment("as_of", required=True)
    places: list[Place] = []
    for item in cursor.items("places", high=MAX_PLACES):
        division = item.text("division", pattern=_DIVISION, what="a six-digit division")
        starred = item.raw("starred", required=False)
        if starred not in (None, True, False):
            item.note("is neither true nor false", "write true or false", "starred")
        item.done()
        if division is not None:
            places.append(Place(division, starred is True))
    cursor.done()
    if days is None or as_of is None:
        return None
    try:
        return Itinerary(days, as_of, tuple(places))
    except ItineraryError as error:
        cursor.note(str(error), "correct it")
        return None
