"""The trust bundle: the answers that a verified copy of the feed gives.

A bundle is a fixed view of one moment of the feed; the replica makes a new one when
an entry changes something. Whoever caches what a bundle said keeps ``sequence``
beside it.

Keys are looked up by issuer and key id together, never by key id alone. A suspended
authority answers nothing: its keys, policy and sealing key are refused with
AUTHORITY_SUSPENDED, and a shorter prefix does not step in for it. Its schemes are
still listed, so that a presentation of it is recognised and the refusal can say why.
A withdrawn one (AUTHORITY_WITHDRAWN) has left its prefixes, and nothing of it is listed.

What the feed says and is not believed any more is not answered: what a key signed after
it was tainted or at all when it is revoked, and what a distrust touches. Distrusts of
attestations are bound to the key that the verifier gets, so that a verification without
any costs nothing, and one that is remembered by its key ends with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.codes.divisions import longest_prefix
from gateway.trust.entries import Distrust, Notice, Silence, StatusEntry, Superior
from gateway.trust.errors import Missing, TrustLookupError
from gateway.trust.feed import FeedKind
from gateway.trust.hub_keys import HubKeySet
from gateway.trust.keys import KeyUse
from gateway.trust.members import MemberKind, MemberState
from gateway.trust.rehearsals import Rehearsal

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.claims import Attestation
    from gateway.attestation.keys import VerificationKey
    from gateway.attestation.sealing_keys import SealingPublicKey
    from gateway.trust.authority import Authority
    from gateway.trust.distrust import DistrustRule
    from gateway.trust.live import LiveSet
    from gateway.trust.live_rules import Published

_Extra = TypeVar("_Extra", Distrust, Notice, Rehearsal, Silence, StatusEntry, Superior, HubKeySet)


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
        self._extras = live.extras
        self._by_prefix: dict[str, Authority] = {}
        self._hubs_by_prefix: dict[str, Authority] = {}
        # Suspended ones first, so that an active holder of the same prefix stands.
        for authority in sorted(self._authorities.values(), key=lambda item: item.is_active):
            if authority.state is not MemberState.WITHDRAWN:
                is_region = authority.kind is MemberKind.REGION
                by_prefix = self._by_prefix if is_region else self._hubs_by_prefix
                for prefix in authority.prefixes:
                    by_prefix[prefix] = authority
        self._attestation_keys: dict[tuple[str, str], VerificationKey] = {}
        self._rules: dict[str, list[DistrustRule]] = {}
        for distrust in self.distrusts():
            self._rules.setdefault(distrust.rule.issuer, []).append(distrust.rule)

    def authorities(self) -> tuple[Authority, ...]:
        """Returns every region, the suspended and the withdrawn included, by URN."""
        return tuple(
            authority
            for _, authority in sorted(self._authorities.items())
            if authority.kind is MemberKind.REGION
        )

    def hubs(self) -> tuple[Authority, ...]:
        """Returns the active hubs that stand below this one, by URN."""
        return tuple(
            authority
            for _, authority in sorted(self._authorities.items())
            if authority.kind is MemberKind.HUB and authority.is_active
        )

    def all_hubs(self) -> tuple[Authority, ...]:
        """Returns every hub below, the suspended and the withdrawn included, by URN."""
        return tuple(
            authority
            for _, authority in sorted(self._authorities.items())
            if authority.kind is MemberKind.HUB
        )

    def hub_for(self, region: str) -> Authority:
        """Returns the active hub below with the longest prefix of a six-digit code.

        Raises:
            TrustLookupError: UNKNOWN_REGION or AUTHORITY_SUSPENDED.
        """
        return _active(longest_prefix(region, self._hubs_by_prefix), Missing.UNKNOWN_REGION)

    def superior(self) -> Superior | None:
        """Returns the hub that this one stands below; None: below none."""
        found = self._all(Superior)
        return found[0] if found else None

    def hub_keys(self) -> HubKeySet | None:
        """Returns the newest set of the hub's own keys; None: those of the first anchor."""
        found = self._all(HubKeySet)
        return max(found, key=lambda keys: keys.number) if found else None

    def distrusts(self) -> tuple[Distrust, ...]:
        """Returns the distrusts in force, by id."""
        return self._all(Distrust)

    def rehearsals(self) -> tuple[Rehearsal, ...]:
        """Returns the rehearsals that are on, by id."""
        return self._all(Rehearsal)

    def notices(self) -> tuple[Notice, ...]:
        """Returns the notices, by subject."""
        return self._all(Notice)

    def silence(self, urn: str) -> Silence | None:
        """Returns what the hub says of a region that it does not hear; None: it hears it."""
        _, silence = self._extras.get((FeedKind.SILENCE, urn), (None, None))
        return silence if isinstance(silence, Silence) else None

    def silences(self) -> tuple[Silence, ...]:
        """Returns the regions that the hub does not hear, by URN."""
        return self._all(Silence)

    def statuses(self) -> tuple[StatusEntry, ...]:
        """Returns the newest word on every status list that is believed, by URI."""
        return tuple(status for status in self._all(StatusEntry) if self._believes(status))

    def status(self, uri: str, *, issuer: str | None = None) -> StatusEntry:
        """Returns the newest word on a status list.

        Args:
            uri: of the list.
            issuer: URN of who must have said it; None: anybody.

        Raises:
            AttestationError: STATUS_UNKNOWN, the feed has no word on it, or not one of
                this issuer, or not one that is believed.
        """
        _, status = self._extras.get((FeedKind.STATUS, uri), (None, None))
        if (
            not isinstance(status, StatusEntry)
            or (issuer is not None and status.issuer != issuer)
            or not self._believes(status)
        ):
            raise AttestationError(
                "the feed says nothing of the status list", code=AttestationFault.STATUS_UNKNOWN
            )
        return status

    def check_distrust(self, attestation: Attestation, key_id: str | None = None) -> None:
        """Refuses an attestation that a distrust is about; the verifier has done this.

        Args:
            attestation: a verified one.
            key_id: of the key that signed it; None: not known, so it may be any.

        Raises:
            AttestationError: ATTESTATION_DISTRUSTED.
        """
        for rule in self._rules.get(attestation.issuer, ()):
            if rule.touches_attestation(attestation, key_id):
                raise AttestationError(
                    "a distrust is about it", code=AttestationFault.ATTESTATION_DISTRUSTED
                )

    def touched(self, rule: DistrustRule) -> tuple[Published | StatusEntry, ...]:
        """Returns the schemes, policies and statuses that a distrust would end, in order."""
        held: list[Published | StatusEntry] = [*self._published.values(), *self.statuses()]
        touched = [item for item in held if _touches(rule, item)]
        return tuple(sorted(touched, key=lambda item: item.entry.sequence))

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
            TrustLookupError: KEY_UNKNOWN, AUTHORITY_SUSPENDED, AUTHORITY_WITHDRAWN, or
                CONSTRAINT_EXCEEDED: its superior lets it attest nothing.
            KeyMaterialError: the key does not decode.
        """
        found = self._attestation_keys.get((issuer, key_id))
        if found is None:
            found = self._signing_key(issuer, key_id, KeyUse.ATTEST)
            if not self._authorities[issuer].may_sign("attestation"):
                raise TrustLookupError(
                    "its superior lets it attest nothing", code=Missing.CONSTRAINT_EXCEEDED
                )
            rules = tuple(
                rule
                for rule in self._rules.get(issuer, ())
                if rule.kind in (None, "attestation") and rule.key_id in (None, key_id)
            )
            found = replace(found, distrusts=rules) if rules else found
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
        found = [
            item
            for (kind, _), item in self._published.items()
            if kind is FeedKind.SCHEME and self._believes(item)
        ]
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
                if self._believes(found):
                    return found
                # What is not believed any more gives no leave to use a wider one.
                break
        raise TrustLookupError("the region has published no policy", code=Missing.POLICY_UNKNOWN)

    def policy(self, region: str) -> dict[str, Any]:
        """Returns the document of :meth:`published_policy`, parsed anew at each call.

        Raises:
            TrustLookupError: as :meth:`published_policy`.
        """
        return self.published_policy(region).document()

    def _all(self, kind: type[_Extra]) -> tuple[_Extra, ...]:
        found = [extra for _, extra in self._extras.values() if isinstance(extra, kind)]
        return tuple(sorted(found, key=lambda extra: extra.entry.subject))

    def _believes(self, item: Published | StatusEntry) -> bool:
        """Whether what the feed says is neither tainted, revoked, withdrawn nor distrusted."""
        if isinstance(item, StatusEntry):
            issuer, signed_at, use = item.issuer, item.issued_at, KeyUse.ATTEST
        else:
            issuer, signed_at, use = item.authority, item.signed_at, KeyUse.STATE
        authority = self._authorities[issuer]
        return (
            authority.state is not MemberState.WITHDRAWN
            and authority.member_key(item.key_id, use).is_believed(signed_at)
            and not any(_touches(rule, item) for rule in self._rules.get(issuer, ()))
        )

    def _signing_key(self, issuer: str, key_id: str, use: KeyUse) -> VerificationKey:
        authority = _active(self._authorities.get(issuer), Missing.KEY_UNKNOWN)
        return authority.verification_key(key_id, use)


def _active(authority: Authority | None, otherwise: Missing) -> Authority:
    if authority is None:
        raise TrustLookupError("the feed names no such authority", code=otherwise)
    if authority.state is MemberState.WITHDRAWN:
        raise TrustLookupError("the authority has left", code=Missing.AUTHORITY_WITHDRAWN)
    if not authority.is_active:
        raise TrustLookupError("the authority is suspended", code=Missing.AUTHORITY_SUSPENDED)
    return authority


def _touches(rule: DistrustRule, item: Published | StatusEntry) -> bool:
    if isinstance(item, StatusEntry):
        return rule.touches(
            issuer=item.issuer,
            issued_at=item.issued_at,
            key_id=item.key_id,
            kind="status",
            divisions=(item.issuer[-6:],),
        )
    _, _, name = item.entry.subject.partition("#")
    return rule.touches(
        issuer=item.authority,
        issued_at=item.signed_at,
        key_id=item.key_id,
        kind=item.entry.kind.value,
        divisions=item.serves,
        schemes=(name,),
    )
