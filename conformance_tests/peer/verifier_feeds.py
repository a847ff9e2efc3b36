"""The reference verifier's reading of several feeds, from ``docs/spec/federation.md``.

From one trust anchor it goes up by the entries of kind ``superior`` and down by the records
of hubs, reads each feed under the keys that it finds there, and looks for the one feed
that answers for an issuer. What that one says is then read as a single feed is, with the
issuer's record held to what all hubs above allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import unsafe_claims
from conformance_tests.peer.verifier_feed import ReferenceReplica
from conformance_tests.peer.verifier_jose import VerifierError, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance_tests.peer.verifier_state import Entry, State

_KINDS = frozenset({"attestation", "scheme", "policy", "status"})
_FAULTS = {"suspended": "AUTHORITY_SUSPENDED", "withdrawn": "AUTHORITY_WITHDRAWN"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What those above allow a hub, and everybody below it."""

    prefixes: tuple[str, ...]
    kinds: frozenset[str]
    life: int
    path: int

    def covers(self, prefixes: list[str]) -> bool:
        """Whether all of these lie inside."""
        return all(prefix.startswith(self.prefixes) for prefix in prefixes)


@dataclass(frozen=True, slots=True)
class Feed:
    """One hub's feed as it was read.

    Attributes:
        hub: its URN.
        state: what is held of it.
        bounds: what it is held to; None: nothing, it stands above.
        refused: why nothing of it is believed; empty: it is.
        way: the states on whose word it is read, the own hub's first, its own last.
    """

    hub: str
    state: State
    bounds: Bounds | None
    refused: str
    way: tuple[State, ...]


class _Unverified(ReferenceReplica):
    """A replica of a reader broken on purpose: it looks at no signature."""

    def _read(self, token: str, typ: str, now: int) -> dict[str, Any]:
        del typ, now
        return parsed(token)[1]


@dataclass(slots=True)
class ReferenceFeeds:
    """Every feed that the own one leads to, the own one first, then those above.

    Attributes:
        own_hub: URN of the reader's own hub.
        own: what is held of its feed.
        relayed: the steps of the other feeds, by URN.
        now: the validation time.
        fault: name in ``faults.yaml``; empty for none.
    """

    own_hub: str
    own: State
    relayed: dict[str, list[dict[str, Any]]] = field(repr=False)
    now: int
    fault: str
    _feeds: list[Feed] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Follow them."""
        if self.fault == "relayed-unread":
            self._feeds = [Feed(self.own_hub, self.own, None, "", (self.own,))]
            return
        above = [Feed(self.own_hub, self.own, None, "", (self.own,))]
        while superior := _superior(above[-1].state):
            if any(superior["hub"] == feed.hub for feed in above):
                break
            state = self._replica(superior, "superior-key-unchecked")
            above.append(Feed(superior["hub"], state, None, "", (*above[-1].way, state)))
        named = [body for feed in above[1:2] for body in _hubs(feed.state)]
        record = next((body for body in named if body["urn"] == self.own_hub), None)
        self._feeds = list(above)
        for feed in above:
            self._descend(feed)
        if record is not None and self.fault != "own-hub-unbounded":
            self._feeds[0] = replace(above[0], bounds=_bounds(record))
            if record["state"] != "active" and self.fault == "own-hub-cut-off":
                self._feeds[0] = replace(above[0], refused=_FAULTS[record["state"]])
        if self.fault == "unnamed-hub-read":
            for hub in self.relayed.keys() - {feed.hub for feed in self._feeds}:
                state = self._taken(_Unverified({"hub": hub, "keys": []}), hub)
                self._feeds.append(Feed(hub, state, None, "", (self.own, state)))

    def for_issuer(self, token: str) -> tuple[State, int]:
        """What is to be believed about the issuer of an attestation, and since when.

        Args:
            token: not verified; only who it says has signed it is read.

        Raises:
            VerifierError: the hub that speaks for it is not believed.
        """
        try:
            issuer = str(unsafe_claims(token.partition("~")[0])["iss"])
        except (KeyError, TypeError, ValueError):
            return self.own, self.own.as_of
        found = list(self._answering(issuer))
        if not found:
            return self.own, self.own.as_of
        feed, refused = next((each for each in found if not each[1]), found[0])
        if refused:
            raise VerifierError(refused)
        return self._narrowed(feed, issuer), self._trusted_since(feed)

    # -- from feed to feed -------------------------------------------------------------

    def _descend(self, feed: Feed) -> None:
        for body in _hubs(feed.state):
            if any(body["urn"] == known.hub for known in self._feeds):
                continue
            bounds, refused = self._below(feed, body)
            state = self._replica({**body, "hub": body["urn"]}, "hub-key-unchecked")
            below = Feed(body["urn"], state, bounds, refused, (*feed.way, state))
            self._feeds.append(below)
            self._descend(below)

    def _below(self, feed: Feed, body: dict[str, Any]) -> tuple[Bounds, str]:
        """What a hub is held to, and why it is not believed."""
        refused = _FAULTS.get(body["state"], "")
        if refused and self.fault == f"{body['state']}-hub-believed":
            refused = ""
        if feed.refused and self.fault != "below-a-suspended-hub-believed":
            refused = feed.refused
        own, above = _bounds(body), feed.bounds
        if above is None:
            return own, refused
        deep = above.path < 1 and self.fault != "path-length-ignored"
        wide = not above.covers(list(own.prefixes)) and self.fault != "prefixes-not-narrowed"
        kinds, life = own.kinds & above.kinds, min(own.life, above.life)
        if kinds < own.kinds and self.fault == "kinds-not-narrowed":
            kinds = own.kinds
        if life < own.life and self.fault == "life-not-narrowed":
            life = own.life
        if life < above.life and self.fault == "bounds-of-the-top-only":
            life = above.life
        path = min(own.path, above.path - 1)
        if path < own.path and self.fault == "path-length-not-narrowed":
            path = own.path
        narrowed = Bounds(own.prefixes, kinds, life, path)
        return narrowed, refused or ("CONSTRAINT_EXCEEDED" if deep or wide else "")

    def _replica(self, named: dict[str, Any], unchecked: str) -> State:
        """Read a feed under the keys that the next hub towards the own one names."""
        keys = [
            {"use": "feed", "jwk": key["jwk"], **_end(key)}
            for key in named["keys"]
            if key["use"] == "feed" and not self._is_barred(key)
        ]
        anchor = {"hub": named["hub"], "keys": keys}
        state = self._taken(ReferenceReplica(anchor, self.fault), named["hub"])
        if not state.sequence and keys and self.fault == unchecked:
            return self._taken(_Unverified(anchor), named["hub"])
        return state

    def _is_barred(self, key: dict[str, Any]) -> bool:
        tainted = "tainted_from" in key and self.fault != "tainted-hub-key-used"
        return tainted or ("revoked_at" in key and self.fault != "revoked-hub-key-used")

    def _taken(self, replica: ReferenceReplica, hub: str) -> State:
        for step in self.relayed.get(hub, ()):
            try:
                replica.take(step, self.now)
            except VerifierError:
                # It stays what it was; another step may be sound.
                continue
        return replica.state

    # -- who answers -------------------------------------------------------------------

    def _answering(self, issuer: str) -> Iterator[tuple[Feed, str]]:
        """The feeds that hold an issuer in their order, each with why it is not believed."""
        feeds = self._feeds
        if self.fault == "others-before-above":
            feeds = sorted(feeds, key=lambda feed: feed.bounds is None)
        if self.fault == "above-before-own":
            feeds = sorted(feeds, key=lambda feed: feed.hub == self.own_hub)
        for feed in feeds:
            body = feed.state.body("authority", issuer)
            if body is None or body["kind"] != "region":
                continue
            inside = feed.bounds is None or feed.bounds.covers(body["prefixes"])
            if not inside and self.fault == "hub-prefixes-ignored":
                inside = True
            yield feed, feed.refused or ("" if inside else "CONSTRAINT_EXCEEDED")

    def _narrowed(self, feed: Feed, issuer: str) -> State:
        """The feed's state, with the issuer's record held to what stands above it."""
        place = "authority", issuer
        entry = feed.state.newest[place]
        body = dict(entry.claims["body"])
        newest = dict(feed.state.newest)
        if feed.bounds is not None:
            self._hold(body, feed.bounds)
            if "status" not in feed.bounds.kinds and self.fault != "hub-status-believed":
                newest = {where: said for where, said in newest.items() if where[0] != "status"}
        for other in self._feeds:
            if other is not feed:
                body["keys"] = [*body["keys"], *self._keys_of(other, place)]
                newest = {**newest, **self._heard_of(other, issuer, newest)}
        newest[place] = replace(entry, claims={**entry.claims, "body": body})
        return replace(feed.state, newest=newest)

    def _hold(self, body: dict[str, Any], bounds: Bounds) -> None:
        """Hold a record to the kinds and the life that its hub is allowed."""
        allowed = set(body.get("kinds", _KINDS)) & bounds.kinds
        if "attestation" in allowed or self.fault != "hub-kinds-ignored":
            body["kinds"] = sorted(allowed)
        longer = body["max_attestation_seconds"] > bounds.life
        if longer and self.fault != "hub-life-ignored":
            body["max_attestation_seconds"] = bounds.life

    def _keys_of(self, other: Feed, place: tuple[str, str]) -> list[dict[str, Any]]:
        """Keys that a faulty reader takes from another feed too."""
        theirs = other.state.body(*place)
        if theirs is None or self.fault != "hubs-merged":
            return []
        return list(theirs["keys"])

    def _heard_of(
        self, other: Feed, issuer: str, newest: dict[tuple[str, str], Entry]
    ) -> dict[tuple[str, str], Entry]:
        """What counts of another feed: what those above distrust, and to a faulty reader more."""
        found = {}
        for (kind, subject), said in other.state.newest.items():
            if kind == "distrust" and other.bounds is None:
                found[kind, f"{other.hub} {subject}"] = said
            word = kind == "status" and (kind, subject) not in newest
            if word and self.fault == "statements-merged":
                found[kind, subject] = said
            silence = (kind, subject) == ("silence", issuer)
            if silence and self.fault == "any-hubs-silence":
                found[kind, subject] = said
        return found

    def _trusted_since(self, feed: Feed) -> int:
        """Of when the oldest word is that trust rests on (HT-FED-11)."""
        words = [state.as_of for state in feed.way]
        for place, fault in ((0, "own-word-uncounted"), (-1, "home-word-uncounted")):
            if len(words) > 1 and self.fault == fault:
                words.pop(place)
        if self.fault == "way-uncounted":
            words = [words[0], words[-1]]
        return min(words)


def _superior(state: State) -> dict[str, Any] | None:
    found = (state.body(*place) for place in state.newest if place[0] == "superior")
    return next((body for body in found if body is not None), None)


def _hubs(state: State) -> list[dict[str, Any]]:
    found = (state.body(*place) for place in state.newest if place[0] == "authority")
    return [body for body in found if body is not None and body["kind"] == "hub"]


def _bounds(body: dict[str, Any]) -> Bounds:
    kinds = frozenset(body.get("kinds", _KINDS))
    path = int(body.get("path_length", 0))
    return Bounds(tuple(body["prefixes"]), kinds, body["max_attestation_seconds"], path)


def _end(key: dict[str, Any]) -> dict[str, Any]:
    # A hub's feed is older than its membership: a key has no first moment here.
    return {"not_after": key["not_after"]} if "not_after" in key else {}
