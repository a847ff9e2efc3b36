"""What of a reply may be shown: the scheme's own words, and the shape of everything else.

A saved reply is about a real person more often than not. So nothing of it is printed
but words that stand in the scheme, moments, division codes and counts. Everything
else is shown by its shape, which tells an engineer what went wrong (a date in another
form, a number where a word should be) and nothing about anybody.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from gateway.codes.divisions import DivisionError, division_name

if TYPE_CHECKING:
    from collections.abc import Collection

_CODE: Final = re.compile(r"[A-Za-z]{0,2}[0-9]{1,5}", re.ASCII)
"""A vendor's short code. No document, telephone or postal number is so short."""

_COLOUR_WORD: Final = re.compile(r"[\u4e00-\u9fff]{1,7}码")
"""A word that ends in 码, code; no name of a person does."""

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", re.ASCII)
_DIGITS_OF_A_NUMBER: Final = re.compile(r"[0-9]{5}", re.ASCII)
_MAX_RUN: Final = 4
_MAX_SHAPE: Final = 64


def shape(value: Any) -> str:
    """Return what a value looks like: ``9999-99-99``, ``字×3``, ``9×18``, ``a list of 2``.

    Digits read as 9, Latin letters as a, other letters as 字; signs stay.
    """
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "null"
    if isinstance(value, dict):
        return f"a document of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = str(value)
    runs = ((kind, len(list(run))) for kind, run in groupby(map(_kind, text[:_MAX_SHAPE])))
    drawn = "".join(
        f"{kind}×{length}" if length > _MAX_RUN or kind == "字" else kind * length
        for kind, length in runs
    )
    return drawn + "…" if len(text) > _MAX_SHAPE else drawn or "empty"


def hidden(value: Any) -> str:
    """Return the shape of a value, marked as hidden."""
    return f"‹{shape(value)}›"


def shown(word: str, known: Collection[str]) -> str:
    """Return a word as it stands where that is safe, its shape otherwise.

    Args:
        word: of the reply.
        known: the words that the scheme itself writes down.
    """
    if word in known or _CODE.fullmatch(word) or _COLOUR_WORD.fullmatch(word):
        return word
    return hidden(word)


def shown_scope(scope: str, issued_by: str, known: Collection[str]) -> str:
    """Return a scope as it stands where it only names the division that issued the record."""
    with suppress(DivisionError):
        if len(scope) > 1 and division_name(issued_by).endswith(scope):
            return scope
    return shown(scope, known)


def shown_key(name: str) -> str:
    """Return the name of a member, or its shape where it might itself be a person's value."""
    is_plain = _KEY.fullmatch(name) and not _DIGITS_OF_A_NUMBER.search(name)
    return name if is_plain else hidden(name)


def _kind(char: str) -> str:
    if char.isdecimal():
        return "9"
    if char.isascii() and char.isalpha():
        return "a"
    return "字" if char.isalpha() else char
