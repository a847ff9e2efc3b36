"""Reads a guide as a reader does who types everything: files, commands, outputs.

A fenced block counts when a comment stands right before it::

    <!-- test: file PATH -->                  write the block to PATH
    <!-- test: append PATH -->                add it at the end
    <!-- test: insert PATH before TEXT -->    add it before the last line that is TEXT
    <!-- test: run -->                        run it in one shell that stops at a failure
    <!-- test: run 1 -->                      likewise; it must leave with this code
    <!-- test: output -->                     what the last run printed: these lines stand
                                              together; a line of `…` skips any number
    <!-- test: output like -->                likewise, whatever moments, ids and numbers

A page that begins with ``<!-- test: live PLACE -->`` is typed where a hub runs
(:mod:`tests.docs.live`), and may say more::

    <!-- test: keep -->                       what every later run of the page begins with
    <!-- test: run in FOLDER -->              run it there
    <!-- test: run until -->                  again and again, until it prints the output
    <!-- test: quietly COMMAND -->            alone on its line: what happens elsewhere
                                              meanwhile; the reader does not see it

Blocks without a comment need what nobody has and are read by ``commands`` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<word>\w+)(?P<rest>[^>]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_ALONE = re.compile(r"^<!-- test: (?P<word>live|quietly) (?P<rest>.*?) -->$", re.MULTILINE)
_SKIP = "…"
# What differs each time: moments, ids of keys and of distrusts, and numbers.
_VARYING = (
    (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d|Z)?", "MOMENT"),
    (r"(?<![\w-])(?=[\w-]*[A-Z0-9])[\w-]{43}(?![\w-])", "ID"),
    (r"(?<![\w:.-])(?=[a-z-]*[A-Z0-9_])[\w-]{12,16}(?![\w.-])", "ID"),
    (r"\d+(\.\d+)?", "N"),
    (r"\bN (s|min|h|d)\b", "AGE"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: where its fence stands, from 1.
        word: what the comment before it says to do; empty: there is none.
        rest: what follows the word.
        language: of the fence.
        text: without the fences.
    """

    line: int
    word: str
    rest: str
    language: str
    text: str

    def with_text(self, text: str) -> Block:
        """The same block with another text."""
        return replace(self, text=text)


def blocks(markdown: str) -> list[Block]:
    found = {
        one.start("language"): Block(
            markdown.count("\n", 0, one.start("language")) + 1,
            one["word"] or "",
            (one["rest"] or "").strip(),
            one["language"],
            one["text"],
        )
        for one in _BLOCK.finditer(markdown)
    }
    for one in _ALONE.finditer(markdown):
        line = markdown.count("\n", 0, one.start()) + 1
        found[one.start()] = Block(line, one["word"], one["rest"], "", one["rest"] + "\n")
    return [found[place] for place in sorted(found)]


def write(folder: Path, block: Block) -> None:
    """Do what a block of `file`, `append` or `insert` says."""
    name, _, mark = block.rest.partition(" before ")
    path = folder / name
    if block.word == "file":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        return
    lines = path.read_text("utf-8").splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if line.strip() == mark]
    place = places[-1] if block.word == "insert" else len(lines)
    lines[place:place] = block.text.splitlines(keepends=True)
    path.write_text("".join(lines), "utf-8")


def alike(text: str) -> str:
    """A text without what differs each time it is printed."""
    for form, word in _VARYING:
        text = re.sub(form, word, text, flags=re.ASCII)
    return text


def missing(expected: str, printed: str, *, is_like: bool = False) -> str | None:
    """The first passage of an output block that was not printed; None: all were."""
    if is_like:
        expected, printed = alike(expected), alike(printed)
    passages = re.split(rf"^{_SKIP}$", expected, flags=re.MULTILINE)
    said = _lines(printed)
    begin = 0
    for passage in filter(None, map(_lines, passages)):
        places = range(begin, len(said) - len(passage) + 1)
        found = next((at for at in places if said[at : at + len(passage)] == passage), None)
        if found is None:
            return "\n".join(passage)
        begin = found + len(passage)
    return None


def _lines(text: str) -> list[str]:
    """Lines that hold something, whatever the width of the terminal."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def commands(block: Block, program: str) -> list[list[str]]:
    """Calls of a program in a shell block, word by word."""
    text = block.text.replace("\\\n", " ")
    found = re.findall(
        rf"(?:^|[|;&(]|\$\()\s*{re.escape(program)} ([^|;&)#\n>]*)", text, re.MULTILINE
    )
    return [re.sub(r"'[^']*'|\"[^\"]*\"", "text", call).split() for call in found]
