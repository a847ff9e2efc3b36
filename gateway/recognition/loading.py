"""Reads a policy document: YAML or JSON bytes, or the value itself from the feed.

A document looks like this (see also the policies shipped in ``policies/``)::

    id: 440100@2020-04              # the region, @, a version
    region: "440100"                # six digits, quoted
    name: {zh: 互认政策, en: Recognition policy}
    valid_from: 2020-04-08          # date or time with offset
    valid_until: 2020-05-08         # exclusive; leave out: until replaced
    # next: {id: …, valid_from: …}  # the whole policy that follows, announced before it begins
    ages: {trust_hours: 24, policy_hours: 72, source_hours: 36}   # each 1 to 744
    freshness:                      # may be left out, as any part of it; increasing hours
      trust: {warn_hours: 6, refer_hours: 24, refuse_hours: 168}    # also policy, status
    replay: {minutes: 30, verdict: refer}       # 1 to 1440; warn, refer or refuse
    rules:                          # 1 to 200; the first that matches decides
      - id: green-zhejiang          # unique; lower case, digits, hyphens
        when:                       # every condition given must hold; {}: anything
          origin: ["33"]            # divisions of 2, 4 or 6 digits, quoted
          level: [GREEN]            # at most one of level, outcome and refusal;
          # outcome: [NOT_FOUND]    # refusal codes, or ANY. What follows needs a report:
          scheme: [hz-jkm]          # a family, or a dated version hz-jkm@2020-02
          state: [绿码]              # raw local states
          basis: [CONTACT]          # at least one of them
          area: ["42"]              # divisions the level rests on
          max_age_hours: 36         # since the assessment, inclusive
          disagreement: false       # whether the person's reports differ in level
          itinerary: {starred: true}        # of a travel card shown beside the code; also
          #          {visited: ["31"]}      # a place of it, or {shown: false}: none was
          withheld: false           # whether the holder shows a part of the code only; with
          # true, an age that is not disclosed counts from the issue of the attestation
        verdict: ADMIT              # or ADMIT_WITH_CONDITIONS, OBSERVE_HOME,
                                    # OBSERVE_CENTRAL, REFER, REFUSE
        # days: 7                   # with OBSERVE_…, 1 to 28
        # conditions: [{zh: …, en: …}]            # with ADMIT_WITH_CONDITIONS
        reason: {code: OWN_CODE, zh: …, en: …}    # may be left out
        source: where the rule is taken from      # this, or
        choice: what in it is chosen              # this, or both

Every problem is gathered and named with its line; a policy with any problem
does not load. Beyond what :mod:`gateway.recognition.rules` holds to be safe, a
rule that can never be reached is a problem (:mod:`.reachability`).

A bare date is 00:00 in Asia/Shanghai, China's one zone; a time needs an offset.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from gateway.codes.divisions import DivisionError, division_prefix, parse_division
from gateway.codes.document_reader import Cursor
from gateway.codes.levels import Basis, Level, Outcome
from gateway.codes.yamldoc import Problem, YamlDocument, YamlError, parse_yaml
from gateway.recognition.freshness import (
    MAX_REPLAY_MINUTES,
    STEP_NAMES,
    SUBJECTS,
    Freshness,
    Replay,
    ReplayVerdict,
    Steps,
)
from gateway.recognition.itinerary_match import ItineraryMatch
from gateway.recognition.policy import (
    MAX_AGE_HOURS,
    MAX_RULES,
    POLICY_ID,
    AgeLimits,
    Policy,
    following_faults,
)
from gateway.recognition.reachability import unreachable_rules
from gateway.recognition.reasons import MAX_WORDS, REFUSAL_CODES, Reason, ReasonError, Words
from gateway.recognition.rules import (
    ANY_REFUSAL,
    RULE_ID,
    RULE_ID_FIX,
    Match,
    PolicyError,
    Rule,
    Verdict,
    rule_faults,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_POLICY_BYTES: Final = 128 * 1024
"""Largest policy: room for 200 rules in two languages. Our choice."""

_SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
_CODE_PATTERN: Final = r"[A-Z][A-Z0-9_]{1,47}"
_DIVISION_PATTERN: Final = r"[0-9]{2}([0-9]{2}){0,2}"
_SCHEME_PATTERN: Final = r"[a-z][a-z0-9-]{1,31}(@[0-9a-z][0-9a-z.-]{0,31})?"
_MAX_HOURS: Final = 366 * 24


def load_policy(data: bytes | Mapping[str, Any]) -> Policy:
    """Read a policy document.

    Args:
        data: the bytes of a file, or a value as ``Policy.to_document`` gives it.

    Raises:
        PolicyError: with every problem, each with line, path, message and fix.
    """
    if isinstance(data, bytes):
        try:
            document = parse_yaml(data, max_bytes=MAX_POLICY_BYTES)
        except YamlError as error:
            raise PolicyError([error.problem]) from None
    else:
        document = YamlDocument(dict(data))
    problems: list[Problem] = []
    policy = _read(Cursor(document, (), problems), problems)
    if policy is None or problems:
        raise PolicyError(sorted(problems, key=lambda problem: problem.line))
    return policy


def shipped_regions() -> tuple[str, ...]:
    """The regions whose policies come with this package, in order."""
    folder = resources.files(__package__).joinpath("policies")
    return tuple(
        sorted(
            entry.name.removesuffix(".yaml")
            for entry in folder.iterdir()
            if entry.name.endswith(".yaml")
        )
    )


@cache
def shipped_policy(region: str) -> Policy:
    """The policy that comes with this package for a region, read once.

    Raises:
        PolicyError: there is none.
    """
    if region not in shipped_regions():
        raise PolicyError(
            [Problem(0, "region", "no policy is shipped for it", "write one and load it")]
        )
    folder = resources.files(__package__).joinpath("policies")
    return load_policy(folder.joinpath(f"{region}.yaml").read_bytes())


def _read(top: Cursor, problems: list[Problem], *, is_next: bool = False) -> Policy | None:
    policy_id = top.text("id", pattern=POLICY_ID.pattern, what="an id such as 440100@2020-04")
    region = top.text("region", pattern=r"[0-9]{6}", what="a division of six digits")
    if region is not None:
        region = _known_division(top, region, "region")
    if policy_id is not None and region is not None and not policy_id.startswith(region):
        top.note("does not begin with the region", f"write {region}@ and a version", "id")
    name = _words(top.member("name", required=True))
    valid_from = top.moment("valid_from", required=True, date_in=_SHANGHAI)
    valid_until = top.moment("valid_until", date_in=_SHANGHAI)
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        top.note("is not after valid_from", "write a later moment", "valid_until")
    ages = _ages(top)
    freshness = _freshness(top, ages)
    replay = _replay(top.member("replay"))
    rules = _rules(top, problems)
    # One step ahead: what follows the next one is not announced yet.
    cursor = None if is_next else top.member("next")
    following = None if cursor is None else _read(cursor, problems, is_next=True)
    top.done()
    if following is not None and cursor is not None and valid_from is not None:
        for path, message, fix in following_faults(
            following, policy_id, region, valid_from, valid_until
        ):
            cursor.note(message, fix, path)
    if problems or policy_id is None or region is None or name is None:
        return None
    if valid_from is None or ages is None or (problems and following is not None):
        return None
    return Policy(
        policy_id,
        region,
        name,
        valid_from,
        valid_until,
        ages,
        rules,
        freshness,
        replay,
        following,
    )


def _ages(top: Cursor) -> AgeLimits | None:
    cursor = top.member("ages", required=True)
    if cursor is None:
        return None
    trust, policy, source = (
        cursor.integer(name, 1, MAX_AGE_HOURS, required=True)
        for name in ("trust_hours", "policy_hours", "source_hours")
    )
    cursor.done()
    if trust is None or policy is None or source is None:
        return None
    return AgeLimits(trust, policy, source)


def _freshness(top: Cursor, ages: AgeLimits | None) -> Freshness | None:
    cursor = top.member("freshness")
    if cursor is None:
        return None
    steps: dict[str, Steps | None] = {}
    for subject in SUBJECTS:
        inner = cursor.member(subject)
        steps[subject] = None
        if inner is not None:
            steps[subject] = Steps(*(inner.integer(name, 1, MAX_AGE_HOURS) for name in STEP_NAMES))
            inner.done()
    cursor.done()
    freshness = Freshness(**steps)
    if ages is not None:
        for path, message, fix in freshness.faults(ages, MAX_AGE_HOURS):
            top.note(message, fix, *path)
    return freshness


def _replay(cursor: Cursor | None) -> Replay | None:
    if cursor is None:
        return None
    minutes = cursor.integer("minutes", 1, MAX_REPLAY_MINUTES, required=True)
    verdict = cursor.choice("verdict", ReplayVerdict)
    cursor.done()
    return None if minutes is None or verdict is None else Replay(minutes, verdict)


def _rules(top: Cursor, problems: list[Problem]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    cursors: list[Cursor] = []
    seen: set[str] = set()
    for cursor in top.items("rules", low=1, high=MAX_RULES):
        rule = _rule(cursor, problems)
        if rule is None:
            continue
        if rule.id in seen:
            cursor.note("another rule has this id", "rename one of the two", "id")
        seen.add(rule.id)
        rules.append(rule)
        cursors.append(cursor)
    for place, earlier in unreachable_rules(rules):
        why = "matches nothing" if earlier is None else f"{earlier} always matches before it"
        cursors[place].note(f"can never be reached: {why}", "move it up, or remove it", "id")
    return tuple(rules)


def _rule(cursor: Cursor, problems: list[Problem]) -> Rule | None:
    already = len(problems)
    rule_id = cursor.text("id", pattern=RULE_ID.pattern, what="a rule id: " + RULE_ID_FIX)
    match = _match(cursor)
    verdict = cursor.choice("verdict", Verdict)
    days = cursor.integer("days", 1, _MAX_HOURS)
    conditions = _conditions(cursor)
    reason = _reason(cursor.member("reason"))
    source = cursor.text("source", required=False)
    choice = cursor.text("choice", required=False)
    if not cursor.has("source") and not cursor.has("choice"):
        cursor.note(
            "does not say where it comes from", "add `source: …`, or `choice: …` if it is chosen"
        )
    cursor.done()
    if len(problems) > already or rule_id is None or match is None or verdict is None:
        return None
    faults = tuple(rule_faults(match, verdict, days, conditions))
    for path, message, fix in faults:
        cursor.note(message, fix, *path)
    if faults:
        return None
    return Rule(rule_id, match, verdict, days, conditions, reason, source, choice)


def _match(rule: Cursor) -> Match | None:
    cursor = rule.member("when", required=True)
    if cursor is None:
        return None
    levels = _given(cursor, "level", cursor.choices("level", Level))
    outcomes = _given(cursor, "outcome", cursor.choices("outcome", Outcome))
    refusals = _given(cursor, "refusal", cursor.texts("refusal", pattern=_CODE_PATTERN))
    if refusals is not None and not refusals - {ANY_REFUSAL} <= REFUSAL_CODES:
        cursor.note("holds a code that does not exist", "correct it, or write ANY", "refusal")
    match = Match(
        levels=levels,
        outcomes=outcomes,
        refusals=refusals,
        origins=_prefixes(cursor, "origin"),
        schemes=_given(
            cursor,
            "scheme",
            cursor.texts("scheme", pattern=_SCHEME_PATTERN, what="a scheme such as hz-jkm"),
        ),
        states=_given(cursor, "state", cursor.texts("state", max_length=64)),
        bases=_given(cursor, "basis", cursor.choices("basis", Basis)),
        areas=_prefixes(cursor, "area"),
        max_age_hours=cursor.integer("max_age_hours", 1, _MAX_HOURS),
        disagreement=_boolean(cursor, "disagreement"),
        itinerary=_itinerary(cursor.member("itinerary")),
        withheld=_boolean(cursor, "withheld"),
    )
    cursor.done()
    return match


def _itinerary(cursor: Cursor | None) -> ItineraryMatch | None:
    if cursor is None:
        return None
    match = ItineraryMatch(
        shown=_boolean(cursor, "shown"),
        starred=_boolean(cursor, "starred"),
        visited=_prefixes(cursor, "visited"),
    )
    cursor.done()
    return match


def _given(cursor: Cursor, name: str, values: tuple[Any, ...]) -> Any:
    """None where the member is absent; an empty set where nothing in it was usable."""
    return frozenset(values) if cursor.has(name) else None


def _prefixes(cursor: Cursor, name: str) -> frozenset[str] | None:
    texts = cursor.texts(name, pattern=_DIVISION_PATTERN, what="two, four or six digits, quoted")
    if not cursor.has(name):
        return None
    codes = (_known_division(cursor, text, name) for text in texts)
    return frozenset(division_prefix(code) for code in codes if code is not None)


def _known_division(cursor: Cursor, text: str, name: str) -> str | None:
    try:
        return parse_division(text)
    except DivisionError:
        cursor.note("is no known division", "correct the digits", name)
        return None


def _boolean(cursor: Cursor, name: str) -> bool | None:
    value = cursor.raw(name, required=False)
    if value is None or isinstance(value, bool):
        return value
    cursor.note("is neither true nor false", "write true or false", name)
    return None


def _conditions(cursor: Cursor) -> tuple[Words, ...]:
    if not cursor.has("conditions"):
        cursor.raw("conditions", required=False)
        return ()
    found = (_words(item) for item in cursor.items("conditions", low=1, high=8))
    return tuple(words for words in found if words is not None)


def _words(cursor: Cursor | None) -> Words | None:
    if cursor is None:
        return None
    zh = cursor.text("zh", max_length=MAX_WORDS)
    en = cursor.text("en", max_length=MAX_WORDS)
    cursor.done()
    if zh is None or en is None:
        return None
    try:
        return Words(zh, en)
    except ReasonError:
        cursor.note("holds unprintable or blank text", "write words in both languages")
        return None


def _reason(cursor: Cursor | None) -> Reason | None:
    if cursor is None:
        return None
    code = cursor.text("code", pattern=_CODE_PATTERN, what="a code such as GREEN_IS_FRESH")
    words = _words(cursor)
    return None if code is None or words is None else Reason(code, words.zh, words.en)
