"""Names and numbers as a gate may see them: enough to compare, too little to copy.

``VerifiedHolder`` of the schema: of a name the first character, of a number the first
four and the last two; the others as stars. A number too short for that shows its first
character alone.
"""

from __future__ import annotations

from typing import Final

STAR: Final = "*"
_HEAD: Final = 4
_TAIL: Final = 2
_LEAST_HIDDEN: Final = 4
"""Fewer stars than this would hide nothing worth hiding; a choice."""


def mask_name(name: str) -> str:
    """``王小明`` as ``王**``."""
    return name[:1] + STAR * (len(name) - 1)


def mask_number(number: str) -> str:
    """``330102199001010055`` as ``3301************55``."""
    hidden = len(number) - _HEAD - _TAIL
    if hidden < _LEAST_HIDDEN:
        return number[:1] + STAR * (len(number) - 1)
    return number[:_HEAD] + STAR * hidden + number[-_TAIL:]
