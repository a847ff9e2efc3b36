"""Who is what in reference Jiangsu.

The states are those of adapters/schemes/jiangsu/scheme.yaml; shares are choices. The
platform gives no reasons, and one record a person.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "green"
YELLOW: Final = "yellow"
RED: Final = "red"

TABLE: Final = City(
    name="jiangsu",
    division="320000",
    counties=("320102", "320104", "320505", "320508", "320507"),
    versions=(
        Version(
            id="2020-03",
            since=shanghai("2020-03-05"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.025, release_days=14),
                State(word=RED, colour=Colour.RED, share=0.015, release_days=14),
            ),
            # The form is to be filled in every 14 days (update_frequency_day); who has
            # not done so is refused with 119.
            standings={Result.NOT_APPLIED: 0.01, Result.MUST_UPDATE: 0.02},
            recomputed=HOURLY,
        ),
    ),
    stories={
        "green": story("苏康绿码", "Green in Jiangsu", "GREEN", Record(state=GREEN)),
        "yellow": story("苏康黄码", "Yellow in Jiangsu", "YELLOW", Record(state=YELLOW)),
        "red": story("苏康红码", "Red in Jiangsu", "RED", Record(state=RED)),
        "expired-code": story(
            "二维码已过期（111）",
            "The QR has expired (111)",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "must-update": story(
            "须先更新申报表（119）",
            "Must update the form first (119)",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "not-applied": story(
            "未申领，平台仅返回“其他”（1）",
            'Never applied; the platform says only "other" (1)',
            "CANNOT_DETERMINE",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "unknown-state": story(
            "三色之外的状态词",
            "A word that is none of the three colours",
            "CANNOT_DETERMINE",
            Record(state="orange"),
        ),
    },
    qr=QrForm("jiangsu", "https://jsstm.example/jkm.html?qrCode={opaque}&page=result"),
    # A text that leads to nobody is no 苏康码 (112).
    unknown=("WRONG_REGION", "NOT_FOUND"),
)
