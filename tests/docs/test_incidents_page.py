"""The page of incidents names reasons and tests that there are, and every fault of trust."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "incidents.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "`tests/" in line
]
FAULTS = (
    *("older feed", "entry is missing", "fork", "head that is too old", "hub above"),
    *("key outside its prefix", "tainted key", "list that has expired", "index", "bomb", "stale"),
    *("clock is behind", "clock is ahead", "half a rotation", "between two hubs", "accepted"),
)
"""What must not be missing, by words of its row."""


def fault(row: list[str]) -> str:
    return row[0].partition("<br>")[0]


def named(row: list[str]) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[-1])


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


@cache
def known_reasons() -> frozenset[str]:
    """Every word in capitals that the code says."""
    said = (path.read_text("utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    return frozenset(word for text in said for word in re.findall(r'"([A-Z][A-Z_]+)"', text))


@pytest.mark.parametrize("row", ROWS, ids=fault)
def test_a_test_that_the_page_names_exists(row: list[str]) -> None:
    assert named(row)
    assert row[-1].count("`") == 2 * len(named(row))
    assert [name for path, name in named(row) if name not in functions_of(path)] == []


@pytest.mark.parametrize("row", [row for row in ROWS if len(row) == 4], ids=fault)
def test_a_reason_of_the_page_is_one_that_is_given(row: list[str]) -> None:
    [reason] = re.findall(r"`([A-Z_]+)`", row[1])
    # Of ages the policy's test builds the word from its subject.
    spelt = {reason, *re.findall("_TOO_OLD$", reason)}
    assert reason in known_reasons()
    texts = [(ROOT / path).read_text("utf-8") for path, _ in named(row)]
    assert any(word in text for word in spelt for text in texts)


def test_the_list_is_whole() -> None:
    said = " ".join(map(fault, ROWS))
    assert [words for words in FAULTS if words not in said] == []
