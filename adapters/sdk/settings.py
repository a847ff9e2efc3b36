"""Settings of one adapter: ``adapter.toml``.

The only module of the adapter that reads the environment: every field may be given
as ``HUTONG_ADAPTER_<FIELD>``, a field of a table as ``HUTONG_ADAPTER_<TABLE>__<FIELD>``,
and then wins over the file. Relative paths are taken from the folder of the file.
Unknown members are refused, so that a typing error never becomes a default::

    scheme = "."                       # folder with scheme.yaml and vectors.yaml
    keys = "keys"                      # folder of private keys, see adapters.sdk.keys
    anchor = "anchor.json"             # trust anchor of the hub
    name_zh = "杭州"
    name_en = "Hangzhou"

    [grpc]
    host = "127.0.0.1"
    port = 7450
    endpoint = "127.0.0.1:7450"        # where the hub reaches it; left out: host:port

    [platform]
    url = "http://127.0.0.1:8330"
    [platform.secrets]
    token = "secrets/token"            # name → file that only its owner may read

    [status]                           # carried attestations, and their revocation
    path = "issued.db"

    [hub]                              # only where codes of other regions are converted
    target = "127.0.0.1:7443"          # whose feed is followed
    ca = "hub-ca.pem"
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from adapters.sdk.errors import AdapterConfigError
from gateway.wire.files import refused_as
from gateway.wire.settings_file import FileSettings, SettingsTable, check_members, read_toml

FILE_NAME: Final = "adapter.toml"


class GrpcSettings(SettingsTable):
    """Where the adapter listens."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=7450, ge=0, le=65535)
    """Port; zero lets the system choose one."""
    endpoint: str | None = None
    """``host:port`` under which the hub reaches it; absent: ``host:port`` of the above."""
    certificate: Path = Path("tls/adapter.pem")
    """PEM with the certificate chain."""
    key: Path = Path("tls/adapter-key.pem")
    """PEM with the private key."""
    ca: Path | None = Path("tls/adapter.pem")
    """PEM with what the hub shall check the certificate under; absent: the system's."""
    unsafe_insecure: bool = False
    """Listen without TLS; for tests and benchmarks only."""
    max_in_flight: int = Field(default=4096, ge=1)
    """Envelopes being answered at once."""
    drain_seconds: float = Field(default=20.0, ge=0, le=600)
    """Longest a stop waits for what is in flight."""
    reflection: bool = False
    """Serve gRPC reflection; off in production."""


class PlatformSettings(SettingsTable):
    """The city platform."""

    url: str
    """Its base address, https; http on loopback only."""
    timeout_seconds: float = Field(default=3.0, gt=0, le=30)
    """Longest a call may take."""
    connect_timeout_seconds: float = Field(default=1.5, gt=0, le=30)
    """Longest a connection may take."""
    max_response_bytes: int = Field(default=256 * 1024, ge=1024)
    """Longest answer accepted."""
    max_connections: int = Field(default=128, ge=1)
    """Most connections at once."""
    breaker_failures: int = Field(default=5, ge=1)
    """Failures in a row after which the platform is left alone."""
    breaker_open_seconds: float = Field(default=5.0, gt=0)
    """For how long."""
    ca: Path | None = None
    """PEM with the certificates to trust; absent: the system's."""
    unsafe_plain_http: bool = False
    """Allow plain http to another host."""
    secrets: dict[str, Path] = Field(default_factory=dict)
    """Name of a secret → file that only its owner may read."""


class StatusListSettings(SettingsTable):
    """The status lists, by which what is carried can be revoked."""

    path: Path = Path("issued.db")
    """SQLite file with what was issued: an HMAC of the document and an entry each."""
    bits: int = Field(default=1, ge=1, le=2)
    """Of an entry; 2 tells what is on hold from what is revoked."""
    entries: int = Field(default=131_072, ge=1024, le=10_000_000)
    """Of a list; at most half are given out, then the next list is opened."""
    period_seconds: int = Field(default=3 * 3600, ge=3600, le=24 * 3600)
    """How long a list is open."""


class HubSettings(SettingsTable):
    """The hub whose feed is followed, so that attestations of other regions are believed."""

    target: str = Field(pattern=r"^[^\s/]+:[0-9]{1,5}$")
    """``host:port`` of its gRPC door."""
    ca: Path | None = None
    """PEM with the certificates to trust; absent: those gRPC brings."""
    replica: Path = Path("state/feed.replica")
    """Where the replica of the feed is kept."""
    heartbeat_seconds: int = Field(default=15, ge=1, le=300)
    """Longest silence of the feed before the line is taken for dead."""
    max_trust_age_seconds: int = Field(default=24 * 3600, ge=60, le=30 * 86_400)
    """Seconds without news of the hub after which nothing is converted."""
    unsafe_insecure: bool = False
    """Reach it without TLS; for tests and benchmarks only."""


class AdapterSettings(FileSettings):
    """Everything an adapter needs to know about itself."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_ADAPTER_")

    scheme: Path = Path()
    """Folder with ``scheme.yaml`` and ``vectors.yaml``."""
    keys: Path = Path("keys")
    """Folder of private keys."""
    anchor: Path = Path("anchor.json")
    """Trust anchor of the hub."""
    policy: Path | None = None
    """Recognition policy to publish on enrolment (YAML); absent: none."""
    prefixes: tuple[str, ...] = ()
    """Divisions it answers for; empty: those of the scheme."""
    name_zh: str = ""
    """Chinese name of the region; empty: from the division table."""
    name_en: str = ""
    """English name of the region."""
    max_attestation_seconds: int = Field(default=86_400, ge=60, le=86_400)
    """Longest life the hub grants this authority."""
    max_nonces: int = Field(default=2_000_000, ge=1)
    """Nonces remembered, see adapters.sdk.replay."""
    grpc: GrpcSettings = GrpcSettings()
    platform: PlatformSettings
    status: StatusListSettings = StatusListSettings()
    hub: HubSettings | None = None
    """Absent: this adapter converts no code of another region."""

    def resolved(self, folder: Path) -> Self:
        """Return the settings with every relative path taken from ``folder``."""
        grpc = self.grpc
        platform = self.platform
        hub = self.hub
        return self.model_copy(
            update={
                "scheme": folder / self.scheme,
                "keys": folder / self.keys,
                "anchor": folder / self.anchor,
                "policy": folder / self.policy if self.policy else None,
                "grpc": grpc.model_copy(
                    update={
                        "certificate": folder / grpc.certificate,
                        "key": folder / grpc.key,
                        "ca": folder / grpc.ca if grpc.ca else None,
                    }
                ),
                "platform": platform.model_copy(
                    update={
                        "ca": folder / platform.ca if platform.ca else None,
                        "secrets": {n: folder / path for n, path in platform.secrets.items()},
                    }
                ),
                "status": self.status.model_copy(update={"path": folder / self.status.path}),
                "hub": hub
                and hub.model_copy(
                    update={
                        "ca": folder / hub.ca if hub.ca else None,
                        "replica": folder / hub.replica,
                    }
                ),
            }
        )


def load_settings(path: Path) -> AdapterSettings:
    """Read a settings file; a folder stands for the ``adapter.toml`` in it.

    Raises:
        AdapterConfigError: it cannot be read or holds something unknown or out of
            bounds; the message names the field, never the value.
    """
    if path.is_dir():
        path = path / FILE_NAME
    with refused_as(
        AdapterConfigError,
        when_missing="name the folder of a city, or make one with `hutong adapter new`",
    ):
        settings = check_members(AdapterSettings, read_toml(path), path)
    return settings.resolved(path.parent.resolve())
