"""The suite as an edge towards a hub under test, with a real adapter behind it.

It takes access tokens with the client key that the profile names, asks the
origin region of the profile, and reads the feed with the keys of the anchor.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
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
from conformance_tests.model import Case, CheckFailedError, Observed, UntestableError
from conformance_tests.profile import ProfileError
from conformance_tests.roles import calls
from conformance_tests.roles.hub_feed import FeedReading
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from types import TracebackType

    from conformance_tests.profile import Profile

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523
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
        self._token_url = str(profile.need("token_url"))
        self._urn = str(profile.need("client", "urn"))
        self._region = str(profile.need("client", "region"))
        self._key = crypto.load_key(profile.read_json(str(profile.need("client", "key"))))
        self._anchor = profile.read_json(str(profile.need("anchor")))
        self._origin = str(profile.need("origin", "region"))
        self._seal = crypto.load_seal_key(profile.read_json(str(profile.need("origin", "seal"))))
        self._person = dict(profile.need("origin", "person"))
        self._token: str | None = None

    async def __aenter__(self) -> Self:
        """Open the channel and the HTTP session."""
        self._channel = await calls.connect(self._profile)
        self._exchange = exchange_service_pb2_grpc.ExchangeServiceStub(self._channel)
        self._reader = FeedReading(
            feed_service_pb2_grpc.FeedServiceStub(self._channel), self._anchor
        )
        context: ssl.SSLContext | bool = True
        if "http_ca" in self._profile.entries:
            roots = self._profile.read(str(self._profile.entries["http_ca"])).decode()
            context = ssl.create_default_context(cadata=roots)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=calls.CALL_SECONDS),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close both."""
        await self._http.close()
        await self._channel.close()

    async def exchange(self, case: Case) -> Observed:
        """Ask one question, sound but for the case's change."""
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
        return await (self._reader.scenario(name) if found is None else found())

    # -- tokens ---------------------------------------------------------------

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._urn,
            "sub": self._urn,
            "aud": self._token_url,
            "iat": now,
            "exp": now + 60,
            "jti": crypto.b64(os.urandom(16)),
        }
        return crypto.sign(claims, self._key, "JWT")

    async def _fetch_token(self, assertion: str) -> tuple[int, dict[str, Any]]:
        form = {
            "grant_type": "client_credentials",
            "scope": _SCOPE,
            "client_id": self._urn,
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion,
        }
        try:
            async with self._http.post(self._token_url, data=form) as response:
                return response.status, json.loads(await response.read())
        except (aiohttp.ClientError, ValueError) as error:
            raise ProfileError("the token endpoint does not answer; check token_url") from error

    async def _metadata(self, plan: HubPlan) -> tuple[tuple[str, str], ...]:
        if not plan.token_present:
            return ()
        if self._token is None:
            status, body = await self._fetch_token(self._assertion())
            if status != 200:  # noqa: PLR2004 - HTTP OK
                raise UntestableError(f"no access token: {status} {body.get('error', '')}")
            self._token = str(body["access_token"])
        token = self._token
        if plan.token_signed_by != "hub":  # noqa: S105 - who, not a secret
            head, payload, _ = token.split(".")
            kid = json.loads(crypto.unb64(head))["kid"]
            typ = json.loads(crypto.unb64(head)).get("typ", "at+jwt")
            claims = json.loads(crypto.unb64(payload))
            token = crypto.sign(claims, crypto.new_signing_key(), typ, kid=kid)
        return (("authorization", f"Bearer {token}"),)

    async def _assertion_replay(self) -> Observed:
        assertion = self._assertion()
        status, body = await self._fetch_token(assertion)
        if status != 200:  # noqa: PLR2004 - HTTP OK
            raise CheckFailedError(f"a sound assertion was refused: {body.get('error', status)}")
        status, body = await self._fetch_token(assertion)
        if status == 200:  # noqa: PLR2004 - HTTP OK
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
