"""Chongqing's QR text: a JSON object in clear.

A hospital's client shows the members; their values and the ten minutes for which a
text is good are choices::

    {"codeId":"0123456789abcdef0123456789abcdef","lastReportTime":"2021-11-08 09:00:00",
     "outTime":"2021-11-08 09:10:00","zoning":"500103"}

The platform believes ``codeId`` alone, which holds its own time: who writes another
``outTime`` into a text gains nothing. A health card, shown at the same counter, looks
quite different, and no client of the code can read it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from adapters.platforms.qr import QrForm
from adapters.platforms.times import SHANGHAI

if TYPE_CHECKING:
    from collections.abc import Mapping

QR_LIFE: Final = timedelta(minutes=10)
"""A choice: no source tells how long a text is good."""

_ZONING: Final = "500103"
_MEMBERS: Final = frozenset({"codeId", "lastReportTime", "outTime", "zoning"})
_CODE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)  # of the stamps


class ClearJson(QrForm):
    """The form of a 渝康码."""

    def __init__(self) -> None:
        super().__init__("chongqing", "{opaque}", life=QR_LIFE)

    def render(self, fields: Mapping[str, str]) -> str:
        """Write the object."""
        made = _EPOCH + timedelta(minutes=int(fields["stamp"]))
        return json.dumps(
            {
                "codeId": fields["opaque"],
                "lastReportTime": _local(made),
                "outTime": _local(made + QR_LIFE),
                "zoning": _ZONING,
            },
            separators=(",", ":"),
        )

    def parse(self, text: str) -> Mapping[str, str] | None:
        """Find the code in an object with just these members, in any order."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(document, dict) or document.keys() != _MEMBERS:
            return None
        code = document["codeId"]
        if not isinstance(code, str) or not _CODE_ID.fullmatch(code):
            return None
        return {"opaque": code}


def health_card_text(index: int) -> str:
    """The QR text of a person's health card, which is no 渝康码."""
    return f"id:5000A0003:{index:032x}:01"


def _local(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
