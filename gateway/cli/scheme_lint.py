"""Everything wrong with a scheme, and everything that a careful reader would ask about.

An *error* keeps the scheme from loading. A *warning* does not: the scheme translates,
but somebody who has to rely on it would want to know more, or one of its parts does
nothing. Each has a file, a line and a fix.
"""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.city import SCHEME_FILE, VECTORS_FILE, read_files
from adapters.sdk.connectors import read_connector
from gateway.cli.scheme_files import described, read_scheme_folder
from gateway.codes.levels import Level, Outcome
from gateway.codes.scheme_loader import MAX_SCHEME_BYTES
from gateway.codes.scheme_model import ClockStart, SchemeError
from gateway.codes.yamldoc import YamlError, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import SchemeVersion, StateRule, Vector
    from gateway.codes.yamldoc import Problem, YamlDocument

_MAX_LINE: Final = 140
"""Our choice: what two windows side by side show without scrolling."""
_MAX_MEANING_ZH: Final = 80
_MAX_MEANING_EN: Final = 160
"""Our choice: two lines at a gate's terminal of 80 columns, in either language."""
_UNKNOWN_WORDS: Final = ("未知", "unknown", "way back", "back to green", "no source tells how")
"""How a choice says that nobody knows the way back."""


@dataclass(frozen=True, slots=True)
class Warned:
    """One thing worth a second look.

    Attributes:
        file: ``scheme.yaml`` or ``vectors.yaml``.
        line: counted from 1.
        message: what it is.
        fix: what to do about it.
    """

    file: str
    line: int
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in one folder.

    Attributes:
        folder: the folder.
        problems: what keeps it from loading.
        warnings: what does not; empty where there are problems.
        city: the scheme; None where there are problems.
    """

    folder: Path
    problems: tuple[Problem, ...]
    warnings: tuple[Warned, ...]
    city: City | None

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "folder": str(self.folder),
            "loads": self.city is not None,
            "problems": [problem_json(problem) for problem in self.problems],
            "warnings": [
                {"file": one.file, "line": one.line, "message": one.message, "fix": one.fix}
                for one in self.warnings
            ],
        }


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem, JSON-able."""
    file = described(problem)[0].rpartition(":")[0]
    return {
        "file": file,
        "line": problem.line,
        "path": problem.path.removeprefix(f"{VECTORS_FILE} "),
        "message": problem.message,
        "fix": problem.fix,
    }


def lint_folder(folder: Path) -> Linted:
    """Read a folder and note everything.

    Raises:
        AdapterConfigError: a file cannot be read.
    """
    problems: list[Problem] = []
    city: City | None = None
    try:
        city = read_scheme_folder(folder)
    except SchemeError as error:
        problems.extend(error.problems)
    with suppress(YamlError):  # the scheme's reader has said so
        problems.extend(_of_wire(parse_yaml(read_files(folder)[0], max_bytes=MAX_SCHEME_BYTES)))
    if problems or city is None:
        return Linted(folder, tuple(problems), (), None)
    found = sorted(_warnings(city), key=lambda one: (one.file, one.line))
    return Linted(folder, (), tuple(found), city)


def _of_wire(document: YamlDocument) -> Sequence[Problem]:
    """What is wrong with the connector; a scheme without one is only warned about."""
    if isinstance(document.value, dict) and "connector" not in document.value:
        return ()
    try:
        read_connector(document)
    except SchemeError as error:
        return error.problems
    return ()


def ambiguous_qr(cities: Sequence[City]) -> Iterator[tuple[City, Warned]]:
    """Note every QR example that another authority's pattern matches as well.

    A checkpoint that scans such a text has to ask the traveller where it is from.
    """
    for city in cities:
        for version in city.scheme.versions:
            for place, pattern in enumerate(version.qr_patterns):
                for other in cities:
                    if other.scheme.authority == city.scheme.authority:
                        continue
                    if any(
                        theirs.matches(example) and theirs.region != pattern.region
                        for one in other.scheme.versions
                        for theirs in one.qr_patterns
                        for example in pattern.examples
                    ):
                        yield (
                            city,
                            Warned(
                                SCHEME_FILE,
                                city.version_line(version, "qr", place),
                                f"{version.id}: an example is also a QR text of {other.name}",
                                "narrow one of the two; until then a checkpoint asks back",
                            ),
                        )


def _warnings(city: City) -> Iterator[Warned]:
    for version in city.scheme.versions:
        yield from _of_version(city, version)
        for rule in version.states.values():
            yield from _of_state(city, version, rule)
    yield from _of_vectors(city)
    yield from _of_sources(city)
    yield from _of_connector(city)
    for number, line in enumerate(city.text.splitlines(), start=1):
        # A pattern or an example is one word and cannot be folded.
        if len(line) > _MAX_LINE and max(map(len, line.split())) < _MAX_LINE // 2:
            text = f"a line of {len(line)} characters"
            yield Warned(SCHEME_FILE, number, text, f"fold it (`>-`) below {_MAX_LINE}")


def _of_version(city: City, version: SchemeVersion) -> Iterator[Warned]:
    def warn(message: str, fix: str, *path: str | int) -> Warned:
        line = city.version_line(version, *path)
        return Warned(SCHEME_FILE, line, f"{version.id}: {message}", fix)

    if not version.evidence:
        yield warn("no evidence", "name what it rests on: `evidence: [KEY]`")
    if version.lost is None:
        fix = "add `lost:` with a zh and an en for each thing that is lost, or `lost: []`"
        yield warn("does not say what is lost in translation", fix)
    elif not version.lost and _merged(version):
        states = " and ".join(_merged(version))
        fix = "say under `lost` what tells them apart"
        yield warn(f"{states} become one level, yet nothing is lost", fix, "lost")
    if not version.choices:
        fix = "add `choices:`; what no source says was chosen by somebody"
        yield warn("states no choice", fix)
    seen = set(_texts(city, version, "states_seen"))
    for state in version.states:
        if state not in seen:
            fix = "add it to states_seen, or remove the rule"
            yield warn(f"`{state}` is mapped but never seen", fix, "states", state)
    clocks = version.clocks
    ends = clocks.code is not None and clocks.code.start is not ClockStart.DECLARED_AT
    is_green = any(rule.level is Level.GREEN for rule in version.states.values())
    if is_green and clocks.source_max_age_seconds is None and not ends:
        fix = "add `source_max_age_seconds`, or a life of the code"
        yield warn("a green of any age is believed", fix, "clocks")


def _merged(version: SchemeVersion) -> list[str]:
    """States of one level that is not green, or none."""
    for level in Level:
        states = [rule.state for rule in version.states.values() if rule.level is level]
        if len(states) > 1:
            return states
    return []


def _of_state(city: City, version: SchemeVersion, rule: StateRule) -> Iterator[Warned]:
    line = city.version_line(version, "states", rule.state)

    def warn(message: str, fix: str) -> Warned:
        return Warned(SCHEME_FILE, line, f"{version.id}: `{rule.state}` {message}", fix)

    if not rule.evidence:
        yield warn("has no evidence", "name the source that tells of it: `evidence: [KEY]`")
    known = bool(rule.release_days_needed or rule.release_zh or rule.release_en)
    if rule.level not in (None, Level.GREEN):
        said = any(
            word in f"{choice.what} {choice.why}".lower()
            for choice in version.choices
            for word in _UNKNOWN_WORDS
        )
        if not known and not said:
            fix = "add `release:`, or a choice that says the way back is unknown (未知)"
            yield warn("has no way back to green", fix)
        elif known and not (rule.release_zh and rule.release_en):
            yield warn("tells its way back in one language", "add `zh` and `en` to `release`")
    elif known:
        yield warn("has a way back, yet is no restriction", "remove `release`")
    for text, limit in ((rule.meaning_zh, _MAX_MEANING_ZH), (rule.meaning_en, _MAX_MEANING_EN)):
        if len(text) > limit:
            yield warn(
                f"has a meaning of {len(text)} characters", f"say it in {limit}; a gate shows it"
            )


def _of_vectors(city: City) -> Iterator[Warned]:
    def warn(name: str, message: str, fix: str) -> Warned:
        return Warned(VECTORS_FILE, city.vector_line(name), f"vector {name} {message}", fix)

    seen: dict[datetime, list[Vector]] = {}
    for vector in city.scheme.vectors:
        version = next((one for one in city.scheme.versions if one.in_force(vector.at)), None)
        if version is None and vector.outcome is not Outcome.CANNOT_DETERMINE:
            fix = "move `at` into a version, or expect CANNOT_DETERMINE"
            yield warn(vector.name, "is asked when no version is in force", fix)
        earlier_ones = seen.setdefault(vector.at, [])
        twin = next((one for one in earlier_ones if one.reports == vector.reports), None)
        if twin is not None:
            yield warn(vector.name, f"asks what {twin.name} asks", "remove one, or change it")
        earlier_ones.append(vector)
    for earlier, later in pairwise(city.scheme.versions):
        if earlier.valid_until is not None and earlier.valid_until < later.valid_from:
            line = city.version_line(earlier, "valid_until")
            text = f"{earlier.id}: between it and {later.id} nothing is in force"
            yield Warned(SCHEME_FILE, line, text, "let one end where the next begins")


def _of_sources(city: City) -> Iterator[Warned]:
    cited = {key for version in city.scheme.versions for key in version.evidence}
    for version in city.scheme.versions:
        for rule in version.states.values():
            cited |= set(rule.evidence)
        if version.import_rule is not None:
            cited |= set(version.import_rule.evidence)
    for source in city.scheme.sources:
        if source.key not in cited and not _mentioned(city, source.key):
            line = city.line("sources", source.key)
            fix = "name it under `evidence`, or remove it"
            yield Warned(SCHEME_FILE, line, f"source {source.key} is never cited", fix)


def _mentioned(city: City, key: str) -> bool:
    """Whether a choice names the source by its key."""
    word = re.compile(rf"\b{re.escape(key)}\b")
    choices = [choice for version in city.scheme.versions for choice in version.choices]
    return any(word.search(f"{choice.what} {choice.why}") for choice in choices)


def _of_connector(city: City) -> Iterator[Warned]:
    connector = city.scheme.connector
    if connector is None:
        fix = "add `connector:`, unless a service of its own serves the scheme"
        yield Warned(SCHEME_FILE, 1, "no connector: no adapter can serve this scheme", fix)
        return
    target = connector.get("python")
    if isinstance(target, str):
        line = city.line("connector", "python")
        module, _, name = target.partition(":")
        try:
            made = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            fix = "correct module:Name, or run where the module can be imported"
            yield Warned(SCHEME_FILE, line, f"{target} cannot be imported", fix)
        else:
            if isinstance(made, type) and not hasattr(made, "interpret"):
                fix = "add `interpret(body)`: see adapters.sdk.interpreting"
                text = f"{name} cannot read a saved reply, nor can `hutong scheme explain`"
                yield Warned(SCHEME_FILE, line, text, fix)
        return
    http: Any = connector.get("http") or {}
    asks_qr = "qr_text" in (http.get("ask") or {})
    for version in city.scheme.versions:
        texts = [pattern for pattern in version.qr_patterns if pattern.presentation == "qr_text"]
        if texts and not asks_qr:
            line = city.version_line(version, "qr")
            fix = "add `ask.qr_text` to the connector"
            yield Warned(SCHEME_FILE, line, f"{version.id}: QR texts that nobody is asked", fix)
        elif asks_qr and not texts and version is city.scheme.versions[-1]:
            line = city.version_line(version)
            fix = "add `qr:`, or remove `ask.qr_text`"
            yield Warned(SCHEME_FILE, line, f"{version.id}: no QR text leads here", fix)


def _texts(city: City, version: SchemeVersion, name: str) -> list[str]:
    value = city.version_value(version).get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
