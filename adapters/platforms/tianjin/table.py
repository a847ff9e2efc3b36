"""Tianjin 健康码: what the reference platform knows of its people.

Green, orange, red, made by Tianjin's own rule. From 2020-03-21 on it also holds codes
of people from Beijing and Hebei, who applied here and whose colour was made from shared
data; they live in the population as everybody.

Choices, because no source tells them: every share and every reason, the hour of
assessment, the words for where a colour was made from, the QR text.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
ORANGE: Final = "橙码"
RED: Final = "红码"

OWN_DATA: Final = "本市数据"
SHARED_DATA: Final = "共享数据"

_STATES: Final = (
    State(word=GREEN, colour=Colour.GREEN, share=0.95, source=OWN_DATA),
    State(
        word=ORANGE,
        colour=Colour.MIDDLE,
        share=0.03,
        reasons=("14天内来自中风险地区", "本人申报发热"),
        source=OWN_DATA,
    ),
    State(word=RED, colour=Colour.RED, share=0.02, reasons=("密切接触者",), source=OWN_DATA),
)
_FROM_ELSEWHERE: Final = replace(
    _STATES[0], share=0.05, reasons=("京冀人员申领",), source=SHARED_DATA
)

CITY: Final = City(
    name="tianjin",
    division="120000",
    counties=("120101", "120102", "120103", "120104", "120105", "120106", "120110", "120114"),
    versions=(
        Version(id="2020-02", since=shanghai("2020-02-29"), states=_STATES, recomputed=HOURLY),
        Version(
            id="2020-03-21",
            since=shanghai("2020-03-21"),
            states=(replace(_STATES[0], share=0.90), _FROM_ELSEWHERE, *_STATES[1:]),
            recomputed=HOURLY,
        ),
    ),
    stories={
        "green": story("绿码", "Green", "GREEN", Record(state=GREEN)),
        "orange": story(
            "橙码，严格居家观察",
            "Orange: strict observation at home",
            "YELLOW",
            Record(state=ORANGE, reason="14天内来自中风险地区"),
        ),
        "red": story("红码，严格管控", "Red", "RED", Record(state=RED, reason="密切接触者")),
        "from-beijing": story(
            "北京人员申领天津码，由共享数据生成绿码",
            "From Beijing, holds a Tianjin code made green from shared data",
            "GREEN",
            Record(state=GREEN, source=SHARED_DATA, reason="京冀人员申领"),
            only=("2020-03-21",),
        ),
        "from-hebei-red": story(
            "河北人员申领天津码，由共享数据生成红码",
            "From Hebei, holds a Tianjin code made red from shared data",
            "RED",
            Record(state=RED, source=SHARED_DATA, reason="密切接触者"),
            only=("2020-03-21",),
        ),
        "two-records": story(
            "本市绿码，共享数据橙码",
            "Green from the city's own data, orange from shared data",
            "YELLOW",
            Record(state=GREEN),
            Record(state=ORANGE, source=SHARED_DATA, reason="14天内来自中风险地区"),
            also=("GREEN",),
            only=("2020-03-21",),
        ),
        "from-other-data": story(
            "颜色由来源不明的数据生成",
            "A colour made from data of a kind that nobody knows",
            "CANNOT_DETERMINE",
            Record(state=GREEN, source="外省码"),
        ),
        "unknown-state": story(
            "本市没有的黄码",
            "A yellow that this city does not have",
            "CANNOT_DETERMINE",
            Record(state="黄码"),
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
    qr=QrForm("tianjin", "TJJKM{serial}{stamp}{CHECK}", stamp_digits=1),
    stale_by=timedelta(days=3),
)
