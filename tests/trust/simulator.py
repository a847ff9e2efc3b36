"""A federation in memory: one hub, its regions, their keys, and the feed they make.

Everything is synthetic. A test changes one thing and signs again::

    federation = FederationSimulator()
    hangzhou = federation.add_region("330100")
    federation.publish_policy("330100", {"region": "330100", "id": "330100@2020-04"})
    replica = federation.replica()                       # follows from the beginning
    forged = federation.resign(federation.entries[0], seq=7)

The clock stands still until ``tick`` moves it. What is live is worked out here in
the plainest way, so that the replica can be held against it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.attestation.sealing_keys import (
    Profile,
    SealingKey,
    generate_sealing_key,
    public_sealing_jwk,
)
from gateway.codes.divisions import division_prefix
from gateway.trust import feed, feed_log, jws
from gateway.trust.anchor import TrustAnchor, make_anchor
from gateway.trust.authority import Authority, EnrolmentBody, MemberKind, MemberState
from gateway.trust.feed import FeedEntry, FeedKind
from gateway.trust.feed_log import FeedLog
from gateway.trust.keys import KeyUse, MemberKey, sealing_member_key, signing_member_key
from gateway.trust.replica import FeedReplica
from gateway.trust.statements import StatementKind, sign_statement

HUB = "urn:hutong:hub:000000"
START = datetime(2020, 4, 1, 8, 0, tzinfo=UTC)


@dataclass
class RegionSimulator:
    """A region with its private keys and what the hub last published of it."""

    urn: str
    signing: dict[KeyUse, SigningKey]
    sealing: SealingKey
    authority: Authority

    @property
    def code(self) -> str:
        return self.urn[-6:]


class FederationSimulator:
    """One hub and its regions; appends to an honest feed."""

    def __init__(self, *, now: datetime = START, hub: str = HUB) -> None:
        self.now = now
        self.hub = hub
        self.feed_key = generate_signing_key()
        self.token_key = generate_signing_key()
        self.anchor: TrustAnchor = make_anchor(
            hub, feed_keys=[self.feed_key], token_keys=[self.token_key]
        )
        self.log = FeedLog(hub)
        self.entries: list[FeedEntry] = []
        self.regions: dict[str, RegionSimulator] = {}

    def tick(self, seconds: float = 1) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    # --- the hub publishes ------------------------------------------------------------

    def append(self, kind: FeedKind, subject: str, body: dict[str, Any]) -> FeedEntry:
        """Appends anything at all, checked by nobody."""
        entry, self.log = self.log.append(self.feed_key, kind, subject, body, now=self.now)
        self.entries.append(entry)
        return entry

    def add_region(
        self,
        code: str,
        *,
        prefixes: tuple[str, ...] | None = None,
        endpoint: str = "127.0.0.1:7501",
        tls_ca_pem: str | None = None,
        name_zh: str = "合成市",
        name_en: str = "Synthetic City",
        profile: Profile = Profile.HPKE,
        max_attestation_seconds: int = 86_400,
        publish: bool = True,
    ) -> RegionSimulator:
        """Makes a region with a key of each use and publishes it as active."""
        region = make_region(
            code,
            now=self.now,
            prefixes=prefixes,
            endpoint=endpoint,
            tls_ca_pem=tls_ca_pem,
            name_zh=name_zh,
            name_en=name_en,
            profile=profile,
            max_attestation_seconds=max_attestation_seconds,
        )
        self.regions[code] = region
        if publish:
            self.publish_authority(region.authority)
        return region

    def publish_authority(self, authority: Authority) -> FeedEntry:
        """Publishes a record in the place of the one before."""
        region = self.regions.get(authority.region)
        if region is not None:
            region.authority = authority
        return self.append(*feed_log.authority_change(authority))

    def suspend(self, code: str) -> FeedEntry:
        return self._set_state(code, MemberState.SUSPENDED)

    def resume(self, code: str) -> FeedEntry:
        return self._set_state(code, MemberState.ACTIVE)

    def publish_scheme(
        self, code: str, document: dict[str, Any] | None = None, **changes: Any
    ) -> FeedEntry:
        """Publishes a scheme signed by the region; the default document is a mere frame."""
        document = scheme_frame(code) if document is None else document
        return self._publish(StatementKind.SCHEME, code, document | changes)

    def publish_policy(
        self, code: str, document: dict[str, Any] | None = None, **changes: Any
    ) -> FeedEntry:
        """Publishes a policy signed by the region; the default document is a mere frame."""
        document = policy_frame(code) if document is None else document
        return self._publish(StatementKind.POLICY, code, document | changes)

    def statement(
        self,
        kind: StatementKind,
        code: str,
        body: dict[str, Any],
        *,
        now: datetime | None = None,
        key: SigningKey | None = None,
    ) -> str:
        """Signs a statement of a region without publishing it."""
        region = self.regions[code]
        return sign_statement(
            kind, region.urn, body, key or region.signing[KeyUse.STATE], now=now or self.now
        )

    # --- what the hub serves ----------------------------------------------------------

    def live(self, upto: int | None = None) -> list[FeedEntry]:
        """The live entries after a number of entries, worked out by superseding alone."""
        return [entry for entry in self.latest(upto) if not entry.is_tombstone]

    def latest(self, upto: int | None = None) -> list[FeedEntry]:
        """The newest entries of each kind and subject, tombstones among them."""
        latest: dict[tuple[FeedKind, str], FeedEntry] = {}
        for entry in self.entries[:upto]:
            latest[entry.kind, entry.subject] = entry
        return sorted(latest.values(), key=lambda entry: entry.sequence)

    def head(self, *, now: datetime | None = None) -> str:
        return self.log.head(self.feed_key, now=now or self.now)

    def manifest(self, upto: int | None = None) -> str:
        return self.snapshot(upto)[0]

    def snapshot(self, upto: int | None = None, *, floor: int = 0) -> tuple[str, list[str]]:
        """The signed manifest and what it lists after a number of entries."""
        latest = self.latest(upto)
        newest = latest[-1] if latest else None
        listed = [
            entry
            for entry in latest
            if not entry.is_tombstone or entry.sequence > floor or entry is newest
        ]
        manifest = feed_log.sign_manifest(
            self.feed_key,
            hub=self.hub,
            sequence=newest.sequence if newest else 0,
            digest=newest.digest if newest else feed.ZERO_DIGEST,
            issued_at=self.now,
            live=[entry.digest for entry in listed if not entry.is_tombstone],
            floor=floor,
            tombstones=[entry.digest for entry in listed if entry.is_tombstone],
        )
        return manifest, [entry.token for entry in listed]

    def replica(self, upto: int | None = None) -> FeedReplica:
        """A replica that followed entry by entry."""
        replica = FeedReplica(self.anchor)
        for entry in self.entries[:upto]:
            replica.apply_entry(entry.token, self.now)
        return replica

    def replica_from_snapshot(self) -> FeedReplica:
        replica = FeedReplica(self.anchor)
        replica.load_snapshot(*self.snapshot(), self.now)
        return replica

    # --- what a forger makes of it ----------------------------------------------------

    def resign(self, entry: FeedEntry, *, key: SigningKey | None = None, **claims: Any) -> str:
        """The entry with some claims changed, signed again by the hub (or another key).

        A claim whose value is ``...`` is left out.
        """
        changed = {
            "iss": self.hub,
            "seq": entry.sequence,
            "prev": entry.previous,
            "iat": int(entry.issued_at.timestamp()),
            "kind": entry.kind.value,
            "subject": entry.subject,
            "body": entry.body,
        } | claims
        changed = {name: value for name, value in changed.items() if value is not ...}
        return jws.sign(changed, key or self.feed_key, typ=feed.ENTRY_TYPE)

    def next_token(self, kind: FeedKind, subject: str, body: dict[str, Any]) -> str:
        """What would be the next entry, signed by the hub and not appended."""
        return self.log.append(self.feed_key, kind, subject, body, now=self.now)[0].token

    def _publish(self, kind: StatementKind, code: str, document: dict[str, Any]) -> FeedEntry:
        region = self.regions[code]
        token = self.statement(kind, code, document)
        part = document["family" if kind is StatementKind.SCHEME else "region"]
        return self.append(FeedKind(kind.value), f"{region.urn}#{part}", {"statement": token})

    def _set_state(self, code: str, state: MemberState) -> FeedEntry:
        authority = self.regions[code].authority
        return self.publish_authority(dataclasses.replace(authority, state=state))


def make_region(
    code: str,
    *,
    now: datetime = START,
    prefixes: tuple[str, ...] | None = None,
    endpoint: str = "127.0.0.1:7501",
    tls_ca_pem: str | None = None,
    name_zh: str = "合成市",
    name_en: str = "Synthetic City",
    profile: Profile = Profile.HPKE,
    max_attestation_seconds: int = 86_400,
) -> RegionSimulator:
    """Makes a region with a key of each use, known to nobody yet."""
    signing: dict[KeyUse, SigningKey] = {
        use: generate_signing_key() for use in (KeyUse.ATTEST, KeyUse.STATE, KeyUse.AUTHENTICATE)
    }
    sealing = generate_sealing_key(profile)
    enrolment = EnrolmentBody(
        urn=f"urn:hutong:region:{code}",
        kind=MemberKind.REGION,
        name_zh=name_zh,
        name_en=name_en,
        keys=member_keys(signing, sealing, now),
        prefixes=prefixes or (division_prefix(code),),
        endpoint=endpoint,
        tls_ca_pem=tls_ca_pem,
    )
    authority = enrolment.authority(max_attestation_seconds=max_attestation_seconds)
    return RegionSimulator(enrolment.urn, signing, sealing, authority)


def member_keys(
    signing: dict[KeyUse, SigningKey], sealing: SealingKey | None, now: datetime
) -> tuple[MemberKey, ...]:
    keys = [signing_member_key(key, use, not_before=now) for use, key in signing.items()]
    if sealing is not None:
        keys.append(sealing_member_key(public_sealing_jwk(sealing), not_before=now))
    return tuple(keys)


def scheme_frame(code: str) -> dict[str, Any]:
    """Only what trust reads of a scheme."""
    return {
        "family": f"synthetic-{code}",
        "authority": code,
        "prefixes": [division_prefix(code)],
        "name_zh": "合成码",
    }


def policy_frame(code: str) -> dict[str, Any]:
    """Only what trust reads of a policy."""
    return {"id": f"{code}@2020-04", "region": code}
