"""What changed between two versions of a scheme, part by part, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli.scheme_look import COLOURS, hang, heading
from gateway.cli.scheme_view import way_back
from gateway.cli.scheme_words import clock_words, import_words, span
from gateway.cli.terminal import Exit, console, fail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import SchemeVersion, StateRule

_MEMBER_WIDTH: Final = 13
"""Of the names of a state's members; the longest is ``back to green``."""

_NAMES: Final = {
    "states": "States 状态",
    "clocks": "Clocks 时限",
    "qr": "QR texts 二维码",
    "rules": "Rules 规则",
    "lost": "Lost in translation 译失",
    "choices": "Choices 选择",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        part: ``states``, ``clocks``, ``qr``, ``rules``, ``lost`` or ``choices``.
        kind: ``added``, ``removed`` or ``changed``.
        name: of the thing: a state, a clock, a pattern.
        member: which member of it changed; empty: the whole thing.
        old: what it said; None: it was not there.
        new: what it says; None: it is gone.
        line: line of ``scheme.yaml``, of the new one, or of the old one where it is gone.
    """

    part: str
    kind: str
    name: str
    member: str
    old: str | None
    new: str | None
    line: int

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {name: getattr(self, name) for name in self.__slots__}


def pick_versions(
    city: City, first: str | None, second: str | None
) -> tuple[SchemeVersion, SchemeVersion]:
    """Return the two versions that were named; the last two where none was.

    Raises:
        typer.Exit: a version is unknown, or there are no two.
    """
    versions = city.scheme.versions
    if first is None and second is None:
        if len(versions) == 1:
            fail(
                f"{city.scheme.family} has one version, {versions[0].id}",
                fix=f"hutong scheme show {city.name}",
            )
        return versions[-2], versions[-1]
    if first is None or second is None:
        fail("name both versions, or neither", fix=_known(city), code=Exit.USAGE)
    return _pick(city, first), _pick(city, second)


def compare(city: City, old: SchemeVersion, new: SchemeVersion) -> list[Change]:
    """Return everything that differs, in the order in which a scheme is written."""
    changes: list[Change] = []
    for state in dict.fromkeys((*old.states, *new.states)):
        changes.extend(_state(city, old, new, state))
    for part, before, after in (
        ("clocks", _clocks(old), _clocks(new)),
        ("qr", _patterns(old), _patterns(new)),
        ("rules", _rules(old), _rules(new)),
        ("lost", _losses(old), _losses(new)),
        ("choices", _choices(old), _choices(new)),
    ):
        changes.extend(_words(city, part, (old, before), (new, after)))
    return changes


def print_changes(
    city: City, old: SchemeVersion, new: SchemeVersion, changes: Sequence[Change]
) -> None:
    """Print what changed."""
    zone = city.scheme.timezone
    console.print(Text(f"{city.scheme.name_zh} · {city.scheme.name_en}", style="bold"))
    for sign, version, style in (("-", old, "red"), ("+", new, "green")):
        console.print(
            Text.assemble((f"{sign} {version.id}", style), (f"   {span(version, zone)}", "dim"))
        )
    if not changes:
        console.print("\nnothing differs")
    for part, name in _NAMES.items():
        found = [change for change in changes if change.part == part]
        if found:
            heading(name)
            last = ""
            for change in found:
                _print_change(change, repeats=change.name == last)
                last = change.name


def _print_change(change: Change, *, repeats: bool) -> None:
    signs = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
    sign, style = signs[change.kind]
    title = Text.assemble((f" {sign} ", f"bold {style}"), (change.name, "bold"))
    title.append(f"  scheme.yaml:{change.line}", style="dim")
    if not repeats:
        console.print(title, soft_wrap=True)
    label = f"{change.member:<{_MEMBER_WIDTH}} " if change.member else ""
    for mark, text, colour in (("-", change.old, "red"), ("+", change.new, "green")):
        for line in (text or "").splitlines():
            hang(Text.assemble("   ", (label, "dim"), (f"{mark} ", colour)), _coloured(line))
            label = " " * len(label)


def _coloured(line: str) -> Text:
    return Text(line, style=COLOURS.get(line, ""))


def _pick(city: City, word: str) -> SchemeVersion:
    ids = {version.id: version for version in city.scheme.versions}
    ids.update({version.id.partition("@")[2]: version for version in city.scheme.versions})
    if word not in ids:
        near = get_close_matches(word, ids, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        fail(
            f"{city.scheme.family} has no version {word!r}",
            fix=hint + _known(city),
            code=Exit.USAGE,
        )
    return ids[word]


def _known(city: City) -> str:
    known = (version.id.partition("@")[2] for version in city.scheme.versions)
    return f"{city.name} has {', '.join(known)}"


def _state(city: City, old: SchemeVersion, new: SchemeVersion, state: str) -> list[Change]:
    before, after = old.states.get(state), new.states.get(state)
    line = city.version_line(new if after else old, "states", state)
    if before is None or after is None:
        kind = "added" if before is None else "removed"
        was, now = _whole(before), _whole(after)
        return [Change("states", kind, state, "", was, now, line)]
    members = {
        "level": (_result(before), _result(after)),
        "basis": (" ".join(sorted(before.basis)), " ".join(sorted(after.basis))),
        "meaning": (_meaning(before), _meaning(after)),
        "back to green": (way_back(before), way_back(after)),
        "evidence": (" ".join(before.evidence), " ".join(after.evidence)),
    }
    return [
        Change("states", "changed", state, name, was or "none", now or "none", line)
        for name, (was, now) in members.items()
        if was != now
    ]


def _whole(rule: StateRule | None) -> str | None:
    if rule is None:
        return None
    return "\n".join(
        part for part in (_result(rule), _meaning(rule), way_back(rule)) if part and part != "—"
    )


def _result(rule: StateRule) -> str:
    return str(rule.level or rule.outcome)


def _meaning(rule: StateRule) -> str:
    return f"{rule.meaning_zh}\n{rule.meaning_en}"


_Said = tuple[str, tuple[str | int, ...]]
"""What a part says, and where in its version it stands."""


def _words(
    city: City,
    part: str,
    before: tuple[SchemeVersion, Mapping[str, _Said]],
    after: tuple[SchemeVersion, Mapping[str, _Said]],
) -> list[Change]:
    changes: list[Change] = []
    (old, was), (new, now) = before, after
    for name in dict.fromkeys((*was, *now)):
        one, other = was.get(name), now.get(name)
        said_was, said_now = one[0] if one else None, other[0] if other else None
        if said_was == said_now:
            continue
        kind = "added" if one is None else "removed" if other is None else "changed"
        if other is not None:
            line = city.version_line(new, *other[1])
        else:
            line = city.version_line(old, *was[name][1])
        changes.append(Change(part, kind, name, "", said_was, said_now, line))
    return changes


_CLOCK_NAMES: Final = {
    "code holds": "code",
    "declaration": "declaration",
    "record used": "source_max_age_seconds",
    "dates ahead": "future_leeway_seconds",
    "must state": "required",
    "carried": "carried_max_seconds",
}


def _clocks(version: SchemeVersion) -> dict[str, _Said]:
    return {
        name: (words, ("clocks", _CLOCK_NAMES[name])) for name, words in clock_words(version.clocks)
    }


def _patterns(version: SchemeVersion) -> dict[str, _Said]:
    return {
        pattern.pattern: (f"{pattern.presentation} for {pattern.region}", ("qr", place))
        for place, pattern in enumerate(version.qr_patterns)
    }


def _rules(version: SchemeVersion) -> dict[str, _Said]:
    foreign = str(version.foreign) if version.foreign else "as any other"
    scopes = ", ".join(sorted(version.scopes)) if version.scopes is not None else "any"
    rules: dict[str, _Said] = {
        "foreign": (foreign, ("foreign",)),
        "imports": (import_words(version.import_rule), ("import",)),
        "scopes": (scopes, ("scopes",)),
    }
    if version.reasons:
        words = (f"{hint.contains} → {' '.join(sorted(hint.basis))}" for hint in version.reasons)
        rules["free text"] = (", ".join(words), ("reasons",))
    return rules


def _losses(version: SchemeVersion) -> dict[str, _Said]:
    return {loss.zh: (loss.en, ("lost", place)) for place, loss in enumerate(version.lost or ())}


def _choices(version: SchemeVersion) -> dict[str, _Said]:
    return {
        choice.what: (choice.why, ("choices", place))
        for place, choice in enumerate(version.choices)
    }
