"""How a verdict looks at a terminal: readable from two metres, with and without colour.

A block of the verdict's colour over the whole width names it in Chinese and
English; below stand what was seen (every report with its level, local state, scheme
and issuer, or the outcome, or the refusal), the conditions, every reason in both
languages, and how old everything is that it rests on. Colour never says anything
that words do not: without it (``NO_COLOR``, a pipe) the block becomes a framed line.

Document numbers are masked to their last two characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.codes import DivisionError, Document, Level, division_name
from gateway.recognition import OutcomeEvidence, RefusedEvidence, Verdict

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gateway.attestation.disclosed import DisclosedCode
    from gateway.codes import UnifiedCode
    from gateway.edge.result import Result
    from gateway.recognition import Ages, Decision, Evidence

_WORDS: Final[dict[Verdict, tuple[str, str]]] = {
    Verdict.ADMIT: ("放行", "ADMIT"),
    Verdict.ADMIT_WITH_CONDITIONS: ("有条件放行", "ADMIT WITH CONDITIONS"),
    Verdict.OBSERVE_HOME: ("居家观察", "OBSERVE AT HOME"),
    Verdict.OBSERVE_CENTRAL: ("集中观察", "OBSERVE CENTRALLY"),
    Verdict.REFER: ("转人工核验", "REFER TO A PERSON"),
    Verdict.REFUSE: ("劝返", "REFUSE"),
}

_COLOURS: Final[dict[Verdict, str]] = {
    Verdict.ADMIT: "bold black on green",
    Verdict.ADMIT_WITH_CONDITIONS: "bold black on bright_cyan",
    Verdict.OBSERVE_HOME: "bold black on yellow",
    Verdict.OBSERVE_CENTRAL: "bold black on dark_orange",
    Verdict.REFER: "bold white on blue",
    Verdict.REFUSE: "bold white on red",
}

_LEVELS: Final[dict[Level, str]] = {
    Level.GREEN: "绿码",
    Level.YELLOW: "黄码",
    Level.RED: "红码",
    Level.RESTRICTED: "受限",
}

_STEPS: Final = (("d", "天", 86400), ("h", "小时", 3600), ("min", "分钟", 60))
"""Units of an age, the largest first; below them seconds."""

_SHOWN_CHARACTERS: Final = 2
"""Of a document number; deployed gates showed as many."""


def verdict_words(decision: Decision) -> tuple[str, str]:
    """The verdict in Chinese and in English, with its days."""
    zh, en = _WORDS[decision.verdict]
    if decision.days is None:
        return zh, en
    return f"{zh} {decision.days} 天", f"{en}, {decision.days} DAYS"


def verdict_colour(verdict: Verdict) -> str:
    """The style of a verdict's block."""
    return _COLOURS[verdict]


def age_text(seconds: int | None) -> str:
    """How long ago, for people: ``3 s``, ``2 h``; ``unknown`` without an age."""
    if seconds is None:
        return "unknown"
    for unit, _, length in _STEPS:
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def age_text_zh(seconds: int | None) -> str:
    """The same in Chinese: ``3 秒``, ``2 小时``; ``未知`` without an age."""
    if seconds is None:
        return "未知"
    for _, unit, length in _STEPS:
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} 秒"


def masked(document: Document) -> str:
    """A document for the screen: its type and its last two characters."""
    hidden = "•" * (len(document.number) - _SHOWN_CHARACTERS)
    return f"{int(document.type)} {hidden}{document.number[-_SHOWN_CHARACTERS:]}"


def place(region: str | None) -> str:
    """A division with its name; the bare code where the table has none."""
    if region is None:
        return "unknown 未知"
    try:
        return f"{division_name(region)} {region}"
    except DivisionError:
        return region


def render(result: Result, console: Console, *, shown: Document | None = None) -> RenderableType:
    """Everything a person at a gate needs, for one traveller.

    Args:
        result: what was decided.
        console: where it will be printed; its width and colour decide the block.
        shown: the document that was presented, to be named masked.
    """
    decision = result.decision
    parts: list[RenderableType] = [_block(decision, console)]
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, seen in _seen(result.evidence):
        facts.add_row(name, seen)
    facts.add_row("from 来自", place(result.origin))
    if result.instead_of is not None:
        told = "has no adapter; the national code answered 该地未接入，由全国码答复"
        facts.add_row("instead of 代替", f"{place(result.instead_of)}: {told}")
    facts.add_row("to 去往", place(result.destination))
    if result.beside is not None:
        facts.add_row("travel card 行程卡", _card(result.beside))
    if shown is not None:
        facts.add_row("document 证件", masked(shown))
    for number, condition in enumerate(decision.conditions, start=1):
        facts.add_row(f"condition 条件 {number}", f"{condition.zh}\n{condition.en}")
    for reason in decision.reasons:
        facts.add_row(
            "reason 理由", Text.assemble((reason.code, "cyan"), f"\n{reason.zh}\n{reason.en}")
        )
    for warning in decision.warnings:
        facts.add_row(
            "warning 提醒", Text.assemble((warning.code, "yellow"), f"\n{warning.zh}\n{warning.en}")
        )
    if result.silent_since is not None:
        since = result.silent_since.isoformat(timespec="seconds")
        facts.add_row("issuer not heard since 签发地失联自", since)
    if result.sighting == "unreported":
        told = "not asked about; told to the hub later 未能查询，联网后补报"
        facts.add_row("shown elsewhere 他处出示", told)
    facts.add_row("ages 时效", ages_line(decision.ages))
    facts.add_row("policy 政策", _policy_line(decision))
    facts.add_row("path 方式", f"{result.path}, {result.milliseconds:.0f} ms")
    parts.append(Padding(facts, (1, 0, 0, 1)))
    return Group(*parts)


def _card(card: Evidence) -> str:
    """The places of a travel card shown beside a code, marked ones first."""
    itinerary = card.itinerary if isinstance(card, OutcomeEvidence) else None
    if itinerary is None:
        return "not checked 未能核验"
    places = sorted(itinerary.places, key=lambda each: not each.starred)
    named = "\n".join(f"{place(each.division)}{' *' if each.starred else ''}" for each in places)
    return f"{itinerary.window_days} days 天\n{named}".rstrip()


def _seen(evidence: Evidence) -> list[tuple[str, Text]]:
    """What a decision rests on, for the officer: every report, or why there is none."""
    if isinstance(evidence, OutcomeEvidence):
        return [("outcome 结果", Text(evidence.outcome.value, style="bold"))]
    if isinstance(evidence, RefusedEvidence):
        return [("refused 不予采信", Text(evidence.code, style="bold"))]
    first = evidence.attestation.code
    if not first.also:
        return [("code 健康码", _report(first))]
    reports = enumerate((first, *first.also), start=1)
    return [(f"code 健康码 {number}", _report(report)) for number, report in reports]


def _report(code: UnifiedCode | DisclosedCode) -> Text:
    # The region's own text: never markup, a control sequence or a row of its own.
    told = "not disclosed 未披露" if code.state is None else code.state
    state = "".join(char if char.isprintable() else "\ufffd" for char in told)
    return Text.assemble(
        (f"{code.level.value} {_LEVELS[code.level]}", "bold"),
        f"  {place(code.issued_by)}\n{state}  {code.scheme or ''}".rstrip(),
    )


def ages_line(ages: Ages) -> str:
    """The four ages in both languages."""
    named = (
        ("trust", "信任", ages.trust_seconds),
        ("policy", "政策", ages.policy_seconds),
        ("status", "撤销", ages.status_seconds),
        ("source", "来源", ages.source_seconds),
    )
    english = " · ".join(
        f"{en} {age_text(seconds)}{' old' if seconds is not None else ''}"
        for en, _, seconds in named
    )
    chinese = " · ".join(
        f"{zh} {age_text_zh(seconds)}{'前' if seconds is not None else ''}"
        for _, zh, seconds in named
    )
    return f"{english}\n{chinese}"


def _policy_line(decision: Decision) -> str:
    if not decision.policy_id:
        return "none 无"
    return f"{decision.policy_id}, rule {decision.rule_id or 'none'}"


def _block(decision: Decision, console: Console) -> RenderableType:
    zh, en = verdict_words(decision)
    words = f"{zh}  {en}"
    width = console.width
    if console.color_system is None:
        line = "=" * min(width, cell_len(words) + 6)
        return Text(f"{line}\n   {words}\n{line}", no_wrap=False)
    style = _COLOURS[decision.verdict]
    left = max(0, (width - cell_len(words)) // 2)
    middle = " " * left + words
    middle += " " * max(0, width - cell_len(middle))
    blank = " " * width
    return Text(f"{blank}\n{middle}\n{blank}", style=style, no_wrap=False)
