"""What the tests of living trust share: changes of keys, and a world with every part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway.attestation.sealing import open_question, public_sealing_jwk
from gateway.hub.readers import Readers
from gateway.hub.trust_parts import make_trust_parts
from gateway.trust import (
    KeyChange,
    KeyMove,
    KeyUse,
    StatementKind,
    key_proof,
    sealing_member_key,
    sign_statement,
    signing_member_key,
    statement_digest,
)
from gateway.wire.enrolment import MemberIdentity, challenge_binding
from tests.hub.hub_world import HUB, RegistryWorld, sealing_key, signing_key

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.hub.trust_parts import TrustParts
    from gateway.trust import MemberKey

LEAD = timedelta(seconds=60)


@dataclass
class TrustWorld:
    """A registry with everything on living trust, without servers."""

    world: RegistryWorld
    readers: Readers
    parts: TrustParts


def trust_world(world: RegistryWorld) -> TrustWorld:
    readers = Readers(world.clock)
    parts = make_trust_parts(world.registry, world.feed, world.store, readers)
    return TrustWorld(world, readers, parts)


def next_key(
    slot: str, use: KeyUse, now: datetime, *, life: timedelta | None = None
) -> tuple[SigningKey, MemberKey]:
    private = signing_key(slot)
    begin = now + LEAD
    end = None if life is None else begin + life
    return private, signing_member_key(private, use, not_before=begin, not_after=end)


def next_sealing_key(slot: str, now: datetime) -> MemberKey:
    return sealing_member_key(public_sealing_jwk(sealing_key(slot)), not_before=now + LEAD)


def move(key_id: str, at: datetime | None = None, reason: str = "synthetic") -> KeyMove:
    return KeyMove(key_id, at, reason)


def key_of(who: MemberIdentity, use: KeyUse) -> MemberKey:
    return next(key for key in who.body.keys if key.use is use)


def change_request(
    who: MemberIdentity, change: KeyChange, now: datetime, *proving: SigningKey
) -> tuple[str, list[str]]:
    """The signed change and a proof for each new signing key."""
    urn = who.body.urn
    token = sign_statement(StatementKind.KEYS, urn, change.to_body(), who.state_key, now=now)
    digest = statement_digest(token)
    return token, [key_proof(key, digest, issuer=urn, audience=HUB, now=now) for key in proving]


async def change_keys(
    world: RegistryWorld, who: MemberIdentity, change: KeyChange, *proving: SigningKey
) -> Any:
    token, proofs = change_request(who, change, world.clock(), *proving)
    return await world.registry.change_keys(who.body.urn, token, proofs)


def open_with(who: MemberIdentity, slot: str, changed: Any) -> dict[str, bytes]:
    binding = challenge_binding(who.body.urn, HUB)
    key = sealing_key(slot)
    return {item.key_id: open_question(key, item.envelope, binding) for item in changed.challenges}


def ending(who: MemberIdentity, not_after: datetime) -> MemberIdentity:
    """The same member, each of its keys with an end."""
    keys = tuple(replace(key, not_after=not_after) for key in who.body.keys)
    return replace(who, body=replace(who.body, keys=keys))
