"""Whether a request can be taken, field by field.

Every problem of a request is gathered, each under the path of its field in the
message of ``hutong.v1``; the rule is named, the value never.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gateway.codes import DivisionError, TriState, parse_division
from gateway.codes.divisions import is_national
from gateway.issuer.days import DAY_SECONDS, EARLIEST, day_begins, day_of, to_seconds
from gateway.issuer.errors import RequestError
from gateway.issuer.rules.loading import QUESTIONS
from gateway.issuer.values import AreaRisk, Symptom
from gateway.wire.errors import FieldFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from gateway.issuer.values import Area, ContactReport, HealthDeclaration, Stay

TEMPERATURES: Final = range(340, 431)
"""Tenths of a degree that a living person has; the bounds of the schema."""

MAX_STAYS: Final = 64
MAX_CONTACTS: Final = 1000
MAX_AREAS: Final = 4096
"""Bounds of the schema."""

ITINERARY_DAYS: Final = 14
"""Stays of the last 14 days are taken: ``IssuerService.DeclareItinerary``."""

AHEAD_SECONDS: Final = DAY_SECONDS
"""A list may be published one day ahead: ``PublishAreasRequest.valid_from``."""

_NAME: Final = 64
_SOURCE: Final = 256
_NATIONALITY = re.compile(r"([A-Z]{3})?", re.ASCII)
_PHONE = re.compile(r"(\+?[0-9]{5,15})?", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Faults:
    """Gathers what is wrong."""

    def __init__(self) -> None:
        self._found: list[FieldFault] = []

    def note(self, field: str, description: str) -> None:
        """Note that a field breaks its rule."""
        self._found.append(FieldFault(field, description))

    def need(self, holds: bool, field: str, description: str) -> None:  # noqa: FBT001  reads as a sentence
        """Note it unless the rule holds."""
        if not holds:
            self.note(field, description)

    def division(self, text: str, field: str) -> None:
        """Note a division that is not six digits of the table, or a reserved one."""
        try:
            known = parse_division(text) == text and not is_national(text)
        except DivisionError:
            known = False
        self.need(known, field, "a known division of six digits")

    @property
    def found(self) -> bool:
        """Whether anything was noted."""
        return bool(self._found)

    def refuse(self) -> None:
        """End the checks.

        Raises:
            RequestError: anything was noted.
        """
        if self._found:
            raise RequestError(self._found)


def check_declaration(declaration: HealthDeclaration, now: datetime) -> None:
    """Check a health declaration.

    Raises:
        RequestError: with every field that breaks its rule.
    """
    faults = Faults()
    identity = declaration.identity
    faults.need(1 <= len(identity.name) <= _NAME, "identity.name", f"1 to {_NAME} characters")
    faults.need(
        _NATIONALITY.fullmatch(identity.nationality) is not None,
        "identity.nationality",
        "three capital letters of GB/T 2659, or empty",
    )
    faults.need(
        _PHONE.fullmatch(identity.phone) is not None,
        "identity.phone",
        "5 to 15 digits with an optional plus, or empty",
    )
    faults.division(identity.division, "identity.division")
    faults.need(
        declaration.proxy != identity.document, "proxy.document", "another person's document"
    )
    faults.need(
        declaration.temperature_decicelsius in TEMPERATURES,
        "temperature_decicelsius",
        f"{TEMPERATURES.start} to {TEMPERATURES.stop - 1}",
    )
    symptoms = declaration.symptoms
    faults.need(bool(symptoms), "symptoms", "at least one")
    faults.need(
        Symptom.NONE not in symptoms or len(symptoms) == 1, "symptoms", "SYMPTOM_NONE stands alone"
    )
    for question in QUESTIONS:
        answer = getattr(declaration.answers, question)
        faults.need(answer is not TriState.ABSENT, f"answers.{question}", "YES, NO or UNSURE")
    _check_now(faults, now)
    faults.refuse()


def check_stays(stays: Sequence[Stay], now: datetime) -> None:
    """Check the stays of an itinerary.

    Raises:
        RequestError: with every field that breaks its rule.
    """
    faults = Faults()
    faults.need(1 <= len(stays) <= MAX_STAYS, "stays", f"1 to {MAX_STAYS}")
    earliest = day_begins(day_of(to_seconds(now)) - ITINERARY_DAYS)
    for place, stay in enumerate(stays):
        field = f"stays[{place}]"
        faults.division(stay.division, f"{field}.division")
        faults.need(stay.entered_at <= now, f"{field}.entered_at", "not in the future")
        faults.need(stay.entered_at >= EARLIEST, f"{field}.entered_at", "not before 1992")
        if stay.left_at is not None:
            faults.need(stay.left_at <= now, f"{field}.left_at", "not in the future")
            faults.need(
                to_seconds(stay.left_at) > to_seconds(stay.entered_at),
                f"{field}.left_at",
                "after entered_at",
            )
            faults.need(
                to_seconds(stay.left_at) > earliest,
                f"{field}.left_at",
                f"within the last {ITINERARY_DAYS} days",
            )
    _check_overlaps(faults, stays)
    _check_now(faults, now)
    faults.refuse()


def _check_overlaps(faults: Faults, stays: Sequence[Stay]) -> None:
    order = sorted(range(len(stays)), key=lambda place: stays[place].entered_at)
    for before, after in pairwise(order):
        left_at = stays[before].left_at
        if left_at is None or left_at > stays[after].entered_at:
            faults.note(f"stays[{after}].entered_at", "not before the stay before it ended")


def contact_fault(contact: ContactReport, now: datetime, window_days: int) -> bool:
    """Whether one reported contact cannot be taken."""
    faults = Faults()
    faults.division(contact.division, "division")
    at = to_seconds(contact.at)
    return (
        at > to_seconds(now)
        or day_of(at) < day_of(to_seconds(now)) - window_days
        or _REFERENCE.fullmatch(contact.reference) is None
        or faults.found
    )


def check_contacts(contacts: Sequence[ContactReport], now: datetime) -> None:
    """Check that a batch of contacts has a size; each is looked at by itself.

    Raises:
        RequestError: it has none, or is too large.
    """
    faults = Faults()
    faults.need(1 <= len(contacts) <= MAX_CONTACTS, "contacts", f"1 to {MAX_CONTACTS}")
    _check_now(faults, now)
    faults.refuse()


def check_areas(
    areas: Iterable[Area], valid_from: datetime, last: int | None, source: str, now: datetime
) -> None:
    """Check a list of areas.

    Args:
        areas: the list.
        valid_from: from when it holds.
        last: from when the newest list holds, in seconds; None: there is none.
        source: where it comes from.
        now: the moment.

    Raises:
        RequestError: with every field that breaks its rule.
    """
    faults = Faults()
    listed = list(areas)
    seen: set[str] = set()
    faults.need(len(listed) <= MAX_AREAS, "areas", f"at most {MAX_AREAS}")
    for place, area in enumerate(listed):
        faults.division(area.division, f"areas[{place}].division")
        faults.need(area.division not in seen, f"areas[{place}].division", "stands once")
        faults.need(isinstance(area.risk, AreaRisk), f"areas[{place}].risk", "a risk")
        seen.add(area.division)
    begins = to_seconds(valid_from)
    faults.need(begins <= to_seconds(now) + AHEAD_SECONDS, "valid_from", "at most one day ahead")
    faults.need(last is None or begins >= last, "valid_from", "not before the last list")
    faults.need(valid_from >= EARLIEST, "valid_from", "not before 1992")
    faults.need(1 <= len(source) <= _SOURCE, "source", f"1 to {_SOURCE} characters")
    _check_now(faults, now)
    faults.refuse()


def _check_now(faults: Faults, now: datetime) -> None:
    faults.need(now >= EARLIEST, "", "the clock stands before 1992")
