"""The page of faults names switches, outcomes and tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from adapters.platforms import HARMLESS, parse_faults
from adapters.platforms.faults import SWITCHES, Garbage
from tests.adapters.platforms.test_every_city import ENDS
from tests.docs.walk import blocks, commands

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "faults.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "`" in line
]
RESEARCHED = (
    *("disagree", "empty", "quota", "qr-expired", "wrong-province", "must-update", "slow"),
    *("stale", "json-in-json", "odd-dates", "odd-dates", "lowercase-x", "shared-phone", "proxy"),
)
"""What integrators reported, in the order of the research notes."""


def switch(row: list[str]) -> str:
    return row[1].strip("`")


@pytest.mark.parametrize("row", ROWS, ids=switch)
def test_a_switch_of_the_page_is_one_of_the_platforms(row: list[str]) -> None:
    assert len(row) == 4
    word = switch(row)
    assert parse_faults([word]).to_words()[0].partition("=")[0] == word.partition("=")[0]


@pytest.mark.parametrize("row", ROWS, ids=switch)
def test_a_fault_ends_on_the_page_as_it_ends_in_every_city(row: list[str]) -> None:
    word = switch(row)
    said = set(re.findall(r"`(\w+)`", row[2]))
    if word in HARMLESS:
        assert (said, row[2]) == (set(), "as without it")
    elif word.startswith("slow="):
        assert said == {"SOURCE_TIMED_OUT"}
    else:
        assert said == set(ENDS[word])


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


@pytest.mark.parametrize("row", ROWS, ids=switch)
def test_a_test_that_the_page_names_exists(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[3])
    assert named
    assert [name for path, name in named if name not in functions_of(path)] == []


def test_the_list_is_whole() -> None:
    words = [switch(row).partition("=")[0] for row in ROWS]
    assert tuple(words[: len(RESEARCHED)]) == RESEARCHED
    assert {switch(row) for row in ROWS} >= {*SWITCHES, *(f"garbage={kind}" for kind in Garbage)}


def test_the_faults_that_the_page_switches_on_are_spelt_so() -> None:
    spelt = [
        word
        for block in blocks(PAGE)
        for words in commands(block, "hutong")
        for word in (words[3] if words[1:3] == ["fault", "set"] else "").split(",")
        if word
    ]
    assert spelt
    assert parse_faults(spelt).to_words()
