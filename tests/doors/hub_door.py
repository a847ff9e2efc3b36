"""What the tests of the hub's doors share: a hub, its state, and what it said."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from tests.hub.hub_world import HubWorld, hub_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc

MARKER = "330102199001010059"
"""A synthetic document number, planted in bad input; nothing may repeat it."""

MARKER_WORD = "planted-marker-text"
"""The same in the shape of a word, which no pattern of the redaction knows."""


@dataclass
class Door:
    """A hub and everything that was logged."""

    world: HubWorld
    logs: list[Any] = field(default_factory=list)

    async def state(self) -> dict[str, Any]:
        """Every row of the store but the counts of usage, and the feed."""
        found: dict[str, Any] = {"sequence": self.world.hub.feed.sequence}
        async with self.world.hub.store._engine.connect() as connection:
            names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
            for name in names:
                if name not in {"usage", "usage_counts"}:
                    rows = await connection.exec_driver_sql(f'SELECT * FROM "{name}"')  # noqa: S608 - names from the schema, not from input
                    found[name] = sorted(map(repr, rows.all()))
        return found

    def assert_silent(self, *said: object) -> None:
        """Nothing that was said or logged repeats what was planted."""
        for text in (*map(str, said), repr(self.logs)):
            assert MARKER not in text
            assert MARKER_WORD not in text


@asynccontextmanager
async def hub_door(folder: Path) -> AsyncIterator[Door]:
    with structlog.testing.capture_logs() as logs:
        async with hub_world(folder) as world:
            yield Door(world, logs)


def everything_said(error: grpc.aio.AioRpcError) -> str:
    """Message, details and trailers of a refused call, as one text."""
    trailers = [
        value if isinstance(value, str) else value.decode("utf-8", "replace")
        for metadata in (error.initial_metadata(), error.trailing_metadata())
        for _, value in metadata or ()
    ]
    return " ".join([error.details() or "", error.debug_error_string() or "", *trailers])
