"""The adapter's pipeline: open → fetch → interpret → translate → attest → seal.

One sealed envelope goes in with who asks, one sealed envelope comes out. An
envelope holds a batch of questions of one caller; what concerns the envelope as a
whole (its key, its binding, its time, its nonces, its audience, its purpose) can
refuse it as a whole, before anything is asked. After that every question gets
exactly one answer, in order, with its nonce: an attestation, an outcome, or the
refusal of this one question.

Connectors fetch and interpret: what they bring back are local reports or an
outcome. A platform that has not answered when the item's time is nearly up is
SOURCE_TIMED_OUT. A connector that raises is a defect: INTERNAL with an incident
id for this question, never its text.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from operator import length_hint
from typing import TYPE_CHECKING, Final, TypeVar

from hutong.v1 import exchange_pb2

from adapters.sdk.answers import Done, serialise_answers
from adapters.sdk.asking import DISCLOSURES, may_be_for, read_question
from adapters.sdk.errors import QuestionError
from adapters.sdk.nobody import Nobody
from adapters.sdk.opening import (
    RESERVE_SECONDS,
    RESERVE_SHARE,
    EnvelopeOpener,
    Opened,
    check_asked_at,
)
from adapters.sdk.reports import Deadline, OutcomeReport, QrText
from adapters.sdk.translation import translate
from gateway.attestation.claims import NONCE_BYTES
from gateway.attestation.padding import ANSWER_BUCKET_BYTES, pad
from gateway.attestation.sd_jwt import Disclosure, Draft
from gateway.attestation.sealing import MAX_ANSWER_ENVELOPE_BYTES, open_question, seal_answer
from gateway.codes.levels import Outcome
from gateway.errors import HutongError
from gateway.wire.interceptors import report_incident

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from adapters.sdk.attest import Attester, Issuance
    from adapters.sdk.grants import CallerContext
    from adapters.sdk.issued import IssuedLedger
    from adapters.sdk.replay import NonceWindow
    from adapters.sdk.reports import Connector, LocalReport
    from gateway.attestation.sealing import SealingKey
    from gateway.codes.documents import Document
    from gateway.codes.scheme_model import Scheme
    from gateway.codes.unified import UnifiedCode

MAX_QUESTIONS: Final = 256
"""As ``hutong.v1.QuestionBatch.questions``."""
CONCURRENT_FETCHES: Final = 32
"""Questions of one envelope that are at the platform at once."""

ANSWER_BYTES: Final = MAX_ANSWER_ENVELOPE_BYTES * 3 // 4 - 1024
"""What an answer envelope holds beside its frame: IV and tag, or the parts of a JWE
with its base64url, which grows by a third."""

_CARRIED: Final = exchange_pb2.ATTESTATION_USE_CARRIED
_IMPORT: Final = exchange_pb2.ATTESTATION_USE_IMPORT


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """A question batch out of its envelope.

    Attributes:
        audience: region URN the attestations are for.
        questions: in order.
        envelope: where the answer goes.
    """

    audience: str
    questions: tuple[exchange_pb2.Question, ...] = field(repr=False)
    envelope: Opened


class AnswerPipeline:
    """Answers sealed envelopes for one authority.

    Args:
        prefixes: divisions it answers for.
        scheme: the city's scheme.
        connector: fetches and interprets.
        sealing_keys: private encryption keys by key id.
        attester: signs.
        nonces: those seen.
        clock: now, aware, UTC.
        concurrent_fetches: questions of one envelope at the platform at once.
        ledger: keeps carried attestations revocable; the attester's own.
    """

    def __init__(
        self,
        *,
        prefixes: tuple[str, ...],
        scheme: Scheme,
        connector: Connector,
        sealing_keys: Mapping[str, SealingKey],
        attester: Attester,
        nonces: NonceWindow,
        clock: Callable[[], datetime],
        concurrent_fetches: int = CONCURRENT_FETCHES,
        ledger: IssuedLedger | None = None,
    ) -> None:
        self._opener = EnvelopeOpener(prefixes, sealing_keys)
        self._scheme = scheme
        self._connector = connector
        self._attester = attester
        self._nonces = nonces
        self._clock = clock
        self._concurrent_fetches = concurrent_fetches
        self._ledger = ledger
        # A hub that measures time must not tell an outcome from a level.
        self._nobody = Nobody(scheme, connector, attester, prefixes)

    async def answer(
        self, question: exchange_pb2.SealedQuestion, caller: CallerContext, deadline: Deadline
    ) -> bytes:
        """Answer one envelope.

        Args:
            question: as it came; its fields hold the schema's rules.
            caller: who asks, verified.
            deadline: when the sealed answer must leave.

        Returns:
            The sealed answer batch.

        Raises:
            QuestionError: the envelope is refused as a whole.
        """
        opened = self.open(question, caller)
        since = time.monotonic()
        # Step by step over the whole batch: code and data of a step stay warm, which
        # costs a sixth less than walking each question through all steps.
        fetched = await self._fetch_all(opened, deadline)
        carried = sum(each.use == _CARRIED for each in opened.questions)
        if self._ledger is not None and carried:
            await self._ledger.prepare(carried)
        now = self._clock()
        issuance = self._attester.begin(opened.audience, now)
        translated = _each(fetched, lambda held: self._translate(held, now))
        claimed = _each(translated, lambda held: self._claims(held, issuance))
        spare = self._spare(opened, fetched, claimed, issuance)
        if self._ledger is None or not issuance.rows:
            attested = _each(claimed, self._attester.sign)
            _each(spare, self._attester.sign)
            return self.seal(opened, attested)
        # The disk works while the signatures are made.
        written = self._ledger.write(issuance.rows)
        attested = _each(claimed, self._attester.sign)
        _each(spare, self._attester.sign)
        instead = await self._ledger.refusal(written, issuance.rows, since)
        if instead is not None:
            attested = _without_carried(attested, translated, instead)
        return self.seal(opened, attested)

    def open(self, question: exchange_pb2.SealedQuestion, caller: CallerContext) -> OpenedBatch:
        """Open an envelope and hold all of it against who asks and when.

        Raises:
            QuestionError: UNKNOWN_REGION, PURPOSE_NOT_ALLOWED, SEALING_KEY_UNKNOWN,
                ENVELOPE_UNREADABLE, INVALID_REQUEST, QUESTION_STALE,
                AUDIENCE_NOT_ALLOWED, QUESTION_REPLAYED or OVERLOADED.
        """
        batch, envelope = self._opener.open(
            question, caller, open_question, exchange_pb2.QuestionBatch
        )
        if not 1 <= len(batch.questions) <= MAX_QUESTIONS:
            raise QuestionError("too few or too many questions", code="INVALID_REQUEST")
        now = self._clock().timestamp()
        check_asked_at(batch.asked_at, now)
        if not may_be_for(batch, caller.region, envelope.binding.purpose):
            raise QuestionError(
                "the caller's region does not lie in the audience", code="AUDIENCE_NOT_ALLOWED"
            )
        self._nonces.admit([question.nonce for question in batch.questions], now)
        return OpenedBatch(batch.audience, tuple(batch.questions), envelope)

    def seal(self, opened: OpenedBatch, results: Sequence[str | Done]) -> bytes:
        """Seal one answer a question under the reply key.

        Answers that do not fit give way to an error, the largest first. Padded, so that
        the length does not tell what the answers are.
        """
        nonces = [question.nonce for question in opened.questions]
        plaintext = serialise_answers(nonces, results, max_bytes=ANSWER_BYTES)
        padded = pad(plaintext, ANSWER_BUCKET_BYTES * len(nonces), max_bytes=ANSWER_BYTES)
        envelope = opened.envelope
        return seal_answer(envelope.reply_key, padded, envelope.binding, envelope.profile)

    async def _fetch_all(self, opened: OpenedBatch, deadline: Deadline) -> list[_Fetched | Done]:
        """Ask the platform every question, until shortly before the deadline."""
        left = deadline.remaining_seconds()
        budget = left - min(RESERVE_SECONDS, left * RESERVE_SHARE)
        fetch_by = Deadline(deadline.clock() + budget, deadline.clock)
        questions = opened.questions
        late = OutcomeReport(Outcome.SOURCE_TIMED_OUT)
        results: list[_Fetched | Done] = [late] * len(questions)
        seen: set[bytes] = set()
        todo = iter(range(len(questions)))

        async def work() -> None:
            for place in todo:
                question = questions[place]
                again = question.nonce in seen
                seen.add(question.nonce)
                results[place] = await self._fetch(question, fetch_by, again=again)

        try:
            async with asyncio.timeout(budget), asyncio.TaskGroup() as group:

                def help_out() -> None:
                    helpers = min(length_hint(todo), self._concurrent_fetches - 1)
                    for _ in range(helpers):
                        group.create_task(work())

                # Helpers come only when the first worker has to wait: from memory it
                # does all of it, without a task a question.
                helping = asyncio.get_running_loop().call_soon(help_out)
                await work()
                helping.cancel()
        except TimeoutError:
            pass
        return results

    async def _fetch(
        self, question: exchange_pb2.Question, deadline: Deadline, *, again: bool
    ) -> _Fetched | Done:
        try:
            nonce, presentation = read_question(question, again=again)
            fetched = await self._connector.fetch(presentation, deadline)
        except Exception as error:  # noqa: BLE001 - a defect costs its own question only
            self._nobody.read()
            return _refused(error)
        if isinstance(fetched, OutcomeReport):
            self._nobody.read()
            return fetched
        asked = presentation.text if isinstance(presentation, QrText) else presentation
        is_import = question.use == _IMPORT
        subject, disclosure = fetched.subject or asked, DISCLOSURES[question.disclosure]
        return _Fetched(nonce, subject, fetched.reports, is_import, disclosure)

    def _translate(self, held: _Fetched, now: datetime) -> _Translated | OutcomeReport:
        code = translate(self._scheme, held.reports, now)
        if isinstance(code, OutcomeReport):
            return code
        return _Translated(held.nonce, held.subject, code, held.is_import, held.disclosure)

    def _spare(
        self,
        opened: OpenedBatch,
        fetched: Sequence[_Fetched | Done],
        claimed: Sequence[Draft | Done],
        issuance: Issuance,
    ) -> list[Draft]:
        """Do for nobody what was not done for whom there is nothing to attest of."""
        spare = []
        for question, held, draft in zip(opened.questions, fetched, claimed, strict=True):
            if isinstance(draft, Draft):
                continue
            if not isinstance(held, _Fetched):
                self._nobody.translate()
            spare.append(
                self._nobody.claims(
                    None if question.use == _CARRIED else _nonce(question),
                    issuance,
                    is_import=question.use == _IMPORT,
                    disclosure=DISCLOSURES.get(question.disclosure),
                )
            )
        return spare

    def _claims(self, held: _Translated, issuance: Issuance) -> Draft | OutcomeReport:
        payload = self._attester.claims(
            held.code, held.subject, held.nonce, issuance, is_import=held.is_import
        )
        if isinstance(payload, OutcomeReport):
            return payload
        if held.disclosure is None:
            return Draft(payload)
        return self._attester.in_part(payload, held.disclosure, held.code)


@dataclass(slots=True)
class _Fetched:
    """What the platform holds; the nonce is None for carried use."""

    nonce: bytes | None = field(repr=False)
    subject: Document | str = field(repr=False)
    reports: tuple[LocalReport, ...] = field(repr=False)
    is_import: bool
    disclosure: Disclosure | None


@dataclass(slots=True)
class _Translated:
    """A unified code, and whose it is; the nonce as before."""

    nonce: bytes | None = field(repr=False)
    subject: Document | str = field(repr=False)
    code: UnifiedCode = field(repr=False)
    is_import: bool
    disclosure: Disclosure | None


_T = TypeVar("_T", _Fetched, _Translated, Draft)
_R = TypeVar("_R")


def _each(items: Sequence[_T | Done], step: Callable[[_T], _R | OutcomeReport]) -> list[_R | Done]:
    """Take every item that is not done one step on; a defect costs its own item only."""
    results: list[_R | Done] = []
    for item in items:
        if isinstance(item, OutcomeReport | HutongError):
            results.append(item)
            continue
        try:
            results.append(step(item))
        except Exception as error:  # noqa: BLE001 - see above
            results.append(_refused(error))
    return results


def _without_carried(
    results: Sequence[str | Done], translated: Sequence[_Translated | Done], instead: Done
) -> list[str | Done]:
    """Put something else in the place of every carried attestation."""
    return [
        instead
        if isinstance(result, str)
        and isinstance(held, _Translated)
        and held.nonce is None
        and not held.is_import
        else result
        for result, held in zip(results, translated, strict=True)
    ]


def _nonce(question: exchange_pb2.Question) -> bytes:
    """The nonce, or as many bytes where it is of another length."""
    return question.nonce[:NONCE_BYTES].ljust(NONCE_BYTES, b"\0")


def _refused(error: Exception) -> HutongError:
    return error if isinstance(error, QuestionError) else report_incident(error, step="answer")
