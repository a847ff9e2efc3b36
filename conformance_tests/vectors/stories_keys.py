"""Stories of the hub's own keys: sets of them, each signed under the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conformance_tests.vectors import packs
from conformance_tests.vectors.chain import Chain, listed
from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.plan import CITY, DAY, NEIGHBOUR, NOW
from conformance_tests.vectors.told import Told, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance_tests.vectors.plan import VerifierPlan

_KIND = "hub-keys"
_FIRST, _SECOND, _THIRD = "hub/feed", "hub/feed-2", "hub/feed-3"
NAMES = (_SECOND, _THIRD)
_SET_AT = NOW - 3000
_BEGINS = NOW - 2000
_ENDS = NOW - 1000


def key(name: str, begins: int = 0, **more: Any) -> dict[str, Any]:
    """A feed key of the hub as it stands in a set."""
    return {"use": "feed", "jwk": vector_key(name).public, "not_before": begins, **more}


def body(*keys: dict[str, Any]) -> dict[str, Any]:
    """What an entry of a set says, the token key of the anchor included."""
    token = {"use": "token", "jwk": vector_key("hub/token").public, "not_before": 0}
    return {"critical": True, "keys": [*keys, token]}


@dataclass(frozen=True, slots=True)
class _Rotated:
    """A chain on which the first feed key has made way for the second."""

    chain: Chain

    def append(self, kind: str, subject: str, said: dict[str, Any], iat: int, name: str) -> None:
        chain = self.chain
        link = chain.link(
            chain.sequence + 1,
            chain.links[-1].digest,
            kind,
            subject,
            said,
            iat,
            key=vector_key(name),
        )
        chain.links.append(link)


def _sound() -> dict[str, Any]:
    return body(key(_FIRST, not_after=_ENDS), key(_SECOND, _BEGINS))


def _set(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot under the anchor, then the first set."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 3200)}]
    newest = chain.links[-1]
    said: dict[str, dict[str, Any]] = {
        "left-out": body(key(_SECOND, _SET_AT)),
        "from-the-past": body(key(_FIRST, not_after=_ENDS), key(_SECOND, _SET_AT - 60)),
        "revoked": body(key(_FIRST, revoked_at=_SET_AT, reason="stolen"), key(_SECOND, _SET_AT)),
        "ended-in-the-past": body(key(_FIRST, not_after=_SET_AT - 60), key(_SECOND, _SET_AT)),
        "none-left": body(key(_FIRST, not_after=_ENDS)),
    }
    number = {"gap": "2", "older": "0"}.get(plan.feed_break, "1")
    hub = "urn:hutong:hub:330000" if plan.feed_break == "other-hub" else chain.hub
    signer = "stranger" if plan.feed_break == "stranger" else _FIRST
    link = chain.link(
        newest.sequence + 1,
        newest.digest,
        _KIND,
        f"{hub}#{number}",
        said.get(plan.feed_break, _sound()),
        _SET_AT,
        key=vector_key(signer),
    )
    if not plan.feed_break:
        chain.links.append(link)
    return told(chain, [*steps, {"entries": [link.token]}], plan)


def _rotated(chain: Chain) -> _Rotated:
    made = _Rotated(chain)
    made.append(_KIND, f"{chain.hub}#1", _sound(), _SET_AT, _FIRST)
    return made


def _after(plan: VerifierPlan, chain: Chain) -> Told:
    """The set, then an entry and a head by the key that it names."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 3200)}]
    made = _rotated(chain)
    steps.append({"entries": [chain.links[-1].token]})
    newest = chain.links[-1]
    kind, subject, said = "notice", f"{NEIGHBOUR}#key-expiring", _notice()
    iat, signer = NOW - 900, _SECOND
    if plan.feed_break == "ended-key":
        signer = _FIRST
    elif plan.feed_break == "dated-back":
        # By a key that had ended, and dated to before its end: later entries show it.
        iat, signer = _SET_AT - 60, _FIRST
    elif plan.feed_break == "again":
        kind, subject, said = _KIND, f"{chain.hub}#1", _sound()
    elif plan.feed_break == "withdrawn":
        kind, subject, said = _KIND, f"{chain.hub}#1", {"withdrawn": {"reason": "an error"}}
    elif plan.feed_break == "comes-back":
        kind, subject = _KIND, f"{chain.hub}#2"
        said = body(key(_FIRST, not_after=NOW + DAY), key(_SECOND, _BEGINS))
    if plan.feed_break:
        link = chain.link(
            newest.sequence + 1, newest.digest, kind, subject, said, iat, key=vector_key(signer)
        )
        return told(chain, [*steps, {"entries": [link.token]}], plan)
    made.append(kind, subject, said, iat, signer)
    steps.append({"entries": [chain.links[-1].token]})
    vouched = replace(chain, key=vector_key(_SECOND))
    return told(chain, [*steps, {"head": vouched.head(NOW - 60)}], plan)


def _walk(plan: VerifierPlan, chain: Chain) -> Told:
    """A reader with the first anchor gets a snapshot two sets later."""
    made = _rotated(chain)
    third = body(
        key(_FIRST, not_after=_ENDS),
        key(_SECOND, _BEGINS, not_after=NOW - 200),
        key(_THIRD, NOW - 400),
    )
    made.append(_KIND, f"{chain.hub}#2", third, NOW - 500, _SECOND)
    signed = replace(chain, key=vector_key(_FIRST if plan.feed_break else _THIRD))
    steps: list[dict[str, Any]] = [{"snapshot": signed.snapshot(NOW - 60)}]
    if plan.feed_break:
        return Told(steps, 0, listed([]), 0)
    return told(chain, steps, plan)


def _forgotten_set(plan: VerifierPlan, chain: Chain) -> Told:
    """A snapshot after the set; broken, it lists the set no more."""
    steps: list[dict[str, Any]] = [{"snapshot": chain.snapshot(NOW - 3200)}]
    made = _rotated(chain)
    steps.append({"entries": [chain.links[-1].token]})
    before = Chain(chain.hub, chain.key, list(chain.links))
    made.append("notice", f"{CITY}#key-expiring", _notice(), NOW - 900, _SECOND)
    shown = Chain(chain.hub, vector_key(_SECOND), list(chain.links))
    if plan.feed_break:
        shown.links = [link for link in shown.links if link.kind != _KIND]
        claims = {"seq": chain.sequence, "digest": chain.links[-1].digest}
        steps.append({"snapshot": shown.snapshot(NOW - 60, **claims, floor=before.sequence + 1)})
        return told(before, steps, plan)
    steps.append({"snapshot": shown.snapshot(NOW - 60)})
    return told(chain, steps, plan)


def _pack(plan: VerifierPlan, chain: Chain) -> Told:
    """A pack two keys later, for a reader with the first anchor."""
    _rotated(chain)
    held = chain.live()
    sent = [link for link in held if link.kind == _KIND or link in packs.chosen(held)]
    made = replace(chain, key=vector_key(_SECOND))
    claims: dict[str, Any] = {"live": len(sent), "entries": listed(sent)}
    text = packs.write(made, NOW - 60, sent=sent, bases=packs.bases_of(plan), **claims)
    return Told([{"pack": text}], chain.sequence, listed(sent))


def _notice() -> dict[str, Any]:
    return {"topic": "key-expiring", "at": NOW + 10 * DAY}


STORIES: dict[str, Callable[[VerifierPlan, Chain], Told]] = {
    "set": _set,
    "set-after": _after,
    "set-walk": _walk,
    "set-forgotten": _forgotten_set,
    "set-pack": _pack,
}
