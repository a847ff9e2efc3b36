"""The trust anchor: which hub a party trusts, and by which keys it knows it.

A small JSON file that an operator hands over by a channel of its own::

    {"hub": "urn:hutong:hub:000000",
     "keys": [{"use": "feed", "jwk": {…}}, {"use": "token", "jwk": {…}}]}

``feed`` keys sign entries, heads and manifests; ``token`` keys sign access tokens
and caller grants. Several of one use stand side by side while the hub changes
them. Everything else that a party trusts follows from the feed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.keys import public_jwk, verification_key_from_jwk
from gateway.trust import jws, names
from gateway.trust.errors import AnchorError, Missing, TrustLookupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.attestation.keys import SigningKey, VerificationKey

MAX_ANCHOR_BYTES: Final = 65_536
"""Dozens of keys fit."""
MAX_ANCHOR_KEYS: Final = 32
"""Two uses, a few keys each while they change."""

# The anchor says nothing of time: its keys hold until the file is replaced.
_ALWAYS: Final = datetime.fromtimestamp(0, UTC)


class HubKeyUse(StrEnum):
    """What a key of a hub may be used for."""

    FEED = "feed"
    TOKEN = "token"  # noqa: S105 - a use, not a secret


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A hub and the keys by which it is known.

    Attributes:
        hub: URN of the hub.
        feed_keys: by key id; at least one.
        token_keys: by key id; may be empty where only the feed is read.
    """

    hub: str
    feed_keys: Mapping[str, VerificationKey] = field(repr=False)
    token_keys: Mapping[str, VerificationKey] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not names.is_hub_urn(self.hub):
            raise AnchorError("the anchor names a hub by its URN")
        if not self.feed_keys:
            raise AnchorError("the anchor holds at least one feed key")
        if self.feed_keys.keys() & self.token_keys.keys():
            raise AnchorError("a key stands twice; one key has one use")

    def feed_key(self, key_id: str) -> VerificationKey:
        """Returns a feed key of the hub.

        Raises:
            TrustLookupError: KEY_UNKNOWN.
        """
        return _get(self.feed_keys, key_id)

    def token_key(self, key_id: str) -> VerificationKey:
        """Returns a key that signs access tokens and caller grants.

        Raises:
            TrustLookupError: KEY_UNKNOWN.
        """
        return _get(self.token_keys, key_id)

    def token_jwks(self) -> dict[str, Any]:
        """Returns the token keys as a JWK Set (RFC 7517 §5)."""
        return {"keys": [public_jwk(key) for key in self.token_keys.values()]}

    def to_bytes(self) -> bytes:
        """Returns the file."""
        keys = [
            {"use": use.value, "jwk": public_jwk(key)}
            for use, held in (
                (HubKeyUse.FEED, self.feed_keys),
                (HubKeyUse.TOKEN, self.token_keys),
            )
            for key in held.values()
        ]
        return (json.dumps({"hub": self.hub, "keys": keys}, indent=2) + "\n").encode()


class _AnchorKey(msgspec.Struct, forbid_unknown_fields=True):
    use: HubKeyUse
    jwk: dict[str, Any]


class _Anchor(msgspec.Struct, forbid_unknown_fields=True):
    hub: str
    keys: list[_AnchorKey]


def make_anchor(
    hub: str, *, feed_keys: Iterable[SigningKey], token_keys: Iterable[SigningKey] = ()
) -> TrustAnchor:
    """Makes the anchor of a hub from its own keys; only their public halves enter.

    Raises:
        AnchorError: the result would not load.
    """
    return TrustAnchor(
        hub,
        {key.key_id: _bind(hub, public_jwk(key)) for key in feed_keys},
        {key.key_id: _bind(hub, public_jwk(key)) for key in token_keys},
    )


def parse_anchor(data: bytes) -> TrustAnchor:
    """Reads a trust anchor file.

    Raises:
        AnchorError: too large, malformed, without a feed key, or a key does not hold.
    """
    if len(data) > MAX_ANCHOR_BYTES:
        raise AnchorError(f"the anchor is longer than {MAX_ANCHOR_BYTES} bytes")
    try:
        read = msgspec.convert(jws.read_json_object(data), _Anchor)
    except jws.MalformedError as error:
        raise AnchorError(f"the anchor does not parse: {error}") from None
    except msgspec.ValidationError:
        raise AnchorError("the anchor has exactly hub and keys, each key use and jwk") from None
    if len(read.keys) > MAX_ANCHOR_KEYS:
        raise AnchorError(f"the anchor holds more than {MAX_ANCHOR_KEYS} keys")
    held: dict[HubKeyUse, dict[str, VerificationKey]] = {use: {} for use in HubKeyUse}
    for item in read.keys:
        try:
            key = _bind(read.hub, item.jwk)
        except KeyMaterialError as error:
            raise AnchorError(f"a key of the anchor does not hold: {error}") from None
        if key.key_id in held[item.use]:
            raise AnchorError("a key stands twice; one key has one use")
        held[item.use][key.key_id] = key
    return TrustAnchor(read.hub, held[HubKeyUse.FEED], held[HubKeyUse.TOKEN])


def _bind(hub: str, jwk: Mapping[str, Any]) -> VerificationKey:
    return verification_key_from_jwk(jwk, issuer=hub, prefixes=(), not_before=_ALWAYS)


def _get(keys: Mapping[str, VerificationKey], key_id: str) -> VerificationKey:
    key = keys.get(key_id)
    if key is None:
        raise TrustLookupError("the anchor has no such key for this use", code=Missing.KEY_UNKNOWN)
    return key
