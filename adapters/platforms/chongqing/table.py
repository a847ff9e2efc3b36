"""Who is what in reference Chongqing.

The states, and the moment from which there are three colours, are those of
adapters/schemes/chongqing/scheme.yaml. Shares and the wording of reasons are choices.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.chongqing.codes import ClearJson
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Telling, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿色"
YELLOW: Final = "黄色"
RED: Final = "红色"
OTHER: Final = "其他"
POP_UP: Final = "弹窗"

_CONTACT: Final = "密接"
_AT_HOME: Final = "时空重合需居家隔离"
_THREE: Final = ("2021-11",)

_STANDINGS: Final = {Result.NOT_APPLIED: 0.01, Result.MUST_UPDATE: 0.005}

TABLE: Final = City(
    name="chongqing",
    division="500000",
    counties=("500103", "500104", "500106", "500107", "500108"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-01"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96),
                State(
                    word=RED, colour=Colour.RED, share=0.04, reasons=(_CONTACT, "居家隔离观察期内")
                ),
            ),
            standings=_STANDINGS,
            recomputed=HOURLY,
        ),
        Version(
            id="2021-11",
            since=shanghai("2021-11-08 06:00"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.95),
                State(
                    word=YELLOW,
                    colour=Colour.MIDDLE,
                    share=0.03,
                    reasons=("来自中高风险地区所在地级市",),
                ),
                State(
                    word=RED,
                    colour=Colour.RED,
                    share=0.015,
                    reasons=(_CONTACT, "次密接", _AT_HOME, "入境人员及同行", "封控区人员"),
                ),
                State(word=OTHER, colour=Colour.NONE, share=0.003),
                State(word=POP_UP, colour=Colour.NONE, share=0.002),
            ),
            standings=_STANDINGS,
            recomputed=HOURLY,
        ),
    ),
    stories={
        "green": story("渝康绿码", "Green in Chongqing", "GREEN", Record(state=GREEN)),
        "red": story(
            "密接，红码",
            "A contact, red",
            "RED",
            Record(state=RED, reason=_CONTACT),
            instead={
                "2020-02": Telling(
                    expected="RESTRICTED", records=(Record(state=RED, reason=_CONTACT),)
                )
            },
        ),
        "at-home": story(
            "时空重合，居家隔离",
            "A time-space overlap and isolation at home",
            "RED",
            Record(state=RED, reason=_AT_HOME),
            instead={
                "2020-02": Telling(
                    expected="RESTRICTED", records=(Record(state=RED, reason=_AT_HOME),)
                )
            },
        ),
        "yellow": story(
            "来自中高风险地区所在地级市，黄码",
            "From the prefecture-level city of a risk area, yellow",
            "YELLOW",
            Record(state=YELLOW, reason="来自中高风险地区所在地级市"),
            only=_THREE,
        ),
        "other": story(
            "平台返回“其他”",
            'The platform says "other"',
            "CANNOT_DETERMINE",
            Record(state=OTHER),
            only=_THREE,
        ),
        "pop-up": story(
            "弹窗人员",
            "A pop-up hides the colour",
            "CANNOT_DETERMINE",
            Record(state=POP_UP),
            only=_THREE,
        ),
        "expired-code": story(
            "出示二十分钟前的截图",
            "Shows a screenshot twenty minutes old",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "not-applied": story(
            "未申领渝康码",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "must-update": story(
            "须先更新申报信息",
            "Must bring the declaration up to date first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "two-records": story(
            "两条记录，绿码与红码",
            "Two records, green and red",
            "RED",
            Record(state=GREEN),
            Record(state=RED, reason=_CONTACT),
            also=("GREEN",),
            instead={
                "2020-02": Telling(
                    expected="RESTRICTED",
                    records=(Record(state=GREEN), Record(state=RED, reason=_CONTACT)),
                    also=("GREEN",),
                )
            },
        ),
        "unknown-state": story(
            "方案中没有的灰色",
            "A grey that no version of the scheme has",
            "CANNOT_DETERMINE",
            Record(state="灰色"),
        ),
    },
    qr=ClearJson(),
)
