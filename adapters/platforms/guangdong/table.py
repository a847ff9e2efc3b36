"""Guangdong 粤康码: what the reference platform knows of its people.

Two ages. From 2020 on red or green only, and red covers six classes of people,
among them quarantine in a centre and at home. In 2022 integrators' forms also list
a yellow. No declaration is asked for: a real-name login is enough.

Choices, because no source tells them: the day of each age (2020-02-01, 2022-01-01),
the hours of assessment, the shares (96 % green; 1 % who never applied; half a
percent whose identity the system does not contain yet), the wording of reasons, a
negative test in the last 30 days for everybody in the second age, the QR text, and
24 hours of life for a converted code, as the pass voucher of 2022 had.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

_RED_REASONS: Final = ("居家隔离观察期内", "集中隔离观察期内", "密切接触者", "来自高风险地区")
_YELLOW_REASONS: Final = ("发热门诊就诊后未检测核酸", "来自中风险地区")
_STANDINGS: Final = {Result.NOT_APPLIED: 0.010, Result.MUST_UPDATE: 0.005}

CITY: Final = City(
    name="guangdong",
    division="440000",
    # Outside Guangzhou, whose people are its own platform's: 深圳、珠海、佛山、惠州、揭阳.
    counties=("440303", "440304", "440305", "440402", "440605", "440606", "441303", "445202"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-01"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96),
                State(word=RED, colour=Colour.RED, share=0.04, reasons=_RED_REASONS),
            ),
            standings=_STANDINGS,
            recomputed=HOURLY,
        ),
        Version(
            id="2022",
            since=shanghai("2022-01-01"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.02, reasons=_YELLOW_REASONS),
                State(word=RED, colour=Colour.RED, share=0.02, reasons=_RED_REASONS),
            ),
            standings=_STANDINGS,
            recomputed=HOURLY,
            tested_every=timedelta(days=30),
        ),
    ),
    stories={
        "green": story("粤康绿码", "Green in Guangdong", "GREEN", Record(state=GREEN)),
        "red": story(
            "密切接触者，红码",
            "Close contact, red",
            "RESTRICTED",
            Record(state=RED, reason=_RED_REASONS[2]),
        ),
        "red-at-home": story(
            "居家隔离，红码",
            "Quarantine at home, which is red where there is no yellow",
            "RESTRICTED",
            Record(state=RED, reason=_RED_REASONS[0]),
        ),
        "yellow": story(
            "2022年的黄码",
            "A yellow of 2022",
            "YELLOW",
            Record(state=YELLOW, reason=_YELLOW_REASONS[0]),
            only=("2022",),
        ),
        "yellow-too-early": story(
            "两色方案中没有的黄码",
            "A yellow that a scheme of two colours does not have",
            "CANNOT_DETERMINE",
            Record(state=YELLOW),
            only=("2020-02",),
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
        "no-identity": story(
            "系统未收录身份信息，须先补录",
            "The system does not contain this identity; the holder must have it added",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "two-records": story(
            "省码绿、深圳记录红",
            "Green in the province's record, red in Shenzhen's",
            "RESTRICTED",
            Record(state=GREEN),
            Record(state=RED, division="440300", reason=_RED_REASONS[3]),
            also=("GREEN",),
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
        "recently-tested": story(
            "一天前核酸阴性，绿码",
            "Green with a negative test of yesterday",
            "GREEN",
            Record(state=GREEN, tested_ago=timedelta(days=1)),
        ),
    },
    qr=QrForm("guangdong", "https://ykm.example/c/44{serial}{stamp}{check}", stamp_digits=2),
)
