"""The table of all schemes in the documentation, made from the scheme files.

``hutong scheme table --write docs/reference/schemes.md`` makes it, ``--check`` says
whether it is what the schemes say; ``python -m gateway.cli.scheme_table`` does the
same with the page of this project. It depends on the scheme files alone, never on the
clock, so that it is stale exactly when one of them has changed.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from gateway.cli.scheme_loss import GRADES, best_grade
from gateway.cli.scheme_measure import measure
from gateway.cli.scheme_view import way_back
from gateway.cli.scheme_words import clock_words, import_words, span
from gateway.codes.divisions import DivisionError, division_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import SchemeVersion, StateRule

PAGE: Final = "docs/reference/schemes.md"
"""Where the table of this project stands, from its root."""

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]|~])")
_BLOCKS: Final = {
    "GREEN": "🟩",
    "YELLOW": "🟨",
    "RED": "🟥",
    "RESTRICTED": "🟪",
    "EVIDENCE_ONLY": "🟦",
}
_HOLLOW: Final = "⬜"
_OVERVIEW: Final = (
    "体系 system",
    "family",
    "签发 authority",
    "版本 versions",
    "YAML",
    "of it wire",
    "of vectors",
    "Python",
)
_STATES: Final = (
    "状态 state",
    "全国含义 nationally",
    "含义 meaning",
    "转绿 back to green",
    "依据 evidence",
)
_HEAD: Final = """\
# Schemes 各地健康码体系

<!-- Made by `hutong scheme table --write docs/reference/schemes.md`; edit the scheme files. -->

Every local code system that ships with Hutong, in every dated version: what each state means
nationally, how one gets back to green, how long it holds, what the translation loses, and how
good the evidence is. The page is made from the scheme files (`adapters/schemes/*/scheme.yaml`).
What no source tells is a choice; [all choices](#choices) stand at the end.

🟩 GREEN · 🟨 YELLOW · 🟥 RED · 🟪 RESTRICTED (not green, severity not stated) ·
🟦 EVIDENCE_ONLY (no level) · ⬜ another outcome, neither green nor red
"""


def make_table(cities: Sequence[City]) -> str:
    """Return the page as Markdown."""
    lines = [_HEAD]
    lines += _overview(cities)
    for city in cities:
        lines += _scheme(city)
    lines += _all_choices(cities)
    return "\n".join(lines).rstrip() + "\n"


def table_is_current(path: Path, text: str) -> bool:
    """Return whether a page says what the schemes say."""
    try:
        return path.read_text("utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _overview(cities: Sequence[City]) -> Iterator[str]:
    efforts = [measure(city) for city in cities]
    free = sum(1 for effort in efforts if not effort.needs_python)
    yield "## At a glance 总览\n"
    yield (
        f"{len(cities)} systems in {sum(len(city.scheme.versions) for city in cities)} dated "
        f"versions, proven by {sum(len(city.scheme.vectors) for city in cities)} vectors. "
        f"**{free} of {len(cities)} need no Python.**\n"
    )
    yield (
        "Lines are those that hold something: blank lines, comments and docstrings do not count. "
        "*Wire* is the part of the YAML that describes how the platform is asked and read.\n"
    )
    yield from _rows(
        _OVERVIEW,
        (
            (
                _linked(city),
                f"`{city.scheme.family}`",
                _division(city.scheme.authority),
                "<br>".join(_plain(one.id.partition("@")[2]) for one in city.scheme.versions),
                str(effort.scheme),
                str(effort.connector),
                str(effort.vectors),
                _plain(effort.python_words),
            )
            for city, effort in zip(cities, efforts, strict=True)
        ),
        "llllrrrr",
    )


def _scheme(city: City) -> Iterator[str]:
    scheme = city.scheme
    prefixes = ", ".join(f"`{prefix}`" for prefix in scheme.prefixes)
    yield f"## {_plain(scheme.name_zh)} · {_plain(scheme.name_en)} {{ #{scheme.family} }}\n"
    yield (
        f"`{scheme.family}`, signed by {_division(scheme.authority)}, for {prefixes}. "
        f"Folder `adapters/schemes/{city.name}`.\n"
    )
    for version in scheme.versions:
        yield from _version(city, version)
    yield "**依据 Sources**\n"
    for source in scheme.sources:
        yield f"- {_plain(source.key)} ({source.grade}) {_plain(source.text)}"
    yield ""


def _version(city: City, version: SchemeVersion) -> Iterator[str]:
    yield f"### {_plain(version.id)}\n"
    yield f"在用 in force: {span(version, city.scheme.timezone)} ({city.scheme.timezone.key})\n"
    yield from _rows(
        _STATES,
        (_state(city, rule) for rule in version.states.values()),
        "lllll",
    )
    clocks = "; ".join(f"{name} {words}" for name, words in clock_words(version.clocks))
    yield f"**时限 Validity**: {clocks}.\n"
    if version.import_rule is not None:
        yield f"**转入 Takes over**: {_plain(import_words(version.import_rule))}.\n"
    if version.foreign is not None:
        yield (
            "**外地记录 Records of elsewhere**: a green one is left out, any other makes the "
            "answer CANNOT\\_DETERMINE.\n"
        )
    yield "**译失 Lost in translation**:" + ("" if version.lost else " nothing stated.") + "\n"
    for loss in version.lost or ():
        yield f"- {_plain(loss.zh)}<br>{_plain(loss.en)}"
    yield ""


def _state(city: City, rule: StateRule) -> tuple[str, ...]:
    result = str(rule.level or rule.outcome)
    basis = f"<br>{' '.join(sorted(rule.basis))}" if rule.basis else ""
    grade = best_grade(city, rule)
    keys = ", ".join(rule.evidence)
    return (
        _plain(rule.state),
        f"{_BLOCKS.get(result, _HOLLOW)} {_plain(result)}{basis}",
        f"{_plain(rule.meaning_zh)}<br>{_plain(rule.meaning_en)}",
        "<br>".join(map(_plain, way_back(rule).splitlines())),
        f"{grade}: {_plain(keys)}" if keys else "—",
    )


def _all_choices(cities: Sequence[City]) -> Iterator[str]:
    count = sum(len(version.choices) for city in cities for version in city.scheme.versions)
    yield "## Choices 选择 { #choices }\n"
    yield f"What no source tells and was therefore chosen, {count} times, each with its reason.\n"
    for city in cities:
        for version in city.scheme.versions:
            if version.choices:
                yield f"**{_plain(city.scheme.name_zh)} {_plain(version.id)}**\n"
                for choice in version.choices:
                    yield f"- {_plain(choice.what)}: {_plain(choice.why)}"
                yield ""
    yield "## Grades of evidence 依据等级 { #grades }\n"
    yield from _rows(("grade", "means"), ((key, text) for key, text in GRADES.items()), "ll")


def _rows(headings: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"| {' | '.join('---:' if sign == 'r' else '---' for sign in align)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _linked(city: City) -> str:
    scheme = city.scheme
    return f"[{_plain(scheme.name_zh)}](#{scheme.family})<br>{_plain(scheme.name_en)}"


def _division(code: str) -> str:
    try:
        return f"{code} {_plain(division_name(code))}"
    except DivisionError:
        return code


def _plain(text: str) -> str:
    """Text of a scheme as Markdown that shows it as it stands."""
    # A backslash before `<` is not taken for an escape by every reader of Markdown.
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    from gateway.cli.main import main

    option = "--check" if "--check" in sys.argv[1:] else "--write"
    sys.argv = ["hutong", "scheme", "table", option, PAGE]
    main()
