"""How the reference adapter converts: believes one origin, keeps what it converted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import code_pb2, error_pb2, exchange_pb2

from conformance_tests import crypto
from conformance_tests.attestations import TYPE, bound_to
from conformance_tests.peer.common import RefusedError, private_members, write_json
from conformance_tests.peer.people import PEOPLE, SCHEME

if TYPE_CHECKING:
    from pathlib import Path

    from jwcrypto import jwk

ORIGIN = "urn:hutong:region:440000"
_TRAVELLER = "440101190001010018"
_OWN = f"11010119000101{PEOPLE['restricted'][0]:04d}"
BUCKET_BYTES = 2560  # HT-SEAL-8
_PURPOSES = {"HOLDER", "PLATFORM"}
_MAX_AGE_SECONDS = 86_400
_LIFE_SECONDS = 3600
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_REFUSALS = exchange_pb2.ImportRefusal


@dataclass(slots=True)
class ReferenceImports:
    """Converts, but for the one fault.

    Attributes:
        fault: the deliberate fault; empty for none.
        authority: URN of this destination.
        origin_key: of the one origin that it believes; the suite signs with it.
    """

    fault: str
    authority: str
    origin_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    _made: dict[str, exchange_pb2.LocalCode] = field(default_factory=dict)
    _is_broken: bool = False

    def profile(self, folder: Path, mood_url: str) -> dict[str, Any]:
        """The section ``import`` of the profile."""
        return {
            "origin": {
                "authority": ORIGIN,
                "attest": write_json(folder / "origin.jwk", private_members(self.origin_key)),
            },
            "traveller": {"document": {"type": 10, "number": _TRAVELLER}, "name": "测试甲"},
            "broken-platform": {
                "document": {"type": 10, "number": _TRAVELLER},
                "name": "测试甲",
                "arrange": {"method": "PUT", "url": mood_url, "json": {"mood": "busy"}},
                "restore": {"method": "DELETE", "url": mood_url},
            },
            "own-record": {"document": {"type": 10, "number": _OWN}, "name": "测试乙"},
        }

    def check_purpose(self, purpose: str) -> None:
        """Refuse what is no purpose of a conversion.

        Raises:
            RefusedError: PURPOSE_NOT_ALLOWED.
        """
        if purpose not in _PURPOSES and self.fault != "import-any-purpose":
            raise RefusedError(grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_NOT_ALLOWED")

    def answer(self, batch: exchange_pb2.ImportBatch, mood: str) -> exchange_pb2.ImportAnswerBatch:
        """Answer every import of a batch, in the platform's mood."""
        self._is_broken = bool(mood) and self.fault != "import-platform-ignored"
        seen: set[bytes] = set()
        answers = []
        for each in batch.imports:
            answer = exchange_pb2.ImportAnswer(nonce=each.nonce)
            try:
                if each.nonce in seen and self.fault != "import-nonce-twice":
                    raise RefusedError(_INVALID, "QUESTION_REPLAYED")
                seen.add(each.nonce)
                self._convert(each, answer)
            except RefusedError as error:
                reason = error_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}")
                answer.error.reason = reason
            answers.append(answer)
        reply = exchange_pb2.ImportAnswerBatch(answers=answers)
        if self.fault != "import-length-tells":
            crypto.pad(reply, BUCKET_BYTES * len(answers))
        return reply

    def _convert(self, asked: exchange_pb2.Import, answer: exchange_pb2.ImportAnswer) -> None:
        claims = self._read(asked)
        answers = (
            asked.declarations.contact,
            asked.declarations.risk_area,
            asked.declarations.overseas,
        )
        if code_pb2.TRI_STATE_UNSPECIFIED in answers and self.fault != "import-absent-is-no":
            raise RefusedError(_INVALID, "INVALID_REQUEST")
        refusal = self._refusal(asked, claims, answers)
        if refusal:
            answer.refusal = _REFUSALS.Value(f"IMPORT_REFUSAL_{refusal}")
            return
        token_id = claims["jti"]
        if token_id not in self._made or self.fault == "import-makes-another":
            self._made[token_id] = self._make(claims)
        answer.local_code.CopyFrom(self._made[token_id])

    def _read(self, asked: exchange_pb2.Import) -> dict[str, Any]:
        keys = {self.origin_key["kid"]: self.origin_key}
        try:
            claims, _ = crypto.read_signed(asked.attestation, keys, TYPE)
        except ValueError as error:
            segments = asked.attestation.split(".")
            if self.fault != "import-signature-ignored" or len(segments) != 3:  # noqa: PLR2004 - compact serialisation
                raise RefusedError(_INVALID, "ATTESTATION_INVALID") from error
            claims = crypto.unsafe_claims(asked.attestation)
        sound = (
            (claims["aud"] == self.authority or self.fault == "import-audience-ignored")
            and (claims["exp"] > time.time() or self.fault == "import-expiry-ignored")
            and (claims["use"] == "import" or self.fault == "import-use-ignored")
        )
        if not sound:
            raise RefusedError(_INVALID, "ATTESTATION_INVALID")
        return claims

    def _refusal(
        self, asked: exchange_pb2.Import, claims: dict[str, Any], answers: tuple[int, ...]
    ) -> str:
        code, number = claims["code"], asked.document.number
        bound = claims.get("bound")
        if claims["use"] == "import":
            if bound is None and self.fault != "import-bound-not-needed":
                return "SUBJECT"
            expected = bound_to(asked.nonce, asked.document.type, number)
            if bound not in (None, expected) and self.fault != "import-bound-not-compared":
                return "SUBJECT"
        age = time.time() - code["assessed_at"]
        rules = (
            ("LEVEL", "import-level-ignored", code["level"] != "GREEN"),
            ("TOO_OLD", "import-age-ignored", age > _MAX_AGE_SECONDS),
            ("DECLARATION", "import-answers-ignored", code_pb2.TRI_STATE_YES in answers),
            ("OWN_RECORD", "import-own-record-overwritten", number == _OWN),
            ("PLATFORM", "", self._is_broken),
        )
        broken = (name for name, fault, holds in rules if holds and self.fault != (fault or None))
        return next(broken, "")

    def _make(self, claims: dict[str, Any]) -> exchange_pb2.LocalCode:
        code = claims["code"]
        local = exchange_pb2.LocalCode(
            scheme=SCHEME,
            state="绿码",
            qr_text=f"https://reference.example/{crypto.random_text()}",
            origin=claims["iss"].rpartition(":")[2],
        )
        ends = min(int(time.time()) + _LIFE_SECONDS, code["valid_until"])
        if self.fault == "import-without-end":
            ends = code["valid_until"] + _LIFE_SECONDS
        local.valid_until.FromSeconds(ends)
        if self.fault != "import-test-dropped":
            local.negative_test_at.FromSeconds(code["negative_test_at"])
        return local
