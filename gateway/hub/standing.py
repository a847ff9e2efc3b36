"""How a member stands: its keys and what the linter finds, and how far its readers are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from gateway.codes.schemes import load_scheme
from gateway.errors import HutongError, TrustError
from gateway.hub.errors import RegistryError
from gateway.hub.reader_sharing import KEEP
from gateway.trust import StatementKind
from gateway.trust.errors import StatementError
from gateway.trust.findings import FindingName, finding, in_order
from gateway.trust.hub_key_life import keys_of
from gateway.trust.lifecycle import parse_key_change
from gateway.trust.linter import lint_document, lint_keys, lint_statement
from gateway.trust.statements import unverified_statement
from gateway.wire.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.codes.scheme_model import Scheme
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.members import Member
    from gateway.hub.readers import Reader, Readers
    from gateway.hub.registry import Registry
    from gateway.store import EnrolmentRow, Store
    from gateway.trust import MemberKey, Published, Silence
    from gateway.trust.findings import Finding

MAX_READERS_SHOWN: Final = 100
"""As ``hutong.v1.GetStandingResponse.readers``."""

REACH_SECONDS: Final = 3.0
"""Longest the linter tries an endpoint: TCP and TLS."""

MAX_CACHED_SCHEMES: Final = 2048
"""Parsed schemes of the feed, by entry."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands, or the hub itself.

    Attributes:
        member: the member; None: the hub itself.
        keys: its keys, history included, those that wait for their proof last.
        findings: what the linter finds in what it has published; errors first.
        readers: those that spoke within an hour, the slowest first, at most 100.
    """

    member: Member | None
    keys: tuple[MemberKey, ...]
    findings: tuple[Finding, ...]
    readers: tuple[Reader, ...]


class Standings:
    """See the module.

    Args:
        registry: whose members.
        feed: the feed in memory.
        store: for changes that wait.
        readers: what readers say.
    """

    def __init__(
        self,
        registry: Registry,
        feed: HubFeed,
        store: Store,
        readers: Readers,
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._store = store
        self._readers = readers
        self._checks = registry.checks
        self._schemes: dict[str, Scheme | None] = {}

    async def standing(self, urn: str) -> Standing:
        """Return how a member stands.

        Raises:
            RegistryError: NOT_FOUND.
            StoreError: the store cannot be read.
        """
        now = self._registry.now()
        if urn == self._feed.hub:
            return self._own(now)
        member = self._registry.members.get(urn)
        if member is None:
            raise RegistryError("no such member", code="NOT_FOUND")
        waiting = await self._store.key_changes(urn)
        rows = await self._store.published(urn)
        newest = {(row.kind, row.name): row.token for row in rows}
        findings = await asyncio.to_thread(self._lint_published, member, tuple(newest.items()), now)
        silence = self._feed.bundle.silence(urn)
        return Standing(
            member=member,
            keys=(*member.body.keys, *prepared_keys(member, waiting, now)),
            findings=findings if silence is None else (*findings, _not_heard(silence)),
            readers=self._readers.standing(within=KEEP)[:MAX_READERS_SHOWN],
        )

    def _own(self, now: datetime) -> Standing:
        keys = keys_of(self._feed.anchor, self._feed.bundle.hub_keys())
        return Standing(
            member=None,
            keys=keys,
            findings=(
                *lint_keys(keys, now=now),
                *(_not_heard(silence) for silence in self._feed.bundle.silences()),
            ),
            readers=self._readers.standing(within=KEEP)[:MAX_READERS_SHOWN],
        )

    async def lint(self, urn: str, token: str, *, reach: bool) -> tuple[Finding, ...]:
        """Look at a statement as it would be handed in.

        Args:
            urn: the member that asks.
            token: the statement.
            reach: also try the endpoint that it names.
        """
        member = self._registry.members.get(urn)
        now = self._registry.now()

        def look() -> tuple[Finding, ...]:
            return lint_statement(
                token,
                now=now,
                record=None if member is None else member.body,
                check_policy=self._checks.policy,
                others=self._others(urn),
                lead=self._registry.lead,
            )

        findings = await asyncio.to_thread(look)
        if reach and (endpoint := named_endpoint(token)) is not None:
            address, ca_pem = endpoint
            if not await can_reach(address, ca_pem):
                findings = in_order(
                    (
                        *findings,
                        finding(
                            FindingName.ENDPOINT_UNREACHABLE,
                            address,
                            "no TLS connection within 3 seconds; open it, or check tls_ca_pem",
                        ),
                    )
                )
        return findings

    def _lint_published(
        self, member: Member, published: Sequence[tuple[tuple[str, str], str]], now: datetime
    ) -> tuple[Finding, ...]:
        found = list(lint_keys(member.body.keys, now=now))
        for (kind, _), token in published:
            statement = unverified_statement(token, [StatementKind(kind)])
            found += lint_document(statement, now=now, check_policy=self._checks.policy)
        return in_order(found)

    def _others(self, urn: str) -> list[Scheme]:
        """The schemes of other authorities, parsed once an entry."""
        schemes = []
        for item in self._feed.bundle.published_schemes():
            if item.authority == urn:
                continue
            digest = item.entry.digest
            if digest not in self._schemes:
                while len(self._schemes) >= MAX_CACHED_SCHEMES:
                    self._schemes.pop(next(iter(self._schemes)), None)
                self._schemes[digest] = _load(item)
            scheme = self._schemes.get(digest)
            if scheme is not None:
                schemes.append(scheme)
        return schemes


def _not_heard(silence: Silence) -> Finding:
    return finding(
        FindingName.REGION_NOT_HEARD,
        silence.urn,
        f"what it revokes has not arrived since {silence.since:%Y-%m-%d %H:%M:%S} UTC, and every "
        "gate is told so; look at its adapter and at the line to it",
    )


def prepared_keys(
    member: Member, waiting: Sequence[EnrolmentRow], now: datetime
) -> tuple[MemberKey, ...]:
    """The keys of the change that waits for its proof, as nobody else has seen them."""
    held = {key.key_id for key in member.body.keys}
    found: list[MemberKey] = []
    for row in waiting:
        if all(challenge.proven for challenge in row.challenges) or now > row.expires_at:
            continue
        try:
            body = unverified_statement(row.statement, [StatementKind.KEYS]).body
            keys = parse_key_change(body).add
        except TrustError:
            _log.error("key_change_unreadable", member=member.row.urn)
            continue
        found += [replace(key, published_at=None) for key in keys if key.key_id not in held]
    return tuple(found)


def named_endpoint(token: str) -> tuple[str, str | None] | None:
    """Endpoint and roots that an enrolment statement names; None: it names none."""
    try:
        body = unverified_statement(token, [StatementKind.ENROLMENT]).body
    except StatementError:
        return None
    endpoint, ca_pem = body.get("endpoint"), body.get("tls_ca_pem")
    if not isinstance(endpoint, str):
        return None
    return endpoint, ca_pem if isinstance(ca_pem, str) else None


async def can_reach(address: str, ca_pem: str | None) -> bool:
    """Whether a TLS connection to an endpoint comes about."""
    try:
        roots = None if ca_pem is None else ca_pem.encode("ascii")
        async with open_channel(address, ca_pem=roots) as channel:
            async with asyncio.timeout(REACH_SECONDS):
                await channel.channel_ready()
    except (TimeoutError, ValueError, OSError, grpc.RpcError, HutongError):
        return False
    return True


def _load(item: Published) -> Scheme | None:
    try:
        return load_scheme(item.document())
    except HutongError:
        return None
