"""Runs the vectors of a scheme through the translation engine.

An adapter does this before it serves, and ``hutong adapter test`` on demand: a
scheme whose vectors do not come out as expected is not served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.sdk.reports import LocalReport, OutcomeReport
from adapters.sdk.translation import translate
from gateway.codes.scheme_model import SchemeError

if TYPE_CHECKING:
    from gateway.codes.scheme_model import Scheme, Vector
    from gateway.codes.unified import UnifiedCode


@dataclass(frozen=True, slots=True)
class VectorResult:
    """What came of one vector.

    Attributes:
        name: the vector.
        expected: what must come, in words.
        got: what came, in words.
    """

    name: str
    expected: str
    got: str

    @property
    def passed(self) -> bool:
        """Whether the two are the same."""
        return self.expected == self.got


def run_vectors(scheme: Scheme) -> tuple[VectorResult, ...]:
    """Run every vector of a scheme, in the order of the document."""
    return tuple(_run(scheme, vector) for vector in scheme.vectors)


def check_vectors(scheme: Scheme) -> None:
    """Refuse a scheme whose vectors do not come out as expected.

    Raises:
        SchemeError: SCHEME_INVALID, naming each vector that differs.
    """
    failed = [result for result in run_vectors(scheme) if not result.passed]
    if failed:
        text = "; ".join(f"{r.name}: expected {r.expected}, got {r.got}" for r in failed)
        raise SchemeError(f"vectors of {scheme.family} differ: {text}")


def _run(scheme: Scheme, vector: Vector) -> VectorResult:
    reports = [LocalReport(**report) for report in vector.reports]
    got = translate(scheme, reports, vector.at)
    expected = str(vector.outcome or vector.level)
    if vector.also:
        expected += " also " + " ".join(vector.also)
    if vector.basis is not None:
        expected += " basis " + " ".join(sorted(vector.basis))
    return VectorResult(vector.name, expected, _words(got, vector))


def _words(got: UnifiedCode | OutcomeReport, vector: Vector) -> str:
    if isinstance(got, OutcomeReport):
        return str(got.outcome)
    text = str(got.level)
    if got.also:
        text += " also " + " ".join(code.level for code in got.also)
    if vector.basis is not None:
        text += " basis " + " ".join(sorted(got.basis))
    return text
