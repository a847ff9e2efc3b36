"""Reports and divisions, as the reference verifier reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_AUDIENCE = re.compile(r"urn:hutong:region:(\d{6}|\d{4}|\d{2})", re.ASCII)


def reports(code: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every report of a code, the first of them first."""
    yield code
    yield from code.get("also", ())


def prefix_of(urn: str) -> str:
    """Digits of a region URN without trailing zeros; empty: not one, or the country."""
    found = _AUDIENCE.fullmatch(urn)
    return shortest(found[1] if found else "")


def shortest(digits: str) -> str:
    """Digits of a division without trailing zeros."""
    while digits.endswith("00"):
        digits = digits[:-2]
    return digits
