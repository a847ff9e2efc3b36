"""An operator's connection to a hub: token, channel, and the calls of the registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import grpc
from grpc_health.v1 import (  # type: ignore[import-untyped]  # untyped
    health_pb2,
    health_pb2_grpc,
)
from hutong.v1 import feed_service_pb2, registry_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.cli.hub_own import own_keys
from gateway.errors import HutongError
from gateway.hub.errors import HubSetupError
from gateway.hub.keys import load_signing_key
from gateway.trust import jws
from gateway.trust.feed import MANIFEST_TYPE, MAX_MARK_BYTES
from gateway.wire.channel import open_channel
from gateway.wire.errors import failure_from_rpc_error
from gateway.wire.token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
    from types import TracebackType

    from gateway.hub.setup import OperatorProfile

T = TypeVar("T")

CALL_SECONDS: Final = 15.0
"""Deadline of each call: a change is one transaction of milliseconds."""
PACK_SECONDS: Final = 600.0
"""Deadline of a pack: the largest over a slow line."""
PAGE_SIZE: Final = 500
"""The largest page of ``ListMembers``."""

_SCOPE: Final = "registry.read registry.approve"


class KeyMismatchError(HutongError):
    """The member's keys are not those the operator was told of."""

    default_code = "KEY_MISMATCH"


@dataclass(frozen=True, slots=True)
class AllowanceView:
    """What a hub allows a region or a hub that it names, or would on approval.

    Attributes:
        kinds: what it may sign.
        max_attestation_seconds: longest life of an attestation of it.
        path_length: of a hub: how many hubs may stand below it, one under another.
        only_here: the hub above allows no such hub: only this hub's readers believe it.
    """

    kinds: tuple[str, ...]
    max_attestation_seconds: int
    path_length: int
    only_here: bool


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as the registry shows it.

    Attributes:
        urn: its name.
        kind: REGION, CHECKPOINT or OPERATOR.
        state: CHALLENGED, PENDING, ACTIVE or SUSPENDED.
        display_name: name to show.
        prefixes: divisions it answers for.
        endpoint: where its adapter listens; empty: it has none.
        key_ids: thumbprints of its keys.
        changed_at: when its state last changed.
        approved_by: operators who approved it so far.
        approvals_needed: operators who must.
        report_digest: of the conformance report it brought; empty: none.
        report_passed: checks of that report that passed.
        report_failed: checks of it that failed.
        allowance: what it is allowed; None: the feed does not name it.
    """

    urn: str
    kind: str
    state: str
    display_name: str
    prefixes: tuple[str, ...]
    endpoint: str
    key_ids: tuple[str, ...]
    changed_at: datetime
    approved_by: tuple[str, ...] = ()
    approvals_needed: int = 0
    report_digest: str = ""
    report_passed: int = 0
    report_failed: int = 0
    allowance: AllowanceView | None = None

    def to_json(self) -> dict[str, Any]:
        """The members of one JSON object."""
        return {
            "urn": self.urn,
            "kind": self.kind,
            "state": self.state,
            "display_name": self.display_name,
            "prefixes": list(self.prefixes),
            "endpoint": self.endpoint,
            "key_ids": list(self.key_ids),
            "changed_at": self.changed_at.isoformat(),
            "approved_by": list(self.approved_by),
            "approvals_needed": self.approvals_needed,
            "report": {
                "digest": self.report_digest,
                "passed": self.report_passed,
                "failed": self.report_failed,
            }
            if self.report_digest
            else None,
            "allowance": None
            if self.allowance is None
            else {
                "kinds": list(self.allowance.kinds),
                "max_attestation_seconds": self.allowance.max_attestation_seconds,
                "path_length": self.allowance.path_length,
                "only_here": self.allowance.only_here,
            },
        }


class OperatorClient:
    """Speaks to one hub as one operator.

    Args:
        profile: where the hub is and who asks.
    """

    def __init__(self, profile: OperatorProfile) -> None:
        try:
            ca_pem = None if profile.ca is None else profile.ca.read_bytes()
        except OSError:
            raise HubSetupError(f"{profile.ca} cannot be read") from None
        self._tokens = TokenClient(
            profile.token_url,
            profile.urn,
            load_signing_key(profile.key),
            ca_pem,
            lambda: datetime.now(UTC),
        )
        self._channel = open_channel(profile.hub, ca_pem=ca_pem)
        self._registry = RegistryServiceStub(self._channel)
        self._feed = FeedServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._tokens.close()
        await self._channel.close()

    async def members(self, state: str | None = None) -> AsyncIterator[MemberView]:
        """Yield members by URN.

        Args:
            state: only members in this state, by name; None: all.

        Raises:
            HutongError: the hub refuses or cannot be reached.
        """
        wanted = registry_service_pb2.MemberState.Value(
            f"MEMBER_STATE_{(state or 'UNSPECIFIED').upper()}"
        )
        page_token = ""
        while True:
            page = await call(
                self._registry.ListMembers(
                    registry_service_pb2.ListMembersRequest(
                        state=wanted, page_size=PAGE_SIZE, page_token=page_token
                    ),
                    metadata=await self._metadata(),
                    timeout=CALL_SECONDS,
                )
            )
            for member in page.members:
                yield member_view(member)
            page_token = page.next_page_token
            if not page_token:
                return

    async def approve(self, urn: str, *, key_id: str | None = None) -> tuple[MemberView, int]:
        """Approve a member.

        Args:
            urn: the member.
            key_id: thumbprint one of its keys must have; None: not checked.

        Returns:
            The member and the sequence number of the feed entry, zero for none.

        Raises:
            KeyMismatchError: no key of the member has this thumbprint.
            HutongError: the hub refuses or cannot be reached.
        """
        if key_id is not None:
            known = [member async for member in self.members() if member.urn == urn]
            if known and key_id not in known[0].key_ids:
                raise KeyMismatchError("no key of the member has this thumbprint")
        changed = await call(
            self._registry.Approve(
                registry_service_pb2.ApproveRequest(urn=urn),
                metadata=await self._metadata(),
                timeout=CALL_SECONDS,
            )
        )
        return member_view(changed.member), changed.sequence

    async def suspend(self, urn: str, reason: str) -> tuple[MemberView, int]:
        """Suspend a member, or reject an enrolment.

        Returns:
            The member and the sequence number of the feed entry, zero for none.

        Raises:
            HutongError: the hub refuses or cannot be reached.
        """
        changed = await call(
            self._registry.Suspend(
                registry_service_pb2.SuspendRequest(urn=urn, reason=reason),
                metadata=await self._metadata(),
                timeout=CALL_SECONDS,
            )
        )
        return member_view(changed.member), changed.sequence

    async def pack(
        self, prefixes: Sequence[str], *, after: int, max_bytes: int, with_lists: bool
    ) -> AsyncIterator[bytes]:
        """Yield the chunks of an air-gapped pack.

        Args:
            prefixes: divisions to take in; empty: all.
            after: zero for a whole pack, else the state that it continues.
            max_bytes: longest pack; zero: the hub's own bound.
            with_lists: whether base status lists are taken in.

        Raises:
            HutongError: the hub refuses or cannot be reached.
        """
        call = self._registry.MakePack(
            registry_service_pb2.MakePackRequest(
                prefixes=prefixes,
                after_sequence=after,
                max_bytes=max_bytes,
                status_lists=with_lists,
            ),
            metadata=await self._metadata(),
            timeout=PACK_SECONDS,
        )
        try:
            async for response in call:
                yield response.chunk
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None

    async def status(self) -> dict[str, Any]:
        """Say whether the hub serves, how far its feed is and who takes part.

        Raises:
            HutongError: the hub refuses or cannot be reached.
        """
        health = await call(
            health_pb2_grpc.HealthStub(self._channel).Check(
                health_pb2.HealthCheckRequest(service="hutong.v1.ExchangeService"),
                timeout=CALL_SECONDS,
            )
        )
        hub, sequence = await self._feed_state()
        counts: dict[str, dict[str, int]] = {}
        async for member in self.members():
            states = counts.setdefault(member.kind, {})
            states[member.state] = states.get(member.state, 0) + 1
        return {
            "hub": hub,
            "serving": health.status == health_pb2.HealthCheckResponse.SERVING,
            "sequence": sequence,
            "members": counts,
            "keys": await self._own_keys(hub),
            "hubs": await self._other_hubs(hub),
        }

    async def _own_keys(self, hub: str) -> list[dict[str, Any]]:
        """Say which of its own keys the hub uses now, and which are to come."""
        try:
            said = await call(
                self._registry.GetStanding(
                    registry_service_pb2.GetStandingRequest(urn=hub),
                    metadata=await self._metadata(),
                    timeout=CALL_SECONDS,
                )
            )
        except HutongError as error:
            if error.code != "NOT_FOUND":  # a hub of before its keys changed
                raise
            return []
        return own_keys(said)

    async def _other_hubs(self, own: str) -> list[dict[str, Any]]:
        """Say whose feeds the hub passes on, and whether it reaches them now."""
        listed = await call(
            self._feed.ListHubs(feed_service_pb2.ListHubsRequest(), timeout=CALL_SECONDS)
        )
        now = datetime.now(UTC)
        return [
            {
                "hub": feed.hub,
                "superior": feed.superior,
                "connected": feed.connected,
                "sequence": feed.sequence,
                "age_seconds": (
                    max(0, int((now - feed.as_of.ToDatetime(UTC)).total_seconds()))
                    if feed.HasField("as_of")
                    else None
                ),
            }
            for feed in listed.feeds
            if feed.hub != own
        ]

    async def _feed_state(self) -> tuple[str, int]:
        """Read a manifest; only to show it, so its signature is not checked."""
        call = self._feed.Snapshot(feed_service_pb2.SnapshotRequest(), timeout=CALL_SECONDS)
        try:
            first = await call.read()
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
        finally:
            call.cancel()
        if not isinstance(first, feed_service_pb2.SnapshotResponse):
            raise HubSetupError("the hub sent an empty snapshot")
        try:
            parts = jws.take_apart(first.manifest, typ=MANIFEST_TYPE, max_bytes=MAX_MARK_BYTES)
            claims = parts.claims()
            return str(claims["iss"]), int(claims["seq"])
        except (jws.MalformedError, KeyError, TypeError, ValueError):
            raise HubSetupError("the hub sent a malformed snapshot") from None

    async def _metadata(self) -> Sequence[tuple[str, str]]:
        return (("authorization", f"Bearer {await self._tokens.token(_SCOPE)}"),)


async def call(calling: Awaitable[T]) -> T:
    """Await a call; a refusal becomes an error of ours."""
    try:
        return await calling
    except grpc.aio.AioRpcError as error:
        raise failure_from_rpc_error(error) from None


def member_view(member: registry_service_pb2.Member) -> MemberView:
    """Read a member."""
    return MemberView(
        urn=member.urn,
        kind=_name_of(registry_service_pb2.MemberKind.items(), member.kind, "MEMBER_KIND_"),
        state=_name_of(registry_service_pb2.MemberState.items(), member.state, "MEMBER_STATE_"),
        display_name=member.display_name,
        prefixes=tuple(member.prefixes),
        endpoint=member.endpoint,
        key_ids=tuple(member.key_ids),
        changed_at=member.changed_at.ToDatetime(tzinfo=UTC),
        approved_by=tuple(member.approved_by),
        approvals_needed=member.approvals_needed,
        report_digest=member.report_digest,
        report_passed=member.report_passed,
        report_failed=member.report_failed,
        allowance=_allowance_view(member.allowance) if member.HasField("allowance") else None,
    )


def _allowance_view(allowance: registry_service_pb2.Allowance) -> AllowanceView:
    return AllowanceView(
        kinds=tuple(allowance.kinds),
        max_attestation_seconds=allowance.max_attestation_seconds,
        path_length=allowance.path_length,
        only_here=allowance.only_here,
    )


def _name_of(items: Iterable[tuple[str, int]], number: int, prefix: str) -> str:
    """A name of the schema; of what a newer hub added, its number."""
    names = {value: name for name, value in items}
    return names.get(number, f"{prefix}{number}").removeprefix(prefix)
