"""From a plan to a request: the hub's chain, its way to the reader, the attestation.

A request is what a harness gets on its standard input (docs/spec/verifier.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from conformance_tests.vectors.catalogues import AUDIENCE, files, held_before, scheme_document
from conformance_tests.vectors.chain import Chain, listed
from conformance_tests.vectors.federation import HubsPlan, issuer, several, silence_in
from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.later import learn
from conformance_tests.vectors.lists import at_hand, status_entry
from conformance_tests.vectors.plan import (
    CITY,
    HOUR,
    HUB,
    NEIGHBOUR,
    SCHEME,
    VerifierPlan,
)
from conformance_tests.vectors.records import (
    FEED_KEY,
    FOUNDED,
    SCHEME_KEY,
    anchor,
    at,
    record,
)
from conformance_tests.vectors.statements import statement
from conformance_tests.vectors.stories import tell
from conformance_tests.vectors.tokens import NONCE, OTHER_NONCE, attestation, put, scanned

_RULE_TIMES = {"signed_from", "signed_until"}


@dataclass(frozen=True, slots=True)
class World:
    """A request and what the reader must hold after it.

    Attributes:
        request: without an id.
        sequence: number of the newest entry that it holds.
        live: digest over the digests of its live entries.
        as_of: when the hub last vouched for that; None: not asked here.
        refused: the step of the feed that must be refused; None: every one is sound.
        after: what must be held at the second reading; None: there is none.
        listed: people that are listed when a refused file leaves what was held; None:
            no catalogue is refused here.
        status_as_of: of when the word on the attestation's status is; None: not asked.
        trust_as_of: of when the oldest word is that it rests on; None: not asked.
        issuer: who states it.
        first: why the first of two readings must be refused; empty: it must not.
    """

    request: dict[str, Any] = field(repr=False)
    sequence: int
    live: str
    as_of: int | None
    refused: int | None
    after: World | None = None
    first: str = ""
    status_as_of: int | None = None
    listed: int | None = None
    trust_as_of: int | None = None
    issuer: str = CITY


def chain_of(plan: VerifierPlan) -> Chain:
    """The hub's log up to the world's present."""
    chain = Chain(HUB, vector_key(FEED_KEY))
    chain.append("authority", NEIGHBOUR, record(NEIGHBOUR, "neighbour"), FOUNDED)
    chain.append("authority", CITY, record(CITY, "city"), FOUNDED + HOUR)
    chain.append("authority", CITY, record(CITY, "city", plan), at(-2 * HOUR))
    if plan.catalogue_story:
        body = statement(CITY, SCHEME_KEY, "scheme", scheme_document(), at(-90 * 60))
        chain.append("scheme", f"{CITY}#{SCHEME.partition('@')[0]}", body, at(-HOUR))
    if plan.status is not None:
        chain.append("status", *status_entry(plan), at(-HOUR))
    silence_in(chain, plan)
    if plan.distrust is not None:
        rule = {"issuer": CITY, "signed_from": -HOUR, **plan.distrust}
        moved = {name: at(value) if name in _RULE_TIMES else value for name, value in rule.items()}
        body = {"rule": put(moved, {}), "reason": "a key was copied", "decided_at": at(-300)}
        chain.append("distrust", "d-1", body, at(-300))
        if plan.distrust_withdrawn:
            chain.append("distrust", "d-1", {"withdrawn": {"reason": "an error"}}, at(-200))
    return chain


def build(plan: VerifierPlan) -> World:
    """Write the request of a plan."""
    if plan.hubs is not None:
        return _of_several(plan)
    chain = chain_of(plan)
    told = tell(plan, chain)
    request: dict[str, Any] = {"now": at(plan.now), "anchor": anchor(), "feed": told.steps}
    if plan.token:
        request |= {
            "token": scanned(plan, attestation(plan).token),
            "audience": f"urn:hutong:region:{plan.audience}",
        }
    if plan.asked:
        request["nonce"] = NONCE if plan.asked == "same" else OTHER_NONCE
    if plan.status is not None:
        request["lists"] = at_hand(plan)
    after = None
    if plan.catalogue_story:
        del request["token"]
        request |= {"audience": AUDIENCE, "catalogues": files(plan)}
        held = held_before(plan)
        return World(request, told.sequence, told.live, told.as_of, None, listed=held)
    if plan.later:
        request["later"] = [learn(plan, chain)]
        after = World(request["later"][0], chain.sequence, listed(chain.live()), None, None)
    first = "ATTESTATION_DISTRUSTED" if plan.later == "trust" else ""
    world = World(request, told.sequence, told.live, told.as_of, told.refused, after, first)
    return replace(world, status_as_of=_status_as_of(plan)) if plan.ages else world


def _of_several(plan: VerifierPlan) -> World:
    """The same where several hubs' feeds reach the reader, one snapshot each."""
    made = several(plan)
    request: dict[str, Any] = {
        "now": at(plan.now),
        "anchor": made.anchor,
        "feed": made.steps,
        "relayed": made.relayed,
        "token": scanned(plan, attestation(plan).token),
        "audience": f"urn:hutong:region:{plan.audience}",
    }
    if plan.status is not None:
        request["lists"] = at_hand(plan)
    hubs = HubsPlan().changed(plan.hubs or {})
    world = World(request, made.own.sequence, listed(made.own.live()), None, None)
    world = replace(world, issuer=issuer(hubs))
    if not plan.ages:
        return world
    believed = hubs.silent_in == hubs.home
    status_as_of = _status_as_of(plan if believed else replace(plan, silence=None))
    return replace(world, status_as_of=status_as_of, trust_as_of=made.trust_as_of)


def _status_as_of(plan: VerifierPlan) -> int:
    """HT-DEC-12, for a world whose feeds are one snapshot of a minute ago each."""
    if plan.status is None:
        return at(plan.token_iat)
    promised = plan.list.get("claims", {}).get("ttl", 1) is not None
    newest = at(-HOUR) if promised else at(-60)
    silent = plan.silence is not None and not plan.silence_ended
    return min(newest, at(plan.silence or 0)) if silent else newest
