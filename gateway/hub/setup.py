"""Making a hub's directory: keys, trust anchor, TLS, settings, the first operator.

::

    DIR/hub.toml              settings
    DIR/keys/feed.json        private, signs the feed
    DIR/keys/token.json       private, signs access tokens and grants
    DIR/anchor.json           public: hand it to every participant by a way of your own
    DIR/tls/ca.pem            the authority made here; absent when TLS files are given
    DIR/tls/ca-key.pem        private
    DIR/tls/hub.pem           certificate of both doors
    DIR/tls/hub-key.pem       private
    DIR/operator/operator.toml  how the first operator reaches the hub; the folder
                              may be copied to where the operator works
    DIR/operator/ca.pem       the roots of the hub's certificate
    DIR/operator/key.json     private, authenticates the operator
    DIR/operator/state.json   private, signs the operator's statements
    DIR/hub.db                the store, unless another one is named

Nothing that exists is overwritten; a directory that holds a hub already is
refused as a whole before anything is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.attestation.keys import generate_signing_key
from gateway.hub.admission import DocumentChecks
from gateway.hub.errors import HubSetupError
from gateway.hub.feed_log import HubFeed
from gateway.hub.keys import HubKeys, save_signing_key
from gateway.hub.mirror import StoreMirror
from gateway.hub.registry import Registry
from gateway.hub.settings import FILE_NAME, parse_settings
from gateway.store import MemberRow, Store
from gateway.trust import (
    EnrolmentBody,
    KeyUse,
    MemberKind,
    MemberState,
    make_anchor,
    signing_member_key,
)
from gateway.trust.errors import StatementError
from gateway.wire.certificates import Issued, issue_certificate, make_authority
from gateway.wire.files import refused_as, write_new
from gateway.wire.private_files import write_private
from gateway.wire.settings_file import SettingsTable, check_members, read_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.hub.keys import HubKeyRing
    from gateway.hub.settings import HubSettings

OPERATOR_FILE: Final = Path("operator/operator.toml")
"""Where the first operator's profile stands in a hub's directory."""


class OperatorProfile(SettingsTable):
    """How an operator reaches a hub: ``operator.toml``; paths from its folder."""

    urn: str
    """URN of the operator."""
    hub: str
    """gRPC target of the hub, ``host:port``."""
    token_url: str
    """Token endpoint of the hub."""
    key: Path
    """Private JWK that authenticates the operator."""
    ca: Path | None = None
    """PEM of the roots of the hub's certificate; absent: the system's."""


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What to make.

    The certificate's names begin with the one the operator reaches the hub by.

    Attributes:
        directory: where.
        urn: URN of the hub.
        store: DSN; None: SQLite in the directory.
        grpc: host and port of the gRPC door.
        http: host and port of the HTTP door.
        names: host names and addresses of the certificate made here.
        operator: label of the first operator.
        tls: certificate and key files; None: made here.
        tls_ca: PEM of their roots, for the operator; None: the system's.
        approvals: operators who must approve a new member; None: as the settings say.
    """

    directory: Path
    urn: str
    store: str | None
    grpc: tuple[str, int]
    http: tuple[str, int]
    names: Sequence[str]
    operator: str
    tls: tuple[Path, Path] | None = None
    tls_ca: bytes | None = None
    approvals: int | None = None


async def make_hub(plan: HubPlan, *, now: datetime) -> HubSettings:
    """Make a hub's directory and its store.

    Returns:
        The settings, as ``hutong hub run`` will read them.

    Raises:
        HubSetupError: the directory holds a hub already, or cannot be written.
        StoreError: the store cannot be opened.
    """
    directory = plan.directory
    if (directory / FILE_NAME).exists():
        raise HubSetupError(
            f"{directory} holds a hub already", fix="choose another --dir, or run that one"
        )
    operator_urn = f"urn:hutong:operator:{plan.operator}"
    operator_key, state_key = generate_signing_key(), generate_signing_key()
    try:
        body = EnrolmentBody(
            urn=operator_urn,
            kind=MemberKind.OPERATOR,
            name_zh="",
            name_en=plan.operator,
            keys=(
                signing_member_key(state_key, KeyUse.STATE, not_before=now),
                signing_member_key(operator_key, KeyUse.AUTHENTICATE, not_before=now),
            ),
        )
    except StatementError as error:
        raise HubSetupError(
            f"{plan.operator!r} cannot name an operator: {error}",
            fix="use lower-case letters, digits and hyphens",
        ) from None
    tls = _make_tls(plan.names, now=now) if plan.tls is None else None
    keys = HubKeys(feed=generate_signing_key(), token=generate_signing_key())
    anchor = make_anchor(plan.urn, feed_keys=[keys.feed], token_keys=[keys.token])
    settings = parse_settings(_hub_toml(plan), directory)
    row = MemberRow(
        urn=operator_urn,
        kind=MemberKind.OPERATOR.name,
        state=MemberState.ACTIVE.name,
        display_name=plan.operator,
        record=body.to_body(),
        enrolment_id="",
        changed_at=now,
        approved_at=now,
    )
    _make_directory(directory)
    # The store first: it is what may fail, and then no key lies about.
    async with await Store.open(settings.store) as store:
        registry, _ = await registry_on(settings, keys, store, clock=lambda: now)
        _write_files(plan, keys, anchor.to_bytes(), (operator_key, state_key), tls)
        await registry.admit_operator(row)
    # Last of the files: whoever finds it finds a whole hub.
    _write_public(directory / FILE_NAME, _hub_toml(plan).encode())
    return settings


def _write_files(
    plan: HubPlan,
    keys: HubKeys,
    anchor: bytes,
    operator_keys: tuple[SigningKey, SigningKey],
    tls: tuple[Issued, Issued] | None,
) -> None:
    directory = plan.directory
    save_signing_key(directory / "keys/feed.json", keys.feed)
    save_signing_key(directory / "keys/token.json", keys.token)
    _write_public(directory / "anchor.json", anchor)
    folder = directory / OPERATOR_FILE.parent
    ca = plan.tls_ca
    if tls is not None:
        ca = _save_tls(directory / "tls", *tls)
    if ca is not None:
        _write_public(folder / "ca.pem", ca)
    for name, key in zip(("key.json", "state.json"), operator_keys, strict=True):
        save_signing_key(folder / name, key)
    _write_public(
        directory / OPERATOR_FILE,
        _operator_toml(plan, f"urn:hutong:operator:{plan.operator}", ca).encode(),
    )


async def registry_on(
    settings: HubSettings,
    keys: HubKeys | HubKeyRing,
    store: Store,
    *,
    clock: Callable[[], datetime],
) -> tuple[Registry, HubFeed]:
    """A registry and the feed on a store, without a door.

    Raises:
        HubSetupError: a key cannot be used.
        StoreCorruptError: another hub's keys signed what the store holds.
        StoreError: it cannot be read.
    """
    feed = HubFeed(
        hub_urn=settings.urn,
        key=keys.feed if isinstance(keys, HubKeys) else keys.feed_key,
        anchor=make_anchor(settings.urn, feed_keys=[keys.feed])
        if isinstance(keys, HubKeys)
        else keys.root(),
        clock=clock,
        watcher_queue=settings.feed.watcher_queue,
        stall_seconds=settings.feed.stall_seconds,
    )
    mirror = StoreMirror(store, feed, retention_entries=settings.feed.retention_entries)
    await mirror.load()
    registry = Registry(
        hub_urn=settings.urn,
        store=store,
        mirror=mirror,
        checks=DocumentChecks(policy=dict),
        challenge_seconds=settings.challenge_seconds,
        clock=clock,
        approvals_needed=settings.approvals_needed,
        lead=settings.lead,
    )
    return registry, feed


def load_operator_profile(path: Path) -> OperatorProfile:
    """Read an ``operator.toml``.

    Raises:
        HubSetupError: missing, malformed, or a member is missing or unknown.
    """
    with refused_as(HubSetupError, when_missing="name the hub's --dir or the --operator file"):
        profile = check_members(OperatorProfile, read_toml(path), path)
    folder = path.parent
    return profile.model_copy(
        update={
            "key": folder / profile.key,
            "ca": None if profile.ca is None else folder / profile.ca,
        }
    )


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise HubSetupError(f"{directory} cannot be made") from None


def _make_tls(names: Sequence[str], *, now: datetime) -> tuple[Issued, Issued]:
    authority = make_authority("Hutong hub, made by hutong hub init", now=now)
    try:
        return authority, issue_certificate(authority, names, now=now)
    except ValueError:
        raise HubSetupError(
            "a name cannot stand in a certificate",
            fix="use ASCII host names and addresses, the first of at most 64 characters",
        ) from None


def _save_tls(folder: Path, authority: Issued, issued: Issued) -> bytes:
    _save(folder / "ca.pem", folder / "ca-key.pem", authority)
    _save(folder / "hub.pem", folder / "hub-key.pem", issued)
    return authority.certificate_pem


def _save(certificate: Path, key: Path, issued: Issued) -> None:
    with refused_as(HubSetupError):
        write_private(key, issued.key_pem)
    _write_public(certificate, issued.certificate_pem)


def _write_public(path: Path, data: bytes) -> None:
    with refused_as(HubSetupError):
        write_new(path, data)


def _hub_toml(plan: HubPlan) -> str:
    lines = [
        "# Settings of this hub; every field: gateway/hub/settings.py.",
        f"urn = {_quoted(plan.urn)}",
        f"store = {_quoted(plan.store or 'sqlite:///hub.db')}",
        *([] if plan.approvals is None else [f"approvals_needed = {plan.approvals}"]),
        "",
        "[grpc]",
        f"host = {_quoted(plan.grpc[0])}",
        f"port = {plan.grpc[1]}",
        "",
        "[http]",
        f"host = {_quoted(plan.http[0])}",
        f"port = {plan.http[1]}",
    ]
    if plan.tls is not None:
        certificate, key = (path.absolute() for path in plan.tls)
        lines += ["", "[tls]", f"certificate = {_quoted(certificate)}", f"key = {_quoted(key)}"]
    return "\n".join(lines) + "\n"


def _operator_toml(plan: HubPlan, urn: str, ca: bytes | None) -> str:
    host = plan.names[0]
    lines = [
        "# How this operator reaches the hub; copy the folder to work from elsewhere.",
        f"urn = {_quoted(urn)}",
        f"hub = {_quoted(f'{host}:{plan.grpc[1]}')}",
        f"token_url = {_quoted(f'https://{host}:{plan.http[1]}/oauth2/token')}",
        'key = "key.json"',
    ]
    if ca is not None:
        lines.append('ca = "ca.pem"')
    return "\n".join(lines) + "\n"


def _quoted(text: object) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(str(text), ensure_ascii=False)
