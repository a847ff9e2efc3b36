"""Several hubs' feeds as one answer: each hub believed as far as its superior lets it.

A reader follows its own hub's feed, and through it those of the hubs above and
below (:func:`hub_places` says which, and under which keys). Nothing is merged: an
authority is answered for by exactly one feed, the first of these that may speak for
it:

1. the reader's own hub, by the trust anchor that was handed over;
2. its superior, whose feed keys stand in the own feed (``superior``), then that
   one's superior, up to the top;
3. every hub below one of those, whose feed keys and constraints stand in its
   superior's record of it (``authority`` of kind hub).

A constraint holds for everything below it, and narrows on the way down: prefixes,
kinds of statement, life of an attestation, how many hubs may stand below. What lies
outside does not verify (``CONSTRAINT_EXCEEDED``). A hub that is suspended or
withdrawn by its superior, or has no feed key left that is believed, is cut off with
everything below it. The reader's own hub is not cut by its superior, so that a
province goes on serving itself; but it too speaks only inside the prefixes that its
superior gave it.

A distrust holds where it may: the own hub's and its superiors' for everybody, another
hub's for those it answers for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.codes.divisions import longest_prefix
from gateway.trust.bundle import TrustBundle
from gateway.trust.errors import Missing, TrustLookupError
from gateway.trust.hub_places import HubPlace, Relation, hub_places, own_constraint
from gateway.trust.members import MemberState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from gateway.attestation.claims import Attestation
    from gateway.attestation.keys import VerificationKey
    from gateway.attestation.sealing_keys import SealingPublicKey
    from gateway.trust.authority import Authority
    from gateway.trust.distrust import DistrustRule
    from gateway.trust.entries import Distrust, Notice, Silence, StatusEntry, Superior
    from gateway.trust.hub_keys import HubKeySet
    from gateway.trust.live_rules import Published
    from gateway.trust.rehearsals import Rehearsal


@dataclass(frozen=True, slots=True)
class _Home:
    """The feed that answers for an authority."""

    bundle: TrustBundle
    place: HubPlace
    fault: Missing | None
    has_left: bool = False


class FederatedBundle(TrustBundle):
    """Whom to trust, as the feeds of several hubs say; used as one bundle is.

    Attributes:
        sequence: number of the newest entry of the own hub's feed.
        places: the other hubs, by URN.
    """

    def __init__(  # no call of the base: nothing here is held, only found again
        self, own_hub: str, own: TrustBundle, feeds: Mapping[str, TrustBundle]
    ) -> None:
        self.sequence = own.sequence
        self.places = hub_places(own_hub, own, feeds)
        self._own_hub = own_hub
        self._own = own
        self._feeds = feeds
        self._homes: dict[str, _Home] = {}
        self._prefixes: dict[str, _Home | str] = {}
        self._keys: dict[tuple[str, str], VerificationKey] = {}
        self._above = [own]
        for place in self.places.values():
            if place.relation is Relation.SUPERIOR and place.hub in feeds:
                self._above.append(feeds[place.hub])
        for place, bundle in self._in_order():
            self._settle(place, bundle)
        for place in self.places.values():
            if place.relation is Relation.SUBORDINATE and place.constraint is not None:
                lost = _Home(own, place, place.fault or Missing.HUB_UNKNOWN)
                for prefix in place.constraint.prefixes:
                    self._prefixes.setdefault(prefix, lost)

    def behind(self, urn: str) -> tuple[str, ...]:
        """Returns the hubs on whose word an authority is believed, the own one first."""
        home = self._homes.get(urn)
        return (self._own_hub,) if home is None else home.place.behind

    def behind_region(self, region: str) -> tuple[str, ...]:
        """Returns the hubs on whose word whoever answers for a region is believed."""
        found = longest_prefix(region, self._prefixes)
        if isinstance(found, _Home):
            return found.place.behind
        return (self._own_hub,) if found is None else self.behind(found)

    def authorities(self) -> tuple[Authority, ...]:
        """Returns every region of which its feed may speak, as one bundle does."""
        found = [
            authority
            for _, bundle in self._in_order()
            for authority in bundle.authorities()
            if self._answers(authority.urn, bundle)
        ]
        return tuple(sorted(found, key=lambda item: item.urn))

    def hubs(self) -> tuple[Authority, ...]:
        """Returns the active hubs that stand below one whose feed is held, by URN."""
        found = {hub.urn: hub for _, bundle in self._in_order() for hub in bundle.hubs()}
        return tuple(found[urn] for urn in sorted(found))

    def all_hubs(self) -> tuple[Authority, ...]:
        """As :meth:`hubs`, the suspended and the withdrawn included."""
        found = {hub.urn: hub for _, bundle in self._in_order() for hub in bundle.all_hubs()}
        return tuple(found[urn] for urn in sorted(found))

    def hub_for(self, region: str) -> Authority:
        """Returns the active hub right below the own one that covers a region."""
        return self._own.hub_for(region)

    def superior(self) -> Superior | None:
        """Returns the hub that the own one stands below; None: below none."""
        return self._own.superior()

    def hub_keys(self) -> HubKeySet | None:
        """Returns the newest set of the own hub's keys; None: those of the first anchor."""
        return self._own.hub_keys()

    def distrusts(self) -> tuple[Distrust, ...]:
        """Returns the distrusts that hold for somebody, the own hub's first."""
        return tuple(
            distrust
            for _, bundle in self._in_order()
            for distrust in bundle.distrusts()
            if self._may_distrust(bundle, distrust.rule.issuer)
        )

    def rehearsals(self) -> tuple[Rehearsal, ...]:
        """Returns the rehearsals of the own hub's feed."""
        return self._own.rehearsals()

    def notices(self) -> tuple[Notice, ...]:
        """Returns the notices of the own hub's feed."""
        return self._own.notices()

    def touched(self, rule: DistrustRule) -> tuple[Published | StatusEntry, ...]:
        """Returns what a distrust would end, in the feed that answers for its issuer."""
        home = self._homes.get(rule.issuer)
        return () if home is None else home.bundle.touched(rule)

    def silence(self, urn: str) -> Silence | None:
        """As :meth:`TrustBundle.silence`, by the hub that answers for the region."""
        home = self._homes.get(urn)
        return None if home is None else home.bundle.silence(urn)

    def silences(self) -> tuple[Silence, ...]:
        """As :meth:`TrustBundle.silences`, each by the hub that answers for the region."""
        found = [
            silence
            for _, bundle in self._in_order()
            for silence in bundle.silences()
            if self._answers(silence.urn, bundle)
        ]
        return tuple(sorted(found, key=lambda silence: silence.urn))

    def statuses(self) -> tuple[StatusEntry, ...]:
        """As :meth:`TrustBundle.statuses`, of those that may sign them."""
        return tuple(
            status
            for place, bundle in self._in_order()
            if _allows(place, "status")
            for status in bundle.statuses()
            if self._answers(status.issuer, bundle)
        )

    def status(self, uri: str, *, issuer: str | None = None) -> StatusEntry:
        """As :meth:`TrustBundle.status`."""
        for place, bundle in self._in_order():
            if _allows(place, "status"):
                try:
                    found = bundle.status(uri, issuer=issuer)
                except AttestationError:
                    continue
                if self._answers(found.issuer, bundle):
                    return found
        raise AttestationError(
            "no feed says anything of the status list", code=AttestationFault.STATUS_UNKNOWN
        )

    def check_distrust(self, attestation: Attestation, key_id: str | None = None) -> None:
        """As :meth:`TrustBundle.check_distrust`, by every hub that may say so."""
        for _, bundle in self._in_order():
            if self._may_distrust(bundle, attestation.issuer):
                bundle.check_distrust(attestation, key_id)

    def authority(self, urn: str) -> Authority:
        """As :meth:`TrustBundle.authority`; also CONSTRAINT_EXCEEDED."""
        return self._home(urn, Missing.UNKNOWN_REGION).bundle.authority(urn)

    def authority_for(self, region: str) -> Authority:
        """As :meth:`TrustBundle.authority_for`; also HUB_UNKNOWN, CONSTRAINT_EXCEEDED."""
        found = longest_prefix(region, self._prefixes)
        if found is None:
            raise _missing(Missing.UNKNOWN_REGION)
        if isinstance(found, _Home):
            raise _missing(found.fault or Missing.HUB_UNKNOWN)
        return self.authority(found)

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """As :meth:`TrustBundle.attestation_key`, held to every constraint above it."""
        found = self._keys.get((issuer, key_id))
        if found is None:
            home = self._home(issuer, Missing.KEY_UNKNOWN)
            key = home.bundle.attestation_key(issuer, key_id)
            found = self._constrained(home, self._distrusted(home, key), "attestation")
            self._keys[issuer, key_id] = found
        return found

    def statement_key(self, issuer: str, key_id: str) -> VerificationKey:
        """As :meth:`TrustBundle.statement_key`, held to every constraint above it."""
        home = self._home(issuer, Missing.KEY_UNKNOWN)
        return home.bundle.statement_key(issuer, key_id)

    def sealing_key(self, region: str, *, now: datetime) -> SealingPublicKey:
        """As :meth:`TrustBundle.sealing_key`."""
        return self.authority_for(region).sealing_key(now)

    def published_schemes(self) -> tuple[Published, ...]:
        """As :meth:`TrustBundle.published_schemes`, of those that may sign schemes.

        Those below a suspended hub are listed too, so that the refusal can say why.
        """
        found = [
            item
            for place, bundle in self._in_order()
            if _allows(place, "scheme")
            for item in bundle.published_schemes()
            if self._answers(item.authority, bundle, (None, Missing.AUTHORITY_SUSPENDED))
        ]
        return tuple(sorted(found, key=lambda item: item.entry.subject))

    def schemes(self) -> tuple[dict[str, Any], ...]:
        """As :meth:`TrustBundle.schemes`."""
        return tuple(item.document() for item in self.published_schemes())

    def published_policy(self, region: str) -> Published:
        """As :meth:`TrustBundle.published_policy`; also CONSTRAINT_EXCEEDED."""
        authority = self.authority_for(region)
        home = self._homes[authority.urn]
        if not _allows(home.place, "policy"):
            raise _missing(Missing.CONSTRAINT_EXCEEDED)
        published = home.bundle.published_policy(region)
        if published.authority != authority.urn:
            raise _missing(Missing.POLICY_UNKNOWN)
        return published

    def policy(self, region: str) -> dict[str, Any]:
        """As :meth:`TrustBundle.policy`."""
        return self.published_policy(region).document()

    # --- how it is put together

    def _may_distrust(self, bundle: TrustBundle, issuer: str) -> bool:
        home = self._homes.get(issuer)
        return bundle in self._above or (home is not None and home.bundle is bundle)

    def _distrusted(self, home: _Home, key: VerificationKey) -> VerificationKey:
        """Binds what the own hub and those above say of a key that another feed holds."""
        rules = tuple(
            distrust.rule
            for bundle in self._above
            if bundle is not home.bundle
            for distrust in bundle.distrusts()
            if distrust.rule.issuer == key.issuer
            and distrust.rule.kind in (None, "attestation")
            and distrust.rule.key_id in (None, key.key_id)
        )
        return replace(key, distrusts=(*key.distrusts, *rules)) if rules else key

    def _in_order(self) -> Iterator[tuple[HubPlace, TrustBundle]]:
        constraint = None
        above = next(iter(self.places.values()), None)
        if above is not None and above.relation is Relation.SUPERIOR and above.hub in self._feeds:
            constraint = own_constraint(self._own_hub, self._feeds[above.hub])
        own = HubPlace(
            self._own_hub,
            Relation.SUBORDINATE,
            self._own_hub,
            None,
            constraint,
            None,
            (self._own_hub,),
        )
        yield own, self._own
        for place in self.places.values():
            bundle = self._feeds.get(place.hub)
            if bundle is not None:
                yield place, bundle

    def _settle(self, place: HubPlace, bundle: TrustBundle) -> None:
        # Active ones first: a suspended one does not shadow who holds its prefix now.
        for authority in sorted(bundle.authorities(), key=lambda item: not item.is_active):
            fault = place.fault
            if place.constraint is not None and not place.constraint.covers(authority.prefixes):
                fault = Missing.CONSTRAINT_EXCEEDED
            before = self._homes.get(authority.urn)
            has_left = authority.state is MemberState.WITHDRAWN
            if before is None or (fault is None and (before.fault is not None or before.has_left)):
                self._homes[authority.urn] = _Home(bundle, place, fault, has_left)
                if fault is None and not has_left:
                    for prefix in authority.prefixes:
                        self._prefixes.setdefault(prefix, authority.urn)

    def _home(self, urn: str, otherwise: Missing) -> _Home:
        home = self._homes.get(urn)
        if home is None:
            raise _missing(otherwise)
        if home.fault is not None:
            raise _missing(home.fault)
        return home

    def _answers(
        self, urn: str, bundle: TrustBundle, faults: tuple[Missing | None, ...] = (None,)
    ) -> bool:
        home = self._homes.get(urn)
        return home is not None and home.bundle is bundle and home.fault in faults

    def _constrained(self, home: _Home, key: VerificationKey, kind: str) -> VerificationKey:
        constraint = home.place.constraint
        if constraint is None:
            return key
        if kind not in constraint.kinds:
            raise _missing(Missing.CONSTRAINT_EXCEEDED)
        longest = constraint.max_attestation_seconds
        if key.max_lifetime_seconds is not None:
            longest = min(longest, key.max_lifetime_seconds)
        return replace(key, max_lifetime_seconds=longest)


def _allows(place: HubPlace, kind: str) -> bool:
    return place.constraint is None or kind in place.constraint.kinds


def _missing(code: Missing) -> TrustLookupError:
    return TrustLookupError(_TEXTS.get(code, "the federation does not answer"), code=code)


_TEXTS: Final = {
    Missing.UNKNOWN_REGION: "no feed names such an authority",
    Missing.KEY_UNKNOWN: "no feed names such an authority",
    Missing.AUTHORITY_SUSPENDED: "the hub that speaks for it is suspended",
    Missing.AUTHORITY_WITHDRAWN: "the hub that speaks for it has left",
    Missing.CONSTRAINT_EXCEEDED: "a superior does not allow it",
    Missing.HUB_UNKNOWN: "no feed is held of the hub that speaks for it",
    Missing.POLICY_UNKNOWN: "the region has published no policy",
}
