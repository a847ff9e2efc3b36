"""Members, a registry and whole hubs for the tests of the hub. Everything is synthetic."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import aiohttp

from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.attestation.sealing import (
    Profile,
    SealingKey,
    generate_sealing_key,
    open_question,
    public_sealing_jwk,
)
from gateway.hub.admission import DocumentChecks
from gateway.hub.app import Hub, running_hub
from gateway.hub.feed_log import HubFeed
from gateway.hub.keys import HubKeys, load_signing_key
from gateway.hub.mirror import StoreMirror
from gateway.hub.registry import Registry
from gateway.hub.settings import HubSettings, load_settings
from gateway.hub.setup import HubPlan, make_hub
from gateway.recognition import load_policy
from gateway.trust import (
    EnrolmentBody,
    KeyUse,
    MemberKind,
    StatementKind,
    make_anchor,
    sealing_member_key,
    sign_statement,
    signing_member_key,
)
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import MemberIdentity, challenge_binding, enrol_request
from gateway.wire.token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    import grpc
    from hutong.v1 import registry_service_pb2

    from gateway.hub.registry_base import Constraint
    from gateway.store import Store

HUB = "urn:hutong:hub:000000"
HANGZHOU = "urn:hutong:region:330100"
ZHEJIANG = "urn:hutong:region:330000"
GUANGZHOU = "urn:hutong:region:440100"
GATE = "urn:hutong:checkpoint:440100:north-gate"
OPERATOR = "urn:hutong:operator:first"
START = datetime(2020, 4, 8, 8, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


# Key generation is the slow part of a member; ids stay distinct by the slot.
@cache
def signing_key(slot: str) -> SigningKey:
    return generate_signing_key()


@cache
def sealing_key(slot: str, profile: Profile = Profile.JWE) -> SealingKey:
    return generate_sealing_key(profile)


def region(
    urn: str = HANGZHOU,
    *,
    prefixes: Sequence[str] | None = None,
    slot: str | None = None,
    endpoint: str = "adapter.invalid:7500",
    tls_ca_pem: str | None = None,
    profile: Profile = Profile.JWE,
    not_before: datetime = START - timedelta(days=1),
) -> MemberIdentity:
    """A region with one key of each use; the same slot has the same keys."""
    slot = slot or urn
    state, attest, auth = (signing_key(f"{slot}/{use}") for use in ("state", "attest", "auth"))
    seal = sealing_key(f"{slot}/seal", profile)
    code = urn[-6:]
    body = EnrolmentBody(
        urn=urn,
        kind=MemberKind.REGION,
        name_zh="测试地区",
        name_en="Synthetic region",
        prefixes=tuple(prefixes or [code.removesuffix("00").removesuffix("00")]),
        endpoint=endpoint,
        tls_ca_pem=tls_ca_pem,
        keys=(
            signing_member_key(state, KeyUse.STATE, not_before=not_before),
            signing_member_key(attest, KeyUse.ATTEST, not_before=not_before),
            signing_member_key(auth, KeyUse.AUTHENTICATE, not_before=not_before),
            sealing_member_key(public_sealing_jwk(seal), not_before=not_before),
        ),
    )
    return MemberIdentity(body, state, (attest, auth), (seal,))


def checkpoint(
    urn: str = GATE,
    *,
    slot: str | None = None,
    not_before: datetime = START - timedelta(days=1),
    kind: MemberKind = MemberKind.CHECKPOINT,
) -> MemberIdentity:
    """A checkpoint, or with another kind an operator."""
    slot = slot or urn
    state, auth = signing_key(f"{slot}/state"), signing_key(f"{slot}/auth")
    body = EnrolmentBody(
        urn=urn,
        kind=kind,
        name_zh="",
        name_en="Synthetic gate",
        region=urn.split(":")[3] if kind is MemberKind.CHECKPOINT else None,
        keys=(
            signing_member_key(state, KeyUse.STATE, not_before=not_before),
            signing_member_key(auth, KeyUse.AUTHENTICATE, not_before=not_before),
        ),
    )
    return MemberIdentity(body, state, (auth,))


def operator(urn: str) -> MemberIdentity:
    return checkpoint(urn, kind=MemberKind.OPERATOR)


def scheme(code: str = "330100", family: str = "ex-jkm") -> dict[str, Any]:
    """The smallest scheme that loads."""
    moment = "2020-03-01T12:00:00+08:00"
    return {
        "hutong": "scheme/1",
        "family": family,
        "name": {"zh": "示例健康码", "en": "Example health code"},
        "authority": code,
        "prefixes": [code.removesuffix("00")],
        "timezone": "Asia/Shanghai",
        "sources": {"S1": {"grade": "A", "text": "synthetic"}},
        "versions": [
            {
                "id": "2020-02",
                "valid_from": "2020-02-11",
                "evidence": ["S1"],
                "states_seen": ["绿码"],
                "states": {"绿码": {"level": "GREEN", "meaning": {"zh": "通行", "en": "pass"}}},
                "several": "report_all",
            }
        ],
        "vectors": {
            "hutong": "vectors/1",
            "scheme": family,
            "vectors": [
                {
                    "name": "green",
                    "at": moment,
                    "reports": [
                        {
                            "state": "绿码",
                            "issued_by": code,
                            "assessed_at": moment,
                            "source_at": moment,
                        }
                    ],
                    "expect": {"level": "GREEN"},
                }
            ],
        },
    }


def policy(code: str = "330100") -> dict[str, Any]:
    """The smallest policy that loads."""
    return {
        "id": f"{code}@2020-04",
        "region": code,
        "name": {"zh": "示例政策", "en": "Example policy"},
        "valid_from": "2020-04-01",
        "ages": {"trust_hours": 24, "policy_hours": 72, "source_hours": 36},
        "rules": [
            {
                "id": "green",
                "when": {"level": ["GREEN"], "max_age_hours": 72},
                "verdict": "ADMIT",
                "reason": {"code": "GREEN_PASSES", "zh": "绿码通行", "en": "Green passes."},
                "choice": "synthetic",
            }
        ],
    }


def statement(
    who: MemberIdentity, kind: StatementKind, document: dict[str, Any], now: datetime = START
) -> str:
    return sign_statement(kind, who.body.urn, document, who.state_key, now=now)


@dataclass
class RegistryWorld:
    """A registry on a store, without servers."""

    store: Store
    registry: Registry
    mirror: StoreMirror
    feed: HubFeed
    clock: Clock
    keys: HubKeys

    async def enrol(self, who: MemberIdentity, **documents: Any) -> Any:
        request = enrol_request(who, hub_urn=HUB, now=self.clock(), **documents)
        return await self.registry.enrol(
            request.statement, request.key_proofs, request.schemes, request.policy
        )

    async def prove(self, who: MemberIdentity, enrolled: Any) -> Any:
        return await self.registry.prove(enrolled.enrolment_id, open_all(who, enrolled.challenges))

    async def pending(self, who: MemberIdentity, **documents: Any) -> Any:
        enrolled = await self.enrol(who, **documents)
        if enrolled.challenges:
            await self.prove(who, enrolled)
        return enrolled

    async def active(self, who: MemberIdentity, **documents: Any) -> Any:
        await self.pending(who, **documents)
        return await self.registry.approve(who.body.urn)


def open_all(who: MemberIdentity, challenges: Sequence[Any]) -> dict[str, bytes]:
    binding = challenge_binding(who.body.urn, HUB)
    keys = {key.key_id: key for key in who.sealing_keys}
    return {c.key_id: open_question(keys[c.key_id], c.envelope, binding) for c in challenges}


def registry_world(
    store: Store,
    clock: Clock | None = None,
    *,
    keys: HubKeys | None = None,
    retention_entries: int = 1000,
    watcher_queue: int = 16,
    stall_seconds: float = 5.0,
    check_policy: Callable[..., object] = load_policy,
    approvals_needed: int = 1,
    constraints: Mapping[str, Constraint] | None = None,
) -> RegistryWorld:
    clock = clock or Clock()
    keys = keys or HubKeys(feed=signing_key("hub/feed"), token=signing_key("hub/token"))
    feed = HubFeed(
        hub_urn=HUB,
        key=keys.feed,
        anchor=make_anchor(HUB, feed_keys=[keys.feed], token_keys=[keys.token]),
        clock=clock,
        watcher_queue=watcher_queue,
        stall_seconds=stall_seconds,
    )
    mirror = StoreMirror(store, feed, retention_entries=retention_entries)
    registry = Registry(
        hub_urn=HUB,
        store=store,
        mirror=mirror,
        checks=DocumentChecks(policy=check_policy),
        challenge_seconds=600,
        clock=clock,
        approvals_needed=approvals_needed,
        constraints=constraints,
    )
    return RegistryWorld(store, registry, mirror, feed, clock, keys)


@dataclass
class HubWorld:
    """A whole hub on loopback, with TLS."""

    directory: Path
    settings: HubSettings
    hub: Hub
    ca_pem: bytes
    clock: Callable[[], datetime]

    def channel(self) -> grpc.aio.Channel:
        return open_channel(f"localhost:{self.hub.grpc_port}", ca_pem=self.ca_pem)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.hub.http_port}"

    def tokens(self, urn: str, key: SigningKey) -> TokenClient:
        return TokenClient(f"{self.url}/oauth2/token", urn, key, self.ca_pem, self.clock)

    def operator_tokens(self) -> TokenClient:
        return self.tokens(OPERATOR, load_signing_key(self.directory / "operator/key.json"))

    async def metadata(self, tokens: TokenClient, scope: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {await tokens.token(scope)}"),)

    def session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cadata=self.ca_pem.decode())
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def make_directory(directory: Path, dsn: str | None, now: datetime) -> HubSettings:
    return await make_hub(
        HubPlan(
            directory=directory,
            urn=HUB,
            store=dsn,
            grpc=("127.0.0.1", 0),
            http=("127.0.0.1", 0),
            names=["localhost", "127.0.0.1"],
            operator="first",
            approvals=1,
        ),
        now=now,
    )


@asynccontextmanager
async def hub_world(
    directory: Path, *, dsn: str | None = None, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[HubWorld]:
    """Start a hub; TLS needs a clock near the real one, tokens take the given one."""
    clock = clock or (lambda: datetime.now(UTC))
    if not (directory / "hub.toml").exists():
        await make_directory(directory, dsn, datetime.now(UTC).replace(microsecond=0))
    settings = load_settings(directory)
    async with running_hub(settings, check_policy=load_policy, clock=clock) as hub:
        ca_pem = (directory / "tls/ca.pem").read_bytes()
        yield HubWorld(directory, settings, hub, ca_pem, clock)


def now_region(urn: str = HANGZHOU, **changes: Any) -> MemberIdentity:
    """A region whose keys are valid on the real clock."""
    return region(urn, not_before=datetime(2020, 1, 1, tzinfo=UTC), **changes)


def enrolment(
    who: MemberIdentity, now: datetime, **documents: Any
) -> registry_service_pb2.EnrolRequest:
    return enrol_request(who, hub_urn=HUB, now=now, **documents)
