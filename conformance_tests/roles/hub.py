"""The suite as an edge towards a hub under test, with a real adapter behind it.

It takes access tokens with the client key that the profile names, asks the
origin region of the profile, and reads the feed with the keys of the anchor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import (
    error_pb2,
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    feed_service_pb2_grpc,
)

from conformance_tests import crypto
from conformance_tests.model import Case, CheckFailedError, Observed
from conformance_tests.roles import calls
from conformance_tests.roles.hub_also import same_everywhere
from conformance_tests.roles.hub_disposable import ACT, Disposable, open_disposable
from conformance_tests.roles.hub_feed import FeedReading
from conformance_tests.roles.hub_tokens import OK, bearer, token_door
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from types import TracebackType

    from jwcrypto import jwk

    from conformance_tests.profile import Profile

_SCOPE = "exchange.query"
_STREAM_ITEMS = 8
_ERROR_PREFIX = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class HubPlan(Plan):
    """A sound question to a hub; a case changes one property."""

    token_present: bool = True
    token_signed_by: str = "hub"  # noqa: S105 - who, not a secret
    question_region: str = ""
    question_padding_bytes: int = 0
    call_deadline: bool = True


@dataclass(frozen=True, slots=True)
class _Sealed:
    question: exchange_pb2.SealedQuestion
    reply_key: bytes
    nonce: bytes
    binding: crypto.Binding


class HubBench:
    """Connects to the hub and plays the cases of the role."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._stack = contextlib.AsyncExitStack()
        self._anchor = profile.read_json(str(profile.need("anchor")))
        self._token: str | None = None
        self._disposable: Disposable | None = None

    # Read when a check needs them: a disposable hub may have no city behind it.

    @cached_property
    def _urn(self) -> str:
        return str(self._profile.need("client", "urn"))

    @cached_property
    def _region(self) -> str:
        return str(self._profile.need("client", "region"))

    @cached_property
    def _key(self) -> jwk.JWK:
        name = str(self._profile.need("client", "key"))
        return crypto.load_key(self._profile.read_json(name))

    @cached_property
    def _origin(self) -> str:
        return str(self._profile.need("origin", "region"))

    @cached_property
    def _seal(self) -> crypto.SealKey:
        name = str(self._profile.need("origin", "seal"))
        return crypto.load_seal_key(self._profile.read_json(name))

    @cached_property
    def _person(self) -> dict[str, Any]:
        return dict(self._profile.need("origin", "person"))

    async def __aenter__(self) -> Self:
        """Open the channel and the HTTP session."""
        self._channel = await calls.connect(self._profile)
        self._exchange = exchange_service_pb2_grpc.ExchangeServiceStub(self._channel)
        self._reader = FeedReading(
            feed_service_pb2_grpc.FeedServiceStub(self._channel), self._anchor
        )
        self._tokens = await self._stack.enter_async_context(token_door(self._profile))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close both."""
        await self._stack.aclose()
        await self._channel.close()

    async def exchange(self, case: Case) -> Observed:
        """Ask one question, or do the act that is given, sound but for the case's change."""
        if ACT in case.given:
            return await (await self._disposed()).act(case.given, case.change)
        plan = HubPlan(question_region=self._origin).changed(case.change)
        sealed = self._seal_question(plan)
        request = exchange_service_pb2.ExchangeServiceQueryRequest(question=sealed.question)
        timeout = calls.CALL_SECONDS if plan.call_deadline else None
        try:
            async with asyncio.timeout(calls.CALL_SECONDS):
                response = await self._exchange.Query(
                    request, metadata=await self._metadata(plan), timeout=timeout
                )
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            seen = calls.refusal(error, secrets=self._secrets(plan))
            return self._field_named(plan, error, seen)
        except TimeoutError:
            return Observed(code="DEADLINE_EXCEEDED")
        return self._read(sealed, response.envelope)

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        scenarios = {
            "assertion_replay": self._assertion_replay,
            "round_trip": self._round_trip,
            "stream_batch": self._stream_batch,
            "duplicate_id": self._duplicate_id,
        }
        found = scenarios.get(name)
        if found is not None:
            return await found()
        if name == "same_everywhere":
            return await same_everywhere(self._profile, self._channel)
        if name in self._reader.scenarios:
            return await self._reader.scenarios[name]()
        return await (await self._disposed()).scenario(name)

    async def _disposed(self) -> Disposable:
        found = self._disposable
        if found is None:
            opened = open_disposable(self._profile, self._channel, self._tokens)
            found = self._disposable = await self._stack.enter_async_context(opened)
        return found

    # -- tokens ---------------------------------------------------------------

    async def _metadata(self, plan: HubPlan) -> tuple[tuple[str, str], ...]:
        if not plan.token_present:
            return ()
        token = self._token = await self._tokens.token(self._urn, self._key, _SCOPE)
        if plan.token_signed_by != "hub":  # noqa: S105 - who, not a secret
            head, payload, _ = token.split(".")
            kid = json.loads(crypto.unb64(head))["kid"]
            typ = json.loads(crypto.unb64(head)).get("typ", "at+jwt")
            claims = json.loads(crypto.unb64(payload))
            token = crypto.sign(claims, crypto.new_signing_key(), typ, kid=kid)
        return bearer(token)

    async def _assertion_replay(self) -> Observed:
        assertion = self._tokens.assertion(self._urn, self._key)
        status, body = await self._tokens.ask(self._urn, assertion, _SCOPE)
        if status != OK:
            raise CheckFailedError(f"a sound assertion was refused: {body.get('error', status)}")
        status, body = await self._tokens.ask(self._urn, assertion, _SCOPE)
        if status == OK:
            raise CheckFailedError("the same assertion was accepted twice")
        if body.get("error") != "invalid_client":
            raise CheckFailedError(f"refused with {body.get('error')}, not invalid_client")
        return Observed(kind="answer")

    # -- questions ------------------------------------------------------------

    def _seal_question(self, plan: HubPlan, *, item: int = 0) -> _Sealed:
        nonce, reply_key = os.urandom(16), os.urandom(32)
        question = exchange_pb2.Question(nonce=nonce, use=exchange_pb2.ATTESTATION_USE_ONLINE)
        if "document" in self._person:
            question.document.type = int(self._person["document"]["type"])  # type: ignore[assignment]  # a number stands for the enum
            question.document.number = str(self._person["document"]["number"])
        else:
            question.qr_text = str(self._person["qr_text"])
        asked = Timestamp()
        asked.GetCurrentTime()
        batch = exchange_pb2.QuestionBatch(
            reply_key=reply_key,
            asked_at=asked,
            audience=f"urn:hutong:region:{self._region}",
            questions=[question],
            padding=bytes(plan.question_padding_bytes),
        )
        origin = f"urn:hutong:region:{self._origin}"
        binding = crypto.Binding(origin, self._urn, "CHECKPOINT")
        envelope = crypto.seal_question(self._seal, batch.SerializeToString(), binding)
        sealed = exchange_pb2.SealedQuestion(
            id=item,
            region=plan.question_region,
            purpose=exchange_pb2.PURPOSE_CHECKPOINT,
            timeout_ms=int(calls.CALL_SECONDS * 1000) if item else 0,
            key_id=self._seal.kid,
            envelope=envelope,
        )
        return _Sealed(sealed, reply_key, nonce, binding)

    def _secrets(self, plan: HubPlan) -> tuple[str, ...]:
        own = (plan.question_region,) if not plan.question_region.isdigit() else ()
        return (self._token, *own) if self._token else own

    def _field_named(self, plan: HubPlan, error: grpc.aio.AioRpcError, seen: Observed) -> Observed:
        if plan.question_region.isdigit() or "question.region" in calls.named_fields(error):
            return seen
        return Observed(seen.code, seen.reason, notes=("the field is not named (HT-ERR-3)",))

    def _read(self, sealed: _Sealed, envelope: bytes) -> Observed:
        try:
            plaintext = crypto.open_answer(
                sealed.reply_key, envelope, sealed.binding, self._seal.profile
            )
            answers = exchange_pb2.AnswerBatch.FromString(plaintext).answers
        except (crypto.OpenFailedError, ValueError):
            return Observed(kind="answer", notes=("the answer does not open (HT-EXC-2)",))
        if [answer.nonce for answer in answers] != [sealed.nonce]:
            return Observed(kind="answer", notes=("not one answer with the nonce (HT-EXC-2)",))
        return Observed(kind="answer")

    async def _round_trip(self) -> Observed:
        sealed = self._seal_question(HubPlan(question_region=self._origin), item=1)
        answers = await self._stream([sealed.question])
        answer = answers.get(1)
        if answer is None or not answer.HasField("envelope"):
            raise CheckFailedError("a sound question got no answer")
        return self._read(sealed, answer.envelope)

    async def _stream(
        self, *messages: list[exchange_pb2.SealedQuestion]
    ) -> dict[int, exchange_pb2.SealedAnswer]:
        """Send messages on one stream; return the last answer of every id."""
        call = self._exchange.QueryStream(metadata=await self._metadata(HubPlan()))
        answers: dict[int, exchange_pb2.SealedAnswer] = {}
        self._count = 0
        try:
            async with asyncio.timeout(calls.CALL_SECONDS):
                for questions in messages:
                    await call.write(
                        exchange_service_pb2.ExchangeServiceQueryStreamRequest(questions=questions)
                    )
                await call.done_writing()
                async for response in call:
                    for answer in response.answers:
                        self._count += 1
                        if not answer.HasField("error") or answer.id not in answers:
                            answers[answer.id] = answer
                        if answer.HasField("error"):
                            self._errors.setdefault(answer.id, []).append(answer.error.reason)
        except TimeoutError:
            call.cancel()
            raise CheckFailedError("the stream did not end after the half-close") from None
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            raise CheckFailedError(f"the stream failed: {error.code().name}") from None
        return answers

    async def _stream_batch(self) -> Observed:
        plan = HubPlan(question_region=self._origin)
        sealed = [self._seal_question(plan, item=number + 1) for number in range(_STREAM_ITEMS)]
        spoilt = sealed[_STREAM_ITEMS // 2].question
        spoilt.region = "990000"
        self._errors: dict[int, list[int]] = {}
        answers = await self._stream([each.question for each in sealed])
        if self._count != _STREAM_ITEMS or set(answers) != {each.question.id for each in sealed}:
            raise CheckFailedError("not every id was answered exactly once (HT-EXC-7)")
        if self._errors.get(spoilt.id) != [error_pb2.ERROR_REASON_UNKNOWN_REGION]:
            raise CheckFailedError("the item for nobody's region was not refused as such")
        for each in sealed:
            if each.question.id != spoilt.id:
                if answers[each.question.id].HasField("error"):
                    raise CheckFailedError("a sound item beside the bad one was refused")
                seen = self._read(each, answers[each.question.id].envelope)
                if seen.notes:
                    raise CheckFailedError(seen.notes[0])
        return Observed(kind="answer")

    async def _duplicate_id(self) -> Observed:
        plan = HubPlan(question_region=self._origin)
        first, second = (self._seal_question(plan, item=7) for _ in range(2))
        self._errors = {}
        answers = await self._stream([first.question, second.question])
        if self._errors.get(7) != [error_pb2.ERROR_REASON_DUPLICATE_ID]:
            names = [error_pb2.ErrorReason.Name(each) for each in self._errors.get(7, [])]  # type: ignore[arg-type]  # a number stands for the enum
            shown = ", ".join(name.removeprefix(_ERROR_PREFIX) for name in names) or "nothing"
            raise CheckFailedError(f"the second use of an id brought {shown}, not DUPLICATE_ID")
        if 7 not in answers or not answers[7].HasField("envelope"):  # noqa: PLR2004 - the id asked twice
            raise CheckFailedError("the first use of the id suffered (HT-EXC-8)")
        return self._read(first, answers[7].envelope)
