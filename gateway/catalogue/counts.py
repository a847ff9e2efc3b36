"""Counts: how many people have which level or outcome, and nobody among them.

What a province reports to the national platform. One line for each division and word::

    {"count":128,"division":"330100","kind":"level","name":"RED"}
    {"below":10,"division":"330600","kind":"outcome","name":"CODE_EXPIRED"}

A number from 1 to below the threshold is not stated: ``below`` stands in its place,
because three reds of one county are three neighbours. There are no totals, from which
a number that is not stated could be reckoned, and what is zero is left out.

The threshold of 10 is our choice; no source names one for this exchange. What two
files of successive days betray by their difference is not hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from gateway.catalogue.rows import LISTED_LEVELS, RowError
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_THRESHOLD: Final = 10
"""Numbers below it are not stated. Our choice."""

MIN_THRESHOLD: Final = 2
"""One hides nothing."""

CountKind = Literal["level", "outcome"]

_NAMES: Final = {
    "level": frozenset(level.value for level in LISTED_LEVELS),
    "outcome": frozenset(outcome.value for outcome in Outcome),
}


@dataclass(frozen=True, slots=True, order=True)
class CountKey:
    """What is counted.

    Attributes:
        division: six digits of who issued the records.
        kind: ``level`` or ``outcome``.
        name: which.
    """

    division: str
    kind: CountKind
    name: str


@dataclass(frozen=True, slots=True)
class CountRow:
    """One number.

    Attributes:
        key: what is counted.
        count: how many; None: from 1 to below ``below``.
        below: the threshold where the number is not stated; None: it is.
    """

    key: CountKey
    count: int | None
    below: int | None = None


class _Count(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    division: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]
    kind: CountKind
    name: Annotated[str, msgspec.Meta(max_length=32)]
    count: Annotated[int, msgspec.Meta(ge=1, le=2_000_000_000)] | msgspec.UnsetType = msgspec.UNSET
    below: Annotated[int, msgspec.Meta(ge=MIN_THRESHOLD)] | msgspec.UnsetType = msgspec.UNSET


_decoder: Final = msgspec.json.Decoder(_Count)
_encoder: Final = msgspec.json.Encoder(order="sorted")


def count_rows(numbers: Mapping[CountKey, int], threshold: int) -> Iterator[CountRow]:
    """Gives the rows of counts in order, small numbers left unstated.

    Args:
        numbers: people by what is counted.
        threshold: at least 2.

    Raises:
        ValueError: the threshold hides nothing.
    """
    if threshold < MIN_THRESHOLD:
        raise ValueError(f"a threshold is at least {MIN_THRESHOLD}")
    for key in sorted(numbers):
        number = numbers[key]
        if number >= threshold:
            yield CountRow(key, number)
        elif number > 0:
            yield CountRow(key, None, threshold)


def encode_count(row: CountRow) -> bytes:
    """Returns the line of a count, with its end."""
    written = _Count(
        division=row.key.division,
        kind=row.key.kind,
        name=row.key.name,
        count=msgspec.UNSET if row.count is None else row.count,
        below=msgspec.UNSET if row.below is None else row.below,
    )
    return _encoder.encode(written) + b"\n"


def parse_count(line: bytes, *, threshold: int) -> CountRow:
    """Reads a line without its end.

    Args:
        line: the line.
        threshold: of the header: a smaller number must not be stated.

    Raises:
        RowError: not a count of this profile, or one that had to stay unstated.
    """
    try:
        read = _decoder.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):  # no UTF-8 is a ValueError
        raise RowError("a member is missing, unknown or out of bounds") from None
    if _encoder.encode(read) != line or read.name not in _NAMES[read.kind]:
        raise RowError("not the canonical writing, or no level or outcome")
    count = None if read.count is msgspec.UNSET else read.count
    below = None if read.below is msgspec.UNSET else read.below
    if (count is None) == (below is None) or (below or threshold) != threshold:
        raise RowError("neither a number nor the threshold, or both")
    if count is not None and count < threshold:
        raise RowError("a number below the threshold is stated")
    return CountRow(CountKey(read.division, read.kind, read.name), count, below)
