"""Page tokens: bound to the caller and to the filter, worth nothing to anybody else."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from gateway.attestation import base64url
from gateway.hub.errors import RegistryError

_MAC_BYTES: Final = 32


class PageTokens:
    """Makes and reads page tokens.

    Args:
        secret: the same in every process of a hub.
        method: name of the list; a token of one list is none of another.
    """

    def __init__(self, secret: bytes, method: str) -> None:
        self._secret = secret
        self._method = method

    def make(self, place: str, caller: str, filter_: str) -> str:
        """Return the token of the page after a place."""
        return base64url.encode(self._mac(place, caller, filter_) + place.encode())

    def read(self, token: str, caller: str, filter_: str) -> str:
        """Return the place that a token continues after; empty for an empty token.

        Raises:
            RegistryError: PAGE_TOKEN_INVALID.
        """
        if not token:
            return ""
        try:
            data = base64url.decode(token.encode("ascii"))
            mac, place = data[:_MAC_BYTES], data[_MAC_BYTES:].decode("ascii")
        except ValueError:
            raise RegistryError("the page token is malformed", code="PAGE_TOKEN_INVALID") from None
        if not hmac.compare_digest(mac, self._mac(place, caller, filter_)):
            raise RegistryError("the page token is another caller's", code="PAGE_TOKEN_INVALID")
        return place

    def _mac(self, place: str, caller: str, filter_: str) -> bytes:
        parts = (self._method, place, caller, filter_)
        text = "".join(f"{len(part)}:{part}" for part in parts).encode()
        return hmac.digest(self._secret, text, hashlib.sha256)
