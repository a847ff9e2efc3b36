"""Shaoxing 绍兴健康码: who is what, and the people of its stories.

Facts reproduced: the members of the answer, and that the service is asked by identity
number alone. Choices, because no source tells them: the state words (those of the
province), the shares, the wording of reasons, the hour of recomputation, that a
person may hold a second record.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

_SPACE: Final = "14天内途经疫情重点地区"
_CONTACT: Final = "与确诊人员密切接触"
_FEVER: Final = "本人申报有发热症状"
_RELEASED: Final = "解除 - 原居家隔离重点人群"

CITY: Final = City(
    name="shaoxing",
    division="330600",
    counties=("330602", "330603", "330604", "330624", "330681", "330683"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-17"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.947),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.02, reasons=(_FEVER,)),
                State(word=RED, colour=Colour.RED, share=0.033, reasons=(_SPACE, _CONTACT)),
            ),
        ),
    ),
    stories={
        "green": story("绍兴绿码", "Green in Shaoxing", "GREEN", Record(state=GREEN)),
        "yellow": story(
            "申报发热，黄码", "Declared a fever", "YELLOW", Record(state=YELLOW, reason=_FEVER)
        ),
        "red": story(
            "密切接触者，红码", "Close contact", "RED", Record(state=RED, reason=_CONTACT)
        ),
        "released": story(
            "解除隔离后转绿",
            "Green again after release",
            "GREEN",
            Record(state=GREEN, reason=_RELEASED),
        ),
        "two-records": story(
            "两条记录颜色不同",
            "Two records of different colours",
            "RED",
            Record(state=GREEN),
            Record(state=RED, reason=_SPACE),
            also=("GREEN",),
        ),
        "another-city": story(
            "记录由金华市发放",
            "A record that Jinhua issued",
            "CANNOT_DETERMINE",
            Record(state=GREEN, division="330700"),
        ),
        "proxy": story(
            "家长代申领的儿童",
            "A child whose parent applied",
            "GREEN",
            Record(state=GREEN, proxy="somebody"),
        ),
        "must-update": story(
            "须先完善信息",
            "Must first complete the form",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "not-applied": story(
            "从未申领",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
    },
)
