"""Which token keys of the hub an adapter goes by: of the feed, or of the file as it is now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.sdk.hub_anchor import GrantKeys
from adapters.sdk.replica import HubReplica, ReplicaSettings
from gateway.trust import KeyUse
from tests.trust.hub_keys_world import ChangingHub

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2020, 4, 1, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self) -> None:
        self.now += timedelta(seconds=2)


@pytest.fixture
def hub() -> ChangingHub:
    made = ChangingHub()
    made.add_region("330100")
    made.tick(60)
    return made


def said(hub: ChangingHub) -> set[str]:
    return {key.key_id for key in hub.keys if key.use is KeyUse.TOKEN}


def test_a_newer_anchor_is_taken_up_while_the_adapter_runs(
    hub: ChangingHub, tmp_path: Path
) -> None:
    clock, path = Clock(), tmp_path / "anchor.json"
    path.write_bytes(hub.anchor.to_bytes())
    keys = GrantKeys(hub.anchor, path, None, clock=clock)
    first = said(hub)
    assert set(keys()) == first
    hub.rotate(KeyUse.TOKEN)
    path.with_name("new").write_bytes(hub.anchor_now().to_bytes())
    path.with_name("new").replace(path)
    clock.tick()
    assert set(keys()) == said(hub) != first


@pytest.mark.parametrize("what", ["broken", "gone", "older", "foreign"])
def test_what_is_no_newer_anchor_of_the_hub_changes_nothing(
    hub: ChangingHub, tmp_path: Path, what: str
) -> None:
    clock, path = Clock(), tmp_path / "anchor.json"
    first = hub.anchor.to_bytes()
    hub.rotate(KeyUse.TOKEN)
    path.write_bytes(hub.anchor_now().to_bytes())
    keys = GrantKeys(hub.anchor_now(), path, None, clock=clock)
    foreign = ChangingHub()
    foreign.hub = "urn:hutong:hub:330000"
    foreign.rotate(KeyUse.TOKEN)
    foreign.rotate(KeyUse.TOKEN)
    data = {"broken": b"{", "older": first, "foreign": foreign.anchor_now().to_bytes()}
    path.unlink()
    if what in data:
        path.write_bytes(data[what])
    clock.tick()
    assert set(keys()) == said(hub)


def test_an_adapter_that_follows_the_feed_has_them_from_there(
    hub: ChangingHub, tmp_path: Path
) -> None:
    settings = ReplicaSettings(target="127.0.0.1:1", path=tmp_path / "feed.replica")
    followed = hub.replica()
    for entry in (hub.rotate(KeyUse.FEED), hub.rotate(KeyUse.TOKEN)):
        followed.apply_entry(entry.token, hub.now)
    settings.path.write_bytes(followed.to_bytes())
    replica = HubReplica(hub.anchor, settings, clock=lambda: hub.now)
    assert replica.hub_keys() is None
    replica._store.load(hub.now)
    keys = GrantKeys(hub.anchor, None, replica, clock=lambda: hub.now)
    assert set(keys()) == said(hub)
    assert set(keys()) == said(hub)
