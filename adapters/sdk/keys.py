"""The adapter's secrets on disk, each in a file of its own that only its owner reads.

==========================  ==================================================
``keys/state.json``         signs statements: enrolment, schemes, policies
``keys/attest.json``        signs attestations
``keys/authenticate.json``  proves who fetches access tokens
``keys/seal.json``          opens questions; ``seal-jwe.json`` beside it the same
                            in the other profile, where there is one
``keys/pseudonym.key``      derives pseudonyms; base64url of 32 bytes
==========================  ==================================================

A key to come stands beside the old one as ``attest-1700000000.json``: it is used from
that second on, in seconds since 1970 (``state`` and ``authenticate`` likewise). Of each
use the newest whose time has come is used; a sealing key opens as long as its file is
there. The old ones stay until they are moved away. :mod:`adapters.sdk.key_schedule`
follows the folder while the adapter runs.

A file that others may read is refused. Nothing is ever overwritten.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
_DATED: Final = re.compile(r"(?P<slot>[a-z]+(?:-[a-z]+)?)-(?P<since>[0-9]{1,12})\.json", re.ASCII)


def key_file(folder: Path, slot: str, since: int) -> Path:
    """Return where a key stands that is used from a moment on, in seconds since 1970.

    Args:
        folder: of the keys.
        slot: ``attest``, ``state``, ``authenticate``, ``seal`` or ``seal-jwe``.
        since: the moment; zero: from the beginning.
    """
    return folder / (f"{slot}-{since}.json" if since else f"{slot}.json")


def key_files(folder: Path, slot: str) -> dict[int, Path]:
    """Return the files of a slot by the moment from which they are used, oldest first."""
    found = {}
    for path in folder.glob(f"{slot}*.json"):
        dated = _DATED.fullmatch(path.name)
        if path.name == f"{slot}.json":
            found[0] = path
        elif dated is not None and dated["slot"] == slot:
            found[int(dated["since"])] = path
    return dict(sorted(found.items()))


def file_in_use(folder: Path, slot: str, now: datetime) -> Path:
    """Return the file of the key that is used now: the newest whose time has come."""
    files = key_files(folder, slot)
    begun = [path for since, path in files.items() if since <= now.timestamp()]
    return begun[-1] if begun else key_file(folder, slot, 0)


def seal_files(folder: Path) -> list[Path]:
    """Return the files of every sealing key, the preferred one first."""
    first = folder / "seal.json"
    others = sorted(folder.glob("seal-*.json"))
    return [first, *others] if first.exists() or not others else others


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


def write_pseudonym_secret(folder: Path) -> Path | None:
    """Make a pseudonym secret where there is none; return its file, None: there is one.

    Raises:
        FileError: it cannot be written.
    """
    path = folder / _PSEUDONYM_FILE
    if path.exists():
        return None
    write_private(path, (base64url.encode(os.urandom(PSEUDONYM_BYTES)) + "\n").encode())
    return path


def load_keys(folder: Path, *, now: datetime | None = None) -> AdapterKeys:
    """Read every secret that is used now.

    Args:
        folder: of the keys.
        now: decides which key is used; None: the system's clock.

    Raises:
        AdapterConfigError: a file is missing, malformed or readable by others.
    """
    moment = now or datetime.now(UTC)

    def signing(slot: str) -> SigningKey:
        return read_private_key(file_in_use(folder, slot, moment), signing_key_from_jwk)

    with refused_as(AdapterConfigError):
        return AdapterKeys(
            state=signing("state"),
            attest=signing("attest"),
            authenticate=signing("authenticate"),
            seal=tuple(read_private_key(path, sealing_key_from_jwk) for path in seal_files(folder)),
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
