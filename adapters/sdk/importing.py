"""The import pipeline: open → verify → condition → platform → seal.

Turns attestations of other regions into local codes of this one
(docs/spec/adapter.md). What concerns the envelope refuses it as a whole; after that
every import gets exactly one answer, in order, with its nonce: a local code, the
destination's own refusal, or the error of this one import.

* Nothing is converted that does not verify against this adapter's own replica of the
  feed, that is not about the document shown with it, or that the scheme's condition
  does not admit. Whose it is is settled first, so that nobody learns anything about
  anybody else from a refusal.
* The platform is asked what it holds itself before it is asked to enter anything.
* One attestation is entered once. Who imports it again gets the same local code; the
  conditions are held against it anew. The memory is this process's own and bounded;
  beyond it the platform knows the same reference.
* A nonce is no guard against replays here, because it is the one of the question that
  brought the attestation: whoever imports twice repeats it. What a replay of the
  envelope brings is sealed for the original asker.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

import structlog
from hutong.v1 import exchange_pb2

from adapters.sdk.asking import MAX_QR_CHARACTERS
from adapters.sdk.conditions import LEEWAY, Conversion, first_refusal, own_record
from adapters.sdk.conversion import ImportOrder
from adapters.sdk.errors import QuestionError
from adapters.sdk.imports import answer_import, read_import, reference_of
from adapters.sdk.opening import (
    CONVERSION_PURPOSES,
    RESERVE_SECONDS,
    RESERVE_SHARE,
    EnvelopeOpener,
    Opened,
    check_asked_at,
    purpose_name,
)
from adapters.sdk.pipeline import ANSWER_BYTES
from adapters.sdk.reports import Deadline, OutcomeReport
from gateway.attestation.bound import check_bound
from gateway.attestation.errors import SubjectError
from gateway.attestation.padding import IMPORT_ANSWER_BUCKET_BYTES, pad
from gateway.attestation.sealing import open_import, seal_import_answer
from gateway.codes.conversion import ImportRefusal, LocalCode
from gateway.codes.scheme_model import SchemeError
from gateway.errors import TrustError
from gateway.wire.interceptors import report_incident

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from adapters.sdk.conversion import Importer
    from adapters.sdk.grants import CallerContext
    from adapters.sdk.imports import Asked, Result
    from adapters.sdk.reports import Connector
    from gateway.attestation.claims import Attestation
    from gateway.attestation.sealing import SealingKey
    from gateway.attestation.verifying import AttestationVerifier
    from gateway.codes.scheme_model import ImportRule, Scheme, SchemeVersion

MAX_IMPORTS: Final = 16
"""As ``hutong.v1.ImportBatch.imports``."""
MAX_REMEMBERED: Final = 65_536
"""Conversions remembered: some 40 MB; ten minutes, the life of an attestation, of a
hundred conversions a second."""

_log = structlog.get_logger(__name__)


class Trust(Protocol):
    """By whom other regions are believed; :class:`~adapters.sdk.replica.HubReplica` is one."""

    def verifier(self, now: datetime) -> AttestationVerifier | None:
        """Return what verifies attestations; None: nobody is believed now."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedImports:
    """An import batch out of its envelope, and what it is held against.

    Attributes:
        imports: in order.
        envelope: where the answer goes.
        destination: URN of the region that is asked.
        version: the destination's scheme in force.
        rule: its condition.
        verifier: verifies attestations.
        now: the moment of all of it.
    """

    imports: tuple[exchange_pb2.Import, ...] = field(repr=False)
    envelope: Opened
    destination: str
    version: SchemeVersion
    rule: ImportRule
    verifier: AttestationVerifier
    now: datetime


class ImportPipeline:
    """Converts for one authority.

    Args:
        prefixes: divisions it answers for.
        scheme: the city's scheme; its version in force says the condition.
        connector: asks the platform what it holds itself.
        importer: enters codes into the platform; as a rule the same object.
        trust: verifies attestations of other regions.
        sealing_keys: private encryption keys by key id.
        clock: now, aware, UTC.
        max_remembered: conversions remembered.
    """

    def __init__(
        self,
        *,
        prefixes: tuple[str, ...],
        scheme: Scheme,
        connector: Connector,
        importer: Importer,
        trust: Trust,
        sealing_keys: Mapping[str, SealingKey],
        clock: Callable[[], datetime],
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._prefixes = prefixes
        self._scheme = scheme
        self._connector = connector
        self._importer = importer
        self._trust = trust
        self._opener = EnvelopeOpener(prefixes, sealing_keys)
        self._clock = clock
        self._memory = _Memory(max_remembered)

    def is_offered(self) -> bool:
        """Whether anything is converted now: a condition is in force and trust is fresh."""
        now = self._clock()
        version = self._version(now)
        return version is not None and self._trust.verifier(now) is not None

    async def convert(
        self, sealed: exchange_pb2.SealedQuestion, caller: CallerContext, deadline: Deadline
    ) -> bytes:
        """Answer one envelope of imports.

        Args:
            sealed: as it came; its fields hold the schema's rules.
            caller: who asks, verified.
            deadline: when the sealed answer must leave.

        Returns:
            The sealed batch of answers.

        Raises:
            QuestionError: the envelope is refused as a whole, see :meth:`open`.
        """
        opened = self.open(sealed, caller)
        left = deadline.remaining_seconds()
        budget = left - min(RESERVE_SECONDS, left * RESERVE_SHARE)
        by = Deadline(deadline.clock() + budget, deadline.clock)
        nonces = [each.nonce for each in opened.imports]
        results = await asyncio.gather(
            *(
                self._convert_one(opened, each, by, again=each.nonce in nonces[:place])
                for place, each in enumerate(opened.imports)
            )
        )
        return self.seal(opened, results)

    def open(self, sealed: exchange_pb2.SealedQuestion, caller: CallerContext) -> OpenedImports:
        """Open an envelope and hold all of it against who asks and when.

        Raises:
            QuestionError: PURPOSE_NOT_ALLOWED, IMPORT_NOT_OFFERED, UNKNOWN_REGION,
                SEALING_KEY_UNKNOWN, ENVELOPE_UNREADABLE, INVALID_REQUEST or
                QUESTION_STALE.
        """
        if purpose_name(sealed) not in CONVERSION_PURPOSES:
            raise QuestionError("no purpose of a conversion", code="PURPOSE_NOT_ALLOWED")
        now = self._clock()
        version, verifier = self._version(now), self._trust.verifier(now)
        if version is None or version.import_rule is None or verifier is None:
            raise QuestionError("nothing is converted here now", code="IMPORT_NOT_OFFERED")
        batch, envelope = self._opener.open(sealed, caller, open_import, exchange_pb2.ImportBatch)
        if not 1 <= len(batch.imports) <= MAX_IMPORTS:
            raise QuestionError("too few or too many imports", code="INVALID_REQUEST")
        check_asked_at(batch.asked_at, now.timestamp())
        return OpenedImports(
            tuple(batch.imports),
            envelope,
            envelope.binding.origin,
            version,
            version.import_rule,
            verifier,
            now,
        )

    def seal(self, opened: OpenedImports, results: Sequence[Result]) -> bytes:
        """Seal one answer an import under the reply key, padded to one length."""
        answers = [
            answer_import(each.nonce, result)
            for each, result in zip(opened.imports, results, strict=True)
        ]
        plaintext = exchange_pb2.ImportAnswerBatch(answers=answers).SerializeToString()
        bucket = IMPORT_ANSWER_BUCKET_BYTES * len(answers)
        padded = pad(plaintext, bucket, max_bytes=ANSWER_BYTES)
        envelope = opened.envelope
        return seal_import_answer(envelope.reply_key, padded, envelope.binding, envelope.profile)

    # --- one import

    async def _convert_one(
        self, opened: OpenedImports, message: exchange_pb2.Import, by: Deadline, *, again: bool
    ) -> Result:
        try:
            asked = read_import(message, again=again)
            attestation = _verify(opened, asked)
            check_bound(attestation, asked.nonce, asked.document)
            conversion = Conversion(
                attestation, asked.declarations, opened.rule, self._prefixes, opened.now
            )
            refusal = first_refusal(conversion)
            if refusal is not None:
                return refusal
            async with asyncio.timeout(by.remaining_seconds()):
                return await self._enter_once(opened, asked, conversion, by)
        except SubjectError:
            return ImportRefusal.SUBJECT
        except TimeoutError:
            return ImportRefusal.PLATFORM
        except QuestionError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a defect costs its own import only
            return report_incident(error, step="import")

    async def _enter_once(
        self, opened: OpenedImports, asked: Asked, conversion: Conversion, by: Deadline
    ) -> LocalCode | ImportRefusal:
        """Enter a code, or return what an earlier import of the same attestation gave."""
        reference = reference_of(conversion.attestation)
        async with self._memory.turn(reference):
            known = self._memory.get(reference, opened.now)
            if known is not None:
                return known
            result = await self._enter(opened, asked, conversion, reference, by)
            if isinstance(result, LocalCode):
                end = conversion.attestation.expires_at + LEEWAY
                self._memory.put(reference, result, end)
            return result

    async def _enter(
        self,
        opened: OpenedImports,
        asked: Asked,
        conversion: Conversion,
        reference: str,
        by: Deadline,
    ) -> LocalCode | ImportRefusal:
        """Ask the platform what it holds, then to enter the code."""
        held = await self._connector.fetch(asked.document, by)
        refusal = own_record(opened.version, held)
        if refusal is not None:
            return refusal
        code, rule = conversion.attestation.code, opened.rule
        order = ImportOrder(
            reference=reference,
            document=asked.document,
            name=asked.name,
            declarations=asked.declarations,
            origin=conversion.origin,
            level=code.level,
            state=rule.state,
            assessed_at=code.assessed_at,
            negative_test_at=conversion.negative_test_at,
            valid_until=conversion.valid_until,
        )
        entered = await self._importer.import_code(order, by)
        if isinstance(entered, ImportRefusal):
            return entered
        if isinstance(entered, OutcomeReport):
            _log.warning("import_not_entered", outcome=str(entered.outcome))
            return ImportRefusal.PLATFORM
        end = order.valid_until
        if entered.valid_until is not None:
            end = min(end, entered.valid_until.replace(microsecond=0))
        if not 1 <= len(entered.qr_text) <= MAX_QR_CHARACTERS or end <= opened.now:
            _log.warning("import_answer_unusable")
            return ImportRefusal.PLATFORM
        return LocalCode(
            scheme=opened.version.id,
            state=rule.state,
            qr_text=entered.qr_text,
            valid_until=end,
            origin=order.origin,
            negative_test_at=order.negative_test_at,
        )

    def _version(self, now: datetime) -> SchemeVersion | None:
        try:
            version = self._scheme.version_at(now)
        except SchemeError:
            return None
        return version if version.import_rule is not None else None


def _verify(opened: OpenedImports, asked: Asked) -> Attestation:
    """Verify the attestation for this destination.

    Raises:
        QuestionError: ATTESTATION_INVALID.
    """
    try:
        return opened.verifier.verify(
            asked.token, audience=opened.destination, now=opened.now, is_import=True
        )
    except TrustError as error:
        _log.info("import_attestation_refused", code=error.code)
        raise QuestionError("the attestation does not verify", code="ATTESTATION_INVALID") from None


class _Memory:
    """Conversions by reference, until their attestation is past; the oldest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._codes: OrderedDict[str, tuple[LocalCode, datetime]] = OrderedDict()
        # A lock lives as long as somebody holds it or waits for it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, reference: str) -> asyncio.Lock:
        """Return the lock under which one attestation is entered."""
        lock = self._turns.get(reference)
        if lock is None:
            lock = self._turns[reference] = asyncio.Lock()
        return lock

    def get(self, reference: str, now: datetime) -> LocalCode | None:
        """Return what was given, unless its attestation is past."""
        found = self._codes.get(reference)
        return None if found is None or now >= found[1] else found[0]

    def put(self, reference: str, code: LocalCode, until: datetime) -> None:
        """Remember what was given."""
        self._codes[reference] = (code, until)
        if len(self._codes) > self._limit:
            self._codes.popitem(last=False)
