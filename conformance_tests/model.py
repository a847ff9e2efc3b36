"""What a check is, what it may find, and what a run says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What the implementation under test is."""

    ADAPTER = "adapter"
    HUB = "hub"
    ISSUER = "issuer"
    VERIFIER = "verifier"


class Severity(StrEnum):
    """Follows the keyword of the requirement."""

    MUST = "must"
    SHOULD = "should"


class Status(StrEnum):
    """What came of a check."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    WARN = "warn"
    """A SHOULD that does not hold."""
    NOT_APPLICABLE = "not applicable"
    """The profile does not declare what the check needs."""
    UNTESTABLE = "untestable"
    """Declared, but the means to test it are missing; counts as a failure."""
    VOID = "void"
    """The positive twin failed, so the negative result says nothing; a failure."""
    ERROR = "error"
    """The suite itself failed."""


class Exit(IntEnum):
    """What a run returns to the shell."""

    CONFORMANT = 0
    NOT_CONFORMANT = 1
    COULD_NOT_RUN = 2
    USAGE = 64


BAD = frozenset({Status.FAIL, Status.UNTESTABLE, Status.VOID, Status.ERROR})
"""Statuses that make a run not conformant."""


@dataclass(frozen=True, slots=True)
class Case:
    """One check.

    Attributes:
        id: for ever, for example ``A-GRANT-003``.
        role: whom it is for.
        title: what must hold, in one line.
        requirements: ids of docs/spec.
        severity: MUST or SHOULD.
        needs: capabilities of the profile without which it does not apply.
        given: properties of the exchange that its sound twin has too.
        change: what differs from the sound exchange, as dotted paths; empty
            for a positive case.
        scenario: name of a coded scenario instead of a single exchange.
        expect: what must come of it; see ``judge``.
    """

    id: str
    role: Role
    title: str
    requirements: tuple[str, ...]
    severity: Severity = Severity.MUST
    needs: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)
    scenario: str | None = None
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """What an exchange brought to light, already free of personal values.

    Attributes:
        code: gRPC status code name, or HTTP status as text; ``OK`` when answered.
        reason: ``ErrorInfo`` reason or OAuth error; empty when answered.
        kind: ``level``, ``outcome``, ``item error`` or ``answer``; empty when refused.
        value: the level, outcome or reason.
        notes: findings of a closer look (claims, trailers, order); each a defect.
        form: what is wrong with the form of an attestation; a defect only for the
            checks of it (``strict``), so that one fault does not fail all others.
        claims: of the attestation, for the scenarios; never reported.
    """

    code: str = "OK"
    reason: str = ""
    kind: str = ""
    value: str = ""
    notes: tuple[str, ...] = ()
    form: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one check."""

    case: Case
    status: Status
    detail: str = ""
    milliseconds: int = 0


class CheckFailedError(Exception):
    """A scenario found a defect; the text says which, without personal values."""


class VoidError(Exception):
    """The sound exchange beside a check failed; the text says how."""


class UntestableError(Exception):
    """The profile declares a capability but lacks what is needed to test it."""


def judge(case: Case, seen: Observed) -> tuple[Status, str]:
    """Hold what was seen against what the case expects.

    Expectations: ``refused`` (a mapping with ``codes`` and ``reasons``), ``levels``,
    ``outcomes`` or ``refusals`` of a conversion (lists of allowed values). Notes of a
    closer look always fail, those of an attestation's form where the case is ``strict``.

    Args:
        case: the check.
        seen: what the exchange brought.

    Returns:
        Status and a sentence on why.
    """
    defects = seen.notes + (seen.form if case.expect.get("strict") else ())
    if defects:
        defect, shown = "; ".join(defects), ""
    elif "refused" in case.expect:
        defect, shown = _judge_refusal(case.expect["refused"], seen)
    else:
        defect, shown = _judge_answer(case.expect, seen)
    if not defect:
        return Status.PASS, shown
    return Status.FAIL if case.severity is Severity.MUST else Status.WARN, defect


def _judge_refusal(allowed: Mapping[str, Any], seen: Observed) -> tuple[str, str]:
    """Return the defect, or nothing and what was seen."""
    reason = seen.reason or seen.value
    if seen.kind != "item error":
        if seen.code == "OK":
            return f"answered with {seen.kind} {seen.value}, should be refused", ""
        if seen.code not in allowed["codes"]:
            return f"refused with {seen.code}, allowed: {', '.join(allowed['codes'])}", ""
    if reason not in allowed["reasons"]:
        return f"refused for {reason or 'no reason'}, allowed: {', '.join(allowed['reasons'])}", ""
    return "", f"{seen.code} {reason}"


def _judge_answer(expect: Mapping[str, Any], seen: Observed) -> tuple[str, str]:
    """Return the defect, or nothing and what was seen."""
    found = f"{seen.kind} {seen.value}".strip() or f"{seen.code} {seen.reason}".strip()
    for kind in ("level", "outcome", "refusal"):
        allowed = expect.get(f"{kind}s")
        if allowed is not None:
            if seen.kind == kind and seen.value in allowed:
                return "", found
            return f"{found}, expected {kind} {' or '.join(allowed)}", ""
    if seen.code != "OK":
        return f"refused with {seen.code} {seen.reason}, should be answered", ""
    if seen.kind == "item error":
        return f"refused for {seen.value}, should be answered", ""
    return "", "answered"
