"""Integer seconds of JWT claims (RFC 7519 §2, NumericDate) to aware UTC datetimes and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

import msgspec

LEEWAY: Final = timedelta(seconds=60)
"""How far two clocks of the federation may differ (HT-ATT-6, HT-FEED-5)."""

# 9999-12-31: the last whole second that every datetime library can hold.
Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]


def from_seconds(seconds: int) -> datetime:
    """Returns the moment of a NumericDate."""
    return datetime.fromtimestamp(seconds, UTC)


def to_seconds(moment: datetime) -> int:
    """Returns the NumericDate of an aware datetime, fractions cut off.

    Raises:
        ValueError: the moment has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("every time needs a zone")
    return int(moment.timestamp())
