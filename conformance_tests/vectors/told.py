"""A story of the feed as it is told to a reader: its steps, and what they lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance_tests.vectors.chain import Chain, listed

if TYPE_CHECKING:
    from conformance_tests.vectors.plan import VerifierPlan


@dataclass(frozen=True, slots=True)
class Told:
    """Steps for a reader, and what it must hold after them.

    Attributes:
        steps: ``snapshot``, ``entries`` or ``head`` each.
        sequence: number of the newest entry that it holds.
        live: digest over the digests of what it holds live.
        as_of: when the hub last vouched for that; None: not asked.
        refused: place of the step that must be refused; None: none.
    """

    steps: list[dict[str, Any]] = field(repr=False)
    sequence: int
    live: str
    refused: int | None = None
    as_of: int | None = None


def told(chain: Chain, steps: list[dict[str, Any]], plan: VerifierPlan) -> Told:
    """The end of a story: a broken last step leaves what was held before it."""
    return Told(
        steps, chain.sequence, listed(chain.live()), len(steps) - 1 if plan.feed_break else None
    )
