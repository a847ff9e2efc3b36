"""Wenzhou 温州健康码: what the reference platform knows of its people.

One age. Records bear the members that Ali-built platforms send to the province: state
``mzt``, type ``mlx``, issuing city ``mffd``. A link that bears Wenzhou's area code may
still lead to a record that another city issued.

Choices, because no source tells them: the hour of the recomputation (03:00), the
shares, the wording of reasons, and what follows the orgCode in the QR text.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

WITHIN_DOMAIN: Final = "本域内通行码"

CITIES: Final = {
    "330100": "杭州市",
    "330200": "宁波市",
    "330300": "温州市",
    "330400": "嘉兴市",
    "330500": "湖州市",
    "330600": "绍兴市",
    "330700": "金华市",
    "330800": "衢州市",
    "330900": "舟山市",
    "331000": "台州市",
    "331100": "丽水市",
}

ORG: Final = "330300-11330300SYNTH00001-p0000"
"""Area code, a credit code that nobody holds, and a page: as the listed links have it."""

NINGBO_ORG: Final = "330283-11330200SYNTH00001-p0000"
"""Ningbo's in the same page: the old code of Fenghua in place of 330200."""

PAGE: Final = "https://alipay.example/epidemic-collect/report-health.html"
SCANNED: Final = "&type=twocode&from=offline&needRequestCodeDetail=YES&id="

_YELLOW_REASONS: Final = ("本人申报有发热症状", "来自中风险地区未满7天")
_RED_REASONS: Final = ("14天内来自重点地区", "与确诊人员密切接触", "集中隔离人员【省数据局接口】")

CITY: Final = City(
    name="alipay",
    division="330300",
    # 鹿城、龙湾、瓯海、洞头、永嘉、平阳、瑞安、乐清
    counties=("330302", "330303", "330304", "330305", "330324", "330326", "330381", "330382"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-17"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.947),
                State(word=YELLOW, colour=Colour.MIDDLE, share=0.02, reasons=_YELLOW_REASONS),
                State(word=RED, colour=Colour.RED, share=0.033, reasons=_RED_REASONS),
            ),
            standings={Result.NOT_APPLIED: 0.01},
        ),
    ),
    stories={
        "green": story("温州绿码", "Green in Wenzhou", "GREEN", Record(state=GREEN)),
        "yellow": story(
            "申报发热，黄码",
            "Declared a fever, yellow",
            "YELLOW",
            Record(state=YELLOW, reason=_YELLOW_REASONS[0]),
        ),
        "red": story(
            "密切接触者，红码",
            "Close contact, red",
            "RED",
            Record(state=RED, reason=_RED_REASONS[1]),
        ),
        "linked-elsewhere": story(
            "链接写温州，记录由宁波发放",
            "A link of Wenzhou, behind it a record that Ningbo issued",
            "CANNOT_DETERMINE",
            Record(state=GREEN, division="330200"),
        ),
        "within-domain": story(
            "绿码仅限本域内通行",
            "Green only inside its own domain",
            "CANNOT_DETERMINE",
            Record(state=GREEN, kind=WITHIN_DOMAIN),
        ),
        "within-domain-red": story(
            "本域内红码",
            "Red, whatever the domain",
            "RED",
            Record(state=RED, kind=WITHIN_DOMAIN, reason=_RED_REASONS[2]),
        ),
        "two-records": story(
            "两条记录，一绿一黄",
            "Two records, one green and one yellow",
            "YELLOW",
            Record(state=GREEN),
            Record(state=YELLOW, source="阿里自建root", reason=_YELLOW_REASONS[1]),
            also=("GREEN",),
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
        "shared-phone": story(
            "一部手机登记多人，扫码结果不唯一",
            "One phone, two people under one code",
            "AMBIGUOUS_SUBJECT",
            Record(state=GREEN),
            by_document="GREEN",
            people=2,
        ),
        "proxy": story(
            "家长代申领的儿童",
            "A child whose parent applied",
            "GREEN",
            Record(state=GREEN, proxy="a parent"),
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
    },
    qr=QrForm("alipay", f"{PAGE}?orgCode={ORG}{SCANNED}{{opaque}}"),
    elsewhere="330200",
)
