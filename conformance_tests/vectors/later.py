"""What a reader learns after it has read an attestation, and before it reads it again.

One request may be followed by another to the same reader (``later`` in
docs/spec/verifier.md): whatever it remembers of the first reading must not outlive what
the feed says since.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import unsafe_claims
from conformance_tests.vectors.lists import status_entry
from conformance_tests.vectors.plan import CITY, DAY, HOUR, NEIGHBOUR, NOW

if TYPE_CHECKING:
    from conformance_tests.vectors.chain import Chain
    from conformance_tests.vectors.plan import VerifierPlan

_LEARNT = NOW + 60
"""When the feed says it; the reader reads again a minute after that."""
_KEY_CHANGES: dict[str, dict[str, Any]] = {
    "taint": {"tainted_from": NOW - HOUR, "reason": "copied"},
    "revocation": {"revoked_at": _LEARNT, "reason": "stolen"},
    "ended": {"not_after": NOW, "reason": "rotated"},
}
_STATES = {"suspension": "suspended", "departure": "withdrawn"}


def learn(plan: VerifierPlan, chain: Chain) -> dict[str, Any]:
    """Put what is learnt on the chain; return what differs in the second request.

    Args:
        plan: ``later`` names it: ``nothing``, ``time`` (the attestation has expired),
            ``taint``, ``revocation`` or ``ended`` of its key, ``suspension`` or
            ``departure`` of its authority, ``distrust`` of its last hours, ``trust``
            again, ``status`` (its entry is revoked).
        chain: the hub's log.
    """
    said = plan.later
    now = NOW + plan.token_exp + HOUR if said == "time" else _LEARNT + 60
    before = chain.sequence
    if said in {"nothing", "time"}:
        chain.append(
            "notice",
            f"{NEIGHBOUR}#key-expiring",
            {"topic": "key-expiring", "at": NOW + DAY},
            _LEARNT,
        )
    elif said == "distrust":
        rule = {"issuer": CITY, "signed_from": NOW - HOUR}
        body = {"rule": rule, "reason": "a key was copied", "decided_at": _LEARNT}
        chain.append("distrust", "d-2", body, _LEARNT)
    elif said == "trust":
        chain.append("distrust", "d-1", {"withdrawn": {"reason": "an error"}}, _LEARNT)
    elif said == "status":
        revoked = replace(plan, list={**plan.list, "seq": 5, "change": 1})
        chain.append("status", *status_entry(revoked), _LEARNT)
    else:
        chain.append("authority", CITY, _record(chain, said), _LEARNT)
    entries = [link.token for link in chain.links[before:]]
    return {"now": now, "feed": [{"entries": entries}, {"head": chain.head(now - 30)}]}


def _record(chain: Chain, said: str) -> dict[str, Any]:
    link = chain.newest()["authority", CITY]
    body: dict[str, Any] = unsafe_claims(link.token)["body"]
    if said in _STATES:
        return {**body, "state": _STATES[said]}
    first, *others = body["keys"]
    return {**body, "keys": [{**first, **_KEY_CHANGES[said]}, *others]}
