"""Grants of other hubs: who they speak for, and where they have been."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.hub.access import GrantMinter, hub_verification_key
from gateway.hub.delegation import GrantReader
from gateway.hub.directory import CallerKind, CallerRecord
from gateway.trust import jws
from gateway.wire.errors import RpcFailure
from gateway.wire.hub_tokens import GRANT_TYPE

NATION, ZHEJIANG, GUANGDONG = (f"urn:hutong:hub:{code}" for code in ("000000", "330000", "440000"))
GATE = "urn:hutong:checkpoint:440100:north-gate"
NOW = datetime(2020, 4, 8, 8, 0, tzinfo=UTC)
HANGZHOU = "urn:hutong:region:330100"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@cache
def key() -> SigningKey:
    return generate_signing_key()


@cache
def keys() -> dict[str, Any]:
    return {key().key_id: hub_verification_key(key(), GUANGDONG)}


def gate(**changes: Any) -> CallerRecord:
    said = {
        "urn": GATE,
        "kind": CallerKind.CHECKPOINT,
        "region": "440100",
        "scopes": frozenset({"exchange.query"}),
        "purposes": frozenset({"CHECKPOINT"}),
        "active": True,
    }
    return CallerRecord(**(said | changes))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(NOW.timestamp())
    said = {
        "iss": GUANGDONG,
        "aud": NATION,
        "sub": GATE,
        "region": "440100",
        "scope": "exchange.query",
        "purposes": ["CHECKPOINT"],
        "iat": now,
        "exp": now + 600,
        "jti": "synthetic",
        "via": [GUANGDONG],
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


def read(
    token: str, clock: Clock | None = None, prefixes: tuple[str, ...] = ("44",)
) -> CallerRecord:
    reader = GrantReader(NATION, clock=clock or Clock())
    return reader.read(token, signer=GUANGDONG, keys=keys(), prefixes=prefixes)


def test_a_grant_for_the_next_hub_says_who_asks_and_where_it_has_been() -> None:
    clock = Clock()
    minted = GrantMinter(GUANGDONG, key(), clock=clock).grant(gate(), NATION)
    caller = read(minted.text)
    assert (caller.urn, caller.region, caller.via) == (GATE, "440100", (GUANGDONG,))
    assert caller.purposes == {"CHECKPOINT"}
    assert caller.accounted_as == GUANGDONG
    # The next one names both and ends with the first.
    clock.now += timedelta(minutes=5)
    onward = GrantMinter(NATION, key(), clock=clock).grant(caller, ZHEJIANG)
    parts = jws.take_apart(onward.text, typ=GRANT_TYPE, max_bytes=4096).claims()
    assert parts["via"] == [GUANGDONG, NATION]
    assert parts["exp"] == int(NOW.timestamp()) + 600
    assert parts["sub"] == GATE


def test_an_adapter_of_the_own_hub_learns_of_no_way() -> None:
    minted = GrantMinter(GUANGDONG, key(), clock=Clock()).grant(gate(), HANGZHOU)
    assert "via" not in jws.take_apart(minted.text, typ=GRANT_TYPE, max_bytes=4096).claims()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"via": [NATION, GUANGDONG]}, "ROUTE_LOOP"),
        ({"via": None}, "TOKEN_INVALID"),
        ({"via": []}, "TOKEN_INVALID"),
        ({"via": [GUANGDONG, ZHEJIANG]}, "TOKEN_INVALID"),
        ({"via": [ZHEJIANG, ZHEJIANG, GUANGDONG]}, "TOKEN_INVALID"),
        ({"via": [f"urn:hutong:hub:{n:06}" for n in range(10, 26)] + [GUANGDONG]}, "TOKEN_INVALID"),
        ({"via": ["urn:hutong:region:440100", GUANGDONG]}, "TOKEN_INVALID"),
        ({"region": "330100"}, "TOKEN_INVALID"),
        ({"sub": HANGZHOU, "region": "330100"}, "AUDIENCE_NOT_ALLOWED"),
        ({"sub": "urn:hutong:operator:first"}, "TOKEN_INVALID"),
        ({"aud": ZHEJIANG}, "TOKEN_INVALID"),
        ({"iss": ZHEJIANG}, "TOKEN_INVALID"),
        ({"scope": "registry.read"}, "SCOPE_MISSING"),
    ],
)
def test_a_grant_that_its_hub_may_not_give_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(RpcFailure) as refused:
        read(jws.sign(claims(**changes), key(), typ=GRANT_TYPE))
    assert refused.value.code == code


def test_a_grant_ends() -> None:
    clock = Clock()
    token = jws.sign(claims(), key(), typ=GRANT_TYPE)
    clock.now += timedelta(seconds=600)
    with pytest.raises(RpcFailure) as refused:
        read(token, clock)
    assert refused.value.code == "TOKEN_EXPIRED"
