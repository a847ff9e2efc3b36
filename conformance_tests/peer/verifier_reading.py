"""How the reference verifier reads one attestation, from its first byte to its reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance_tests.attestations import TYPE
from conformance_tests.peer.verifier_claims import ReferenceClaims, ReferenceDistrusts
from conformance_tests.peer.verifier_jose import (
    DoubledError,
    VerifierError,
    algorithm_of,
    is_high,
    is_signed,
    segments,
    strict_json,
)
from conformance_tests.peer.verifier_parts import put_together, take_apart
from conformance_tests.peer.verifier_reports import prefix_of, reports
from conformance_tests.vectors.armour import PART_PREFIX, PREFIX, from_armour
from conformance_tests.vectors.parts import TYPE as PART_TYPE

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_state import State

LEEWAY_SECONDS = 60  # HT-ATT-6
MAX_TOKEN_BYTES = 8192  # HT-ATT-9


@dataclass(frozen=True, slots=True)
class Reading:
    """One attestation against one state of trust.

    Attributes:
        state: what is held of the feed.
        request: the attestation, who reads, and the question's nonce.
        now: the validation time.
        fault: name in ``faults.yaml``; empty for none.
    """

    state: State
    request: dict[str, Any]
    now: int
    fault: str

    def verify(self) -> tuple[dict[str, Any], str]:  # noqa: C901 - the steps in their order
        """Verify it.

        Returns:
            Its claims, and the id of the key that signed it.

        Raises:
            VerifierError: the reason of the refusal.
        """
        text = self._scanned(self.request["token"])
        token, disclosures = take_apart(text, self.fault)
        if len(token) > MAX_TOKEN_BYTES and self.fault != "length-ignored":
            raise VerifierError("ATTESTATION_TOO_LARGE")
        loose = self.fault == "base64-loose"
        try:
            head, payload, _ = segments(token, loose=loose)
            header = strict_json(head, allow_doubled=self.fault == "doubled-header-accepted")
        except DoubledError:
            raise VerifierError("ATTESTATION_HEADER") from None
        except ValueError:
            raise VerifierError("ATTESTATION_MALFORMED") from None
        self._check_header(header, PART_TYPE if "~" in text else TYPE)
        try:
            claims = strict_json(payload, allow_doubled=self.fault == "doubled-claims-accepted")
        except DoubledError:
            raise VerifierError("CLAIMS_INVALID") from None
        except ValueError:
            raise VerifierError("ATTESTATION_MALFORMED") from None
        withheld = set[str]()
        if "~" in text:
            if self.fault == "parts-unread":
                raise VerifierError("ATTESTATION_MALFORMED")
            claims, withheld = put_together(claims, disclosures, self.fault)
        ReferenceClaims(self.now, self.fault).check(claims)
        if header["alg"] not in {"none", "HS256"}:
            key, authority = self._key(token, claims, header)
            self._check_signature(token, header, key, loose=loose)
            self._check_key_time(key, claims["iat"])
            if self.fault == "revocation-spreads":
                for other in authority["keys"]:
                    self._check_key_time({"not_before": 0, **other}, claims["iat"])
            self._check_reach(authority, claims)
        self._check_times(claims)
        self._check_reader(claims)
        if self.fault == "withheld-believed":
            withheld = set()
        ReferenceDistrusts(self.state, self.fault).check(claims, header["kid"], withheld)
        return claims, header["kid"]

    def _scanned(self, text: str) -> str:
        if not text.startswith((PREFIX, PART_PREFIX)):
            return text
        armour = "armour" if text.startswith(PREFIX) else "part-armour"
        if self.fault == f"{armour}-unread":
            raise VerifierError("ATTESTATION_MALFORMED")
        loose = self.fault == f"{armour}-trailing-accepted"
        unbounded = self.fault == f"{armour}-unbounded"
        if self.fault == "armour-case-folded":
            text = text.upper()
        try:
            return from_armour(text, bounded=not unbounded, whole=not loose)
        except ValueError as error:
            raise VerifierError("ARMOUR_INVALID") from error

    # -- header, key, signature ----------------------------------------------------

    def _check_header(self, header: dict[str, Any], typ: str) -> None:
        exact = set(header) == {"alg", "kid", "typ"}
        needed = {"alg", "kid"} if self.fault == "type-optional" else {"alg", "kid", "typ"}
        lacks = not set(header) >= needed
        exact = exact or set(header) == needed
        if lacks or (not exact and self.fault != "header-members-ignored"):
            raise VerifierError("ATTESTATION_HEADER")
        if header.get("typ", typ) != typ and self.fault != "type-ignored":
            raise VerifierError("ATTESTATION_HEADER")
        allowed = {"ES256", "Ed25519"}
        allowed |= {"none"} if self.fault == "none-accepted" else set()
        allowed |= {"HS256"} if self.fault == "hmac-accepted" else set()
        allowed -= {"Ed25519"} if self.fault == "ed25519-unknown" else set()
        allowed |= {"EdDSA"} if self.fault == "eddsa-accepted" else set()
        if header["alg"] not in allowed:
            raise VerifierError("ATTESTATION_ALGORITHM")

    def _key(
        self, token: str, claims: dict[str, Any], header: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        authority = self.state.body("authority", claims["iss"])
        if authority is None:
            raise VerifierError("KEY_UNKNOWN")
        if authority["state"] == "suspended" and self.fault != "suspended-believed":
            raise VerifierError("AUTHORITY_SUSPENDED")
        if authority["state"] == "withdrawn" and self.fault != "withdrawn-believed":
            raise VerifierError("AUTHORITY_WITHDRAWN")
        keys = list(authority["keys"])
        if self.fault == "keys-merged":
            for place, entry in self.state.newest.items():
                keys += entry.claims["body"].get("keys", []) if place[0] == "authority" else []
        if self.fault == "ended-key-dropped":
            keys = [key for key in keys if "reason" not in key or "not_after" not in key]
        uses = {"attest", "state"} if self.fault == "key-use-ignored" else {"attest"}
        found = [key for key in keys if key["use"] in uses and key["jwk"]["kid"] == header["kid"]]
        if not found and self.fault == "unknown-key-falls-back":
            found = [key for key in keys if is_signed(token, key["jwk"])][:1]
            found = found or [key for key in keys if key["use"] == "attest"][:1]
        if not found:
            raise VerifierError("KEY_UNKNOWN")
        return found[0], authority

    def _check_signature(
        self, token: str, header: dict[str, Any], key: dict[str, Any], *, loose: bool
    ) -> None:
        fits = algorithm_of(key["jwk"]) == header["alg"]
        if header["alg"] == "EdDSA":
            fits = True
        if not fits and self.fault != "algorithm-unbound":
            raise VerifierError("ATTESTATION_ALGORITHM")
        ignored = self.fault in ("signature-ignored", "unknown-key-falls-back")
        der = self.fault == "der-accepted"
        if header["alg"] == "ES256" and self.fault == "one-spelling" and is_high(token):
            raise VerifierError("SIGNATURE_INVALID")
        if not ignored and not is_signed(token, key["jwk"], der=der, loose=loose):
            raise VerifierError("SIGNATURE_INVALID")

    def _check_key_time(self, key: dict[str, Any], iat: int) -> None:
        # In use at `iat`, not now: a retired key still verifies what it signed.
        moment = self.now if self.fault == "key-must-hold-now" else iat
        early = (
            moment < key["not_before"] - LEEWAY_SECONDS and self.fault != "key-not-before-ignored"
        )
        if self.fault == "published-key-used" and key["not_before"] > self.now:
            early = False
        at_once = key["not_before"] == key.get("published_at")
        if at_once and self.fault == "lead-demanded":
            early = True
        late = moment >= key.get("not_after", moment + 1) + LEEWAY_SECONDS
        if early or (late and self.fault != "key-not-after-ignored"):
            raise VerifierError("KEY_NOT_VALID_NOW")
        if "revoked_at" in key and self.fault != "revoked-believed":
            after = iat >= key["revoked_at"]
            if after or self.fault != "revoked-from-instant":
                raise VerifierError("KEY_REVOKED")
        tainted = "tainted_from" in key and self.fault != "taint-ignored"
        if tainted and (iat >= key["tainted_from"] or self.fault == "taint-for-ever"):
            raise VerifierError("KEY_TAINTED")

    def _check_reach(self, authority: dict[str, Any], claims: dict[str, Any]) -> None:
        kinds = authority.get("kinds")
        if kinds is not None and "attestation" not in kinds and self.fault != "kinds-ignored":
            raise VerifierError("CONSTRAINT_EXCEEDED")
        prefixes = tuple(authority["prefixes"])
        own = claims["iss"].rpartition(":")[2].startswith(prefixes)
        if not own and self.fault != "issuer-division-ignored":
            raise VerifierError("ISSUER_NOT_ALLOWED")
        for report in reports(claims["code"]):
            own = report["issued_by"].startswith(prefixes)
            if not own and self.fault != "divisions-ignored":
                raise VerifierError("ISSUER_NOT_ALLOWED")
        longest = authority["max_attestation_seconds"]
        if ReferenceClaims(self.now, self.fault).lasts_too_long(claims):
            return
        if claims["exp"] - claims["iat"] > longest and self.fault != "superior-life-ignored":
            raise VerifierError("LIFETIME_TOO_LONG")

    # -- time, audience, question --------------------------------------------------------

    def _check_times(self, claims: dict[str, Any]) -> None:
        leeway = LEEWAY_SECONDS + (self.fault == "off-by-one")
        leeway += 540 * (self.fault == "skew-wide")
        leeway -= LEEWAY_SECONDS * (self.fault == "no-skew")
        if self.now >= claims["exp"] + leeway and self.fault != "expired-accepted":
            raise VerifierError("ATTESTATION_EXPIRED")
        if self.now < claims["nbf"] - leeway and self.fault != "not-before-ignored":
            raise VerifierError("ATTESTATION_NOT_YET_VALID")

    def _check_reader(self, claims: dict[str, Any]) -> None:
        here = self.request["audience"].rpartition(":")[2]
        covered = here.startswith(prefix_of(claims["aud"]))
        if self.fault == "audience-exact":
            covered = claims["aud"] == self.request["audience"]
        if not covered and self.fault != "audience-ignored":
            raise VerifierError("AUDIENCE_MISMATCH")
        asked = self.request.get("nonce")
        if claims["use"] == "online" and self.fault == "online-refused":
            raise VerifierError("ATTESTATION_REPLAYED")
        if asked is None:
            allowed = {"carried"}
            allowed |= {"import"} if self.fault == "import-at-a-gate" else set()
            allowed |= {"online"} if self.fault == "online-unasked" else set()
            if claims["use"] not in allowed:
                raise VerifierError("ATTESTATION_REPLAYED")
        elif claims.get("nonce") != asked and self.fault != "nonce-ignored":
            raise VerifierError("ATTESTATION_REPLAYED")
