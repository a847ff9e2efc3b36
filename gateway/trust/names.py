"""URNs and division prefixes as trust reads them: by shape, not by table.

``gateway.codes.divisions`` knows which divisions exist. A reader of the feed
must not depend on that: a region founded after its table was made would stop
it. So existence is the hub's to check, at enrolment, and here only the shape
counts::

    urn:hutong:hub:000000
    urn:hutong:region:330100
    urn:hutong:checkpoint:440100:north-gate
    urn:hutong:operator:front-desk
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_URN_LENGTH: Final = 128
"""As ``hutong.v1.Member.urn``."""

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"
_HUB = re.compile(r"urn:hutong:hub:([0-9]{6})", re.ASCII)
_REGION = re.compile(r"urn:hutong:region:([0-9]{6})", re.ASCII)
_CHECKPOINT = re.compile(rf"urn:hutong:checkpoint:([0-9]{{6}}):{_LABEL}", re.ASCII)
_OPERATOR = re.compile(rf"urn:hutong:operator:{_LABEL}", re.ASCII)
_DIVISION = re.compile(r"[0-9]{6}", re.ASCII)
_PREFIX = re.compile(r"[0-9]{2}(?:[0-9]{2}){0,2}", re.ASCII)


def is_hub_urn(urn: str) -> bool:
    """Whether the text has the shape of a hub's URN."""
    return _HUB.fullmatch(urn) is not None


def hub_of(urn: str) -> str | None:
    """Returns the six digits in a hub's URN; None: another kind of URN."""
    found = _HUB.fullmatch(urn)
    return None if found is None else found[1]


def region_of(urn: str) -> str | None:
    """Returns the six digits in a region's URN; None: another kind of URN."""
    found = _REGION.fullmatch(urn)
    return None if found is None else found[1]


def checkpoint_region_of(urn: str) -> str | None:
    """Returns the six digits in a checkpoint's URN; None: another kind of URN."""
    found = _CHECKPOINT.fullmatch(urn)
    return None if found is None else found[1]


def is_operator_urn(urn: str) -> bool:
    """Whether the text has the shape of an operator's URN."""
    return _OPERATOR.fullmatch(urn) is not None


def is_division(code: str) -> bool:
    """Whether the text has the shape of a six-digit division code."""
    return _DIVISION.fullmatch(code) is not None


def is_prefix(text: str) -> bool:
    """Whether the text is a shortest prefix: 2, 4 or 6 digits, none of it ``00`` at the end."""
    return _PREFIX.fullmatch(text) is not None and not text.endswith("00")


def shortest(code: str) -> str:
    """Returns the shortest prefix of a code, ``33`` of ``330000``; empty for ``000000``."""
    while code.endswith("00"):
        code = code[:-2]
    return code


def covers(own: Iterable[str], prefix: str) -> bool:
    """Whether one of the prefixes contains another prefix or code, or is it."""
    return any(prefix.startswith(held) for held in own)
