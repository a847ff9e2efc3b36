"""What a live set holds of what regions signed, and what is asked of it at every change.

A scheme, policy, rehearsal or status holds under the *present* record of who signed it,
and is not older than the one it supersedes (``live`` has the rules in words).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.trust import names
from gateway.trust.entries import LiveEntry, StatusEntry, payload_of
from gateway.trust.errors import FeedError, FeedFault, StatementError
from gateway.trust.keys import KeyUse
from gateway.trust.statements import check_key_times

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.trust.authority import Authority
    from gateway.trust.rehearsals import Rehearsal


@dataclass(frozen=True, slots=True)
class LiveAuthority:
    """An authority in force."""

    entry: LiveEntry
    authority: Authority


@dataclass(frozen=True, slots=True)
class Published:
    """A scheme or policy in force.

    The document is not kept parsed: there are hundreds, and each is wanted once a
    change. ``entry.digest`` tells whether it is still the one seen before.

    Attributes:
        entry: the hub's entry.
        authority: URN of the region that signed it.
        signed_at: when the region did, by its own clock.
        key_id: of the statement key.
        serves: divisions it speaks for, as shortest prefixes.
    """

    entry: LiveEntry
    authority: str
    signed_at: datetime
    key_id: str
    serves: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Returns a fresh copy of the document."""
        statement: str = payload_of(self.entry.token)["body"]["statement"]
        document: dict[str, Any] = payload_of(statement)["body"]
        return document


@dataclass(frozen=True, slots=True)
class Signed:
    """What the rules ask of anything that a region signed."""

    issuer: str
    kind: str
    key_id: str
    use: KeyUse
    signed_at: datetime
    accepted_at: datetime
    serves: tuple[str, ...]


def signed_of(item: Published | StatusEntry | Rehearsal) -> Signed:
    """Returns what the rules ask of something in a live set."""
    entry = item.entry
    if isinstance(item, Published):
        urn, use, serves = item.authority, KeyUse.STATE, item.serves
        key_id, signed_at = item.key_id, item.signed_at
    elif isinstance(item, StatusEntry):
        urn, use, serves = item.issuer, KeyUse.ATTEST, (item.issuer[-6:],)
        key_id, signed_at = item.key_id, item.issued_at
    else:
        urn, use, serves = item.issuer, KeyUse.STATE, ()
        key_id, signed_at = item.signed_by, item.issued_at
    return Signed(urn, entry.kind.value, key_id, use, signed_at, entry.issued_at, serves)


def check_not_older(published: Published, before: Published) -> None:
    """Refuses a statement that its region signed before the one in force.

    Raises:
        FeedError: FEED_ROLLED_BACK; the hub, or a thief of its key, plays back an
            old statement.
    """
    if published.signed_at < before.signed_at:
        raise FeedError(
            "the statement is older than the one it supersedes", code=FeedFault.FEED_ROLLED_BACK
        )


def check_not_older_status(status: StatusEntry, before: StatusEntry) -> None:
    """Refuses a word on a status list that is older than the one in force.

    Raises:
        FeedError: FEED_ROLLED_BACK.
    """
    if status.number < before.number or (
        status.number == before.number and status.statement != before.statement
    ):
        raise FeedError(
            "the statement is older than the one it supersedes", code=FeedFault.FEED_ROLLED_BACK
        )


def check_still_holds(signed: Signed, authority: Authority) -> None:
    """Refuses what does not hold under the present record of who signed it.

    Raises:
        TrustError: its key, its kind or its divisions are not the authority's.
    """
    key = authority.member_key(signed.key_id, signed.use)
    check_key_times(key, issued_at=signed.signed_at, accepted_at=signed.accepted_at)
    if not authority.may_sign(signed.kind):
        raise StatementError("a statement of a kind that its superior does not allow")
    if not all(names.covers(authority.prefixes, served) for served in signed.serves):
        raise StatementError("a statement speaks for a division of another authority")
