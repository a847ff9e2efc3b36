"""Zhejiang 浙江健康码: who is what in eleven cities, and the people of its stories.

Facts reproduced: an array of records, one for each city that issued a code, each with
its own colour and times; the within-domain pass; free-text reasons and release notes;
who applied on behalf of a child; several people on one phone; Hangzhou's own platform
beside the two that serve the ten others.

Choices, because no source tells them: the shares (94.7 % green as the province stated
for 2020-02-17, 4 % with a second city's record), the wording of reasons, the hour of
recomputation, the ordinary code type ``跨域互认码``, the text of the QR code. Its shape
follows the entry page that ten cities share, where Ningbo stands as 330283, the old
code of Fenghua: whoever takes the area code in a link for the city is wrong.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTIES: Final = (
    "330106",
    "330212",
    "330302",
    "330402",
    "330502",
    "330602",
    "330702",
    "330802",
    "330902",
    "331002",
    "331102",
)
"""One district of each city, in the order of the cities' codes."""

ALL_CITIES: Final = tuple(county[:4] + "00" for county in COUNTIES)

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

EVERYWHERE: Final = "跨域互认码"
WITHIN_DOMAIN: Final = "本域内通行码"

OLDER_BY: Final = timedelta(hours=6)
"""How much older the record of ``extra["older"]`` is; still young enough to be used."""

_ENTRY_CODES: Final = {"330200": "330283"}
"""Area codes of the entry page that differ from the city's."""

_CONTACT: Final = "与确诊人员密切接触"
_SPACE: Final = "14天内途经疫情重点地区"
_LISTED: Final = "集中隔离重点人群【省数据局接口】"
_FEVER: Final = "本人申报有发热症状"
_SHORT: Final = "来自疫情重点地区未满7天"
_RELEASED: Final = "解除 - 原居家隔离重点人群【省数据局接口】"

_OWN: Final = Record(state=GREEN)
_JINHUA: Final = Record(state=GREEN, division="330700", source="阿里自建root")


class _EntryPage(QrForm):
    """A link in the shape of the entry page, with an area code that nobody may trust."""

    def render(self, fields: Mapping[str, str]) -> str:
        """Write the fields into the text, and the area code of the person's page."""
        city = ALL_CITIES[int(fields["serial"]) % len(ALL_CITIES)]
        return super().render({**fields, "area": _ENTRY_CODES.get(city, city)})

    def parse(self, text: str) -> Mapping[str, str] | None:
        """Find the fields in a text; the area code is not looked at."""
        return super().parse(re.sub(r"orgCode=33[0-9]{4}-", "orgCode={area}-", text, count=1))


CITY: Final = City(
    name="zhejiang",
    division="330000",
    counties=COUNTIES,
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-17"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.947, kind=EVERYWHERE),
                State(
                    word=YELLOW,
                    colour=Colour.MIDDLE,
                    share=0.020,
                    kind=EVERYWHERE,
                    reasons=(_FEVER, _SHORT),
                ),
                State(
                    word=RED,
                    colour=Colour.RED,
                    share=0.033,
                    kind=EVERYWHERE,
                    reasons=(_SPACE, _CONTACT, _LISTED),
                ),
            ),
            second_share=0.04,
            second=Record(state="", source="阿里自建root"),
            second_divisions=ALL_CITIES,
        ),
    ),
    stories={
        "green": story("浙江绿码", "Green in Zhejiang", "GREEN", _OWN),
        "yellow": story(
            "申报发热，黄码",
            "Declared a fever, yellow",
            "YELLOW",
            replace(_OWN, state=YELLOW, reason=_FEVER),
        ),
        "red": story(
            "密切接触者，红码", "A close contact", "RED", replace(_OWN, state=RED, reason=_CONTACT)
        ),
        "released": story(
            "解除隔离后转绿", "Green again after release", "GREEN", replace(_OWN, reason=_RELEASED)
        ),
        "two-cities": story(
            "本市绿码、金华红码",
            "Green at home, red in Jinhua: both are stated",
            "RED",
            _OWN,
            replace(_JINHUA, state=RED, reason=_SPACE),
            also=("GREEN",),
        ),
        "newer-green-older-red": story(
            "较新绿码、较旧红码，不以最新为准",
            "A newer green does not beat an older red",
            "RED",
            _OWN,
            replace(_JINHUA, state=RED, reason=_SPACE, extra={"older": True}),
            also=("GREEN",),
        ),
        "two-platforms-of-a-city": story(
            "同一城市两个平台颜色不同",
            "Two issuing platforms of one city disagree",
            "YELLOW",
            _OWN,
            replace(_OWN, state=YELLOW, reason=_SHORT, source="阿里自建root"),
            also=("GREEN",),
        ),
        "eleven-cities": story(
            "十一市各有一码，衢州黄码",
            "A code of every city, yellow in Quzhou",
            "YELLOW",
            *(
                replace(_OWN, division=city, state=YELLOW if city == "330800" else GREEN)
                for city in ALL_CITIES
            ),
            also=("GREEN",) * 10,
        ),
        "within-domain": story(
            "绿码仅限本域内通行",
            "Green only inside its own domain",
            "CANNOT_DETERMINE",
            replace(_OWN, kind=WITHIN_DOMAIN),
        ),
        "within-domain-beside-green": story(
            "本市绿码，金华仅限本域内通行",
            "Green at home, and a pass of Jinhua's domain only",
            "CANNOT_DETERMINE",
            _OWN,
            replace(_JINHUA, kind=WITHIN_DOMAIN),
        ),
        "within-domain-red": story(
            "本域内红码",
            "Red, whatever the domain",
            "RED",
            replace(_OWN, kind=WITHIN_DOMAIN, state=RED, reason=_LISTED),
        ),
        "unknown-type": story(
            "未知类型的绿码",
            "Green of a type that nobody has described",
            "CANNOT_DETERMINE",
            replace(_OWN, kind="国际码"),
        ),
        "expired-code": story(
            "出示已更换的旧码截图",
            "Shows a screenshot of a code since renewed",
            "CODE_EXPIRED",
            _OWN,
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "shared-phone": story(
            "一部手机登记多人，扫码结果不唯一",
            "One phone, two people under one code",
            "AMBIGUOUS_SUBJECT",
            _OWN,
            people=2,
            by_document="GREEN",
        ),
        # The child on that phone.
        "proxy": story(
            "家长代申领的儿童",
            "A child whose parent applied",
            "GREEN",
            replace(_OWN, proxy="parent"),
        ),
        "not-applied": story(
            "从未申领",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码", kind=EVERYWHERE),
        ),
    },
    qr=_EntryPage("zhejiang", "https://zjjkm.example/twocode?orgCode={area}-p0000&id={opaque}"),
    ordinals={GREEN: "1", YELLOW: "2", RED: "3"},
)
