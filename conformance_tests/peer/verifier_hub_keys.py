"""The hub's own keys as the reference verifier follows them, set by set (docs/spec/feed.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conformance_tests.peer.verifier_jose import VerifierError, parsed, thumbprint

KIND = "hub-keys"
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class HubKeys:
    """One set; the trust anchor that was handed over is the first.

    Attributes:
        hub: URN of the hub.
        keys: as they stand in a record; those of the anchor may lack their times.
        number: of the set.
        fault: name in ``faults.yaml``; empty for none.
    """

    hub: str
    keys: tuple[dict[str, Any], ...]
    number: int
    fault: str

    def find(self, kid: str, uses: set[str], moment: int) -> dict[str, Any] | None:
        """The public key of an id that was in force at a moment; None: there is none."""
        for key in self.keys:
            if key["use"] in uses and key["jwk"]["kid"] == kid:
                begins, ends = _span(key)
                if begins <= moment < ends or self.fault == "feed-key-for-ever":
                    jwk: dict[str, Any] = key["jwk"]
                    return jwk
        return None

    def advanced(self, claims: dict[str, Any]) -> HubKeys:
        """The set that an entry says, whose signature was verified under this one.

        Raises:
            VerifierError: FEED_ROLLED_BACK, FEED_GAP or FEED_MALFORMED.
            ValueError: it is none.
        """
        hub, _, number = claims["subject"].partition("#")
        if hub != self.hub and self.fault != "set-of-another-hub":
            raise VerifierError("FEED_MALFORMED")
        if int(number) <= self.number and self.fault != "older-set-taken":
            raise VerifierError("FEED_ROLLED_BACK")
        if int(number) > self.number + 1 and self.fault != "set-skipped":
            raise VerifierError("FEED_GAP")
        body = claims["body"]
        if set(body) != {"critical", "keys"} or body["critical"] is not True:
            raise VerifierError("FEED_MALFORMED")
        if any(key["jwk"]["kid"] != thumbprint(key["jwk"]) for key in body["keys"]):
            raise VerifierError("FEED_MALFORMED")
        self._check(body["keys"], claims["iat"])
        return HubKeys(self.hub, tuple(body["keys"]), int(number), self.fault)

    def _check(self, keys: list[dict[str, Any]], at: int) -> None:
        before = {key["jwk"]["kid"]: key for key in self.keys if key["use"] == "feed"}
        after = {key["jwk"]["kid"]: key for key in keys if key["use"] == "feed"}
        if before.keys() - after.keys() and self.fault != "feed-key-left-out":
            raise VerifierError("FEED_MALFORMED")
        if any("revoked_at" in key for key in after.values()) and self.fault != "feed-key-revoked":
            raise VerifierError("FEED_MALFORMED")
        for kid, key in after.items():
            begins, ends = _span(key)
            if kid not in before:
                if begins < at and self.fault != "feed-key-from-the-past":
                    raise VerifierError("FEED_MALFORMED")
                continue
            begun, ended = _span(before[kid])
            moved = ends != ended and min(ends, ended) < at
            if begins != begun or (moved and self.fault != "feed-key-comes-back"):
                raise VerifierError("FEED_MALFORMED")
        if self.fault != "no-feed-key-left":
            _check_no_gap([_span(key) for key in after.values()], at)


def first_set(anchor: dict[str, Any], fault: str) -> HubKeys:
    """The set that a trust anchor is."""
    return HubKeys(anchor["hub"], tuple(anchor["keys"]), int(anchor.get("number", 0)), fault)


def is_set(token: str) -> bool:
    """Whether a listed entry says that it is a set; nothing of it is believed."""
    claims = parsed(token)[1]
    return bool(claims["kind"] == KIND)


def _span(key: dict[str, Any]) -> tuple[int, int]:
    return int(key.get("not_before", 0)), int(key.get("not_after", _NEVER))


def _check_no_gap(spans: list[tuple[int, int]], at: int) -> None:
    """Refuse where some later instant has no feed key."""
    while at < _NEVER:
        ends = [end for begin, end in spans if begin <= at < end]
        if not ends:
            raise VerifierError("FEED_MALFORMED")
        at = max(ends)
