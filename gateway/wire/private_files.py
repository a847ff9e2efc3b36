"""Secrets on disk, each in a file that only its owner may read.

A file that others may read is refused, because then what stands in it is no
secret. A file is created with its final mode, and never written over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from gateway.attestation import strict_json
from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.keys import signing_key_from_jwk
from gateway.wire.files import OWNER_ONLY, FileError, read_bounded, write_new
from gateway.wire.pkcs11_keys import MEMBER, open_signing_key, parse_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")

MAX_PRIVATE_BYTES: Final = 16 * 1024
"""The largest private JWK takes about 2 KiB; a checkpoint's file holds two small ones."""


def read_private(path: Path, what: str = "") -> bytes:
    """Read a secret.

    Args:
        path: the file.
        what: what it is, for the message, for example ``private key``.

    Raises:
        FileMissingError: there is none.
        FileError: it cannot be read, others may read it, or it is too long.
    """
    return read_bounded(path, MAX_PRIVATE_BYTES, what, private=True)


def write_private(path: Path, data: bytes) -> None:
    """Write a secret to a file that does not exist yet, durably.

    Raises:
        FileError: it exists already, and is kept; or it cannot be written.
    """
    write_new(path, data, mode=OWNER_ONLY)


def read_private_key(path: Path, parse: Callable[[dict[str, Any]], T]) -> T:
    """Read one private JWK, or find the key in a module that the file names.

    Args:
        path: the file.
        parse: makes the key of its members.

    Raises:
        FileError: as :func:`read_private`, or it is no JWK that ``parse`` takes.
    """
    data = read_private(path, "private key")
    try:
        jwk = strict_json.loads(data)
        if isinstance(jwk, dict):
            if jwk.keys() == {MEMBER} and isinstance(jwk[MEMBER], str):
                return _in_module(path, jwk[MEMBER], parse)
            return parse(jwk)
    except (ValueError, KeyMaterialError):
        pass
    raise FileError(f"{path} is not a private JWK of this profile")


def _in_module(path: Path, uri: str, parse: Callable[[dict[str, Any]], T]) -> T:
    if parse is not signing_key_from_jwk:
        raise FileError(f"{path} names a key in a module, which holds signing keys only")
    key: Any = open_signing_key(parse_uri(uri), path.parent)
    return cast("T", key)


def write_private_jwk(path: Path, jwk: Mapping[str, str]) -> None:
    """Write one private JWK to a file that does not exist yet.

    Raises:
        FileError: as :func:`write_private`.
    """
    write_private(path, (json.dumps(jwk, indent=2) + "\n").encode())
