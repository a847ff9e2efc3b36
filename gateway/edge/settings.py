"""Settings of one checkpoint: ``checkpoint.toml``.

The only module of the edge that reads the environment: every field may be given
as ``HUTONG_CHECKPOINT_<FIELD>`` and then wins over the file; the file itself is
named by ``--config`` or ``HUTONG_CHECKPOINT_CONFIG``. Relative paths are taken
from the folder of the file. Unknown members are refused, so a typing error never
becomes a default::

    urn = "urn:hutong:checkpoint:440100:north-gate"
    region = "440100"
    hub = "hub.example:7443"
    http = "https://hub.example:7480"
    ca_file = "hub-ca.pem"
    trust_anchor = "anchor.json"
    key_file = "checkpoint-key.json"
    state_dir = "state"
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from gateway.codes import parse_division
from gateway.edge.errors import SettingsError
from gateway.errors import HutongError
from gateway.wire.files import refused_as
from gateway.wire.settings_file import FileSettings, check_members, read_toml

if TYPE_CHECKING:
    from typing import Self

_URN = re.compile(r"urn:hutong:checkpoint:(?P<region>[0-9]{6}):[a-z0-9][a-z0-9-]{0,63}")
_REGION_URN = re.compile(r"urn:hutong:region:(?P<region>[0-9]{6})")
_TARGET = re.compile(r"(?:\[[0-9a-fA-F:]{2,39}\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}")

_PATHS = ("ca_file", "trust_anchor", "key_file", "state_dir", "catalogue_file", "packs_dir")
"""Members that name files, relative to the settings' own."""

PurposeName = Literal["CHECKPOINT", "TRANSPORT", "WORKPLACE", "VENUE", "PLATFORM"]
"""Purposes a checkpoint may declare as its own; HOLDER is what ``fetch`` and ``convert``
declare. PLATFORM is a region's alone, whose platform asks under the region's own name."""


class CheckpointSettings(FileSettings):
    """Everything a checkpoint needs to know about itself and its hub."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_CHECKPOINT_")

    urn: str
    """URN under which this checkpoint is enrolled; a region's own for its platform."""
    region: str
    """Six digits of the division it stands in: whose policy it applies."""
    hub: str
    """gRPC target of the hub, ``host:port``."""
    http: str
    """Base address of the hub's HTTP door, where access tokens are issued."""
    ca_file: Path | None = None
    """PEM of the authority that signed the hub's certificate; absent: the system's."""
    trust_anchor: Path
    """JSON with the hub's public keys, obtained out of band: the root of all trust here."""
    key_file: Path
    """Private JWK that authenticates this checkpoint, readable by its owner only."""
    state_dir: Path
    """Folder of the replica, the record and the guard against replays."""
    catalogue_file: Path | None = None
    """SQLite store of taken catalogues; absent: none is looked into.

    Whom it lists as not green is referred to a person even with a green that was
    carried here since; it makes nobody green.
    """
    packs_dir: Path | None = None
    """Folder looked into for air-gapped packs (``*.pack``) when the checkpoint opens: a
    stick. Absent: packs are loaded with ``hutong checkpoint pack load`` alone."""
    display_name: str = Field(default="", max_length=128)
    """Name shown to the hub's operators on enrolment."""
    purpose: PurposeName = "CHECKPOINT"
    """Why this checkpoint asks; the hub holds it against what was approved."""
    max_trust_age_seconds: int = Field(default=24 * 3600, ge=60, le=30 * 24 * 3600)
    """Seconds without news of the hub after which everything is referred to a person.

    Inclusive: at exactly this age the trust still holds. A policy may be stricter.
    """
    question_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """Seconds a question may take; the wire allows 60."""
    heartbeat_seconds: int = Field(default=15, ge=1, le=300)
    """Longest silence of the feed before the line is taken for dead."""
    max_in_flight: int = Field(default=8192, ge=1, le=65536)
    """Questions in flight at once; more are refused with OVERLOADED."""

    @field_validator("urn")
    @classmethod
    def _urn_names_a_checkpoint(cls, value: str) -> str:
        if (_URN.fullmatch(value) or _REGION_URN.fullmatch(value)) is None:
            raise ValueError("must look like urn:hutong:checkpoint:440100:north-gate")
        return value

    @field_validator("region")
    @classmethod
    def _region_exists(cls, value: str) -> str:
        try:
            return parse_division(value)
        except HutongError as error:
            raise ValueError(str(error)) from None

    @field_validator("hub")
    @classmethod
    def _hub_is_a_target(cls, value: str) -> str:
        if _TARGET.fullmatch(value) is None:
            raise ValueError("must be host:port, without a scheme")
        return value

    @field_validator("http")
    @classmethod
    def _http_is_a_base_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise ValueError("must be an http(s) address, for example https://hub.example:7480")
        if parts.username or parts.password:
            raise ValueError("must not carry a user or a password")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _urn_and_region_agree(self) -> Self:
        match = _URN.fullmatch(self.urn) or _REGION_URN.fullmatch(self.urn)
        if match is not None and match["region"] != self.region:
            # The registry admits a checkpoint only where its name says it stands.
            raise ValueError("region is not the one that urn names")
        is_region = _REGION_URN.fullmatch(self.urn) is not None
        if is_region != (self.purpose == "PLATFORM"):
            # So does the registry (gateway.hub.members): better told here than by a refusal.
            raise ValueError(
                "urn and purpose disagree: a region, and nobody else, asks for PLATFORM"
            )
        return self

    @property
    def replica_file(self) -> Path:
        """The replica of the feed."""
        return self.state_dir / "feed.replica"

    @property
    def record_file(self) -> Path:
        """The append-only record of decisions, without personal values."""
        return self.state_dir / "decisions.jsonl"

    @property
    def seen_file(self) -> Path:
        """Carried attestations already admitted here."""
        return self.state_dir / "admitted.log"

    @property
    def status_folder(self) -> Path:
        """Base status lists, by their digests."""
        return self.state_dir / "status"

    @property
    def packs_folder(self) -> Path:
        """Air-gapped packs that were taken in."""
        return self.state_dir / "packs"

    @property
    def unreported_file(self) -> Path:
        """Admissions that the hub was not told: tags and times."""
        return self.state_dir / "unreported.queue"

    @property
    def conflicts_file(self) -> Path:
        """Admissions that another checkpoint's showing contradicts."""
        return self.state_dir / "conflicts.jsonl"

    @property
    def enrolment_file(self) -> Path:
        """The enrolment id, kept until the hub's operator has decided."""
        return self.state_dir / "enrolment.json"


def default_settings_path() -> Path:
    """Where settings are looked for when ``--config`` is not given."""
    return Path(os.environ.get("HUTONG_CHECKPOINT_CONFIG", "checkpoint.toml"))


def load_settings(path: Path) -> CheckpointSettings:
    """Read ``checkpoint.toml``.

    Raises:
        SettingsError: the file is missing, not TOML, not UTF-8, too large, or a
            member is missing, unknown or out of bounds. The message names the
            member, never its value.
    """
    with refused_as(
        SettingsError,
        when_missing="write it with `hutong checkpoint init`, or name it with --config",
    ):
        members = read_toml(path)
        base = path.resolve().parent
        for name in (
            "ca_file",
            "trust_anchor",
            "key_file",
            "state_dir",
            "catalogue_file",
            "packs_dir",
        ):
            if isinstance(members.get(name), str):
                members[name] = base / _at_home(members[name])
        return check_members(CheckpointSettings, members, path)


def _at_home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody of that name; the file will not be there either
        return Path(text)
