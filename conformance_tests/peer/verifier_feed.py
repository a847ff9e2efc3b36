"""The reference verifier's copy of the feed, from ``docs/spec/feed.md``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from conformance_tests.peer.verifier_hub_keys import KIND, HubKeys, first_set, is_set
from conformance_tests.peer.verifier_jose import VerifierError, is_signed, parsed, thumbprint
from conformance_tests.peer.verifier_state import Entry, State, listed
from conformance_tests.peer.verifier_statements import check_statement, check_word
from conformance_tests.vectors.keys import digest, respelt

LEEWAY_SECONDS = 60
_MARK = {"iss", "seq", "digest", "iat"}
_CLAIMS = {
    "hutong-feed-entry+jwt": {"iss", "seq", "prev", "iat", "kind", "subject", "body"},
    "hutong-feed-head+jwt": _MARK,
    "hutong-feed-manifest+jwt": _MARK | {"count", "entries", "floor", "tombstones"},
}
_STATEMENTS = {"scheme", "policy"}
_KNOWN = _STATEMENTS | {
    *("authority", "distrust", "status", "rehearsal", "notice", "superior", "silence"),
}


@dataclass(slots=True)
class ReferenceReplica:
    """Takes steps of a feed in, or refuses them and stays what it was."""

    anchor: dict[str, Any]
    fault: str = ""
    state: State = field(default_factory=State)

    def take(self, step: dict[str, Any], now: int) -> None:
        """Take one step in.

        Raises:
            VerifierError: why not.
        """
        held = self.state
        try:
            if "snapshot" in step:
                self._snapshot(step["snapshot"], now)
            elif "head" in step:
                self._head(step["head"], now)
            else:
                for token in step["entries"]:
                    self._next(self._entry(token, now))
        except VerifierError:
            if "snapshot" in step:
                # The walk over the hub's sets is no step of its own.
                self.state = held
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise VerifierError("FEED_MALFORMED") from error

    # -- tokens -----------------------------------------------------------------

    def _read(self, token: str, typ: str, now: int) -> dict[str, Any]:
        header, claims = parsed(token)
        if set(header) != {"alg", "kid", "typ"} or header["typ"] != typ:
            raise VerifierError("FEED_MALFORMED")
        uses = {"feed", "token"} if self.fault == "any-anchor-key" else {"feed"}
        key = self.hub_keys().find(header["kid"], uses, claims["iat"])
        if key is None or not is_signed(token, key):
            entry, mark = typ == "hutong-feed-entry+jwt", typ != "hutong-feed-entry+jwt"
            ignored = (entry and self.fault == "entry-signature-ignored") or (
                mark
                and self.fault == f"{typ.split('-')[2].split('+', maxsplit=1)[0]}-signature-ignored"
            )
            if not ignored:
                raise VerifierError("FEED_SIGNATURE")
        if set(claims) != _CLAIMS[typ]:
            raise VerifierError("FEED_MALFORMED")
        if claims["iss"] != self.anchor["hub"] and self.fault != "hub-ignored":
            raise VerifierError("FEED_SIGNATURE")
        if claims["iat"] > now + LEEWAY_SECONDS and self.fault != f"future-{_name(typ)}-accepted":
            raise VerifierError("FEED_FROM_FUTURE")
        return claims

    def _entry(self, token: str, now: int) -> Entry:
        claims = self._read(token, "hutong-feed-entry+jwt", now)
        return Entry(claims, digest(token), token)

    def hub_keys(self) -> HubKeys:
        """The newest set of the hub's own keys."""
        return self.state.hub_keys or first_set(self.anchor, self.fault)

    def walk(self, tokens: list[str], now: int) -> None:
        """Follow the sets that are listed, before anything else of the list is judged."""
        if self.fault == "sets-unread":
            return
        sets = sorted(filter(is_set, tokens), key=lambda token: int(parsed(token)[1]["seq"]))
        for token in sets:
            number = parsed(token)[1]["subject"].partition("#")[2]
            if int(number) > self.hub_keys().number:
                entry = self._entry(token, now)
                after = self.hub_keys().advanced(entry.claims)
                self.state = replace(self.state, hub_keys=after)

    # -- steps ------------------------------------------------------------------

    def _next(self, entry: Entry) -> None:
        state = self.state
        if entry.sequence <= state.sequence:
            held = entry.sequence == state.sequence
            if held and entry.digest == self._spelled(entry.digest, "itself").digest:
                return
            if held and self.fault == "second-entry-accepted":
                self._put(entry, state)
                return
            if self.fault == "old-entry-skipped":
                return
            raise VerifierError("FEED_FORK" if held else self._older(entry))
        if entry.sequence > state.sequence + 1 and self.fault != "gap-accepted":
            raise VerifierError("FEED_GAP")
        state = self._spelled(entry.claims["prev"], "entry")
        if entry.claims["iat"] < state.dated and self.fault != "entry-from-before-accepted":
            raise VerifierError("FEED_MALFORMED")
        follows = entry.claims["prev"] == state.digest or self.fault == "previous-ignored"
        if not follows and self.fault != "gap-accepted":
            raise VerifierError("FEED_FORK")
        self._put(entry, state)

    def _spelled(self, named: str, by: str) -> State:
        """What is held, with the newest entry in the spelling that the hub named (HT-FEED-21)."""
        state = self.state
        newest = next((e for e in state.newest.values() if e.sequence == state.sequence), None)
        if named == state.digest or newest is None or self.fault == f"spelling-by-{by}-refused":
            return state
        token = respelt(newest.token)
        if digest(token) != named:
            return state
        other = {**state.newest, newest.place: replace(newest, digest=named, token=token)}
        return replace(state, digest=named, newest=other)

    def _older(self, entry: Entry) -> str:
        other = any(held.sequence == entry.sequence for held in self.state.newest.values())
        return "FEED_FORK" if other else "FEED_ROLLED_BACK"

    def _put(self, entry: Entry, state: State) -> None:
        newest = {**state.newest, entry.place: entry}
        if entry.is_withdrawn and self.fault == "withdrawal-ignored":
            newest = state.newest
        if self.fault == "superseded-kept" and entry.place in state.newest:
            newest[entry.place[0], f"{entry.sequence} {entry.place[1]}"] = entry
            newest[entry.place] = state.newest[entry.place]
        iat = entry.claims["iat"]
        after = State(
            entry.sequence, entry.digest, max(state.as_of, iat), iat, state.hub_keys, newest
        )
        if entry.place[0] == KIND and self.fault != "sets-unread":
            if entry.is_withdrawn and self.fault != "set-withdrawn":
                raise VerifierError("FEED_MALFORMED")
            if not entry.is_withdrawn:
                after = replace(after, hub_keys=self.hub_keys().advanced(entry.claims))
        if self.fault == "refusal-changes-state":
            self.state = after
        self._check(entry, newest)
        self.state = after

    def _head(self, token: str, now: int) -> None:
        claims = self._read(token, "hutong-feed-head+jwt", now)
        state = self._spelled(claims["digest"], "head")
        if claims["seq"] < state.sequence and self.fault != "older-head-accepted":
            raise VerifierError("FEED_ROLLED_BACK")
        if claims["seq"] > state.sequence and self.fault != "head-ahead-accepted":
            raise VerifierError("FEED_GAP")
        same = claims["seq"] == state.sequence
        if same and claims["digest"] != state.digest and self.fault != "second-head-accepted":
            raise VerifierError("FEED_FORK")
        if self.fault != "head-does-not-vouch":
            self.state = replace(state, as_of=max(state.as_of, claims["iat"]))

    def _snapshot(self, snapshot: dict[str, Any], now: int) -> None:
        if self.fault != "snapshot-sets-unread":
            self.walk(snapshot["entries"], now)
        claims = self._read(snapshot["manifest"], "hutong-feed-manifest+jwt", now)
        held = self.state
        if claims["seq"] < held.sequence and self.fault != "older-snapshot-accepted":
            raise VerifierError("FEED_ROLLED_BACK")
        entries = [self._entry(token, now) for token in snapshot["entries"]]
        newest = {entry.place: entry for entry in entries}
        dated = [entry.claims["iat"] for entry in entries]
        if dated != sorted(dated) and self.fault != "entry-from-before-accepted":
            raise VerifierError("FEED_MALFORMED")
        held_number = 0 if held.hub_keys is None else held.hub_keys.number
        sets = [place for place in newest if place[0] == KIND]
        if len(sets) < held_number and self.fault != "snapshot-without-its-sets":
            raise VerifierError("FEED_ROLLED_BACK")
        new = State(
            claims["seq"],
            claims["digest"],
            max(held.as_of, claims["iat"]),
            max(dated, default=0),
            held.hub_keys,
            newest,
        )
        stones = [entry for entry in entries if entry.is_withdrawn]
        if len(newest) != len(entries) or [e.sequence for e in entries] != sorted(
            {e.sequence for e in entries}
        ):
            raise VerifierError("FEED_MALFORMED")
        counted = entries if self.fault == "tombstones-counted" else new.live()
        fixed = (claims["count"], claims["entries"]) == (len(counted), listed(counted))
        if not fixed and self.fault != "manifest-list-ignored":
            raise VerifierError("FEED_MALFORMED")
        if claims["tombstones"] != listed(stones) and self.fault != "tombstones-ignored":
            raise VerifierError("FEED_MALFORMED")
        end = entries[-1] if entries else None
        ends = end is not None and (end.sequence, end.digest) == (new.sequence, new.digest)
        if not ends and new.sequence > claims["floor"] and self.fault != "manifest-end-ignored":
            raise VerifierError("FEED_MALFORMED")
        named = [entry.digest for entry in entries if entry.sequence == held.sequence]
        named += [e.claims["prev"] for e in entries if e.sequence == held.sequence + 1]
        held = self._spelled(named[0], "snapshot") if named else held
        self._agree(held, new, claims["floor"])
        for entry in sorted(entries, key=lambda each: each.claims["kind"] != "authority"):
            self._check(entry, newest)
        self.state = new

    def _agree(self, held: State, new: State, floor: int) -> None:
        """Two histories never mix."""
        if self.fault == "other-history-accepted":
            return
        known = {entry.digest for entry in held.newest.values()}
        for place, entry in held.newest.items():
            after = new.newest.get(place)
            if after is None:
                forgotten = held.sequence < floor and self.fault != "floor-ignored"
                if not (forgotten or entry.is_withdrawn or self.fault == "left-out-accepted"):
                    raise VerifierError("FEED_FORK")
            elif after.sequence <= held.sequence and after.digest not in known:
                raise VerifierError("FEED_FORK")
        for place, after in new.newest.items():
            if place not in held.newest and after.sequence <= held.sequence:
                raise VerifierError("FEED_FORK")

    # -- what has to hold among live entries ---------------------------------------

    def _check(self, entry: Entry, newest: dict[tuple[str, str], Entry]) -> None:
        kind, subject = entry.place
        body = entry.claims["body"]
        if kind == KIND and self.fault != "sets-unread":
            return
        if kind not in _KNOWN:
            if self.fault == "unknown-kind-refused":
                raise VerifierError("FEED_UNSUPPORTED")
            if body.get("critical") is True and self.fault != "critical-ignored":
                raise VerifierError("FEED_UNSUPPORTED")
            return
        if entry.is_withdrawn:
            return
        if kind == "authority":
            self._check_authority(subject, body, newest)
        elif kind in _STATEMENTS:
            check_statement(self.state, entry, newest, self.fault)
        elif kind == "status":
            check_word(self.state, entry, newest, self.fault)
        elif kind == "silence" and set(body) != {"since"}:
            raise VerifierError("FEED_MALFORMED")

    def _check_authority(
        self, subject: str, body: dict[str, Any], newest: dict[tuple[str, str], Entry]
    ) -> None:
        if body["urn"] != subject and self.fault != "subject-ignored":
            raise VerifierError("FEED_MALFORMED")
        for key in body["keys"]:
            if key["jwk"]["kid"] != thumbprint(key["jwk"]) and self.fault != "thumbprint-ignored":
                raise VerifierError("FEED_MALFORMED")
        for (kind, other), entry in newest.items():
            active = kind == "authority" and other != subject and not entry.is_withdrawn
            theirs = entry.claims["body"].get("prefixes", []) if active else []
            if set(theirs) & set(body["prefixes"]) and self.fault != "prefix-shared":
                raise VerifierError("FEED_MALFORMED")


def _name(typ: str) -> str:
    return typ.split("-")[2].split("+", maxsplit=1)[0]
