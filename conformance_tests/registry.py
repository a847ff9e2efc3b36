"""The requirement registry and the cases, and whether they cover each other.

``requirements.yaml`` lists every requirement of ``docs/spec`` with its keyword,
its actor, a short paraphrase, and either nothing (then a check must name it) or
the reason why this release does not test it from outside. ``faults.yaml`` lists
the deliberate faults of the reference peers and which checks each must fail.
"""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Any

from conformance_tests.model import Case, Role, Severity
from conformance_tests.yamlfile import load_yaml


@dataclass(frozen=True, slots=True)
class Requirement:
    """A numbered requirement of the specification.

    Attributes:
        id: for example ``HT-ATT-8``.
        keyword: MUST, MUST NOT, SHOULD.
        actor: who has to keep it.
        text: a short paraphrase.
        untested: why no check covers it; empty when one does.
    """

    id: str
    keyword: str
    actor: str
    text: str
    untested: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A deliberate fault of a reference peer and the checks that catch it."""

    name: str
    role: Role
    text: str
    fails: frozenset[str]


@functools.cache
def _load(name: str) -> Any:
    source = importlib.resources.files("conformance_tests") / name
    return load_yaml(source.read_text(encoding="utf-8"))


def load_requirements() -> dict[str, Requirement]:
    """Return every requirement by id."""
    return {
        entry["id"]: Requirement(
            id=entry["id"],
            keyword=entry["keyword"],
            actor=entry["actor"],
            text=entry["text"],
            untested=entry.get("untested", ""),
        )
        for entry in _load("requirements.yaml")
    }


def load_cases(role: Role | None = None) -> list[Case]:
    """Return the cases of a role, or of all, in the order of their files."""
    return [
        Case(
            id=entry["id"],
            role=each,
            title=entry["title"],
            requirements=tuple(entry["requirements"]),
            severity=Severity(entry.get("severity", "must")),
            needs=tuple(entry.get("needs", ())),
            given=entry.get("given", {}),
            change=entry.get("change", {}),
            scenario=entry.get("scenario"),
            expect=entry.get("expect", {}),
        )
        for each in (Role if role is None else (role,))
        for entry in _load(f"cases/{each}.yaml")
    ]


def load_faults(role: Role | None = None) -> list[Fault]:
    """Return the faults of a role's reference peer, or of all."""
    return [
        Fault(entry["name"], Role(entry["role"]), entry["text"], frozenset(entry["fails"]))
        for entry in _load("faults.yaml")
        if role is None or entry["role"] == role
    ]


def coverage_gaps() -> list[str]:
    """Say where requirements, checks and faults do not cover each other.

    Returns:
        One sentence a gap; empty when everything is covered.
    """
    requirements = load_requirements()
    cases = load_cases()
    named = {requirement for case in cases for requirement in case.requirements}
    killed = {check for fault in load_faults() for check in fault.fails}
    ids = [case.id for case in cases]
    gaps = [f"{case.id} is defined twice" for case in cases if ids.count(case.id) > 1]
    gaps += [
        f"{name} is named by a check, not in the registry" for name in named - set(requirements)
    ]
    for requirement in requirements.values():
        if requirement.untested and requirement.id in named:
            gaps.append(f"{requirement.id} is tested, yet says why it is not")
        if not requirement.untested and requirement.id not in named:
            gaps.append(f"{requirement.id} has neither a check nor a reason")
    gaps += [f"{case.id} kills no fault" for case in cases if case.id not in killed]
    gaps += [
        f"fault {fault.name} names an unknown check {check}"
        for fault in load_faults()
        for check in fault.fails
        if check not in ids
    ]
    return sorted(set(gaps))
