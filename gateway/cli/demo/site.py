"""Where everything of the demo stands: one folder, and ports that were free.

The folder looks as those of an operator, of engineers of cities and of checkpoints'
teams would on their own machines::

    FOLDER/hub/                   made as by `hutong hub init`
    FOLDER/issuer/                made as by `hutong issuer init`
    FOLDER/hangzhou/              adapter.toml, keys, certificate, secrets, scheme
    FOLDER/beijing/platform/      checkpoint.toml of Beijing's platform, which asks others
    FOLDER/macao/                 keys: it has no code, and so no adapter
    FOLDER/hangzhou-checkpoint/   checkpoint.toml, keys, replica, record
    FOLDER/…                      likewise for the others
    FOLDER/logs/                  one file a process
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from adapters.platforms import CREDENTIALS
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk.city import read_city
from adapters.sdk.enrolment import city_identity
from adapters.sdk.keys import generate_keys, load_keys, save_keys
from adapters.sdk.settings import AdapterSettings
from adapters.sdk.settings import load_settings as load_adapter_settings
from gateway.attestation import public_sealing_jwk
from gateway.cli.demo.regions import REGIONS, Brings
from gateway.cli.issuer import as_city
from gateway.codes.divisions import division_prefix
from gateway.edge import CheckpointSettings, create_keys, load_settings
from gateway.issuer.settings import load_settings as load_issuer_settings
from gateway.trust import (
    EnrolmentBody,
    KeyUse,
    MemberKind,
    sealing_member_key,
    signing_member_key,
)
from gateway.wire.certificates import self_signed
from gateway.wire.enrolment import MemberIdentity
from gateway.wire.private_files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from adapters.sdk.keys import AdapterKeys
    from gateway.cli.demo.regions import Region
    from gateway.codes.schemes import Scheme

HOST: Final = "127.0.0.1"

NO_ADAPTER: Final = "no-adapter.invalid:7500"
"""A region must name where its adapter listens; RFC 2606 reserves names that never do."""

_QUESTION_SECONDS: Final = 30
_PLATFORM_SECONDS: Final = 20
"""Every process of the federation shares one laptop, which may be busy with others."""

_HEARTBEAT_SECONDS: Final = 2
"""So that a demo that stands still shows trust of a few seconds."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Of one region, on loopback.

    Attributes:
        door: its platform's, HTTP.
        admin: of the platform's switches, HTTP.
        grpc: its adapter's.
    """

    door: int
    admin: int
    grpc: int


class Site:
    """Folders, ports and files of one federation.

    Args:
        folder: an empty folder of the demo's own.
        regions: who takes part.
    """

    def __init__(self, folder: Path, regions: tuple[Region, ...] = REGIONS) -> None:
        self.folder = folder
        self.regions = regions
        self._grpc_port, self._http_port, *others = _free_ports(2 + 3 * len(regions))
        self.ports = {
            region.name: Ports(*others[3 * place : 3 * place + 3])
            for place, region in enumerate(regions)
        }

    @property
    def hub_folder(self) -> Path:
        """The hub's directory."""
        return self.folder / "hub"

    @property
    def hub_ports(self) -> tuple[int, int]:
        """The hub's ports: gRPC, HTTP."""
        return self._grpc_port, self._http_port

    @property
    def hub_target(self) -> str:
        """GRPC door of the hub."""
        return f"localhost:{self._grpc_port}"

    @property
    def hub_url(self) -> str:
        """HTTP door of the hub."""
        return f"https://localhost:{self._http_port}"

    @property
    def token_url(self) -> str:
        """Token endpoint of the hub."""
        return f"{self.hub_url}/oauth2/token"

    @property
    def anchor_file(self) -> Path:
        """The hub's trust anchor, as its operator hands it out."""
        return self.hub_folder / "anchor.json"

    @property
    def ca_file(self) -> Path:
        """The roots of the hub's certificate."""
        return self.hub_folder / "tls" / "ca.pem"

    @property
    def issuer_folder(self) -> Path:
        """The national issuer's directory."""
        return self.folder / "issuer"

    def adapter_target(self, region: Region) -> str:
        """GRPC door of a region's adapter."""
        return f"localhost:{self.ports[region.name].grpc}"

    def platform_url(self, region: Region) -> str:
        """City door of a region's platform."""
        return f"http://{HOST}:{self.ports[region.name].door}"

    def admin_url(self, name: str) -> str:
        """Admin door of a city's platform."""
        return f"http://{HOST}:{self.ports[name].admin}"

    def checkpoint_file(self, region: Region) -> Path:
        """Where the settings of a region's checkpoint stand."""
        return self.folder / f"{region.name}-checkpoint" / "checkpoint.toml"

    def checkpoint_settings(self, region: Region) -> CheckpointSettings:
        """The settings of a region's checkpoint."""
        return load_settings(self.checkpoint_file(region))

    def platform_file(self, region: Region) -> Path:
        """Where the settings of a platform that asks other regions stand."""
        return self.folder / region.name / "platform" / "checkpoint.toml"

    # -- files ------------------------------------------------------------------

    def write_adapter(self, region: Region) -> None:
        """Write what `hutong adapter serve` reads; the scheme too, where it differs."""
        folder = self.folder / region.name
        save_keys(folder / "keys", generate_keys())
        issued = self_signed(["localhost", HOST], now=datetime.now(UTC))
        write_private(folder / "tls" / "adapter-key.pem", issued.key_pem)
        (folder / "tls" / "adapter.pem").write_bytes(issued.certificate_pem)
        credentials = CREDENTIALS[region.name]
        for name, value in credentials.items():
            write_private(folder / "secrets" / name, value.encode())
        listed = "".join(f'{name} = "secrets/{name}"\n' for name in credentials)
        (folder / "adapter.toml").write_text(
            f'scheme = "{SCHEMES_FOLDER / region.name}"\n'
            'keys = "keys"\n'
            f'anchor = "{self.anchor_file}"\n'
            f'name_zh = "{region.zh}"\n'
            f'name_en = "{region.en}"\n\n'
            "[grpc]\n"
            f"port = {self.ports[region.name].grpc}\n"
            f'endpoint = "{self.adapter_target(region)}"\n\n'
            # Whom it believes about codes of other regions that it converts.
            "[hub]\n"
            f'target = "{self.hub_target}"\n'
            f'ca = "{self.ca_file}"\n'
            f"heartbeat_seconds = {_HEARTBEAT_SECONDS}\n\n"
            "[platform]\n"
            f'url = "{self.platform_url(region)}"\n'
            f"timeout_seconds = {_PLATFORM_SECONDS}\n"
            f"connect_timeout_seconds = {_PLATFORM_SECONDS}\n\n"
            f"[platform.secrets]\n{listed}",
            encoding="utf-8",
        )
        if region.is_sharing:
            self._write_settings(
                self.platform_file(region),
                region.urn,
                region.region,
                more=f'purpose = "PLATFORM"\nkey_file = "{folder / "keys/authenticate.json"}"\n',
            )

    def write_checkpoint(self, region: Region) -> None:
        """Write what `hutong checkpoint` reads."""
        path = self.checkpoint_file(region)
        self._write_settings(
            path,
            region.checkpoint_urn,
            region.region,
            more=f'display_name = "{region.en} {region.gate}"\nkey_file = "keys.json"\n',
        )
        create_keys(path.parent / "keys.json")

    def _write_settings(self, path: Path, urn: str, region: str, *, more: str) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(
            f'urn = "{urn}"\n'
            f'region = "{region}"\n'
            f'hub = "{self.hub_target}"\n'
            f'http = "{self.hub_url}"\n'
            f'ca_file = "{self.ca_file}"\n'
            f'trust_anchor = "{self.anchor_file}"\n'
            'state_dir = "state"\n'
            f"question_timeout_seconds = {_QUESTION_SECONDS}\n"
            f"heartbeat_seconds = {_HEARTBEAT_SECONDS}\n{more}",
            encoding="utf-8",
        )

    # -- who they are -----------------------------------------------------------

    def identity(self, region: Region, *, now: datetime) -> tuple[MemberIdentity, Scheme | None]:
        """Who a region is, with its keys, and its scheme where it has a code."""
        if region.brings is Brings.NOTHING:
            keys = generate_keys()
            save_keys(self.folder / region.name / "keys", keys)
            return _without_a_code(region, keys, now=now), None
        settings: AdapterSettings = (
            as_city(load_issuer_settings(self.issuer_folder))
            if region.brings is Brings.ISSUER
            else load_adapter_settings(self.folder / region.name)
        )
        # Its vectors are run by the process that serves it.
        scheme = read_city(settings.scheme)
        return city_identity(settings, load_keys(settings.keys), scheme, now=now), scheme


def _without_a_code(region: Region, keys: AdapterKeys, *, now: datetime) -> MemberIdentity:
    body = EnrolmentBody(
        urn=region.urn,
        kind=MemberKind.REGION,
        name_zh=region.zh,
        name_en=region.en,
        prefixes=(division_prefix(region.region),),
        endpoint=NO_ADAPTER,
        keys=(
            signing_member_key(keys.state, KeyUse.STATE, not_before=now),
            signing_member_key(keys.attest, KeyUse.ATTEST, not_before=now),
            signing_member_key(keys.authenticate, KeyUse.AUTHENTICATE, not_before=now),
            *(sealing_member_key(public_sealing_jwk(key), not_before=now) for key in keys.seal),
        ),
    )
    return MemberIdentity(body, keys.state, (keys.attest, keys.authenticate), keys.seal)


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; held together so that none comes twice."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in held]
