"""The adapter's secrets on disk, each in a file of its own that only its owner reads.

==========================  ==================================================
``keys/state.json``         signs statements: enrolment, schemes, policies
``keys/attest.json``        signs attestations
``keys/authenticate.json``  proves who fetches access tokens
``keys/seal.json``          opens questions; ``seal-jwe.json`` beside it the same
                            in the other profile, where there is one
``keys/pseudonym.key``      derives pseudonyms; base64url of 32 bytes
==========================  ==================================================

A file that others may read is refused. Nothing is ever overwritten.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.errors import AdapterConfigError
from gateway.attestation import base64url
from gateway.attestation.keys import (
    SigningKey,
    generate_signing_key,
    signing_key_from_jwk,
    signing_key_to_jwk,
)
from gateway.attestation.sealing_keys import (
    Profile,
    SealingKey,
    generate_sealing_key,
    sealing_key_from_jwk,
    sealing_key_to_jwk,
)
from gateway.wire.files import refused_as
from gateway.wire.private_files import (
    read_private,
    read_private_key,
    write_private,
    write_private_jwk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PSEUDONYM_BYTES: Final = 32

_PSEUDONYM_FILE: Final = "pseudonym.key"


@dataclass(frozen=True, slots=True)
class AdapterKeys:
    """Every secret of one adapter.

    Attributes:
        state: signs statements.
        attest: signs attestations.
        authenticate: signs client assertions.
        seal: open questions, the preferred one first.
        pseudonym_secret: derives pseudonyms.
    """

    state: SigningKey
    attest: SigningKey
    authenticate: SigningKey
    seal: tuple[SealingKey, ...]
    pseudonym_secret: bytes = field(repr=False)

    @property
    def sealing_keys(self) -> Mapping[str, SealingKey]:
        """The sealing keys by key id."""
        return {key.key_id: key for key in self.seal}


def generate_keys(
    profiles: tuple[Profile, ...] = (Profile.HPKE,), *, random_bytes: Any = os.urandom
) -> AdapterKeys:
    """Make fresh keys.

    Args:
        profiles: one sealing key each, the preferred one first.
        random_bytes: the source of the pseudonym secret.
    """
    return AdapterKeys(
        state=generate_signing_key(),
        attest=generate_signing_key(),
        authenticate=generate_signing_key(),
        seal=tuple(generate_sealing_key(profile) for profile in profiles),
        pseudonym_secret=random_bytes(PSEUDONYM_BYTES),
    )


def save_keys(folder: Path, keys: AdapterKeys) -> list[Path]:
    """Write every secret to a new file of its own and return the files.

    Raises:
        AdapterConfigError: one exists already or cannot be written.
    """
    files: dict[str, Mapping[str, str]] = {
        "state.json": signing_key_to_jwk(keys.state),
        "attest.json": signing_key_to_jwk(keys.attest),
        "authenticate.json": signing_key_to_jwk(keys.authenticate),
    }
    for place, key in enumerate(keys.seal):
        name = "seal.json" if place == 0 else f"seal-{key.profile.value.lower()}.json"
        files[name] = sealing_key_to_jwk(key)
    written = [folder / name for name in (*files, _PSEUDONYM_FILE)]
    for path in written:
        if path.exists():
            raise AdapterConfigError(f"{path} exists already and is kept")
    with refused_as(AdapterConfigError):
        for name, jwk in files.items():
            write_private_jwk(folder / name, jwk)
        secret = base64url.encode(keys.pseudonym_secret) + "\n"
        write_private(folder / _PSEUDONYM_FILE, secret.encode())
    return written


def load_keys(folder: Path) -> AdapterKeys:
    """Read every secret.

    Raises:
        AdapterConfigError: a file is missing, malformed or readable by others.
    """
    seals = [folder / "seal.json", *sorted(folder.glob("seal-*.json"))]
    with refused_as(AdapterConfigError):
        return AdapterKeys(
            state=read_private_key(folder / "state.json", signing_key_from_jwk),
            attest=read_private_key(folder / "attest.json", signing_key_from_jwk),
            authenticate=read_private_key(folder / "authenticate.json", signing_key_from_jwk),
            seal=tuple(read_private_key(path, sealing_key_from_jwk) for path in seals),
            pseudonym_secret=_secret(folder / _PSEUDONYM_FILE),
        )


def _secret(path: Path) -> bytes:
    try:
        secret = base64url.decode(read_private(path).strip())
    except ValueError:
        secret = b""
    if len(secret) != PSEUDONYM_BYTES:
        raise AdapterConfigError(f"{path} is not base64url of {PSEUDONYM_BYTES} bytes")
    return secret
