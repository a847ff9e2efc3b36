"""The files of keys to come: made where the old ones are, named when they are published."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.keys import key_file, key_files, seal_files
from gateway.attestation.keys import generate_signing_key, signing_key_from_jwk, signing_key_to_jwk
from gateway.attestation.sealing_keys import (
    Profile,
    generate_sealing_key,
    public_sealing_jwk,
    sealing_key_from_jwk,
    sealing_key_to_jwk,
)
from gateway.trust.keys import KeyState, KeyUse, sealing_member_key, signing_member_key
from gateway.trust.times import from_seconds
from gateway.wire.files import refused_as
from gateway.wire.pkcs11_keys import MEMBER, make_signing_key, parse_uri
from gateway.wire.private_files import read_private, read_private_key, write_private_jwk

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta
    from pathlib import Path

    from gateway.attestation.keys import SigningKey
    from gateway.attestation.sealing import SealingKey
    from gateway.trust.keys import MemberKey
    from gateway.wire.key_change import Standing

_NEXT: Final = ".next"
_REVOKED: Final = ".revoked"
_PENDING: Final = re.compile(r"(?P<slot>[a-z]+(?:-[a-z]+)?)-(?P<since>[0-9]{1,12})\.json\.next")


@dataclass(frozen=True, slots=True)
class NextKey:
    """A key to come, in a file that no adapter reads yet.

    Attributes:
        slot: ``attest``, ``state``, ``authenticate``, ``seal`` or ``seal-jwe``.
        since: first second of use, since 1970.
        path: the file.
        key: the private key.
    """

    slot: str
    since: int
    path: Path
    key: SigningKey | SealingKey

    @property
    def use(self) -> KeyUse:
        """What it is for."""
        return KeyUse(self.slot.partition("-")[0])

    @property
    def signing(self) -> SigningKey:
        """The private key, of any use but to seal."""
        key: Any = self.key
        return cast("SigningKey", key)

    def member_key(self, life: timedelta) -> MemberKey:
        """The key as it is published, good for so long from its first use on."""
        begin = from_seconds(self.since)
        end = begin + life
        if self.use is KeyUse.SEAL:
            key: Any = self.key
            return sealing_member_key(public_sealing_jwk(key), not_before=begin, not_after=end)
        return signing_member_key(self.signing, self.use, not_before=begin, not_after=end)


def slots_of(folder: Path, use: KeyUse) -> list[str]:
    """Which keys of a use a region has: one, or one a sealing profile."""
    if use is not KeyUse.SEAL:
        return [use.value]
    found = {re.sub(r"-[0-9]+\.json$|\.json$", "", path.name) for path in seal_files(folder)}
    return sorted(found) or ["seal"]


def pending(folder: Path, slot: str) -> NextKey | None:
    """The key that an earlier run made and did not finish; None: there is none."""
    for path in sorted(folder.glob(f"{slot}-*.json{_NEXT}")):
        named = _PENDING.fullmatch(path.name)
        if named is not None and named["slot"] == slot:
            return NextKey(slot, int(named["since"]), path, read_key(path, slot))
    return None


def read_key(path: Path, slot: str) -> Any:
    """Read a private key of a slot.

    Raises:
        AdapterConfigError: it cannot be read.
    """
    parse: Any = sealing_key_from_jwk if slot.startswith("seal") else signing_key_from_jwk
    with refused_as(AdapterConfigError):
        return read_private_key(path, parse)


def make_next(folder: Path, slot: str, since: int) -> NextKey:
    """Make the key to come, like the one in use: a file, or where that one's module is.

    Raises:
        AdapterConfigError: it cannot be made or written.
    """
    held = pending(folder, slot)
    path = key_file(folder, slot, since)
    path = path.with_name(path.name + _NEXT)
    if held is not None:
        # Never published: the same key with another moment is as good as a new one.
        held.path.rename(path)
        return NextKey(slot, since, path, held.key)
    files = key_files(folder, slot)
    old = next(reversed(files.values())) if files else key_file(folder, slot, 0)
    with refused_as(AdapterConfigError):
        uri = None if slot.startswith("seal") else _module_uri(old)
        if uri is not None:
            made = re.sub(r"object=[^;?]*", f"object={slot}-{since}", uri)
            make_signing_key(parse_uri(made), folder)
            write_private_jwk(path, {MEMBER: made})
        elif slot.startswith("seal"):
            profile: Profile = read_key(old, slot).profile
            write_private_jwk(path, sealing_key_to_jwk(generate_sealing_key(profile)))
        else:
            algorithm = read_key(old, slot).algorithm
            write_private_jwk(path, signing_key_to_jwk(generate_signing_key(algorithm)))
    return NextKey(slot, since, path, read_key(path, slot))


def forget_next(folder: Path, slot: str) -> None:
    """Drop the key to come that no hub has published. One in a module stays there unused."""
    held = pending(folder, slot)
    while held is not None:
        held.path.unlink()
        held = pending(folder, slot)


def set_aside(folder: Path, slot: str, revoked: Collection[str], *, after: int) -> list[Path]:
    """Take the files of revoked keys out of the adapter's sight that begin after a moment.

    They would be taken for the newest key when their time comes. Nothing is deleted.
    """
    gone = []
    for since, path in key_files(folder, slot).items():
        if since > after and read_key(path, slot).key_id in revoked:
            away = path.with_name(path.name + _REVOKED)
            path.rename(away)
            gone.append(away)
    return gone


def settle(folder: Path, standing: Standing) -> list[NextKey]:
    """Finish what an earlier run began at the hub and did not here; return what was named."""
    _set_aside_revoked(folder, standing)
    return name_published(folder, standing)


def _set_aside_revoked(folder: Path, standing: Standing) -> None:
    """What a stopped :func:`set_aside` left: revoked keys that would hide a live one."""
    live = {key.key_id for key in standing.keys if key.is_live}
    revoked = {key.key_id for key in standing.keys if key.state is KeyState.REVOKED}
    for slot in ("attest", "state", "authenticate", *slots_of(folder, KeyUse.SEAL)):
        begins = [s for s, path in key_files(folder, slot).items() if _id(path, slot) in live]
        coming = pending(folder, slot)
        if coming is not None and coming.key.key_id in live:
            begins.append(coming.since)
        if begins:
            set_aside(folder, slot, revoked, after=max(begins))


def _id(path: Path, slot: str) -> str:
    return str(read_key(path, slot).key_id)


def name_published(folder: Path, standing: Standing) -> list[NextKey]:
    """Give every key that the hub has published its final name; return which they were."""
    live = {key.key_id for key in standing.keys if key.is_live}
    found = []
    for slot in ("attest", "state", "authenticate", *slots_of(folder, KeyUse.SEAL)):
        held = pending(folder, slot)
        if held is not None and held.key.key_id in live:
            found.append(name(held))
    return found


def name(held: NextKey) -> NextKey:
    """Give a published key the name by which the adapter finds it."""
    final = held.path.with_name(held.path.name.removesuffix(_NEXT))
    held.path.rename(final)
    return NextKey(held.slot, held.since, final, held.key)


def key_ids(folder: Path, slot: str) -> set[str]:
    """The ids of the keys of a slot whose files are there."""
    return {read_key(path, slot).key_id for path in key_files(folder, slot).values()}


def dated_ids(folder: Path, slot: str) -> set[str]:
    """The ids of the keys that followed the first one of a slot."""
    files = key_files(folder, slot)
    return {read_key(path, slot).key_id for since, path in files.items() if since}


def _module_uri(path: Path) -> str | None:
    """Where a key stands in a module; None: the file itself holds it."""
    try:
        value = json.loads(read_private(path, "private key"))
    except ValueError:
        return None
    uri = value.get(MEMBER) if isinstance(value, dict) else None
    return uri if isinstance(uri, str) else None
