from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation.keys import generate_signing_key, public_jwk, signing_key_to_jwk
from gateway.trust.anchor import MAX_ANCHOR_BYTES, make_anchor, parse_anchor
from gateway.trust.errors import AnchorError, TrustLookupError

HUB = "urn:hutong:hub:000000"
FEED = generate_signing_key()
NEXT = generate_signing_key("Ed25519")
TOKEN = generate_signing_key()
ANCHOR = make_anchor(HUB, feed_keys=[FEED, NEXT], token_keys=[TOKEN])


def file(**changes: Any) -> bytes:
    members: dict[str, Any] = json.loads(ANCHOR.to_bytes()) | changes
    return json.dumps({k: v for k, v in members.items() if v is not ...}).encode()


def test_an_anchor_reads_back() -> None:
    assert parse_anchor(ANCHOR.to_bytes()) == ANCHOR


def test_keys_are_found_by_use_and_id() -> None:
    assert ANCHOR.feed_key(NEXT.key_id).algorithm == "Ed25519"
    assert ANCHOR.token_key(TOKEN.key_id).issuer == HUB
    with pytest.raises(TrustLookupError):
        ANCHOR.feed_key(TOKEN.key_id)
    with pytest.raises(TrustLookupError):
        ANCHOR.token_key(FEED.key_id)


def test_the_key_set_for_tokens_holds_token_keys_alone() -> None:
    assert [jwk["kid"] for jwk in ANCHOR.token_jwks()["keys"]] == [TOKEN.key_id]


FEED_ITEM = {"use": "feed", "jwk": public_jwk(FEED)}
REFUSED: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{",
    "a list": b"[]",
    "a doubled member": file()[:-1] + b',"hub":"urn:hutong:hub:000000"}',
    "no hub": file(hub=...),
    "a region as hub": file(hub="urn:hutong:region:330100"),
    "no keys": file(keys=[]),
    "no feed key": file(keys=[{"use": "token", "jwk": public_jwk(TOKEN)}]),
    "a key twice": file(keys=[FEED_ITEM, FEED_ITEM]),
    "a key for two uses": file(keys=[FEED_ITEM, {"use": "token", "jwk": public_jwk(FEED)}]),
    "a private key": file(keys=[{"use": "feed", "jwk": signing_key_to_jwk(FEED)}]),
    "kid of another": file(keys=[{"use": "feed", "jwk": public_jwk(FEED) | {"kid": TOKEN.key_id}}]),
    "an unknown use": file(keys=[{"use": "tls", "jwk": public_jwk(FEED)}]),
    "an unknown member": file(valid_until=5),
    "too many keys": file(keys=[FEED_ITEM] * 33),
    "too large": b" " * (MAX_ANCHOR_BYTES + 1),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_anchor_is_refused(data: bytes) -> None:
    with pytest.raises(AnchorError) as caught:
        parse_anchor(data)
    assert caught.value.code == "ANCHOR_INVALID"


@given(
    st.binary(max_size=300)
    | st.just(ANCHOR.to_bytes()).flatmap(
        lambda data: st.integers(0, len(data)).map(lambda cut: data[:cut])
    )
)
def test_any_bytes_are_an_anchor_or_refused(data: bytes) -> None:
    try:
        parse_anchor(data)
    except AnchorError:
        pass
    else:
        assert json.loads(data) == json.loads(ANCHOR.to_bytes())
