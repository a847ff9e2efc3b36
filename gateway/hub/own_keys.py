"""How a hub's own keys change: made in its folder, shown, published, named.

Works on the hub's store, beside the running processes: each of them sees the new set in
the feed and signs with the key whose time it is (:mod:`gateway.hub.keys`). A key to come
is a file ``….json.next`` that nobody uses; it gets its final name once its set stands in
the feed. So whoever is stopped anywhere finds out from the feed and the folder how far
it was.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.attestation.keys import generate_signing_key, signing_key_to_jwk
from gateway.hub.errors import HubSetupError, RegistryError
from gateway.hub.keys import HubKeyRing, anchor_file, load_signing_key
from gateway.hub.registry_base import withdrawal
from gateway.hub.setup import registry_on
from gateway.store import Store
from gateway.trust import FeedKind, KeyUse, MemberKind, hub_keys_change, signing_member_key
from gateway.trust.hub_key_life import keys_of, replaced, rotated
from gateway.trust.rehearsals import hub_rehearsal_body
from gateway.trust.times import from_seconds
from gateway.wire.files import EVERYBODY, refused_as, write_atomically
from gateway.wire.private_files import write_private_jwk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime, timedelta
    from pathlib import Path

    from gateway.attestation.keys import SigningKey
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.registry import Registry
    from gateway.hub.settings import HubSettings
    from gateway.hub.setup import OperatorProfile
    from gateway.trust import MemberKey

_NEXT: Final = ".next"
_PENDING: Final = re.compile(r"(?P<stem>[A-Za-z_.-]+)-(?P<since>[0-9]{1,12})\.json\.next", re.ASCII)


@dataclass(frozen=True, slots=True)
class Coming:
    """A key to come, in a file that no process reads yet.

    Attributes:
        use: ``feed`` or ``token``.
        since: first second of use, since 1970.
        path: the file.
        key: the private key.
    """

    use: KeyUse
    since: int
    path: Path
    key: SigningKey

    @property
    def begins(self) -> datetime:
        """First moment of use."""
        return from_seconds(self.since)

    def member_key(self) -> MemberKey:
        """The key as it is published."""
        return signing_member_key(self.key, self.use, not_before=self.begins)


class OwnKeys:
    """See the module.

    Args:
        settings: of the hub, with resolved paths.
        ring: its private keys.
        registry: on its store.
        feed: likewise.
        by: URN of the operator who does it.
    """

    def __init__(
        self, settings: HubSettings, ring: HubKeyRing, registry: Registry, feed: HubFeed, by: str
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._registry = registry
        self._feed = feed
        self._by = by

    @property
    def hub(self) -> str:
        """URN of the hub."""
        return self._settings.urn

    @property
    def lead(self) -> timedelta:
        """How long a new key is in the feed before its first use."""
        return self._settings.lead

    def now(self) -> datetime:
        """The time, UTC, whole seconds."""
        return self._registry.now()

    @property
    def number(self) -> int:
        """Which set of its keys the feed has; zero: those of the first anchor."""
        return self._feed.anchor.number

    def private(self, key_id: str) -> SigningKey | None:
        """Return a private key by its id, also one to come; None: its file is not here.

        Raises:
            HubSetupError: a file cannot be used.
        """
        for use, held in ((KeyUse.FEED, self._ring.feed), (KeyUse.TOKEN, self._ring.token)):
            coming = self.pending(use)
            if coming is not None and coming.key.key_id == key_id:
                return coming.key
            found = held.get(key_id)
            if found is not None:
                return found
        return None

    def held(self) -> tuple[MemberKey, ...]:
        """Return the hub's keys as its feed has them."""
        return keys_of(self._feed.anchor, self._feed.bundle.hub_keys())

    # --- files

    def pending(self, use: KeyUse) -> Coming | None:
        """Return the key that an earlier run made and did not finish; None: there is none.

        Raises:
            HubSetupError: its file cannot be used.
        """
        first = self._first(use)
        for path in sorted(first.parent.glob(f"{first.stem}-*.json{_NEXT}")):
            named = _PENDING.fullmatch(path.name)
            if named is not None and named["stem"] == first.stem:
                return Coming(use, int(named["since"]), path, load_signing_key(path))
        return None

    def make(self, use: KeyUse, since: int) -> Coming:
        """Make the key to come; one that an earlier run made and nobody saw is as good.

        Raises:
            HubSetupError: its file cannot be written.
        """
        first = self._first(use)
        path = first.with_name(f"{first.stem}-{since}.json{_NEXT}")
        held = self.pending(use)
        if held is not None:
            held.path.rename(path)
            return Coming(use, since, path, held.key)
        key = generate_signing_key()
        with refused_as(HubSetupError):
            write_private_jwk(path, signing_key_to_jwk(key))
        return Coming(use, since, path, key)

    def name(self, coming: Coming) -> Path:
        """Give a key whose set stands in the feed the name under which it is found."""
        final = coming.path.with_name(coming.path.name.removesuffix(_NEXT))
        if coming.path.exists():
            coming.path.rename(final)
        return final

    def export(self) -> Path:
        """Write the anchor anew, for whoever joins from now on; return the file.

        Raises:
            HubSetupError: it cannot be written.
        """
        path = anchor_file(self._settings)
        try:
            write_atomically(path, self._feed.anchor.to_bytes(), mode=EVERYBODY)
        except OSError:
            raise HubSetupError(f"{path} cannot be written") from None
        return path

    def is_exported(self) -> bool:
        """Whether the anchor's file holds the newest keys."""
        path = anchor_file(self._settings)
        return path.exists() and path.read_bytes() == self._feed.anchor.to_bytes()

    # --- the feed

    async def rehearse(self, coming: Coming) -> str:
        """Show a key to come to every reader; return what names the rehearsal.

        Raises:
            RegistryError: readers would refuse it.
            StoreError: the store failed.
        """
        body = hub_rehearsal_body(coming.member_key(), coming.key, hub=self.hub, now=self.now())
        changes = [
            withdrawal(held.entry.kind, held.rehearsal_id, "another one begins")
            for held in self._feed.bundle.rehearsals()
            if held.issuer == self.hub and held.rehearsal_id != coming.key.key_id
        ]
        changes.append((FeedKind.HUB_REHEARSAL, coming.key.key_id, body))
        await self._registry.announce(
            changes, action="rehearse-hub-key", subject=self.hub, by=self._by
        )
        return coming.key.key_id

    async def publish(self, coming: Coming) -> int:
        """Say the set in which a key follows the one of its use; return the feed entry.

        Raises:
            KeyChangeError: LEAD_TIME_TOO_SHORT, WRONG_STATE.
            RegistryError: readers would refuse it, or another process was first.
            StoreError: the store failed.
        """
        keys = rotated(self.held(), coming.member_key(), now=self.now(), lead=self.lead)
        return await self._say(keys, f"rotate-hub-{coming.use.value}", "rotated")

    async def replace_now(self, coming: Coming, reason: str) -> int:
        """Say the set in which a token key takes the place of a leaked one; return the entry.

        Raises:
            KeyChangeError: WRONG_STATE.
            RegistryError: readers would refuse it, or another process was first.
            StoreError: the store failed.
        """
        keys = replaced(self.held(), coming.member_key(), now=self.now(), reason=reason)
        return await self._say(keys, f"replace-hub-{coming.use.value}", reason)

    async def _say(self, keys: tuple[MemberKey, ...], action: str, reason: str) -> int:
        number = self._feed.anchor.number + 1
        changes = [hub_keys_change(self.hub, number, keys)]
        changes += [
            withdrawal(held.entry.kind, held.rehearsal_id, "over")
            for held in self._feed.bundle.rehearsals()
            if held.issuer == self.hub
        ]

        def check() -> None:
            if self._feed.anchor.number + 1 != number:
                raise RegistryError("the hub's keys have changed meanwhile", code="WRONG_STATE")

        await self._registry.announce(
            changes, action=action, subject=self.hub, by=self._by, reason=reason, check=check
        )
        newest = self._feed.bundle.hub_keys()
        return 0 if newest is None else newest.entry.sequence

    def _first(self, use: KeyUse) -> Path:
        keys = self._settings.keys
        return keys.feed if use is KeyUse.FEED else keys.token


@asynccontextmanager
async def open_own_keys(
    settings: HubSettings, operator: OperatorProfile, *, clock: Callable[[], datetime]
) -> AsyncIterator[OwnKeys]:
    """Open the keys of a hub on its folder and store, as one of its operators.

    Args:
        settings: with resolved paths.
        operator: who does it; must be active, and hold the key that the hub knows.
        clock: the time, UTC.

    Raises:
        HubSetupError: a key cannot be used, or the operator is none of this hub.
        StoreError: the store cannot be opened, or does not verify.
    """
    ring = HubKeyRing(settings)
    async with await Store.open(settings.store) as store:
        registry, feed = await registry_on(settings, ring, store, clock=clock)
        member = registry.members.get(operator.urn)
        key_id = load_signing_key(operator.key).key_id
        if (
            member is None
            or not member.is_active
            or member.body.kind is not MemberKind.OPERATOR
            or not any(
                key.key_id == key_id and key.use is KeyUse.AUTHENTICATE and key.is_valid(clock())
                for key in member.body.keys
            )
        ):
            raise HubSetupError(
                f"{operator.urn} is no active operator of this hub",
                fix="name one with --operator",
            )
        yield OwnKeys(settings, ring, registry, feed, operator.urn)
