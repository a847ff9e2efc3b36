"""Xi'an 一码通: what the reference platform knows of its people.

Green, yellow, red, by rules that no source read tells. A phone fetches its QR text by a
refresh call; since the repair of January 2022 it keeps the text for an hour.

Choices, because no source tells them: every share, the absence of reasons, the hour of
assessment, the QR text, which bears the second of its refresh, and ten minutes for a
text before the repair.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.platforms.qr import QrForm
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import HOURLY, City, Shown, State, Version, story
from adapters.platforms.times import shanghai

GREEN: Final = "绿码"
YELLOW: Final = "黄码"
RED: Final = "红码"

_STATES: Final = (
    State(word=GREEN, colour=Colour.GREEN, share=0.96),
    State(word=YELLOW, colour=Colour.MIDDLE, share=0.025),
    State(word=RED, colour=Colour.RED, share=0.015),
)


class RefreshForm(QrForm):
    """A QR text that bears the second of the call that fetched it."""

    def stamp_at(self, moment: datetime, generation: int = 1) -> int:  # noqa: ARG002 - a second has no generations
        """Seconds since 1970."""
        return int(moment.timestamp())

    def holds(self, stamp: int, now: datetime, generation: int = 1) -> bool:  # noqa: ARG002 - as above
        """Whether the text was fetched within its life."""
        life = self.life or timedelta(0)
        return timedelta(0) <= now - fetched_at(stamp) < life


def fetched_at(stamp: int) -> datetime:
    """When a text with this stamp was fetched; ten digits fit until 2286."""
    return datetime.fromtimestamp(stamp, UTC)


_TEMPLATE: Final = "XAYMT:{serial}.{stamp}.{CHECK}"
_CACHED: Final = RefreshForm("xian", _TEMPLATE, life=timedelta(hours=1), stamp_digits=10)
_UNCACHED: Final = RefreshForm("xian", _TEMPLATE, life=timedelta(minutes=10), stamp_digits=10)

CITY: Final = City(
    name="xian",
    division="610100",
    counties=("610102", "610103", "610104", "610111", "610112", "610113", "610115", "610116"),
    versions=(
        Version(
            id="2020-02",
            since=shanghai("2020-02-10"),
            states=_STATES,
            recomputed=HOURLY,
            qr=_UNCACHED,
        ),
        Version(id="2022-01", since=shanghai("2022-01-09"), states=_STATES, recomputed=HOURLY),
    ),
    stories={
        "green": story("绿码", "Green", "GREEN", Record(state=GREEN)),
        "yellow": story("黄码", "Yellow", "YELLOW", Record(state=YELLOW)),
        "red": story("红码", "Red", "RED", Record(state=RED)),
        "screenshot": story(
            "出示两小时前的截图",
            "Shows a picture of a text fetched two hours ago",
            "CODE_EXPIRED",
            Record(state=GREEN),
            shows=Shown.OLD,
            by_document="GREEN",
        ),
        "turned-red": story(
            "刷新二维码后转红",
            "Fetched the text while green and has turned red since",
            "RED",
            Record(state=RED),
        ),
        "no-local-address": story(
            "未登记本市住址，不能申领",
            "Has registered no address in the city, which a code needs",
            "NOT_APPLIED",
            result=Result.NOT_APPLIED,
            shows=Shown.NONE,
        ),
        "unknown-state": story(
            "规则之外的灰码", "A grey that no rule knows", "CANNOT_DETERMINE", Record(state="灰码")
        ),
        "must-update": story(
            "须先完善个人信息",
            "Must complete the form first",
            "HOLDER_MUST_UPDATE",
            result=Result.MUST_UPDATE,
            shows=Shown.NONE,
        ),
    },
    qr=_CACHED,
    ordinals={GREEN: "1", YELLOW: "2", RED: "3"},
    stale_by=timedelta(days=3),
)
