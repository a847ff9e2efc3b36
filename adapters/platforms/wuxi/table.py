"""Who is what in reference Wuxi.

The states are those of adapters/schemes/wuxi/scheme.yaml, where a colour and its
``dataType`` make one state. Shares, the wording of reasons and the share of records
that Jiangyin issued are choices.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"
PENDING: Final = "待审核"

PULLED: Final = "01"
"""``dataType``: by analysis or another reason."""
ANSWERED: Final = "02"
"""``dataType``: because of the person's own answers."""

WUXI: Final = "320200"
JIANGYIN: Final = "320281"

ANSWERS: Final = ("本人申报有发热症状", "本人申报14天内有接触史")
"""Reasons that lie in the answers of the form; every other one was pushed."""

_PUSHED: Final = ("模型推送", "数据分析转入", "中风险地区来锡", "境外返锡")

TABLE: Final = City(
    name="wuxi",
    division=WUXI,
    counties=("320205", "320206", "320211", "320213", "320281", "320282"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-01"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.94),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.025, reasons=(*_PUSHED, *ANSWERS)),
                State(word=RED, colour=Colour.RED, share=0.015, reasons=(*_PUSHED, *ANSWERS)),
                State(word=PENDING, colour=Colour.NONE, share=0.02, reasons=(*_PUSHED, *ANSWERS)),
            ),
            second=Record(state="", division=JIANGYIN),
            second_share=0.1,
            recomputed=HOURLY,
        ),
    ),
    stories={
        "green": story("锡康绿码", "Green in Wuxi", "GREEN", Record(state=GREEN)),
        "green-jiangyin": story(
            "江阴签发的绿码",
            "Green, issued by Jiangyin",
            "GREEN",
            Record(state=GREEN, division=JIANGYIN),
        ),
        "yellow": story(
            "中风险地区来锡，黄码",
            "From a medium-risk area, yellow",
            "YELLOW",
            Record(state=YELLOW, kind=PULLED, reason="中风险地区来锡"),
        ),
        "red": story(
            "数据分析转入，红码",
            "Pulled red by analysis",
            "RED",
            Record(state=RED, kind=PULLED, reason="数据分析转入"),
        ),
        "red-by-answers": story(
            "因本人申报赋红码",
            "Red because of the holder's own answers",
            "RED",
            Record(state=RED, kind=ANSWERED, reason=ANSWERS[0]),
        ),
        "reviewed-to-red": story(
            "绿码经审核转红",
            "A green that was reviewed to red",
            "RED",
            Record(state=RED, kind=PULLED, reason="绿码审核转红"),
        ),
        "pending": story(
            "待审核，由模型推送",
            "Waits for a reviewer, pushed by the model",
            "PENDING_REVIEW",
            Record(state=PENDING, kind=PULLED, reason="模型推送"),
        ),
        "pending-in-jiangyin": story(
            "无锡绿码，江阴待审核",
            "Green in Wuxi, waits for a reviewer in Jiangyin",
            "PENDING_REVIEW",
            Record(state=GREEN),
            Record(state=PENDING, kind=ANSWERED, reason=ANSWERS[1], division=JIANGYIN),
        ),
        "two-records": story(
            "无锡绿码，江阴红码",
            "Green in Wuxi, red in Jiangyin",
            "RED",
            Record(state=GREEN),
            Record(state=RED, kind=PULLED, reason="境外返锡", division=JIANGYIN),
            also=("GREEN",),
        ),
        "expired-code": story(
            "出示旧码截图",
            "Shows a screenshot of a code that was made anew",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "not-applied": story(
            "未申领锡康码",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "unknown-state": story(
            "方案中没有的灰码",
            "A grey that the scheme does not have",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
    },
    qr=QrForm("wuxi", "https://xkm.example/gr?id={opaque}"),
)


def enterprise_text(index: int) -> str:
    """The QR text of an enterprise code (企业码), which tells where somebody works."""
    return f"https://xkm.example/qy?id={index:032x}"
