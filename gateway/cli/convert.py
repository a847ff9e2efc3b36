"""``hutong checkpoint convert``: another region's code becomes a local code (path 2).

Exit codes: 0 converted; 1 not converted, because a region said so; 2 an end of the
line failed; 64 the command line is wrong. The document number comes from a file,
standard input or a hidden prompt, as everywhere at a gate. Nothing is kept but the
picture that ``--out`` asks for.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.gate_input import (
    AskDocument,
    Config,
    DocumentFile,
    Json,
    Timeout,
    Type,
    Verbose,
    presented,
    settings_of,
)
from gateway.cli.gate_output import configure, document_of, guarded, run_command
from gateway.cli.terminal import Exit, console, print_json, stderr
from gateway.cli.verdict import masked, place
from gateway.codes import Declarations, Document, TriState
from gateway.edge import Checkpoint
from gateway.recognition import RefusedEvidence

if TYPE_CHECKING:
    from gateway.codes.conversion import LocalCode
    from gateway.edge import Conversion


class Answer(StrEnum):
    """What a holder may answer."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


_QUESTIONS: Final = {
    "contact": "是否接触过确诊或疑似病例？  Contact with a confirmed or suspected case?",
    "risk_area": "是否到过风险地区？  A stay in an area of risk?",
    "overseas": "是否到过境外？  A stay abroad?",
}
"""The three answers of ``hutong.v1.Declarations``."""


def convert(
    *,
    origin: Annotated[
        str, typer.Option("--from", help="Division whose code the holder has, for example 330100.")
    ],
    destination: Annotated[
        str, typer.Option("--to", help="Division whose code is wanted, for example 440000.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="As in the document; left out: it is asked for.")
    ] = None,
    contact: Annotated[
        Answer | None, typer.Option(help="The holder's own answer; left out: it is asked for.")
    ] = None,
    risk_area: Annotated[Answer | None, typer.Option(help="Likewise.")] = None,
    overseas: Annotated[Answer | None, typer.Option(help="Likewise.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write OUT.txt and OUT.png, readable by you only."),
    ] = None,
    document_file: DocumentFile = None,
    document: AskDocument = False,
    document_type: Type = 10,
    timeout: Timeout = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Convert a holder's code into a local code of the destination.

    The origin attests its level for the destination; the destination verifies it,
    holds it against its own condition, and gives a code that its own gates take.

    Examples:
      hutong checkpoint convert --document --from 330100 --to 440000 --out code

      hutong checkpoint convert --document-file id.txt --from 440000 --to 330100
      --name 测试甲 --contact no --risk-area no --overseas no --json
    """
    from gateway.cli.carried import show_qr, write_carried

    configure(verbose)
    settings = settings_of(config)
    holder = guarded(
        lambda: document_of(presented(None, None, document_file, document, document_type)),
        as_json=as_json,
    )
    if holder is None:
        raise typer.BadParameter("give --document or --document-file")
    shown_name = typer.prompt("姓名 name", err=True) if name is None else name
    answers = Declarations(
        contact=_answer("contact", contact),
        risk_area=_answer("risk_area", risk_area),
        overseas=_answer("overseas", overseas),
    )

    async def work() -> Conversion:
        async with Checkpoint.open(settings, follow=False) as checkpoint:
            await checkpoint.refresh_if_stale()
            return await checkpoint.convert(
                holder,
                name=shown_name,
                declarations=answers,
                origin=origin,
                destination=destination,
                timeout_seconds=timeout,
            )

    conversion = run_command(work(), as_json=as_json)
    code = conversion.local_code
    written = write_carried(out, code.qr_text) if out is not None and code is not None else ()
    if as_json:
        print_json({**conversion.to_json(), "files": [str(path) for path in written]})
    else:
        console.print(_table(conversion, holder))
        if code is not None and out is None:
            console.print(code.qr_text, soft_wrap=True, markup=False, highlight=False)
            if console.is_terminal:
                show_qr(code.qr_text)
        for path in written:
            stderr.print(f"wrote {path}", soft_wrap=True)
    if isinstance(conversion.result, RefusedEvidence):
        raise typer.Exit(Exit.COULD_NOT_RUN)
    if code is None:
        raise typer.Exit(Exit.NEGATIVE)


def _answer(question: str, given: Answer | None) -> TriState:
    while given is None:
        told = typer.prompt(f"{_QUESTIONS[question]} [yes/no/unsure]", err=True)
        # An answer is never assumed: no default, and what is no answer is asked again.
        given = next((each for each in Answer if each.value == told.strip().lower()), None)
    return TriState[given.name]


def _table(conversion: Conversion, holder: Document) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    code, reason = conversion.local_code, conversion.reason
    told = "已转码 CONVERTED" if code is not None else "未转码 NOT CONVERTED"
    table.add_row("conversion 转码", Text(told, style="bold"))
    if code is not None:
        _add_code(table, code)
    table.add_row("from 来自", place(conversion.origin))
    if conversion.instead_of is not None:
        table.add_row("instead of 代替", place(conversion.instead_of))
    table.add_row("to 去往", place(conversion.destination))
    table.add_row("document 证件", masked(holder))
    table.add_row(
        "reason 理由", Text.assemble((reason.code, "cyan"), f"\n{reason.zh}\n{reason.en}")
    )
    return table


def _add_code(table: Table, code: LocalCode) -> None:
    # The region's own text: never markup, a control sequence or a row of its own.
    state = "".join(char if char.isprintable() else "\ufffd" for char in code.state)
    table.add_row("code 本地码", Text(f"{state}  {code.scheme}"))
    table.add_row("until 到期", f"{code.valid_until:%Y-%m-%d %H:%M:%S} UTC")
    if code.negative_test_at is not None:
        table.add_row("test 核酸", f"{code.negative_test_at:%Y-%m-%d %H:%M:%S} UTC")
