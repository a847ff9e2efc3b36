"""What the feed says, made ready for deciding; replaced whole when the feed changes.

One view belongs to one bundle. It verifies under that bundle's keys, recognises by
its schemes and decides by its policy for the region this checkpoint stands in.
Schemes are read when the first QR text needs them: a gate that verifies carried
attestations never pays for them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from gateway.attestation import AttestationVerifier
from gateway.edge.identify import SchemeIndex
from gateway.edge.revocation import RevocationView, StatusLists
from gateway.errors import HutongError
from gateway.recognition import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.attestation import VerifiedTokenCache
    from gateway.recognition import Policy
    from gateway.trust import TrustBundle

_log = structlog.get_logger(__name__)


class TrustView:
    """A bundle, with its verifier, its schemes and its policy.

    Args:
        bundle: what the feed says.
        region: six digits of the division this checkpoint stands in.
        cache: verified tokens; the caller clears it when trust changes.
        lists: status lists held here; None: none are, and what names one is unknown.
        age_of: age of the oldest word that trust in a region rests on, where hubs
            stand above hubs; None: one hub's word is all there is.
    """

    def __init__(
        self,
        bundle: TrustBundle,
        region: str,
        cache: VerifiedTokenCache,
        lists: StatusLists | None = None,
        *,
        age_of: Callable[[datetime, str], int | None] | None = None,
    ) -> None:
        self.bundle = bundle
        self._age_of = age_of
        self._region = region
        self.verifier = AttestationVerifier(bundle, cache=cache)
        self.revocations = RevocationView(bundle, lists or StatusLists(None))

    def trust_seconds(self, now: datetime, origin: str | None, own: int | None) -> int | None:
        """Return the age of trust in an origin: of its hub's word, and of those above.

        Args:
            now: the clock.
            origin: six digits; None: not known, so the own hub's word counts.
            own: age of the own hub's word.
        """
        if self._age_of is None or origin is None:
            return own
        return self._age_of(now, origin)

    @cached_property
    def schemes(self) -> SchemeIndex:
        """Recognises QR texts."""
        return SchemeIndex.from_documents(self.bundle.schemes())

    @cached_property
    def policy(self) -> Policy | None:
        """The policy this checkpoint applies; None: there is none that loads."""
        try:
            return load_policy(self.bundle.policy(self._region))
        except HutongError as error:
            _log.error("policy_unusable", code=error.code, region=self._region)
            return None
