"""Compact JWS as statements and the feed use it (RFC 7515 §7.1), read strictly.

Signatures are made and checked by the functions that do so for attestations: a key may
stand elsewhere, and a feed of thousands is read at every start (docs/adr/0016). Around
that stands what a general library does not do (docs/adr/0003):

* the header is exactly ``alg``, ``kid`` and ``typ``, each text, with the
  expected ``typ`` and one of the two algorithms of the profile;
* the three segments are canonical base64url, within a size limit;
* the payload is one JSON object without duplicate members, ``NaN``, or text that
  is not Unicode;
* the algorithm is the one of the key, never the one the token asks for.

Of the two spellings ``(r, s)`` and ``(r, n - s)`` of an ES256 signature the lower is
written; both are read, because not every signer knows the rule (docs/adr/0016).

Errors are the two of this module; callers turn them into their own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation import base64url, strict_json
from gateway.attestation.errors import AttestationError
from gateway.attestation.jwk import KEY_ID_LENGTH
from gateway.attestation.keys import ALGORITHMS
from gateway.attestation.signature import check_signature
from gateway.attestation.signing import low_s, other_s, sign_bytes

if TYPE_CHECKING:
    from gateway.attestation.keys import (
        Algorithm,
        SigningKey,
        VerificationKey,
    )

MAX_HEADER_BYTES: Final = 256
"""Encoded; the three members with their longest values take about 180."""
SIGNATURE_BYTES: Final = 64
"""Of ES256 (RFC 7518 §3.4) and of Ed25519 (RFC 8032 §5.1.6) alike."""

_HEADER_MEMBERS: Final = {"alg", "kid", "typ"}
_SEGMENTS: Final = 3
# The few signers of a feed use the same header for every token.
_HEADERS_KEPT: Final = 1024


class MalformedError(Exception):
    """The bytes are not a token of this profile."""


class SignatureError(Exception):
    """The signature is not one of this key over this token."""


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A token taken apart; nothing in it is verified yet.

    Attributes:
        algorithm: as the header names it.
        key_id: as the header names it.
        payload: decoded, not parsed.
    """

    algorithm: str
    key_id: str
    payload: bytes = field(repr=False)
    _signing_input: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    def claims(self) -> dict[str, Any]:
        """Parses the payload.

        Raises:
            MalformedError: not one JSON object as the module's contract says.
        """
        return read_json_object(self.payload)

    def check_signature(self, key: VerificationKey) -> None:
        """Verifies the signature under the key's own algorithm.

        Raises:
            SignatureError: another key, another algorithm, or no signature of it.
        """
        if key.key_id != self.key_id or key.algorithm != self.algorithm:
            raise SignatureError("the token names another key or algorithm")
        try:
            check_signature(key, self._signature, self._signing_input)
        except AttestationError:
            raise SignatureError("the signature does not verify") from None


def take_apart(token: str, *, typ: str, max_bytes: int) -> CompactJws:
    """Splits a token and checks everything that needs no key.

    Args:
        token: the compact serialisation.
        typ: the only ``typ`` to accept.
        max_bytes: longest token to accept, inclusive.

    Raises:
        MalformedError: see the module's contract.
    """
    if len(token) > max_bytes:
        raise MalformedError(f"longer than {max_bytes} bytes")
    try:
        segments = token.encode("ascii").split(b".")
    except UnicodeEncodeError:
        raise MalformedError("a character outside ASCII") from None
    if len(segments) != _SEGMENTS:
        raise MalformedError("not three segments")
    header, payload, signature = segments
    if len(header) > MAX_HEADER_BYTES:
        raise MalformedError(f"a header longer than {MAX_HEADER_BYTES} bytes")
    algorithm, key_id, named_typ = _read_header(header)
    if named_typ != typ:
        raise MalformedError("typ is not the expected one")
    raw_signature = _decode(signature)
    if len(raw_signature) != SIGNATURE_BYTES:
        raise MalformedError(f"the signature is not {SIGNATURE_BYTES} bytes")
    return CompactJws(algorithm, key_id, _decode(payload), header + b"." + payload, raw_signature)


def sign(claims: dict[str, Any], key: SigningKey, *, typ: str) -> str:
    """Signs an object as a compact JWS with exactly the three header members."""
    header = {"alg": key.algorithm, "kid": key.key_id, "typ": typ}
    signing_input = f"{_encode_json(header)}.{_encode_json(claims)}".encode()
    signature = sign_bytes(signing_input, key)
    if key.algorithm == "ES256":
        signature = low_s(signature)
    return f"{signing_input.decode()}.{base64url.encode(signature)}"


def twin(token: str) -> str | None:
    """Returns the other spelling of an ES256 token, which verifies just as well.

    Args:
        token: one that verified.

    Returns:
        None for Ed25519, whose signatures have one spelling.
    """
    signing_input, _, signature = token.rpartition(".")
    header, _, _ = signing_input.partition(".")
    if _read_header(header.encode("ascii"))[0] != "ES256":
        return None
    other = other_s(base64url.decode(signature.encode("ascii")))
    return f"{signing_input}.{base64url.encode(other)}"


def digest(token: str) -> str:
    """Returns the base64url SHA-256 of a token's bytes, 43 characters."""
    return base64url.encode(hashlib.sha256(token.encode()).digest())


def read_json_object(data: bytes) -> dict[str, Any]:
    """Parses JSON that has one reading (``gateway.attestation.strict_json``).

    Raises:
        MalformedError: anything else, or something other than an object.
    """
    try:
        value = strict_json.loads(data)
        if b"\\u" in data:
            # An escape may spell half of a surrogate pair, which is no text.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        # UnicodeError and JSONDecodeError are ValueErrors.
        raise MalformedError("not JSON with one reading") from None
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    return value


def _encode_json(value: dict[str, Any]) -> str:
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    )
    return base64url.encode(text.encode("utf-8"))


@lru_cache(_HEADERS_KEPT)
def _read_header(segment: bytes) -> tuple[Algorithm, str, str]:
    members = read_json_object(_decode(segment))
    if set(members) != _HEADER_MEMBERS or not all(isinstance(v, str) for v in members.values()):
        raise MalformedError("the header is not exactly alg, kid and typ")
    algorithm: Algorithm = members["alg"]
    if algorithm not in ALGORITHMS:
        raise MalformedError("an algorithm outside the profile")
    key_id: str = members["kid"]
    if len(key_id) != KEY_ID_LENGTH or not key_id.isascii():
        raise MalformedError("kid is not a thumbprint")
    _decode(key_id.encode("ascii"))
    return algorithm, key_id, members["typ"]


def _decode(segment: bytes) -> bytes:
    try:
        return base64url.decode(segment)
    except ValueError:
        raise MalformedError("a segment is not canonical base64url") from None
