"""What the tests of the registry share: refusals, and what a reader makes of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.errors import HutongError
from gateway.trust.replica import FeedReplica

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from tests.hub.hub_world import (
        RegistryWorld,
    )


async def refused(work: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(HutongError) as caught:
        await work
    return caught.value.code


def replica_of(world: RegistryWorld) -> FeedReplica:
    """What an honest reader makes of the hub's snapshot."""
    replica = FeedReplica(world.feed.anchor)
    snapshot = world.feed.snapshot()
    replica.load_snapshot(snapshot.manifest, snapshot.entries, world.clock())
    return replica
