"""The reference verifier: reads a feed and an attestation as ``docs/spec`` asks.

Speaks the protocol of ``docs/spec/verifier.md``: one request a line, one answer a line.
It is given at most one fault. Nothing of the gateway is in it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance_tests.attestations import LEVELS, MAX_LIFE_SECONDS, TYPE
from conformance_tests.crypto import unb64
from conformance_tests.peer.verifier_feed import listed
from conformance_tests.peer.verifier_jose import (
    DoubledError,
    VerifierError,
    algorithm_of,
    is_high,
    is_signed,
    segments,
    strict_json,
)
from conformance_tests.peer.verifier_pack import PackReader
from conformance_tests.peer.verifier_parts import put_together, take_apart
from conformance_tests.peer.verifier_reports import prefix_of, reports, shortest
from conformance_tests.peer.verifier_status import ReferenceStatus
from conformance_tests.vectors.armour import PREFIX, from_armour
from conformance_tests.vectors.parts import TYPE as PART_TYPE

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_feed import State

LEEWAY_SECONDS = 60  # HT-ATT-6
MAX_TOKEN_BYTES = 8192  # HT-ATT-9
_REQUIRED = {"iss", "aud", "iat", "nbf", "exp", "jti", "sub", "use", "code"}
_OPTIONAL = {"nonce", "bound", "status", "serial"}
_REPORT = {"level", "scheme", "state", "assessed_at", "source_at", "issued_by"}
_REPORT_OPTIONAL = {
    *("basis", "valid_until", "declared_at", "declaration_valid_until", "release", "area"),
    *("declarations", "rule", "negative_test_at", "also"),
}
_MAX_SERIAL = 2**53 - 1


@dataclass(frozen=True, slots=True)
class ReferenceVerifier:
    """Answers requests, each for itself.

    Attributes:
        fault: name in ``faults.yaml``; empty for a sound one.
    """

    fault: str = ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        now = int(request["now"])
        replica = PackReader(request["anchor"], self.fault)
        refused: list[str | None] = []
        for step in request["feed"]:
            try:
                replica.take(step, now)
                refused.append(None)
            except VerifierError as error:
                refused.append(str(error))
        state = replica.state
        answer: dict[str, Any] = {
            "feed": refused,
            "sequence": state.sequence,
            "live": listed(state.live()),
            "as_of": state.as_of,
            "ok": True,
        }
        if "token" not in request:
            return answer
        try:
            claims, kid = _Reading(state, request, now, self.fault).verify()
            if "status" in claims:
                lists = [*request.get("lists", []), *replica.lists]
                status = ReferenceStatus(state, lists, now, self.fault)
                status.check(claims, kid)
        except VerifierError as error:
            return {**answer, "ok": False, "reason": str(error)}
        level = "GREEN" if self.fault == "level-always-green" else claims["code"]["level"]
        return {**answer, "level": level, "issuer": claims["iss"]}


@dataclass(frozen=True, slots=True)
class _Reading:
    """One attestation against one state of trust."""

    state: State
    request: dict[str, Any]
    now: int
    fault: str

    def verify(self) -> tuple[dict[str, Any], str]:  # noqa: C901 - the steps in their order
        token, disclosures = take_apart(self._scanned(self.request["token"]), self.fault)
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
        self._check_header(header, PART_TYPE if "~" in self.request["token"] else TYPE)
        try:
            claims = strict_json(payload, allow_doubled=self.fault == "doubled-claims-accepted")
        except DoubledError:
            raise VerifierError("CLAIMS_INVALID") from None
        except ValueError:
            raise VerifierError("ATTESTATION_MALFORMED") from None
        withheld = set[str]()
        if "~" in self.request["token"]:
            if self.fault == "parts-unread":
                raise VerifierError("ATTESTATION_MALFORMED")
            claims, withheld = put_together(claims, disclosures, self.fault)
        self._check_claims(claims)
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
        self._check_distrust(claims, header["kid"], withheld)
        return claims, header["kid"]

    def _scanned(self, text: str) -> str:
        if not text.startswith(PREFIX):
            return text
        if self.fault == "armour-unread":
            raise VerifierError("ATTESTATION_MALFORMED")
        loose = self.fault == "armour-trailing-accepted"
        unbounded = self.fault == "armour-unbounded"
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
        if self._lasts_too_long(claims):
            return
        if claims["exp"] - claims["iat"] > longest and self.fault != "superior-life-ignored":
            raise VerifierError("LIFETIME_TOO_LONG")

    # -- claims -----------------------------------------------------------------------

    def _check_claims(self, claims: dict[str, Any]) -> None:
        try:
            self._check_frame(claims)
            for report in reports(claims["code"]):
                self._check_report(report, claims["exp"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VerifierError("CLAIMS_INVALID") from error

    def _check_frame(self, claims: dict[str, Any]) -> None:  # noqa: C901, PLR0912 - a line a rule reads best in one place
        known = set(claims) <= _REQUIRED | _OPTIONAL or self.fault == "claims-open"
        if not (known and set(claims) >= _REQUIRED - ({"exp"} & self._lenient_exp())):
            raise VerifierError("CLAIMS_INVALID")
        claims.setdefault("exp", self.now + 300)
        for name in ("iat", "nbf", "exp"):
            whole = type(claims[name]) is int or self.fault == "time-fraction-accepted"
            if not whole or isinstance(claims[name], bool):
                raise VerifierError("CLAIMS_INVALID")
        if not claims["iat"] <= claims["nbf"] < claims["exp"] and self.fault != "order-ignored":
            raise VerifierError("CLAIMS_INVALID")
        if not prefix_of(claims["aud"]) and self.fault != "country-audience":
            raise VerifierError("CLAIMS_INVALID")
        life = claims["exp"] - claims["iat"]
        online = MAX_LIFE_SECONDS["carried" if self.fault == "one-life-for-all" else claims["use"]]
        if self._lasts_too_long(claims):
            return
        if life > online and self.fault != "life-ignored":
            raise VerifierError("LIFETIME_TOO_LONG")
        own = {"online": "nonce", "import": "bound"}.get(claims["use"])
        for name in {"nonce", "bound"} & set(claims) - {own}:
            if self.fault != f"{name}-anywhere":
                raise VerifierError("CLAIMS_INVALID")
        if "nonce" in claims and len(unb64(claims["nonce"])) != 16:  # noqa: PLR2004 - HT-ATT-8
            raise VerifierError("CLAIMS_INVALID")
        if "serial" in claims:
            whole = type(claims["serial"]) is int and 0 <= claims["serial"] <= _MAX_SERIAL
            if not whole and self.fault != "serial-unchecked":
                raise VerifierError("CLAIMS_INVALID")
        if "status" in claims:
            if claims["use"] != "carried" and self.fault != "status-anywhere":
                raise VerifierError("CLAIMS_INVALID")
            self._check_reference(claims["status"])

    def _lasts_too_long(self, claims: dict[str, Any]) -> bool:
        """Whether a faulty reader takes a carried attestation of more than a day."""
        life = claims["exp"] - claims["iat"]
        return bool(life > MAX_LIFE_SECONDS["carried"]) and self.fault == "day-exceeded"

    def _lenient_exp(self) -> set[str]:
        return {"exp"} if self.fault == "expiry-optional" else set()

    def _check_reference(self, status: dict[str, Any]) -> None:
        reference = status["status_list"]
        sound = (
            set(status) == {"status_list"}
            and set(reference) == {"idx", "uri"}
            and type(reference["idx"]) is int
            and reference["idx"] >= 0
        )
        if not sound and self.fault != "reference-unchecked":
            raise VerifierError("CLAIMS_INVALID")

    def _check_report(self, report: dict[str, Any], exp: int) -> None:
        optional = {"valid_until", "area"} if self.fault == "code-members-unknown" else set()
        optional = optional | {"also"} if optional else _REPORT_OPTIONAL
        if not (_REPORT <= set(report) <= _REPORT | optional):
            raise VerifierError("CLAIMS_INVALID")
        if report["level"] not in LEVELS and self.fault != "level-unchecked":
            raise VerifierError("CLAIMS_INVALID")
        if exp > report.get("valid_until", exp) and self.fault != "code-outlived":
            raise VerifierError("LIFETIME_TOO_LONG")
        others = [LEVELS.index(other["level"]) for other in report.get("also", ())]
        worst = min(others, default=len(LEVELS))
        if others and LEVELS.index(report["level"]) > worst and self.fault != "order-of-reports":
            raise VerifierError("CLAIMS_INVALID")

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

    def _check_distrust(self, claims: dict[str, Any], kid: str, withheld: set[str]) -> None:
        if self.fault == "distrust-ignored":
            return
        for (kind, _), entry in self.state.newest.items():
            if kind != "distrust":
                continue
            if entry.is_withdrawn:
                if self.fault == "tombstone-read-as-distrust":
                    raise VerifierError("ATTESTATION_DISTRUSTED")
                continue
            if self._touches(entry.claims["body"]["rule"], claims, kid, withheld):
                raise VerifierError("ATTESTATION_DISTRUSTED")

    def _touches(
        self, rule: dict[str, Any], claims: dict[str, Any], kid: str, withheld: set[str]
    ) -> bool:
        """Whether every member of the rule holds; a faulty reader leaves one out."""
        told = list(reports(claims["code"]))
        serial = claims.get("serial")
        holds = {
            "issuer": rule["issuer"] == claims["iss"],
            "signed_from": rule["signed_from"] <= claims["iat"],
            "signed_until": claims["iat"] < rule.get("signed_until", claims["iat"] + 1),
            "kind": rule.get("kind", "attestation") == "attestation",
            "key_id": rule.get("key_id", kid) == kid,
            "prefix": bool(withheld & {"area", "also"})
            or any(self._rests_on(rule.get("prefix", ""), report) for report in told),
            "scheme": bool(withheld & {"scheme", "also"})
            or any(report["scheme"] == rule.get("scheme", report["scheme"]) for report in told),
            "serial": "first_serial" not in rule
            or (serial is None and self.fault != "distrust-needs-serial")
            or (serial is not None and rule["first_serial"] <= serial <= rule["last_serial"]),
        }
        return all(
            held or self.fault == f"distrust-{name.replace('_', '-')}-ignored"
            for name, held in holds.items()
        )

    def _rests_on(self, prefix: str, report: dict[str, Any]) -> bool:
        area = str(report.get("area", report["issued_by"]))
        around = prefix.startswith(shortest(area)) and self.fault != "distrust-below-only"
        return area.startswith(prefix) or around


def speak(fault: str = "") -> None:
    """Answer requests on standard input until it ends."""
    verifier = ReferenceVerifier(fault)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request.get("id"), **verifier.answer(request)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
