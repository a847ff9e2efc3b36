"""Specification, requirement registry, checks and faults cover each other."""

from __future__ import annotations

import re
from pathlib import Path

from conformance_tests.model import Role
from conformance_tests.registry import coverage_gaps, load_cases, load_requirements

_SPEC = Path(__file__).parents[2] / "docs" / "spec"


def test_there_is_no_gap_between_requirements_checks_and_faults() -> None:
    assert coverage_gaps() == []


def test_the_registry_lists_exactly_the_requirements_of_the_specification() -> None:
    written = set()
    for page in _SPEC.glob("*.md"):
        written |= set(re.findall(r"^\| (HT-[A-Z]+-\d+) \|", page.read_text(), re.MULTILINE))
    assert written == set(load_requirements())


def test_the_suite_has_at_least_twenty_checks() -> None:
    assert len(load_cases()) >= 20
    assert all(load_cases(role) for role in Role)
