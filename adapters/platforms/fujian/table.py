"""Fujian 八闽健康码: what the reference platform knows of its people.

Three ages, as the scheme tells them: green and orange until 2021-09-21, where orange
is any of six reasons; three colours after; from 2022-06-15 on ways back by dated
tests. The platform alone decides when a test turns a code: whoever was in a positive
pool and is not the positive one is green again twelve hours later.

Choices, because no source tells them: the hour of assessment (every full hour), the
shares, the wording of reasons, a negative test in the last week for everybody in the
age of tests, and the QR text.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
ORANGE: Final = "橙码"
YELLOW: Final = "黄码"
RED: Final = "红码"

SIX_REASONS: Final = (
    "14天内发热门诊就诊",
    "来自疫情高发地区",
    "确诊或疑似病例",
    "与确诊病例密切接触",
    "居住小区实行封闭管理",
    "14天内购买退热药",
)
"""The six reasons of orange, from a confirmed case to bought fever medicine."""

POOL: Final = "混检阳性同管人员"
POOL_CLEARED_AFTER: Final = timedelta(hours=12)
"""After which the others of a positive pool are green again by themselves."""

_YELLOW_REASONS: Final = ("冷链普通人员", "冷链高频接触人员", "发热门诊就诊", "中风险地区")
_RED_REASONS: Final = ("密切接触者集中隔离", "14天内到过高风险地区")
_RELEASED: Final = "解除 - 原居家隔离人员"

_STANDINGS: Final = {Result.NOT_APPLIED: 0.01, Result.MUST_UPDATE: 0.005}
_THREE: Final = (
    State(word=GREEN, colour=Colour.GREEN, share=0.96),
    State(word=YELLOW, colour=Colour.MIDDLE, share=0.03, reasons=_YELLOW_REASONS),
    State(word=RED, colour=Colour.RED, share=0.01, reasons=_RED_REASONS),
)
_LATER: Final = ("2021-09", "2022-06")

CITY: Final = City(
    name="fujian",
    division="350000",
    # Outside Xiamen, whose people are its own platform's: 福州、莆田、泉州、漳州、南平、龙岩.
    counties=("350102", "350103", "350111", "350302", "350502", "350602", "350702", "350802"),
    versions=(
        Version(
            id="2020",
            since=shanghai("2020-02-11"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96),
                State(word=ORANGE, colour=Colour.MIDDLE, share=0.04, reasons=SIX_REASONS),
            ),
            standings=_STANDINGS,
            recomputed=HOURLY,
        ),
        Version(
            id="2021-09",
            since=shanghai("2021-09-21"),
            states=_THREE,
            standings=_STANDINGS,
            recomputed=HOURLY,
        ),
        Version(
            id="2022-06",
            since=shanghai("2022-06-15"),
            states=_THREE,
            standings=_STANDINGS,
            recomputed=HOURLY,
            tested_every=timedelta(days=7),
        ),
    ),
    stories={
        "green": story("八闽绿码", "Green in Fujian", "GREEN", Record(state=GREEN)),
        "orange-contact": story(
            "密切接触者，两色码中的橙码",
            "Close contact, orange in a scheme of two colours",
            "RESTRICTED",
            Record(state=ORANGE, reason=SIX_REASONS[3]),
            only=("2020",),
        ),
        "orange-medicine": story(
            "购买退热药，同样是橙码",
            "Bought fever medicine, and orange just the same",
            "RESTRICTED",
            Record(state=ORANGE, reason=SIX_REASONS[5]),
            only=("2020",),
        ),
        "yellow-too-early": story(
            "两色方案中没有的黄码",
            "A yellow that a scheme of two colours does not have",
            "CANNOT_DETERMINE",
            Record(state=YELLOW),
            only=("2020",),
        ),
        "orange-too-late": story(
            "三色方案中没有的橙码",
            "An orange that a scheme of three colours does not have",
            "CANNOT_DETERMINE",
            Record(state=ORANGE, reason=SIX_REASONS[4]),
            only=_LATER,
        ),
        "yellow": story(
            "冷链人员，黄码",
            "Cold-chain contact, yellow",
            "YELLOW",
            Record(state=YELLOW, reason=_YELLOW_REASONS[0]),
            only=_LATER,
        ),
        "red": story(
            "密切接触者，红码",
            "Close contact, red",
            "RED",
            Record(state=RED, reason=_RED_REASONS[0]),
            only=_LATER,
        ),
        "pool": story(
            "混检阳性同管，未满12小时",
            "Of a positive pool, less than twelve hours ago",
            "YELLOW",
            Record(state=YELLOW, reason=POOL, changed_ago=timedelta(hours=5)),
            only=("2022-06",),
        ),
        "pool-cleared": story(
            "混检阳性同管，排除满12小时，自动转绿",
            "Of a positive pool, cleared and green again by itself after twelve hours",
            "GREEN",
            Record(state=YELLOW, reason=POOL, changed_ago=timedelta(hours=13)),
            only=("2022-06",),
        ),
        "negative-and-yellow": story(
            "核酸阴性，但转码条件未满足",
            "Tested negative, and the exit of the class asks for more",
            "YELLOW",
            Record(state=YELLOW, reason=_YELLOW_REASONS[3], tested_ago=timedelta(hours=20)),
            only=("2022-06",),
        ),
        "released": story(
            "解除隔离后转绿",
            "Green again after release",
            "GREEN",
            Record(state=GREEN, reason=_RELEASED),
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
            "须先更新个人信息",
            "Must renew the form first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "two-records": story(
            "两条记录，一绿一黄",
            "Two records, one green and one yellow",
            "YELLOW",
            Record(state=GREEN),
            Record(state=YELLOW, division="350500", reason=_YELLOW_REASONS[2]),
            also=("GREEN",),
            only=_LATER,
        ),
    },
    qr=QrForm("fujian", "https://bmm.example/scan?c=FJ{stamp}{serial}{check}", stamp_digits=1),
)
