"""Reads the dated versions of a scheme, noting every problem at its line.

The format, with every member, stands in :mod:`gateway.codes.schemes`; the rest of
the document is read by :mod:`gateway.codes.scheme_loader`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.codes.levels import RESTRICTIVENESS, Basis, Level, Outcome
from gateway.codes.qr_pattern import QrPattern, QrPatternError
from gateway.codes.scheme_model import (
    DEFAULT_CARRIED_SECONDS,
    DEFAULT_LEEWAY_SECONDS,
    Choice,
    Clocks,
    ClockStart,
    Foreign,
    ImportRule,
    Life,
    Loss,
    ReasonHint,
    SchemeVersion,
    Several,
    StateRule,
)

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from gateway.codes.document_reader import Cursor
    from gateway.codes.scheme_model import Source
    from gateway.codes.yamldoc import Path

DIVISION: Final = r"[1-9][0-9]{5}"
PREFIX: Final = r"[1-9][0-9](?:[0-9]{2}){0,2}"

_VERSION: Final = r"[0-9a-z][0-9a-z.-]{0,31}"
_SCHEME: Final = r"[a-z][a-z0-9-]{1,31}(?:@[0-9a-z][0-9a-z.-]{0,31})?"
_MAX_STATE: Final = 64  # UnifiedCode.state
_DAY_SECONDS: Final = 86400
_YEAR_SECONDS: Final = 366 * _DAY_SECONDS


def both(cursor: Cursor, name: str) -> tuple[str, str]:
    """Read a member that stands in both languages; empty texts where it does not."""
    inner = cursor.member(name, required=True)
    return ("", "") if inner is None else _zh_en(inner)


class VersionReader:
    """One reading of the versions of one document.

    Args:
        family: short name of the scheme.
        zone: where its days begin and end.
        prefixes: whom it serves.
        sources: what its evidence may name.

    Attributes:
        places: where in the document each dated scheme stands.
    """

    def __init__(
        self, family: str, zone: ZoneInfo, prefixes: tuple[str, ...], sources: tuple[Source, ...]
    ) -> None:
        self._family = family
        self._zone = zone
        self._prefixes = prefixes
        self._sources = sources
        self.places: dict[str, Path] = {}

    def _evidence(self, cursor: Cursor) -> tuple[str, ...]:
        known = {source.key for source in self._sources}
        keys = cursor.texts("evidence")
        for key in keys:
            if key not in known:
                cursor.note(f"names `{key}`, which is no source", "add it to `sources`", "evidence")
        return keys

    def versions(self, root: Cursor) -> list[SchemeVersion]:
        """Return every version that could be read, in the order of the document."""
        found: list[SchemeVersion] = []
        for cursor in root.items("versions", low=1, high=64):
            name = cursor.text("id", pattern=_VERSION, what='a version such as "2020-02"')
            start = cursor.moment("valid_from", required=True, date_in=self._zone)
            end = cursor.moment("valid_until", date_in=self._zone)
            if start is not None and end is not None and end <= start:
                cursor.note("does not lie after valid_from", "correct one", "valid_until")
            version_id = f"{self._family}@{name}"
            self.places.setdefault(version_id, cursor.path)
            if any(version.id == version_id for version in found):
                cursor.note("is the id of another version", "choose another", "id")
            states = self._states(cursor)
            clocks = self._clocks(cursor)
            patterns = self._patterns(cursor)
            reasons = self._reasons(cursor)
            scopes = frozenset(cursor.texts("scopes", low=1)) if cursor.has("scopes") else None
            several = cursor.choice("several", Several, required=False) or Several.REPORT_ALL
            choices = self._choices(cursor)
            lost = self._lost(cursor)
            foreign = cursor.choice("foreign", Foreign, required=False)
            import_rule = self._import(cursor, states)
            evidence = self._evidence(cursor)
            cursor.done()
            if start is not None:
                found.append(
                    SchemeVersion(
                        id=version_id,
                        valid_from=start,
                        valid_until=end,
                        states=states,
                        clocks=clocks,
                        qr_patterns=patterns,
                        reasons=reasons,
                        scopes=scopes,
                        several=several,
                        choices=choices,
                        evidence=evidence,
                        lost=lost,
                        foreign=foreign,
                        import_rule=import_rule,
                    )
                )
        return found

    def _states(self, version: Cursor) -> dict[str, StateRule]:
        rules: dict[str, StateRule] = {}
        states = version.member("states", required=True)
        for state, cursor in states.members() if states else ():
            if not 1 <= len(state) <= _MAX_STATE:
                cursor.note(f"a state has 1 to {_MAX_STATE} characters", "shorten it")
            level = cursor.choice("level", Level, required=False)
            outcome = cursor.choice("outcome", Outcome, required=False)
            if cursor.has("level") == cursor.has("outcome"):
                cursor.note("needs a level or an outcome", "write exactly one of the two")
            zh, en = both(cursor, "meaning")
            release = cursor.member("release")
            days, release_zh, release_en = None, None, None
            if release is not None:
                days = release.integer("days", 1, 366)
                release_zh = release.text("zh", required=False)
                release_en = release.text("en", required=False)
                release.done()
            rules[state] = StateRule(
                state=state,
                level=level,
                outcome=outcome,
                basis=frozenset(cursor.choices("basis", Basis)),
                meaning_zh=zh,
                meaning_en=en,
                release_days_needed=days,
                release_zh=release_zh or "",
                release_en=release_en or "",
                evidence=self._evidence(cursor),
            )
            cursor.done()
        if states is not None and not rules:
            version.note("maps no state", "add the states the platform writes", "states")
        for state in version.texts("states_seen", low=1, max_length=_MAX_STATE):
            if state not in rules:
                version.note(
                    f"the state `{state}` is not mapped", f"add `{state}:` to `states`", "states"
                )
        return rules

    def _clocks(self, version: Cursor) -> Clocks:
        cursor = version.member("clocks")
        if cursor is None:
            return Clocks()
        leeway = cursor.integer("future_leeway_seconds", 0, 600)
        carried = cursor.integer("carried_max_seconds", 60, 86400)
        clocks = Clocks(
            code=self._life(cursor, "code"),
            declaration=self._life(cursor, "declaration"),
            source_max_age_seconds=cursor.integer("source_max_age_seconds", 1, _YEAR_SECONDS),
            future_leeway_seconds=DEFAULT_LEEWAY_SECONDS if leeway is None else leeway,
            carried_max_seconds=DEFAULT_CARRIED_SECONDS if carried is None else carried,
            required=frozenset(cursor.choices("required", ClockStart)),
        )
        cursor.done()
        return clocks

    def _life(self, clocks: Cursor, name: str) -> Life | None:
        cursor = clocks.member(name)
        if cursor is None:
            return None
        start = cursor.choice("from", ClockStart)
        seconds = cursor.integer("life_seconds", 1, _YEAR_SECONDS)
        whole = cursor.text("life", required=False, pattern="end_of_day", what="end_of_day")
        if cursor.has("life_seconds") == cursor.has("life"):
            cursor.note("needs a life", "write life_seconds: N, or life: end_of_day")
        cursor.done()
        if start is None or (seconds is None and whole is None):
            return None
        return Life(start, seconds)

    def _patterns(self, version: Cursor) -> tuple[QrPattern, ...]:
        found: list[QrPattern] = []
        for cursor in version.items("qr", high=16):
            text = cursor.text("pattern", max_length=512)
            region = cursor.text("region", pattern=DIVISION, what="a six-digit division")
            kind = cursor.text(
                "presentation", pattern="qr_text|document", what="qr_text or document"
            )
            document_type = cursor.integer("document_type", 1, 99, required=kind == "document")
            examples = cursor.texts("examples", low=1, max_length=2048)
            counterexamples = cursor.texts("counterexamples", max_length=2048)
            cursor.done()
            if region is not None and not region.startswith(self._prefixes):
                cursor.note("lies outside the scheme's prefixes", "correct one", "region")
            if kind == "document" and text is not None and "(?P<number>" not in text:
                cursor.note("has no group `number`", "mark it: (?P<number>…)", "pattern")
            if text is None or region is None or kind is None:
                continue
            try:
                pattern = QrPattern(text, region, kind, document_type, examples, counterexamples)
            except QrPatternError as error:
                cursor.note(str(error), "see gateway.codes.qr_pattern", "pattern")
                continue
            for place, example in enumerate(examples):
                if not pattern.matches(example):
                    cursor.note("does not match", "correct pattern or example", "examples", place)
            for place, example in enumerate(counterexamples):
                if pattern.matches(example):
                    cursor.note("matches", "correct one", "counterexamples", place)
            found.append(pattern)
        return tuple(found)

    def _reasons(self, version: Cursor) -> tuple[ReasonHint, ...]:
        found: list[ReasonHint] = []
        for cursor in version.items("reasons", high=64):
            contains = cursor.text("contains", max_length=64)
            basis = frozenset(cursor.choices("basis", Basis))
            if not basis:
                cursor.note("names no basis", "add `basis: […]`")
            cursor.done()
            found.append(ReasonHint(contains or "", basis))
        return tuple(found)

    def _choices(self, version: Cursor) -> tuple[Choice, ...]:
        found: list[Choice] = []
        for cursor in version.items("choices", high=64):
            what, why = cursor.text("what"), cursor.text("why")
            cursor.done()
            found.append(Choice(what or "", why or ""))
        return tuple(found)

    def _lost(self, version: Cursor) -> tuple[Loss, ...] | None:
        if not version.has("lost"):
            return None
        if version.raw("lost", required=False) is None:
            version.note("says nothing", "write `lost: []` where nothing is lost", "lost")
        return tuple(Loss(*_zh_en(cursor)) for cursor in version.items("lost", high=64))

    def _import(self, version: Cursor, states: dict[str, StateRule]) -> ImportRule | None:
        cursor = version.member("import")
        if cursor is None:
            return None
        levels = frozenset(cursor.choices("levels", Level))
        if not levels:
            cursor.note("names no level", "add `levels: [GREEN]`")
        rule = ImportRule(
            levels=levels,
            origins=_list_or_null(cursor, "origins", PREFIX, "a prefix of 2, 4 or 6 digits"),
            schemes=_list_or_null(cursor, "schemes", _SCHEME, "a scheme such as hz-jkm"),
            max_age_seconds=cursor.integer("max_age_seconds", 1, _YEAR_SECONDS, required=True) or 0,
            negative_test_max_age_seconds=cursor.integer(
                "negative_test_max_age_seconds", 1, _YEAR_SECONDS
            ),
            answers_must_be_no=_yes_or_no(cursor, "answers_must_be_no"),
            life_seconds=cursor.integer("life_seconds", 60, 31 * _DAY_SECONDS, required=True) or 0,
            state=cursor.text("state", max_length=_MAX_STATE) or "",
            evidence=self._evidence(cursor),
        )
        given = states.get(rule.state)
        if rule.state and (given is None or given.level is None):
            cursor.note(
                f"`{rule.state}` is no state of this version that maps to a level",
                "name one of `states`",
                "state",
            )
        elif given is not None and given.level is not None:
            for level in sorted(levels):
                if RESTRICTIVENESS[level] > RESTRICTIVENESS[given.level]:
                    cursor.note(
                        f"`{rule.state}` is {given.level} and would be made of {level}",
                        "convert only levels that are not more restrictive than the state",
                        "levels",
                    )
        cursor.done()
        return rule


def _zh_en(cursor: Cursor) -> tuple[str, str]:
    zh, en = cursor.text("zh"), cursor.text("en")
    cursor.done()
    return zh or "", en or ""


def _list_or_null(cursor: Cursor, name: str, pattern: str, what: str) -> tuple[str, ...] | None:
    """Read a list whose absence has to be written down as null."""
    if not cursor.has(name):
        cursor.note(f"`{name}` is missing", f"add `{name}: null` for any, or a list")
    if cursor.raw(name, required=False) is None:
        return None
    return cursor.texts(name, low=1, pattern=pattern, what=what)


def _yes_or_no(cursor: Cursor, name: str) -> bool:
    value = cursor.raw(name, required=True)
    if value is not None and not isinstance(value, bool):
        cursor.note("is neither true nor false", "write true or false", name)
    return value is True
