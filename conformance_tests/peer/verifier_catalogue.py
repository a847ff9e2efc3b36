"""The reference verifier's reading of catalogues, from ``docs/spec/catalogue.md``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from conformance_tests.crypto import b64
from conformance_tests.peer.verifier_jose import VerifierError, is_signed, parsed
from conformance_tests.peer.verifier_rows import ReferenceRows
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_state import State

LEEWAY_SECONDS = 60
_MAX_AGE_SECONDS = 48 * 3600
_TYPE = "hutong-catalogue+jwt"
_CLAIMS = {
    *("iss", "aud", "iat", "kind", "day", "taken_at", "sequence", "rows", "bytes"),
    *("digest", "correction"),
}
_OPTIONAL = {"previous", "identified", "threshold"}
_ZONE = ZoneInfo("Asia/Shanghai")
_CLEAN = {"TAKEN", "SUPERSEDED", "UNCHANGED", "DUPLICATE"}


@dataclass(frozen=True, slots=True)
class _Last:
    sequence: int
    day: str
    digest: str


@dataclass(slots=True)
class ReferenceCatalogues:
    """Takes files one after another, each as a whole or not at all.

    Attributes:
        state: what is held of the feed.
        audience: who reads.
        now: the validation time.
        fault: name in ``faults.yaml``; empty for none.
        listed: the statement about each person of each issuer.
    """

    state: State
    audience: str
    now: int
    fault: str
    listed: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _last: dict[tuple[str, str], _Last] = field(default_factory=dict)

    def take(self, text: str) -> dict[str, Any]:
        """Take a file; what became of it."""
        try:
            return self._take(text)
        except VerifierError as error:
            return {"refused": str(error)}
        except (KeyError, TypeError, ValueError, AttributeError):
            return {"refused": "CATALOGUE_MALFORMED"}

    def _take(self, text: str) -> dict[str, Any]:
        if self.fault == "catalogues-unread":
            raise VerifierError("CATALOGUE_MALFORMED")
        token, _, content = text.partition("\n")
        claims = self._header(token)
        place = claims["iss"], claims["kind"]
        last = self._last.get(place)
        if last is not None and last.digest == digest(token) and self.fault != "repeat-taken-anew":
            return {"repeat": True}
        if last is not None:
            self._check_order(claims, last)
        before = dict(self.listed)
        rows = ReferenceRows(self.state, claims, self.fault)
        if self.fault != "rows-before-the-digest":
            self._check_content(claims, content.encode())
        outcomes = [rows.outcome(line, self.listed) for line in content.split("\n")[:-1]]
        if self.fault == "rows-before-the-digest":
            self._check_content(claims, content.encode())
        if self.fault == "one-outcome-for-all" and outcomes:
            outcomes = outcomes[:1]
        self._close(claims, rows.seen, outcomes, before)
        self._last[place] = _Last(claims["sequence"], claims["day"], digest(token))
        return {"rows": outcomes}

    # -- the header ------------------------------------------------------------------

    def _header(self, token: str) -> dict[str, Any]:
        header, claims = parsed(token)
        exact = set(header) == {"alg", "kid", "typ"}
        if not exact or (header["typ"] != _TYPE and self.fault != "catalogue-type-ignored"):
            raise VerifierError("CATALOGUE_MALFORMED")
        self._check_claims(claims)
        self._check_signer(token, header["kid"], claims)
        if claims["aud"] != self.audience and self.fault != "catalogue-audience-ignored":
            raise VerifierError("CATALOGUE_AUDIENCE")
        if claims["iat"] > self.now + LEEWAY_SECONDS and self.fault != "future-catalogue-taken":
            raise VerifierError("CATALOGUE_FROM_FUTURE")
        if claims["iat"] < self.now - _MAX_AGE_SECONDS and self.fault != "old-catalogue-taken":
            raise VerifierError("CATALOGUE_TOO_OLD")
        return claims

    def _check_claims(self, claims: dict[str, Any]) -> None:
        needed = _CLAIMS - ({"correction"} if self.fault == "correction-optional" else set())
        known = set(claims) <= _CLAIMS | _OPTIONAL or self.fault == "catalogue-claims-open"
        follows = ("previous" in claims) == (claims["sequence"] > 1)
        if not set(claims) >= needed or not known:
            raise VerifierError("CATALOGUE_MALFORMED")
        if not follows and self.fault != "previous-of-the-first":
            raise VerifierError("CATALOGUE_MALFORMED")
        zone = UTC if self.fault == "day-of-utc" else _ZONE
        day = datetime.fromtimestamp(claims["taken_at"], zone).date().isoformat()
        if claims["day"] != day and self.fault != "day-ignored":
            raise VerifierError("CATALOGUE_MALFORMED")
        counts = claims["kind"] == "counts"
        if counts != (claims.get("threshold", 0) > 0) or (counts and claims.get("identified")):
            raise VerifierError("CATALOGUE_MALFORMED")

    def _check_signer(self, token: str, kid: str, claims: dict[str, Any]) -> None:
        authority = self.state.body("authority", claims["iss"]) or {"keys": []}
        uses = {"state", "attest"} if self.fault == "catalogue-key-use-ignored" else {"state"}
        keys = [k for k in authority["keys"] if k["use"] in uses and k["jwk"]["kid"] == kid]
        if not keys:
            raise VerifierError("KEY_UNKNOWN")
        key = keys[0]
        if not is_signed(token, key["jwk"]) and self.fault != "catalogue-signature-ignored":
            raise VerifierError("CATALOGUE_SIGNATURE")
        moments = [claims["iat"], self.now]
        if self.fault == "catalogue-by-an-ended-key":
            moments.pop()
        if self.fault == "catalogue-before-its-key":
            moments.pop(0)
        for moment in moments:
            if not key["not_before"] <= moment < key.get("not_after", moment + 1):
                raise VerifierError("CATALOGUE_SIGNATURE")

    # -- order, content, closing ---------------------------------------------------------

    def _check_order(self, claims: dict[str, Any], last: _Last) -> None:
        lower = claims["sequence"] < last.sequence and self.fault != "lower-number-taken"
        earlier = claims["day"] < last.day and self.fault != "earlier-day-taken"
        if lower or earlier:
            raise VerifierError("CATALOGUE_ROLLED_BACK")
        if claims["sequence"] == last.sequence and self.fault != "second-file-taken":
            raise VerifierError("CATALOGUE_FORKED")
        follows = claims.get("previous") == last.digest or self.fault == "any-previous-taken"
        if claims["sequence"] == last.sequence + 1 and not follows:
            raise VerifierError("CATALOGUE_FORKED")
        if claims["sequence"] > last.sequence + 1 and self.fault != "missing-file-skipped":
            raise VerifierError("CATALOGUE_GAP")

    def _check_content(self, claims: dict[str, Any], content: bytes) -> None:
        lines = content.count(b"\n") != claims["rows"] and self.fault != "row-count-ignored"
        length = len(content) != claims["bytes"] and self.fault != "catalogue-length-ignored"
        if length or (lines and len(content) == claims["bytes"]) or content[-1:] not in b"\n":
            raise VerifierError("CATALOGUE_TRUNCATED")
        altered = b64(hashlib.sha256(content).digest()) != claims["digest"]
        if altered and self.fault not in ("catalogue-digest-ignored", "catalogue-length-ignored"):
            raise VerifierError("CATALOGUE_ALTERED")

    def _close(
        self,
        claims: dict[str, Any],
        seen: set[str],
        outcomes: list[str],
        before: dict[tuple[str, str], dict[str, Any]],
    ) -> None:
        """End what the file no longer holds, unless it leaves a question open."""
        if claims["kind"] != "records" or self.fault == "nothing-closed":
            return
        unclear = not set(outcomes) <= _CLEAN and self.fault != "closed-in-doubt"
        if unclear or (not outcomes and self.fault != "closed-by-nothing"):
            return
        for issuer, sub in before:
            if issuer == claims["iss"] and sub not in seen:
                del self.listed[issuer, sub]
