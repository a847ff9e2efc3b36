"""Faults that a reference platform can be told to have.

Written as words, one a fault, the same on the command line, at the admin door
and in tests::

    slow=SECONDS        wait before every answer
    down                drop the connection without an answer
    maintenance         answer HTTP 503 with a page for humans
    quota               refuse every query because the day's calls are used up
    garbage=html        answer a query with a page instead of a document
    garbage=truncated   answer with the first half of the document
    garbage=encoding    answer with GBK bytes that claim to be UTF-8
    stale               answer from a cache that is days old and says green
    disagree            add a second record of another colour to every person
    ordinal             write a vendor's number where the colour's name belongs
    empty               answer as if all were well, with no record in it
    qr-expired          refuse every question because the QR has expired
    wrong-province      refuse every question because the code is another province's
    must-update         refuse every question until the holder has filled in the form
    odd-dates           write times in another form that is deployed elsewhere
    json-in-json        nest documents as text where they stand plain, and the reverse
    lowercase-x         echo document numbers with a lower-case x
    shared-phone        answer with the records of everybody on the same phone
    proxy               say of every record that somebody else applied for it
    another-province    say of every record that another province issued it

All but ``ordinal`` are kinds of failure that users and integrators of deployed
systems reported. ``ordinal`` is ours: it stands for the many vendors whose
numbers mean different colours. ``proxy`` and ``lowercase-x`` are harmless: the
answer means the same with and without them. No other fault may end as green.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SLOW_SECONDS: Final = 120.0
"""Longer than any client's patience in this project; a typing error stops here."""

HARMLESS: Final = frozenset({"proxy", "lowercase-x"})
"""Words of faults that change nothing in what an answer means."""


class FaultError(CallerError):
    """A fault is not spelt as this module says."""

    default_code = "FAULT_UNKNOWN"


class Garbage(StrEnum):
    """How an answer is spoilt."""

    HTML = "html"
    TRUNCATED = "truncated"
    ENCODING = "encoding"


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults in force at one moment; the default is a healthy platform."""

    slow_seconds: float = 0.0
    down: bool = False
    maintenance: bool = False
    quota: bool = False
    garbage: Garbage | None = None
    stale: bool = False
    disagree: bool = False
    ordinal: bool = False
    empty: bool = False
    qr_expired: bool = False
    wrong_province: bool = False
    must_update: bool = False
    odd_dates: bool = False
    json_in_json: bool = False
    lowercase_x: bool = False
    shared_phone: bool = False
    proxy: bool = False
    another_province: bool = False

    def to_words(self) -> list[str]:
        """The words that `parse_faults` reads back as the same value."""
        words = []
        if self.slow_seconds:
            words.append(f"slow={self.slow_seconds!r}")
        if self.garbage is not None:
            words.append(f"garbage={self.garbage}")
        words.extend(word for word in SWITCHES if getattr(self, word.replace("-", "_")))
        return words


SWITCHES: Final = (
    "down",
    "maintenance",
    "quota",
    "stale",
    "disagree",
    "ordinal",
    "empty",
    "qr-expired",
    "wrong-province",
    "must-update",
    "odd-dates",
    "json-in-json",
    "lowercase-x",
    "shared-phone",
    "proxy",
    "another-province",
)
"""Faults that are on or off, by their word."""


def parse_faults(words: Iterable[str]) -> Faults:
    """Read faults from their words.

    Args:
        words: for example ``["slow=3", "disagree"]``; empty: no fault. A word that
            comes twice counts once, the last value of ``slow`` and ``garbage`` wins.

    Raises:
        FaultError: a word is none of those in the head of this module.
    """
    members: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.strip().partition("=")
        if name in SWITCHES and not equals:
            members[name.replace("-", "_")] = True
        elif name == "slow":
            members["slow_seconds"] = _parse_seconds(value)
        elif name == "garbage" and value in set(Garbage):
            members["garbage"] = Garbage(value)
        else:
            kinds = ", ".join(["slow=SECONDS", *(f"garbage={kind}" for kind in Garbage)])
            raise FaultError(f"a fault is one of {kinds}, {', '.join(SWITCHES)}")
    return Faults(**members)


def _parse_seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_SLOW_SECONDS:
        raise FaultError(f"slow takes 0 to {MAX_SLOW_SECONDS:.0f} seconds, for example slow=3")
    return seconds
