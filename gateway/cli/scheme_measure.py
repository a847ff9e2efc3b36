"""Counts what a city had to write: lines of YAML and lines of Python.

A line counts when it holds something: blank lines, comments and docstrings do not.
Python is counted in the city's folder. A connector that lives in another city's
folder is counted there and named here.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk.city import VECTORS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.cli.scheme_files import City

_LAYOUT: Final = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
)
_PACKAGE: Final = "adapters.schemes."


@dataclass(frozen=True, slots=True)
class Effort:
    """What a city had to write, in lines.

    Attributes:
        scheme: of ``scheme.yaml``.
        connector: how many of these describe the wire.
        vectors: of ``vectors.yaml``.
        python: of Python in the city's folder.
        shared_with: the shipped city, or the package, whose Python connector it uses;
            None: none's.
        is_served_apart: whether no connector is described, because a service of its
            own serves the scheme.
    """

    scheme: int
    connector: int
    vectors: int
    python: int
    shared_with: str | None
    is_served_apart: bool = False

    @property
    def needs_python(self) -> bool:
        """Whether the wire takes code: the city's own, another's, a service's."""
        return self.python > 0 or self.shared_with is not None or self.is_served_apart

    @property
    def python_words(self) -> str:
        """The lines of Python, and whose."""
        if self.is_served_apart:
            return "own service"
        if self.shared_with is None:
            return str(self.python)
        own = f"{self.python} + " if self.python else ""
        return f"{own}that of {self.shared_with}"


def measure(city: City) -> Effort:
    """Count what stands in a city's folder."""
    lines = city.text.splitlines()
    start = city.line("connector") if city.scheme.connector is not None else len(lines) + 1
    after = [city.line(name) for name in _members(city) if city.line(name) > start]
    end = min(after, default=len(lines) + 1)
    vectors = (city.folder / VECTORS_FILE).read_text("utf-8-sig").splitlines()
    return Effort(
        scheme=_filled(lines),
        connector=_filled(lines[start - 1 : end - 1]),
        vectors=_filled(vectors),
        python=sum(_code_lines(path) for path in _sources(city.folder)),
        shared_with=_shared_with(city),
        is_served_apart=city.scheme.connector is None,
    )


def _members(city: City) -> list[str]:
    return list(city.document.value) if isinstance(city.document.value, dict) else []


def _filled(lines: list[str]) -> int:
    texts = [line.strip() for line in lines]
    return sum(1 for text in texts if text and not text.startswith("#"))


def _sources(folder: Path) -> list[Path]:
    """Python of the connector; the tests and the stand-in of a scaffold are none of it."""
    return sorted(path for path in folder.glob("*.py") if path.name != "city_platform.py")


def _code_lines(path: Path) -> int:
    text = path.read_text("utf-8")
    documented = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node, clean=False) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    filled: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT:
            filled.update(range(token.start[0], token.end[0] + 1))
    return len(filled - documented)


def _shared_with(city: City) -> str | None:
    """The city, or the package, whose Python the connector is; None: its own, or none."""
    target = (city.scheme.connector or {}).get("python")
    if not isinstance(target, str):
        return None
    module = target.partition(":")[0]
    if not module.startswith(_PACKAGE):
        return None if _sources(city.folder) else module.rpartition(".")[0] or module
    owner = module.removeprefix(_PACKAGE).partition(".")[0]
    return owner if (SCHEMES_FOLDER / owner).resolve() != city.folder.resolve() else None
