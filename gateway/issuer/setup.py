"""Making an issuer's directory: keys, TLS, settings, database, the first clients.

::

    DIR/issuer.toml           settings, with the public keys of the clients
    DIR/keys/identity.json    private, finds people and seals identities; keep it apart
                              from backups of the database, and never lose it
    DIR/keys/…                private, of the adapter's side: see adapters.sdk.keys
    DIR/tls/ca.pem            the authority made here
    DIR/tls/ca-key.pem        private
    DIR/tls/issuer.pem        certificate of the port
    DIR/tls/issuer-key.pem    private
    DIR/clients/NAME.toml     how a client reaches the issuer; may be copied, with the key
    DIR/clients/NAME-key.json private, and with ca.pem, to where the client works
    DIR/clients/ca.pem        the root of the issuer's certificate
    DIR/issuer.db             the database, unless another one is named

Nothing that exists is overwritten; a directory that holds an issuer already is refused
before anything is written.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.keys import generate_keys, save_keys
from gateway.attestation.keys import generate_signing_key, public_jwk, signing_key_to_jwk
from gateway.issuer.clients import Role
from gateway.issuer.people import create_identity_key
from gateway.issuer.service_errors import IssuerSetupError
from gateway.issuer.settings import FILE_NAME, load_settings, parse_settings
from gateway.issuer.store import IssuerStore
from gateway.wire.certificates import issue_certificate, make_authority
from gateway.wire.files import read_bounded, refused_as, write_atomically, write_new
from gateway.wire.private_files import write_private, write_private_jwk
from gateway.wire.settings_file import MAX_SETTINGS_BYTES, parse_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.issuer.settings import IssuerSettings

FIRST_CLIENTS: Final = {
    "window": Role.APPLICATION,
    "gate": Role.GATE,
    "feeder": Role.FEEDER,
    "reviewer": Role.REVIEWER,
}
"""One for each role, so that no client starts out with more than it needs."""

CLIENTS: Final = "clients"
_HEAD: Final = "[[clients]]"
_MEMBERS: Final = ("kty", "crv", "x", "y")


@dataclass(frozen=True, slots=True)
class IssuerPlan:
    """What to make.

    Attributes:
        directory: where.
        store: DSN; None: SQLite in the directory.
        grpc: host and port to listen on.
        names: host names and addresses of the certificate; clients and hubs use the first.
        daily_at: time of the daily run, in Asia/Shanghai; None: the default.
    """

    directory: Path
    store: str | None
    grpc: tuple[str, int]
    names: Sequence[str]
    daily_at: str | None = None


async def make_issuer(plan: IssuerPlan, *, now: datetime) -> IssuerSettings:
    """Make an issuer's directory and its database.

    Raises:
        IssuerSetupError: the directory holds an issuer already, or cannot be written.
        StoreError: the database cannot be opened.
    """
    directory = plan.directory
    if (directory / FILE_NAME).exists():
        raise IssuerSetupError(
            f"{directory} holds an issuer already", fix="choose another --dir, or run that one"
        )
    keys = {name: generate_signing_key() for name in FIRST_CLIENTS}
    text = _toml(plan) + "".join(
        client_block(name, [role], public_jwk(keys[name])) for name, role in FIRST_CLIENTS.items()
    )
    settings = parse_settings(text, directory)
    try:
        authority = make_authority("Hutong issuer, made by hutong issuer init", now=now)
        issued = issue_certificate(authority, plan.names, now=now)
        directory.mkdir(parents=True, exist_ok=True)
    except ValueError:
        raise IssuerSetupError("a name cannot stand in a certificate: use ASCII names") from None
    except OSError:
        raise IssuerSetupError(f"{directory} cannot be made") from None
    # The database first: it is what may fail, and then no key lies about.
    await (await IssuerStore.open(settings.store)).close()
    with refused_as(IssuerSetupError):
        save_keys(directory / "keys", generate_keys())
        create_identity_key(directory / "keys/identity.json", os.urandom)
        for name, made in (("ca", authority), ("issuer", issued)):
            write_private(directory / f"tls/{name}-key.pem", made.key_pem)
            write_new(directory / f"tls/{name}.pem", made.certificate_pem)
        write_new(directory / CLIENTS / "ca.pem", authority.certificate_pem)
        for name, key in keys.items():
            _write_profile(directory, name, f"{plan.names[0]}:{plan.grpc[1]}")
            write_private_jwk(directory / CLIENTS / f"{name}-key.json", signing_key_to_jwk(key))
        # Last of the files: whoever finds it finds a whole issuer.
        write_new(directory / FILE_NAME, text.encode())
    return settings


def add_client(
    directory: Path, name: str, roles: Iterable[Role], jwk: Mapping[str, Any] | None = None
) -> Path | None:
    """List a further client; a running issuer takes it within seconds.

    Args:
        directory: of the issuer.
        name: of the client.
        roles: what it may do.
        jwk: its public key, made elsewhere; None: make a key and a profile here.

    Returns:
        The profile made; None where the key was given.

    Raises:
        IssuerSetupError: the name is taken or none, the key cannot be used, or a file
            cannot be written.
    """
    path = directory / FILE_NAME
    settings = load_settings(directory)
    if any(client.id == name for client in settings.clients):
        raise IssuerSetupError("a client of this name is listed already", fix="choose another")
    key = None
    if jwk is None:
        key = generate_signing_key()
        jwk = public_jwk(key)
    text = _read(path).rstrip("\n") + "\n" + client_block(name, roles, jwk)
    parse_settings(text, directory)
    profile = None
    if key is not None:
        with refused_as(IssuerSetupError):
            ours = settings.grpc.endpoint or f"{settings.grpc.host}:{settings.grpc.port}"
            profile = _write_profile(directory, name, ours)
            write_private_jwk(directory / CLIENTS / f"{name}-key.json", signing_key_to_jwk(key))
    _replace(path, text)
    return profile


def remove_client(directory: Path, name: str) -> None:
    """Take a client off the list; its key and profile stay where they are.

    Raises:
        IssuerSetupError: no such client, or the file cannot be written.
    """
    path = directory / FILE_NAME
    kept: list[str] = []
    found = False
    for block in _blocks(_read(path)):
        if block.startswith(_HEAD):
            with refused_as(IssuerSetupError):
                members = parse_toml(block, path)
            if members["clients"][0].get("id") == name:
                found = True
                continue
        kept.append(block)
    if not found:
        raise IssuerSetupError(
            "no client of this name is listed", fix="see hutong issuer client list"
        )
    text = "".join(kept)
    parse_settings(text, directory)
    _replace(path, text)


def client_block(name: str, roles: Iterable[Role], jwk: Mapping[str, Any]) -> str:
    """One client as it stands in ``issuer.toml``."""
    listed = ", ".join(_quoted(role.value) for role in roles)
    members = ", ".join(f"{one} = {_quoted(jwk[one])}" for one in _MEMBERS if one in jwk)
    return f"\n{_HEAD}\nid = {_quoted(name)}\nroles = [{listed}]\nkey = {{ {members} }}\n"


def _blocks(text: str) -> list[str]:
    """The file in pieces, each client a piece of its own."""
    pieces: list[str] = [""]
    for line in text.splitlines(keepends=True):
        begins = line.startswith("[") and not line.startswith("[clients.")
        if begins:
            pieces.append("")
        pieces[-1] += line
    return pieces


def _write_profile(directory: Path, name: str, target: str) -> Path:
    path = directory / CLIENTS / f"{name}.toml"
    lines = [
        "# How this client reaches the issuer; copy it with its key and ca.pem.",
        f"issuer = {_quoted(target)}",
        f"client = {_quoted(name)}",
        f"key = {_quoted(f'{name}-key.json')}",
    ]
    if (directory / CLIENTS / "ca.pem").exists():
        lines.append('ca = "ca.pem"')
    write_new(path, ("\n".join(lines) + "\n").encode())
    return path


def _toml(plan: IssuerPlan) -> str:
    host, port = plan.grpc
    lines = [
        "# Settings of this issuer; every field: gateway/issuer/settings.py.",
        f"store = {_quoted(plan.store or 'sqlite:///issuer.db')}",
        "",
        "[grpc]",
        f"host = {_quoted(host)}",
        f"port = {port}",
        f"endpoint = {_quoted(f'{plan.names[0]}:{port}')}",
    ]
    if plan.daily_at is not None:
        lines += ["", "[daily]", f"at = {_quoted(plan.daily_at)}"]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> str:
    with refused_as(IssuerSetupError):
        data = read_bounded(path, MAX_SETTINGS_BYTES)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise IssuerSetupError(f"{path} is not UTF-8") from None


def _replace(path: Path, text: str) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        write_atomically(path, text.encode(), mode=mode)
    except OSError:
        raise IssuerSetupError(f"{path} cannot be written") from None


def _quoted(text: object) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(str(text), ensure_ascii=False)
