"""Travel card 通信大数据行程卡: where telephones stayed for more than four hours.

Six ages, as the scheme tells them: 14 days without marks; city names in red from
2020-11-10; a note, later a star from 2021-01-08 20:30; no mark from 2022-06-29; 7 days
from 2022-07-08; closed on 2022-12-13, and kept open here for reference with both the 7
days and the star. The card knows telephones and no identity document.

Choices, because no source tells them: the words of the colours, which cities are
marked (always the same three here), how many cities people have been to, the hour of
the daily count (03:00), that a SIM in use for fewer days shows those days, the QR text.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿色卡"
YELLOW: Final = "黄色卡"
ORANGE: Final = "橙色卡"
RED: Final = "红色卡"

WINDOW_DAYS: Final = {
    "14d": 14,
    "red-names": 14,
    "star": 14,
    "without-star": 14,
    "7d": 7,
    "reference": 7,
}

MARKS: Final = {"red-names": "red", "star": "*", "reference": "*"}
"""How a city with an area of risk is marked; versions that mark none are left out."""

MARKED: Final = frozenset({"31", "4403", "6101"})
"""上海, 深圳 and 西安, for the whole of reference time."""

ELSEWHERE: Final = ("11", "31", "3301", "3302", "4401", "4403", "5101", "6101")
"""Where people travel to."""

_STATES: Final = (
    State(word=GREEN, colour=Colour.GREEN, share=0.985),
    State(word=YELLOW, colour=Colour.MIDDLE, share=0.013),
    State(word=ORANGE, colour=Colour.MIDDLE, share=0.002),
    State(word=RED, colour=Colour.RED),
)
_STANDINGS: Final = {Result.MUST_UPDATE: 0.01}

_SINCE: Final = {
    "14d": "2020-03-06",
    "red-names": "2020-11-10",
    "star": "2021-01-08 20:30",
    "without-star": "2022-06-29",
    "7d": "2022-07-08",
    "reference": "2022-12-13",
}


def _card(state: str, *cities: str, days: int | None = None) -> Record:
    return Record(state=state, extra={"cities": cities, "days": days})


CITY: Final = City(
    name="travelcard",
    division="100002",
    # Of the whole country: 北京、上海、杭州、武汉、广州、成都、西安.
    counties=("110101", "310101", "330102", "420102", "440103", "510104", "610102"),
    versions=tuple(
        Version(id=name, since=shanghai(since), states=_STATES, standings=_STANDINGS)
        for name, since in _SINCE.items()
    ),
    stories={
        "home": story(
            "只到过杭州",
            "Only in Hangzhou",
            "EVIDENCE_ONLY",
            _card(GREEN, "3301"),
            by_document="NOT_FOUND",
        ),
        "marked": story(
            "到过西安，该市有中高风险地区",
            "Was in Xi'an, a city with an area of risk somewhere",
            "EVIDENCE_ONLY",
            _card(GREEN, "3301", "6101"),
            by_document="NOT_FOUND",
        ),
        "several-places": story(
            "到过北京、广州、成都",
            "Was in Beijing, Guangzhou and Chengdu",
            "EVIDENCE_ONLY",
            _card(GREEN, "11", "4401", "5101"),
            by_document="NOT_FOUND",
        ),
        "border": story(
            "住衢州，基站列出邻省上饶",
            "Lives in Quzhou; a base station lists Shangrao across the border",
            "EVIDENCE_ONLY",
            _card(GREEN, "3308", "3611"),
            by_document="NOT_FOUND",
        ),
        "abroad": story(
            "到过境外，黄色卡",
            "Was abroad, a yellow card",
            "EVIDENCE_ONLY",
            _card(YELLOW, "4401"),
            by_document="NOT_FOUND",
        ),
        "contact": story(
            "橙色卡",
            "An orange card",
            "EVIDENCE_ONLY",
            _card(ORANGE, "4201"),
            by_document="NOT_FOUND",
        ),
        "red": story(
            "红色卡，未见使用",
            "A red card, which nobody was found to get",
            "EVIDENCE_ONLY",
            _card(RED, "3301"),
            by_document="NOT_FOUND",
        ),
        "nowhere": story(
            "没有停留满四小时的城市",
            "No city with a stay of four hours",
            "EVIDENCE_ONLY",
            _card(GREEN),
            by_document="NOT_FOUND",
        ),
        "new-sim": story(
            "新办手机卡，只有三天行程",
            "A new SIM, in use for three days",
            "EVIDENCE_ONLY",
            _card(GREEN, "3301", days=3),
            by_document="NOT_FOUND",
        ),
        "no-consent": story(
            "持卡人须先授权查询",
            "Must agree to the query first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
            by_document="NOT_FOUND",
        ),
        "expired-code": story(
            "出示昨天的截图",
            "Shows a screenshot of a card since renewed",
            "CODE_EXPIRED",
            _card(GREEN, "3301"),
            shows=Shown.OLD,
            by_document="NOT_FOUND",
        ),
        "unknown-state": story(
            "方案未映射的颜色",
            "A colour of card that the scheme does not know",
            "CANNOT_DETERMINE",
            _card("紫色卡", "3301"),
            by_document="NOT_FOUND",
        ),
    },
    qr=QrForm("travelcard", "https://xck.example/card/{opaque}"),
    documents=False,
)
