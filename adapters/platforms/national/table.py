"""National 防疫健康信息码: what the reference service knows of the people it serves.

One age from 2020-02-29 on. Yellow is a fact of the gate: the data are clean and
somebody measured a fever, which this service remembers for the day. People come from
regions that used the national code directly.

Choices, because no source tells them: the hour of assessment (03:00), the shares, the
wording of reasons, that a fever reported by one gate is told to the next, and the QR
text (``bizExtData`` travelled inside the real one).
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "00"
YELLOW: Final = "01"
RED: Final = "10"

FEVER: Final = "数据未见异常，现场测温异常"

_RED_REASONS: Final = ("确诊病例", "密切接触者隔离观察", "14天内到过高风险地区")

CITY: Final = City(
    name="national",
    division="100001",
    # Of regions that used the national code directly: 沈阳、大连、哈尔滨、拉萨.
    counties=("210102", "210202", "230102", "230103", "540102", "540103"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-29"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.965),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.015, reasons=(FEVER,)),
                State(word=RED, colour=Colour.RED, share=0.02, reasons=_RED_REASONS),
            ),
            standings={Result.NOT_APPLIED: 0.02},
        ),
    ),
    stories={
        "green": story("未见异常", "Nothing found", "GREEN", Record(state=GREEN)),
        "fever": story(
            "数据未见异常，门口测温异常",
            "Clean data, and a fever at the gate",
            "YELLOW",
            Record(state=YELLOW, reason=FEVER),
        ),
        "red": story(
            "密切接触者，红码",
            "Close contact, red",
            "RED",
            Record(state=RED, reason=_RED_REASONS[1]),
        ),
        "single-one": story(
            "只写一个1，有的读卡器当作红",
            "A single 1, which one reader takes for red and other vendors for green",
            "CANNOT_DETERMINE",
            Record(state="1"),
        ),
        "unknown-state": story(
            "两位编码中没有的值",
            "A pair of digits that means nothing",
            "CANNOT_DETERMINE",
            Record(state="11"),
        ),
        "province-s-code": story(
            "通过国家终端读到的粤康码绿码",
            "A province's green read through a national terminal",
            "CANNOT_DETERMINE",
            Record(state=GREEN, division="440000"),
        ),
        "city-s-code": story(
            "通过国家终端读到的穗康码绿码",
            "A city's green read through a national terminal",
            "CANNOT_DETERMINE",
            Record(state=GREEN, division="440100"),
        ),
        "expired-code": story(
            "二维码已失效",
            "A QR that is void",
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
    },
    qr=QrForm("national", "https://gkm.example/ma?bizExtData={OPAQUE}"),
)
