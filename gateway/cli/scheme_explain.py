"""How the explanation of a saved reply looks: five numbered steps from bytes to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from gateway.cli.scheme_look import block, fact, facts, line_note, mark, result_text, table
from gateway.cli.scheme_words import moment
from gateway.cli.terminal import console

if TYPE_CHECKING:
    from gateway.cli.scheme_files import City
    from gateway.cli.scheme_reply import Explained, Read
    from gateway.cli.scheme_trace import RecordTrace

_FILE = "scheme.yaml"
_LABELS = {
    "issued_by": "issued by",
    "assessed_at": "assessed",
    "source_at": "updated",
    "valid_until": "valid until",
    "declared_at": "declared",
    "declaration_valid_until": "decl. until",
    "negative_test_at": "tested",
}


def print_explained(city: City, explained: Explained) -> None:
    """Print what becomes of a reply and why."""
    scheme = city.scheme
    console.print(
        Text.assemble(
            (scheme.name_zh, "bold"),
            " · ",
            (scheme.name_en, "bold"),
            (f"   asked at {moment(explained.at, scheme.timezone)} {scheme.timezone.key}", "dim"),
        ),
        soft_wrap=True,
    )
    _step(1, "the reply")
    fact("read by", Text(explained.reader) + line_note(_FILE, explained.reader_line))
    for place, step in enumerate(explained.steps):
        fact("" if place else "found", Text(step.text) + line_note(_FILE, step.line))
    if explained.unread:
        facts("not read", [Text(", ".join(explained.unread), style="dim")])
    _step(2, "the version in force")
    name = explained.version or "none"
    fact("version", Text(name) + line_note(_FILE, explained.version_line))
    for place, members in enumerate(explained.members):
        which = f"record {place + 1} of {len(explained.members)}"
        _step(3, which if len(explained.members) > 1 else "the record")
        _print_members(members)
        if explained.records:
            _print_record(explained.records[place], is_one_of_many=len(explained.records) > 1)
    _step(4 if explained.members else 3, "the answer")
    _print_answer(explained)


def _step(number: int, text: str) -> None:
    console.print()
    console.print(Text.assemble((f"{number}  ", "bold cyan"), (text, "bold")))


def _print_members(members: tuple[Read, ...]) -> None:
    has_source = any(one.source for one in members)
    rows = table("member", *(("from", "line") if has_source else ()), "value")
    if has_source:
        rows.columns[2].justify = "right"
    for one in members:
        value = Text(one.value) if one.value is not None else Text("not stated", style="dim")
        source = (Text(one.source, style="dim"), Text(str(one.line or ""), style="dim"))
        rows.add_row(one.member, *(source if has_source else ()), value)
    console.print(rows)


def _print_record(record: RecordTrace, *, is_one_of_many: bool) -> None:
    if record.maps_to is None:
        fact("rule", Text("none", style="bold red"))
    else:
        arrow = Text.assemble((record.state, "bold"), " → ", result_text(record.maps_to))
        fact("rule", arrow + line_note(_FILE, record.rule_line))
        fact("", Text(f"{record.meaning_zh} · {record.meaning_en}", style="dim"))
    for place, hint in enumerate(record.hints):
        text = Text(f"{hint.contains} → {' '.join(hint.basis)}") + line_note(_FILE, hint.line)
        fact("" if place else "free text", text)
    for place, check in enumerate(record.checks):
        text = mark(check.holds) + Text(check.text) + line_note(_FILE, check.line)
        fact("" if place else "checks", text)
    if not is_one_of_many:
        return
    verdict = Text.assemble(result_text(record.result), f"  {record.because}")
    if record.left_out:
        verdict.append("; issued elsewhere, so left out")
    fact("alone", verdict)


def _print_answer(explained: Explained) -> None:
    fact("", result_text(explained.result))
    for place, reason in enumerate(explained.because):
        fact("" if place else "because", reason)
    code = explained.code
    if code is None:
        return
    for name, value in code.items():
        if name in ("level", "also"):
            continue
        text = " ".join(value) if isinstance(value, list) else str(value)
        fact(_LABELS.get(name, name), text)
    for place, other in enumerate(code.get("also", ())):
        line = Text.assemble(block(other["level"]), other["level"], f"  {other['state']}")
        fact("" if place else "beside it", line)
