"""The URNs of regions, as ``iss`` and ``aud`` name them.

``urn:hutong:region:330100`` is one region; with two or four digits it is the prefix of
several. The whole country is nobody's name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from gateway.attestation.in_form import MAX_REMEMBERED, InForm

_REGION_URN: Final = re.compile(r"urn:hutong:region:([0-9]{6}|[0-9]{4}|[0-9]{2})", re.ASCII)
_REGION_DIGITS: Final = 6


@lru_cache(MAX_REMEMBERED)
def region_prefix(urn: str) -> str:
    """Returns the division prefix that a region URN stands for.

    A prefix URN of two or four digits stands for itself; a region of six digits
    for itself and what lies below it (``440000`` gives ``44``).

    Raises:
        ValueError: not a region URN, or the whole country.
    """
    found = _REGION_URN.fullmatch(urn)
    digits = found[1] if found else ""
    while digits.endswith("00") and len(digits) % 2 == 0:
        digits = digits[:-2]
    if not digits:
        raise ValueError("not the URN of a region")
    return digits


def region_code(urn: str) -> str:
    """Returns the six digits of a region URN.

    Raises:
        ValueError: not a region URN of six digits, or the whole country.
    """
    region_prefix(urn)
    code = urn.rpartition(":")[2]
    if len(code) != _REGION_DIGITS:
        raise ValueError("not the URN of one region")
    return code


REGIONS: Final = InForm(region_code)
"""URNs of one region."""
AUDIENCES: Final = InForm(region_prefix)
"""URNs of one region, or of a prefix of regions."""
