"""Settings of the national issuer: ``issuer.toml``.

The only module of the issuer that reads the environment: every field may be given as
``HUTONG_ISSUER_<FIELD>``, a field of a table as ``HUTONG_ISSUER_<TABLE>__<FIELD>``, and
then wins over the file. Relative paths, and the path of a SQLite store, are taken from
the folder of the file. Unknown members are refused, so that a typing error never
becomes a default::

    store = "sqlite:///issuer.db"       # or postgresql://…

    [grpc]
    host = "127.0.0.1"
    port = 7460
    endpoint = "localhost:7460"         # where a hub reaches it; left out: host:port

    [codes]
    phone_seconds = 300
    paper_days = 7

    [daily]
    at = "03:00"                        # Asia/Shanghai

    [[clients]]
    id = "window"
    roles = ["application"]             # application, gate, feeder, reviewer
    key = { kty = "EC", crv = "P-256", x = "…", y = "…" }

Clients may be added and removed while the issuer runs: it reads them anew when the
file changes. Everything else is read at the start.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator
from pydantic_settings import SettingsConfigDict

from adapters.schemes import SCHEMES_FOLDER
from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.keys import public_key_from_jwk
from gateway.issuer.calls import CALL_SECONDS
from gateway.issuer.clients import Client, Role, make_client
from gateway.issuer.qr import PAPER_DAYS, PHONE_SECONDS
from gateway.issuer.service_errors import IssuerSetupError
from gateway.wire.files import refused_as
from gateway.wire.settings_file import (
    FileSettings,
    SettingsTable,
    check_members,
    parse_toml,
    read_toml,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME: Final = "issuer.toml"
DEFAULT_PORT: Final = 7460
CLIENT_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""As facts record it; 64 characters are what their tables hold."""

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


class GrpcSettings(SettingsTable):
    """Where the issuer listens."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    """Port; zero lets the system choose one."""
    endpoint: str | None = None
    """``host:port`` under which a hub reaches it; absent: ``host:port`` of the above."""
    certificate: Path = Path("tls/issuer.pem")
    """PEM with the certificate chain."""
    key: Path = Path("tls/issuer-key.pem")
    """PEM with the private key."""
    ca: Path | None = Path("tls/ca.pem")
    """PEM with what the certificate is checked under; absent: the system's."""
    max_concurrent_calls: int = Field(default=10_000, ge=1)
    """Calls in flight."""
    max_unary_seconds: float = Field(default=60.0, gt=0, le=3600)
    """Longest a call may take; publishing a list assesses whom it touches within it."""
    drain_seconds: float = Field(default=20.0, ge=0, le=600)
    """Longest a stop waits for calls in flight."""
    reflection: bool = False
    """Serve gRPC reflection; off in production."""


class CodeSettings(SettingsTable):
    """Codes that are shown."""

    phone_seconds: int = Field(default=PHONE_SECONDS, ge=30, le=3600)
    """Life of a code on a phone."""
    paper_days: int = Field(default=PAPER_DAYS, ge=1, le=14)
    """Life of a code on paper; a declaration holds 14 days."""
    paper_size: Literal["A5", "A6"] = "A6"
    """Page of a code on paper."""
    call_seconds: int = Field(default=CALL_SECONDS, ge=10, le=600)
    """Life of an applied call."""


class DailySettings(SettingsTable):
    """The daily run."""

    at: str = "03:00"
    """Time of day in Asia/Shanghai. A choice: Hangzhou's hour is not known."""
    is_on: bool = True
    """Off where another machine runs `hutong issuer recompute` every day."""

    @field_validator("at")
    @classmethod
    def _at_is_a_time(cls, value: str) -> str:
        if not _TIME.fullmatch(value):
            raise ValueError("must be a time of day such as 03:00")
        return value

    @property
    def seconds(self) -> int:
        """Seconds after midnight in Shanghai."""
        hours, minutes = self.at.split(":")
        return int(hours) * 3600 + int(minutes) * 60


class AdapterTable(SettingsTable):
    """The side that answers hubs."""

    keys: Path = Path("keys")
    """Folder of private keys, see adapters.sdk.keys."""
    anchor: Path = Path("anchor.json")
    """Trust anchor of the hub; while there is no such file, no hub is answered."""
    scheme: Path = SCHEMES_FOLDER / "native"
    """Folder with ``scheme.yaml`` and ``vectors.yaml``."""
    name_zh: str = "全国健康信息码"
    """Chinese name, as members see it."""
    name_en: str = "National health code"
    """English name."""


class ClientTable(SettingsTable):
    """One client."""

    id: Annotated[str, StringConstraints(pattern=CLIENT_NAME)]
    """Its name: ``iss`` of its assertions, and who brought a fact."""
    roles: tuple[Role, ...] = Field(min_length=1)
    """What it may do."""
    key: dict[str, str]
    """Public JWK, ES256 or Ed25519."""

    @field_validator("key")
    @classmethod
    def _key_is_public(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            public_key_from_jwk(value)
        except KeyMaterialError as error:
            raise ValueError(str(error)) from None
        return value

    def client(self) -> Client:
        """The client, ready to be authenticated."""
        return make_client(self.id, self.roles, public_key_from_jwk(self.key))


class IssuerSettings(FileSettings):
    """Everything the issuer needs to know about itself."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_ISSUER_")

    store: str
    """DSN of the database; without a default, so that an emptied file is no issuer."""
    identity_key: Path = Path("keys/identity.json")
    """Key file that people are found and identities are sealed with."""
    grpc: GrpcSettings = GrpcSettings()
    codes: CodeSettings = CodeSettings()
    daily: DailySettings = DailySettings()
    adapter: AdapterTable = AdapterTable()
    clients: tuple[ClientTable, ...] = ()
    """Who may call."""

    @field_validator("clients")
    @classmethod
    def _names_stand_once(cls, value: tuple[ClientTable, ...]) -> tuple[ClientTable, ...]:
        names = [client.id for client in value]
        if len(set(names)) < len(names):
            raise ValueError("a client stands twice")
        return value

    def clients_by_name(self) -> Mapping[str, Client]:
        """The clients, ready to be authenticated."""
        return {table.id: table.client() for table in self.clients}

    def resolved(self, folder: Path) -> Self:
        """Return the settings with every relative path taken from ``folder``."""
        grpc, adapter = self.grpc, self.adapter
        return self.model_copy(
            update={
                "store": _resolve_dsn(self.store, folder),
                "identity_key": folder / self.identity_key,
                "grpc": grpc.model_copy(
                    update={
                        "certificate": folder / grpc.certificate,
                        "key": folder / grpc.key,
                        "ca": folder / grpc.ca if grpc.ca else None,
                    }
                ),
                "adapter": adapter.model_copy(
                    update={
                        "keys": folder / adapter.keys,
                        "anchor": folder / adapter.anchor,
                        "scheme": folder / adapter.scheme,
                    }
                ),
            }
        )


def load_settings(directory: Path) -> IssuerSettings:
    """Read ``issuer.toml`` of a directory and the environment.

    Raises:
        IssuerSetupError: the file is missing or malformed, or a member is unknown or
            out of range; the message names the member, never its value.
    """
    path = directory / FILE_NAME
    with refused_as(
        IssuerSetupError, when_missing=f"make one: hutong issuer init --dir {directory}"
    ):
        return _checked(read_toml(path), path)


def parse_settings(text: str, directory: Path) -> IssuerSettings:
    """Read the text of an ``issuer.toml`` that stands, or will stand, in a directory.

    Raises:
        IssuerSetupError: as :func:`load_settings`.
    """
    path = directory / FILE_NAME
    with refused_as(IssuerSetupError):
        return _checked(parse_toml(text, path), path)


def _checked(members: dict[str, Any], path: Path) -> IssuerSettings:
    return check_members(IssuerSettings, members, path).resolved(path.parent.absolute())


def _resolve_dsn(dsn: str, folder: Path) -> str:
    scheme, separator, path = dsn.partition(":///")
    if separator and scheme.startswith("sqlite") and path and not path.startswith("/"):
        return f"{scheme}:///{folder / path}"
    return dsn
