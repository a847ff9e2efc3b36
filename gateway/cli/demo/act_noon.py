"""A person turns red at noon: what becomes of the green that was fetched in the morning.

The platform turns the person, the adapter revokes what it issued, the hub's feed carries
the word, and every checkpoint with a line refuses. One that lives on packs admits until
somebody brings the pack of noon, and says how old its knowledge is.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from gateway.cli.demo.acts import Act
from gateway.cli.demo.regions import GUANGZHOU, HANGZHOU
from gateway.cli.demo.scene import Fact, decided, seen_in
from gateway.cli.demo.waiting import until
from gateway.cli.operator_client import OperatorClient
from gateway.cli.verdict import age_text, age_text_zh
from gateway.edge import Checkpoint
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.recognition import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.scene import Scene
    from gateway.edge import Result

PERSON: Final = "hangzhou/released"
_STORY: Final = "released"
_RED: Final = "红码"
_REVOKED: Final = "ATTESTATION_REVOKED"
_DIVISIONS: Final = ("3301", "4401")
_HOURS: Final = timedelta(hours=5)
"""Within the six for which Hangzhou's attestation lives."""
_FOLDER: Final = "mountain-pass"
"""Folder of the gate without a line."""


async def _morning(cast: Cast) -> Scene:
    armour = await cast.carry(PERSON, HANGZHOU, GUANGZHOU, anew=True)
    cast.notes["morning"] = armour
    # A gate without a line is shown another one, before it knows.
    cast.notes["early"] = await cast.carry(PERSON, HANGZHOU, GUANGZHOU, anew=True)
    size = await _make_pack(cast, "morning")
    packed = Fact(
        f"a pack of Hangzhou and Guangzhou is made for a gate without a line: {size / 1024:.0f} KB",
        "为没有网络的检查点制作信任包",
    )
    return decided(cast.at(GUANGZHOU).verify_offline(armour), packed)


async def _noon(cast: Cast) -> Scene:
    gate, armour = cast.at(GUANGZHOU), cast.notes["morning"]
    began = time.perf_counter()
    await cast.federation.turn(HANGZHOU.name, _STORY, _RED)
    result = await _as_soon_as_it_is_known(gate, armour)
    elapsed = (time.perf_counter() - began) * 1000
    return decided(
        result,
        Fact(
            f"from the turn at the platform to the refusal at the gate: {elapsed:.0f} ms, "
            "through platform, adapter, hub and feed",
            f"从平台转红到检查点拒绝：{elapsed:.0f} 毫秒",
        ),
        Fact(
            "nobody asked the platform about the person, and the hub learned a number in a list",
            "无人向平台查询此人；枢纽只知道名单中的一个序号",
            not result.is_admitted,
        ),
    )


async def _as_soon_as_it_is_known(gate: Checkpoint, armour: str) -> Result:
    """Show it whenever the feed brought something, until it is refused as revoked."""
    looked_at: list[int | None] = []

    def is_newer() -> bool:
        return gate.status().sequence not in looked_at

    while True:
        looked_at.append(gate.status().sequence)
        result = gate.verify_offline(armour)
        if seen_in(result) == _REVOKED:
            return result
        await until(is_newer)


async def _without_a_line(cast: Cast) -> Scene:
    """Five hours after the morning's pack, and still without the one of noon."""
    async with _gate(cast, later=_HOURS) as alone:
        alone.load_pack(_pack(cast, "morning"))
        result = alone.verify_offline(cast.notes["early"])
    age = result.decision.ages.status_seconds
    return decided(
        result,
        Fact(
            f"its word on revocations is {age_text(age)} old, and the verdict says so; "
            "the policy says how old is too old",
            f"所知的撤销情况是 {age_text_zh(age)}前的，结论中写明；多旧不可用由政策规定",
            age is not None and age >= _HOURS.total_seconds(),
        ),
    )


async def _pack_of_noon(cast: Cast) -> Scene:
    size = await _make_pack(cast, "noon")
    async with _gate(cast) as alone:
        before = alone.status().sequence
        alone.load_pack(_pack(cast, "noon"))
        after = alone.status().sequence
        result = alone.verify_offline(cast.notes["morning"])
    await cast.federation.turn(HANGZHOU.name, _STORY, None)
    return decided(
        result,
        Fact(
            f"the pack of noon is brought on a stick, {size / 1024:.0f} KB: "
            f"feed sequence {before} → {after}",
            "用存储棒带来中午的信任包",
            before is not None and after is not None and after > before,
        ),
    )


def _gate(cast: Cast, *, later: timedelta = timedelta()) -> AbstractAsyncContextManager[Checkpoint]:
    """A gate of Guangzhou's rules that no line reaches."""
    settings = cast.at(GUANGZHOU).settings
    folder = cast.federation.folder / _FOLDER
    return Checkpoint.open(
        settings.model_copy(update={"state_dir": folder}),
        online=False,
        clock=lambda: datetime.now(UTC) + later,
    )


async def _make_pack(cast: Cast, name: str) -> int:
    """Make a pack at the hub, as ``hutong hub pack`` does; returns its bytes."""
    profile = load_operator_profile(cast.federation.hub_folder / OPERATOR_FILE)
    async with OperatorClient(profile) as client:
        chunks: AsyncIterator[bytes] = client.pack(
            _DIVISIONS, after=0, max_bytes=0, with_lists=True
        )
        data = b"".join([chunk async for chunk in chunks])
    (cast.federation.folder / f"{name}.pack").write_bytes(data)
    return len(data)


def _pack(cast: Cast, name: str) -> bytes:
    return (cast.federation.folder / f"{name}.pack").read_bytes()


ACTS: Final = (
    Act(
        name="noon-morning",
        zh="早上：领取随身凭证，绿码放行",
        en="in the morning: fetches an attestation to carry, and it is green",
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen="GREEN",
        verdict=Verdict.ADMIT.value,
        reason="GREEN_IS_FRESH",
        play=_morning,
    ),
    Act(
        name="noon-red",
        zh="中午：此人转红，早上的绿码凭证再次出示",
        en="at noon the person turns red, and shows the green of the morning",
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen=_REVOKED,
        verdict=Verdict.REFUSE.value,
        reason=_REVOKED,
        play=_noon,
    ),
    Act(
        name="noon-without-a-line",
        zh="没有网络的检查点只有早上的信任包：放行，但说明所知多旧",
        en="a gate without a line has the pack of the morning only: it cannot know, and says so",
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen="GREEN",
        verdict=Verdict.ADMIT.value,
        reason="GREEN_IS_FRESH",
        play=_without_a_line,
    ),
    Act(
        name="noon-pack",
        zh="装入中午的信任包后，同一持证人被拒",
        en="and refuses as soon as somebody brings the pack of noon",
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen=_REVOKED,
        verdict=Verdict.REFUSE.value,
        reason=_REVOKED,
        play=_pack_of_noon,
    ),
)
"""In this order: each rests on the one before."""
