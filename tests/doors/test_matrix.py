"""The table of doors and faults is whole, and nothing in it is made up."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from hutong.v1 import error_pb2

from gateway.attestation.errors import AttestationFault
from gateway.cli.terminal import Exit
from gateway.codes import Outcome
from gateway.trust.errors import FeedFault, Missing
from tests.doors.matrix import DOORS, FAULTS, MATRIX

ROOT = Path(__file__).parents[2]

OAUTH = {"invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"}
"""Errors of RFC 6749 §5.2."""

CELLS = [
    pytest.param(door, fault, id=f"{door}-{fault}".replace(" ", "_"))
    for door in DOORS
    for fault in FAULTS
]


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@cache
def codes() -> frozenset[str]:
    """Every stable code: the enumerations, and what errors are made with."""
    found = {name.removeprefix("ERROR_REASON_") for name in dict(error_pb2.ErrorReason.items())}
    for enumeration in (AttestationFault, FeedFault, Missing, Outcome):
        found |= {member.value for member in enumeration}
    found |= {member.name for member in Exit}
    for room in ("gateway", "adapters"):
        for path in (ROOT / room).rglob("*.py"):
            found |= set(_codes_in(ast.parse(path.read_text(encoding="utf-8"))))
    return frozenset(found | OAUTH)


def _codes_in(tree: ast.Module) -> list[str]:
    values: list[ast.expr | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code"):
                values.append(node.value)
            case ast.Assign(targets=[ast.Name(id="default_code" | "code")]):
                values.append(node.value)
            case ast.Call(func=ast.Name(id="Reason")):
                values.extend(node.args)
    return [
        value.value
        for value in values
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]


def test_the_table_has_every_door_and_every_fault() -> None:
    assert tuple(MATRIX) == DOORS
    assert {tuple(row) for row in MATRIX.values()} == {FAULTS}


@pytest.mark.parametrize(("door", "fault"), CELLS)
def test_a_cell_names_tests_and_codes_that_exist_or_says_why_not(door: str, fault: str) -> None:
    cell = MATRIX[door][fault]
    if cell.absent:
        assert (cell.tests, cell.reasons) == ((), ())
        return
    assert cell.tests
    assert cell.reasons
    for node in cell.tests:
        path, _, name = node.partition("::")
        assert name in functions_of(path), node
    assert set(cell.reasons) <= codes(), set(cell.reasons) - codes()
