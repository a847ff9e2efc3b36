"""What the tests of the replica share: a refusal changes nothing visible."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.trust.errors import FeedError
from gateway.trust.replica import FeedReplica

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.trust.feed import FeedKind
    from tests.trust.simulator import (
        FederationSimulator,
    )


MINUTE = timedelta(minutes=1)


def refused(replica: FeedReplica, attempt: Callable[[], object], code: str) -> None:
    """Tries and holds everything visible of the replica against what it was."""
    before = (replica.to_bytes(), replica.sequence, replica.digest, replica.as_of)
    bundle = replica.bundle
    with pytest.raises(FeedError) as caught:
        attempt()
    assert caught.value.code == code
    assert (replica.to_bytes(), replica.sequence, replica.digest, replica.as_of) == before
    assert replica.bundle is bundle


def refuses_entry(federation: FederationSimulator, token: str, code: str) -> None:
    replica = federation.replica()
    refused(replica, lambda: replica.apply_entry(token, federation.now), code)


def refuses_next(
    federation: FederationSimulator,
    kind: FeedKind,
    subject: str,
    body: dict[str, Any],
    code: str = "FEED_MALFORMED",
) -> None:
    """Neither a chain nor a snapshot with this further entry is accepted."""
    replica = federation.replica()
    entry = federation.append(kind, subject, body)
    refused(replica, lambda: replica.apply_entry(entry.token, federation.now), code)
    refused(replica, lambda: replica.load_snapshot(*federation.snapshot(), federation.now), code)
    if code == "FEED_MALFORMED":
        fresh = FeedReplica(federation.anchor)
        refused(fresh, lambda: fresh.load_snapshot(*federation.snapshot(), federation.now), code)
