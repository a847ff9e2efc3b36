"""Rehearsals: a key that is not used yet, shown to every connected reader first.

The statement goes into the feed as it is; readers verify its sample as they would what
the key signs later, and say so with their next acknowledgement
(:mod:`gateway.hub.readers`). Readers of other hubs say so to theirs, which sums it up
(:mod:`gateway.hub.reader_counts`). A rehearsal ends after an hour, or when its owner
begins the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.hub.errors import RegistryError
from gateway.hub.key_changes import own_statement_key
from gateway.hub.reader_counts import ReaderCount, failing_by_reason
from gateway.hub.registry_base import IN_FEED, withdrawal
from gateway.trust import (
    FeedKind,
    StatementKind,
    check_sample,
    parse_rehearsal,
    statement_digest,
    verify_statement,
)
from gateway.trust.errors import StatementError

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.hub.feed_log import Change, HubFeed
    from gateway.hub.readers import Readers
    from gateway.hub.registry import Registry
    from gateway.trust import EnrolmentBody, Rehearsal

REHEARSAL_LIFE: Final = timedelta(hours=1)
"""Long enough for every connected reader to speak several times."""

NAMED_WITHIN: Final = timedelta(minutes=5)
"""Readers that spoke this recently count as there when a rehearsal begins."""

MAX_SILENT: Final = 100
"""As ``hutong.v1.GetRehearsalResponse.silent``."""


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """What readers said so far.

    Attributes:
        connected: readers known by name that were there or came since.
        verified: those that would verify the new key.
        failures: reasons by reader.
        silent: readers that have not answered, at most 100.
    """

    connected: int
    verified: int
    failures: dict[str, str]
    silent: tuple[str, ...]


class Rehearsals:
    """See the module.

    Args:
        registry: makes the changes.
        feed: the feed in memory.
        readers: what readers say.
    """

    def __init__(self, registry: Registry, feed: HubFeed, readers: Readers) -> None:
        self._registry = registry
        self._feed = feed
        self._readers = readers

    async def begin(self, urn: str, token: str) -> tuple[str, int]:
        """Publish a rehearsal in place of the member's last one.

        Returns:
            What names it, and the sequence number of its entry.

        Raises:
            TrustError: STATEMENT_INVALID, KEY_MALFORMED.
            RegistryError: WRONG_STATE.
            StoreError: the store failed; nothing was acknowledged.
        """
        now = self._registry.now()
        member = self._registry.members.get(urn)
        if member is None or not member.is_active or member.body.kind not in IN_FEED:
            raise StatementError("only an active region or hub rehearses")
        await asyncio.to_thread(verify_rehearsal, token, member.body, now)
        rehearsal_id = statement_digest(token)
        if any(held.rehearsal_id == rehearsal_id for held in self._feed.bundle.rehearsals()):
            raise RegistryError("the rehearsal is under way already", code="WRONG_STATE")
        # Before anybody can answer.
        self._readers.expect(rehearsal_id)
        changes: list[Change] = [
            withdrawal(FeedKind.REHEARSAL, held.rehearsal_id, "another one begins")
            for held in self._feed.bundle.rehearsals()
            if held.issuer == urn
        ]
        changes.append((FeedKind.REHEARSAL, rehearsal_id, {"statement": token}))
        sequence = await self._registry.announce(changes, action="rehearse", subject=urn, by=urn)
        return rehearsal_id, sequence

    def check(self, rehearsal_id: str, *, asked_by: str | None = None) -> Rehearsal:
        """Return a rehearsal that is under way, to who may see it.

        Raises:
            RegistryError: NOT_FOUND.
        """
        rehearsal = self._live(rehearsal_id)
        if rehearsal is None or asked_by not in (None, rehearsal.issuer):
            raise RegistryError("no such rehearsal is under way", code="NOT_FOUND")
        return rehearsal

    def result(self, rehearsal_id: str, *, asked_by: str | None = None) -> RehearsalResult:
        """Tell what readers said so far.

        Args:
            rehearsal_id: from :meth:`begin`.
            asked_by: URN of the member; None: an operator, who may see any.

        Raises:
            RegistryError: NOT_FOUND.
        """
        rehearsal = self.check(rehearsal_id, asked_by=asked_by)
        answers, named = self._heard(rehearsal_id, rehearsal.entry.issued_at - NAMED_WITHIN)
        return RehearsalResult(
            connected=len(named),
            verified=sum(not reason for reason in answers.values()),
            failures={urn: reason for urn, reason in sorted(answers.items()) if reason},
            silent=tuple(sorted(named - answers.keys())[:MAX_SILENT]),
        )

    def tally(self, rehearsal_id: str, rehearsal: Rehearsal | None) -> ReaderCount:
        """Sum up what the own readers said of a rehearsal of whichever hub.

        Args:
            rehearsal_id: names it.
            rehearsal: as some feed carries it; None: none does, as far as is known here.
        """
        since = (self._registry.now() if rehearsal is None else rehearsal.entry.issued_at) - (
            NAMED_WITHIN
        )
        answers, named = self._heard(rehearsal_id, since)
        return ReaderCount(
            hub=self._feed.hub,
            connected=len(named),
            verified=sum(not reason for reason in answers.values()),
            failing=failing_by_reason(answers.values()),
            silent=len(named - answers.keys()),
        )

    def _heard(self, rehearsal_id: str, since: datetime) -> tuple[dict[str, str], set[str]]:
        """Answers by reader, and the readers known by name since a moment."""
        answers = self._readers.answers(rehearsal_id)
        named = {reader.urn for reader in self._readers.standing() if reader.seen_at >= since}
        return answers, named | answers.keys()

    async def end_old(self) -> None:
        """Withdraw rehearsals that are over.

        Raises:
            StoreError: the store failed.
        """
        now = self._registry.now()
        over = [
            held
            for held in self._feed.bundle.rehearsals()
            if held.entry.issued_at + REHEARSAL_LIFE <= now
        ]
        for held in over:
            await self._registry.announce(
                [withdrawal(held.entry.kind, held.rehearsal_id, "over")],
                check=lambda held=held: self._check_live(held),  # type: ignore[misc]  # the default binds it
            )

    def _check_live(self, held: Rehearsal) -> None:
        if self._live(held.rehearsal_id) is None:
            raise RegistryError("another process has ended it", code="NOT_FOUND")

    def _live(self, rehearsal_id: str) -> Rehearsal | None:
        rehearsals = self._feed.bundle.rehearsals()
        return next((item for item in rehearsals if item.rehearsal_id == rehearsal_id), None)


def verify_rehearsal(token: str, body: EnrolmentBody, now: datetime) -> None:
    """Verify a statement of kind ``rehearsal`` of a member.

    Raises:
        TrustError: STATEMENT_INVALID, KEY_MALFORMED.
    """

    def own_key(issuer: str, key_id: str) -> VerificationKey:
        if issuer != body.urn:
            raise StatementError("a member rehearses only its own keys")
        return own_statement_key(body, key_id, now)

    statement = verify_statement(token, own_key, now=now, kinds=(StatementKind.REHEARSAL,))
    key, sample = parse_rehearsal(statement.body)
    if any(held.key_id == key.key_id and held.revoked_at is not None for held in body.keys):
        raise StatementError("the key is revoked")
    check_sample(body.urn, key, sample)
