"""Hubei 湖北健康码: who is what, since when, and the people of its stories.

Facts reproduced: green, yellow and red, and grey while the province was closed; red
turns yellow 14 days after discharge, yellow turns green after 14 days without
symptoms; a green ends, and turns yellow when no temperature was recorded before;
pop-ups in 2022 that leave the colour or hide it.

Choices, because no source tells them: the shares, the wording of reasons, a green of
24 hours from the last temperature, the days on which versions begin (as in the
scheme), the hour of recomputation, the text of the QR code.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"
GREY: Final = "灰码"
GREEN_POP_UP: Final = "绿码/弹窗"
YELLOW_POP_UP: Final = "黄码/弹窗"
RED_POP_UP: Final = "红码/弹窗"
POP_UP: Final = "弹窗"

STAGE: Final = timedelta(days=14)
"""From discharge to yellow, and from there to green."""

NO_TEMPERATURE: Final = "有效期内未填报体温"
AFTER_RED: Final = "出院满14日，无症状观察未满14日"

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_CONTACT: Final = "密切接触者，居家隔离未满14日"
_CONFIRMED: Final = "确诊病例"

_RECORDED_EVERY: Final = timedelta(hours=20)
"""Who is green recorded a temperature within the life of a green."""

_GREEN_LIFE: Final = timedelta(hours=24)


def _states(green: float, yellow: float, red: float) -> tuple[State, ...]:
    return (
        State(word=GREEN, colour=Colour.GREEN, share=green, lapses_to=YELLOW),
        State(
            word=YELLOW,
            colour=Colour.MIDDLE,
            share=yellow,
            reasons=(_CONTACT, NO_TEMPERATURE, "测得发热", AFTER_RED),
        ),
        State(
            word=RED,
            colour=Colour.RED,
            share=red,
            reasons=(_CONFIRMED, "临床诊断病例", "疑似病例", "发热人员"),
        ),
    )


def _version(version_id: str, since: str, states: tuple[State, ...]) -> Version:
    return Version(
        id=version_id,
        since=shanghai(since),
        states=states,
        declared_every=_RECORDED_EVERY,
        code_life=_GREEN_LIFE,
    )


def _discharged(days: int) -> Record:
    return Record(state=RED, reason=_CONFIRMED, extra={"discharged_ago": days * _DAY})


CITY: Final = City(
    name="hubei",
    division="420000",
    counties=("420102", "420106", "420111", "420502", "420606", "420804", "421003", "421181"),
    versions=(
        _version(
            "2020-03",
            "2020-03-03",
            (*_states(0.62, 0.12, 0.02), State(word=GREY, colour=Colour.NONE, share=0.24)),
        ),
        _version("2020-04", "2020-04-08", _states(0.96, 0.03, 0.01)),
        _version(
            "2022-01",
            "2022-01-01",
            (
                *_states(0.95, 0.02, 0.01),
                State(word=GREEN_POP_UP, colour=Colour.MIDDLE, share=0.01),
                State(word=YELLOW_POP_UP, colour=Colour.MIDDLE),
                State(word=RED_POP_UP, colour=Colour.RED),
                State(word=POP_UP, colour=Colour.MIDDLE, share=0.01),
            ),
        ),
    ),
    stories={
        "green": story(
            "湖北绿码，今日已填报体温",
            "Green in Hubei, temperature recorded today",
            "GREEN",
            Record(state=GREEN, declared_ago=5 * _HOUR),
        ),
        "yellow": story(
            "密切接触者居家隔离，黄码",
            "A close contact at home, yellow",
            "YELLOW",
            Record(state=YELLOW, reason=_CONTACT),
        ),
        "red": story("确诊病例，红码", "Confirmed, red", "RED", _discharged(3)),
        "yellow-by-inaction": story(
            "逾期未填报体温，绿码转黄码",
            "Recorded no temperature in time: green turned yellow",
            "YELLOW",
            Record(state=GREEN, declared_ago=30 * _HOUR),
        ),
        "green-about-to-end": story(
            "绿码即将到期",
            "A green that ends within the hour",
            "GREEN",
            Record(state=GREEN, declared_ago=_GREEN_LIFE - timedelta(minutes=30)),
        ),
        "yellow-by-a-fever": story(
            "测得发热，绿码转黄码",
            "A fever was measured: green turned yellow",
            "YELLOW",
            Record(state=YELLOW, reason="测得发热"),
        ),
        "yellow-after-red": story(
            "出院第二十日，红码已转黄码",
            "Twenty days after discharge: red has turned yellow, not green",
            "YELLOW",
            _discharged(20),
        ),
        "green-after-red": story(
            "出院满二十八日，黄码已转绿码",
            "Four weeks after discharge: yellow has turned green",
            "GREEN",
            _discharged(29),
        ),
        "grey": story(
            "封闭管理期间灰码",
            "Grey under closed management",
            "CANNOT_DETERMINE",
            Record(state=GREY),
            only=("2020-03",),
        ),
        "green-behind-a-pop-up": story(
            "绿码弹窗，不予放行",
            "Green behind a pop-up",
            "RESTRICTED",
            Record(state=GREEN_POP_UP),
            only=("2022-01",),
        ),
        "red-behind-a-pop-up": story(
            "红码弹窗",
            "Red behind a pop-up",
            "RED",
            Record(state=RED_POP_UP, reason=_CONFIRMED),
            only=("2022-01",),
        ),
        "colour-hidden": story(
            "弹窗遮盖颜色",
            "A pop-up hides the colour",
            "RESTRICTED",
            Record(state=POP_UP),
            only=("2022-01",),
        ),
        "expired-code": story(
            "出示已更换的旧码截图",
            "Shows a screenshot of a code since renewed",
            "CODE_EXPIRED",
            Record(state=GREEN, declared_ago=5 * _HOUR),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "shared-phone": story(
            "一部手机登记多人",
            "One phone, two people under one code",
            "AMBIGUOUS_SUBJECT",
            Record(state=GREEN, declared_ago=5 * _HOUR),
            by_document="GREEN",
            people=2,
        ),
        "proxy": story(
            "家长代申领的儿童",
            "A child whose parent applied",
            "GREEN",
            Record(state=GREEN, declared_ago=5 * _HOUR, proxy="somebody"),
        ),
        "must-update": story(
            "须先完善信息",
            "Must first complete the form",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
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
            Record(state="蓝码"),
        ),
    },
    qr=QrForm("hubei", "https://hbjkm.example/m/show?qr={opaque}"),
)
