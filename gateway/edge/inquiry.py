"""From a presentation to evidence: whom to ask, what came back, whether it holds.

The steps of the pipeline that need other parties. Fails closed: whatever goes wrong
between asking and verifying becomes refused evidence, which no policy can admit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2

from gateway.attestation import AttestationError, AttestationFault
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.sd_jwt import MINIMAL_MEMBERS, Disclosure, disclosed_names, is_sd_jwt
from gateway.edge.errors import PresentationError
from gateway.edge.identify import Identified, or_national
from gateway.edge.presentation import CarriedAttestation, parse_presentation
from gateway.edge.questions import AttestedAnswer
from gateway.errors import HutongError
from gateway.recognition import OutcomeEvidence, RefusedEvidence, VerifiedEvidence
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.attestation import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.edge.client import ExchangeClient
    from gateway.edge.questions import Answered, Askable
    from gateway.edge.view import TrustView
    from gateway.recognition import Evidence

ONLINE: Final = exchange_pb2.ATTESTATION_USE_ONLINE
CARRIED: Final = exchange_pb2.ATTESTATION_USE_CARRIED


class Inquiry:
    """See the module.

    Args:
        view: gives the trust of the moment; raises ReplicaError when there is none.
        client: asks the hub; None: this edge works offline only.
        audience: URN of the region attestations are for.
        clock: now, UTC.
        purpose: why this checkpoint asks.
    """

    def __init__(
        self,
        view: Callable[[], TrustView],
        client: ExchangeClient | None,
        *,
        audience: str,
        clock: Callable[[], datetime],
        purpose: exchange_pb2.Purpose.ValueType,
    ) -> None:
        self._view = view
        self._client = client
        self._audience = audience
        self._clock = clock
        self._purpose = purpose

    def identify(self, presentation: Askable, origin: str | None) -> Identified:
        """Whom to ask about a presentation.

        Raises:
            PresentationError: it cannot be used, or nobody can be asked about it.
            ReplicaError: this checkpoint has never synchronised.
        """
        view = self._view()
        identified = view.schemes.identify(presentation, origin=origin, now=self._clock())
        return or_national(identified, view.bundle)

    async def evidence(
        self,
        identified: Identified,
        timeout_seconds: float,
        disclosure: Disclosure | None = None,
    ) -> Evidence:
        """What the origin says online, verified, or why that is not known."""
        try:
            answer = await self.ask(identified, self._purpose, ONLINE, timeout_seconds, disclosure)
            return self.verify(answer, identified.region, disclosure)
        except HutongError as error:
            return RefusedEvidence(error.code, identified.region)

    async def card(self, beside: str | None, timeout_seconds: float) -> Evidence | None:
        """What a travel card shown beside the code says, or why that is not known."""
        if beside is None:
            return None
        try:
            shown = parse_presentation(beside)
            if isinstance(shown, CarriedAttestation):
                raise PresentationError("an attestation is no travel card")
            identified = self.identify(shown, None)
        except HutongError as error:
            return RefusedEvidence(error.code, None)
        return await self.evidence(identified, timeout_seconds)

    async def ask(
        self,
        identified: Identified,
        purpose: exchange_pb2.Purpose.ValueType,
        use: exchange_pb2.AttestationUse.ValueType,
        timeout_seconds: float,
        disclosure: Disclosure | None = None,
    ) -> Answered:
        """Ask the origin; raises as ``ExchangeClient.ask``."""
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

    def verify(
        self,
        answer: Answered,
        region: str,
        disclosure: Disclosure | None = None,
        *,
        is_carried: bool = False,
    ) -> Evidence:
        """Verify an answer as what it will be used for.

        Raises:
            TrustError: it does not hold, or another authority signed it.
            RpcFailure: it is not the part of a code that was asked for.
        """
        if not isinstance(answer, AttestedAnswer):
            return OutcomeEvidence(answer.outcome, region, answer.itinerary)
        _check_disclosure(answer.token, disclosure)
        # What is to be carried must verify without its question.
        attestation = self.verify_token(answer.token, nonce=None if is_carried else answer.nonce)
        if attestation.issuer != self._view().bundle.authority_for(region).urn:
            raise AttestationError(
                "signed by another authority than the one asked",
                code=AttestationFault.ISSUER_NOT_ALLOWED,
            )
        return VerifiedEvidence(attestation)

    def verify_token(
        self, token: str, *, nonce: bytes | None
    ) -> Attestation | DisclosedAttestation:
        """Verify an attestation, shown in whole or in part; raises TrustError."""
        return verify_presentation(
            token,
            self._view().verifier,
            audience=self._audience,
            now=self._clock(),
            nonce=nonce,
        )


def _check_disclosure(token: str, asked: Disclosure | None) -> None:
    """Take no more, and no other kind, than was asked for: it may be printed as it is."""
    if is_sd_jwt(token) is (asked is None) or (
        asked is Disclosure.MINIMAL and not set(disclosed_names(token)) <= set(MINIMAL_MEMBERS)
    ):
        raise RpcFailure("ADAPTER_MISBEHAVED", "not the part of a code that was asked for")
