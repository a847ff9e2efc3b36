"""The forms in which deployed platforms wrote times.

All but two come from integrators' code: the province of Zhejiang wrote an offset
without a colon, Anhui digits only and local, gates the wall clock. ``ISO`` and the
two epochs are common enough to be expected of the rest.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
"""The only zone of every city here; without summer time since 1991."""


class TimeForm(Enum):
    """How a wire writes a moment; the value is the same moment in each."""

    LOCAL = "2020-06-01 12:00:00"
    LOCAL_MINUTE = "2020-06-01 12:00"
    LOCAL_COMPACT = "20200601120000"
    UTC_NO_COLON = "2020-06-01T04:00:00.000+0000"
    ISO = "2020-06-01T12:00:00+08:00"
    EPOCH_SECONDS = 1590984000
    EPOCH_MS = 1590984000000


_PATTERNS: Final = {
    TimeForm.LOCAL: "%Y-%m-%d %H:%M:%S",
    TimeForm.LOCAL_MINUTE: "%Y-%m-%d %H:%M",
    TimeForm.LOCAL_COMPACT: "%Y%m%d%H%M%S",
}

_ODD: Final = {
    TimeForm.LOCAL_COMPACT: TimeForm.UTC_NO_COLON,
    TimeForm.EPOCH_SECONDS: TimeForm.LOCAL,
    TimeForm.EPOCH_MS: TimeForm.LOCAL,
}


def write_time(form: TimeForm, moment: datetime) -> str | int:
    """Write a moment; whole seconds but for `UTC_NO_COLON` and `EPOCH_MS`."""
    if form is TimeForm.EPOCH_SECONDS:
        return int(moment.timestamp())
    if form is TimeForm.EPOCH_MS:
        return int(moment.timestamp() * 1_000)
    if form is TimeForm.UTC_NO_COLON:
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.removesuffix("+00:00") + "+0000"
    local = moment.astimezone(SHANGHAI)
    if form is TimeForm.ISO:
        return local.isoformat(timespec="seconds")
    return local.strftime(_PATTERNS[form])


def odd_form(form: TimeForm) -> TimeForm:
    """Another deployed form, which a reader of ``form`` must not take."""
    return _ODD.get(form, TimeForm.LOCAL_COMPACT)


def shanghai(text: str) -> datetime:
    """A moment of the wall clock in Shanghai, as UTC.

    Args:
        text: ``2020-02-11`` (midnight) or ``2021-11-08 06:00``.

    Raises:
        ValueError: no such moment.
    """
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)
