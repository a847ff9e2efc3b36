"""Hangzhou 杭州健康码: what the reference platform knows of its people.

The provincial query of Zhejiang answers with one record for each city that
issued a code to the person, so a person here holds one to three records, or none.

Facts reproduced: state words, several records a person, free-text reasons that may
also hold a release note, the daily recomputation, the within-domain pass, a phone
on which children are registered.

Choices, because no source tells them: the hour of the recomputation, the ordinary
code type ``跨域互认码`` (sources name only 本域内通行码), the wording of reasons, and
the shares: 94.7 % green as the province stated for 2020-02-17, the rest more red
than yellow as one subdistrict counted, 1 % who never applied, 2 % with a second
city's record; 24 hours of life for a converted code.

No source shows the text of Hangzhou's QR. The choice made here: a link with the
14-digit code number of Hangzhou's own issuance and a check of 16 hexadecimal
digits. Its host is reserved by RFC 2606 and never resolves::

    https://hzjkm.example/code?id=33011000000017&k=0123456789abcdef

The number holds the generation of the code: who renews a code gets the next one,
and a screenshot of the old one is refused as expired. That is a choice too; the
sources tell of expired QRs, not of how long one lives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

COUNTIES: Final = ("330102", "330105", "330106", "330108", "330109", "330110", "330122", "330127")
"""Districts and counties of Hangzhou in force today, among them 西湖区 and 桐庐县."""

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

EVERYWHERE: Final = "跨域互认码"
WITHIN_DOMAIN: Final = "本域内通行码"

OWN_PLATFORM: Final = "杭州自建"
"""Hangzhou issues its own codes; other issuers' ``source`` begins with 阿里自建."""

_RED_REASONS: Final = (
    "14天内途经疫情重点地区",
    "与确诊人员密切接触",
    "集中隔离重点人群【省数据局接口】",
)
_YELLOW_REASONS: Final = ("本人申报有发热症状", "来自疫情重点地区未满7天")
_RELEASE_NOTE: Final = "解除 - 原居家隔离重点人群【省数据局接口】"

_HZ: Final = Record(state=GREEN)
_JH: Final = Record(state=GREEN, division="330700", source="阿里自建root")
_ALI: Final = Record(state=GREEN, source="阿里自建alipay")

_QR: Final = QrForm(
    "hangzhou",
    "https://hzjkm.example/code?id=3301{stamp}{serial}&k={check}",
    stamp_digits=1,
    payload="3301{stamp}{serial}",
)

CITY: Final = City(
    name="hangzhou",
    division="330100",
    counties=COUNTIES,
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-11"),
            states=(
                State(
                    word=GREEN,
                    colour=Colour.GREEN,
                    share=0.947,
                    kind=EVERYWHERE,
                    source=OWN_PLATFORM,
                ),
                State(
                    word=YELLOW,
                    colour=Colour.MIDDLE,
                    share=0.020,
                    reasons=_YELLOW_REASONS,
                    release_days=7,
                    kind=EVERYWHERE,
                    source=OWN_PLATFORM,
                ),
                State(
                    word=RED,
                    colour=Colour.RED,
                    share=0.033,
                    reasons=_RED_REASONS,
                    release_days=14,
                    kind=EVERYWHERE,
                    source=OWN_PLATFORM,
                ),
            ),
            second_share=0.02,
            second=Record(state=GREEN, source="阿里自建root"),
            second_divisions=("330200", "330300", "330400", "330600", "330700"),
        ),
    ),
    stories={
        "green": story("杭州绿码", "Green in Hangzhou", "GREEN", _HZ),
        "yellow": story(
            "申报发热，黄码",
            "Declared a fever, yellow",
            "YELLOW",
            replace(_HZ, state=YELLOW, reason=_YELLOW_REASONS[0]),
        ),
        "red": story(
            "密切接触者，红码",
            "Close contact, red",
            "RED",
            replace(_HZ, state=RED, reason=_RED_REASONS[1]),
        ),
        "released": story(
            "解除隔离后转绿",
            "Green again after release",
            "GREEN",
            replace(_HZ, reason=_RELEASE_NOTE),
        ),
        "expired-code": story(
            "出示已更换的旧码截图",
            "Shows a screenshot of a code since renewed",
            "CODE_EXPIRED",
            _HZ,
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
        "two-records": story(
            "杭州两个平台颜色不同",
            "Two issuing platforms of Hangzhou disagree",
            "YELLOW",
            _HZ,
            replace(_ALI, state=YELLOW, reason=_YELLOW_REASONS[1]),
            also=("GREEN",),
        ),
        "two-cities": story(
            "杭州绿码、金华红码",
            "Green in Hangzhou, red in Jinhua, for which Hangzhou cannot sign",
            "CANNOT_DETERMINE",
            _HZ,
            replace(_JH, state=RED, reason=_RED_REASONS[0]),
        ),
        "within-domain": story(
            "绿码仅限本域内通行",
            "Green only inside its own domain",
            "CANNOT_DETERMINE",
            replace(_HZ, kind=WITHIN_DOMAIN),
        ),
        "within-domain-red": story(
            "本域内红码",
            "Red, whatever the domain",
            "RED",
            replace(_HZ, kind=WITHIN_DOMAIN, state=RED, reason=_RED_REASONS[2]),
        ),
        "shared-phone": story(
            "一部手机登记多人，扫码结果不唯一",
            "One phone, two people under one code",
            "AMBIGUOUS_SUBJECT",
            _HZ,
            people=2,
            by_document="GREEN",
        ),
        # The child on that phone.
        "proxy": story(
            "家长代申领的儿童",
            "A child whose parent applied",
            "GREEN",
            replace(_HZ, proxy="parent"),
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码", kind=EVERYWHERE, source=OWN_PLATFORM),
        ),
    },
    qr=_QR,
    ordinals={GREEN: "1", YELLOW: "2", RED: "3"},
)


def qr_text(index: int, generation: int = 1) -> str:
    """The QR text of a person's code; generation 1 is the oldest."""
    return _QR.write(index, generation)
