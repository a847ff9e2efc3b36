"""How the feed reaches a reader, and what goes wrong on the way.

Every story ends with the step that a case is about. Sound, it is accepted; with a
``feed_break`` it must be refused, and the reader must hold what it held before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance_tests.vectors import stories_keys, stories_packs
from conformance_tests.vectors.chain import Chain, Link, listed
from conformance_tests.vectors.keys import respelt, vector_key
from conformance_tests.vectors.lists import status_entry
from conformance_tests.vectors.plan import CITY, DAY, HOUR, LIST, NEIGHBOUR, NOW
from conformance_tests.vectors.statements import statement
from conformance_tests.vectors.told import Told, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance_tests.vectors.keys import VectorKey
    from conformance_tests.vectors.plan import VerifierPlan

_STRANGER = "stranger"
_THIRD = "urn:hutong:region:420000"
_OTHER = "urn:hutong:region:350200"
_NEW_KIND = "weather"
_WITHDRAWN = {"withdrawn": {"reason": "left"}}


def tell(plan: VerifierPlan, chain: Chain) -> Told:
    """Tell the story of a plan.

    Raises:
        KeyError: there is no such story.
    """
    return _STORIES[plan.feed_story](plan, chain)


def _snapshot(plan: VerifierPlan, chain: Chain) -> Told:
    """One snapshot."""
    more: dict[str, dict[str, Any]] = {
        "": {},
        "count": {"count": len(chain.live()) + 1},
        "listed": {"entries": listed(list(reversed(chain.live())))},
        "tombstones": {"tombstones": listed(chain.live())},
        "digest": {"digest": chain.links[0].digest},
        "future": {"iat": NOW + 120},
        "foreign-hub": {"iss": "urn:hutong:hub:330000"},
    }
    held = chain
    if plan.feed_break == "stranger":
        snapshot = Chain(chain.hub, vector_key(_STRANGER), chain.links).snapshot(NOW - 60)
    elif plan.feed_break == "token-key":
        snapshot = Chain(chain.hub, vector_key("hub/token"), chain.links).snapshot(NOW - 60)
    elif plan.feed_break == "entry-left-out":
        snapshot = chain.snapshot(NOW - 60)
        snapshot["entries"] = snapshot["entries"][1:]
    else:
        snapshot = chain.snapshot(NOW - 60, **more[plan.feed_break])
    if plan.feed_break:
        held = Chain(chain.hub, chain.key)
    return told(held, [{"snapshot": snapshot}], plan)


def _deltas(plan: VerifierPlan, chain: Chain) -> Told:
    """Every entry from the first, then a head."""
    steps: list[dict[str, Any]] = [{"entries": [link.token for link in chain.links]}]
    steps.append({"head": chain.head(NOW - 60)})
    return told(chain, steps, plan)


def _both(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot of an early state, and all that came after it."""
    early = Chain(chain.hub, chain.key, chain.links[:2])
    steps: list[dict[str, Any]] = [
        {"snapshot": early.snapshot(NOW - 3 * HOUR)},
        {"entries": [link.token for link in chain.links[2:]]},
        {"head": chain.head(NOW - 60)},
    ]
    return told(chain, steps, plan)


def _next(plan: VerifierPlan, chain: Chain) -> Told:  # noqa: C901 - one break a branch
    """A snapshot, then one more entry, which changes nothing for the city."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 60)}]
    newest = chain.links[-1]
    number, previous, iat = newest.sequence + 1, newest.digest, NOW - 30
    key: VectorKey | None = None
    kind, subject, body = "notice", f"{NEIGHBOUR}#key-expiring", _notice()
    if plan.feed_break == "gap":
        number += 1
    elif plan.feed_break == "fork-behind":
        previous = chain.links[0].digest
    elif plan.feed_break == "second-for-number":
        number, previous = newest.sequence, chain.links[-2].digest
    elif plan.feed_break == "rolled-back":
        number, previous = 1, newest.digest
    elif plan.feed_break == "future":
        iat = NOW + 120
    elif plan.feed_break == "stranger":
        key = vector_key(_STRANGER)
    elif plan.feed_break == "critical":
        kind, subject, body = _NEW_KIND, "330100", {"critical": True, "rain": 3}
    elif plan.feed_break == "other-subject":
        record = {**_record_of(chain, NEIGHBOUR), "urn": _THIRD, "prefixes": ["4202"]}
        kind, subject, body = "authority", _OTHER, record
    elif plan.feed_break == "prefix-taken":
        record = {**_record_of(chain, NEIGHBOUR), "urn": _THIRD, "prefixes": ["4201"]}
        kind, subject, body = "authority", _THIRD, record
    elif plan.feed_break == "kid":
        body = _record_of(chain, NEIGHBOUR)
        jwk = {**body["keys"][0]["jwk"], "kid": vector_key(_STRANGER).kid}
        body = {**body, "keys": [{**body["keys"][0], "jwk": jwk}, *body["keys"][1:]]}
        kind, subject = "authority", NEIGHBOUR
    link = chain.link(number, previous, kind, subject, body, iat, key=key)
    steps.append({"entries": [link.token]})
    if not plan.feed_break:
        chain.links.append(link)
    return told(chain, steps, plan)


def _spelt(plan: VerifierPlan, chain: Chain) -> Told:
    """The newest entry comes in its higher spelling; then the hub names it by the lower."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 60)}]
    link = chain.append("notice", f"{NEIGHBOUR}#key-expiring", _notice(), NOW - 50)
    steps.append({"entries": [respelt(link.token)]})
    if plan.feed_story == "spelt-entry":
        after = chain.append("notice", f"{CITY}#key-expiring", _notice(), NOW - 40)
        steps.append({"entries": [after.token]})
    elif plan.feed_story == "spelt-head":
        steps.append({"head": chain.head(NOW - 40)})
    elif plan.feed_story == "spelt-snapshot":
        steps.append({"snapshot": chain.snapshot(NOW - 40)})
    else:
        steps += [{"entries": [link.token]}, {"head": chain.head(NOW - 40)}]
    return told(chain, steps, plan)


def _dated(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot, then one more entry; broken, it is dated before the one it follows."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 60)}]
    newest = chain.links[-1]
    iat = NOW - DAY if plan.feed_break else NOW - 50
    subject = f"{NEIGHBOUR}#key-expiring"
    link = chain.link(newest.sequence + 1, newest.digest, "notice", subject, _notice(), iat)
    if not plan.feed_break:
        chain.links.append(link)
    return told(chain, [*steps, {"entries": [link.token]}], plan)


def _head(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot, then a head that says that nothing changed."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 120)}]
    more: dict[str, dict[str, Any]] = {
        "": {},
        "older": {"seq": chain.sequence - 1, "digest": chain.links[-2].digest},
        "ahead": {"seq": chain.sequence + 1, "digest": chain.links[0].digest},
        "second-for-number": {"digest": chain.links[0].digest},
        "future": {"iat": NOW + 120},
    }
    if plan.feed_break == "stranger":
        head = Chain(chain.hub, vector_key(_STRANGER), chain.links).head(NOW - 60)
    else:
        head = chain.head(NOW - 60, **more[plan.feed_break])
    ends = told(chain, [*steps, {"head": head}], plan)
    return ends if plan.feed_break else replace(ends, as_of=NOW - 60)


def _again(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot, and a later one in its place."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - HOUR)}]
    later = Chain(chain.hub, chain.key, list(chain.links))
    if plan.feed_break == "older":
        later.links.pop()
    else:
        later.append("notice", f"{NEIGHBOUR}#key-expiring", _notice(), NOW - 90)
    snapshot = later.snapshot(NOW - 60)
    if plan.feed_break == "left-out":
        kept = [link for link in later.live() if link.subject != NEIGHBOUR]
        snapshot = {
            "manifest": later.key.sign(
                {
                    "iss": later.hub,
                    "seq": later.sequence,
                    "digest": later.links[-1].digest,
                    "iat": NOW - 60,
                    "count": len(kept),
                    "entries": listed(kept),
                    "floor": 0,
                    "tombstones": listed([]),
                },
                "hutong-feed-manifest+jwt",
            ),
            "entries": [link.token for link in kept],
        }
    if plan.feed_break == "other-history":
        other = Chain(chain.hub, chain.key)
        for link in chain.links:
            other.append(link.kind, link.subject, _body(link), NOW - 50 * DAY + link.sequence)
        other.append("notice", f"{NEIGHBOUR}#key-expiring", _notice(), NOW - 90)
        snapshot = other.snapshot(NOW - 60)
    steps.append({"snapshot": snapshot})
    return told(chain if plan.feed_break else later, steps, plan)


def _unknown_kind(plan: VerifierPlan, chain: Chain) -> Told:
    """An entry of a kind that nobody knows yet, in a snapshot and in a delta."""
    chain.append(_NEW_KIND, "330100", {"rain": 3}, NOW - 90)
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 80)}]
    link = chain.append(_NEW_KIND, "420100", {"rain": 1}, NOW - 70)
    return told(chain, [*steps, {"entries": [link.token]}], plan)


def _withdrawn(plan: VerifierPlan, chain: Chain) -> Told:
    """A tombstone for the city's record, after a snapshot in which it stands."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - HOUR)}]
    link = chain.append("authority", CITY, _WITHDRAWN, NOW - 90)
    return told(chain, [*steps, {"entries": [link.token]}], plan)


def _stone(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot that lists the tombstone."""
    chain.append("authority", CITY, _WITHDRAWN, NOW - 90)
    return told(chain, [{"snapshot": chain.snapshot(NOW - 60)}], plan)


def _forgotten(plan: VerifierPlan, chain: Chain) -> Told:
    """A held entry was withdrawn and its tombstone forgotten: below the floor that is told."""
    chain.append("notice", f"{CITY}#key-expiring", _notice(), NOW - 2 * HOUR)
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 2 * HOUR)}]
    chain.append("notice", f"{CITY}#key-expiring", _WITHDRAWN, NOW - 90)
    chain.append("notice", f"{NEIGHBOUR}#key-expiring", _notice(), NOW - 80)
    before = Chain(chain.hub, chain.key, chain.links[:-2])
    chain.floor = chain.sequence - 1
    snapshot = chain.snapshot(NOW - 60)
    if plan.feed_break == "above-floor":
        chain.floor = before.sequence
        live = chain.live()
        snapshot = {
            "manifest": chain.key.sign(
                {
                    "iss": chain.hub,
                    "seq": chain.sequence,
                    "digest": chain.links[-1].digest,
                    "iat": NOW - 60,
                    "count": len(live),
                    "entries": listed(live),
                    "floor": chain.floor,
                    "tombstones": listed([]),
                },
                "hutong-feed-manifest+jwt",
            ),
            "entries": [link.token for link in live],
        }
    held = before if plan.feed_break else chain
    return told(held, [*steps, {"snapshot": snapshot}], plan)


def _policy(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot with the neighbour's policy, then a newer one of it."""
    if plan.feed_break == "not-its-kind":
        record = {**_record_of(chain, NEIGHBOUR), "kinds": ["attestation", "status"]}
        chain.append("authority", NEIGHBOUR, record, NOW - 2 * HOUR)
    else:
        chain.append("policy", f"{NEIGHBOUR}#420100", _statement("neighbour"), NOW - 2 * HOUR)
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - HOUR)}]
    newest = chain.links[-1]
    body = {
        "": _statement("neighbour", iat=NOW - 100),
        "other-key": _statement("neighbour", iat=NOW - 100, key="city/state"),
        "other-use": _statement("neighbour", iat=NOW - 100, key="neighbour/attest"),
        "other-division": _statement("neighbour", iat=NOW - 100, region="330100"),
        "older": _statement("neighbour", iat=NOW - 5 * DAY),
        "not-its-kind": _statement("neighbour", iat=NOW - 100),
        "unsigned": {"document": {"region": "420100"}},
    }[plan.feed_break]
    subject = f"{NEIGHBOUR}#{'330100' if plan.feed_break == 'other-division' else '420100'}"
    link = chain.link(newest.sequence + 1, newest.digest, "policy", subject, body, NOW - 90)
    if not plan.feed_break:
        chain.links.append(link)
    return told(chain, [*steps, {"entries": [link.token]}], plan)


def _status(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot with the city's word on its list, then a newer word."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 60)}]
    newest = chain.links[-1]
    broken: dict[str, dict[str, Any]] = {
        "": {"seq": 5},
        "older": {"seq": 3},
        "other-key": {"seq": 5, "change_key": "neighbour/attest"},
        "unordered": {"seq": 5, "changes": {"1": [5, 3]}},
        "other-list": {"seq": 5, "change_uri": "urn:hutong:status:330100:night"},
    }
    said = replace(plan, list={**plan.list, **broken[plan.feed_break]})
    _, body = status_entry(said)
    link = chain.link(newest.sequence + 1, newest.digest, "status", LIST, body, NOW - 30)
    if not plan.feed_break:
        chain.links.append(link)
    return told(chain, [*steps, {"entries": [link.token]}], plan)


def _statement(
    name: str, *, iat: int = NOW - 3 * HOUR, key: str = "", region: str = "420100"
) -> dict[str, Any]:
    body = {"region": region, "version": "1"}
    return statement(NEIGHBOUR, key or f"{name}/state", "policy", body, iat)


def _notice() -> dict[str, Any]:
    return {"topic": "key-expiring", "at": NOW + 10 * DAY}


def _record_of(chain: Chain, urn: str) -> dict[str, Any]:
    link = chain.newest()["authority", urn]
    return _body(link)


def _body(link: Link) -> dict[str, Any]:
    from conformance_tests.crypto import unsafe_claims  # noqa: PLC0415 - of our own making

    body: dict[str, Any] = unsafe_claims(link.token)["body"]
    return body


_STORIES: dict[str, Callable[[VerifierPlan, Chain], Told]] = {
    "snapshot": _snapshot,
    "deltas": _deltas,
    "both": _both,
    "next": _next,
    "spelt-entry": _spelt,
    "spelt-head": _spelt,
    "spelt-snapshot": _spelt,
    "spelt-twice": _spelt,
    "head": _head,
    "again": _again,
    "unknown-kind": _unknown_kind,
    "withdrawn": _withdrawn,
    "tombstone": _stone,
    "forgotten": _forgotten,
    "policy": _policy,
    "status": _status,
    **stories_packs.STORIES,
    **stories_keys.STORIES,
    "dated": _dated,
}
