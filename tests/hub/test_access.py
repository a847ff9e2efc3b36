from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.hub.access import (
    AccessControl,
    GrantMinter,
    bearer_token,
    hub_verification_key,
)
from gateway.trust import jws
from gateway.wire.errors import RpcFailure
from gateway.wire.hub_tokens import ACCESS_TOKEN_TYPE, GRANT_TYPE
from tests.hub.exchange_world import GATE, HANGZHOU, HUB, START, ZHEJIANG, Clock, Directory, gate

NOW = int(START.timestamp())


class World:
    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.directory = Directory()
        self.directory.callers[GATE] = gate()
        self.key = generate_signing_key()
        self.access = AccessControl(
            HUB,
            [hub_verification_key(self.key, HUB)],
            self.directory,
            clock=self.clock,
            **settings,
        )

    def token(
        self, *, key: SigningKey | None = None, typ: str = ACCESS_TOKEN_TYPE, **changes: Any
    ) -> str:
        claims: dict[str, Any] = {
            "iss": HUB,
            "aud": HUB,
            "sub": GATE,
            "client_id": GATE,
            "scope": "exchange.query registry.read",
            "iat": NOW,
            "exp": NOW + 600,
            "jti": "synthetic",
        }
        claims |= changes
        kept = {name: value for name, value in claims.items() if value is not ...}
        return jws.sign(kept, key or self.key, typ=typ)


def refused(world: World, token: str) -> str:
    with pytest.raises(RpcFailure) as caught:
        world.access.authenticate(token)
    return caught.value.code


def test_a_token_of_the_hub_names_its_caller_and_scopes() -> None:
    world = World()
    access = world.access.authenticate(world.token())
    assert (access.caller, access.expires_at) == (GATE, NOW + 600)
    assert access.scopes == {"exchange.query", "registry.read"}


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "urn:hutong:hub:330000"},
        {"aud": "urn:hutong:hub:330000"},
        {"aud": [HUB]},
        {"sub": ...},
        {"sub": ""},
        {"sub": 5},
        {"client_id": "urn:hutong:checkpoint:440100:south-gate"},
        {"client_id": ...},
        {"scope": ...},
        {"scope": ["exchange.query"]},
        {"client_key": 5},
        {"iat": ...},
        {"iat": True},
        {"iat": NOW + 61},
        {"exp": ...},
        {"exp": float(NOW + 600)},
        {"exp": NOW},
        {"exp": NOW + 3601},
    ],
    ids=str,
)
def test_a_token_with_one_claim_that_does_not_hold_is_invalid(changes: dict[str, Any]) -> None:
    world = World()
    assert refused(world, world.token(**changes)) == "TOKEN_INVALID"


def test_a_token_of_a_foreign_key_is_invalid() -> None:
    world = World()
    assert refused(world, world.token(key=generate_signing_key())) == "TOKEN_INVALID"


@pytest.mark.parametrize("typ", ["JWT", "hutong-grant+jwt", "hutong-attestation+jwt"])
def test_a_token_of_another_type_is_invalid(typ: str) -> None:
    world = World()
    assert refused(world, world.token(typ=typ)) == "TOKEN_INVALID"


def test_a_token_with_another_signature_is_invalid() -> None:
    world = World()
    signed, other = world.token(), world.token(jti="another")
    head, _, _ = signed.rpartition(".")
    assert refused(world, f"{head}.{other.rpartition('.')[2]}") == "TOKEN_INVALID"


def test_a_token_that_is_too_long_is_invalid() -> None:
    world = World()
    assert refused(world, world.token(jti="x" * 4096)) == "TOKEN_INVALID"


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    assert refused(_WORLD, text) == "TOKEN_INVALID"


@given(st.data())
@settings(max_examples=60)
def test_a_token_with_one_character_changed_is_never_accepted_as_another(data: Any) -> None:
    token = _WORLD.token()
    at = data.draw(st.integers(0, len(token) - 1))
    new = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = token[:at] + new + token[at + 1 :]
    if changed != token:
        assert refused(_WORLD, changed) == "TOKEN_INVALID"


_WORLD = World()


def test_expiry_is_checked_on_every_call_even_when_the_verification_is_cached() -> None:
    world = World()
    token = world.token()
    world.access.authenticate(token)
    world.clock.advance(599)
    world.access.authenticate(token)
    world.clock.advance(1)
    assert refused(world, token) == "TOKEN_EXPIRED"


def test_the_cache_is_bounded_and_forgets_the_oldest() -> None:
    world = World(max_cached=2)
    for number in range(5):
        world.access.authenticate(world.token(jti=str(number)))
    assert len(world.access._tokens._cache) == 2


def test_an_inactive_or_vanished_member_is_refused_whatever_its_token_says() -> None:
    world = World()
    access = world.access.authenticate(world.token())
    assert world.access.authorise(access, "exchange.query").urn == GATE
    world.directory.suspend_caller(GATE)
    for change in (lambda: None, world.directory.callers.clear):
        change()
        with pytest.raises(RpcFailure) as caught:
            world.access.authorise(access, "exchange.query")
        assert caught.value.code == "CALLER_SUSPENDED"


def test_a_token_ends_with_the_key_that_fetched_it() -> None:
    world = World()
    before, after = world.token(client_key="first"), world.token(client_key="second")
    access = world.access.authenticate(before)
    world.directory.callers[GATE] = gate(client_keys=frozenset({"first", "second"}))
    assert world.access.authorise(access, "exchange.query").urn == GATE
    world.directory.callers[GATE] = gate(client_keys=frozenset({"second"}))
    for token in (before, world.token()):
        with pytest.raises(RpcFailure) as caught:
            world.access.authorise(world.access.authenticate(token), "exchange.query")
        assert caught.value.code == "TOKEN_INVALID"
    world.access.authorise(world.access.authenticate(after), "exchange.query")


@pytest.mark.parametrize("scope", ["registry.read", "exchange", "exchange.query2"])
def test_both_the_token_and_the_member_need_the_scope(scope: str) -> None:
    world = World()
    access = world.access.authenticate(world.token())
    with pytest.raises(RpcFailure) as caught:
        world.access.authorise(access, scope)
    assert caught.value.code == "SCOPE_MISSING"


class Context:
    def __init__(self, *entries: tuple[str, str | bytes]) -> None:
        self._entries = entries

    def invocation_metadata(self) -> Any:
        return self._entries


def test_the_bearer_token_is_read_from_exactly_one_entry() -> None:
    context: Any = Context(("user-agent", "x"), ("authorization", "Bearer abc"))
    assert bearer_token(context) == "abc"
    for entries in (
        (),
        (("authorization", "Basic abc"),),
        (("authorization", "abc"),),
        (("authorization", b"Bearer abc"),),
        (("authorization", "Bearer abc"), ("authorization", "Bearer abc")),
    ):
        broken: Any = Context(*entries)
        with pytest.raises(RpcFailure) as caught:
            bearer_token(broken)
        assert caught.value.code == "TOKEN_MISSING"


def test_a_grant_tells_one_adapter_who_asks() -> None:
    world = World()
    minter = GrantMinter(HUB, world.key, clock=world.clock)
    grant = minter.grant(gate(), HANGZHOU)
    parts = jws.take_apart(grant.text, typ=GRANT_TYPE, max_bytes=4096)
    parts.check_signature(hub_verification_key(world.key, HUB))
    claims = parts.claims()
    jti = claims.pop("jti")
    assert len(jti) >= 16
    assert claims == {
        "iss": HUB,
        "aud": HANGZHOU,
        "sub": GATE,
        "region": "440100",
        "scope": "exchange.query",
        "purposes": ["CHECKPOINT"],
        "iat": NOW,
        "exp": NOW + 600,
    }


def test_a_grant_is_kept_until_four_fifths_of_its_life() -> None:
    world = World()
    minter = GrantMinter(HUB, world.key, clock=world.clock)
    first = minter.grant(gate(), HANGZHOU)
    world.clock.advance(479)
    assert minter.grant(gate(), HANGZHOU) is first
    world.clock.advance(1)
    assert minter.grant(gate(), HANGZHOU).text != first.text


def test_a_grant_is_minted_anew_for_another_adapter_and_for_a_changed_member() -> None:
    world = World()
    minter = GrantMinter(HUB, world.key, clock=world.clock)
    first = minter.grant(gate(), HANGZHOU)
    assert minter.grant(gate(), ZHEJIANG).text != first.text
    changed = replace(gate(), purposes=frozenset({"VENUE"}))
    assert minter.grant(changed, HANGZHOU).text != first.text


def test_no_message_repeats_the_token() -> None:
    world = World()
    token = world.token(key=generate_signing_key())
    with pytest.raises(RpcFailure) as caught:
        world.access.authenticate(token)
    assert token[:20] not in repr(caught.value)
    assert caught.value.__cause__ is None
