"""The bridge: another region's level becomes a local code of the destination.

The second official path of recognition. In one line::

    ask origin (use IMPORT, for the destination) → verify → import at destination → local code

The checkpoint, the holder's phone or a destination's platform joins the two sealed
exchanges, so that no hub sees more than that somebody asked two regions. What is
green and who may have a local code is the destination's to say: its adapter verifies
the attestation itself and applies its own condition.

Fails closed: what the origin does not attest, what does not verify here for the
destination, and what is about another document than the one shown goes nowhere.
Nothing about a conversion is written down.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
from hutong.v1 import exchange_pb2

from gateway.attestation import AttestationError, AttestationFault
from gateway.attestation.bound import check_bound
from gateway.attestation.errors import SubjectError
from gateway.codes import TriState, region_urn
from gateway.codes.conversion import ImportRefusal, LocalCode
from gateway.edge.conversion_words import CONVERTED, destination_reason, import_refusal_reason
from gateway.edge.errors import ConversionError
from gateway.edge.identify import Identified, or_national
from gateway.edge.importing import ImportAsked
from gateway.edge.questions import AttestedAnswer
from gateway.edge.reasons import own_reason
from gateway.errors import HutongError, TrustError
from gateway.recognition import OutcomeEvidence, RefusedEvidence, outcome_reason
from gateway.recognition.reasons import TRUST_TOO_OLD
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.attestation import Attestation
    from gateway.codes import Declarations, Document
    from gateway.edge.client import ExchangeClient
    from gateway.edge.importing import ImportClient
    from gateway.edge.view import TrustView
    from gateway.recognition import Reason

MAX_NAME_CHARACTERS: Final = 64
"""hutong.v1.Import.name."""

_IMPORT: Final = exchange_pb2.ATTESTATION_USE_IMPORT

_log = structlog.get_logger(__name__)

CameOf = LocalCode | ImportRefusal | OutcomeEvidence | RefusedEvidence
"""What came of a conversion: the code; the destination's refusal; the origin's outcome,
which is no level; or a failure at either end."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of one conversion. Its ``repr`` shows nothing of the person.

    Attributes:
        result: the local code, or why there is none.
        reason: the same in words; a stable code, Chinese, English.
        origin: six digits of the region that was asked for its level.
        destination: six digits of the region that was asked for a code.
        instead_of: six digits of the region that was meant, where it has no adapter
            and the national code answered; None: the origin is the one meant.
        at: the clock, UTC, when it was known.
        milliseconds: both legs together.
    """

    result: CameOf = field(repr=False)
    reason: Reason = field(repr=False)
    origin: str
    destination: str
    instead_of: str | None
    at: datetime
    milliseconds: float

    @property
    def local_code(self) -> LocalCode | None:
        """The code that the holder shows at the destination; None: there is none."""
        return self.result if isinstance(self.result, LocalCode) else None

    def to_json(self) -> dict[str, Any]:
        """A JSON value for the holder."""
        result = self.result
        return {
            "converted": isinstance(result, LocalCode),
            "origin": self.origin,
            "instead_of": self.instead_of,
            "destination": self.destination,
            "local_code": _code_to_json(result) if isinstance(result, LocalCode) else None,
            "refusal": result.value if isinstance(result, ImportRefusal) else None,
            "outcome": result.outcome.value if isinstance(result, OutcomeEvidence) else None,
            "refused": result.code if isinstance(result, RefusedEvidence) else None,
            "reason": self.reason.to_json(),
            "at": self.at.isoformat(timespec="seconds"),
            "milliseconds": round(self.milliseconds, 1),
        }


class Converter:
    """Joins the two exchanges of a conversion.

    Args:
        view: gives the trust of the moment; raises ReplicaError when there is none.
        trust_age_seconds: age of that trust at a moment.
        asks: asks origins.
        imports: asks destinations.
        clock: now, UTC.
        purpose: HOLDER, or PLATFORM where a destination's platform converts.
        max_trust_age_seconds: beyond it nobody is asked.
    """

    def __init__(
        self,
        *,
        view: Callable[[], TrustView],
        trust_age_seconds: Callable[[datetime], int | None],
        asks: ExchangeClient,
        imports: ImportClient,
        clock: Callable[[], datetime],
        purpose: exchange_pb2.Purpose.ValueType,
        max_trust_age_seconds: int,
    ) -> None:
        self._view = view
        self._trust_age_seconds = trust_age_seconds
        self._asks = asks
        self._imports = imports
        self._clock = clock
        self._purpose = purpose
        self._max_trust_age_seconds = max_trust_age_seconds

    async def convert(
        self,
        document: Document,
        *,
        name: str,
        declarations: Declarations,
        origin: str,
        destination: str,
        timeout_seconds: float,
    ) -> Conversion:
        """Convert one holder's code.

        Args:
            document: the holder's.
            name: as in the document.
            declarations: the holder's own answers; none is ABSENT.
            origin: six digits of the region whose code it is.
            destination: six digits of the region whose code is wanted.
            timeout_seconds: for both legs together.

        Raises:
            ConversionError: the name or an answer is missing.
            ReplicaError: this checkpoint has never synchronised.
        """
        started = time.perf_counter()
        traveller = _Traveller(document, _checked_name(name), _checked_answers(declarations))
        identified = or_national(Identified(origin, document), self._view().bundle)
        legs = _Legs(identified.region, destination, _now_seconds() + timeout_seconds)
        result, reason = await self._come(traveller, legs)
        return Conversion(
            result,
            reason,
            legs.origin,
            destination,
            identified.instead_of,
            self._clock(),
            (time.perf_counter() - started) * 1000,
        )

    async def _come(self, traveller: _Traveller, legs: _Legs) -> tuple[CameOf, Reason]:
        unfit = self._unfit(legs)
        if unfit is not None:
            return unfit
        try:
            answer = await self._asks.ask(
                legs.origin,
                traveller.document,
                purpose=self._purpose,
                use=_IMPORT,
                timeout_seconds=legs.left_seconds(),
                audience=region_urn(legs.destination),
            )
            if not isinstance(answer, AttestedAnswer):
                return (
                    OutcomeEvidence(answer.outcome, legs.origin, answer.itinerary),
                    outcome_reason(answer.outcome),
                )
            attestation = self._verify(answer, traveller, legs)
        except SubjectError:
            return _refused(ImportRefusal.SUBJECT)
        except HutongError as error:
            return _failed_here(error, legs)
        try:
            return await self._import(answer, attestation, traveller, legs)
        except HutongError as error:
            return _failed_there(error, legs)

    def _unfit(self, legs: _Legs) -> tuple[CameOf, Reason] | None:
        """Why there is nothing to ask, before anybody learns of anybody."""
        bundle = self._view().bundle
        age = self._trust_age_seconds(self._clock())
        try:
            if age is None or age > self._max_trust_age_seconds:
                raise TrustError("trust is too old to ask by", code=TRUST_TOO_OLD.code)
            destination = bundle.authority_for(legs.destination).urn
        except HutongError as error:
            return _failed_there(error, legs)
        try:
            is_own = bundle.authority_for(legs.origin).urn == destination
        except HutongError as error:
            return _failed_here(error, legs)
        return _refused(ImportRefusal.ORIGIN) if is_own else None

    def _verify(self, answer: AttestedAnswer, traveller: _Traveller, legs: _Legs) -> Attestation:
        """Hold an attestation against what was asked, as the destination will.

        Raises:
            AttestationError: it does not verify for the destination.
            SubjectError: it is not about the document that was shown.
        """
        view = self._view()
        attestation = view.verifier.verify(
            answer.token, audience=region_urn(legs.destination), now=self._clock(), is_import=True
        )
        if attestation.issuer != view.bundle.authority_for(legs.origin).urn:
            raise AttestationError(
                "signed by another authority than the one asked",
                code=AttestationFault.ISSUER_NOT_ALLOWED,
            )
        check_bound(attestation, answer.nonce, traveller.document)
        return attestation

    async def _import(
        self,
        answer: AttestedAnswer,
        attestation: Attestation,
        traveller: _Traveller,
        legs: _Legs,
    ) -> tuple[CameOf, Reason]:
        result = await self._imports.convert(
            legs.destination,
            ImportAsked(
                nonce=answer.nonce,
                token=answer.token,
                document=traveller.document,
                name=traveller.name,
                declarations=traveller.declarations,
            ),
            purpose=self._purpose,
            timeout_seconds=legs.left_seconds(),
        )
        if isinstance(result, ImportRefusal):
            return result, import_refusal_reason(result)
        if result.origin != attestation.issuer[-6:] or result.valid_until <= self._clock():
            raise RpcFailure(
                "ADAPTER_MISBEHAVED", "a local code that is over, or of another region"
            )
        return result, CONVERTED


@dataclass(frozen=True, slots=True)
class _Traveller:
    """Whose code is converted; every value is personal."""

    document: Document = field(repr=False)
    name: str = field(repr=False)
    declarations: Declarations = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Legs:
    """From where to where, and until when in the loop's time."""

    origin: str
    destination: str
    deadline: float

    def left_seconds(self) -> float:
        return max(self.deadline - _now_seconds(), 0.001)


def _refused(refusal: ImportRefusal) -> tuple[CameOf, Reason]:
    return refusal, import_refusal_reason(refusal)


def _failed_here(error: HutongError, legs: _Legs) -> tuple[CameOf, Reason]:
    """At the origin, or on the way there."""
    _log.info("conversion_failed", at="origin", code=error.code)
    return RefusedEvidence(error.code, legs.origin), own_reason(error.code)


def _failed_there(error: HutongError, legs: _Legs) -> tuple[CameOf, Reason]:
    _log.info("conversion_failed", at="destination", code=error.code)
    return RefusedEvidence(error.code, legs.destination), destination_reason(error.code)


def _now_seconds() -> float:
    return asyncio.get_running_loop().time()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise ConversionError(f"a name has 1 to {MAX_NAME_CHARACTERS} printable characters")
    return name


def _checked_answers(answers: Declarations) -> Declarations:
    # An answer that is missing is no answer, and never a no.
    if TriState.ABSENT in (answers.contact, answers.risk_area, answers.overseas):
        raise ConversionError("each of the three questions needs an answer: yes, no or unsure")
    return answers


def _code_to_json(code: LocalCode) -> dict[str, Any]:
    test = code.negative_test_at
    return {
        "scheme": code.scheme,
        "state": code.state,
        "qr_text": code.qr_text,
        "valid_until": code.valid_until.isoformat(timespec="seconds"),
        "origin": code.origin,
        "negative_test_at": None if test is None else test.isoformat(timespec="seconds"),
    }
