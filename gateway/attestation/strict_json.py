"""JSON without the freedoms that let two readers see different things.

RFC 8259 leaves open what a doubled member means (§4) and lets a parser take
``NaN`` or UTF-16; two parties that read a signed text differently can be played
against each other. Here all of these are errors.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable


class DoubledMemberError(ValueError):
    """An object names a member twice."""


def loads(data: bytes) -> Any:
    """Reads one JSON text in UTF-8.

    Raises:
        DoubledMemberError: an object names a member twice.
        ValueError: anything else is wrong with it, nesting beyond measure included.
            No message holds input.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except DoubledMemberError:
        raise
    except (ValueError, RecursionError):
        raise ValueError("not one JSON text") from None


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise DoubledMemberError("a member is doubled")
        members[name] = value
    return members


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("not a JSON number")
