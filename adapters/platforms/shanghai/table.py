"""Shanghai 随申码: what the reference platform knows of its people.

Green, yellow, red; and people who hold the citizen's code and of whom there is no
colour (``extra``: ``no_colour``).

Choices, because no source tells them: every share, the hour of assessment, that some
holders have no colour, the QR text.
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

COLOURLESS: Final = "无颜色"
"""Holds the citizen's code, and no colour is held of this person."""

CITY: Final = City(
    name="shanghai",
    division="310000",
    counties=("310101", "310104", "310105", "310106", "310107", "310109", "310110", "310115"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-17"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.94),
                State(
                    word=YELLOW,
                    colour=Colour.MIDDLE,
                    share=0.02,
                    reasons=("来自重点地区抵沪未满14天",),
                    release_days=14,
                ),
                State(word=RED, colour=Colour.RED, share=0.01, reasons=("密切接触者",)),
                State(word=COLOURLESS, colour=Colour.NONE, share=0.03),
            ),
            recomputed=HOURLY,
        ),
    ),
    stories={
        "green": story("绿码", "Green", "GREEN", Record(state=GREEN)),
        "yellow": story(
            "抵沪未满14天",
            "From a key area, less than 14 days after arrival",
            "YELLOW",
            Record(state=YELLOW, reason="来自重点地区抵沪未满14天"),
        ),
        "red": story("红码", "Red", "RED", Record(state=RED, reason="密切接触者")),
        "identity-only": story(
            "二维码可查到身份，没有颜色",
            "The QR text leads to a person, of whom there is no colour",
            "EVIDENCE_ONLY",
            Record(state=COLOURLESS),
            by_document="NOT_FOUND",
        ),
        "unknown-state": story(
            "规则之外的灰码", "A grey that no rule knows", "CANNOT_DETERMINE", Record(state="灰码")
        ),
        "expired-code": story(
            "出示已更换的旧码",
            "Shows a code that has been made anew since",
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
            "须先完善个人信息",
            "Must complete the form first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
            shows=Shown.NONE,
        ),
    },
    qr=QrForm("shanghai", "https://ssm.example/q/31{opaque}"),
    stale_by=timedelta(days=3),
)
