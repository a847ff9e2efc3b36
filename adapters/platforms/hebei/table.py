"""Hebei 健康码: what the reference platform knows of its people.

Every person has a report of Hebei and may have others, of the provinces they have been
to; all come from the national records together. The verdict above them is 未见异常 only
where every report is low and nothing else was found.

Choices, because no source tells them: every share, the hour of assessment, what else
may raise the verdict (``extra``: ``warns``), the form of the QR text.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

LOW: Final = "00"
MEDIUM: Final = "01"
HIGH: Final = "10"

WARNS: Final = "warns"
"""Member of ``extra``: the verdict finds something that no report tells."""

_BEIJING: Final = "110000"
_HUBEI: Final = "420000"

CITY: Final = City(
    name="hebei",
    division="130000",
    counties=("130102", "130104", "130105", "130202", "130302", "130602", "130702", "131002"),
    versions=(
        Version(
            id="2020-03",
            since=shanghai("2020-03-18"),
            states=(
                State(word=LOW, colour=Colour.GREEN, share=0.96),
                State(word=MEDIUM, colour=Colour.MIDDLE, share=0.025, reasons=("来自中风险地区",)),
                State(word=HIGH, colour=Colour.RED, share=0.015, reasons=("密切接触者",)),
            ),
            second_share=0.2,
            second=Record(state=LOW),
            second_divisions=(_BEIJING, "120000", "140000", "370000", "410000"),
        ),
    ),
    stories={
        "green": story("低风险", "Low", "GREEN", Record(state=LOW)),
        "yellow": story(
            "中风险", "Medium", "YELLOW", Record(state=MEDIUM, reason="来自中风险地区")
        ),
        "red": story("高风险", "High", "RED", Record(state=HIGH, reason="密切接触者")),
        "green-everywhere": story(
            "河北、北京、湖北三份报告均为低风险",
            "Low in the reports of Hebei, Beijing and Hubei",
            "GREEN",
            Record(state=LOW),
            Record(state=LOW, division=_BEIJING),
            Record(state=LOW, division=_HUBEI),
        ),
        "yellow-here-only": story(
            "河北中风险，北京低风险",
            "Medium in Hebei, low in Beijing",
            "YELLOW",
            Record(state=LOW, division=_BEIJING),
            Record(state=MEDIUM, reason="来自中风险地区"),
        ),
        "red-elsewhere": story(
            "河北低风险，湖北高风险",
            "Low in Hebei, high in Hubei",
            "CANNOT_DETERMINE",
            Record(state=LOW),
            Record(state=HIGH, division=_HUBEI, reason="密切接触者"),
        ),
        "unknown-elsewhere": story(
            "河北低风险，北京数值不明",
            "Low in Hebei, a value that nobody knows in Beijing",
            "CANNOT_DETERMINE",
            Record(state=LOW),
            Record(state="11", division=_BEIJING),
        ),
        "only-elsewhere": story(
            "仅有北京的低风险报告",
            "Low in Beijing, and no report of Hebei",
            "CANNOT_DETERMINE",
            Record(state=LOW, division=_BEIJING),
        ),
        "warned": story(
            "各省报告均为低风险，但总体预警",
            "Low in every report, and yet warned of above them",
            "CANNOT_DETERMINE",
            Record(state=LOW, extra={WARNS: True}),
        ),
        "red-and-warned": story(
            "高风险且总体预警",
            "High, and warned of above it",
            "RED",
            Record(state=HIGH, extra={WARNS: True}),
        ),
        "unknown-value": story(
            "“其他即高风险”的数值",
            'A value that the client calls "anything else is high"',
            "CANNOT_DETERMINE",
            Record(state="02"),
        ),
        "expired-code": story(
            "出示已更换的旧码",
            "Shows a code that has been made anew since",
            "CODE_EXPIRED",
            Record(state=LOW),
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
    },
    qr=QrForm("hebei", "https://hbjkm.example/scan?bizExtData=13{opaque}"),
    ordinals={LOW: "1", MEDIUM: "2", HIGH: "3"},
)
