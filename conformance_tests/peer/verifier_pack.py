"""The reference verifier's reading of packs, from ``docs/spec/pack.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance_tests.peer.verifier_feed import LEEWAY_SECONDS, ReferenceReplica
from conformance_tests.peer.verifier_jose import VerifierError, is_signed, parsed
from conformance_tests.peer.verifier_state import Entry, State, listed
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT = "hutong-pack 1"
_CLAIMS = {
    *("iss", "iat", "seq", "digest", "after", "prefixes", "count", "live", "entries"),
    *("lists", "bytes"),
}


class PackReader(ReferenceReplica):
    """A replica that packs are carried to.

    Attributes:
        lists: base lists that came with packs.
    """

    lists: tuple[str, ...] = ()
    _prefixes: tuple[str, ...] = ()

    def take(self, step: dict[str, Any], now: int) -> None:
        """Take a pack in, or a step of the feed.

        Raises:
            VerifierError: why not.
        """
        if "pack" not in step:
            super().take(step, now)
            return
        if self.fault == "packs-unread":
            raise VerifierError("PACK_INVALID")
        try:
            self._pack(step["pack"], now)
        except (KeyError, TypeError, ValueError) as error:
            raise VerifierError("PACK_INVALID") from error

    def _pack(self, text: str, now: int) -> None:
        head, token, *lines = text.split("\n")
        if head != _FORMAT or lines.pop() != "":
            raise VerifierError("PACK_INVALID")
        before = self.state
        try:
            if self.fault != "pack-sets-unread":
                self.walk([line for line in lines if _is_entry(line)], now)
            self._taken(token, lines, now)
        except (VerifierError, KeyError, TypeError, ValueError):
            if self.fault != "refused-pack-kept":
                self.state = before
            raise

    def _taken(self, token: str, lines: list[str], now: int) -> None:
        claims = self._manifest(token, now)
        held = self.state
        self._check_order(claims, held)
        short = len("".join(f"{line}\n" for line in lines)) != claims["bytes"]
        other = len(lines) != claims["count"] + len(claims["lists"])
        if (short or other) and self.fault != "pack-length-ignored":
            raise VerifierError("PACK_INVALID")
        bases = lines[claims["count"] :]
        named = [each["digest"] for each in claims["lists"]]
        if [digest(base) for base in bases] != named and self.fault not in (
            "pack-lists-unchecked",
            "pack-length-ignored",
        ):
            raise VerifierError("PACK_INVALID")
        entries = [self._packed(token, now) for token in lines[: claims["count"]]]
        self._agree_with_pack(held, entries)
        newest = dict(held.newest) if claims["after"] else {}
        newest |= {entry.place: entry for entry in entries}
        as_of = held.as_of if held.as_of and self.fault == "pack-age-of-first" else claims["iat"]
        dated = max((entry.claims["iat"] for entry in newest.values()), default=0)
        new = State(claims["seq"], claims["digest"], as_of, dated, held.hub_keys, newest)
        fixed = (claims["live"], claims["entries"]) == (len(new.live()), listed(new.live()))
        if not fixed and self.fault not in ("pack-sum-ignored", "pack-length-ignored"):
            raise VerifierError("PACK_INVALID")
        if self.fault == "refused-pack-kept":
            self.state = new
        for entry in sorted(entries, key=lambda each: each.claims["kind"] != "authority"):
            self._check(entry, newest)
        self.state = new
        if self.fault != "pack-lists-ignored":
            self.lists = (*self.lists, *bases)
        self._prefixes = tuple(claims["prefixes"])

    def _manifest(self, token: str, now: int) -> dict[str, Any]:
        header, claims = parsed(token)
        if header["typ"] != "hutong-pack+jwt" and self.fault != "pack-type-ignored":
            raise VerifierError("PACK_INVALID")
        uses = {"feed", "token"} if self.fault == "pack-by-any-anchor-key" else {"feed"}
        key = self.hub_keys().find(header["kid"], uses, claims["iat"])
        unsigned = key is None or not is_signed(token, key)
        if unsigned and self.fault != "pack-signature-ignored":
            raise VerifierError("FEED_SIGNATURE")
        exact = set(claims) == _CLAIMS
        if not exact and (self.fault != "pack-claims-ignored" or not set(claims) >= _CLAIMS):
            raise VerifierError("PACK_INVALID")
        if claims["iss"] != self.anchor["hub"] and self.fault != "pack-hub-ignored":
            raise VerifierError("FEED_SIGNATURE")
        if claims["iat"] > now + LEEWAY_SECONDS and self.fault != "future-pack-accepted":
            raise VerifierError("FEED_FROM_FUTURE")
        return claims

    def _check_order(self, claims: dict[str, Any], held: State) -> None:
        if claims["seq"] < held.sequence and self.fault != "older-pack-accepted":
            raise VerifierError("FEED_ROLLED_BACK")
        same = claims["seq"] == held.sequence
        if same and claims["digest"] != held.digest and self.fault != "second-pack-accepted":
            raise VerifierError("FEED_FORK")
        if not claims["after"]:
            return
        if self.fault == "deltas-unread":
            raise VerifierError("PACK_INVALID")
        gap = claims["after"] != held.sequence
        if gap and not (held.sequence and self.fault == "pack-gap-accepted"):
            if not held.sequence and self.fault == "delta-alone-accepted":
                return
            raise VerifierError("FEED_GAP")
        other = tuple(claims["prefixes"]) != self._prefixes
        if other and self.fault != "pack-divisions-ignored":
            raise VerifierError("PACK_INVALID")

    def _packed(self, token: str, now: int) -> Entry:
        if self.fault == "packed-entry-unchecked":
            return Entry(parsed(token)[1], digest(token), token)
        return self._entry(token, now)

    def _agree_with_pack(self, held: State, entries: Iterable[Entry]) -> None:
        numbers = {entry.sequence: entry.digest for entry in held.newest.values()}
        for entry in entries:
            if numbers.get(entry.sequence, entry.digest) != entry.digest:
                raise VerifierError("FEED_FORK")


def _is_entry(line: str) -> bool:
    return parsed(line)[0].get("typ") == "hutong-feed-entry+jwt"
