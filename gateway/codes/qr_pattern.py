r"""Patterns of QR texts, in a small regular language that matches in linear time.

A pattern comes from another region's document and runs on text that anybody may
print on paper, so it must not be able to run for ever. The accepted language is
the part of Python's regular expressions in which a reader never has to guess:

* anchored: begins with ``^``, ends with ``$``;
* literals, escaped punctuation, ``\d`` (0-9 only), ``\w`` (ASCII), ``.``;
* classes ``[a-z0-9]``, ``[^&]``;
* groups ``(?:…)`` and ``(?P<name>…)``, alternatives inside a group;
* ``?``, ``{n}``, ``{m,n}`` up to 2 048; no ``*``, ``+``, lazy or possessive form;
* no quantifier over a group that itself holds one (nested quantifiers);
* **one-unambiguous**: after anything optional or of variable length, the next
  character decides whether it goes on. ``\d{1,8}[a-z]`` is accepted,
  ``\d{1,8}\d`` is refused: the latter would have to be tried at every split.

With that, whichever engine runs it needs at most a constant number of looks at
each character. Text longer than :data:`MAX_TEXT_LENGTH` never matches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import CallerError

MAX_TEXT_LENGTH: Final = 2048
"""The bound of Question.qr_text in the schema."""

MAX_PATTERN_LENGTH: Final = 512
"""A pattern that a person can still read; the longest known one has about 120 characters."""

_DIGITS = frozenset("0123456789")
_WORD = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_SPECIAL = frozenset("^$*+?{}[]()|.\\")


class QrPatternError(CallerError):
    """A pattern lies outside the accepted language."""

    default_code = "SCHEME_INVALID"


@dataclass(frozen=True, slots=True)
class QrPattern:
    """How one kind of QR text looks and what it stands for.

    Attributes:
        pattern: the pattern.
        region: six-digit division whose adapter is asked.
        presentation: ``qr_text``: the whole text is sent; ``document``: the
            group ``number`` is the number of an identity document.
        document_type: type of that document, with ``document`` only.
        examples: synthetic texts that match.
        counterexamples: synthetic texts that do not.
    """

    pattern: str
    region: str
    presentation: str = "qr_text"
    document_type: int | None = None
    examples: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", compile_pattern(self.pattern))

    def matches(self, text: str) -> bool:
        """Return whether ``text`` is of this kind."""
        return len(text) <= MAX_TEXT_LENGTH and self._compiled.fullmatch(text) is not None

    def groups(self, text: str) -> dict[str, str]:
        """Return the named groups that took part in the match; empty where none did."""
        match = self._compiled.fullmatch(text) if len(text) <= MAX_TEXT_LENGTH else None
        found = match.groupdict() if match else {}
        return {name: part for name, part in found.items() if part is not None}

    def document_number(self, text: str) -> str | None:
        """Return the document number inside ``text``; None: it carries none."""
        return self.groups(text).get("number") if self.presentation == "document" else None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Check that ``pattern`` lies in the accepted language and compile it.

    Raises:
        QrPatternError: it does not; the message says where and why.
    """
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise QrPatternError(f"longer than {MAX_PATTERN_LENGTH} characters")
    if not pattern.startswith("^") or not pattern.endswith("$") or pattern.endswith("\\$"):
        raise QrPatternError("must begin with ^ and end with $")
    reader = _Reader(pattern[1:-1])
    node = reader.alternatives()
    if reader.rest():
        raise QrPatternError("a closing bracket without its opening one")
    node.check(_Chars())
    try:
        return re.compile(pattern, re.ASCII)
    except re.error as error:
        raise QrPatternError(f"not a regular expression: {error.msg}") from None


@dataclass(frozen=True, slots=True)
class _Chars:
    """A set of characters, or the complement of one."""

    chars: frozenset[str] = frozenset()
    negated: bool = False

    def union(self, other: _Chars) -> _Chars:
        if self.negated and other.negated:
            return _Chars(self.chars & other.chars, negated=True)
        if self.negated:
            return _Chars(self.chars - other.chars, negated=True)
        if other.negated:
            return _Chars(other.chars - self.chars, negated=True)
        return _Chars(self.chars | other.chars)

    def overlaps(self, other: _Chars) -> bool:
        if self.negated and other.negated:
            return True
        if self.negated:
            return bool(other.chars - self.chars)
        if other.negated:
            return bool(self.chars - other.chars)
        return not self.chars.isdisjoint(other.chars)


class _Node:
    """A piece of a pattern."""

    first: _Chars
    nullable: bool
    varies: bool

    def check(self, follow: _Chars) -> None:
        """Raise unless one character of look-ahead decides every choice inside."""
        raise NotImplementedError


class _Set(_Node):
    nullable = False
    varies = False

    def __init__(self, chars: _Chars) -> None:
        self.first = chars

    def check(self, follow: _Chars) -> None:
        """A single character holds no choice."""


class _Sequence(_Node):
    def __init__(self, parts: list[_Node]) -> None:
        self._parts = parts
        self.nullable = all(part.nullable for part in parts)
        self.varies = any(part.varies for part in parts)
        first = _Chars()
        for part in parts:
            first = first.union(part.first)
            if not part.nullable:
                break
        self.first = first

    def check(self, follow: _Chars) -> None:
        for part in reversed(self._parts):
            part.check(follow)
            follow = part.first.union(follow) if part.nullable else part.first


class _Choice(_Node):
    def __init__(self, branches: list[_Node]) -> None:
        self._branches = branches
        self.nullable = any(branch.nullable for branch in branches)
        self.varies = any(branch.varies for branch in branches)
        self.first = _Chars()
        for branch in branches:
            self.first = self.first.union(branch.first)

    def check(self, follow: _Chars) -> None:
        seen = _Chars()
        for branch in self._branches:
            branch.check(follow)
            start = branch.first.union(follow) if branch.nullable else branch.first
            if seen.overlaps(start):
                raise QrPatternError("two alternatives begin with the same character")
            seen = seen.union(start)


class _Repeat(_Node):
    def __init__(self, body: _Node, least: int, most: int) -> None:
        self._body = body
        self._fixed = least == most
        self._many = most > 1
        self.nullable = least == 0 or body.nullable
        self.varies = not self._fixed or body.varies
        self.first = body.first

    def check(self, follow: _Chars) -> None:
        if self._body.nullable:
            raise QrPatternError("a quantifier over something that may be empty")
        if self._many and self._body.varies:
            raise QrPatternError("nested quantifiers")
        if not self._fixed and self.first.overlaps(follow):
            raise QrPatternError(
                "ambiguous: what follows a part of variable length can also continue it"
            )
        self._body.check(self.first.union(follow) if self._many else follow)


class _Reader:
    """Recursive descent over the text of a pattern, without its anchors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def rest(self) -> str:
        return self._text[self._at :]

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise QrPatternError("ends in the middle")
        char = self._text[self._at]
        self._at += 1
        return char

    def _accept(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def alternatives(self) -> _Node:
        branches = [self._sequence()]
        while self._accept("|"):
            branches.append(self._sequence())
        if len(branches) > 1 and not self._depth:
            raise QrPatternError("alternatives stand inside a group: ^(?:a|b)$")
        return branches[0] if len(branches) == 1 else _Choice(branches)

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return _Sequence(parts)

    def _atom(self) -> _Node:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _Set(self._class())
        if char == ".":
            return _Set(_Chars(frozenset("\n"), negated=True))
        if char == "\\":
            return _Set(self._escape())
        if char in _SPECIAL:
            raise QrPatternError(f"`{char}` is not accepted here")
        return _Set(_Chars(frozenset(char)))

    def _group(self) -> _Node:
        if not self._accept("?:"):
            if not self._accept("?P<"):
                raise QrPatternError("groups are (?:…) or (?P<name>…)")
            name = ""
            while not self._accept(">"):
                name += self._take()
            if not (name.isascii() and name.isidentifier()):
                raise QrPatternError("the name of a group is an identifier")
        self._depth += 1
        if self._depth > 8:  # noqa: PLR2004 - deeper than any QR text, far from the stack's end
            raise QrPatternError("groups nested too deeply")
        node = self.alternatives()
        self._depth -= 1
        if not self._accept(")"):
            raise QrPatternError("a group is not closed")
        return node

    def _escape(self) -> _Chars:
        char = self._take()
        if char == "d":
            return _Chars(_DIGITS)
        if char == "w":
            return _Chars(_WORD)
        if char.isalnum() or not char.isascii() or char.isspace():
            raise QrPatternError("only \\d, \\w and escaped punctuation are accepted")
        return _Chars(frozenset(char))

    def _class(self) -> _Chars:
        negated = self._accept("^")
        chars: frozenset[str] = frozenset()
        while not self._accept("]"):
            low = self._class_char()
            if (
                len(low) == 1
                and self._text[self._at : self._at + 1] == "-"
                and (self._text[self._at + 1 : self._at + 2] not in ("]", ""))
            ):
                self._at += 1
                high = self._class_char()
                (first,) = low
                if len(high) != 1 or not first.isascii() or not max(high).isascii():
                    raise QrPatternError("a range runs between two ASCII characters")
                low = frozenset(map(chr, range(ord(first), ord(max(high)) + 1)))
                if not low:
                    raise QrPatternError("a range runs backwards")
            chars |= low
        if not chars:
            raise QrPatternError("an empty class")
        return _Chars(chars, negated=negated)

    def _class_char(self) -> frozenset[str]:
        char = self._take()
        if char == "\\":
            return self._escape().chars
        if char in "[&~|" and self._text[self._at : self._at + 1] == char:
            raise QrPatternError("set operations are not accepted")
        if char == "[":
            raise QrPatternError("escape `[` inside a class")
        return frozenset(char)

    def _repeated(self, body: _Node) -> _Node:
        if self._accept("?"):
            node: _Node = _Repeat(body, 0, 1)
        elif self._accept("{"):
            bounds = ""
            while not self._accept("}"):
                bounds += self._take()
            if not re.fullmatch(r"[0-9]{1,4}(?:,[0-9]{1,4})?", bounds, re.ASCII):
                raise QrPatternError("a quantifier is ?, {n} or {m,n}")
            least, _, most = bounds.partition(",")
            low, high = int(least), int(most or least)
            if not 1 <= high <= MAX_TEXT_LENGTH or low > high:
                raise QrPatternError(f"a quantifier lies within 1 and {MAX_TEXT_LENGTH}")
            node = _Repeat(body, low, high)
        else:
            return body
        if self._text[self._at : self._at + 1] in ("?", "+", "*", "{"):
            raise QrPatternError("one quantifier a part")
        return node
