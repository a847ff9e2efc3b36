"""How a hub's own keys follow one another: made, shown, published, named.

Every step leaves something that works, so whoever is stopped anywhere runs it again:

==================================  ==================================================
stopped after                       what stands, and what the next run does
==================================  ==================================================
the key was made                    a file ``….json.next`` that nobody uses; it is used
the rehearsal                       the same; the readers are asked again
the hub above was told              it knows one key more than the feed names; go on
the hub published the set           both keys stand in the feed with their times, the
                                    old one signs; the file gets its name
the file got its name               every process takes over when it is time;
                                    ``anchor.json`` is written anew
the anchor was written              the old key is ended at the hub above
the hub above ended the old key     nothing is left to do
==================================  ==================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.region_keys import POLL_SECONDS, Rehearsed, Rotated
from gateway.errors import HutongError
from gateway.trust.keys import KeyUse
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.cli.region_keys import RotationPlan, Surroundings
    from gateway.hub.own_keys import Coming, OwnKeys
    from gateway.hub.superior_keys import AtSuperior
    from gateway.trust import MemberKey

    Asked = Callable[[str], Awaitable[Rehearsed | None]]
    """What readers say of a rehearsal; None: the hub has not heard of it yet."""


async def rotate(
    own: OwnKeys,
    use: KeyUse,
    above: AtSuperior | None,
    plan: RotationPlan,
    around: Surroundings,
    asked: Asked,
) -> Rotated:
    """Let the next key of a use follow, or finish what an earlier run began.

    Args:
        own: the hub's keys.
        use: ``feed`` or ``token``.
        above: this hub at the hub above; None: there is none.
        plan: what is wanted.
        around: clock, terminal.
        asked: asks the running hub how a rehearsal goes.

    Raises:
        HutongError: a file cannot be used, a hub refuses or cannot be reached.
    """
    finished = await _finish(own, use, above)
    if finished is not None:
        return finished
    coming = own.make(use, to_seconds(own.now() + plan.begin_in))
    stopped = await _rehearse(await own.rehearse(coming), plan, around, asked)
    if stopped:
        return Rotated(use.value, coming.key.key_id, coming.begins, stopped=stopped)
    if above is not None:
        await above.add(coming.member_key())
    sequence = await own.publish(coming)
    return await _settled(own, coming, above, sequence)


async def replace_now(
    own: OwnKeys, above: AtSuperior | None, reason: str
) -> tuple[Rotated, HutongError | None]:
    """Take a leaked token key back and let the next one sign at once.

    Returns:
        What was done, and why the hub above does not know yet; it is told by the next run.

    Raises:
        HutongError: a file cannot be used, or readers would refuse it.
    """
    use = KeyUse.TOKEN
    held = own.pending(use)
    if held is not None and held.key.key_id in {key.key_id for key in own.held()}:
        own.name(held)
    coming = own.make(use, to_seconds(own.now()))
    sequence = await own.replace_now(coming, reason)
    try:
        return await _settled(own, coming, above, sequence), None
    except HutongError as error:
        return _rotated(own, use, coming.key.key_id, sequence), error


async def _finish(own: OwnKeys, use: KeyUse, above: AtSuperior | None) -> Rotated | None:
    """Do what an earlier run left; None: it left nothing."""
    keys = own.held()
    held = own.pending(use)
    is_left = held is not None and held.key.key_id in {key.key_id for key in keys}
    if held is not None and is_left:
        own.name(held)
    if own.number and not own.is_exported():
        own.export()
    newest = _newest(keys, use)
    is_left |= newest.not_before > own.now()
    if above is not None and own.number:
        is_left |= await above.settle(keys)
    return _rotated(own, use, newest.key_id, 0, resumed=True) if is_left else None


async def _settled(
    own: OwnKeys, coming: Coming, above: AtSuperior | None, sequence: int
) -> Rotated:
    own.name(coming)
    own.export()
    if above is not None:
        await above.settle(own.held())
    return _rotated(own, coming.use, coming.key.key_id, sequence)


def _rotated(
    own: OwnKeys, use: KeyUse, key_id: str, sequence: int, *, resumed: bool = False
) -> Rotated:
    keys = {key.key_id: key for key in own.held() if key.use is use}
    begins = keys[key_id].not_before
    ended = tuple(
        (key.key_id, key.revoked_at or begins)
        for key in keys.values()
        if begins in (key.not_after, key.revoked_at)
    )
    return Rotated(use.value, key_id, begins, sequence, ended, resumed=resumed)


def _newest(keys: Sequence[MemberKey], use: KeyUse) -> MemberKey:
    live = [key for key in keys if key.use is use and key.revoked_at is None]
    return max(live, key=lambda key: (key.not_before, key.key_id))


async def _rehearse(rehearsal: str, plan: RotationPlan, around: Surroundings, asked: Asked) -> str:
    """Wait for every reader's word; return why to stop, empty: go on."""
    waited, begun = 0.0, around.clock()
    while True:
        seen = await asked(rehearsal)
        if seen is not None:
            around.show(seen)
            result = seen.result
            if result.is_failing and not plan.force:
                return "a reader would not verify the next key"
            heard = result.verified + len(result.failures)
            if heard >= seen.connected and result.is_complete:
                return ""
        if waited >= plan.patience.total_seconds():
            break
        await around.sleep(POLL_SECONDS)
        waited = max(waited + POLL_SECONDS, (around.clock() - begun).total_seconds())
    if plan.force or (seen is not None and around.ask(seen)):
        return ""
    return "not every reader has answered" if seen is not None else "the hub does not answer"
