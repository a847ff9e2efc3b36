"""From a plan to a request: the hub's chain, its way to the reader, the attestation.

A request is what a harness gets on its standard input (docs/spec/verifier.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from conformance_tests.vectors.catalogues import AUDIENCE, files, held_before, scheme_document
from conformance_tests.vectors.chain import Chain, listed
from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.later import learn
from conformance_tests.vectors.lists import at_hand, status_entry
from conformance_tests.vectors.plan import (
    CITY,
    DAY,
    HOUR,
    HUB,
    NEIGHBOUR,
    NOW,
    SCHEME,
    VerifierPlan,
)
from conformance_tests.vectors.statements import statement
from conformance_tests.vectors.stories import tell
from conformance_tests.vectors.tokens import NONCE, OTHER_NONCE, attestation, key_of, put, scanned

if TYPE_CHECKING:
    from collections.abc import Mapping

FEED_KEY = "hub/feed"
SCHEME_KEY = "city/schemes"
FOUNDED = NOW - 60 * DAY
"""When the hub and its regions began."""
_TIMES = {"not_before", "not_after", "published_at", "tainted_from", "revoked_at"}
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


def anchor() -> dict[str, Any]:
    """The trust anchor of every world."""
    keys = [("feed", FEED_KEY), ("token", "hub/token")]
    return {
        "hub": HUB,
        "keys": [{"use": use, "jwk": vector_key(name).public} for use, name in keys],
    }


def at(offset: int) -> int:
    """A moment of the world, from seconds beside its present."""
    return NOW + offset


def member_key(use: str, name: str, change: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A key object of a record; the times of a change are seconds from the present."""
    jwk: dict[str, Any] = dict(key_of(name).public)
    if use == "seal":
        jwk["alg"] = "ECDH-ES"
    moved = {
        member: at(value) if member in _TIMES and value is not None else value
        for member, value in (change or {}).items()
    }
    return put({"use": use, "jwk": jwk, "not_before": FOUNDED}, moved)


def record(urn: str, name: str, plan: VerifierPlan | None = None) -> dict[str, Any]:
    """The record of a region, as the feed carries it."""
    code = urn.rpartition(":")[2].removesuffix("00")
    attest = member_key("attest", f"{name}/attest", plan.key if plan else None)
    body: dict[str, Any] = {
        "urn": urn,
        "kind": "region",
        "name_zh": "",
        "name_en": name.capitalize(),
        "prefixes": [code],
        "endpoint": "127.0.0.1:1",
        "keys": [
            attest,
            member_key("attest", f"{name}/attest-ed25519"),
            member_key("state", f"{name}/state", plan.signer if plan else None),
            *(member_key(use, f"{name}/{use}") for use in ("authenticate", "seal")),
        ],
        "state": "active",
        "max_attestation_seconds": 86_400,
    }
    if plan and plan.catalogue_story:
        # A key of its own, so that a case may change the one that signs catalogues.
        body["keys"].append(member_key("state", SCHEME_KEY))
    return put(body, plan.city) if plan else body


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


def _status_as_of(plan: VerifierPlan) -> int:
    """HT-DEC-12, for a world whose feed is one snapshot of a minute ago."""
    if plan.status is None:
        return at(plan.token_iat)
    promised = plan.list.get("claims", {}).get("ttl", 1) is not None
    return at(-HOUR) if promised else at(-60)
