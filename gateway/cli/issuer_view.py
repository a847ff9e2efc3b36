"""How what the issuer says looks at a terminal, and as JSON."""

from __future__ import annotations

import os
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from google.protobuf.json_format import MessageToDict
from hutong.v1 import code_pb2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.terminal import console

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from hutong.v1 import issuer_desk_service_pb2 as desk_pb
    from hutong.v1 import issuer_pb2
    from hutong.v1 import issuer_service_pb2 as pb

_PIPE: Final = 200
_ZONE: Final = ZoneInfo("Asia/Shanghai")

_BLOCKS: Final = {
    "GREEN": ("绿码", "bold black on green"),
    "YELLOW": ("黄码", "bold black on yellow"),
    "RED": ("红码", "bold white on red"),
}

_OUTCOMES: Final = {
    "NOT_APPLIED": "未申领：尚无健康申报",
    "NOT_FOUND": "查无此码",
    "DECLARATION_EXPIRED": "申报已过期，请重新申报",
    "CODE_EXPIRED": "码已过期，请重新生成",
    "WRONG_REGION": "不是本系统的码",
}


def to_json(message: Message) -> dict[str, Any]:
    """A message as JSON, its members under the names of the schema."""
    return MessageToDict(message, preserving_proto_field_name=True)


def local(stamp: Timestamp) -> str:
    """A moment in Shanghai."""
    return stamp.ToDatetime(tzinfo=UTC).astimezone(_ZONE).strftime("%Y-%m-%d %H:%M")


def level_word(level: int) -> str:
    """``GREEN`` of the wire's number."""
    return code_pb2.Level.Name(code_pb2.Level.ValueType(level)).removeprefix("LEVEL_")


def level_text(level: int) -> Text:
    """A level as a block of its colour, with its words."""
    word = level_word(level)
    zh, style = _BLOCKS.get(word, ("", "bold"))
    return Text(f" {zh} {word} ", style=style)


def outcome_word(outcome: int) -> str:
    """``NOT_APPLIED`` of the wire's number."""
    name = code_pb2.Outcome.Name(code_pb2.Outcome.ValueType(outcome))
    return name.removeprefix("OUTCOME_")


def print_outcome(outcome: int) -> None:
    """Print an answer that is no level."""
    word = outcome_word(outcome)
    console.print(Text(f" {_OUTCOMES.get(word, '')} {word} ", style="bold white on blue"))


def print_state(state: issuer_pb2.HealthState, *, gate_level: int | None = None) -> None:
    """Print a health state; at a gate with the level for this gate above it."""
    console.print(level_text(state.level if gate_level is None else gate_level))
    table = _facts()
    if gate_level is not None and gate_level != state.level:
        table.add_row("held", level_text(state.level))
    table.add_row("reason", f"{state.reason_zh}\n{state.reason_en}")
    table.add_row("rule", state.rule)
    if state.basis:
        words = [code_pb2.Basis.Name(each).removeprefix("BASIS_") for each in state.basis]
        table.add_row("basis", " ".join(words))
    if state.HasField("release"):
        done, needed = state.release.days_done, state.release.days_needed
        table.add_row("release", f"{done} of {needed} check-ins, {needed - done} left")
    if state.area:
        table.add_row("area", state.area)
    table.add_row("since", local(state.since))
    table.add_row("assessed", local(state.assessed_at))
    table.add_row("declared", local(state.declared_at))
    table.add_row("declare again by", local(state.declaration_valid_until))
    console.print(table)


def print_correction(correction: pb.Correction) -> None:
    """Print how a correction stands."""
    table = _facts()
    table.add_row("correction", correction.id)
    table.add_row("about", _word(pb_subject(correction.subject)))
    table.add_row("stands", status_text(correction.status))
    table.add_row("opened", local(correction.opened_at))
    if correction.HasField("answered_at"):
        table.add_row("answered", local(correction.answered_at))
        table.add_row("answer", Text(correction.answer))
    console.print(table)


def print_cases(cases: list[desk_pb.CorrectionCase]) -> None:
    """Print corrections as a reviewer needs them."""
    table = Table("id", "stands", "about", "who", "level now", "opened")
    table.add_column("says", overflow="fold", ratio=1)
    for case in cases:
        correction = case.correction
        has_state = case.HasField("state")
        table.add_row(
            correction.id,
            status_text(correction.status),
            _word(pb_subject(correction.subject)),
            Text(case.masked_name),
            level_text(case.state.level) if has_state else Text("none: expired"),
            local(correction.opened_at),
            # Free text of a person: text, never markup.
            Text(case.statement),
        )
    _screen().print(table)


def print_trace(entries: list[desk_pb.TraceEntry]) -> None:
    """Print a trace, the oldest first."""
    table = Table("id", "recorded", "kind")
    table.add_column("by", overflow="fold")
    table.add_column("what", overflow="fold", ratio=1)
    table.add_column("withdrawn")
    for entry in entries:
        withdrawn = local(entry.withdrawn_at) if entry.HasField("withdrawn_at") else ""
        style = "strike" if withdrawn else ""
        table.add_row(
            entry.id,
            local(entry.at),
            entry.kind,
            Text(entry.by),
            Text(entry.text, style=style),
            withdrawn,
        )
    _screen().print(table)


def pb_subject(number: int) -> str:
    """``contact`` of the wire's number."""
    from hutong.v1 import issuer_service_pb2 as pb

    name = pb.CorrectionSubject.Name(pb.CorrectionSubject.ValueType(number))
    return name.removeprefix("CORRECTION_SUBJECT_")


def status_text(number: int) -> Text:
    """How a correction stands, coloured."""
    from hutong.v1 import issuer_service_pb2 as pb

    name = pb.CorrectionStatus.Name(pb.CorrectionStatus.ValueType(number))
    word = name.removeprefix("CORRECTION_STATUS_")
    colours = {"OPEN": "yellow", "UPHELD": "green", "REJECTED": "red"}
    return Text(word.lower(), style=colours.get(word, ""))


def _screen() -> Console:
    """A pipe has no width of its own; whoever reads it later gets everything."""
    has_width = console.is_terminal or "COLUMNS" in os.environ
    return console if has_width else Console(width=_PIPE)


def _word(name: str) -> str:
    return name.lower().replace("_", " ")


def _facts() -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
