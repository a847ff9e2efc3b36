"""The reference verifier's look at the status of an attestation (docs/spec/status.md)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import unb64
from conformance_tests.peer.verifier_jose import (
    VerifierError,
    is_signed,
    parsed,
    segments,
    strict_json,
)
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_state import State

_LIST_TYPE = "statuslist+jwt"
_CHANGE_TYPE = "hutong-status+jwt"
_VALUES = {0: "", 1: "ATTESTATION_REVOKED", 2: "ATTESTATION_ON_HOLD"}
LEEWAY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ReferenceStatus:
    """What the feed and the lists at hand say of one entry."""

    state: State
    lists: list[str]
    now: int
    fault: str

    def check(self, claims: dict[str, Any], _kid: str) -> None:
        """Refuse what is revoked, on hold, or cannot be told.

        Raises:
            VerifierError: ATTESTATION_REVOKED, ATTESTATION_ON_HOLD, STATUS_UNKNOWN or
                STATUS_LIST_INVALID.
        """
        if self.fault == "status-ignored":
            return
        if self.fault == "status-unsupported":
            raise VerifierError("STATUS_UNKNOWN")
        reference = claims["status"]["status_list"]
        try:
            value = self._value(claims["iss"], reference["uri"], reference["idx"])
        except VerifierError as error:
            if self.fault == "status-failure-is-valid" and str(error) == "STATUS_UNKNOWN":
                return
            raise
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise VerifierError("STATUS_LIST_INVALID") from error
        if self.fault == "hold-ignored" and value == 2:  # noqa: PLR2004 - suspended, in the draft
            return
        known = {**_VALUES, 3: ""} if self.fault == "unknown-value-is-valid" else _VALUES
        reason = known.get(value, "ATTESTATION_REVOKED")
        if reason:
            raise VerifierError(reason)

    def as_of(self, claims: dict[str, Any]) -> int:
        """Of when the word on the status is (HT-DEC-12); of an attestation that stands."""
        newest = self._newest_word(claims)
        silence = self.state.newest.get(("silence", claims["iss"]))
        if silence is None:
            return newest
        if silence.is_withdrawn:
            since = silence.claims["iat"] if self.fault == "silence-for-ever" else newest
        else:
            ignored = self.fault == "silence-of-the-hub-ignored"
            since = newest if ignored else silence.claims["body"]["since"]
        if since > newest and self.fault == "silence-alone-counted":
            return int(since)
        return min(newest, since)

    def _newest_word(self, claims: dict[str, Any]) -> int:
        body = self.state.body("status", claims["status"]["status_list"]["uri"])
        if body is None:
            return self.state.as_of
        change = parsed(body["statement"])[1]
        tokens = {digest(token): token for token in self.lists}
        base = tokens.get(change["base"]["digest"])
        promised = base is not None and "ttl" in parsed(base)[1]
        if promised and self.fault == "silence-not-counted":
            promised = False
        if not promised and self.fault == "silence-always-counted":
            promised = True
        return min(self.state.as_of, change["iat"]) if promised else self.state.as_of

    def _value(self, issuer: str, uri: str, index: int) -> int:
        body = self.state.body("status", uri)
        if body is None:
            raise VerifierError("STATUS_UNKNOWN")
        change = self._signed(body["statement"], _CHANGE_TYPE, issuer)
        base = change["base"]
        others = change["uri"] != uri or change["iss"] != issuer
        if others or uri.split(":")[3] != issuer.rpartition(":")[2]:
            raise VerifierError("STATUS_LIST_INVALID")
        values = [
            int(value)
            for value, indices in change["changes"].items()
            if index in indices and self.fault != "changes-ignored"
        ]
        if self.fault == "base-wins":
            return self._base(issuer, uri, base, index)
        if self.fault == "base-needed":
            self._base(issuer, uri, base, index)
        # The newest word first: it says what has changed since the base.
        return values[0] if values else self._base(issuer, uri, base, index)

    def _base(self, issuer: str, uri: str, base: dict[str, Any], index: int) -> int:  # noqa: C901 - a line a rule
        tokens = {digest(token): token for token in self.lists}
        token = tokens.get(base["digest"])
        if token is None and self.fault == "any-list-taken" and self.lists:
            token = self.lists[0]
        if token is None:
            raise VerifierError("STATUS_UNKNOWN")
        claims = self._signed(token, _LIST_TYPE, issuer)
        if claims["sub"] != uri and self.fault != "list-uri-ignored":
            raise VerifierError("STATUS_LIST_INVALID")
        over = self.now >= claims["exp"] + LEEWAY_SECONDS
        if over and self.fault != "expired-list-used":
            raise VerifierError("STATUS_LIST_INVALID")
        if claims["iat"] > self.now + LEEWAY_SECONDS and self.fault != "future-list-used":
            raise VerifierError("STATUS_LIST_INVALID")
        bits: int = claims["status_list"]["bits"]
        size: int = base["size"]
        if bits not in {1, 2, 4, 8} or bits != base["bits"]:
            raise VerifierError("STATUS_LIST_INVALID")
        limit = size * bits // 8
        reader = zlib.decompressobj()
        room = 0 if self.fault == "bomb-unpacked" else limit
        data: bytes = reader.decompress(unb64(claims["status_list"]["lst"]), room)
        whole = len(data) == limit and not reader.unconsumed_tail and reader.eof
        if not whole and self.fault != "bomb-unpacked":
            raise VerifierError("STATUS_LIST_INVALID")
        if index >= size:
            if self.fault == "index-outside-is-valid":
                return 0
            raise VerifierError("STATUS_LIST_INVALID")
        place = (index + (self.fault == "neighbour-read")) % size * bits
        if self.fault == "highest-bit-first":
            return (data[place // 8] >> (8 - bits - place % 8)) & ((1 << bits) - 1)
        return (data[place // 8] >> (place % 8)) & ((1 << bits) - 1)

    def _signed(self, token: str, typ: str, issuer: str) -> dict[str, Any]:
        head, payload, _ = segments(token)
        header = strict_json(head)
        if header["typ"] != typ and self.fault != "list-type-ignored":
            raise VerifierError("STATUS_LIST_INVALID")
        authority = self.state.body("authority", issuer) or {"keys": []}
        keys = [
            key
            for key in authority["keys"]
            if key["use"] == "attest" and key["jwk"]["kid"] == header["kid"]
        ]
        claims: dict[str, Any] = strict_json(payload)
        tainted = keys and claims["iat"] >= keys[0].get("tainted_from", claims["iat"] + 1)
        if tainted and self.fault != "list-taint-ignored":
            raise VerifierError("STATUS_LIST_INVALID")
        unsigned = not keys or not is_signed(token, keys[0]["jwk"])
        if unsigned and self.fault != "list-signature-ignored":
            raise VerifierError("STATUS_LIST_INVALID")
        return claims
