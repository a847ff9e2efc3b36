"""How a region's keys follow one another: made, shown, published, named, retired.

Every step leaves something that works, so whoever is stopped anywhere runs it again:

==================================  ==================================================
stopped after                       what stands, and what the next run does
==================================  ==================================================
the key was made                    a file ``….json.next`` that nobody uses; it is used
the rehearsal                       the same; the edges are asked again
the hub published it                both keys are in the feed, the old one signs; the
                                    file gets its name
the file got its name               the adapter takes over at the moment in the name;
                                    the old key is retired
the old key was retired             nothing is left to do
==================================  ==================================================

A key that is not published never signs: only its final name tells an adapter of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.keys import file_in_use
from gateway.cli.region_files import (
    NextKey,
    dated_ids,
    forget_next,
    key_ids,
    make_next,
    name,
    read_key,
    set_aside,
    settle,
)
from gateway.trust.key_life import KEY_LIVES
from gateway.trust.keys import KeyUse
from gateway.trust.lifecycle import KeyChange, KeyMove
from gateway.trust.times import from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from gateway.attestation.keys import SigningKey
    from gateway.wire.key_change import KeyView, MemberLine, RehearsalView, Standing

SEAL_OVERLAP: Final = timedelta(days=1)
"""How long what was sealed to the old key may still come: longer than any edge's policy
lets it go without the feed and ask online."""
POLL_SECONDS: Final = 1.0
SPOKEN_SECONDS: Final = 15.0
"""By then every checkpoint that is connected has said something: after a change it speaks
within eleven seconds (``gateway.edge.acknowledging``). Adapters and other hubs read the
feed too and never answer, so that their number is not waited for."""
REASON: Final = "rotated"


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation came to.

    Attributes:
        slot: which key.
        key_id: of the new key.
        begins: its first moment of use.
        sequence: feed entry that published it; zero: not known, or an earlier run's.
        retired: the old keys, and from when on each is no longer used.
        resumed: whether an earlier run had begun it.
        stopped: why nothing was changed; empty: it was.
    """

    slot: str
    key_id: str
    begins: datetime
    sequence: int = 0
    retired: tuple[tuple[str, datetime], ...] = ()
    resumed: bool = False
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How a rehearsal went.

    Attributes:
        connected: readers of the feed, named or not.
        result: what they said.
    """

    connected: int
    result: RehearsalView


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """What is wanted.

    Attributes:
        begin_in: until the new key's first use.
        overlap: how long the old key stays good after that.
        patience: how long silent edges are waited for.
        force: go on whatever the edges say.
        life: how long the new key is good from its first use on; None: as its use has it.
    """

    begin_in: timedelta
    overlap: timedelta
    patience: timedelta
    force: bool = False
    life: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rotation needs from outside; tests give their own.

    Attributes:
        clock: now, aware, UTC.
        sleep: waits seconds.
        show: is told of every state of a rehearsal.
        ask: asks a person to go on without silent edges.
    """

    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    show: Callable[[Rehearsed], None]
    ask: Callable[[Rehearsed], bool]


async def rotate(
    folder: Path,
    slot: str,
    line: MemberLine,
    plan: RotationPlan,
    around: Surroundings,
) -> Rotated:
    """Let the next key of a slot follow, or finish what an earlier run began.

    Args:
        folder: of the keys.
        slot: which key.
        line: to the hub.
        plan: what is wanted.
        around: clock, terminal.

    Raises:
        HutongError: a file cannot be used, or the hub refuses or cannot be reached.
    """
    standing = await line.standing()
    named = {held.slot for held in settle(folder, standing)}
    newest, older = _live(folder, slot, standing)
    now = around.clock()
    if newest is not None and newest.key_id in dated_ids(folder, slot):
        begins = newest.not_before
        unfinished = [key for key in older if _outlives(key, begins + plan.overlap)]
        if unfinished or begins > now or slot in named:
            retired = await _retire(folder, unfinished, begins, line, plan, now)
            going = {key.key_id for key in unfinished}
            ended = tuple(
                (key.key_id, key.not_after)
                for key in older
                if key.not_after and key.key_id not in going
            )
            return Rotated(slot, newest.key_id, begins, 0, (*ended, *retired), resumed=True)
    since = to_seconds(now + plan.begin_in)
    coming = make_next(folder, slot, since)
    state_key = read_key(file_in_use(folder, "state", now), "state")
    if coming.use is not KeyUse.SEAL:
        stopped = await _rehearse(line, coming, state_key, plan, around)
        if stopped:
            return Rotated(slot, coming.key.key_id, from_seconds(since), stopped=stopped)
    life = life_of(coming, plan.life)
    sequence = await publish(line, coming, life, KeyChange(), state_key, around.clock())
    name(coming)
    end = from_seconds(since) + plan.overlap
    old = [key for key in (newest, *older) if key is not None and _outlives(key, end)]
    retired = await _retire(folder, old, from_seconds(since), line, plan, around.clock())
    return Rotated(slot, coming.key.key_id, from_seconds(since), sequence, retired)


def life_of(coming: NextKey, wanted: timedelta | None) -> timedelta:
    """How long a key to come is good."""
    return KEY_LIVES[coming.use] if wanted is None else wanted


async def publish(
    line: MemberLine,
    coming: NextKey,
    life: timedelta,
    change: KeyChange,
    state_key: SigningKey,
    now: datetime,
) -> int:
    """Publish a key to come, with the other parts of a change; return the feed entry."""
    private: Any = coming.key
    is_seal = coming.use is KeyUse.SEAL
    whole = KeyChange(
        add=(coming.member_key(life),),
        taint=change.taint,
        revoke=change.revoke,
    )
    return await line.change(
        whole,
        state_key,
        proving=() if is_seal else (private,),
        opening=(private,) if is_seal else (),
        now=now,
    )


async def replace_now(
    folder: Path,
    slot: str,
    line: MemberLine,
    change: KeyChange,
    now: datetime,
    *,
    life: timedelta | None = None,
) -> Rotated:
    """End the last keys of a slot and let another one begin at once, in one change.

    A key to come that a rotation made or published lay beside the one that leaked, so it
    is not the one that begins: the change revokes it where the hub knows of it, and its
    file is set aside. Each step leaves what the next run finishes:

    =========================  ===========================================================
    stopped after              what stands, and what the next run does
    =========================  ===========================================================
    the key was made           a file that nobody uses; another one takes its place
    the hub published it       the leaked key is not believed, the new one is; the files
                               of a rotation are set aside, and the new key gets its name
    a file was set aside       likewise
    the file got its name      nothing is left to do
    =========================  ===========================================================

    Args:
        folder: of the keys.
        slot: which key.
        line: to the hub.
        change: what taints or revokes the old ones.
        now: the clock; first moment of the new key.
        life: how long the new key is good; None: as its use has it.

    Raises:
        HutongError: a file cannot be used, or the hub refuses or cannot be reached.
    """
    state_key = read_key(file_in_use(folder, "state", now), "state")
    forget_next(folder, slot)
    coming = make_next(folder, slot, to_seconds(now))
    sequence = await publish(line, coming, life_of(coming, life), change, state_key, now)
    # First the files that would be taken before the new one: a key that is named is found.
    set_aside(folder, slot, {move.key_id for move in change.revoke}, after=coming.since)
    name(coming)
    moved = [move.key_id for move in (*change.taint, *change.revoke)]
    begins = from_seconds(coming.since)
    return Rotated(
        slot, coming.key.key_id, begins, sequence, tuple((key_id, begins) for key_id in moved)
    )


def _live(folder: Path, slot: str, standing: Standing) -> tuple[KeyView | None, list[KeyView]]:
    """The newest live key of a slot, and the older ones that are still good."""
    use = slot.partition("-")[0]
    live = [key for key in standing.keys if key.use == use and key.is_live]
    if use == KeyUse.SEAL:
        # The hub tells no profile of a key; whose file stands under this name is of it.
        own = key_ids(folder, slot)
        live = [key for key in live if key.key_id in own]
    live.sort(key=lambda key: (key.not_before, key.key_id))
    return (live[-1], live[:-1]) if live else (None, [])


def _outlives(key: KeyView, end: datetime) -> bool:
    """Whether a key would still be good when a rotation wants it retired.

    One that was retired keeps the end that it got then, whatever overlap is wanted now.
    """
    return key.not_after is None or (key.reason != REASON and key.not_after > end)


async def _retire(
    folder: Path,
    keys: Sequence[KeyView],
    begins: datetime,
    line: MemberLine,
    plan: RotationPlan,
    now: datetime,
) -> tuple[tuple[str, datetime], ...]:
    # A run that comes late retires from now on: nothing retires in the past.
    end = max(begins + plan.overlap, from_seconds(to_seconds(now) + 1))
    keys = [key for key in keys if _outlives(key, end)]
    if not keys:
        return ()
    state_key = read_key(file_in_use(folder, "state", now), "state")
    moves = tuple(KeyMove(key.key_id, end, REASON) for key in keys)
    await line.change(KeyChange(retire=moves), state_key, now=now)
    return tuple((key.key_id, end) for key in keys)


async def _rehearse(
    line: MemberLine,
    coming: NextKey,
    state_key: SigningKey,
    plan: RotationPlan,
    around: Surroundings,
) -> str:
    """Show the key to every connected edge; return why to stop, empty: go on."""
    private: Any = coming.key
    rehearsal, connected = await line.rehearse(
        coming.member_key(life_of(coming, plan.life)), private, state_key, now=around.clock()
    )
    waited, begun = 0.0, around.clock()
    while True:
        seen = Rehearsed(connected, await line.rehearsal(rehearsal))
        around.show(seen)
        result = seen.result
        if result.is_failing and not plan.force:
            return "an edge would not verify the next key"
        heard = result.verified + len(result.failures)
        if result.is_complete and (heard >= connected or waited >= SPOKEN_SECONDS):
            break
        if waited >= plan.patience.total_seconds():
            break
        await around.sleep(POLL_SECONDS)
        # Asking takes time too, where another hub is slow or away.
        waited = max(waited + POLL_SECONDS, (around.clock() - begun).total_seconds())
    if not result.is_complete and not plan.force and not around.ask(seen):
        return "not every edge has answered"
    return ""
