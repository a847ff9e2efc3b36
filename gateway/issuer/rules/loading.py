"""Reads a rule file.

One file is one dated version::

    hutong: rule/1
    id: native-2020-02
    name: {zh: …, en: …}
    explanation: {zh: …, en: …}       # how it works, for everybody
    valid_from: 2020-02-11            # a date: 00:00 in Asia/Shanghai, the zone of its days
    declaration: {valid_days: 14}     # a declaration past it is an outcome, no level
    check_in: {temperature_below: 373}  # tenths of a degree; and no symptoms
    sources: {K1: {grade: K, text: …}}
    choices: [{what: …, why: …}]
    rules:                            # the most severe first, numbers rising
      - id: red-contact
        number: 20                    # unique over all versions, for ever
        level: RED                    # or YELLOW
        when:                         # exactly one of:
          contact: {kinds: [CLOSE], within_days: 14}
          # stay: {risk: HIGH, within_days: 14, of: [JOURNEY, RESIDENCE],
          #        stays_at_least: 1, days_at_least: 1}
          # temperature: {at_least: 373}
          # symptoms: {any_of: [COLD, BREATH]}
          # answer: {question: contact, is: [YES, UNSURE]}
        basis: [CONTACT]
        release_days: 14              # 1 to 28
        reason: {zh: …, en: …}
        evidence: [K1]                # this, or
        choice: …                     # this, or both
    otherwise: {id: green, number: 99, reason: {zh: …, en: …}, evidence: […]}

Every problem of a file is gathered and named with its line.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from gateway.codes import Choice, Level, Source, TriState, YamlError, parse_yaml
from gateway.codes.document_reader import Cursor
from gateway.codes.levels import Basis
from gateway.issuer.days import EARLIEST, ZONE
from gateway.issuer.errors import RuleError
from gateway.issuer.rules.model import (
    AnswerWhen,
    ContactWhen,
    Rule,
    RuleBook,
    RuleVersion,
    StayWhen,
    SymptomsWhen,
    TemperatureWhen,
)
from gateway.issuer.values import LEVEL_NUMBERS, AreaRisk, ContactKind, StayKind, Symptom

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.codes import Problem
    from gateway.issuer.rules.model import Condition

MAX_RULE_BYTES: Final = 64 * 1024
"""Room for a hundred rules in two languages; our choice."""

NOTABLE_FROM_DECICELSIUS: Final = 370
"""A lower declared temperature is not looked at by any rule, so that the tables need not
be read for it. 37.0 °C is normal by every count; a rule may not reach below it."""

MAX_WINDOW_DAYS: Final = 60
MAX_RELEASE_DAYS: Final = 28
"""Twice the fourteen days of 2020; our choice, against slips of the keyboard."""

QUESTIONS: Final = ("contact", "risk_area", "overseas")
"""The three questions of ``gateway.codes.Declarations``."""

_ID: Final = r"[a-z][a-z0-9-]{1,30}"
_MAX_NUMBER: Final = 999
_MAX_REASON: Final = 256  # HealthState.reason_zh


def load_version(data: bytes) -> RuleVersion:
    """Read one file.

    Raises:
        RuleError: with every problem, each with its line.
    """
    try:
        document = parse_yaml(data, max_bytes=MAX_RULE_BYTES)
    except YamlError as error:
        raise RuleError([error.problem]) from None
    problems: list[Problem] = []
    version = _Reading(Cursor(document, (), problems)).version()
    if problems or version is None:
        raise RuleError(sorted(problems, key=lambda problem: problem.line))
    return version


def shipped_rules() -> RuleBook:
    """Every version that comes with this package."""
    folder = resources.files(__package__)
    return RuleBook(
        [
            load_version(entry.read_bytes())
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
            if entry.name.endswith(".yaml")
        ]
    )


class _Reading:
    """One reading of one document."""

    def __init__(self, root: Cursor) -> None:
        self._root = root
        self._sources: tuple[Source, ...] = ()

    def version(self) -> RuleVersion | None:
        root = self._root
        if root.raw("hutong") != "rule/1":
            root.note("is not a rule of this format", "begin with `hutong: rule/1`", "hutong")
        version_id = root.text("id", pattern=_ID, what="a short name such as native-2020-02")
        name = _both(root, "name")
        explanation = _both(root, "explanation")
        valid_from = root.moment("valid_from", required=True, date_in=ZoneInfo(ZONE))
        if valid_from is not None and valid_from < EARLIEST:
            root.note("lies before 1992", "days are counted at UTC+8 from then on", "valid_from")
        declaration = root.member("declaration", required=True)
        days = declaration.integer("valid_days", 1, 366, required=True) if declaration else None
        check_in = root.member("check_in", required=True)
        normal = (
            check_in.integer("temperature_below", NOTABLE_FROM_DECICELSIUS, 430, required=True)
            if check_in
            else None
        )
        self._read_sources()
        choices = self._choices()
        rules = tuple(filter(None, (self._rule(cursor) for cursor in root.items("rules", low=1))))
        self._check_order(rules)
        otherwise = root.member("otherwise", required=True)
        green = self._otherwise(otherwise) if otherwise else None
        for inner in (declaration, check_in, otherwise):
            if inner is not None:
                inner.done()
        root.done()
        if version_id is None or valid_from is None or days is None or normal is None:
            return None
        if green is None:
            return None
        if green.number <= max((rule.number for rule in rules), default=0):
            root.note("must have the highest number", "renumber it", "otherwise", "number")
        return RuleVersion(
            id=version_id,
            name_zh=name[0],
            name_en=name[1],
            explanation_zh=explanation[0],
            explanation_en=explanation[1],
            valid_from=valid_from,
            declaration_days=days,
            normal_below_decicelsius=normal,
            rules=rules,
            green=green,
            sources=self._sources,
            choices=choices,
        )

    def _read_sources(self) -> None:
        inner = self._root.member("sources")
        found: list[Source] = []
        for key, cursor in inner.members() if inner else ():
            grade = cursor.text("grade", pattern="[ABCKSO]", what="a grade: A, B, C, K, S or O")
            text = cursor.text("text")
            cursor.done()
            found.append(Source(key, grade or "", text or ""))
        self._sources = tuple(found)

    def _choices(self) -> tuple[Choice, ...]:
        found: list[Choice] = []
        for cursor in self._root.items("choices"):
            what, why = cursor.text("what"), cursor.text("why")
            cursor.done()
            found.append(Choice(what or "", why or ""))
        return tuple(found)

    def _ground(self, cursor: Cursor) -> tuple[tuple[str, ...], str]:
        evidence = cursor.texts("evidence")
        known = {source.key for source in self._sources}
        for key in evidence:
            if key not in known:
                cursor.note(f"names `{key}`, which is no source", "add it to `sources`", "evidence")
        choice = cursor.text("choice", required=False)
        if not evidence and choice is None:
            cursor.note("rests on nothing", "name its evidence, or say what is chosen and why")
        return evidence, choice or ""

    def _rule(self, cursor: Cursor) -> Rule | None:
        rule_id = cursor.text("id", pattern=_ID, what="a short name such as red-contact")
        number = cursor.integer("number", 1, _MAX_NUMBER, required=True)
        level = cursor.choice("level", Level)
        if level is not None and level not in {Level.RED, Level.YELLOW}:
            cursor.note("is neither RED nor YELLOW", "green is `otherwise`", "level")
        when = cursor.member("when", required=True)
        condition = _condition(when) if when else None
        basis = frozenset(cursor.choices("basis", Basis))
        if not basis:
            cursor.note("names no basis", "add `basis: […]`", "basis")
        release = cursor.integer("release_days", 1, MAX_RELEASE_DAYS, required=True)
        reason = _both(cursor, "reason", _MAX_REASON)
        evidence, choice = self._ground(cursor)
        cursor.done()
        if rule_id is None or number is None or level is None or condition is None:
            return None
        if release is None:
            return None
        return Rule(rule_id, number, level, condition, basis, release, *reason, evidence, choice)

    def _otherwise(self, cursor: Cursor) -> Rule | None:
        rule_id = cursor.text("id", pattern=_ID, what="a short name such as green")
        number = cursor.integer("number", 1, _MAX_NUMBER, required=True)
        reason = _both(cursor, "reason", _MAX_REASON)
        evidence, choice = self._ground(cursor)
        if rule_id is None or number is None:
            return None
        return Rule(rule_id, number, Level.GREEN, None, frozenset(), 0, *reason, evidence, choice)

    def _check_order(self, rules: tuple[Rule, ...]) -> None:
        if len({rule.id for rule in rules}) < len(rules):
            self._root.note("two rules share an id", "rename one", "rules")
        numbers = [rule.number for rule in rules]
        if numbers != sorted(set(numbers)):
            self._root.note("the numbers do not rise", "number them in their order", "rules")
        severities = [LEVEL_NUMBERS[rule.level] for rule in rules if rule.level in LEVEL_NUMBERS]
        if severities != sorted(severities, reverse=True):
            self._root.note("a less severe rule stands first", "put the red ones first", "rules")


def _both(cursor: Cursor, name: str, max_length: int = 1024) -> tuple[str, str]:
    inner = cursor.member(name, required=True)
    if inner is None:
        return "", ""
    zh = inner.text("zh", max_length=max_length)
    en = inner.text("en", max_length=max_length)
    inner.done()
    return zh or "", en or ""


def _condition(cursor: Cursor) -> Condition | None:
    names = cursor.names()
    if len(names) != 1 or names[0] not in _VERBS:
        cursor.note("needs exactly one condition", f"use one of {', '.join(_VERBS)}")
        return None
    inner = cursor.member(names[0])
    if inner is None:
        return None
    condition = _VERBS[names[0]](inner)
    inner.done()
    return condition


def _contact(cursor: Cursor) -> Condition | None:
    kinds = frozenset(cursor.choices("kinds", ContactKind))
    window = cursor.integer("within_days", 0, MAX_WINDOW_DAYS, required=True)
    if not kinds:
        cursor.note("names no kind", "add `kinds: […]`", "kinds")
    return None if window is None else ContactWhen(kinds, window)


def _stay(cursor: Cursor) -> Condition | None:
    risk = cursor.choice("risk", AreaRisk)
    if risk is AreaRisk.LOW:
        cursor.note("is LOW, which every place is", "write MEDIUM or HIGH", "risk")
    window = cursor.integer("within_days", 0, MAX_WINDOW_DAYS, required=True)
    of = frozenset(cursor.choices("of", StayKind) if cursor.has("of") else StayKind)
    stays = cursor.integer("stays_at_least", 1, 64)
    days = cursor.integer("days_at_least", 1, MAX_WINDOW_DAYS)
    if risk is None or window is None:
        return None
    return StayWhen(risk, window, of, stays or 1, days or 1)


def _temperature(cursor: Cursor) -> Condition | None:
    least = cursor.integer("at_least", NOTABLE_FROM_DECICELSIUS, 430, required=True)
    return None if least is None else TemperatureWhen(least)


def _symptoms(cursor: Cursor) -> Condition | None:
    any_of = frozenset(cursor.choices("any_of", Symptom))
    if not any_of or Symptom.NONE in any_of:
        cursor.note("needs symptoms, and NONE is none", "correct the list", "any_of")
    return SymptomsWhen(any_of)


def _answer(cursor: Cursor) -> Condition | None:
    question = cursor.text("question", pattern="|".join(QUESTIONS), what="one of the questions")
    is_one_of = frozenset(cursor.choices("is", TriState))
    if not is_one_of or is_one_of - {TriState.YES, TriState.UNSURE}:
        cursor.note("may hold YES and UNSURE only", "correct the list", "is")
    return None if question is None else AnswerWhen(question, is_one_of)


_VERBS: Final[dict[str, Callable[[Cursor], Condition | None]]] = {
    "contact": _contact,
    "stay": _stay,
    "temperature": _temperature,
    "symptoms": _symptoms,
    "answer": _answer,
}
