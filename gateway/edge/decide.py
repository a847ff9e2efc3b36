"""The pipeline of the edge, from what is shown to a decision written down.

In one line::

    scan → identify region → seal → ask hub → open → verify → decide → record

``Pipeline.ask`` is these steps in this order (seal, ask and open are the
exchange client's), ``Pipeline.verify_offline`` the same without the network. A
value moves forward only.

Fails closed: whatever goes wrong between asking and deciding becomes refused
evidence, which no policy can admit; only what the operator can mend at once (an
unreadable or ambiguous presentation) is raised instead. An attestation that is
carried here is admitted once (``seen``); when that cannot be noted durably, it is
not admitted.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from hutong.v1 import exchange_pb2

from gateway.attestation import AttestationError, AttestationFault, from_armour, is_armour
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.sd_jwt import MINIMAL_MEMBERS, Disclosure, disclosed_names, is_sd_jwt
from gateway.attestation.verifying import MAX_LEEWAY_SECONDS
from gateway.codes import region_urn
from gateway.edge.errors import PresentationError
from gateway.edge.identify import Identified, or_national
from gateway.edge.listed import listed_since
from gateway.edge.presentation import CarriedAttestation, parse_presentation
from gateway.edge.questions import AttestedAnswer
from gateway.edge.reasons import CARD_NOT_CHECKED, SEEN_BEFORE, with_own_words
from gateway.edge.record import DecisionRecord
from gateway.edge.result import Result
from gateway.errors import HutongError, TrustError
from gateway.recognition import (
    Ages,
    Decision,
    OutcomeEvidence,
    RefusedEvidence,
    Verdict,
    VerifiedEvidence,
    decide,
    refusal_reason,
)
from gateway.recognition.reasons import TRUST_TOO_OLD
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.codes import Document, Itinerary
    from gateway.edge.client import ExchangeClient
    from gateway.edge.questions import Answered, Askable
    from gateway.edge.record import DecisionLog, DecisionPath
    from gateway.edge.seen import SeenAttestations
    from gateway.edge.view import TrustView
    from gateway.recognition import Evidence, Reason

ONLINE: Final = exchange_pb2.ATTESTATION_USE_ONLINE
CARRIED: Final = exchange_pb2.ATTESTATION_USE_CARRIED

_log = structlog.get_logger(__name__)


class Pipeline:
    """Everything between a presentation and a recorded decision.

    Args:
        region: six digits of the division this checkpoint stands in.
        view: gives the trust of the moment; raises ReplicaError when there is none.
        trust_age_seconds: age of that trust at a moment.
        client: asks the hub; None: this edge works offline only.
        seen: carried attestations admitted here.
        log: where decisions are written down.
        clock: now, UTC.
        purpose: why this checkpoint asks.
        max_trust_age_seconds: bound of this checkpoint beside the policy's own.
        catalogue_file: store of what other regions say since; None: there is none.
    """

    def __init__(
        self,
        *,
        region: str,
        view: Callable[[], TrustView],
        trust_age_seconds: Callable[[datetime], int | None],
        client: ExchangeClient | None,
        seen: SeenAttestations,
        log: DecisionLog,
        clock: Callable[[], datetime],
        purpose: exchange_pb2.Purpose.ValueType,
        max_trust_age_seconds: int,
        catalogue_file: Path | None = None,
    ) -> None:
        self._region = region
        self._audience = region_urn(region)
        self._view = view
        self._trust_age_seconds = trust_age_seconds
        self._client = client
        self._seen = seen
        self._log = log
        self._clock = clock
        self._purpose = purpose
        self._max_trust_age_seconds = max_trust_age_seconds
        self._catalogue_file = catalogue_file

    def require_trust(self) -> None:
        """Raise ReplicaError when this checkpoint has never synchronised."""
        self._view()

    async def ask(
        self,
        shown: str | Askable,
        *,
        origin: str | None,
        timeout_seconds: float,
        beside: str | None = None,
        disclosure: Disclosure | None = None,
    ) -> Result:
        """Decide about one traveller, asking the origin.

        A carried attestation is verified here and goes nowhere.

        Args:
            shown: scanned text, or what it was read to.
            origin: six digits a person named; None: nobody did.
            timeout_seconds: until when the answer is worth anything.
            beside: scanned text of a travel card shown beside an online code; asked
                about at the same time. Where it cannot be checked, nobody is admitted.
            disclosure: that no more than a part be answered; None: the whole code.

        Raises:
            PresentationError: it cannot be read, or nobody can be asked about it.
            AmbiguousPresentationError: several regions recognise it; name one.
            DocumentError: it stands for a document that cannot be one.
            ReplicaError: this checkpoint has never synchronised.
        """
        started = time.perf_counter()
        if isinstance(shown, str) and is_armour(shown.strip()):
            return self.verify_offline(shown)
        presentation = parse_presentation(shown) if isinstance(shown, str) else shown
        if isinstance(presentation, CarriedAttestation):
            return self.verify_offline(presentation.token)
        identified = self._identify(presentation, origin)
        evidence, card = await asyncio.gather(
            self._evidence(identified, timeout_seconds, disclosure),
            self._card(beside, timeout_seconds),
        )
        result = self._decide_and_record(evidence, identified.region, "online", started, card)
        return replace(result, instead_of=identified.instead_of)

    async def fetch(
        self,
        shown: str | Askable,
        *,
        origin: str | None,
        timeout_seconds: float,
        disclosure: Disclosure | None = None,
    ) -> tuple[str | None, Result]:
        """Fetch an attestation for the holder to carry to this region.

        It is verified as it will be when shown, and decided on, but neither
        recorded nor taken for an admission.

        Returns:
            The token, or None when the origin gave none that verifies; and what
            this region would decide now.

        Raises:
            PresentationError: see ``ask``; also when an attestation is presented.
        """
        started = time.perf_counter()
        presentation = parse_presentation(shown) if isinstance(shown, str) else shown
        if isinstance(presentation, CarriedAttestation):
            raise PresentationError("this is an attestation already")
        identified = self._identify(presentation, origin)
        token: str | None = None
        try:
            answer = await self._ask_hub(
                identified, exchange_pb2.PURPOSE_HOLDER, CARRIED, timeout_seconds, disclosure
            )
            evidence = self._verify(answer, identified.region, disclosure, is_carried=True)
            if isinstance(answer, AttestedAnswer):
                token = answer.token
        except HutongError as error:
            evidence = RefusedEvidence(error.code, identified.region)
        result = self._result(evidence, identified.region, "online", started)
        return token, replace(result, instead_of=identified.instead_of)

    async def attested(
        self, document: Document, *, origin: str, timeout_seconds: float
    ) -> Evidence:
        """What an origin attests about a document, verified; nothing is decided or recorded.

        The arguments are as for ``ask``; so is ReplicaError.
        """
        identified = or_national(Identified(origin, document), self._view().bundle)
        age = self._trust_age_seconds(self._clock())
        if age is None or age > self._max_trust_age_seconds:
            return RefusedEvidence(TRUST_TOO_OLD.code, identified.region)
        return await self._evidence(identified, timeout_seconds)

    def verify_offline(self, text: str) -> Result:
        """Decide about a carried attestation without the network.

        Args:
            text: armoured text or a bare JWT.

        Raises:
            PresentationError: it is neither.
            ReplicaError: this checkpoint has never synchronised.
        """
        started = time.perf_counter()
        self.require_trust()
        origin: str | None = None
        try:
            attestation = self._verify_token(_carried(text), nonce=None)
            origin = attestation.code.issued_by
            evidence: Evidence = VerifiedEvidence(attestation)
        except TrustError as error:
            evidence = RefusedEvidence(error.code, None)
        return self._decide_and_record(evidence, origin, "offline", started)

    def refused(self, error: HutongError, origin: str | None) -> Result:
        """Decide about a traveller whose presentation could not be used, in a batch."""
        started = time.perf_counter()
        evidence = RefusedEvidence(error.code, origin)
        return self._decide_and_record(evidence, origin, "offline", started)

    # --- steps ---------------------------------------------------------------

    def _identify(self, presentation: Askable, origin: str | None) -> Identified:
        view = self._view()
        identified = view.schemes.identify(presentation, origin=origin, now=self._clock())
        return or_national(identified, view.bundle)

    async def _evidence(
        self,
        identified: Identified,
        timeout_seconds: float,
        disclosure: Disclosure | None = None,
    ) -> Evidence:
        try:
            answer = await self._ask_hub(
                identified, self._purpose, ONLINE, timeout_seconds, disclosure
            )
            return self._verify(answer, identified.region, disclosure)
        except HutongError as error:
            return RefusedEvidence(error.code, identified.region)

    async def _card(self, beside: str | None, timeout_seconds: float) -> Evidence | None:
        """What a travel card shown beside the code says, or why that is not known."""
        if beside is None:
            return None
        try:
            shown = parse_presentation(beside)
            if isinstance(shown, CarriedAttestation):
                raise PresentationError("an attestation is no travel card")
            identified = self._identify(shown, None)
        except HutongError as error:
            return RefusedEvidence(error.code, None)
        return await self._evidence(identified, timeout_seconds)

    async def _ask_hub(
        self,
        identified: Identified,
        purpose: exchange_pb2.Purpose.ValueType,
        use: exchange_pb2.AttestationUse.ValueType,
        timeout_seconds: float,
        disclosure: Disclosure | None = None,
    ) -> Answered:
        if self._client is None:
            raise RpcFailure("PEER_UNREACHABLE", "this checkpoint runs offline")
        return await self._client.ask(
            identified.region,
            identified.presentation,
            purpose=purpose,
            use=use,
            timeout_seconds=timeout_seconds,
            disclosure=disclosure,
        )

    def _verify(
        self,
        answer: Answered,
        region: str,
        disclosure: Disclosure | None = None,
        *,
        is_carried: bool = False,
    ) -> Evidence:
        if not isinstance(answer, AttestedAnswer):
            return OutcomeEvidence(answer.outcome, region, answer.itinerary)
        _check_disclosure(answer.token, disclosure)
        # What is to be carried must verify without its question.
        attestation = self._verify_token(answer.token, nonce=None if is_carried else answer.nonce)
        if attestation.issuer != self._view().bundle.authority_for(region).urn:
            raise AttestationError(
                "signed by another authority than the one asked",
                code=AttestationFault.ISSUER_NOT_ALLOWED,
            )
        return VerifiedEvidence(attestation)

    def _verify_token(
        self, token: str, *, nonce: bytes | None
    ) -> Attestation | DisclosedAttestation:
        return verify_presentation(
            token,
            self._view().verifier,
            audience=self._audience,
            now=self._clock(),
            nonce=nonce,
        )

    def _decide_and_record(
        self,
        evidence: Evidence,
        origin: str | None,
        path: DecisionPath,
        started: float,
        card: Evidence | None = None,
    ) -> Result:
        result = self._result(evidence, origin, path, started, card)
        if path == "offline" and result.is_admitted and isinstance(evidence, VerifiedEvidence):
            doubt = self._admit_once(evidence.attestation, result.decided_at)
            if doubt is not None:
                result = self._result(RefusedEvidence(doubt, origin), origin, path, started)
        self._record(result)
        return result

    def _admit_once(
        self, attestation: Attestation | DisclosedAttestation, now: datetime
    ) -> str | None:
        """Note the admission of a carried attestation; returns why it may not be."""
        try:
            is_first = self._seen.admit_once(
                attestation.issuer,
                attestation.token_id,
                # The verifier still takes it for its leeway; the guard outlives that.
                expires_at=attestation.expires_at + timedelta(seconds=MAX_LEEWAY_SECONDS),
                now=now,
            )
        except OSError as error:
            _log.error("admission_not_noted", error=type(error).__name__)
            return "RECORD_UNAVAILABLE"
        return None if is_first else SEEN_BEFORE

    def _result(
        self,
        evidence: Evidence,
        origin: str | None,
        path: DecisionPath,
        started: float,
        card: Evidence | None = None,
    ) -> Result:
        now = self._clock()
        itinerary = card.itinerary if isinstance(card, OutcomeEvidence) else None
        decision = self._decide(evidence, now, itinerary)
        if card is not None and itinerary is None and decision.verdict.admits:
            decision = _referred(decision, CARD_NOT_CHECKED)
        if decision.verdict.admits and isinstance(evidence, VerifiedEvidence):
            since = listed_since(self._catalogue_file, evidence.attestation)
            decision = decision if since is None else _referred(decision, since)
        milliseconds = (time.perf_counter() - started) * 1000
        return Result(
            decision, evidence, origin, self._region, path, now, milliseconds, beside=card
        )

    def _decide(self, evidence: Evidence, now: datetime, itinerary: Itinerary | None) -> Decision:
        trust_seconds = self._trust_age_seconds(now)
        # A head of the feed confirms everything in it, the policy included.
        ages = Ages(trust_seconds=trust_seconds, policy_seconds=trust_seconds)
        policy = self._view().policy
        if policy is None:
            reason = refusal_reason("POLICY_UNKNOWN")
            return Decision(Verdict.REFER, None, (), (reason,), "", None, ages)
        decision = with_own_words(decide(policy, evidence, now=now, ages=ages, itinerary=itinerary))
        too_old = trust_seconds is not None and trust_seconds > self._max_trust_age_seconds
        if too_old and TRUST_TOO_OLD not in decision.reasons:
            decision = _referred(decision, TRUST_TOO_OLD)
        return decision

    def _record(self, result: Result) -> None:
        decision = result.decision
        try:
            self._log.append(
                DecisionRecord(
                    at=result.decided_at,
                    path=result.path,
                    destination=result.destination,
                    origin=result.origin,
                    verdict=decision.verdict.value,
                    reasons=tuple(reason.code for reason in decision.reasons),
                    policy=decision.policy_id or None,
                    trust_seconds=decision.ages.trust_seconds,
                    policy_seconds=decision.ages.policy_seconds,
                    source_seconds=decision.ages.source_seconds,
                    milliseconds=round(result.milliseconds, 3),
                    status_seconds=decision.ages.status_seconds,
                    warnings=tuple(warning.code for warning in decision.warnings),
                )
            )
        except OSError as error:
            # A full disk must not close the gate; the verdict stands, the gap is told.
            _log.error("decision_not_recorded", error=type(error).__name__)


def _referred(decision: Decision, reason: Reason) -> Decision:
    """The decision, left to a person for a reason of its own."""
    return replace(
        decision,
        verdict=Verdict.REFER,
        days=None,
        conditions=(),
        reasons=(reason, *decision.reasons),
    )


def _check_disclosure(token: str, asked: Disclosure | None) -> None:
    """Take no more, and no other kind, than was asked for: it may be printed as it is."""
    if is_sd_jwt(token) is (asked is None) or (
        asked is Disclosure.MINIMAL and not set(disclosed_names(token)) <= set(MINIMAL_MEMBERS)
    ):
        raise RpcFailure("ADAPTER_MISBEHAVED", "not the part of a code that was asked for")


def _carried(text: str) -> str:
    """The token inside armoured text, or the bare token."""
    text = text.strip()
    if is_armour(text):
        return from_armour(text)
    presentation = parse_presentation(text)
    if not isinstance(presentation, CarriedAttestation):
        raise PresentationError(
            "not a carried attestation; a local code can only be asked about online",
            code="PRESENTATION_UNRECOGNISED",
        )
    return presentation.token
