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
from gateway.errors import HutongError
from gateway.recognition import load_policy

if TYPE_CHECKING:
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
    """

    def __init__(self, bundle: TrustBundle, region: str, cache: VerifiedTokenCache) -> None:
        self.bundle = bundle
        self._region = region
        self.verifier = AttestationVerifier(bundle, cache=cache)

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
