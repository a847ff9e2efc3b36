"""Worlds of several hubs: the nation's above two provinces', and perhaps a city's below one.

::

    nation ── guangdong          the reader's own, unless the plan says otherwise
        └──── zhejiang           says who the city is, unless the plan says otherwise
                └── hangzhou     where the city has a hub of its own
                        └── xihu   and its district one below that

Each hub signs its own feed; what a reader gets is one snapshot of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.roles.plan import Plan
from conformance_tests.vectors.chain import Chain
from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.lists import status_entry
from conformance_tests.vectors.plan import CITY, HOUR, HUB
from conformance_tests.vectors.records import FEED_KEY, FOUNDED, anchor, at, member_key, record
from conformance_tests.vectors.tokens import put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance_tests.vectors.plan import VerifierPlan

URNS: Final = {
    "nation": HUB,
    "guangdong": "urn:hutong:hub:440000",
    "zhejiang": "urn:hutong:hub:330000",
    "hangzhou": "urn:hutong:hub:330100",
    "xihu": "urn:hutong:hub:330106",
}
DISTRICT: Final = "urn:hutong:region:330106"
"""Whom the hub of Xihu speaks for, in place of the city."""
_NAMES: Final = {"nation": "hub"} | {name: name for name in URNS if name != "nation"}
"""Of the hubs' keys; the nation's is the one hub of all other worlds."""
KEYS: Final = tuple(
    f"{name}/{use}"
    for name in URNS
    if name != "nation"
    for use in ("feed", "token", "state", "authenticate")
)


@dataclass(frozen=True, slots=True)
class HubsPlan(Plan):
    """What stands in the feeds; a hub is named as in ``URNS``.

    Attributes:
        reader: whose trust anchor the reader has.
        home: whose feed holds the city.
        also: whose feed holds the city too; empty: nobody's.
        also_keys: whose keys it has there.
        listed_in: whose feed holds the word on the city's list; empty: that of its home.
        named: whether the nation's feed names the hub of Zhejiang.
        guangdong, zhejiang, hangzhou: members of the record of a hub in its superior's feed.
        zhejiang_key: members of its feed key there.
        signers: who signs a hub's feed, if not the hub.
        silent_in: whose feed says that the city is not heard, where the plan has a silence.
        words: when a hub last vouched for its feed, seconds from the present; a minute ago.
    """

    reader: str = "guangdong"
    home: str = "zhejiang"
    also: str = ""
    also_keys: str = "neighbour"
    listed_in: str = ""
    named: bool = True
    guangdong: Mapping[str, Any] = field(default_factory=dict)
    zhejiang: Mapping[str, Any] = field(default_factory=dict)
    zhejiang_key: Mapping[str, Any] = field(default_factory=dict)
    hangzhou: Mapping[str, Any] = field(default_factory=dict)
    signers: Mapping[str, str] = field(default_factory=dict)
    silent_in: str = "zhejiang"
    words: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Several:
    """What a reader of several feeds gets.

    Attributes:
        anchor: of the reader's own hub.
        own: the chain of that hub.
        steps: of its feed.
        relayed: the steps of every other feed, by URN.
        trust_as_of: of when the oldest word is that trust in the city rests on.
    """

    anchor: dict[str, Any] = field(repr=False)
    own: Chain
    steps: list[dict[str, Any]] = field(repr=False)
    relayed: dict[str, list[dict[str, Any]]] = field(repr=False)
    trust_as_of: int


def silence_in(chain: Chain, plan: VerifierPlan) -> None:
    """Say in a feed that the city is not heard, and perhaps that it is heard again."""
    if plan.silence is None:
        return
    chain.append("silence", CITY, {"since": at(plan.silence)}, at(plan.silence + 90))
    if plan.silence_ended:
        chain.append("silence", CITY, {"withdrawn": {"reason": "heard"}}, at(-120))


def several(plan: VerifierPlan) -> Several:
    """Write the feeds of a plan that has hubs."""
    hubs = HubsPlan().changed(plan.hubs or {})
    chains = _chains(plan, hubs)
    vouched = {name: at(hubs.words.get(name, -60)) for name in chains}
    steps = {name: [{"snapshot": chain.snapshot(vouched[name])}] for name, chain in chains.items()}
    return Several(
        anchor(URNS[hubs.reader], _NAMES[hubs.reader]),
        chains[hubs.reader],
        steps[hubs.reader],
        {URNS[name]: steps[name] for name in chains if name != hubs.reader},
        min(vouched[name] for name in _way(hubs)),
    )


def _depth(hubs: HubsPlan) -> tuple[str, ...]:
    """The hubs below Zhejiang's, down to the home."""
    down = ("hangzhou", "xihu")
    return down[: down.index(hubs.home) + 1] if hubs.home in down else ()


def issuer(hubs: HubsPlan) -> str:
    """Whom the home speaks for."""
    return DISTRICT if hubs.home == "xihu" else CITY


def _way(hubs: HubsPlan) -> set[str]:
    """Whose word trust in the city rests on, for the homes that worlds have."""
    if hubs.home == hubs.reader:
        return {hubs.reader}
    below = {"zhejiang", *_depth(hubs)} if _depth(hubs) else {hubs.home}
    return {hubs.reader, *below} | ({"nation"} if hubs.reader == "guangdong" else set())


def _chains(plan: VerifierPlan, hubs: HubsPlan) -> dict[str, Chain]:
    deep = _depth(hubs)
    chains = {
        name: Chain(URNS[name], vector_key(hubs.signers.get(name, f"{_NAMES[name]}/feed")))
        for name in URNS
        if name in deep or name not in ("hangzhou", "xihu")
    }
    for name in ("guangdong", "zhejiang"):
        chains[name].append("superior", HUB, _superior(HUB, FEED_KEY), FOUNDED)
    guangdong = _hub("guangdong", "44", hubs.guangdong)
    chains["nation"].append("authority", URNS["guangdong"], guangdong, FOUNDED)
    if hubs.named:
        zhejiang = _hub("zhejiang", "33", {"path_length": 1, **hubs.zhejiang}, hubs.zhejiang_key)
        chains["nation"].append("authority", URNS["zhejiang"], zhejiang, FOUNDED)
    records = {
        "hangzhou": _hub("hangzhou", "3301", hubs.hangzhou),
        "xihu": _hub("xihu", "330106", {}),
    }
    for above, name in zip(("zhejiang", *deep), deep, strict=False):
        chains[above].append("authority", URNS[name], records[name], FOUNDED)
        superior = _superior(URNS[above], f"{above}/feed")
        chains[name].append("superior", URNS[above], superior, FOUNDED)
    who, home = issuer(hubs), chains[hubs.home]
    home.append("authority", who, record(who, "city", plan), at(-2 * HOUR))
    if hubs.also:
        said = record(CITY, hubs.also_keys)
        chains[hubs.also].append("authority", CITY, said, at(-2 * HOUR))
    if plan.status is not None:
        chains[hubs.listed_in or hubs.home].append("status", *status_entry(plan), at(-HOUR))
    silence_in(chains[hubs.silent_in], plan)
    return chains


def _superior(hub: str, key: str) -> dict[str, Any]:
    return {"hub": hub, "keys": [member_key("feed", key)]}


def _hub(
    name: str, prefix: str, change: Mapping[str, Any], key: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record of a hub in its superior's feed."""
    body: dict[str, Any] = {
        "urn": URNS[name],
        "kind": "hub",
        "name_zh": "",
        "name_en": name.capitalize(),
        "prefixes": [prefix],
        "endpoint": "127.0.0.1:1",
        "keys": [
            member_key("feed", f"{name}/feed", key),
            *(member_key(use, f"{name}/{use}") for use in ("token", "state", "authenticate")),
        ],
        "state": "active",
        "max_attestation_seconds": 86_400,
    }
    return put(body, change)
