"""Hangzhou changes the key that signs its attestations, and nothing fails on the way.

The key to come is shown to every connected checkpoint first (the rehearsal begins when
the checkpoints open), then published ahead of its use, and from its second on the running
adapter signs with it. Meanwhile a gate asks and asks.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gateway.attestation import from_armour
from gateway.cli.demo.acts import Act
from gateway.cli.demo.cast import document
from gateway.cli.demo.regions import GUANGZHOU, HANGZHOU
from gateway.cli.demo.scene import Fact, decided, seen_in
from gateway.cli.demo.token import key_of
from gateway.cli.demo.waiting import until, until_found
from gateway.recognition import Verdict

if TYPE_CHECKING:
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.rotation import Rotation
    from gateway.cli.demo.scene import Scene

_PAUSE: Final = 0.2
_GREEN: Final = "hangzhou/green"


async def _keep_asking(cast: Cast, rotation: Rotation) -> None:
    """Ask at a gate, again and again, and keep whatever does not come out."""
    gate = cast.at(GUANGZHOU)
    while True:
        result = await gate.ask(document(_GREEN), origin=HANGZHOU.region)
        rotation.asked += 1
        if not result.is_admitted:
            rotation.failed += [reason.code for reason in result.decision.reasons]
        await asyncio.sleep(_PAUSE)


async def _ahead(cast: Cast) -> Scene:
    rotation = await cast.rotation()
    # To be shown when the old key signs no more, and when it has leaked.
    for name in ("old-key", "before-the-leak", "too-wide"):
        cast.notes[name] = await cast.carry(_GREEN, HANGZHOU, GUANGZHOU, anew=True)
    view = await rotation.answers(cast.gates)
    cast.play_beside(_keep_asking(cast, rotation))
    number = await rotation.publish()
    result = await cast.at(GUANGZHOU).ask(document(_GREEN), origin=HANGZHOU.region)
    return decided(
        result,
        Fact(
            f"rehearsed: {view.verified} connected checkpoints would verify the key to come, "
            f"{len(view.failures)} would not",
            f"预演：{view.verified} 个在线检查点可验证新密钥",
            view.verified >= cast.gates and not view.failures,
        ),
        Fact(
            f"published ahead, entry {number} of the feed: first use at "
            f"{rotation.starts_at:%H:%M:%S}, the lead time that the hub wants",
            "提前发布，至启用时刻才使用",
        ),
    )


async def _at_its_time(cast: Cast) -> Scene:
    rotation = await cast.rotation()
    await until(lambda: datetime.now(UTC) >= rotation.starts_at)
    gate = cast.at(GUANGZHOU)
    fetched = await until_found(
        lambda: gate.fetch(document(_GREEN), origin=HANGZHOU.region),
        # The city's list is signed anew too, and takes a moment to reach the gate.
        lambda found: (
            found.token is not None
            and key_of(found.token) == rotation.new_key_id
            and found.result.is_admitted
        ),
    )
    await cast.end_beside()
    old = cast.notes["old-key"]
    return decided(
        gate.verify_offline(old),
        Fact(
            "the running adapter signs with the new key, and nobody restarted it: "
            f"{seen_in(fetched.result)}, {fetched.result.decision.verdict.value}",
            "运行中的适配器已用新密钥签发，无需重启",
            fetched.result.is_admitted,
        ),
        Fact(
            "what is shown here was signed by the old key, and lives until its end",
            "此处出示的凭证由旧密钥签发，到期前仍有效",
            key_of(from_armour(old)) == rotation.old_key_id,
        ),
        Fact(
            f"a gate asked {rotation.asked} times meanwhile: {len(rotation.failed)} failed",
            f"其间检查点查询 {rotation.asked} 次，无一失败",
            rotation.asked > 0 and not rotation.failed,
        ),
    )


AHEAD: Final = Act(
    name="rotation-ahead",
    zh="杭州换钥：先预演，再提前发布",
    en="Hangzhou changes its key: rehearsed with every checkpoint, then published ahead",
    origin=HANGZHOU.region,
    destination=GUANGZHOU.region,
    seen="GREEN",
    verdict=Verdict.ADMIT.value,
    reason="GREEN_IS_FRESH",
    play=_ahead,
)
AT_ITS_TIME: Final = Act(
    name="rotation-at-its-time",
    zh="到时自动启用新密钥，旧密钥签发的凭证照常有效",
    en="at its time the new key signs, and what the old one signed still holds",
    origin=HANGZHOU.region,
    destination=GUANGZHOU.region,
    seen="GREEN",
    verdict=Verdict.ADMIT.value,
    reason="GREEN_IS_FRESH",
    play=_at_its_time,
)
