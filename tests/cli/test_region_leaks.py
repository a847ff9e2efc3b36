"""A key that leaks is followed at once, also while a rotation is under way."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.sdk.keys import load_keys
from gateway.cli import region_files, region_keys
from gateway.cli.region_ending import find_key, move_key
from gateway.cli.region_files import pending
from gateway.cli.region_line import Region
from gateway.trust.keys import KeyState
from tests.cli.region_hub import URN, Hub, KilledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


pytestmark = pytest.mark.asyncio

SLOTS = ["attest", "state", "authenticate", "seal"]


@pytest.mark.parametrize("word", ["taint", "revoke"])
@pytest.mark.parametrize("slot", SLOTS)
async def test_a_leaked_key_is_replaced_in_the_same_change(hub: Hub, slot: str, word: str) -> None:
    line: Any = hub
    place = Region(URN, hub.folder, line)
    used = load_keys(hub.folder, now=hub.now)
    old = used.seal[0] if slot == "seal" else getattr(used, slot)
    since = hub.now - timedelta(hours=1) if word == "taint" else None
    moved = await move_key(
        place, old.key_id[:8], (word, since, "synthetic"), may_replace=True, now=hub.now
    )
    assert hub.calls == ["add"]
    assert moved.replaced is not None
    assert [key.key_id for key in hub.live(slot)] == [moved.replaced.key_id]
    used = load_keys(hub.folder, now=hub.now)
    ids = [key.key_id for key in used.seal] if slot == "seal" else [getattr(used, slot).key_id]
    assert moved.replaced.key_id in ids


@pytest.mark.parametrize("word", ["taint", "revoke"])
@pytest.mark.parametrize("slot", SLOTS)
async def test_a_key_that_leaks_during_a_rotation_is_replaced_at_once(
    hub: Hub, slot: str, word: str
) -> None:
    old = hub.used(slot)
    coming = (await hub.rotate(slot)).key_id
    moved = await hub.end(old, word, hub.now if word == "taint" else None)
    assert moved.replaced is not None
    new = moved.replaced.key_id
    assert moved.dropped == (coming,)
    assert hub.key(coming).state(hub.now) is KeyState.REVOKED
    assert [key.key_id for key in hub.live(slot)] == [new]
    assert (hub.key(new).not_before, hub.used(slot)) == (hub.now, new)
    # Nor is the one that was to come taken when its time is there.
    hub.now += timedelta(hours=1)
    assert hub.used(slot) == new
    after = await hub.rotate(slot)
    assert not after.resumed
    assert [key_id for key_id, _ in after.retired] == [new]


def stopped_rotation(hub: Hub, how: str) -> None:
    """Let the next rotation end with its key made, published, or named."""
    hub.dies_before, hub.dies_after = {
        "made": ("add", ""),
        "published": ("", "add"),
        "named": ("retire", ""),
        "whole": ("", ""),
    }[how]


@pytest.mark.parametrize("late", [timedelta(0), timedelta(minutes=30)], ids=["at once", "late"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["add", "set_aside", "name"])
@pytest.mark.parametrize("rotation", ["made", "published", "named", "whole"])
@pytest.mark.parametrize("slot", ["attest", "state", "seal"])
async def test_killed_while_a_leaked_key_is_replaced_the_next_run_finishes_it(
    hub: Hub,
    slot: str,
    rotation: str,
    step: str,
    moment: str,
    late: timedelta,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = hub.used(slot)
    stopped_rotation(hub, rotation)
    with pytest.raises(KilledError) if rotation != "whole" else nullcontext():
        await hub.rotate(slot)
    hub.dies_before = hub.dies_after = ""
    if step == "add":
        stopped_rotation(hub, "made" if moment == "before" else "published")
    else:
        real: Callable[..., Any] = getattr(region_files, step)

        def dies(*words: Any, **named: Any) -> Any:
            if moment == "after":
                real(*words, **named)
            raise KilledError

        monkeypatch.setattr(region_keys, step, dies)
    since = hub.now
    with pytest.raises(KilledError):
        await hub.end(old, "taint", since)
    monkeypatch.undo()
    hub.dies_before = hub.dies_after = ""

    hub.now += late
    await hub.end(old, "taint", since)
    assert hub.key(old).state(hub.now) is KeyState.TAINTED
    # What is left over, where the rotation had taken effect meanwhile, nobody ever saw.
    left = pending(hub.folder, slot)
    assert left is None or left.key.key_id not in {key.key_id for key in hub.record.keys}
    (one,) = hub.live(slot)
    assert one.key_id == hub.used(slot)
    assert one.state(hub.now) is KeyState.ACTIVE
    hub.now += timedelta(days=2)
    assert hub.used(slot) == one.key_id
    # And once more changes nothing at all.
    calls = list(hub.calls)
    assert (await hub.end(old, "taint", since)).replaced is None
    assert hub.calls == calls


async def test_a_key_to_come_that_leaks_leaves_a_word_that_nothing_follows(hub: Hub) -> None:
    old = hub.used("attest")
    coming = await hub.rotate()
    moved = await hub.end(coming.key_id, "revoke")
    assert (moved.replaced, moved.gap_from) == (None, coming.begins)
    assert [key.key_id for key in hub.live("attest")] == [old]
    after = await hub.rotate(begin_in=timedelta(minutes=5))
    assert not after.resumed
    hub.now = after.begins
    assert hub.used("attest") == after.key_id


async def test_a_taint_without_replacement_is_taken_back(hub: Hub) -> None:
    line: Any = hub
    place = Region(URN, hub.folder, line)
    old = load_keys(hub.folder, now=hub.now).attest
    taint = ("taint", hub.now, "synthetic")
    await move_key(place, old.key_id, taint, may_replace=False, now=hub.now)
    assert hub.live("attest") == []
    hub.now += timedelta(seconds=1)
    await move_key(place, old.key_id, ("untaint", None, "x"), may_replace=True, now=hub.now)
    assert [key.key_id for key in hub.live("attest")] == [old.key_id]
    for begin in (old.key_id[:3], "", "nothing"):
        with pytest.raises(Exception, match="no single key"):
            find_key((await hub.standing()).keys, begin)
