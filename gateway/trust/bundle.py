"""The trust bundle: the answers that a verified copy of the feed gives.

A bundle is a fixed view of one moment of the feed; the replica makes a new one when
an entry changes something. Whoever caches what a bundle said keeps ``sequence``
beside it.

Keys are looked up by issuer and key id together, never by key id alone. A suspended
authority answers nothing: its keys, policy and sealing key are refused with
AUTHORITY_SUSPENDED, and a shorter prefix does not step in for it. Its schemes are
still listed, so that a presentation of it is recognised and the refusal can say why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.codes.divisions import longest_prefix
from gateway.trust.errors import Missing, TrustLookupError
from gateway.trust.feed import FeedKind
from gateway.trust.keys import KeyUse

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.attestation.sealing_keys import SealingPublicKey
    from gateway.trust.authority import Authority
    from gateway.trust.live import LiveSet, Published


class TrustBundle:
    """Whom to trust, as of one entry of the feed.

    Implements the ``KeySource`` of ``gateway.attestation``.

    Attributes:
        sequence: number of the newest entry in it; 0: it is empty.
    """

    def __init__(self, live: LiveSet, sequence: int) -> None:
        self.sequence = sequence
        self._authorities = {urn: item.authority for urn, item in live.authorities.items()}
        self._published = live.published
        self._by_prefix: dict[str, Authority] = {}
        # Suspended ones first, so that an active holder of the same prefix stands.
        for authority in sorted(self._authorities.values(), key=lambda item: item.is_active):
            for prefix in authority.prefixes:
                self._by_prefix[prefix] = authority
        self._attestation_keys: dict[tuple[str, str], VerificationKey] = {}

    def authorities(self) -> tuple[Authority, ...]:
        """Returns every authority, the suspended included, by URN."""
        return tuple(self._authorities[urn] for urn in sorted(self._authorities))

    def authority(self, urn: str) -> Authority:
        """Returns an active authority by its URN.

        Raises:
            TrustLookupError: UNKNOWN_REGION or AUTHORITY_SUSPENDED.
        """
        return _active(self._authorities.get(urn), Missing.UNKNOWN_REGION)

    def authority_for(self, region: str) -> Authority:
        """Returns the active authority with the longest prefix of a six-digit code.

        Raises:
            TrustLookupError: UNKNOWN_REGION or AUTHORITY_SUSPENDED.
        """
        return _active(longest_prefix(region, self._by_prefix), Missing.UNKNOWN_REGION)

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """Returns a key that signs attestations, whatever the time; the verifier checks it.

        Raises:
            TrustLookupError: KEY_UNKNOWN or AUTHORITY_SUSPENDED.
            KeyMaterialError: the key does not decode.
        """
        found = self._attestation_keys.get((issuer, key_id))
        if found is None:
            found = self._signing_key(issuer, key_id, KeyUse.ATTEST)
            self._attestation_keys[issuer, key_id] = found
        return found

    def statement_key(self, issuer: str, key_id: str) -> VerificationKey:
        """Returns a key that signs statements, whatever the time.

        Raises:
            TrustLookupError: KEY_UNKNOWN or AUTHORITY_SUSPENDED.
            KeyMaterialError: the key does not decode.
        """
        return self._signing_key(issuer, key_id, KeyUse.STATE)

    def sealing_key(self, region: str, *, now: datetime) -> SealingPublicKey:
        """Returns what a question to a region is sealed to: the newest key valid now.

        Raises:
            TrustLookupError: UNKNOWN_REGION, AUTHORITY_SUSPENDED or SEALING_KEY_UNKNOWN.
            KeyMaterialError: the key does not decode.
        """
        return self.authority_for(region).sealing_key(now)

    def published_schemes(self) -> tuple[Published, ...]:
        """Returns the schemes in force, by subject, those of suspended authorities included."""
        found = [item for (kind, _), item in self._published.items() if kind is FeedKind.SCHEME]
        return tuple(sorted(found, key=lambda item: item.entry.subject))

    def schemes(self) -> tuple[dict[str, Any], ...]:
        """Returns the documents of :meth:`published_schemes`, parsed anew at each call."""
        return tuple(item.document() for item in self.published_schemes())

    def published_policy(self, region: str) -> Published:
        """Returns the policy that holds in a region, by its own authority.

        The policy of the nearest division around the region holds, as far as the
        same authority published it: a city's for its districts.

        Raises:
            TrustLookupError: UNKNOWN_REGION, AUTHORITY_SUSPENDED or POLICY_UNKNOWN.
        """
        authority = self.authority_for(region)
        for code in (region, region[:4] + "00", region[:2] + "0000"):
            found = self._published.get((FeedKind.POLICY, f"{authority.urn}#{code}"))
            if found is not None:
                return found
        raise TrustLookupError("the region has published no policy", code=Missing.POLICY_UNKNOWN)

    def policy(self, region: str) -> dict[str, Any]:
        """Returns the document of :meth:`published_policy`, parsed anew at each call.

        Raises:
            TrustLookupError: as :meth:`published_policy`.
        """
        return self.published_policy(region).document()

    def _signing_key(self, issuer: str, key_id: str, use: KeyUse) -> VerificationKey:
        authority = _active(self._authorities.get(issuer), Missing.KEY_UNKNOWN)
        return authority.verification_key(key_id, use)


def _active(authority: Authority | None, otherwise: Missing) -> Authority:
    if authority is None:
        raise TrustLookupError("the feed names no such authority", code=otherwise)
    if not authority.is_active:
        raise TrustLookupError("the authority is suspended", code=Missing.AUTHORITY_SUSPENDED)
    return authority
