"""What a translation loses: what a scheme says so itself, and what can be counted.

Counted are the states that become one level, the words of the platform that no answer
carries, and how good the evidence of the states is. A level always carries the raw
state; so do CANNOT_DETERMINE and EVIDENCE_ONLY. Other outcomes do not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli.scheme_envelope import answer_line, description, source_of
from gateway.cli.scheme_look import block, facts, heading, line_note, table
from gateway.cli.scheme_words import span
from gateway.cli.terminal import console
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import SchemeVersion, StateRule

GRADES: Final = {
    "A": "government, state media or a named press conference",
    "B": "a local guide or a repost that cites an official notice",
    "C": "a repost of weak provenance",
    "K": "code or an integration document of a public repository",
    "S": "the articles the project began with",
}
"""What the grades mean, the best first, as the research notes have them."""

_CARRY_STATE: Final = (Outcome.CANNOT_DETERMINE, Outcome.EVIDENCE_ONLY)


@dataclass(frozen=True, slots=True)
class Lost:
    """What one version loses.

    Attributes:
        version: the dated scheme.
        stated: what the scheme says is lost, zh and en; None: it says nothing.
        merged: level or outcome to the several states that become it.
        vanished: words of the platform that no answer carries, and what stands instead.
        grades: how many states rest on evidence of each grade at best; ``-``: none.
    """

    version: str
    stated: tuple[tuple[str, str], ...] | None
    merged: dict[str, tuple[str, ...]]
    vanished: tuple[tuple[str, str], ...]
    grades: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        stated = self.stated
        return {
            **asdict(self),
            "stated": None if stated is None else [{"zh": zh, "en": en} for zh, en in stated],
            "vanished": [{"word": word, "becomes": becomes} for word, becomes in self.vanished],
        }


def lost_in(city: City, version: SchemeVersion) -> Lost:
    """Count what a version loses."""
    merged: dict[str, list[str]] = {}
    for rule in version.states.values():
        merged.setdefault(str(rule.level or rule.outcome), []).append(rule.state)
    return Lost(
        version=version.id,
        stated=None if version.lost is None else tuple((loss.zh, loss.en) for loss in version.lost),
        merged={name: tuple(states) for name, states in merged.items() if len(states) > 1},
        vanished=tuple(_vanished(city, version)),
        grades=grades_of(city, version),
    )


def best_grade(city: City, rule: StateRule) -> str:
    """The best grade among the sources of a state; ``-``: it has none."""
    grades = {source.key: source.grade for source in city.scheme.sources}
    found = {grades[key] for key in rule.evidence}
    return next((grade for grade in GRADES if grade in found), "-")


def grades_of(city: City, version: SchemeVersion) -> dict[str, int]:
    """How many states rest on evidence of each grade at best."""
    found = [best_grade(city, rule) for rule in version.states.values()]
    return {grade: found.count(grade) for grade in (*GRADES, "-") if grade in found}


def _vanished(city: City, version: SchemeVersion) -> Iterator[tuple[str, str]]:
    for rule in version.states.values():
        if rule.level is None and rule.outcome not in _CARRY_STATE:
            yield rule.state, str(rule.outcome)
    report = description(city).get("report")
    for name, member in (report if isinstance(report, dict) else {}).items():
        if name == "state":
            yield from _mapped(member)
        elif name == "reason":
            words = ", ".join(hint.contains for hint in version.reasons)
            kept = f"grounds, by the words {words}" if words else "nothing"
            yield f"the free text {source_of(member)}", kept
        elif name == "scope":
            yield f"the scope {source_of(member)}", "looked at, and left behind"


def _mapped(member: Any) -> Iterator[tuple[str, str]]:
    """Words that the connector replaces before anybody sees them."""
    if not isinstance(member, dict):
        return
    for part in member.get("join") or [member]:
        words = part.get("map") if isinstance(part, dict) else None
        for word, state in (words or {}).items():
            if word != state:
                yield word, str(state)


def print_lost(city: City, losses: Sequence[tuple[SchemeVersion, Lost]]) -> None:
    """Print what each version loses."""
    scheme = city.scheme
    console.print(Text(f"{scheme.name_zh} · {scheme.name_en}", style="bold"))
    for version, lost in losses:
        heading(version.id, span(version, scheme.timezone))
        said = [f"{zh} · {en}" for zh, en in lost.stated or ()]
        if lost.stated is None:
            said = ["the scheme does not say: add `lost`"]
        title = Text("") if lost.stated else line_note("scheme.yaml", city.version_line(version))
        facts("lost", [Text(text) for text in said] or [Text("nothing, it says") + title])
        facts(
            "one level",
            [
                Text.assemble(block(name), (name, "bold"), f" from {'  '.join(states)}")
                for name, states in lost.merged.items()
            ]
            or ["every state has a level or an outcome of its own"],
        )
        line = answer_line(city, "report") if description(city) else 0
        facts(
            "vanish",
            [Text.assemble((word, "bold"), f" → {becomes}") for word, becomes in lost.vanished]
            or [Text("no word that is read in YAML") + line_note("scheme.yaml", line)],
        )
        facts("evidence", [_grades_text(lost.grades)])


def print_all_lost(found: Sequence[tuple[City, SchemeVersion, Lost]]) -> None:
    """Print one line a version, and what the grades mean."""
    rows = table("version", "states", "merged", "words gone", "lost", "best evidence")
    for column in (1, 3, 4):
        rows.columns[column].justify = "right"
    for _, version, lost in found:
        merged = Text()
        for name, states in lost.merged.items():
            merged += Text.assemble("  " if merged else "", block(name), f"{len(states)}")
        said = "no word" if lost.stated is None else str(len(lost.stated))
        rows.add_row(
            version.id,
            str(len(version.states)),
            merged or Text("—", style="dim"),
            str(len(lost.vanished)),
            Text(said, style="yellow" if lost.stated is None else ""),
            _grades_text(lost.grades),
        )
    console.print(rows)
    facts("merged", ["states that become one level or one outcome"])
    facts("words gone", ["words of the platform that no answer carries"])
    facts("lost", ["what the scheme itself says is lost; `hutong scheme loss CITY` shows it"])
    facts("grades", [f"{grade} {text}" for grade, text in GRADES.items()])


def _grades_text(grades: dict[str, int]) -> Text:
    parts = [f"{grade}×{number}" for grade, number in grades.items() if grade != "-"]
    text = Text(" ".join(parts))
    if "-" in grades:
        text.append(f" none×{grades['-']}", style="yellow")
    return text
