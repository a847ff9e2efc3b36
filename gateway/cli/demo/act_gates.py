"""Mutual recognition: a gate asks the origin, and decides by its own region's policy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from adapters.platforms import scenario
from gateway.cli.demo.acts import Act, Chapter
from gateway.cli.demo.cast import document
from gateway.cli.demo.regions import GUANGZHOU, HANGZHOU
from gateway.cli.demo.scene import decided
from gateway.recognition import Verdict

if TYPE_CHECKING:
    from gateway.cli.demo.acts import Play
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.regions import Region
    from gateway.cli.demo.scene import Scene


def by_document(person: str, origin: Region, destination: Region) -> Play:
    """A person shows an identity document."""

    async def play(cast: Cast) -> Scene:
        asked = cast.at(destination).ask(document(person), origin=origin.region)
        return decided(await asked)

    return play


def by_qr(person: str, destination: Region, *, claimed: Region | None = None) -> Play:
    """A person shows a code; the gate finds out whose it is, unless it is told."""

    async def play(cast: Cast) -> Scene:
        origin = None if claimed is None else claimed.region
        text = scenario(person).qr_text or ""
        return decided(await cast.at(destination).ask(text, origin=origin))

    return play


async def _platform_down(cast: Cast) -> Scene:
    await cast.federation.set_faults("hangzhou", ["down"])
    try:
        return await by_document("hangzhou/green", HANGZHOU, GUANGZHOU)(cast)
    finally:
        await cast.federation.set_faults("hangzhou", [])


_southward = partial(Act, origin=HANGZHOU.region, destination=GUANGZHOU.region)
_northward = partial(Act, origin=GUANGZHOU.region, destination=HANGZHOU.region)

CHAPTER: Final = Chapter(
    "gates",
    "互认：各用各的码，各守各的规则",
    "Recognition: every region keeps its code and decides by its own rules",
    (
        _southward(
            name="green-hangzhou-guangzhou",
            zh="杭州绿码到广州",
            en="green in Hangzhou, travels to Guangzhou",
            seen="GREEN",
            verdict=Verdict.ADMIT.value,
            reason="GREEN_IS_FRESH",
            play=by_qr("hangzhou/green", GUANGZHOU),
        ),
        _northward(
            name="green-guangzhou-hangzhou",
            zh="广州绿码到杭州",
            en="green in Guangzhou, travels to Hangzhou",
            seen="GREEN",
            verdict=Verdict.ADMIT.value,
            reason="GREEN_IS_FRESH",
            play=by_qr("guangzhou/green", HANGZHOU),
        ),
        _southward(
            name="yellow",
            zh="杭州黄码（申报发热）",
            en="yellow in Hangzhou: declared a fever",
            seen="YELLOW",
            verdict=Verdict.OBSERVE_HOME.value,
            reason="YELLOW_IS_OBSERVED",
            play=by_qr("hangzhou/yellow", GUANGZHOU),
        ),
        _southward(
            name="red",
            zh="杭州红码（密切接触者）",
            en="red in Hangzhou: close contact",
            seen="RED",
            verdict=Verdict.OBSERVE_CENTRAL.value,
            reason="RED_IS_OBSERVED",
            play=by_document("hangzhou/red", HANGZHOU, GUANGZHOU),
        ),
        _northward(
            name="two-colour-red",
            zh="广州两色码中的红码（居家隔离）",
            en="red where there is no yellow: quarantined at home in Guangzhou",
            seen="RESTRICTED",
            verdict=Verdict.REFER.value,
            reason="GUANGDONG_RED_IS_NOT_GRADED",
            play=by_qr("guangzhou/red-at-home", HANGZHOU),
        ),
        _southward(
            name="expired-code",
            zh="出示已更换的旧码截图",
            en="shows a screenshot of a code since renewed",
            seen="CODE_EXPIRED",
            verdict=Verdict.REFER.value,
            reason="REFRESH_AND_COME_BACK",
            play=by_qr("hangzhou/expired-code", GUANGZHOU),
        ),
        _southward(
            name="wrong-region",
            zh="把广州的码当作杭州的码出示",
            en="shows a Guangzhou code as one of Hangzhou",
            seen="WRONG_REGION",
            verdict=Verdict.REFER.value,
            reason="SHOW_ANOTHER_WAY",
            play=by_qr("guangzhou/green", GUANGZHOU, claimed=HANGZHOU),
        ),
        _southward(
            name="not-found",
            zh="杭州平台查无此人",
            en="nobody the Hangzhou platform knows",
            seen="NOT_FOUND",
            verdict=Verdict.REFER.value,
            reason="REGISTER_BY_HAND",
            play=by_document("hangzhou/not-found", HANGZHOU, GUANGZHOU),
        ),
        _southward(
            name="disagreeing-records",
            zh="两个签发平台颜色不同",
            en="two issuing platforms of Hangzhou disagree: yellow and green",
            seen="YELLOW",
            verdict=Verdict.REFER.value,
            reason="COMPARE_RECORDS",
            play=by_document("hangzhou/two-records", HANGZHOU, GUANGZHOU),
        ),
        _southward(
            name="platform-down",
            zh="杭州平台故障，旅客本是绿码",
            en="the Hangzhou platform is down; the traveller would be green",
            seen="SOURCE_BUSY",
            verdict=Verdict.REFER.value,
            reason="ORIGIN_FAILED",
            play=_platform_down,
        ),
    ),
)
