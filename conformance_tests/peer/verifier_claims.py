"""The claims of an attestation and what a distrust touches, as the reference verifier reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance_tests.attestations import LEVELS, MAX_LIFE_SECONDS
from conformance_tests.crypto import unb64
from conformance_tests.peer.verifier_jose import VerifierError
from conformance_tests.peer.verifier_reports import prefix_of, reports, shortest

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_state import State

_REQUIRED = {"iss", "aud", "iat", "nbf", "exp", "jti", "sub", "use", "code"}
_OPTIONAL = {"nonce", "bound", "status", "serial"}
_REPORT = {"level", "scheme", "state", "assessed_at", "source_at", "issued_by"}
_REPORT_OPTIONAL = {
    *("basis", "valid_until", "declared_at", "declaration_valid_until", "release", "area"),
    *("declarations", "rule", "negative_test_at", "also"),
}
_MAX_SERIAL = 2**53 - 1


@dataclass(frozen=True, slots=True)
class ReferenceClaims:
    """Holds claims against docs/spec/attestation.md, but for the one fault.

    Attributes:
        now: the validation time.
        fault: name in ``faults.yaml``; empty for none.
    """

    now: int
    fault: str

    def check(self, claims: dict[str, Any]) -> None:
        """Refuse claims that are not those of an attestation.

        Raises:
            VerifierError: CLAIMS_INVALID or LIFETIME_TOO_LONG.
        """
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
        if self.lasts_too_long(claims):
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

    def lasts_too_long(self, claims: dict[str, Any]) -> bool:
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


@dataclass(frozen=True, slots=True)
class ReferenceDistrusts:
    """The distrusts in force.

    Attributes:
        state: what is held of the feed.
        fault: name in ``faults.yaml``; empty for none.
    """

    state: State
    fault: str

    def check(self, claims: dict[str, Any], kid: str, withheld: set[str]) -> None:
        """Refuse what a distrust in the feed touches.

        Raises:
            VerifierError: ATTESTATION_DISTRUSTED.
        """
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
