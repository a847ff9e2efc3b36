"""A rotation that is stopped anywhere is finished, or begun anew, by the next run."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.sdk.keys import generate_keys, key_files, load_keys, save_keys
from gateway.attestation.sealing_keys import Profile, public_sealing_jwk
from gateway.cli import region_files, region_keys
from gateway.cli.region_ending import find_key, move_key
from gateway.cli.region_files import name_published, pending, settle, slots_of
from gateway.cli.region_keys import Rehearsed, RotationPlan, Surroundings, rotate
from gateway.cli.region_line import Region
from gateway.cli.region_view import (
    is_well,
    print_rotated,
    print_standing,
    show_rehearsal,
    standing_to_json,
)
from gateway.trust import KeyUse, sealing_member_key, signing_member_key
from gateway.trust.errors import KeyChangeError
from gateway.trust.key_life import KEY_LIVES
from gateway.trust.keys import KeyState
from gateway.trust.lifecycle import apply_key_change
from gateway.wire.key_change import HubReaders, KeyView, ReaderView, RehearsalView, Standing
from tests.hub.hub_world import region

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.cli.region_ending import Moved
    from gateway.cli.region_keys import Rotated

START = datetime(2020, 3, 1, 12, tzinfo=UTC)
LEAD = timedelta(seconds=60)
URN = "urn:hutong:region:330100"


class KilledError(Exception):
    """The process ends here."""


class Hub:
    """A hub's registry as far as one member's keys go, by the rules of the real one."""

    def __init__(self, folder: Path, profiles: tuple[Profile, ...] = (Profile.HPKE,)) -> None:
        keys = generate_keys(profiles)
        save_keys(folder, keys)
        signing = (
            (keys.state, KeyUse.STATE),
            (keys.attest, KeyUse.ATTEST),
            (keys.authenticate, KeyUse.AUTHENTICATE),
        )
        begin = START - timedelta(days=30)
        end = {use: begin + life for use, life in KEY_LIVES.items()}
        held = (
            *(
                signing_member_key(key, use, not_before=begin, not_after=end[use])
                for key, use in signing
            ),
            *(
                sealing_member_key(
                    public_sealing_jwk(key), not_before=begin, not_after=end[KeyUse.SEAL]
                )
                for key in keys.seal
            ),
        )
        self.folder = folder
        self.record = replace(region(URN).body, keys=held)
        self.now = START
        self.calls: list[str] = []
        self.dies_before = ""
        self.dies_after = ""
        self.result = RehearsalView(verified=2, failures=(), silent=())
        self.asked: list[Rehearsed] = []

    def clock(self) -> datetime:
        return self.now

    def _begin(self, call: str) -> None:
        if call == self.dies_before:
            raise KilledError
        self.calls.append(call)

    def _end(self, call: str) -> None:
        if call == self.dies_after:
            raise KilledError

    async def standing(self) -> Standing:
        keys = tuple(
            KeyView(
                key.key_id,
                key.use.value,
                key.state(self.now),
                key.not_before,
                key.not_after,
                key.tainted_from or key.revoked_at,
                key.reason or "",
            )
            for key in self.record.keys
        )
        readers = (ReaderView("urn:hutong:checkpoint:330100:gate", 3, START),)
        return Standing(URN, "ACTIVE", (), 2, keys, (), 7, readers, 1)

    async def rehearse(self, key: Any, private: Any, state_key: Any, *, now: datetime) -> Any:
        assert key.key_id == private.key_id
        self._signs(state_key)
        self._begin("rehearse")
        self._end("rehearse")
        return "synthetic", 2

    async def rehearsal(self, rehearsal: str) -> RehearsalView:
        assert rehearsal == "synthetic"
        return self.result

    async def change(
        self, change: Any, state_key: Any, *, proving: Any = (), opening: Any = (), now: datetime
    ) -> int:
        call = "add" if change.add else "retire" if change.retire else "move"
        self._signs(state_key)
        self._begin(call)
        proven = {key.key_id for key in (*proving, *opening)}
        assert proven == {key.key_id for key in change.add}
        self.record = apply_key_change(self.record, change, self.now, lead=LEAD)
        self._end(call)
        return 8

    def _signs(self, key: Any) -> None:
        held = next(one for one in self.record.keys if one.key_id == key.key_id)
        assert (held.use, held.state(self.now)) == (KeyUse.STATE, KeyState.ACTIVE)

    def live(self, use: str) -> list[Any]:
        found = [key for key in self.record.keys if key.use == use]
        states = (KeyState.ACTIVE, KeyState.PUBLISHED)
        return [key for key in found if key.state(self.now) in states]

    async def rotate(self, slot: str = "attest", **changes: Any) -> Rotated:
        async def sleep(seconds: float) -> None:
            self.now += timedelta(seconds=seconds)

        def ask(seen: Rehearsed) -> bool:
            self.asked.append(seen)
            return bool(changes.get("goes_on"))

        plan = RotationPlan(
            begin_in=changes.get("begin_in", timedelta(minutes=10)),
            overlap=timedelta(days=1) if slot.startswith("seal") else timedelta(0),
            patience=timedelta(seconds=5),
            force=changes.get("force", False),
            life=changes.get("life"),
        )
        line: Any = self
        around = Surroundings(self.clock, sleep, lambda _: None, ask)
        return await rotate(self.folder, slot, line, plan, around)

    async def end(self, key_id: str, word: str, since: datetime | None = None) -> Moved:
        """What ``hutong region taint`` and ``revoke`` do, from the opening of the line on."""
        line: Any = self
        settle(self.folder, await self.standing())
        move = (word, since, "synthetic")
        place = Region(URN, self.folder, line)
        return await move_key(place, key_id, move, may_replace=True, now=self.now)

    def key(self, key_id: str) -> Any:
        return next(key for key in self.record.keys if key.key_id == key_id)

    def used(self, slot: str) -> str:
        """The key that an adapter signs with now, or the newest that it opens with."""
        keys = load_keys(self.folder, now=self.now)
        return str(keys.seal[-1].key_id if slot == "seal" else getattr(keys, slot).key_id)


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


@pytest.mark.parametrize("word", ["taint", "revoke"])
@pytest.mark.parametrize("slot", ["attest", "state", "authenticate", "seal"])
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


SLOTS = ["attest", "state", "authenticate", "seal"]


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


@pytest.mark.parametrize("slot", SLOTS)
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
