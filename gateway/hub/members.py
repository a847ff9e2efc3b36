"""The members in memory: what every call asks, live, without waiting.

A :class:`MemberTable` is a pure function of the rows of the store: it is filled
at start-up and brought up to date with every row that changed, whoever wrote
it. It answers the exchange (:class:`~gateway.hub.directory.MemberDirectory`)
and the token endpoint (:class:`~gateway.hub.oauth.ClientSource`).

What a member may do follows from its kind:

===========  ==================================  ====================================
kind         scopes                              purposes
===========  ==================================  ====================================
REGION       exchange.query, registry.publish    PLATFORM, HOLDER
CHECKPOINT   exchange.query                      CHECKPOINT, TRANSPORT, WORKPLACE,
                                                 VENUE, HOLDER
OPERATOR     registry.read, registry.approve     none: an operator asks nothing
HUB          exchange.query, registry.publish    none: it introduces its own callers
===========  ==================================  ====================================
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import TrustError
from gateway.hub.directory import AdapterRecord, CallerKind, CallerRecord, HubRecord
from gateway.hub.oauth import SCOPES, OAuthClient
from gateway.store import StoreCorruptError
from gateway.trust import EnrolmentBody, KeyUse, MemberState, parse_enrolment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from gateway.store import MemberRow

PURPOSES: Final[Mapping[str, frozenset[str]]] = {
    "REGION": frozenset({"PLATFORM", "HOLDER"}),
    "CHECKPOINT": frozenset({"CHECKPOINT", "TRANSPORT", "WORKPLACE", "VENUE", "HOLDER"}),
    "OPERATOR": frozenset(),
    "HUB": frozenset(),
}
"""For what a member may ask, by kind: names of ``Purpose`` without prefix."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """A row and what it says, parsed.

    Attributes:
        row: as the store holds it.
        body: its enrolment.
    """

    row: MemberRow
    body: EnrolmentBody

    @property
    def state(self) -> MemberState:
        """Where it stands."""
        return MemberState[self.row.state]

    @property
    def is_active(self) -> bool:
        """Whether it takes part."""
        return self.state is MemberState.ACTIVE

    @property
    def region(self) -> str:
        """Six digits of where it stands; empty for operators."""
        if self.row.kind in {"REGION", "HUB"}:
            return self.body.urn[-6:]
        return self.body.region or ""


def parse_member(row: MemberRow) -> Member:
    """Read a row of the store.

    Raises:
        StoreCorruptError: the row does not hold what was once accepted.
    """
    try:
        body = parse_enrolment(row.record)
        MemberState[row.state]
    except (TrustError, KeyError):
        raise StoreCorruptError("a member of the store does not parse") from None
    if body.urn != row.urn or body.kind.name != row.kind:
        raise StoreCorruptError("a member of the store contradicts its own record")
    return Member(row, body)


class MemberTable:
    """See the module."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._callers: dict[str, CallerRecord] = {}
        self._hubs: dict[str, HubRecord] = {}
        self._order: list[str] = []
        self._callbacks: list[Callable[[], None]] = []
        self.revision = 0
        self.waiting = 0
        """Members that were never approved."""

    def apply(self, rows: Iterable[MemberRow]) -> None:
        """Take over rows that changed, oldest change first, and tell the subscribers.

        Raises:
            StoreCorruptError: a row does not parse; nothing was taken over.
        """
        parsed = [parse_member(row) for row in rows]
        if not parsed:
            return
        for member in parsed:
            urn = member.row.urn
            before = self._members.get(urn)
            if before is None:
                insort(self._order, urn)
            self.waiting += _is_waiting(member) - _is_waiting(before)
            self._members[urn] = member
            self.revision = max(self.revision, member.row.revision)
            # Made once a change: the exchange compares callers by identity first.
            if member.state in {MemberState.ACTIVE, MemberState.SUSPENDED}:
                self._callers[urn] = _caller(member)
            else:
                self._callers.pop(urn, None)
            self._hubs.pop(urn, None)
            if member.row.kind == "HUB" and member.row.approved_at is not None:
                self._hubs[urn] = _hub(member)
        for callback in self._callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  one subscriber must not stop the others
                _log.error("subscriber_failed", exception_type=type(error).__qualname__)

    def get(self, urn: str) -> Member | None:
        """Return a member in whatever state."""
        return self._members.get(urn)

    def page(
        self, *, after: str, limit: int, state: MemberState | None
    ) -> tuple[tuple[Member, ...], bool]:
        """Return members by URN.

        Args:
            after: URN after which to begin, exclusive; empty: from the first.
            limit: how many at most.
            state: only members in this state; None: all.

        Returns:
            The members, and whether more follow.
        """
        found: list[Member] = []
        for urn in self._order[bisect_right(self._order, after) :]:
            member = self._members[urn]
            if state is None or member.state is state:
                if len(found) == limit:
                    return tuple(found), True
                found.append(member)
        return tuple(found), False

    def all(self) -> tuple[Member, ...]:
        """Return every member, whatever its state, by URN."""
        return tuple(self._members[urn] for urn in self._order)

    def count(self) -> Mapping[tuple[str, str], int]:
        """Count members by kind and state, for the metrics."""
        counts: dict[tuple[str, str], int] = {}
        for member in self._members.values():
            key = (member.row.kind, member.row.state)
            counts[key] = counts.get(key, 0) + 1
        return counts

    def caller(self, client_urn: str) -> CallerRecord | None:
        """Return a member that was admitted, suspended ones included."""
        return self._callers.get(client_urn)

    def adapters(self) -> Sequence[AdapterRecord]:
        """Return every admitted authority with an endpoint, suspended ones included."""
        return [
            AdapterRecord(
                authority=member.body.urn,
                prefixes=member.body.prefixes,
                endpoint=member.body.endpoint,
                tls_ca_pem=member.body.tls_ca_pem,
                active=member.is_active,
                is_hub=member.row.kind == "HUB",
            )
            for member in self._members.values()
            if member.body.endpoint is not None
            # Rejected before it ever took part: it must not shadow anybody's prefix.
            and member.row.approved_at is not None
            and member.state in {MemberState.ACTIVE, MemberState.SUSPENDED}
        ]

    def hub(self, urn: str) -> HubRecord | None:
        """Return a hub that was admitted, suspended ones included."""
        return self._hubs.get(urn)

    def hubs(self) -> tuple[Member, ...]:
        """Return the hubs that were admitted, suspended ones included, by URN."""
        return tuple(self._members[urn] for urn in sorted(self._hubs))

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the event loop after every change of members."""
        self._callbacks.append(callback)

    def oauth_client(self, urn: str, now: datetime) -> OAuthClient | None:
        """Return an active member with a key that authenticates it now."""
        member = self._members.get(urn)
        if member is None or not member.is_active:
            return None
        keys = [
            key.jwk
            for key in member.body.keys
            if key.use is KeyUse.AUTHENTICATE and key.is_valid(now)
        ]
        if not keys:
            return None
        kind = CallerKind[member.row.kind]
        return OAuthClient(urn=urn, kind=kind, scopes=SCOPES[kind], jwks=keys)


def _is_waiting(member: Member | None) -> bool:
    return member is not None and member.row.approved_at is None


def _caller(member: Member) -> CallerRecord:
    kind = CallerKind[member.row.kind]
    return CallerRecord(
        urn=member.body.urn,
        kind=kind,
        region=member.region,
        scopes=SCOPES[kind],
        purposes=PURPOSES[kind],
        active=member.is_active,
        # One that has retired fetched its last token minutes ago; what was taken back
        # takes its tokens with it.
        client_keys=frozenset(
            key.key_id
            for key in member.body.keys
            if key.use is KeyUse.AUTHENTICATE
            and key.tainted_from is None
            and key.revoked_at is None
        ),
    )


def _hub(member: Member) -> HubRecord:
    return HubRecord(
        urn=member.body.urn,
        prefixes=member.body.prefixes,
        token_keys={
            key.key_id: key.verification_key(issuer=member.body.urn)
            for key in member.body.keys
            if key.use is KeyUse.TOKEN
            # Nothing tells when a grant was really signed.
            and key.tainted_from is None
            and key.revoked_at is None
        },
        active=member.is_active,
    )
