"""A rotation that is stopped anywhere is finished, or begun anew, by the next run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.sdk.keys import key_files, load_keys
from gateway.attestation.sealing_keys import Profile
from gateway.cli import region_files, region_keys
from gateway.cli.region_files import name_published, pending, slots_of
from gateway.cli.region_keys import Rehearsed
from gateway.cli.region_view import (
    is_well,
    print_rotated,
    print_standing,
    show_rehearsal,
    standing_to_json,
)
from gateway.trust import KeyUse
from gateway.trust.errors import KeyChangeError
from gateway.trust.key_life import KEY_LIVES
from gateway.wire.key_change import HubReaders, RehearsalView
from tests.cli.region_hub import START, Hub, KilledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("slot", ["attest", "state", "authenticate"])
async def test_the_next_key_is_rehearsed_published_named_and_the_old_one_retired(
    hub: Hub, slot: str
) -> None:
    old = getattr(load_keys(hub.folder, now=hub.now), slot)
    done = await hub.rotate(slot)
    assert hub.calls == ["rehearse", "add", "retire"]
    begins = START + timedelta(minutes=10)
    assert (done.begins, done.retired) == (begins, ((old.key_id, begins),))
    assert list(key_files(hub.folder, slot)) == [0, int(begins.timestamp())]
    assert pending(hub.folder, slot) is None
    hub.now = begins - timedelta(seconds=1)
    assert getattr(load_keys(hub.folder, now=hub.now), slot).key_id == old.key_id
    hub.now = begins
    assert getattr(load_keys(hub.folder, now=hub.now), slot).key_id == done.key_id
    assert [key.key_id for key in hub.live(slot)] == [done.key_id]
    # And the one after it, signed by the new statement key where that was rotated.
    after = await hub.rotate(slot)
    assert not after.resumed
    assert after.retired == ((done.key_id, after.begins),)


@pytest.mark.parametrize("slot", ["attest", "seal"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["rehearse", "add", "name", "retire"])
@pytest.mark.parametrize("late", [timedelta(0), timedelta(minutes=30)], ids=["at once", "late"])
async def test_killed_anywhere_the_next_run_comes_to_the_same(
    hub: Hub,
    slot: str,
    moment: str,
    step: str,
    late: timedelta,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if slot == "seal" and step == "rehearse":
        pytest.skip("a sealing key signs nothing that could be rehearsed")
    if step == "name":
        name: Callable[[Any], Any] = region_files.name

        def dies(held: Any) -> Any:
            if moment == "after":
                name(held)
            raise KilledError

        monkeypatch.setattr(region_keys, "name", dies)
    elif moment == "before":
        hub.dies_before = step
    else:
        hub.dies_after = step
    with pytest.raises(KilledError):
        await hub.rotate(slot)
    monkeypatch.undo()
    hub.dies_before = hub.dies_after = ""

    # Whatever is in use meanwhile is in the feed, and believed.
    hub.now += late
    standing = await hub.standing()
    used = load_keys(hub.folder, now=hub.now)
    ids = {key.key_id for key in used.seal} if slot == "seal" else {getattr(used, slot).key_id}
    live = {key.key_id for key in hub.live(slot)}
    named = {held.key.key_id for held in name_published(hub.folder, standing)}
    assert ids & live or named & live

    await hub.rotate(slot)
    assert pending(hub.folder, slot) is None
    hub.now += timedelta(days=2)
    (one,) = hub.live(slot)
    used = load_keys(hub.folder, now=hub.now)
    last = used.seal[-1] if slot == "seal" else getattr(used, slot)
    assert one.key_id == last.key_id
    assert one.key_id in {key.key_id for key in used.seal} if slot == "seal" else True
    # What had been finished long ago is followed by another one.
    was_done = bool(late) and (moment, step) == ("after", "retire")
    assert len(key_files(hub.folder, slot)) == (3 if was_done else 2)


async def test_a_rotation_that_is_under_way_is_not_begun_twice(hub: Hub) -> None:
    first = await hub.rotate()
    again = await hub.rotate()
    assert (again.resumed, again.key_id, again.begins) == (True, first.key_id, first.begins)
    assert hub.calls.count("add") == 1


async def test_an_edge_that_fails_stops_it_unless_forced(hub: Hub) -> None:
    hub.result = RehearsalView(1, (("urn:hutong:checkpoint:330100:gate", "KEY_MALFORMED"),), ())
    stopped = await hub.rotate()
    assert stopped.stopped
    assert hub.calls == ["rehearse"]
    kept = pending(hub.folder, "attest")
    assert kept is not None
    forced = await hub.rotate(force=True)
    # The same key: what was rehearsed is what is published.
    assert forced.key_id == kept.key.key_id
    assert not forced.stopped


@pytest.mark.parametrize("goes_on", [True, False])
async def test_silent_edges_are_waited_for_and_then_somebody_is_asked(
    hub: Hub, goes_on: bool
) -> None:
    hub.result = RehearsalView(1, (), ("urn:hutong:checkpoint:330100:gate",))
    done = await hub.rotate(goes_on=goes_on)
    assert hub.now == START + timedelta(seconds=5)
    assert len(hub.asked) == 1
    assert bool(done.stopped) is not goes_on


FAR = HubReaders("urn:hutong:hub:440000", 3, 2, (("KEY_TYPE", 1),), 0, 0)
"""Three edges of Guangdong, one of which would not follow."""


async def test_an_edge_of_another_hub_that_fails_stops_it_too(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.result = RehearsalView(2, (), (), (FAR,))
    stopped = await hub.rotate()
    assert stopped.stopped
    assert hub.calls == ["rehearse"]
    show_rehearsal(Rehearsed(2, hub.result))
    shown = capsys.readouterr().err
    assert f"{FAR.hub}: 2 verified, 1 failing; 1 of them KEY_TYPE, 0 silent of 3" in shown
    assert not (await hub.rotate(force=True)).stopped


async def test_readers_that_are_no_edges_are_not_waited_for_to_the_end(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_keys, "SPOKEN_SECONDS", 3.0)
    # One of the two that are connected: the other is a hub, and never says a word.
    hub.result = RehearsalView(1, (), ())
    done = await hub.rotate()
    assert not done.stopped
    assert hub.asked == []
    assert hub.now == START + timedelta(seconds=3)


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize(
    ("elsewhere", "unknown"),
    [((replace(FAR, failing=(), silent=1),), ()), ((), ("urn:hutong:hub:440000",))],
)
async def test_silent_edges_of_another_hub_and_a_hub_that_is_away_are_asked_about(
    hub: Hub, elsewhere: tuple[HubReaders, ...], unknown: tuple[str, ...], goes_on: bool
) -> None:
    hub.result = RehearsalView(2, (), (), elsewhere, unknown)
    done = await hub.rotate(goes_on=goes_on)
    assert hub.now == START + timedelta(seconds=5)
    assert len(hub.asked) == 1
    assert bool(done.stopped) is not goes_on


async def test_a_lead_time_that_is_too_short_changes_nothing_and_keeps_the_key(hub: Hub) -> None:
    with pytest.raises(KeyChangeError) as caught:
        await hub.rotate(begin_in=timedelta(seconds=5))
    assert caught.value.code == "LEAD_TIME_TOO_SHORT"
    kept = pending(hub.folder, "attest")
    assert kept is not None
    assert list(key_files(hub.folder, "attest")) == [0]
    assert (await hub.rotate()).key_id == kept.key.key_id


async def test_each_sealing_profile_follows_its_own(tmp_path: Path) -> None:
    hub = Hub(tmp_path, (Profile.HPKE, Profile.JWE))
    assert slots_of(tmp_path, KeyUse.SEAL) == ["seal", "seal-jwe"]
    old = {key.profile: key.key_id for key in load_keys(tmp_path, now=hub.now).seal}
    for slot in slots_of(tmp_path, KeyUse.SEAL):
        done = await hub.rotate(slot)
        profile = Profile.JWE if slot == "seal-jwe" else Profile.HPKE
        assert [key_id for key_id, _ in done.retired] == [old[profile]]
        assert done.retired[0][1] == done.begins + timedelta(days=1)
    assert slots_of(tmp_path, KeyUse.SEAL) == ["seal", "seal-jwe"]
    assert len(load_keys(tmp_path, now=hub.now).seal) == 4


@pytest.mark.parametrize("slot", ["attest", "state", "authenticate", "seal"])
async def test_a_new_key_has_an_end(hub: Hub, slot: str) -> None:
    use = KeyUse(slot)
    first = await hub.rotate(slot)
    assert hub.key(first.key_id).not_after == first.begins + KEY_LIVES[use]
    hub.now += timedelta(days=2)
    second = await hub.rotate(slot, life=timedelta(days=30))
    assert hub.key(second.key_id).not_after == second.begins + timedelta(days=30)
    moved = await hub.end(second.key_id, "revoke")
    # The first one is in use still; nothing had to follow.
    assert moved.replaced is None
    hub.now += timedelta(days=2)


async def test_what_ends_before_a_rotation_would_retire_it_is_left_its_end(hub: Hub) -> None:
    old = hub.used("attest")
    end = START + timedelta(minutes=5)
    keys = tuple(
        replace(key, not_after=end) if key.key_id == old else key for key in hub.record.keys
    )
    hub.record = replace(hub.record, keys=keys)
    done = await hub.rotate()
    assert hub.calls == ["rehearse", "add"]
    assert done.retired == ()
    assert hub.key(old).not_after == end


async def test_what_ends_within_a_week_and_has_no_successor_is_not_well(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    standing = await hub.standing()
    assert is_well(standing, hub.now)
    ending = replace(standing.keys[1], not_after=START + timedelta(days=6))
    alone = replace(standing, keys=(standing.keys[0], ending, *standing.keys[2:]))
    assert not is_well(alone, hub.now)
    assert is_well(alone, hub.now - timedelta(days=2))
    follows = replace(ending, key_id="x" * 43, not_before=hub.now, not_after=None)
    assert is_well(replace(alone, keys=(*alone.keys, follows)), hub.now)
    assert standing_to_json(alone, hub.now)["well"] is False
    print_standing(alone, hub.now)
    print_rotated([await hub.rotate()], as_json=False)
    said = capsys.readouterr().out
    assert "6.0" in said
    assert "urn:hutong:checkpoint:330100:gate: 4 entries behind" in said
    assert "is retired" in said
