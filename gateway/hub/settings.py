"""Settings of one hub: ``hub.toml``.

The only module of the hub that reads the environment: every field may be given
as ``HUTONG_HUB_<FIELD>``, a field of a table as ``HUTONG_HUB_<TABLE>__<FIELD>``,
and then wins over the file. Relative paths, and the path of a SQLite store, are
taken from the folder of the file. Unknown members are refused, so that a typing
error never becomes a default::

    urn = "urn:hutong:hub:000000"
    store = "sqlite:///hub.db"

    [grpc]
    host = "127.0.0.1"
    port = 7443

    [http]
    host = "127.0.0.1"
    port = 7480
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.hub.errors import HubSetupError
from gateway.trust.names import hub_of, is_hub_urn, region_of
from gateway.wire.files import refused_as
from gateway.wire.settings_file import (
    FileSettings,
    SettingsTable,
    check_members,
    parse_toml,
    read_toml,
)

FILE_NAME: Final = "hub.toml"


class GrpcSettings(SettingsTable):
    """The gRPC door."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=7443, ge=0, le=65535)
    """Port; zero lets the system choose one."""
    max_concurrent_calls: int = Field(default=10_000, ge=1)
    """Calls in flight, watchers of the feed included."""
    drain_seconds: float = Field(default=20.0, ge=0, le=600)
    """Longest a stop waits for calls in flight."""
    enrolments_per_minute: int = Field(default=600, ge=1)
    """Enrolments taken from one address: anybody may send them."""
    reflection: bool = False
    """Serve gRPC reflection; off in production."""


class HttpSettings(SettingsTable):
    """The HTTP door."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=7480, ge=0, le=65535)
    """Port; zero lets the system choose one."""
    public_url: str | None = None
    """Where clients reach it, ``https://hub.example``; absent: ``https://localhost:PORT``."""
    requests_per_minute: int = Field(default=600, ge=1)
    """Token requests from one address before the client is known."""

    @field_validator("public_url")
    @classmethod
    def _public_url_is_https(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith("https://") or "?" in value or "#" in value:
            raise ValueError("must be an https address without query or fragment")
        return value.rstrip("/")


class TokenSettings(SettingsTable):
    """Access tokens."""

    lifetime_seconds: int = Field(default=600, ge=60, le=3600)
    """Life of an access token; a suspension counts at once all the same."""
    tokens_per_minute: int = Field(default=60, ge=1)
    """Tokens one client may fetch; a client that caches needs one in eight minutes."""


class FeedSettings(SettingsTable):
    """The feed."""

    retention_entries: int = Field(default=10_000, ge=1)
    """Newest entries a reader may continue after; older ones only if still in force."""
    watcher_queue: int = Field(default=256, ge=1)
    """Frames that wait for one slow reader before it is cut and must start over."""
    stall_seconds: float = Field(default=20.0, gt=0)
    """How long a cut reader may block its stream before the stream is ended."""
    follow_seconds: float = Field(default=30.0, gt=0, le=300)
    """Longest a hub on a shared database goes without looking for what another process
    wrote. Notices of the database make it look at once; this is for lost ones."""
    refresh_seconds: int = Field(default=15, ge=1, le=3600)
    """Longest a connected reader goes without a word of the feed."""


class TlsSettings(SettingsTable):
    """TLS of both doors."""

    certificate: Path = Path("tls/hub.pem")
    """PEM with the certificate chain."""
    key: Path = Path("tls/hub-key.pem")
    """PEM with the private key."""


class KeySettings(SettingsTable):
    """Private keys of the hub."""

    feed: Path = Path("keys/feed.json")
    """Private JWK that signs the feed."""
    token: Path = Path("keys/token.json")
    """Private JWK that signs access tokens and grants."""
    lead_periods: int = Field(default=4, ge=3, le=5)
    """Refresh periods of the feed between the publication of a member's new key and its
    first use (SPIFFE: three to five)."""


class ConstraintSettings(SettingsTable):
    """What this hub allows one authority: ``[constraints."urn:hutong:region:330100"]``."""

    kinds: frozenset[Literal["attestation", "scheme", "policy", "status"]] = frozenset(
        {"attestation", "scheme", "policy", "status"}
    )
    """What it, or whoever stands below it, may sign."""
    max_attestation_seconds: int = Field(default=86_400, ge=60, le=86_400)
    """Longest life of an attestation of it."""
    path_length: int = Field(default=0, ge=0, le=4)
    """Of a hub: how many hubs may stand below it, one under another."""


class HubSettings(FileSettings):
    """Everything a hub needs to know about itself."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_HUB_")

    urn: str
    """URN of this hub; without a default, so that an emptied file is no hub."""
    store: str = "sqlite:///hub.db"
    """DSN of the store: ``sqlite:///…`` or ``postgresql://…``."""
    challenge_seconds: int = Field(default=600, ge=60, le=24 * 3600)
    """Time an enrolling member has to open its challenges."""
    approvals_needed: int = Field(default=2, ge=1, le=16)
    """Different operators who must approve a new member. A further operator needs no more
    than there are, so that a new hub can have a second one."""
    grpc: GrpcSettings = GrpcSettings()
    http: HttpSettings = HttpSettings()
    tokens: TokenSettings = TokenSettings()
    feed: FeedSettings = FeedSettings()
    tls: TlsSettings = TlsSettings()
    keys: KeySettings = KeySettings()
    superior: Path = Path("superior/superior.toml")
    """How the hub above is reached; absent: this hub stands below none. What is kept of
    the feeds that are passed on stands in ``relays`` beside its folder."""

    constraints: dict[str, ConstraintSettings] = Field(default_factory=dict)
    """What this hub allows authorities, by URN; one that is not named may do everything
    but have hubs below it. A change takes effect at the next start."""

    @field_validator("constraints")
    @classmethod
    def _constraints_name_authorities(
        cls, value: dict[str, ConstraintSettings]
    ) -> dict[str, ConstraintSettings]:
        for urn, bounds in value.items():
            if hub_of(urn) is None and (region_of(urn) is None or bounds.path_length):
                raise ValueError("names hubs, and regions without path_length")
        return value

    @field_validator("urn")
    @classmethod
    def _urn_names_a_hub(cls, value: str) -> str:
        if not is_hub_urn(value):
            raise ValueError("must look like urn:hutong:hub:000000")
        return value

    def resolved(self, directory: Path) -> Self:
        """Return these settings with every path taken from ``directory``."""
        return self.model_copy(
            update={
                "store": _resolve_dsn(self.store, directory),
                "superior": directory / self.superior,
                "tls": TlsSettings(
                    certificate=directory / self.tls.certificate, key=directory / self.tls.key
                ),
                "keys": self.keys.model_copy(
                    update={
                        "feed": directory / self.keys.feed,
                        "token": directory / self.keys.token,
                    }
                ),
            }
        )

    @property
    def lead(self) -> timedelta:
        """Between the publication of a member's new key and its first use."""
        return timedelta(seconds=self.feed.refresh_seconds * self.keys.lead_periods)


def load_settings(directory: Path) -> HubSettings:
    """Read ``hub.toml`` of a directory and the environment.

    Raises:
        HubSetupError: the file is missing, too large or malformed, or a member is
            unknown or out of range; the message names the member, never its value.
    """
    path = directory / FILE_NAME
    with refused_as(HubSetupError, when_missing=f"make one: hutong hub init --dir {directory}"):
        return _checked(read_toml(path), path)


def parse_settings(text: str, directory: Path) -> HubSettings:
    """Read the text of a ``hub.toml`` that stands, or will stand, in a directory.

    Raises:
        HubSetupError: as :func:`load_settings`.
    """
    path = directory / FILE_NAME
    with refused_as(HubSetupError):
        return _checked(parse_toml(text, path), path)


def _checked(members: dict[str, Any], path: Path) -> HubSettings:
    return check_members(HubSettings, members, path).resolved(path.parent)


def _resolve_dsn(dsn: str, directory: Path) -> str:
    scheme, separator, path = dsn.partition(":///")
    if separator and scheme.startswith("sqlite") and path and not path.startswith("/"):
        return f"{scheme}:///{directory.absolute() / path}"
    return dsn
