"""Who is what in reference Anhui.

States and dates are those of adapters/schemes/anhui/scheme.yaml. Shares, the wording
of reasons and that three people of a hundred have a record of the national code beside
their own are choices.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "1"
YELLOW: Final = "2"
RED: Final = "3"
GREY: Final = "4"

PROVINCE: Final = "340000"
NATIONAL: Final = "100001"
"""Issuer of a record whose ``dataSource`` is 2."""

_STANDINGS: Final = {Result.NOT_APPLIED: 0.01, Result.MUST_UPDATE: 0.003}


def _version(
    name: str, since: str, yellow: tuple[str, ...], red: tuple[str, ...], days: tuple[int, int]
) -> Version:
    return Version(
        id=name,
        since=shanghai(since),
        states=(
            State(word=GREEN, colour=Colour.GREEN, share=0.95),
            State(
                word=YELLOW,
                colour=Colour.MIDDLE,
                share=0.03,
                reasons=yellow,
                release_days=days[0] or None,
            ),
            State(
                word=RED,
                colour=Colour.RED,
                share=0.018,
                reasons=red,
                release_days=days[1] or None,
            ),
            State(word=GREY, colour=Colour.NONE, share=0.002),
        ),
        standings=_STANDINGS,
        second=Record(state="", division=NATIONAL),
        second_share=0.03,
        recomputed=HOURLY,
    )


_YELLOW: Final = ("解除隔离后第15至28天随访", "一般接触者", "时空伴随人员", "管控区人员")
_RED: Final = ("次密接", "14天内来自中高风险地区", "封控区人员")

TABLE: Final = City(
    name="anhui",
    division=PROVINCE,
    counties=("340102", "340103", "340104", "340202", "340503"),
    versions=(
        _version("2020", "2020-02-01", ("本人申报有发热症状",), ("14天内来自高风险地区",), (7, 14)),
        _version("2022-01", "2022-01-01", _YELLOW, _RED, (0, 0)),
        _version("2022-05", "2022-05-01", (*_YELLOW, "一般接触者，待第7天核酸"), _RED, (0, 0)),
    ),
    stories={
        "green": story("安康绿码", "Green in Anhui", "GREEN", Record(state=GREEN)),
        "yellow": story(
            "黄码，道口复核",
            "Yellow; a gate has a human look again",
            "YELLOW",
            Record(state=YELLOW, reason="一般接触者"),
        ),
        "red": story("红码", "Red", "RED", Record(state=RED, reason="次密接")),
        "grey": story(
            "灰码，道口复核",
            "Grey; a gate has a human look again",
            "CANNOT_DETERMINE",
            Record(state=GREY),
        ),
        "national-green": story(
            "平台返回全国码绿码",
            "The province answers with a green of the national code",
            "CANNOT_DETERMINE",
            Record(state=GREEN, division=NATIONAL),
        ),
        "two-records": story(
            "本省绿码、红码各一",
            "Two records of the province, green and red",
            "RED",
            Record(state=GREEN),
            Record(state=RED, reason="次密接"),
            also=("GREEN",),
        ),
        "not-applied": story(
            "健康码未申领",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "expired-code": story(
            "出示旧码截图",
            "Shows a screenshot of a code that was made anew",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "must-update": story(
            "须更新申报信息",
            "Must bring the declaration up to date",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "unknown-state": story(
            "方案中没有的数字",
            "A number that no version of the scheme has",
            "CANNOT_DETERMINE",
            Record(state="0"),
        ),
    },
    qr=QrForm(
        "anhui",
        "https://akm.example/akm-sj-mgr/index.html#/myAkm?isScan=1&id=akm:qrcode:{opaque}"
        "&cityNo=340000000000",
    ),
    elsewhere=NATIONAL,
    # Another gate's two characters: the camera's 3 would be Anhui's red.
    ordinals={GREEN: "00", YELLOW: "01", RED: "10", GREY: "11"},
)
