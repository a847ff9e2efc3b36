"""The line between a province and the nation is cut, and heals by itself.

Zhejiang has a hub of its own below the national one. Ningbo's checkpoint trusts that hub
alone, and reaches every other province over it.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from adapters.platforms import scenario
from gateway.cli.demo.acts import Act
from gateway.cli.demo.regions import GUANGZHOU, NINGBO
from gateway.cli.demo.scene import Fact, decided, seen_in
from gateway.cli.demo.waiting import until_found
from gateway.cli.operator_client import OperatorClient
from gateway.edge import Checkpoint
from gateway.errors import HutongError
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.recognition import Verdict

if TYPE_CHECKING:
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.regions import Region
    from gateway.cli.demo.scene import Scene
    from gateway.edge import Result

_UNREACHABLE: Final = "HUB_UNREACHABLE"
_FAR, _HOME = "guangzhou/green", "ningbo/green"


async def _asked(gate: Checkpoint, person: str, origin: Region, wanted: str) -> Result:
    """Ask until the answer is the wanted one: a line takes its time to end and to come back."""

    async def ask() -> Result:
        with contextlib.suppress(HutongError):
            await gate.refresh_if_stale()
        return await gate.ask(scenario(person).qr_text or "", origin=origin.region)

    return await until_found(ask, lambda result: seen_in(result) == wanted)


async def _line_of(cast: Cast) -> tuple[bool, int]:
    """What Zhejiang's operator sees of the line: whether it carries, and how old the word is."""
    federation = await cast.province.ready()
    profile = load_operator_profile(federation.hub_folder / OPERATOR_FILE)
    async with OperatorClient(profile) as client:
        (nation,) = (await client.status())["hubs"]
    return nation["connected"], nation["age_seconds"]


async def _over_two_hubs(cast: Cast, *words: str) -> Scene:
    gate = await cast.at_province()
    result = await _asked(gate, _FAR, GUANGZHOU, "GREEN")
    is_connected, _ = await until_found(lambda: _line_of(cast), lambda line: line[0])
    en, zh = words or (
        "Ningbo trusts Zhejiang's hub alone; what lies beyond comes over it, as signed",
        "宁波只信任浙江枢纽；省外信息由其原样转来",
    )
    return decided(result, Fact(en, zh, is_connected))


async def _serves_itself(cast: Cast) -> Scene:
    gate = await cast.at_province()
    await cast.province.cut()
    is_connected, age = await until_found(lambda: _line_of(cast), lambda line: not line[0])
    result = await _asked(gate, _HOME, NINGBO, "GREEN")
    return decided(
        result,
        Fact(
            f"Zhejiang's hub says that it is cut off; the nation's newest word is {age} s old",
            "浙江枢纽显示与全国枢纽断开",
            not is_connected,
        ),
    )


async def _says_so(cast: Cast) -> Scene:
    return decided(await _asked(await cast.at_province(), _FAR, GUANGZHOU, _UNREACHABLE))


async def _from_outside(cast: Cast) -> Scene:
    return decided(await _asked(cast.at(GUANGZHOU), _HOME, NINGBO, _UNREACHABLE))


async def _healed(cast: Cast) -> Scene:
    cast.province.heal()
    return await _over_two_hubs(
        cast, "the line is back; nobody started anything anew", "线路恢复，无人重启任何程序"
    )


_outward = partial(Act, origin=GUANGZHOU.region, destination=NINGBO.region)

ACTS: Final = (
    _outward(
        name="line-two-hubs",
        zh="浙江省枢纽之下的宁波，经两级枢纽查询广州",
        en="Zhejiang has its own hub: Ningbo asks Guangzhou over it and the national one",
        seen="GREEN",
        verdict=Verdict.ADMIT.value,
        reason="GREEN_IS_FRESH",
        play=_over_two_hubs,
    ),
    Act(
        name="line-cut-home",
        zh="省与全国之间线路中断：省内照常",
        en="the line between province and nation is cut: the province serves itself",
        origin=NINGBO.region,
        destination=NINGBO.region,
        seen="GREEN",
        verdict=Verdict.ADMIT.value,
        reason="GREEN_IS_FRESH",
        play=_serves_itself,
    ),
    _outward(
        name="line-cut-far",
        zh="省外无法查询：如实说明，转人工",
        en="another province cannot be reached, and that is what the gate says",
        seen=_UNREACHABLE,
        verdict=Verdict.REFER.value,
        reason=_UNREACHABLE,
        play=_says_so,
    ),
    Act(
        name="line-cut-from-outside",
        zh="省外查询宁波：同样如实说明",
        en="nor can Ningbo be reached from outside",
        origin=NINGBO.region,
        destination=GUANGZHOU.region,
        seen=_UNREACHABLE,
        verdict=Verdict.REFER.value,
        reason=_UNREACHABLE,
        play=_from_outside,
    ),
    _outward(
        name="line-healed",
        zh="线路恢复",
        en="the line heals",
        seen="GREEN",
        verdict=Verdict.ADMIT.value,
        reason="GREEN_IS_FRESH",
        play=_healed,
    ),
)
"""In this order: each rests on the one before."""
