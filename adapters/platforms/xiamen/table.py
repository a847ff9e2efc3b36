"""Xiamen 厦门健康码: what the reference platform knows of its people.

Two ages: green, orange and red (绿码行、橙码管、红码禁) from 2020-02-12 on, and the
province's three colours from 2021-09-21 on.

Choices, because no source tells them: the hour of assessment (03:00), the shares, the
wording of reasons, and the QR text.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
ORANGE: Final = "橙码"
YELLOW: Final = "黄码"
RED: Final = "红码"

_MIDDLE_REASONS: Final = ("14天内来自重点地区", "本人申报有发热症状", "居家隔离人员")
_RED_REASONS: Final = ("密切接触者集中隔离", "14天内来自高风险地区")
_STANDINGS: Final = {Result.NOT_APPLIED: 0.01, Result.MUST_UPDATE: 0.005}

CITY: Final = City(
    name="xiamen",
    division="350200",
    # 思明、海沧、湖里、集美、同安、翔安
    counties=("350203", "350205", "350206", "350211", "350212", "350213"),
    versions=(
        Version(
            id="2020",
            since=shanghai("2020-02-12"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.95),
                State(word=ORANGE, colour=Colour.MIDDLE, share=0.035, reasons=_MIDDLE_REASONS),
                State(word=RED, colour=Colour.RED, share=0.015, reasons=_RED_REASONS),
            ),
            standings=_STANDINGS,
        ),
        Version(
            id="2021-09",
            since=shanghai("2021-09-21"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.95),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.035, reasons=_MIDDLE_REASONS),
                State(word=RED, colour=Colour.RED, share=0.015, reasons=_RED_REASONS),
            ),
            standings=_STANDINGS,
        ),
    ),
    stories={
        "green": story("绿码行", "Green in Xiamen", "GREEN", Record(state=GREEN)),
        "orange": story(
            "橙码管",
            "Orange: managed, between passing and being barred",
            "YELLOW",
            Record(state=ORANGE, reason=_MIDDLE_REASONS[0]),
            only=("2020",),
        ),
        "red": story("红码禁", "Red: barred", "RED", Record(state=RED, reason=_RED_REASONS[0])),
        "yellow": story(
            "三色之后的黄码",
            "Yellow, since there are the province's three colours",
            "YELLOW",
            Record(state=YELLOW, reason=_MIDDLE_REASONS[1]),
            only=("2021-09",),
        ),
        "orange-too-late": story(
            "三色之后不再有的橙码",
            "An orange after its age",
            "CANNOT_DETERMINE",
            Record(state=ORANGE, reason=_MIDDLE_REASONS[0]),
            only=("2021-09",),
        ),
        "expired-code": story(
            "出示已更换的旧码截图",
            "Shows a screenshot of a code since renewed",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "not-applied": story(
            "从未申领",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "must-update": story(
            "须先更新申报信息",
            "Must renew the form first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "two-records": story(
            "两条记录，一绿一红",
            "Two records, one green and one red",
            "RED",
            Record(state=GREEN),
            Record(state=RED, reason=_RED_REASONS[1]),
            also=("GREEN",),
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
    },
    qr=QrForm("xiamen", "XMJKM.{serial}.{stamp}{CHECK}", stamp_digits=1),
)
