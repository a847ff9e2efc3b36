"""Ningbo 甬行码: who is what, and the people of its stories.

Facts reproduced: three colours; the paper pass 甬行证 of people without a code; reds
that turn green on two negative tests within seven days, all others after fourteen
days; yellow for seven days at home.

Choices, because no source tells them: the shares, the wording of reasons, the class
两检转绿 beside the red that tests can turn, both QR texts, the hour of recomputation.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
PAPER: Final = "甬行证"
YELLOW: Final = "黄码"
RED: Final = "红码"
RED_BY_TESTS: Final = "红码/两检转绿"

TESTS_WITHIN: Final = timedelta(days=7)
"""Two negative tests no further apart turn a red of the class green."""

TURNED_GREEN: Final = "七日内两次核酸检测阴性转绿"

PAPER_QR: Final = QrForm("ningbo", "NBYXZ:{serial}{CHECK}", payload="paper/{serial}")
"""The square on a paper pass; a pass is not made anew, it is withdrawn."""

_DAY: Final = timedelta(days=1)
_FROM_A_KEY_AREA: Final = "自重点地区来甬"


def tested(*days_ago: int) -> dict[str, object]:
    """Extra members of a record: when the negative tests were, the oldest first."""
    return {"tested_ago": tuple(days * _DAY for days in days_ago)}


_PASS: Final = Record(state=PAPER)

CITY: Final = City(
    name="ningbo",
    division="330200",
    counties=("330203", "330205", "330206", "330211", "330212", "330213", "330225", "330281"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-17"),
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.93, source="省公共数据平台"),
                State(word=PAPER, colour=Colour.GREEN, share=0.02, source="公安自主申报"),
                State(
                    word=YELLOW,
                    colour=Colour.MIDDLE,
                    share=0.02,
                    reasons=("居家观察未满七日", "本人申报有发热症状"),
                    source="公安自主申报",
                    release_days=7,
                ),
                State(
                    word=RED,
                    colour=Colour.RED,
                    share=0.01,
                    reasons=("确诊病例", "疑似病例"),
                    source="省公共数据平台",
                    release_days=14,
                ),
                State(
                    word=RED_BY_TESTS,
                    colour=Colour.RED,
                    share=0.02,
                    reasons=(_FROM_A_KEY_AREA,),
                    source="省公共数据平台",
                    release_days=14,
                ),
            ),
        ),
    ),
    stories={
        "green": story("宁波绿码", "Green in Ningbo", "GREEN", Record(state=GREEN)),
        "yellow": story(
            "居家观察第三天，黄码",
            "Third day of observation at home",
            "YELLOW",
            Record(state=YELLOW, reason="居家观察未满七日", changed_ago=3 * _DAY),
        ),
        "red": story(
            "确诊病例，红码", "Confirmed, red", "RED", Record(state=RED, reason="确诊病例")
        ),
        "red-without-a-test": story(
            "来甬人员，尚无检测",
            "Arrived from a key area, no test yet",
            "RED",
            Record(state=RED_BY_TESTS, reason=_FROM_A_KEY_AREA),
        ),
        "red-after-one-test": story(
            "来甬人员，一次阴性",
            "Arrived from a key area, one negative test",
            "RED",
            Record(state=RED_BY_TESTS, reason=_FROM_A_KEY_AREA, extra=tested(2)),
        ),
        "green-after-two-tests": story(
            "来甬人员，七日内两次阴性转绿",
            "Two negative tests within seven days, green again",
            "GREEN",
            Record(state=RED_BY_TESTS, reason=_FROM_A_KEY_AREA, extra=tested(8, 1)),
        ),
        "red-after-tests-too-far-apart": story(
            "来甬人员，两次阴性相隔八日",
            "Two negative tests eight days apart, still red",
            "RED",
            Record(state=RED_BY_TESTS, reason=_FROM_A_KEY_AREA, extra=tested(9, 1)),
        ),
        "red-whatever-the-tests": story(
            "疑似病例，两次阴性仍为红码",
            "Suspected: two negative tests change nothing",
            "RED",
            Record(state=RED, reason="疑似病例", extra=tested(3, 1)),
        ),
        "paper-pass": story(
            "老人持纸质甬行证", "An elderly person with the paper pass", "GREEN", _PASS
        ),
        "paper-pass-and-a-red-code": story(
            "持甬行证，又有红码",
            "A paper pass, and a red code since",
            "RED",
            _PASS,
            Record(state=RED, reason="确诊病例"),
            also=("GREEN",),
        ),
        "paper-pass-withdrawn": story(
            "甬行证已注销，现有绿码",
            "A paper pass withdrawn since the holder has a code",
            "CODE_EXPIRED",
            Record(state=GREEN),
            by_document="GREEN",
        ),
        "expired-code": story(
            "出示已更换的旧码截图",
            "Shows a screenshot of a code since renewed",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "proxy": story(
            "家长代申领的儿童",
            "A child whose parent applied",
            "GREEN",
            Record(state=GREEN, proxy="somebody"),
        ),
        "not-applied": story(
            "无码也无证",
            "Neither a code nor a pass",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "unknown-state": story(
            "方案未映射的状态",
            "A state that the scheme does not map",
            "CANNOT_DETERMINE",
            Record(state="灰码"),
        ),
    },
    qr=QrForm("ningbo", "https://nbyxm.example/q?c={opaque}"),
)
