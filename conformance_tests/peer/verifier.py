"""The reference verifier: reads a feed and an attestation as ``docs/spec`` asks.

Speaks the protocol of ``docs/spec/verifier.md``: one request a line, one answer a line.
It is given at most one fault. Nothing of the gateway is in it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from conformance_tests.peer.verifier_catalogue import ReferenceCatalogues
from conformance_tests.peer.verifier_feeds import ReferenceFeeds
from conformance_tests.peer.verifier_jose import VerifierError
from conformance_tests.peer.verifier_pack import PackReader
from conformance_tests.peer.verifier_reading import Reading
from conformance_tests.peer.verifier_state import listed
from conformance_tests.peer.verifier_status import ReferenceStatus

_OUTLIVES = {
    "memory-outlives-taint": "KEY_TAINTED",
    "memory-outlives-revocation": "KEY_REVOKED",
    "memory-outlives-distrust": "ATTESTATION_DISTRUSTED",
    "memory-outlives-suspension": "AUTHORITY_SUSPENDED",
    "memory-outlives-departure": "AUTHORITY_WITHDRAWN",
    "memory-outlives-status": "ATTESTATION_REVOKED",
    "memory-outlives-expiry": "ATTESTATION_EXPIRED",
}
"""Fault: what a reader does not see any more of an attestation that it once verified."""


@dataclass(frozen=True, slots=True)
class ReferenceVerifier:
    """Answers requests, each for itself.

    Attributes:
        fault: name in ``faults.yaml``; empty for a sound one.
    """

    fault: str = ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request, and what comes later of it."""
        replica = PackReader(request["anchor"], self.fault)
        answer = self._read(request, replica)
        said, asked = [answer], request
        for later in request.get("later", ()):
            asked = {**asked, **later}
            said.append(self._remembered(said[-1], self._read(asked, replica)))
        if "later" not in request or self.fault == "later-unread":
            return answer
        return {**answer, "later": said[1:]}

    def _read(self, request: dict[str, Any], replica: PackReader) -> dict[str, Any]:
        """Take the steps in, and read the attestation."""
        now = int(request["now"])
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
        if "catalogues" in request:
            taking = ReferenceCatalogues(state, request["audience"], now, self.fault)
            taken = [taking.take(text) for text in request["catalogues"]]
            return {**answer, "catalogues": taken, "listed": len(taking.listed)}
        if "token" not in request:
            return answer
        try:
            if "relayed" in request:
                hub, relayed = request["anchor"]["hub"], request["relayed"]
                feeds = ReferenceFeeds(hub, state, relayed, now, self.fault)
                state, answer["trust_as_of"] = feeds.for_issuer(request["token"])
            claims, kid = Reading(state, request, now, self.fault).verify()
            status_as_of = claims["iat"]
            if self.fault == "fresh-without-a-list":
                status_as_of = state.as_of
            if "status" in claims:
                lists = [*request.get("lists", []), *replica.lists]
                status = ReferenceStatus(state, lists, now, self.fault)
                status.check(claims, kid)
                status_as_of = status.as_of(claims)
            elif self.fault == "silence-without-a-list":
                silence = state.body("silence", claims["iss"]) or {"since": status_as_of}
                status_as_of = min(status_as_of, silence["since"])
        except VerifierError as error:
            return {**answer, "ok": False, "reason": str(error)}
        level = "GREEN" if self.fault == "level-always-green" else claims["code"]["level"]
        said = {"level": level, "issuer": claims["iss"], "status_as_of": status_as_of}
        return {**answer, **said}

    def _remembered(self, before: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
        """What a reader with a memory says; a sound one looks at everything that may change."""
        for fault, reason in _OUTLIVES.items():
            if self.fault == fault and before["ok"] and fresh.get("reason") == reason:
                return {**fresh, "ok": True, "level": before["level"], "issuer": before["issuer"]}
        if self.fault == "refusal-remembered" and not before["ok"]:
            return {**fresh, "ok": False, "reason": before["reason"]}
        return fresh


def speak(fault: str = "") -> None:
    """Answer requests on standard input until it ends."""
    verifier = ReferenceVerifier(fault)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request.get("id"), **verifier.answer(request)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
