"""Yiwu's market pass: what the market knows of its operators and buyers.

One age from 2020-02-18 on. Who declared and whose identity and track were checked may
enter (准予入场); who was in a key area within 14 days or has an abnormal temperature may
not (不予入场). Neither is a colour. Buyers also scan at each booth; the square at a booth
is a place and no person.

Choices, because no source tells them: a word for who is not yet checked, the hour of
the check (03:00), the shares, that everybody of the reference market lives in Yiwu, and
the QR text.
"""

from __future__ import annotations

from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import City, Shown, State, Version, story
from adapters.platforms.times import shanghai

ENTRY: Final = "准予入场"
NO_ENTRY: Final = "不予入场"
UNCHECKED: Final = "审核中"

BOOTH_QR: Final = "YWSC-BOOTH-000001"
"""The square that buyers scan at a booth."""

_REASONS: Final = ("14天内到过重点地区", "入场测温异常")

CITY: Final = City(
    name="yiwu",
    division="330782",
    counties=("330782",),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-18"),
            states=(
                State(word=ENTRY, colour=Colour.GREEN, share=0.94),
                State(word=NO_ENTRY, colour=Colour.RED, share=0.04, reasons=_REASONS),
                State(word=UNCHECKED, colour=Colour.NONE, share=0.02),
            ),
            standings={Result.NOT_APPLIED: 0.02},
        ),
    ),
    stories={
        "entry": story(
            "核验通过，准予入场", "Checked, may enter", "EVIDENCE_ONLY", Record(state=ENTRY)
        ),
        "no-entry": story(
            "14天内到过重点地区，不予入场",
            "Was in a key area, may not enter",
            "EVIDENCE_ONLY",
            Record(state=NO_ENTRY, reason=_REASONS[0]),
        ),
        "no-entry-fever": story(
            "入场测温异常，不予入场",
            "A fever at the entrance, may not enter",
            "EVIDENCE_ONLY",
            Record(state=NO_ENTRY, reason=_REASONS[1]),
        ),
        "unchecked": story(
            "已申请，尚未核验",
            "Applied, not yet checked",
            "PENDING_REVIEW",
            Record(state=UNCHECKED),
        ),
        "expired-code": story(
            "出示已更换的旧码截图",
            "Shows a screenshot of a code since renewed",
            "CODE_EXPIRED",
            Record(state=ENTRY),
            shows=Shown.OLD,
            by_document="EVIDENCE_ONLY",
        ),
        "not-applied": story(
            "从未在市场系统申报",
            "Never declared in the market's system",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "incomplete": story(
            "资料不全，须补充",
            "Must complete the form first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
        ),
        "a-colour": story(
            "系统写了颜色而不是准入",
            "A colour where entry or no entry belongs",
            "CANNOT_DETERMINE",
            Record(state="绿码"),
        ),
    },
    qr=QrForm("yiwu", "YWSC-{stamp}{serial}-{CHECK}", stamp_digits=1),
)
