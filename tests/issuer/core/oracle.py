"""The rule of 2020-02 once more, told independently of the one under test.

Written from the words of the rule file, over plain lists of facts, with calendar dates
of the zone database and loops over days: no SQL, no YAML, no arithmetic of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

_SHANGHAI = ZoneInfo("Asia/Shanghai")
_SECOND = timedelta(seconds=1)

RULES = [
    ("red-case", "RED", 14),
    ("red-contact", "RED", 14),
    ("red-area-high", "RED", 14),
    ("red-area-often", "RED", 14),
    ("red-area-long", "RED", 14),
    ("red-answer-contact", "RED", 14),
    ("red-answer-overseas", "RED", 14),
    ("yellow-contact", "YELLOW", 7),
    ("yellow-area-medium", "YELLOW", 7),
    ("yellow-fever", "YELLOW", 7),
    ("yellow-symptoms", "YELLOW", 7),
    ("yellow-symptoms-other", "YELLOW", 3),
    ("yellow-answer-contact", "YELLOW", 7),
    ("yellow-answer-area", "YELLOW", 7),
    ("yellow-answer-overseas", "YELLOW", 7),
]
"""In the order of the file."""


@dataclass
class Said:
    """A declaration."""

    at: datetime
    temperature: int
    symptoms: frozenset[str]
    contact: str
    risk_area: str
    overseas: str
    withdrawn: bool = False

    @property
    def normal(self) -> bool:
        return self.temperature < 373 and self.symptoms == {"NONE"}


@dataclass
class Stayed:
    """A stay; ``left`` None: it lasts."""

    recorded: datetime
    division: str
    entered: datetime
    left: datetime | None
    residence: bool = False
    withdrawn: bool = False


@dataclass
class Met:
    """A contact, and when it first concerned a known person."""

    kind: str
    at: datetime
    known: datetime | None
    division: str
    withdrawn: bool = False


@dataclass
class Person:
    """All facts about somebody, in the order in which they came."""

    declarations: list[Said] = field(default_factory=list)
    stays: list[Stayed] = field(default_factory=list)
    contacts: list[Met] = field(default_factory=list)


Lists = list[tuple[datetime, dict[str, str]]]
"""Lists of areas, each from when it holds; nothing before the first."""


def day(moment: datetime) -> date:
    return moment.astimezone(_SHANGHAI).date()


def _covers(one: str, other: str) -> bool:
    return other.startswith(one.removesuffix("00").removesuffix("00"))


def _risky(areas: dict[str, str], division: str, *, high_only: bool) -> bool:
    wanted = {"HIGH"} if high_only else {"MEDIUM", "HIGH"}
    return any(
        risk in wanted and (_covers(area, division) or _covers(division, area))
        for area, risk in areas.items()
    )


def _times_of_risk(
    lists: Lists, division: str, *, high_only: bool
) -> list[tuple[datetime, datetime | None]]:
    """When the division was risky, as merged intervals."""
    found: list[tuple[datetime, datetime | None]] = []
    begun: datetime | None = None
    for at, areas in lists:
        risky = _risky(areas, division, high_only=high_only)
        if risky and begun is None:
            begun = at
        elif not risky and begun is not None:
            if begun < at:
                found.append((begun, at))
            begun = None
    if begun is not None:
        found.append((begun, None))
    return found


def _end(person: Person, stay: Stayed) -> datetime | None:
    if stay.left is not None:
        return stay.left
    ends = []
    for later in person.stays:
        if later is stay or later.withdrawn or later.residence != stay.residence:
            continue
        if later.entered > stay.entered:
            ends.append(max(stay.recorded, later.entered))
        elif later.entered == stay.entered:
            if stay.residence and person.stays.index(later) > person.stays.index(stay):
                ends.append(max(stay.recorded, later.entered))
            elif not stay.residence and later.left is not None and later.division == stay.division:
                ends.append(max(stay.recorded, later.left))
    return min(ends, default=None)


def _met_stays(
    person: Person, lists: Lists, now: datetime, *, high_only: bool
) -> list[tuple[Stayed, date, date, date]]:
    """Stays in risky areas: the stay, its first and last day, the day that counts."""
    found = []
    for stay in person.stays:
        if stay.withdrawn:
            continue
        end = _end(person, stay)
        told = min(
            other.recorded
            for other in person.stays
            if not other.withdrawn
            and (other.division, other.entered, other.residence)
            == (stay.division, stay.entered, stay.residence)
        )
        for begun, ended in _times_of_risk(lists, stay.division, high_only=high_only):
            known = max(begun, told)
            if begun > now or (ended is not None and known >= ended):
                continue
            lasts = [now]
            if end is not None:
                lasts.append(end - _SECOND)
            if ended is not None:
                lasts.append(ended - _SECOND)
            last = day(min(lasts))
            if (day(known) - last).days <= 14:
                found.append((stay, day(stay.entered), last, max(last, day(known))))
    return found


def _exposures(person: Person, lists: Lists, now: datetime) -> list[tuple[str, date, str | None]]:
    found: list[tuple[str, date, str | None]] = []
    for met in person.contacts:
        if met.withdrawn or met.known is None:
            continue
        age = (day(met.known) - day(met.at)).days
        rule = {"CASE": "red-case", "CLOSE": "red-contact", "GENERAL": "yellow-contact"}[met.kind]
        if age <= (28 if met.kind == "CASE" else 14):
            found.append((rule, max(day(met.at), day(met.known)), met.division))
    found += [
        ("red-area-high", counts, stay.division)
        for stay, _, _, counts in _met_stays(person, lists, now, high_only=True)
    ]
    medium = _met_stays(person, lists, now, high_only=False)
    found += [("yellow-area-medium", counts, stay.division) for stay, _, _, counts in medium]
    found += _often_and_long(medium)
    for said in person.declarations:
        if not said.withdrawn:
            found += [(rule, day(said.at), None) for rule in _declared(said)]
    return found


def _often_and_long(
    medium: list[tuple[Stayed, date, date, date]],
) -> list[tuple[str, date, str | None]]:
    journeys: dict[int, tuple[Stayed, date, date, date]] = {}
    for stay, first, last, counts in medium:
        if not stay.residence:
            _, _, other_last, other_counts = journeys.get(id(stay), (stay, first, last, counts))
            journeys[id(stay)] = (stay, first, max(last, other_last), max(counts, other_counts))
    found: list[tuple[str, date, str | None]] = []
    for anchor, _, end, counts in journeys.values():
        inside = [
            (first, last)
            for _, first, last, _ in journeys.values()
            if end - timedelta(days=14) <= last <= end
        ]
        days = sum(
            1
            for first, last in inside
            for back in range(14)
            if first <= end - timedelta(days=back) <= last
        )
        if len(inside) >= 3:
            found.append(("red-area-often", counts, anchor.division))
        if days >= 7:
            found.append(("red-area-long", counts, anchor.division))
    return found


def _declared(said: Said) -> list[str]:
    rules = []
    if said.contact == "YES":
        rules.append("red-answer-contact")
    if said.contact == "UNSURE":
        rules.append("yellow-answer-contact")
    if said.overseas == "YES":
        rules.append("red-answer-overseas")
    if said.overseas == "UNSURE":
        rules.append("yellow-answer-overseas")
    if said.risk_area in {"YES", "UNSURE"}:
        rules.append("yellow-answer-area")
    if said.temperature >= 373:
        rules.append("yellow-fever")
    if said.symptoms & {"COLD", "BREATH"}:
        rules.append("yellow-symptoms")
    if said.symptoms & {"DIGESTION", "CHEST", "EYES", "OTHER"}:
        rules.append("yellow-symptoms-other")
    return rules


def _missing(person: Person, since: date, needed: int, now: datetime) -> int:
    """Check-ins missing after a day; zero: released."""
    today = day(now)
    days: dict[date, bool] = {}
    for said in person.declarations:
        if not said.withdrawn:
            days[day(said.at)] = days.get(day(said.at), True) and said.normal
    streak = 0
    current = since + timedelta(days=1)
    while current <= today:
        if days.get(current, False):
            streak += 1
            if streak >= needed:
                return 0
        elif current != today or current in days:
            # Today's check-in may still come.
            streak = 0
        current += timedelta(days=1)
    return needed - streak


def assess(
    person: Person, lists: Lists, now: datetime
) -> tuple[str, str, tuple[int, int] | None, str | None]:
    """Level, rule, days done and needed, and area."""
    imposed = []
    for rule, since, area in _exposures(person, lists, now):
        place = [name for name, _, _ in RULES].index(rule)
        _, level, needed = RULES[place]
        missing = _missing(person, since, needed, now)
        if missing:
            imposed.append((level == "RED", missing, -place, area or ""))
    if not imposed:
        return ("GREEN", "green", None, None)
    _, missing, place, area = max(imposed)
    rule, level, needed = RULES[-place]
    return (level, rule, (needed - missing, needed), area or None)
