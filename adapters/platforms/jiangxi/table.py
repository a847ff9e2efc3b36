"""Who is what in reference Jiangxi.

The states are those of adapters/schemes/jiangxi/scheme.yaml. That one holder in eight
has a city's code beside the province's, shares and the wording of reasons are choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

if TYPE_CHECKING:
    from collections.abc import Mapping

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

ISSUERS: Final = {
    "360000": "江西省",
    "360100": "南昌市",
    "360200": "景德镇市",
    "360300": "萍乡市",
    "360400": "九江市",
    "360500": "新余市",
    "360600": "鹰潭市",
    "360700": "赣州市",
    "360800": "吉安市",
    "360900": "宜春市",
    "361000": "抚州市",
    "361100": "上饶市",
    # Under the fault `another-province`.
    "410100": "郑州市",
}
"""How the wire names who issued a record."""

NANCHANG: Final = "360100"

_PROVINCE_TEXT: Final = "https://gtm.example/c?m="
_NANCHANG_TEXT: Final = "https://ctm.example/c?m="


class _TwoHosts(QrForm):
    """The form of 赣通码, and of 昌通码 with another host; both lead to all records."""

    def parse(self, text: str) -> Mapping[str, str] | None:
        """Find the code behind either host."""
        return super().parse(text.replace(_NANCHANG_TEXT, _PROVINCE_TEXT, 1))


TABLE: Final = City(
    name="jiangxi",
    division="360000",
    counties=("360102", "360103", "360104", "360403", "360702"),
    versions=(
        Version(
            id="2020-03",
            since=shanghai("2020-03-16"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.955),
                State(
                    word=YELLOW,
                    colour=Colour.MIDDLE,
                    share=0.03,
                    reasons=("居家隔离观察", "本人申报有症状"),
                ),
                State(
                    word=RED,
                    colour=Colour.RED,
                    share=0.015,
                    reasons=("密切接触者", "14天内来自高风险地区"),
                ),
            ),
            second=Record(state=""),
            second_share=0.125,
            second_divisions=("360100", "360400", "360700"),
            recomputed=HOURLY,
        ),
    ),
    stories={
        "green": story("赣通绿码", "Green in Jiangxi", "GREEN", Record(state=GREEN)),
        "green-nanchang": story(
            "昌通绿码，与赣通码效力相同",
            "Green in Nanchang's own code, of equal effect",
            "GREEN",
            Record(state=GREEN, division=NANCHANG),
        ),
        "yellow": story(
            "居家观察，黄码",
            "Observation at home, yellow",
            "YELLOW",
            Record(state=YELLOW, reason="居家隔离观察"),
        ),
        "red": story(
            "密切接触者，红码",
            "A contact, red",
            "RED",
            Record(state=RED, reason="密切接触者"),
        ),
        "two-records": story(
            "赣通绿码、昌通黄码",
            "Green in the province's record, yellow in Nanchang's",
            "YELLOW",
            Record(state=GREEN),
            Record(state=YELLOW, reason="居家隔离观察", division=NANCHANG),
            also=("GREEN",),
        ),
        "two-greens": story(
            "赣通、昌通两码皆绿",
            "Green in both records",
            "GREEN",
            Record(state=GREEN),
            Record(state=GREEN, division=NANCHANG),
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
            "未申领赣通码",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "must-update": story(
            "须更新申报信息",
            "Must bring the declaration up to date",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "unknown-state": story(
            "方案中没有的灰码",
            "A grey that the scheme does not have",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
    },
    qr=_TwoHosts("jiangxi", _PROVINCE_TEXT + "{opaque}"),
)


def nanchang_text(province_text: str) -> str:
    """The QR text of 昌通码 of whoever shows this one of 赣通码."""
    return province_text.replace(_PROVINCE_TEXT, _NANCHANG_TEXT, 1)
