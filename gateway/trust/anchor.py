"""The trust anchor: which hub a party trusts, and by which keys it knows it.

A small JSON file that an operator hands over by a channel of its own::

    {"hub": "urn:hutong:hub:000000",
     "keys": [{"use": "feed", "jwk": {…}}, {"use": "token", "jwk": {…}}]}

``feed`` keys sign entries, heads and manifests; ``token`` keys sign access tokens
and caller grants. A hub changes both in its feed, so that an old file is as good as a new
one (``hub_keys``); one that is handed over later names the set that it holds, and the
times of its keys::

    {"hub": …, "number": 2, "keys": [{"use": …, "jwk": …, "not_before": …, "not_after": …}]}

Everything else that a party trusts follows from the feed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.keys import public_jwk, verification_key_from_jwk
from gateway.trust import jws, names
from gateway.trust.errors import AnchorError, Missing, TrustLookupError
from gateway.trust.keys import KeyUse
from gateway.trust.times import Seconds, from_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.attestation.keys import SigningKey, VerificationKey
    from gateway.trust.keys import MemberKey

MAX_ANCHOR_BYTES: Final = 65_536
"""Dozens of keys fit."""
MAX_ANCHOR_KEYS: Final = 64
"""As a set of a hub's keys (``keys.MAX_KEYS``)."""


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
        number: which set of the hub's keys this is; 0: the first that was handed over.
        is_bound: the keys are those that a neighbour's feed names, so that a set in the
            hub's own feed adds no feed key.
    """

    hub: str
    feed_keys: Mapping[str, VerificationKey] = field(repr=False)
    token_keys: Mapping[str, VerificationKey] = field(default_factory=dict, repr=False)
    number: int = 0
    is_bound: bool = False

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
        """Returns the token keys as a JWK Set (RFC 7517 §5), those to come among them."""
        return {"keys": [public_jwk(key) for key in self.token_keys.values()]}

    def times(self) -> frozenset[tuple[str, int, int]]:
        """Returns the feed keys with their first and last seconds: what changes a reading."""
        return frozenset(
            (key.key_id, key.first_second, key.end_second) for key in self.feed_keys.values()
        )

    def to_bytes(self) -> bytes:
        """Returns the file."""
        keys = [
            {"use": use.value, "jwk": public_jwk(key), **_times(key)}
            for use, held in (
                (HubKeyUse.FEED, self.feed_keys),
                (HubKeyUse.TOKEN, self.token_keys),
            )
            for key in held.values()
        ]
        number = {"number": self.number} if self.number else {}
        return (json.dumps({"hub": self.hub, **number, "keys": keys}, indent=2) + "\n").encode()


class _AnchorKey(msgspec.Struct, forbid_unknown_fields=True):
    use: HubKeyUse
    jwk: dict[str, Any]
    not_before: Seconds = 0
    not_after: Seconds | None = None


class _Anchor(msgspec.Struct, forbid_unknown_fields=True):
    hub: str
    keys: list[_AnchorKey]
    number: Annotated[int, msgspec.Meta(ge=0)] = 0


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


def anchor_of(hub: str, keys: Iterable[MemberKey]) -> TrustAnchor:
    """Makes the anchor of a hub from its keys of uses ``feed`` and ``token``.

    Retired ones are in it, for what they signed; revoked ones are not, and a tainted
    one verifies only what it signed before.

    Raises:
        AnchorError: no feed key is left.
        KeyMaterialError: a key does not decode.
    """
    held: dict[KeyUse, dict[str, Any]] = {KeyUse.FEED: {}, KeyUse.TOKEN: {}}
    for key in keys:
        if key.use in held and key.revoked_at is None:
            held[key.use][key.key_id] = key.verification_key(issuer=hub)
    return TrustAnchor(hub, held[KeyUse.FEED], held[KeyUse.TOKEN])


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
        raise AnchorError(
            "the anchor has hub, keys and perhaps number, each key use, jwk and perhaps times"
        ) from None
    if len(read.keys) > MAX_ANCHOR_KEYS:
        raise AnchorError(f"the anchor holds more than {MAX_ANCHOR_KEYS} keys")
    held: dict[HubKeyUse, dict[str, VerificationKey]] = {use: {} for use in HubKeyUse}
    for item in read.keys:
        try:
            key = _bind(read.hub, item.jwk, item.not_before, item.not_after)
        except KeyMaterialError as error:
            raise AnchorError(f"a key of the anchor does not hold: {error}") from None
        if key.key_id in held[item.use]:
            raise AnchorError("a key stands twice; one key has one use")
        held[item.use][key.key_id] = key
    return TrustAnchor(read.hub, held[HubKeyUse.FEED], held[HubKeyUse.TOKEN], read.number)


def _bind(
    hub: str, jwk: Mapping[str, Any], since: int = 0, until: int | None = None
) -> VerificationKey:
    return verification_key_from_jwk(
        jwk,
        issuer=hub,
        prefixes=(),
        not_before=from_seconds(since),
        not_after=None if until is None else from_seconds(until),
    )


def _times(key: VerificationKey) -> dict[str, int]:
    times = {"not_before": key.first_second} if key.first_second else {}
    return times if key.not_after is None else times | {"not_after": key.end_second}


def _get(keys: Mapping[str, VerificationKey], key_id: str) -> VerificationKey:
    key = keys.get(key_id)
    if key is None:
        raise TrustLookupError("the anchor has no such key for this use", code=Missing.KEY_UNKNOWN)
    return key
