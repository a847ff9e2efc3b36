"""Sichuan 天府健康通: what the reference platform knows of its people.

One age. The grade is made of a declaration that holds for a while and is computed anew
every night from shared data; who never declared has no grade; parents declare for
children.

Choices, because no source tells them: that a declaration holds 14 days and people
declare anew in time, the hour of assessment (03:00), the shares, the wording of
reasons and rules, and the QR text.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "00"
YELLOW: Final = "01"
RED: Final = "10"

DECLARATION_LIFE: Final = timedelta(days=14)

_YELLOW_REASONS: Final = ("本人申报有发热症状", "来自中风险地区")
_RED_REASONS: Final = ("14天内到过高风险地区", "确诊病例接触者隔离中")

CITY: Final = City(
    name="tencent",
    division="510000",
    # 成都、自贡、泸州、绵阳、乐山
    counties=("510104", "510105", "510106", "510107", "510303", "510502", "510703", "511102"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-09"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.03, reasons=_YELLOW_REASONS),
                State(word=RED, colour=Colour.RED, share=0.01, reasons=_RED_REASONS),
            ),
            standings={Result.NOT_APPLIED: 0.02},
            declared_every=timedelta(days=13),
            code_life=DECLARATION_LIFE,
        ),
    ),
    stories={
        "green": story("低风险，绿码", "Low risk, green", "GREEN", Record(state=GREEN)),
        "yellow": story(
            "申报发热，黄码",
            "Declared a fever, yellow",
            "YELLOW",
            Record(state=YELLOW, reason=_YELLOW_REASONS[0]),
        ),
        "red": story(
            "到过高风险地区，红码",
            "Was in a high-risk area, red",
            "RED",
            Record(state=RED, reason=_RED_REASONS[0]),
        ),
        "declaration-expired": story(
            "申报已过有效期",
            "A declaration past its end",
            "DECLARATION_EXPIRED",
            Record(state=GREEN, declared_ago=timedelta(days=20)),
        ),
        "never-declared": story(
            "从未申报",
            "Known, and never declared",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
        ),
        "expired-code": story(
            "二维码已过期",
            "A QR that has expired, told by a flag in a successful answer",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "child": story(
            "家长代申报的儿童",
            "A child for whom a parent declared",
            "GREEN",
            Record(state=GREEN, proxy="a parent"),
        ),
        "child-yellow": story(
            "家长代申报的儿童，黄码",
            "A child for whom a parent declared, yellow",
            "YELLOW",
            Record(state=YELLOW, reason=_YELLOW_REASONS[1], proxy="a parent"),
        ),
        "must-update": story(
            "须先补全个人信息",
            "Must complete the form first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "unknown-state": story(
            "方案未映射的等级",
            "A grade that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="11"),
        ),
    },
    qr=QrForm("tencent", "TFJKT:{stamp}{serial}{check}", stamp_digits=1),
)
