r"""YAML documents that know their lines, read strictly.

Scheme and policy files are written by people, so every problem names a line.
They also arrive from strangers, so the reader is narrower than YAML:

* UTF-8 only, one document, bounded in size, depth and number of nodes;
* no anchors, no aliases, no tags: no bomb can be built and no object made;
* a duplicate key is refused, also where two spellings give the same key;
* keys are always text, exactly as written (``00`` stays ``"00"``);
* a plain scalar is ``null``, ``true``, ``false``, a decimal integer without a
  leading zero, or a decimal fraction; everything else is text. So ``2020-02-11``,
  ``no``, ``01`` and ``12:30`` are text, unlike in YAML 1.1.

JSON is read by the same function, unless it is indented with tabs; a number
with an exponent becomes text.

Example::

    document = parse_yaml(b"rules:\n  - verdict: ADMIT\n", max_bytes=65536)
    document.value                                  # {"rules": [{"verdict": "ADMIT"}]}
    document.line(("rules", 0, "verdict"))          # 2
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import yaml

from gateway.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

YamlValue: TypeAlias = "dict[str, YamlValue] | list[YamlValue] | str | int | float | bool | None"
Path: TypeAlias = tuple[str | int, ...]

MAX_DEPTH: Final = 16
"""Deepest nesting. The deepest document we write has seven; our choice."""

MAX_NODES: Final = 20_000
"""Most scalars and collections in one document; our choice, ten times a large scheme."""

MAX_INTEGER_DIGITS: Final = 15
"""Longest integer: below 2**53, so every JSON reader keeps it exact."""

_REMEMBERED: Final = 64
"""Documents kept as they were read: every scheme that ships, with its vectors."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z", re.ASCII)
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}\Z", re.ASCII)
_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a document, worded for the person who edits it.

    Attributes:
        line: counted from 1; 0 where the document has no text (it came as a value).
        path: where, as in ``rules[2].match.levels``; empty for the whole document.
        message: what is wrong.
        fix: what to do about it.
    """

    line: int
    path: str
    message: str
    fix: str

    def __str__(self) -> str:
        """The problem on one line."""
        where = f"line {self.line}: " if self.line else ""
        path = f"{self.path}: " if self.path else ""
        return f"{where}{path}{self.message}; {self.fix}"


class YamlError(CallerError):
    """The bytes are not a document this reader accepts.

    Attributes:
        line: counted from 1.
        problem: the same, as a :class:`Problem`.
    """

    default_code = "YAML_INVALID"

    def __init__(self, line: int, message: str, fix: str) -> None:
        self.problem = Problem(line, "", message, fix)
        self.line = line
        super().__init__(str(self.problem))


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A value with the lines its parts stand on.

    Attributes:
        value: plain Python values, see ``YamlValue``.
    """

    value: YamlValue
    _lines: Mapping[Path, int] = field(default_factory=dict, repr=False)

    def line(self, path: Path) -> int:
        """Line of a part, or of the nearest part around it that exists; 0: no text."""
        for end in range(len(path), -1, -1):
            line = self._lines.get(path[:end])
            if line is not None:
                return line
        return 0

    def problem(self, path: Path, message: str, fix: str) -> Problem:
        """A problem with the part at this path."""
        return Problem(self.line(path), path_text(path), message, fix)


def path_text(path: Sequence[str | int]) -> str:
    """A path as people write it: ``rules[2].match.levels``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parse_yaml(data: bytes, *, max_bytes: int) -> YamlDocument:
    """Read one document.

    Whoever reads the same bytes again gets a value of their own without the work:
    commands and programs come back to the documents of a scheme several times, and
    reading one takes a hundred times as long as copying it.

    Args:
        data: UTF-8 text; a byte-order mark is tolerated.
        max_bytes: largest size accepted, inclusive.

    Raises:
        YamlError: the bytes are too many, not UTF-8, not YAML, or use something
            that this reader leaves out (see the module's docstring).
    """
    if len(data) > max_bytes:
        raise YamlError(1, f"the document exceeds {max_bytes} bytes", "make it smaller")
    document = _read(data)
    return YamlDocument(_copy(document.value), document._lines)  # noqa: SLF001 - of its own class


def _copy(value: YamlValue) -> YamlValue:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


@lru_cache(maxsize=_REMEMBERED)
def _read(data: bytes) -> YamlDocument:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(line, "the document is not UTF-8", "save it as UTF-8") from None
    try:
        return _Builder(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        reason = error.problem or "it cannot be read"
        raise YamlError(line, f"not YAML: {_brief(reason)}", "correct the syntax") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, "a control character", "remove the character") from None
    except yaml.YAMLError:
        raise YamlError(1, "not YAML", "correct the syntax") from None


def _brief(reason: str) -> str:
    """The parser's reason without the text it quotes from the document."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", reason)[:120]


def _line(event: yaml.Event) -> int:
    """The line an event stands on, counted from 1."""
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 1


def _scalar(text: str, line: int) -> YamlValue:
    """The value of a plain scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
            raise YamlError(
                line, f"an integer of more than {MAX_INTEGER_DIGITS} digits", "quote it as text"
            )
        return int(text)
    if _FRACTION.match(text):
        return float(text)
    return text


class _Builder:
    """Builds values from parser events; depth is checked before each step down."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._lines: dict[Path, int] = {}
        self._nodes = 0

    def document(self) -> YamlDocument:
        """The one document of the stream."""
        next(self._events)  # the start of the stream
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise YamlError(1, "the document is empty", "write the document")
        first = next(self._events)
        self._lines[()] = _line(first)
        value = self._node(first, (), 0)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            line = _line(after)
            raise YamlError(line, "a second document", "keep one document in a file")
        return YamlDocument(value, self._lines)

    def _node(self, event: yaml.Event, path: Path, depth: int) -> YamlValue:
        line = _line(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise YamlError(line, f"more than {MAX_NODES} values", "make the document smaller")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise YamlError(line, "an anchor or alias", "write the value out")
        if getattr(event, "tag", None) is not None:
            raise YamlError(line, "a tag", "remove the tag")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style is None or event.style == ""
            return _scalar(event.value, line) if plain else str(event.value)
        if depth >= MAX_DEPTH:
            raise YamlError(line, f"nesting deeper than {MAX_DEPTH}", "flatten the document")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: Path, depth: int) -> list[YamlValue]:
        items: list[YamlValue] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self._lines[here] = _line(event)
            items.append(self._node(event, here, depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, YamlValue]:
        members: dict[str, YamlValue] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError(line, "a key that is not text", "write a plain key")
            self._node(event, path, depth)  # refuses tags and anchors on the key
            key = str(event.value)
            if key in members:
                raise YamlError(line, "a key that stands twice", "keep one of the two")
            here = (*path, key)
            self._lines[here] = line
            members[key] = self._node(next(self._events), here, depth + 1)
        return members
