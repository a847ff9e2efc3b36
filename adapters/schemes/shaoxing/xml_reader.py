"""Reads small XML documents from a peer that is not trusted, as JSON values; pure.

The standard library's expat reads, its handlers refuse. No document type is taken,
so that no entity can be declared, expanded or fetched: neither a bomb of entities
nor a reference to a file gets past the first ``<!DOCTYPE``. Text is UTF-8 whatever
the document says of itself. Depth and number of elements are bounded; the size of
the whole is bounded by whoever fetched it.

Names come without their namespace, because deployed SOAP services do not agree on
theirs; attributes are not kept. An element becomes its text, without space around
it; or, where it holds elements, a mapping of their names, with a list where one name
stands there more than once.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from adapters.sdk.errors import UnreadableError

MAX_DEPTH: Final = 16
"""Far deeper than an envelope in an envelope."""

MAX_ELEMENTS: Final = 1_000
"""Sixteen records of sixty members each."""

_SEPARATOR: Final = " "  # between namespace and name; stands in neither


def parse_xml(data: bytes | str) -> Any:
    """Read a document.

    Returns:
        The value of its root element.

    Raises:
        UnreadableError: it is no XML, declares a document type, is too deep, has too
            many elements, or mixes text and elements.
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    reading = _Reading()
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.characters
    parser.StartDoctypeDeclHandler = reading.doctype
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat takes its arguments by position
    except expat.ExpatError:
        raise UnreadableError("no XML") from None
    return reading.root


class _Reading:
    """Builds the value and stops at what is not taken.

    One entry a list for every element whose end has not come yet: its text, and its
    members, which are None until the first of them has ended.
    """

    __slots__ = ("_elements", "_members", "_texts", "root")

    def __init__(self) -> None:
        self.root: Any = None
        self._texts: list[str] = []
        self._members: list[dict[str, Any] | None] = []
        self._elements = 0

    def start(self, _: str, __: dict[str, str]) -> None:
        self._elements += 1
        if len(self._texts) >= MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise UnreadableError("too deep, or too many elements")
        self._texts.append("")
        self._members.append(None)

    def end(self, name: str) -> None:
        text, members = self._texts.pop().strip(), self._members.pop()
        if members is not None and text:
            raise UnreadableError("text beside elements")
        value = text if members is None else members
        if not self._members:
            self.root = value
            return
        name = name.rpartition(_SEPARATOR)[2]
        beside = self._members[-1]
        if beside is None:
            self._members[-1] = {name: value}
        elif name not in beside:
            beside[name] = value
        elif isinstance(several := beside[name], list):
            # Of several: no value of an element is a list.
            several.append(value)
        else:
            beside[name] = [several, value]

    def characters(self, text: str) -> None:
        self._texts[-1] += text

    def doctype(self, *_: object) -> None:
        raise UnreadableError("declares a document type")
