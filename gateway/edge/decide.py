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
from typing import TYPE_CHECKING

from hutong.v1 import exchange_pb2

from gateway.attestation import Attestation, AttestationError, AttestationFault, is_armour
from gateway.codes import region_urn
from gateway.edge.errors import PresentationError
from gateway.edge.identify import Identified, or_national
from gateway.edge.inquiry import CARRIED as CARRIED
from gateway.edge.inquiry import ONLINE as ONLINE
from gateway.edge.inquiry import Inquiry
from gateway.edge.presentation import CarriedAttestation, carried_token, parse_presentation
from gateway.edge.questions import AttestedAnswer
from gateway.edge.sightings import sighting_of
from gateway.edge.weighing import Held, Weigher
from gateway.errors import HutongError, TrustError
from gateway.recognition import RefusedEvidence, VerifiedEvidence
from gateway.recognition.reasons import TRUST_TOO_OLD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation.sd_jwt import Disclosure
    from gateway.codes import Document
    from gateway.edge.client import ExchangeClient
    from gateway.edge.questions import Askable
    from gateway.edge.record import DecisionLog
    from gateway.edge.result import Result
    from gateway.edge.seen import SeenAttestations
    from gateway.edge.showings import Showings
    from gateway.edge.sightings import Sighting
    from gateway.edge.view import TrustView
    from gateway.recognition import Evidence


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
        showings: what is done about repeats elsewhere; None: nothing.
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
        showings: Showings | None = None,
    ) -> None:
        self._view = view
        self._clock = clock
        self._showings = showings
        self._inquiry = Inquiry(
            view, client, audience=region_urn(region), clock=clock, purpose=purpose
        )
        self._weigher = Weigher(
            region=region,
            view=view,
            trust_age_seconds=trust_age_seconds,
            seen=seen,
            log=log,
            clock=clock,
            max_trust_age_seconds=max_trust_age_seconds,
            catalogue_file=catalogue_file,
        )

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
            return await self.verify_carried(shown)
        presentation = parse_presentation(shown) if isinstance(shown, str) else shown
        if isinstance(presentation, CarriedAttestation):
            return await self.verify_carried(presentation.token)
        identified = self._inquiry.identify(presentation, origin)
        evidence, card = await asyncio.gather(
            self._inquiry.evidence(identified, timeout_seconds, disclosure),
            self._inquiry.card(beside, timeout_seconds),
        )
        held = Held(evidence, identified.region, "online", started, card)
        result = self._weigher.settle(held, self._weigher.weigh(held))
        return replace(result, instead_of=identified.instead_of)

    async def fetch(
        self,
        shown: str | Askable,
        *,
        origin: str | None,
        timeout_seconds: float,
        disclosure: Disclosure | None = None,
        freshen: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[str | None, Result]:
        """Fetch an attestation for the holder to carry to this region.

        It is verified as it will be when shown, and decided on, but neither
        recorded nor taken for an admission. Where its status list is not known here
        yet, because it was begun for this very attestation or this process has just
        started, ``freshen`` brings feed and lists up to date first.

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
        identified = self._inquiry.identify(presentation, origin)
        token: str | None = None
        status_seconds: int | None = None
        try:
            answer = await self._inquiry.ask(
                identified, exchange_pb2.PURPOSE_HOLDER, CARRIED, timeout_seconds, disclosure
            )
            evidence = self._inquiry.verify(answer, identified.region, disclosure, is_carried=True)
            if isinstance(answer, AttestedAnswer):
                token = answer.token
            if isinstance(evidence, VerifiedEvidence):
                # As when it is shown.
                status_seconds = await self._status(evidence, freshen)
        except HutongError as error:
            evidence = RefusedEvidence(error.code, identified.region)
        held = Held(evidence, identified.region, "online", started, status_seconds=status_seconds)
        result = self._weigher.weigh(held)
        return token, replace(result, instead_of=identified.instead_of)

    async def attested(
        self, document: Document, *, origin: str, timeout_seconds: float
    ) -> Evidence:
        """What an origin attests about a document, verified; nothing is decided or recorded.

        The arguments are as for ``ask``; so is ReplicaError.
        """
        identified = or_national(Identified(origin, document), self._view().bundle)
        if self._weigher.is_trust_too_old(identified.region):
            return RefusedEvidence(TRUST_TOO_OLD.code, identified.region)
        return await self._inquiry.evidence(identified, timeout_seconds)

    def verify_offline(self, text: str) -> Result:
        """Decide about a carried attestation without the network.

        Args:
            text: armoured text or a bare JWT.

        Raises:
            PresentationError: it is neither.
            ReplicaError: this checkpoint has never synchronised.
        """
        held = self._read_carried(text)
        result = self._weigher.weigh(held)
        sighting = self._sighting(held, result)
        if sighting is not None:
            result = replace(result, sighting="unreported")
        result = self._weigher.settle(held, result)
        if sighting is not None and result.is_admitted and self._showings is not None:
            self._showings.keep(sighting)
        return result

    async def _status(
        self, evidence: VerifiedEvidence, freshen: Callable[[], Awaitable[None]] | None
    ) -> int | None:
        try:
            return self._view().revocations.check(evidence.attestation, self._clock())
        except AttestationError as error:
            if freshen is None or error.code != AttestationFault.STATUS_UNKNOWN:
                raise
        await freshen()
        return self._view().revocations.check(evidence.attestation, self._clock())

    async def verify_carried(self, text: str) -> Result:
        """Decide about a carried attestation; a hub within reach is asked about repeats.

        As :meth:`verify_offline`, which it is without a hub. What is shown is reported
        whatever is decided; the decision waits for the word on it only where it admits.

        Args:
            text: armoured text or a bare JWT.

        Raises:
            PresentationError: it is neither.
            ReplicaError: this checkpoint has never synchronised.
        """
        if self._showings is None or not self._showings.can_ask:
            return self.verify_offline(text)
        held = self._read_carried(text)
        result = self._weigher.weigh(held)
        sighting = self._sighting(held, result)
        if sighting is None:
            return self._weigher.settle(held, result)
        if not result.is_admitted:
            self._showings.tell(sighting)
            return self._weigher.settle(held, result)
        is_reported, elsewhere = await self._showings.ask(sighting)
        if elsewhere is not None:
            result = self._weigher.weigh(held, elsewhere_seconds=elsewhere)
        result = replace(result, sighting="reported" if is_reported else "unreported")
        result = self._weigher.settle(held, result)
        if not is_reported and result.is_admitted:
            self._showings.keep(sighting)
        return result

    def refused(self, error: HutongError, origin: str | None) -> Result:
        """Decide about a traveller whose presentation could not be used, in a batch."""
        started = time.perf_counter()
        held = Held(RefusedEvidence(error.code, origin), origin, "offline", started)
        return self._weigher.settle(held, self._weigher.weigh(held))

    # --- steps ---------------------------------------------------------------

    def _read_carried(self, text: str) -> Held:
        """Verify what is carried, and ask whether its issuer still stands by it."""
        started = time.perf_counter()
        self.require_trust()
        origin: str | None = None
        status_seconds: int | None = None
        try:
            attestation = self._inquiry.verify_token(carried_token(text), nonce=None)
            # Of what was read here as a whole, the code is not made for one member of it.
            if isinstance(attestation, Attestation):
                origin = attestation.claims.code.issued_by
            else:
                origin = attestation.code.issued_by
            status_seconds = self._view().revocations.check(attestation, self._clock())
            evidence: Evidence = VerifiedEvidence(attestation)
        except TrustError as error:
            evidence = RefusedEvidence(error.code, origin)
        return Held(evidence, origin, "offline", started, status_seconds=status_seconds)

    def _sighting(self, held: Held, result: Result) -> Sighting | None:
        """What of a showing is reported, where the policy minds repeats."""
        policy = self._view().policy
        policy = None if policy is None else policy.at(result.decided_at)
        if (
            self._showings is None
            or policy is None
            or policy.replay is None
            or not isinstance(held.evidence, VerifiedEvidence)
        ):
            return None
        return sighting_of(
            held.evidence.attestation, minutes=policy.replay.minutes, now=result.decided_at
        )
