"""Reads members of a parsed document and gathers every problem on the way.

A cursor points at one mapping of a :class:`~gateway.codes.yamldoc.YamlDocument`.
Its readers return the value, or None after noting a problem; whoever reads goes
on, so that a person sees all problems of a file at once. ``done`` notes members
that nobody asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import StrEnum
    from zoneinfo import ZoneInfo

    from gateway.codes.yamldoc import Path, Problem, YamlDocument

E = TypeVar("E", bound="StrEnum")

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MAX_TEXT = 1024


class Cursor:
    """One mapping of a document.

    Args:
        document: the parsed document.
        path: where the mapping stands.
        problems: collects what is wrong; shared by all cursors of a document.
    """

    def __init__(self, document: YamlDocument, path: Path, problems: list[Problem]) -> None:
        self._document = document
        self._problems = problems
        self._asked: set[str] = set()
        self.path = path
        value: Any = document.value
        for part in path:
            value = value[part]
        if isinstance(value, dict):
            self._members: dict[str, Any] = value
            self.is_mapping = True
        else:
            self._members = {}
            self.is_mapping = False
            self.note("is not a mapping", "write members: `name: value`")

    def note(self, message: str, fix: str, *path: str | int) -> None:
        """Note a problem at this mapping, or at a member of it."""
        self._problems.append(self._document.problem((*self.path, *path), message, fix))

    def done(self) -> None:
        """Note every member that no reader asked for."""
        for name in self._members:
            if name not in self._asked:
                known = ", ".join(sorted(self._asked))
                fix = f"remove it; known here: {known}"
                if " " in name:
                    fix = "if it belongs to a text, quote the text: inside {…} a comma ends it"
                near = get_close_matches(name, self._asked - self._members.keys(), n=1)
                if near:
                    fix = f"did you mean `{near[0]}`? Otherwise {fix}"
                self.note("is not a known member", fix, name)

    def has(self, name: str) -> bool:
        """Return whether the member is present."""
        return name in self._members

    def names(self) -> tuple[str, ...]:
        """Return the names of the members; for mappings whose names are data."""
        return tuple(self._members)

    def raw(self, name: str, *, required: bool = True) -> Any:
        """Return the member as it stands; None when absent."""
        self._asked.add(name)
        value = self._members.get(name)
        if value is None and required:
            self.note(f"`{name}` is missing", f"add `{name}: …`")
        return value

    def text(
        self,
        name: str,
        *,
        required: bool = True,
        pattern: str | None = None,
        max_length: int = _MAX_TEXT,
        what: str = "text",
    ) -> str | None:
        """Return a text of 1 to ``max_length`` characters that matches ``pattern``."""
        value = self.raw(name, required=required)
        if value is None:
            return None
        if not isinstance(value, str):
            self.note(f"is not {what}", 'quote it: "…"', name)
        elif not value or len(value) > max_length:
            self.note(f"is empty or over {max_length} characters", "change its length", name)
        elif pattern is not None and not re.fullmatch(pattern, value, re.ASCII):
            self.note(f"is not {what}", f"write {what}", name)
        else:
            return value
        return None

    def integer(self, name: str, low: int, high: int, *, required: bool = False) -> int | None:
        """Return an integer within both bounds, inclusive."""
        value = self.raw(name, required=required)
        if value is None:
            return None
        if type(value) is not int or not low <= value <= high:
            self.note(f"is not an integer from {low} to {high}", "change it", name)
            return None
        return value

    def member(self, name: str, *, required: bool = False) -> Cursor | None:
        """Return a cursor on a mapping inside this one; None when absent or no mapping."""
        if self.raw(name, required=required) is None:
            return None
        inner = Cursor(self._document, (*self.path, name), self._problems)
        return inner if inner.is_mapping else None

    def members(self) -> Iterator[tuple[str, Cursor]]:
        """Yield every member as a cursor; for mappings whose names are data."""
        for name in self._members:
            self._asked.add(name)
            inner = Cursor(self._document, (*self.path, name), self._problems)
            if inner.is_mapping:
                yield name, inner

    def items(self, name: str, *, low: int = 0, high: int = 256) -> Iterator[Cursor]:
        """Yield a cursor for each mapping of a list with ``low`` to ``high`` items."""
        for place in range(len(self._list(name, low=low, high=high))):
            inner = Cursor(self._document, (*self.path, name, place), self._problems)
            if inner.is_mapping:
                yield inner

    def texts(
        self,
        name: str,
        *,
        low: int = 0,
        high: int = 256,
        pattern: str | None = None,
        what: str = "text",
        max_length: int = _MAX_TEXT,
    ) -> tuple[str, ...]:
        """Return a list of distinct texts."""
        found: list[str] = []
        for place, value in enumerate(self._list(name, low=low, high=high)):
            if not isinstance(value, str) or not 1 <= len(value) <= max_length:
                self.note("is not text of a fitting length", 'quote it: "…"', name, place)
            elif pattern is not None and not re.fullmatch(pattern, value, re.ASCII):
                self.note(f"is not {what}", f"write {what}", name, place)
            elif value in found:
                self.note("stands twice", "keep one of the two", name, place)
            else:
                found.append(value)
        return tuple(found)

    def choice(self, name: str, kind: type[E], *, required: bool = True) -> E | None:
        """Return a member of an enumeration, written by its value."""
        value = self.raw(name, required=required)
        if value is None:
            return None
        chosen = self._one_of(value, kind)
        if chosen is None:
            self.note("is not one of the known words", _words(kind), name)
        return chosen

    def choices(self, name: str, kind: type[E]) -> tuple[E, ...]:
        """Return a list of members of an enumeration, in its order."""
        found: list[E] = []
        for place, value in enumerate(self._list(name, low=0, high=16)):
            chosen = self._one_of(value, kind)
            if chosen is None:
                self.note("is not one of the known words", _words(kind), name, place)
            else:
                found.append(chosen)
        return tuple(found)

    def moment(
        self, name: str, *, required: bool = False, date_in: ZoneInfo | None = None
    ) -> datetime | None:
        """Return a time with offset in UTC, cut to seconds.

        Args:
            name: the member.
            required: whether absence is a problem.
            date_in: accept a bare date, 00:00 in this zone.
        """
        value = self.raw(name, required=required)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None and date_in is not None and _DATE.fullmatch(value):
                moment = moment.replace(tzinfo=date_in)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC).replace(microsecond=0)
        except (TypeError, ValueError, OverflowError):
            pass
        self.note("is not a time with offset", "write it as 2020-02-11T08:00:00+08:00", name)
        return None

    def _one_of(self, value: Any, kind: type[E]) -> E | None:
        try:
            return kind(value) if isinstance(value, str) else None
        except ValueError:
            return None

    def _list(self, name: str, *, low: int, high: int) -> list[Any]:
        value = self.raw(name, required=low > 0)
        if value is None:
            return []
        if not isinstance(value, list) or not low <= len(value) <= high:
            self.note(f"is not a list of {low} to {high} items", "write `[…]`", name)
            return []
        return value


def _words(kind: Iterable[StrEnum]) -> str:
    return "use " + ", ".join(member.value for member in kind)
