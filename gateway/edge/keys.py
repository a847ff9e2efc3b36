"""The checkpoint's own private keys, in one file that only its owner may read.

Two keys, because one key has one use (``gateway.trust.keys``): ``authenticate``
fetches access tokens, ``state`` signs the enrolment. Both are ES256::

    {"keys": [{"use": "authenticate", "jwk": {…}}, {"use": "state", "jwk": {…}}]}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from gateway.attestation import (
    KeyMaterialError,
    SigningKey,
    generate_signing_key,
    signing_key_from_jwk,
    signing_key_to_jwk,
)
from gateway.edge.errors import SettingsError
from gateway.trust import KeyUse
from gateway.wire.files import refused_as
from gateway.wire.private_files import read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CheckpointKeys:
    """Private keys of one checkpoint.

    Attributes:
        authenticate: signs the assertions for which access tokens are given.
        state: signs the enrolment statement.
    """

    authenticate: SigningKey = field(repr=False)
    state: SigningKey = field(repr=False)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    use: KeyUse
    jwk: dict[str, str]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Entry]


def load_keys(path: Path) -> CheckpointKeys:
    """Read the key file.

    Raises:
        SettingsError: it is missing, malformed, lacks a key, or others than its
            owner may read it. No message repeats its content.
    """
    with refused_as(SettingsError, when_missing="hutong checkpoint enrol"):
        data = read_private(path, "key file")
    try:
        entries = {entry.use: entry.jwk for entry in msgspec.json.decode(data, type=_File).keys}
        return CheckpointKeys(
            authenticate=signing_key_from_jwk(entries[KeyUse.AUTHENTICATE]),
            state=signing_key_from_jwk(entries[KeyUse.STATE]),
        )
    except (msgspec.DecodeError, KeyMaterialError):
        raise SettingsError(f"the key file {path} is malformed") from None
    except KeyError:
        raise SettingsError(f"the key file {path} lacks a key for authenticate or state") from None


def load_authentication_key(path: Path) -> SigningKey:
    """Read the key that fetches access tokens.

    Args:
        path: a checkpoint's key file; or one private JWK, as an adapter keeps in
            ``keys/authenticate.json``, where its region's platform asks.

    Raises:
        SettingsError: as :func:`load_keys`.
    """
    with refused_as(SettingsError, when_missing="hutong checkpoint enrol"):
        data = read_private(path, "key file")
    try:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if "keys" in members:
            return load_keys(path).authenticate
        return signing_key_from_jwk(msgspec.json.decode(data, type=dict[str, str]))
    except (msgspec.DecodeError, KeyMaterialError):
        raise SettingsError(f"the key file {path} is malformed") from None


def create_keys(path: Path) -> CheckpointKeys:
    """Draw new keys and write them to a file that does not exist yet.

    Raises:
        SettingsError: the file exists, and is kept; or it cannot be written.
    """
    keys = CheckpointKeys(authenticate=generate_signing_key(), state=generate_signing_key())
    entries = [
        {"use": KeyUse.AUTHENTICATE.value, "jwk": signing_key_to_jwk(keys.authenticate)},
        {"use": KeyUse.STATE.value, "jwk": signing_key_to_jwk(keys.state)},
    ]
    with refused_as(SettingsError):
        write_private(path, json.dumps({"keys": entries}, indent=1).encode() + b"\n")
    return keys
