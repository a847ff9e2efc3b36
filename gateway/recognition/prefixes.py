"""Divisions held against the prefixes that a rule names."""

from __future__ import annotations


def in_prefixes(code: str | None, prefixes: frozenset[str] | None) -> bool:
    """Whether no prefix is asked for, or a division lies in one of them."""
    if prefixes is None:
        return True
    return code is not None and code.startswith(tuple(prefixes))
