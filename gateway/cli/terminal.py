"""What every command shares at a terminal: consoles, errors, JSON, exit codes.

Exit codes: 0 done; 1 done, and the answer is no; 2 could not run; 64 the command
line itself is wrong. Results go to stdout, everything else to stderr, so that a
script may read one without the other. Colour follows the terminal and
``NO_COLOR``.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.errors import MarkupError
from rich.text import Text

if TYPE_CHECKING:
    from gateway.errors import HutongError


class Exit(IntEnum):
    """What a command returns to the shell."""

    OK = 0
    NEGATIVE = 1
    COULD_NOT_RUN = 2
    USAGE = 64  # EX_USAGE of sysexits.h


class _Terminal(Console):
    """A console that no file name can break: what is no sound markup is plain text."""

    def render_str(self, text: str, **options: Any) -> Text:
        try:
            return super().render_str(text, **options)
        except MarkupError:
            return super().render_str(text, **{**options, "markup": False})


console = _Terminal()
"""Results."""

stderr = _Terminal(stderr=True)
"""Progress, notes and errors."""


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, UTF-8, one line, keys in the order given."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def fail(message: str, *, fix: str | None = None, code: int = Exit.COULD_NOT_RUN) -> NoReturn:
    """Say what went wrong and how to mend it, then leave.

    Args:
        message: one sentence; never a personal value.
        fix: what to do about it.
        code: exit code.

    Raises:
        typer.Exit: always.
    """
    stderr.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    if fix:
        stderr.print(Text.assemble(("  fix: ", "bold"), fix), soft_wrap=True)
    raise typer.Exit(code)


def fail_with(error: HutongError, *, fix: str | None = None) -> NoReturn:
    """Report an error of ours with its stable code; a fix it brings along comes first."""
    fail(describe(error), fix=error.fix or fix)


def describe(error: HutongError) -> str:
    """One line about an error of ours: words for people, the stable code for programs."""
    text = str(error)
    if text == error.code:
        text = _WORDS.get(text, "the other side refused")
    return f"{text} [{error.code}]"


_WORDS: Final = {
    "PEER_UNREACHABLE": "the other side cannot be reached, or its certificate is not trusted",
    "DEADLINE_EXCEEDED": "no answer came in time",
    "OVERLOADED": "the other side has too much to do",
    "UNIMPLEMENTED": "the other side does not know this call",
    "INVALID_REQUEST": "the request breaks a rule of the schema",
    "TOKEN_MISSING": "the call came without an access token",
    "TOKEN_INVALID": "the access token is not accepted",
    "TOKEN_EXPIRED": "the access token has expired; is this machine's clock right?",
    "SCOPE_MISSING": "this member may not do that",
    "CALLER_SUSPENDED": "the hub has suspended this member",
    "UNKNOWN_REGION": "no connected region answers for this division",
    "REGION_SUSPENDED": "the hub has suspended the region that would answer",
    "ADAPTER_UNREACHABLE": "the region's adapter cannot be reached",
    "ADAPTER_MISBEHAVED": "the region's adapter answered against the rules",
    "SHUTTING_DOWN": "the other side is shutting down",
    "AUTHORITY_EXISTS": "this name is enrolled already, with other keys",
    "PREFIX_TAKEN": "another active region answers for one of its prefixes",
    "KEY_MALFORMED": "a key cannot be used",
    "STATEMENT_INVALID": "the signed statement does not hold",
    "POSSESSION_NOT_PROVEN": "it was not proven that the keys are held",
    "NOT_FOUND": "nobody of this name is known",
    "WRONG_STATE": "it does not stand where this could be done",
    "SCHEME_INVALID": "the scheme does not load at the other side",
    "POLICY_INVALID": "the policy does not load at the other side",
    "LEAD_TIME_TOO_SHORT": "the key would be used before every checkpoint can have seen it",
    "SEQUENCE_AHEAD": "the hub's feed has not come to this number yet",
    "PACK_EMPTY": "nothing has happened since this number",
    "PACK_BASE_TOO_OLD": "what came after this number is no longer kept at the hub",
    "PACK_TOO_LARGE": "the pack would be larger than was allowed",
    "INTERNAL": "the other side failed",
}
"""What a reason of the wire means, where the peer sent no words of its own."""
