"""Stories of packs: how the feed reaches a reader without a line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance_tests.vectors import packs
from conformance_tests.vectors.chain import Chain, listed
from conformance_tests.vectors.plan import NOW
from conformance_tests.vectors.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance_tests.vectors.plan import VerifierPlan


def _pack(plan: VerifierPlan, chain: Chain) -> Told:
    """A whole pack for the city's divisions."""
    return _carried([packs.whole(plan, chain)], chain, plan)


def _pack_delta(plan: VerifierPlan, chain: Chain) -> Told:
    """A pack, and a delta on top of it."""
    delta, later = packs.continued(plan, chain)
    steps = [packs.write(chain, NOW - 60, bases=packs.bases_of(plan)), delta]
    return _carried(steps, chain if plan.feed_break else later, plan)


def _pack_age(plan: VerifierPlan, chain: Chain) -> Told:
    """As before; it is asked how old what is held is."""
    return replace(_pack_delta(plan, chain), as_of=NOW - 30)


def _pack_again(plan: VerifierPlan, chain: Chain) -> Told:
    """A pack, and a whole one in its place."""
    pack, later = packs.replaced(plan, chain)
    steps = [packs.write(chain, NOW - 60, bases=packs.bases_of(plan)), pack]
    return _carried(steps, chain if plan.feed_break else later, plan)


def _carried(texts: list[str], held: Chain, plan: VerifierPlan) -> Told:
    """The end of a story of packs: what is held concerns the city alone."""
    refused = len(texts) - 1 if plan.feed_break else None
    steps: list[dict[str, Any]] = [{"pack": text} for text in texts]
    if refused == 0:
        return Told(steps, 0, listed([]), refused)
    return Told(steps, held.sequence, listed(packs.chosen(held.live())), refused)


STORIES: dict[str, Callable[[VerifierPlan, Chain], Told]] = {
    "pack": _pack,
    "pack-delta": _pack_delta,
    "pack-age": _pack_age,
    "pack-again": _pack_again,
}
