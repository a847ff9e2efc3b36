"""Packs: the feed for chosen divisions in one signed text (docs/spec/pack.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.vectors.chain import Chain, Link, listed
from conformance_tests.vectors.keys import digest, vector_key
from conformance_tests.vectors.lists import base_list, status_entry
from conformance_tests.vectors.plan import CITY, HOUR, LIST, NEIGHBOUR, NOW

if TYPE_CHECKING:
    from conformance_tests.vectors.keys import VectorKey
    from conformance_tests.vectors.plan import VerifierPlan

FORMAT: Final = "hutong-pack 1\n"
TYPE: Final = "hutong-pack+jwt"
DIVISIONS: Final = ("3301",)
"""Whose packs are made: those of the city, and not of its neighbour."""
_ELSEWHERE: Final = ("4201",)
_DAY_AGO: Final = NOW - 24 * HOUR


def chosen(links: list[Link]) -> list[Link]:
    """What of a chain's state concerns the city."""
    about = (CITY, f"{CITY}#", "d-", LIST)
    return [link for link in links if link.subject.startswith(about)]


def write(
    chain: Chain,
    iat: int,
    *,
    sent: list[Link] | None = None,
    bases: list[tuple[str, str]] | None = None,
    key: VectorKey | None = None,
    typ: str = TYPE,
    **claims: Any,
) -> str:
    """Write a pack of what stands on a chain.

    Args:
        chain: the hub's log.
        iat: when the pack is made.
        sent: entries in it; none: everything that is in force.
        bases: URI and token of each base list.
        key: who signs the manifest, if not the hub.
        typ: of the manifest.
        claims: of the manifest, in place of the true ones.
    """
    live = chosen(chain.live())
    entries = [link.token for link in (live if sent is None else sent)]
    lists = bases or []
    body = "".join(f"{line}\n" for line in (*entries, *(token for _, token in lists)))
    manifest = {
        "iss": chain.hub,
        "iat": iat,
        "seq": chain.sequence,
        "digest": chain.links[-1].digest,
        "after": 0,
        "prefixes": list(DIVISIONS),
        "count": len(entries),
        "live": len(live),
        "entries": listed(live),
        "lists": [
            {"uri": uri, "digest": digest(token), "bytes": len(token)} for uri, token in lists
        ],
        "bytes": len(body),
        **claims,
    }
    return f"{FORMAT}{(key or chain.key).sign(manifest, typ)}\n{body}"


def bases_of(plan: VerifierPlan) -> list[tuple[str, str]]:
    """The base list that a pack of the plan brings."""
    return [] if plan.status is None else [(LIST, base_list(plan).token)]


def whole(plan: VerifierPlan, chain: Chain) -> str:
    """One whole pack, or one that must be refused."""
    bases, iat = bases_of(plan), NOW - 60
    broken: dict[str, dict[str, Any]] = {
        "": {},
        "stranger": {"key": vector_key("stranger")},
        "token-key": {"key": vector_key("hub/token")},
        "foreign-hub": {"iss": "urn:hutong:hub:330000"},
        "future": {"iat": NOW + 120},
        "other-type": {"typ": "hutong-feed-manifest+jwt"},
        "claim-more": {"note": "by hand"},
        "entry-left-out": {"sent": chosen(chain.live())[1:]},
        "delta-on-nothing": {"after": chain.sequence - 1},
    }
    if plan.feed_break == "entry-by-a-stranger":
        first, *others = chosen(chain.live())
        forged = Chain(chain.hub, vector_key("stranger")).link(
            first.sequence, digest(""), first.kind, first.subject, _body(first), _DAY_AGO
        )
        links = [forged, *others]
        return write(chain, iat, bases=bases, sent=links, entries=listed(links))
    if plan.feed_break == "other-list":
        token = bases[0][1]
        other = base_list(replace(plan, list={**plan.list, "iat": -3 * HOUR})).token
        text = write(chain, iat, bases=bases)
        return text.replace(f"\n{token}\n", f"\n{other}\n")
    if plan.feed_break == "cut-short":
        text = write(chain, iat, bases=bases)
        return text[: text.rstrip("\n").rindex("\n") + 1]
    if plan.feed_break == "longer":
        return write(chain, iat, bases=bases) + chain.links[0].token + "\n"
    more = {"iat": iat, **broken[plan.feed_break]}
    return write(chain, more.pop("iat"), bases=bases, **more)


def continued(plan: VerifierPlan, chain: Chain) -> tuple[str, Chain]:
    """A delta on top of the pack of a chain, and the chain that it leads to."""
    later = Chain(chain.hub, chain.key, list(chain.links))
    # The neighbour's notice is not for the city: the numbers of a pack leave room.
    later.append("notice", f"{NEIGHBOUR}#key-expiring", _notice(), NOW - 50)
    link = later.append("notice", f"{CITY}#key-expiring", _notice(), NOW - 40)
    broken: dict[str, dict[str, Any]] = {
        "": {},
        "gap": {"after": chain.sequence - 1},
        "other-divisions": {"prefixes": list(_ELSEWHERE)},
    }
    claims = {"after": chain.sequence, **broken[plan.feed_break]}
    return write(later, NOW - 30, sent=[link], **claims), later


def replaced(plan: VerifierPlan, chain: Chain) -> tuple[str, Chain]:
    """A whole pack in place of the one of a chain, and the chain that it leads to."""
    later = Chain(chain.hub, chain.key, list(chain.links))
    if plan.feed_break == "older":
        later.links.pop()
    elif plan.feed_break == "second-for-number":
        return write(later, NOW - 30, bases=bases_of(plan), digest=chain.links[0].digest), later
    elif plan.feed_break == "older-word":
        older = replace(plan, list={**plan.list, "seq": 3})
        later.append("status", *status_entry(older), NOW - 40)
    else:
        later.append("notice", f"{CITY}#key-expiring", _notice(), NOW - 40)
    return write(later, NOW - 30, bases=bases_of(plan)), later


def _notice() -> dict[str, Any]:
    return {"topic": "key-expiring", "at": NOW + 240 * HOUR}


def _body(link: Link) -> dict[str, Any]:
    from conformance_tests.crypto import unsafe_claims  # noqa: PLC0415 - of our own making

    body: dict[str, Any] = unsafe_claims(link.token)["body"]
    return body
