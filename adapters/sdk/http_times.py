"""Reads moments as platforms write them; pure.

``datetime.strptime`` says what a form means. Most forms that are deployed are six
numbers of fixed width, and a text that has exactly that shape means the same without
it, at a fifth of the cost; every other text goes to ``strptime``, which knows more
ways to write a moment than the shape does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Final

from adapters.sdk.errors import UnreadableError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from adapters.sdk.http_spec import Member

_RUN_ON: Final = re.compile(r"%[YmdHMS]%[YmdHMS]")
_SIX: Final = re.compile(r"%Y([^%\d]*)%m([^%\d]*)%d([^%\d]*)%H([^%\d]*)%M([^%\d]*)%S")


def moment_of(text: str, member: Member, zone: ZoneInfo) -> datetime:
    """Return a moment as the member writes it, in UTC, cut to seconds.

    Raises:
        UnreadableError: it is written in another form.
    """
    form = member.time or ""
    try:
        if form == "unix_s":
            return datetime.fromtimestamp(int(text), UTC)
        if form == "unix_ms":
            moment = datetime.fromtimestamp(int(text) / 1000, UTC)
        elif form == "iso":
            moment = datetime.fromisoformat(text)
        else:
            moment = _written(text, form, member, zone)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_zone(member, zone))
        moment = moment.astimezone(UTC)
        return moment.replace(microsecond=0) if moment.microsecond else moment
    except (ValueError, OverflowError, OSError):
        raise UnreadableError(f"a time in another form than {form}", member.path) from None


def _zone(member: Member, zone: ZoneInfo) -> tzinfo:
    return UTC if member.zone == "UTC" else zone


def _written(text: str, form: str, member: Member, zone: ZoneInfo) -> datetime:
    """Read a text in a form of ``strptime``; the zone may be left for the caller to add."""
    shape = _shape(form)
    numbers = None if shape is None else shape.fullmatch(text)
    if numbers is not None:
        year, month, day, hour, minute, second = map(int, numbers.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=_zone(member, zone))
    moment = datetime.strptime(text, form)  # noqa: DTZ007 - the caller adds the zone
    # Run together and without its seconds, 1530 would be read as 15:03:00.
    if _RUN_ON.search(form) and moment.strftime(form) != text:
        raise UnreadableError("a time with digits left out", member.path)
    return moment


@cache
def _shape(form: str) -> re.Pattern[str] | None:
    """Return the shape of a form that is six numbers; None where it is another one.

    Each number has all its digits, so there is one way alone to tell them apart.
    """
    found = _SIX.fullmatch(form)
    if found is None:
        return None
    between = (re.escape(part) for part in (*found.groups(), ""))
    widths = (4, 2, 2, 2, 2, 2)
    groups = (f"([0-9]{{{width}}}){part}" for width, part in zip(widths, between, strict=True))
    return re.compile("".join(groups), re.ASCII)
