"""The hub's private keys on disk, and what of them the world may know.

A private key is one JWK a file, readable by its owner only; a file that others
may read is refused, because then the key is not private. The feed key signs the
feed; the token key signs access tokens and grants. Their public halves stand in
the trust anchor, which every participant obtains out of band, and the token key
also in the JWKS of the HTTP door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.attestation.keys import (
    SigningKey,
    public_jwk,
    signing_key_from_jwk,
    signing_key_to_jwk,
)
from gateway.hub.errors import HubSetupError
from gateway.wire.files import refused_as
from gateway.wire.private_files import read_private_key, write_private_jwk

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.hub.settings import HubSettings


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The hub's private keys.

    Attributes:
        feed: signs entries, heads and manifests of the feed.
        token: signs access tokens and grants.
    """

    feed: SigningKey = field(repr=False)
    token: SigningKey = field(repr=False)

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify tokens (RFC 7517 §5)."""
        return {"keys": [public_jwk(self.token)]}

    def anchor(self, hub_urn: str) -> dict[str, Any]:
        """The trust anchor document."""
        return {
            "hub": hub_urn,
            "keys": [
                {"use": "feed", "jwk": public_jwk(self.feed)},
                {"use": "token", "jwk": public_jwk(self.token)},
            ],
        }


def load_hub_keys(settings: HubSettings) -> HubKeys:
    """Read both keys.

    Raises:
        HubSetupError: a file is missing, malformed or readable by others.
    """
    return HubKeys(
        feed=load_signing_key(settings.keys.feed), token=load_signing_key(settings.keys.token)
    )


def load_signing_key(path: Path) -> SigningKey:
    """Read one private JWK.

    Raises:
        HubSetupError: the file is missing, malformed or readable by others.
    """
    with refused_as(HubSetupError):
        return read_private_key(path, signing_key_from_jwk)


def save_signing_key(path: Path, key: SigningKey) -> None:
    """Write one private JWK to a new file that only its owner may read.

    Raises:
        HubSetupError: the file exists or cannot be written.
    """
    with refused_as(HubSetupError):
        write_private_jwk(path, signing_key_to_jwk(key))
