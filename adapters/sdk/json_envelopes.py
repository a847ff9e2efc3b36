"""JSON that nests: documents inside texts inside documents, and paths into them; pure.

A path is names and list positions. What is not of the form is an
:class:`~adapters.sdk.errors.UnreadableError` that names the path and no value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MISSING: Final = object()
"""What stands at a path that leads nowhere; None is a value."""


def open_envelopes(
    answer: Any,
    json_strings: Sequence[tuple[str, ...]],
    codes: Sequence[tuple[str, ...]],
    check: Callable[[int, Any], bool],
) -> Any:
    """Unfold JSON inside JSON from the outermost on, checking each return code on the way.

    A code is checked before anything below it is unfolded, because what stands there
    in an answer that is none need not be JSON.

    Args:
        answer: the outer document.
        json_strings: paths of members that hold JSON as text, outermost first.
        codes: paths of the return codes, outermost first.
        check: takes the place of a code and the document as far as it is unfolded;
            says whether to stop there.

    Returns:
        The document, as far as it was unfolded.

    Raises:
        UnreadableError: a member to unfold holds no JSON; or what ``check`` raises.
    """
    left = list(json_strings)
    for level, path in enumerate(codes):
        for text in [text for text in left if path[: len(text)] == text]:
            answer = _unfold(answer, text)
            left.remove(text)
        if check(level, answer):
            return answer
    for text in left:
        answer = _unfold(answer, text)
    return answer


def parse_json(body: bytes | str, path: tuple[str, ...] = ()) -> Any:
    """Parse a document in which no member stands twice.

    Raises:
        UnreadableError: it is none.
    """
    try:
        if isinstance(body, bytes):
            body = body.decode(json.detect_encoding(body), "surrogatepass")
        return _DECODER.decode(body)
    except (ValueError, RecursionError):
        raise UnreadableError("no JSON", path) from None


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(members)
    if len(document) != len(members):
        raise ValueError("a member stands twice")
    return document


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once)
"""Made once: ``json.loads`` makes one a document, which costs more than to read a small one."""


def _unfold(answer: Any, path: tuple[str, ...], done: tuple[str, ...] = ()) -> Any:
    """Return the answer with the JSON text at ``path`` replaced by what it says."""
    if not path:
        if not isinstance(answer, str):
            raise UnreadableError("no text that holds JSON", done)
        return parse_json(answer, done)
    if not isinstance(answer, dict) or path[0] not in answer:
        return answer
    inner = answer[path[0]]
    if inner is None or (inner == "" and len(path) == 1):
        return answer
    return {**answer, path[0]: _unfold(inner, path[1:], (*done, path[0]))}


def member_at(value: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a path of names and list positions; MISSING: nothing does."""
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def text_of(value: Any, path: tuple[str, ...]) -> str:
    """Return text as it stands and integers as digits; nothing else is a word.

    Raises:
        UnreadableError: it is missing, or something else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnreadableError("missing" if value is MISSING else "no text", path)
