"""The reference adapter: a dozen synthetic people, one key of each kind, one fault at most.

Speaks profile HPKE on plain gRPC on loopback. It writes the profile that the
suite needs to test it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import yaml
from hutong.v1 import (
    adapter_service_pb2,
    adapter_service_pb2_grpc,
    code_pb2,
    error_pb2,
    exchange_pb2,
)

from conformance_tests import crypto
from conformance_tests.attestations import attest, bound_to
from conformance_tests.peer.adapter_changes import ReferenceChanges
from conformance_tests.peer.adapter_parts import in_part
from conformance_tests.peer.common import (
    RefusedError,
    abort,
    metadata,
    private_members,
    write_json,
)
from conformance_tests.peer.importing import ReferenceImports
from conformance_tests.peer.people import SCHEME, ReferencePlatform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jwcrypto import jwk

AUTHORITY = "urn:hutong:region:110000"
HUB = "urn:hutong:hub:000000"
CALLER = "urn:hutong:checkpoint:440100:suite"
WINDOW_SECONDS = 60  # HT-SEAL-6
_YEAR = 365 * 86_400
ANSWER_BUCKET_BYTES = 1280  # HT-SEAL-8
_PATIENCE_SECONDS = 0.05
"""How long it waits for a slow platform: long before any deadline of the suite."""
_WAITED_SECONDS = 3
"""What the suite waits for this adapter to push: it does so in the same moment."""
_IMPORTS = ("import.own-record", "import.broken-platform")
_Context = grpc.aio.ServicerContext[Any, Any]
_UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
_DENIED = grpc.StatusCode.PERMISSION_DENIED
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_IMPORT = exchange_pb2.ATTESTATION_USE_IMPORT


@dataclass(slots=True)
class ReferenceAdapter(adapter_service_pb2_grpc.AdapterServiceServicer):
    """Answers as the specification asks, but for the one fault it is given."""

    fault: str = ""
    authority: str = AUTHORITY
    hub: str = HUB
    token_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    attest_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    seal_key: crypto.SealKey = field(default_factory=crypto.new_seal_key)
    pseudonym_secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    platform: ReferencePlatform = field(init=False)
    imports: ReferenceImports = field(init=False)
    changes: ReferenceChanges = field(init=False)
    _seen: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.platform = ReferencePlatform(self.fault)
        self.imports = ReferenceImports(self.fault, self.authority)
        self.changes = ReferenceChanges(self.fault, self.authority, self.attest_key)
        self.platform.on_turn = self.changes.turn
        self.platform.on_drain = self.changes.drain

    def write_profile(self, folder: Path, target: str) -> Path:
        """Write what the suite needs to test this peer; return the profile's path."""
        people = self.platform.people()
        profile = {
            "role": "adapter",
            "target": target,
            "insecure": True,
            "authority": self.authority,
            "hub": {
                "urn": self.hub,
                "token_key": write_json(folder / "token.jwk", private_members(self.token_key)),
            },
            "caller": {"urn": CALLER, "region": "440100"},
            "seal": [write_json(folder / "seal.jwk", self.seal_key.members)],
            "attest": [write_json(folder / "attest.jwk", crypto.public_members(self.attest_key))],
            "people": people,
            "import": self.imports.profile(folder, self.platform.url),
            "patience_seconds": _WAITED_SECONDS,
            "drain": self.platform.switch("mood", mood="drain"),
            "capabilities": [
                *("stream", "document", "changes", "changes.gap", "drain"),
                *("import", "import.answers", *_IMPORTS),
                *(f"person.{name}" for name in people),
            ],
        }
        path = folder / "profile.yaml"
        path.write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
        return path

    # -- the service ------------------------------------------------------------

    async def Describe(  # noqa: N802 - the service's own name
        self, request: adapter_service_pb2.DescribeRequest, context: _Context
    ) -> adapter_service_pb2.DescribeResponse:
        """Say what this adapter is."""
        keys = [] if self.fault == "no-sealing-key-named" else [self.seal_key.kid]
        response = adapter_service_pb2.DescribeResponse(
            authority=self.authority,
            prefixes=["11"],
            schemes=[SCHEME],
            sealing_key_ids=keys,
            imports=self.fault != "import-denied-in-describe",
            watches=self.fault != "watch-denied-in-describe",
        )
        response.now.GetCurrentTime()
        return response

    async def Query(  # noqa: N802 - the service's own name
        self, request: adapter_service_pb2.AdapterServiceQueryRequest, context: _Context
    ) -> adapter_service_pb2.AdapterServiceQueryResponse:
        """Answer one question."""
        try:
            grant = self._grant(metadata(context, "hutong-grant"))
            since = self.changes.turns()
            if self.platform.mood == "hold":
                await self.platform.hold()
            if self.platform.mood == "slow":
                late = self.fault == "deadline-ignored"
                left = context.time_remaining() or 0.0
                await asyncio.sleep(left if late else _PATIENCE_SECONDS)
            envelope = self._answer(request.question, grant, since)
        except RefusedError as error:
            await abort(context, error)
        return adapter_service_pb2.AdapterServiceQueryResponse(envelope=envelope)

    async def Import(  # noqa: N802 - the service's own name
        self, request: adapter_service_pb2.ImportRequest, context: _Context
    ) -> adapter_service_pb2.ImportResponse:
        """Convert codes of the one origin that it believes."""
        try:
            grant = self._grant(metadata(context, "hutong-grant"))
            self.imports.check_purpose(_purpose(request.sealed))
            batch = exchange_pb2.ImportBatch()
            ignores = self.fault == "import-label-ignored"
            labels = [crypto.IMPORT, *([crypto.QUESTION] if ignores else [])]
            binding = self._open(request.sealed, grant, batch, *labels)
            distance = abs(time.time() - batch.asked_at.ToNanoseconds() / 1e9)
            if distance > WINDOW_SECONDS and self.fault != "import-stale-accepted":
                raise RefusedError(_INVALID, "QUESTION_STALE")
            plaintext = self.imports.answer(batch, self.platform.mood).SerializeToString()
        except RefusedError as error:
            await abort(context, error)
        return adapter_service_pb2.ImportResponse(
            envelope=crypto.seal_answer(batch.reply_key, plaintext, binding, crypto.IMPORT_ANSWER)
        )

    async def QueryStream(  # noqa: N802 - the service's own name
        self,
        request_iterator: AsyncIterator[adapter_service_pb2.AdapterServiceQueryStreamRequest],
        context: _Context,
    ) -> AsyncIterator[adapter_service_pb2.AdapterServiceQueryStreamResponse]:
        """Answer batches, each item on its own."""
        grants: dict[int, str] = {}
        async for request in request_iterator:
            grants.update({caller.handle: caller.grant for caller in request.callers})
            answers = []
            for question in request.questions:
                try:
                    grant = self._grant(grants.get(question.caller, ""))
                    envelope = self._answer(question, grant)
                    answers.append(exchange_pb2.SealedAnswer(id=question.id, envelope=envelope))
                except RefusedError as error:
                    if self.fault == "batch-fails-whole":
                        await abort(context, error)
                    if self.fault == "item-unanswered":
                        continue
                    reason = error_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}")
                    item = error_pb2.ItemError(reason=reason)
                    answers.append(exchange_pb2.SealedAnswer(id=question.id, error=item))
            yield adapter_service_pb2.AdapterServiceQueryStreamResponse(answers=answers)

    async def WatchChanges(  # noqa: N802 - the service's own name
        self,
        request: adapter_service_pb2.WatchChangesRequest,
        context: _Context,
    ) -> AsyncIterator[adapter_service_pb2.WatchChangesResponse]:
        """Push what is revoked."""
        try:
            async for frame in self.changes.frames(request.heartbeat_seconds):
                yield frame
        except RefusedError as error:
            await abort(context, error)

    async def CountLive(  # noqa: N802 - the service's own name
        self,
        request: adapter_service_pb2.CountLiveRequest,
        context: _Context,
    ) -> adapter_service_pb2.CountLiveResponse:
        """Count what a rule would touch."""
        try:
            counted = self.changes.count(request.rule)
        except RefusedError as error:
            await abort(context, error)
        return adapter_service_pb2.CountLiveResponse(attestations=counted)

    # -- authorise --------------------------------------------------------------

    def _grant(self, token: str) -> dict[str, Any]:
        if not token:
            if self.fault == "grant-not-needed":
                return {"sub": CALLER, "region": "440100", "purposes": ["CHECKPOINT"]}
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_MISSING")
        keys = {self.token_key["kid"]: self.token_key}
        try:
            claims, _ = crypto.read_signed(token, keys, "hutong-grant+jwt")
        except ValueError as error:
            if self.fault != "grant-signature-ignored":
                raise RefusedError(_UNAUTHENTICATED, "TOKEN_INVALID") from error
            claims = json.loads(crypto.unb64(token.split(".")[1]))
        if claims.get("aud") != self.authority and self.fault != "grant-audience-ignored":
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_INVALID")
        if claims["exp"] <= time.time() and self.fault != "grant-expiry-ignored":
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_EXPIRED")
        return claims

    # -- open, answer, seal -------------------------------------------------------

    def _open(
        self,
        sealed: exchange_pb2.SealedQuestion,
        grant: dict[str, Any],
        batch: exchange_pb2.QuestionBatch | exchange_pb2.ImportBatch,
        *labels: str,
    ) -> crypto.Binding:
        purpose = _purpose(sealed)
        if purpose not in grant["purposes"] and self.fault != "purpose-ignored":
            raise RefusedError(_DENIED, "PURPOSE_NOT_ALLOWED")
        if sealed.key_id != self.seal_key.kid:
            raise RefusedError(_INVALID, "SEALING_KEY_UNKNOWN")
        binding = crypto.Binding(self.authority, grant["sub"], purpose)
        for label in labels:
            with contextlib.suppress(crypto.OpenFailedError):
                batch.ParseFromString(
                    crypto.open_question(self.seal_key, sealed.envelope, binding, label)
                )
                return binding
        if self.fault == "binding-reason-told" and any(sealed.envelope):
            raise RefusedError(_DENIED, "AUDIENCE_NOT_ALLOWED")
        raise RefusedError(_INVALID, "ENVELOPE_UNREADABLE")

    def _answer(
        self, sealed: exchange_pb2.SealedQuestion, grant: dict[str, Any], since: int = 0
    ) -> bytes:
        batch = exchange_pb2.QuestionBatch()
        binding = self._open(sealed, grant, batch, crypto.QUESTION)
        distance = abs(time.time() - batch.asked_at.ToNanoseconds() / 1e9)
        if distance > WINDOW_SECONDS and self.fault != "stale-accepted":
            raise RefusedError(_INVALID, "QUESTION_STALE")
        audience = f"urn:hutong:region:{grant['region']}"
        if batch.audience != audience and not self._may_name(batch, _purpose(sealed)):
            raise RefusedError(_DENIED, "AUDIENCE_NOT_ALLOWED")
        nonces = {question.nonce for question in batch.questions}
        if nonces & self._seen and self.fault != "replay-accepted":
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, "QUESTION_REPLAYED")
        self._seen |= nonces
        answers = [self._look_up(question, batch.audience, since) for question in batch.questions]
        reply = exchange_pb2.AnswerBatch(answers=answers)
        if self.fault != "length-tells":
            crypto.pad(reply, ANSWER_BUCKET_BYTES * len(answers))
        return crypto.seal_answer(batch.reply_key, reply.SerializeToString(), binding)

    def _may_name(self, batch: exchange_pb2.QuestionBatch, purpose: str) -> bool:
        """Whether any region may be the audience: for imports alone (HT-EXC-16)."""
        if self.fault == "audience-ignored":
            return True
        if self.fault == "imports-at-home-only":
            return False
        imports = [question.use == _IMPORT for question in batch.questions]
        enough = any(imports) if self.fault == "one-import-opens" else all(imports)
        if self.fault == "any-use-elsewhere" and len(imports) == 1:
            enough = True
        may = purpose in {"HOLDER", "PLATFORM"} or self.fault == "import-for-a-checkpoint"
        return may and enough

    def _look_up(
        self, question: exchange_pb2.Question, audience: str, since: int
    ) -> exchange_pb2.Answer:
        answer = exchange_pb2.Answer(nonce=question.nonce)
        is_part = question.disclosure != exchange_pb2.DISCLOSURE_UNSPECIFIED
        if is_part and question.use == _IMPORT and self.fault != "import-in-part":
            answer.error.reason = error_pb2.ERROR_REASON_INVALID_REQUEST
            return answer
        number = question.document.number or question.qr_text
        held = self.platform.mood == "hold" and self.changes.was_turned(number, since)
        # What was held back says what was true when the platform was asked.
        owner, found = self.platform.ask(number, is_late=held)
        if held and self.fault != "leaves-though-turned":
            found = "SOURCE_BUSY"
        if isinstance(found, str):
            answer.outcome.outcome = code_pb2.Outcome.Value(f"OUTCOME_{found}")
        else:
            answer.attestation = self._attest(found, question, audience, owner)
        return answer

    def _attest(
        self, code: dict[str, Any], question: exchange_pb2.Question, audience: str, owner: str
    ) -> str:
        now = int(time.time())
        use = exchange_pb2.AttestationUse.Name(question.use).removeprefix("ATTESTATION_USE_")
        life = _YEAR if self.fault == "no-expiry" else 300
        if question.qr_text and self.fault == "unnamed-lives-on":
            life = 6 * 3600
        if self.fault == "outlives-code":
            code = {**code, "valid_until": now + 200}
        if self.fault == "no-expiry":
            code = {**code, "valid_until": now + life}
        claims = {
            "iss": self.authority,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + life,
            "jti": crypto.b64(bytes(16) if self.fault == "jti-repeated" else os.urandom(16)),
            "sub": self._pseudonym(audience, owner, use),
            "use": use.lower(),
            "code": code,
        }
        if use == "CARRIED":
            claims |= self.changes.allot(owner, now, now + life)
        if use == "ONLINE" or self.fault == "carried-bears-nonce":
            other = self.fault == "nonce-not-repeated"
            claims["nonce"] = crypto.b64(os.urandom(16) if other else question.nonce)
        if use == "IMPORT" and self.fault != "bound-left-out":
            nonce = bytes(16) if self.fault == "bound-without-nonce" else question.nonce
            claims["bound"] = bound_to(nonce, question.document.type, question.document.number)
        if question.disclosure != exchange_pb2.DISCLOSURE_UNSPECIFIED:
            minimal = question.disclosure == exchange_pb2.DISCLOSURE_MINIMAL
            return in_part(claims, self.attest_key, minimal=minimal, fault=self.fault)
        token = attest(claims, self.attest_key)
        if self.fault == "whole-closed-like-a-part":
            return f"{token}~"
        if self.fault == "alg-none":
            head = json.loads(crypto.unb64(token.split(".")[0]))
            bare = crypto.b64(json.dumps({**head, "alg": "none"}).encode())
            return f"{bare}.{token.split('.')[1]}."
        return token

    def _pseudonym(self, audience: str, owner: str, use: str) -> str:
        towards = "" if self.fault == "pseudonym-linkable" else audience
        if use == "IMPORT" and self.fault != "sub-of-gates-in-import":
            towards += " import"
        if self.fault == "pseudonym-random":
            return crypto.b64(os.urandom(32))
        message = f"{towards} {owner}".encode()
        return crypto.b64(hmac.new(self.pseudonym_secret, message, hashlib.sha256).digest())


def _purpose(sealed: exchange_pb2.SealedQuestion) -> str:
    return exchange_pb2.Purpose.Name(sealed.purpose).removeprefix("PURPOSE_")
