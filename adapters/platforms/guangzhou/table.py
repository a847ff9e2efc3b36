"""Guangzhou 穗康码: what the reference platform knows of its people.

Two ages, told apart by the platform's clock:

* until 2020-03-24 a black-and-white pass without any colour, made from the
  holder's declaration, good for seven days;
* from then on a permanent code behind a face check, following the rules of the
  provincial 粤康码: green or red, nothing between, and red includes quarantine at
  home.

A person of the second age has one report, or two: the city's own and the one
mirrored from 粤康码, which usually agree.

Choices, because no source tells them: the state words of the pass (已申报,
已失效), the hour of assessment (every full hour, a report a few minutes later),
the wording of reasons, the shares (96 % green; 1 % who never applied; 1 % who
have not passed the face check; a mirrored report for one in ten), that a pass
picture is refused once the second age has begun, that holders of a pass declare
every ten days, so that some passes have lapsed. Of the QR texts no source shows
either; the choices made here::

    https://skm.example/v1/0000000120123456789abcdef     the black-and-white pass
    SKM2:0000000120123456789ABCDEF                        the permanent code

Nine digits of a serial number, then a check of 16 hexadecimal digits. The second
form is upper case so that it fits the alphanumeric mode of a QR symbol. A picture
of a pass is still recognised after the pass is gone, and refused as expired.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Telling, Version, story
from adapters.platforms.times import shanghai

COUNTIES: Final = ("440103", "440104", "440105", "440106", "440111", "440112", "440113", "440114")
"""Districts of Guangzhou in force today, among them 越秀区 and 天河区."""

COLOUR_SINCE: Final = shanghai("2020-03-24")
"""When the face-verified code replaced the pass (Nanfang Daily, 2020-03-25)."""

PASS_LIFE: Final = timedelta(days=7)

GREEN: Final = "绿码"
RED: Final = "红码"
DECLARED: Final = "已申报"
LAPSED: Final = "已失效"

GATE_STATUS: Final = {GREEN: "00", RED: "10"}
"""What gates were sent beside the word; an adapter must not read it."""

OWN: Final = "SKM"
MIRROR: Final = "YKM"

_RED_REASONS: Final = (
    "居家隔离观察期内",
    "集中隔离观察期内",
    "密切接触者",
    "14天内来自高风险地区",
)

_PASS: Final = QrForm("guangzhou", "https://skm.example/v1/{serial}{check}", payload="v1/{index}")
_CODE: Final = QrForm("guangzhou", "SKM2:{serial}{CHECK}", payload="v2/{index}")

_OF_YESTERDAY: Final = {
    "v1": Telling(
        expected="CANNOT_DETERMINE",
        records=(Record(state=DECLARED, declared_ago=timedelta(days=1)),),
    )
}
"""In the age of the pass everybody but one declared a day ago."""

CITY: Final = City(
    name="guangzhou",
    division="440100",
    counties=COUNTIES,
    versions=(
        Version(
            id="v1",
            since=shanghai("2020-02-01"),
            states=(
                State(word=DECLARED, colour=Colour.NONE, share=1.0, source=OWN, lapses_to=LAPSED),
                State(word=LAPSED, colour=Colour.NONE, source=OWN),
            ),
            standings={},
            recomputed=HOURLY,
            declared_every=timedelta(days=10),
            code_life=PASS_LIFE,
            qr=_PASS,
        ),
        Version(
            id="v2",
            since=COLOUR_SINCE,
            states=(
                State(word=GREEN, colour=Colour.GREEN, share=0.96, source=OWN),
                State(word=RED, colour=Colour.RED, share=0.04, source=OWN, reasons=_RED_REASONS),
            ),
            standings={Result.NOT_APPLIED: 0.01, Result.MUST_UPDATE: 0.01},
            recomputed=HOURLY,
            second_share=0.10,
            second=Record(state="", source=MIRROR),
            qr=_CODE,
        ),
    ),
    stories={
        "green": story(
            "穗康绿码",
            "Green in Guangzhou",
            "GREEN",
            Record(state=GREEN),
            instead=_OF_YESTERDAY,
        ),
        "red": story(
            "密切接触者，两色码中的红码",
            "Close contact, red in a scheme of two colours",
            "RESTRICTED",
            Record(state=RED, reason=_RED_REASONS[2]),
            instead=_OF_YESTERDAY,
        ),
        "red-at-home": story(
            "居家隔离，两色码中的红码",
            "Quarantine at home, which is red where there is no yellow",
            "RESTRICTED",
            Record(state=RED, reason=_RED_REASONS[0]),
            instead=_OF_YESTERDAY,
        ),
        "expired-code": story(
            "出示旧版黑白码截图",
            "Shows a screenshot of the old black-and-white pass",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.EARLIER,
            by_document="GREEN",
            instead={
                "v1": Telling(
                    expected="CODE_EXPIRED",
                    records=(Record(state=DECLARED, declared_ago=timedelta(days=9)),),
                )
            },
        ),
        "not-applied": story(
            "从未申领",
            "Never applied for a code",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
            instead=_OF_YESTERDAY,
        ),
        "no-face-check": story(
            "尚未完成人脸核验",
            "Has not passed the face check yet",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
            instead=_OF_YESTERDAY,
        ),
        "two-records": story(
            "穗康绿码、粤康红码",
            "Green in the city's record, red in the province's",
            "RESTRICTED",
            Record(state=GREEN),
            Record(state=RED, source=MIRROR, reason=_RED_REASONS[3]),
            also=("GREEN",),
            instead=_OF_YESTERDAY,
        ),
        "unknown-state": story(
            "两色方案中没有的黄码",
            "A yellow that a scheme of two colours does not have",
            "CANNOT_DETERMINE",
            Record(state="黄码", source=OWN),
            instead=_OF_YESTERDAY,
        ),
    },
    ordinals=GATE_STATUS,
)


def pass_qr_text(index: int) -> str:
    """The QR text of a person's black-and-white pass."""
    return _PASS.write(index, 1)


def code_qr_text(index: int) -> str:
    """The QR text of a person's permanent code."""
    return _CODE.write(index, 1)
