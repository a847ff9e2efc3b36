"""Pieces of a protobuf message that become one by being put side by side.

The encoding of a message is the concatenation of the encodings of its fields,
in any order, and a repeated field may lie scattered among others. So a batch
whose items are already serialised needs no message object: the items, each
behind its tag and length, are joined. That is what makes a forwarding hub
cheap: an item is parsed once, gets its new id, and its bytes go into the queue.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
"""Wire types of the protobuf encoding."""

PREPARED_LENGTHS: Final = 8192
"""Lengths whose prefixes are prepared: a sealed question or answer of a few
people is below it; longer ones are computed."""


def varint(number: int) -> bytes:
    """Encode a number of zero or above as a base-128 varint."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class FieldFraming:
    """Frames serialised messages as elements of one repeated message field.

    Args:
        number: of the field.
    """

    def __init__(self, number: int) -> None:
        self._tag = varint(number << 3 | _LENGTH_DELIMITED)
        self.prepared: Final = [self._tag + varint(n) for n in range(PREPARED_LENGTHS)]
        """Prefixes by length, for loops that cannot afford a call."""

    def prefix(self, length: int) -> bytes:
        """Return tag and length of an element."""
        if length < PREPARED_LENGTHS:
            return self.prepared[length]
        return self._tag + varint(length)

    def frame(self, data: bytes) -> bytes:
        """Return an element with its tag and length."""
        return self.prefix(len(data)) + data


class Run(NamedTuple):
    """Framed items of one repeated field, side by side, ready to be part of a message."""

    data: bytes
    items: int


def run_bytes(run: Run) -> int:
    """Measure a run, for a coalescer."""
    return len(run.data)


def run_count(run: Run) -> int:
    """Count a run's items, for a coalescer."""
    return run.items


def join_runs(runs: list[Run]) -> bytes:
    """Make a message of runs."""
    return runs[0].data if len(runs) == 1 else b"".join([run.data for run in runs])


def number_fragment(field: int, number: int) -> bytes:
    """Return one element of an integer field; packed readers take it too."""
    return varint(field << 3 | _VARINT) + varint(number)
