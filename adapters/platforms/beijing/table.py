"""Beijing 健康宝: what the reference platform knows of its people.

Three ages: three words, then two kinds of doubt and one of absence, then pop-ups that
refuse passage while the words stay. The data change at 24:00 and everything that is
said holds until then.

Choices, because no source tells them: every share and every reason; that a pop-up
never stands beside other words than 未见异常; the QR text, which bears its day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Recomputation, Shown, State, Version, story
from adapters.platforms.times import SHANGHAI, shanghai

if TYPE_CHECKING:
    from datetime import datetime

CLEAR: Final = "未见异常"
AT_HOME: Final = "居家观察"
IN_CENTRE: Final = "集中观察"
NOT_CONFIRMED: Final = "无法确认"
CANNOT_CONFIRM: Final = "系统暂不能确认"
NOT_HELD: Final = "尚未掌握"

POP_UPS: Final = tuple(f"{CLEAR}/弹窗{number}" for number in range(1, 6))
"""The five pop-ups of 2022, beside the words that they leave as they are."""

TEST_MISSING: Final = POP_UPS[3]
"""Pop-up 4: the test that would clear it is not there."""

COLOURS: Final = {CLEAR: "0", AT_HOME: "1", NOT_CONFIRMED: "2", CANNOT_CONFIRM: "2", IN_CENTRE: "3"}
"""A community system's digits (K2 of the scheme), which an adapter must not read."""

_AT_24: Final = Recomputation(
    every=timedelta(days=1), offset=timedelta(hours=16), lasts=timedelta(0)
)
"""24:00 in Shanghai, when the data of the CDC change (People's Daily Online, 2020-03-01)."""

_FIRST: Final = (
    State(word=AT_HOME, colour=Colour.MIDDLE, share=0.02, reasons=("14日内进京",), release_days=14),
    State(word=IN_CENTRE, colour=Colour.RED, share=0.01, reasons=("密切接触者",)),
)
_DOUBT: Final = (
    State(word=CANNOT_CONFIRM, colour=Colour.NONE, share=0.02, reasons=("有京津冀以外轨迹",)),
    State(word=NOT_CONFIRMED, colour=Colour.NONE, share=0.005),
    State(word=NOT_HELD, colour=Colour.NONE, share=0.005),
)
_SHARE_OF_A_POP_UP: Final = 0.008


_POP_UP_STORIES: Final = (
    (
        "弹窗1：14日内到过有本土感染者的县",
        "Pop-up 1: within 14 days in a county with a local infection",
        "RESTRICTED",
    ),
    ("弹窗2：入境隔离期未满", "Pop-up 2: quarantine after entry not finished", "RESTRICTED"),
    (
        "弹窗3：与风险点位有时空关联",
        "Pop-up 3: linked in space and time with a place of risk",
        "RESTRICTED",
    ),
    ("弹窗4：未按要求做核酸检测", "Pop-up 4: a required test is missing", "HOLDER_MUST_UPDATE"),
    ("弹窗5：条件不明", "Pop-up 5, whose trigger nobody knows", "CANNOT_DETERMINE"),
)


class DayForm(QrForm):
    """A QR text that bears its day in Shanghai and is good on that day only."""

    def stamp_at(self, moment: datetime, generation: int = 1) -> int:  # noqa: ARG002 - a day has no generations
        """The day, as eight digits."""
        return int(f"{moment.astimezone(SHANGHAI):%Y%m%d}")

    def holds(self, stamp: int, now: datetime, generation: int = 1) -> bool:
        """Whether the text was made today."""
        return stamp == self.stamp_at(now, generation)


CITY: Final = City(
    name="beijing",
    division="110000",
    counties=("110101", "110102", "110105", "110106", "110107", "110108", "110112", "110114"),
    versions=(
        Version(
            id="2020-03-01",
            since=shanghai("2020-03-01"),
            states=(State(word=CLEAR, colour=Colour.GREEN, share=0.97), *_FIRST),
            recomputed=_AT_24,
            until_midnight=True,
        ),
        Version(
            id="2020-03-17",
            since=shanghai("2020-03-17"),
            states=(State(word=CLEAR, colour=Colour.GREEN, share=0.94), *_FIRST, *_DOUBT),
            recomputed=_AT_24,
            until_midnight=True,
        ),
        Version(
            id="2022-05",
            since=shanghai("2022-05-06"),
            states=(
                State(word=CLEAR, colour=Colour.GREEN, share=0.90),
                *_FIRST,
                *_DOUBT,
                *(
                    State(word=word, colour=Colour.NONE, share=_SHARE_OF_A_POP_UP)
                    for word in POP_UPS
                ),
            ),
            recomputed=_AT_24,
            until_midnight=True,
            tested_every=timedelta(days=3),
        ),
    ),
    stories={
        "green": story("未见异常", "Nothing found", "GREEN", Record(state=CLEAR)),
        "yellow": story(
            "居家观察，不能生成二维码",
            "Observed at home, and cannot make a QR code",
            "YELLOW",
            Record(state=AT_HOME, reason="14日内进京"),
            shows=Shown.NONE,
        ),
        "red": story(
            "集中观察，不能生成二维码",
            "Observed in a centre, and cannot make a QR code",
            "RED",
            Record(state=IN_CENTRE, reason="密切接触者"),
            shows=Shown.NONE,
        ),
        "after-isolation": story(
            "集中观察解除，先转居家观察",
            "Released from a centre, which leads to observation at home first",
            "YELLOW",
            Record(state=AT_HOME, reason="集中观察解除", changed_ago=timedelta(days=3)),
            shows=Shown.NONE,
        ),
        "lapsed-qr": story(
            "上午生成二维码，随后转为居家观察",
            "Made a QR code in the morning and has been observed at home since",
            "CANNOT_DETERMINE",
            Record(state=AT_HOME, reason="14日内进京"),
            by_document="YELLOW",
        ),
        "yesterday": story(
            "出示昨日的二维码",
            "Shows the QR code of a day that is over",
            "CODE_EXPIRED",
            Record(state=CLEAR),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "not-applied": story(
            "从未做过人脸核验",
            "Never showed a face to the system",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "cannot-confirm": story(
            "14日内有外地轨迹，系统暂不能确认",
            "Travelled within 14 days; the system cannot confirm for now",
            "CANNOT_DETERMINE",
            Record(state=CANNOT_CONFIRM, reason="有京津冀以外轨迹"),
            shows=Shown.NONE,
            only=("2020-03-17", "2022-05"),
        ),
        "cannot-confirm-since": story(
            "生成二维码后外出，系统暂不能确认",
            "Travelled after making the QR code; the system cannot confirm for now",
            "CANNOT_DETERMINE",
            Record(state=CANNOT_CONFIRM, reason="有京津冀以外轨迹"),
            only=("2020-03-17", "2022-05"),
        ),
        "not-confirmed": story(
            "社区系统显示无法确认",
            "A community's system says that the state cannot be confirmed",
            "CANNOT_DETERMINE",
            Record(state=NOT_CONFIRMED),
            shows=Shown.NONE,
            only=("2020-03-17", "2022-05"),
        ),
        "not-held": story(
            "尚未掌握此人信息",
            "Not in the data held",
            "NOT_FOUND",
            Record(state=NOT_HELD),
            shows=Shown.NONE,
            only=("2020-03-17", "2022-05"),
        ),
        **{
            f"popup-{number}": story(zh, en, expected, Record(state=word), only=("2022-05",))
            for number, (word, (zh, en, expected)) in enumerate(
                zip(POP_UPS, _POP_UP_STORIES, strict=True), start=1
            )
        },
    },
    qr=DayForm(
        "beijing", "https://bjjkb.example/c/11{serial}{stamp}{check}", life=timedelta(days=1)
    ),
    ordinals={**COLOURS, NOT_HELD: "4"},
)
