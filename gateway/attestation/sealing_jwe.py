"""The JWE half of sealing: RFC 7516 compact serialisation by jwcrypto.

Only two shapes exist: ``ECDH-ES`` + ``A256GCM`` to a P-256 key, and ``dir`` +
``A256GCM`` under a reply key; ``typ`` says what is inside. The reader takes exactly
the header members of the shape, each with the one value it must have, before any key
is touched: so no compression, no ``crit``, no key URLs, no other algorithm. ``epk``
must be a bare point. Everything else, and every failure below, is one ``SealingError``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from jwcrypto import jwe, jwk
from jwcrypto.common import JWException

from gateway.attestation import base64url, strict_json
from gateway.attestation.errors import KeyMaterialError, SealingError
from gateway.attestation.jwk import check_members, p256_point

if TYPE_CHECKING:
    from gateway.attestation.sealing_keys import SealingKey, SealingPublicKey

_ENC: Final = "A256GCM"
_ALGORITHMS: Final = ("ECDH-ES", "dir", _ENC)
_SEGMENTS: Final = 5
# The longest honest header holds three URN-sized parties and a point.
_MAX_HEADER_BYTES: Final = 4096
_EPK_MEMBERS: Final = frozenset({"kty", "crv", "x", "y"})


def seal_to_key(
    public: SealingPublicKey, plaintext: bytes, typ: str, apu: bytes, apv: bytes
) -> bytes:
    """Seals to a P-256 key; the library makes the ephemeral key and the nonce."""
    header = {**_key_header(public.key_id, typ), **_parties(apu, apv)}
    return _seal(plaintext, header, public.native)


def open_with_key(private: SealingKey, envelope: bytes, typ: str, apu: bytes, apv: bytes) -> bytes:
    """Opens what ``seal_to_key`` made of this type for the same parties.

    Raises:
        SealingError: it does not open.
    """
    header = _read_header(envelope)
    epk = header.pop("epk", None)
    if not isinstance(epk, dict) or header != {
        **_key_header(private.key_id, typ),
        **_parties(apu, apv),
    }:
        raise _unreadable()
    try:
        check_members(epk, _EPK_MEMBERS)
        if epk.get("kty") != "EC" or epk.get("crv") != "P-256" or len(epk) != len(_EPK_MEMBERS):
            raise _unreadable()
        p256_point(epk)
    except KeyMaterialError:
        raise _unreadable() from None
    return _open(envelope, private.native)


def seal_direct(reply_key: bytes, plaintext: bytes, typ: str, apu: bytes, apv: bytes) -> bytes:
    """Seals under a symmetric key of 32 bytes."""
    return _seal(plaintext, {**_direct_header(typ), **_parties(apu, apv)}, _symmetric(reply_key))


def open_direct(reply_key: bytes, envelope: bytes, typ: str, apu: bytes, apv: bytes) -> bytes:
    """Opens what ``seal_direct`` made of this type for the same parties.

    Raises:
        SealingError: it does not open.
    """
    if _read_header(envelope) != {**_direct_header(typ), **_parties(apu, apv)}:
        raise _unreadable()
    return _open(envelope, _symmetric(reply_key))


def _direct_header(typ: str) -> dict[str, str]:
    return {"alg": "dir", "enc": _ENC, "typ": typ}


def _key_header(key_id: str, typ: str) -> dict[str, str]:
    return {"alg": "ECDH-ES", "enc": _ENC, "kid": key_id, "typ": typ}


def _parties(apu: bytes, apv: bytes) -> dict[str, str]:
    return {"apu": base64url.encode(apu), "apv": base64url.encode(apv)}


def _symmetric(key: bytes) -> Any:
    return jwk.JWK(kty="oct", k=base64url.encode(key))


def _seal(plaintext: bytes, header: dict[str, str], key: Any) -> bytes:
    token = jwe.JWE(plaintext, json.dumps(header), recipient=key, algs=list(_ALGORITHMS))
    text: str = token.serialize(compact=True)
    return text.encode()


def _read_header(envelope: bytes) -> dict[str, Any]:
    """Reads the protected header of five canonical segments, the second empty."""
    segments = envelope.split(b".", _SEGMENTS)
    if len(segments) != _SEGMENTS or segments[1] or len(segments[0]) > _MAX_HEADER_BYTES:
        raise _unreadable()
    try:
        raw, *_ = [base64url.decode(segment) for segment in segments]
        header = strict_json.loads(raw)
    except ValueError:
        raise _unreadable() from None
    if not isinstance(header, dict):
        raise _unreadable()
    return header


def _open(envelope: bytes, key: Any) -> bytes:
    token = jwe.JWE(algs=list(_ALGORITHMS))
    try:
        token.deserialize(envelope.decode("ascii"), key)
    except (JWException, ValueError, TypeError, KeyError):
        raise _unreadable() from None
    plaintext: bytes = token.payload
    return plaintext


def _unreadable() -> SealingError:
    return SealingError("the envelope does not open")
