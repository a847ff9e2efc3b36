"""By which trust a catalogue is read, where it is kept, and how far a command is.

The trust is the replica of the hub's feed that a checkpoint or an adapter keeps on this
machine: named by a ``checkpoint.toml``, or by anchor, replica and region.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.catalogue import CatalogueError, CatalogueFault, CatalogueUseError
from gateway.catalogue.judging import Reader
from gateway.catalogue.store import sqlite_dsn
from gateway.cli.terminal import stderr
from gateway.codes import parse_division, region_urn
from gateway.edge import CheckpointSettings, load_settings
from gateway.edge.settings import default_settings_path
from gateway.trust import TrustBundle, parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.wire.files import read_bounded, refused_as
from gateway.wire.replica_store import ReplicaStore

DEFAULT_TRUST_SECONDS: Final = 24 * 3600
"""As a checkpoint's ``max_trust_age_seconds``."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says about this machine.

    Attributes:
        config: checkpoint.toml; None: the usual one, unless the next three are given.
        anchor: trust anchor.
        replica: replica of the feed.
        region: division that reads.
        store: file or DSN of the store; None: ``catalogue_file`` of the settings.
    """

    config: Path | None
    anchor: Path | None
    replica: Path | None
    region: str | None
    store: str | None

    def reader(self, *, max_age_hours: int, allow_gap: bool, allow_empty: bool = False) -> Reader:
        """Who reads, and by which trust.

        Raises:
            HutongError: a file cannot be used, or the trust is too old.
        """
        now = datetime.now(UTC)
        if self.anchor is not None and self.replica is not None and self.region is not None:
            region = parse_division(self.region)
            bundle = load_trust(self.anchor, self.replica, now, DEFAULT_TRUST_SECONDS)
        elif self.anchor is not None or self.replica is not None:
            raise CatalogueUseError("name --anchor, --replica and --region together, or --config")
        else:
            settings = self._settings()
            region = settings.region if self.region is None else parse_division(self.region)
            bundle = load_trust(
                settings.trust_anchor,
                settings.replica_file,
                now,
                settings.max_trust_age_seconds,
            )
        max_age = timedelta(hours=max_age_hours)
        return Reader(
            audience=region_urn(region),
            bundle=bundle,
            now=now,
            max_age=max_age,
            allow_gap=allow_gap,
            allow_empty=allow_empty,
        )

    def dsn(self) -> str:
        """Where catalogues are kept.

        Raises:
            HutongError: nothing says where.
        """
        if self.store is not None:
            is_dsn = ":" in self.store.split("/", 1)[0]
            return self.store if is_dsn else sqlite_dsn(Path(self.store))
        kept = self._settings().catalogue_file
        if kept is None:
            raise CatalogueUseError(
                "nothing says where catalogues are kept",
                fix="name a file with --store, or write `catalogue_file` into checkpoint.toml",
            )
        return sqlite_dsn(kept)

    def _settings(self) -> CheckpointSettings:
        return load_settings(self.config or default_settings_path())


def load_trust(anchor: Path, replica: Path, now: datetime, max_seconds: int) -> TrustBundle:
    """Whom to believe, as the replica on this machine says.

    Raises:
        CatalogueUseError: a file cannot be read.
        CatalogueError: CATALOGUE_TRUST_TOO_OLD, the hub was not heard of for too long.
        TrustError: the anchor is malformed, or there is no replica of its hub.
    """
    with refused_as(CatalogueUseError):
        store = ReplicaStore(
            replica, parse_anchor(read_bounded(anchor, MAX_ANCHOR_BYTES, "trust anchor"))
        )
        store.load(now)
    bundle = store.bundle
    age = store.age_seconds(now)
    if age is None or age > max_seconds:
        raise CatalogueError(
            "this machine has not heard of its hub for too long to believe a key",
            code=CatalogueFault.CATALOGUE_TRUST_TOO_OLD,
            fix="hutong checkpoint sync",
        )
    return bundle


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many rows are done; give what is told of it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda rows: shown.update(task, completed=rows)
