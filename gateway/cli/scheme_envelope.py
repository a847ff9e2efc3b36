"""What a description in YAML says about a saved reply, path by path and line by line.

The values come from the connector's own reading; this module finds which line of
``scheme.yaml`` reads which member of the reply, what the platform's result codes
say, and which members nobody reads.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import MISSING, member_at, open_envelopes, parse_json
from adapters.sdk.http_spec_reader import read_http_spec
from gateway.cli.scheme_mask import shown, shown_key
from gateway.codes.document_reader import Cursor
from gateway.codes.yamldoc import YamlDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adapters.sdk.http_spec import HttpSpec
    from gateway.cli.scheme_files import City
    from gateway.codes.yamldoc import Problem

_PLACES: Final = (("connector", "http"), ("connector", "options", "http"))
"""Where a description may stand: alone, or as what a Python connector leaves to YAML."""

_PATH_MEMBERS: Final = ("path", "records", "same_person")
_MOST_UNREAD: Final = 24
"""Members that nobody reads are listed up to here; more is a reply of another kind."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was found before it came to records.

    Attributes:
        text: what.
        line: line of ``scheme.yaml`` that reads it; 0: none does.
    """

    text: str
    line: int


class Envelope:
    """A reply as far as its description opens it.

    Args:
        city: with a description in YAML.
        spec: the same, as values.
        body: the reply.
    """

    def __init__(self, city: City, spec: HttpSpec, body: bytes) -> None:
        self._city = city
        self._spec = spec
        self._codes: list[Any] = []
        self._opened: Any = None
        paths = [code.path for code in spec.codes]
        with suppress(UnreadableError):  # the connector's own reading says why
            document = parse_json(body)
            self._opened = open_envelopes(document, spec.json_strings, paths, self._note)

    def _note(self, level: int, document: Any) -> bool:
        """Keep a result code; say whether it is none of an answer."""
        check = self._spec.codes[level]
        value = member_at(document, check.path)
        self._codes.append(value)
        return _word(value) not in check.ok

    def steps(self) -> list[Step]:
        """What result codes and flags say, up to the first that is an outcome."""
        found: list[Step] = []
        for level, value in enumerate(self._codes):
            check, word = self._spec.codes[level], _word(value)
            at = self._code_place(level)
            lead = ".".join(check.path) + " "
            if word is None:
                found.append(Step(f"{lead}is no word", self._line(*at)))
            elif word in check.ok:
                found.append(Step(f"{lead}{word} is an answer", self._line(*at, "ok")))
            elif word in check.outcomes:
                text = f"{lead}{word} is {check.outcomes[word]}"
                found.append(Step(text, self._line(*at, "outcomes", word)))
            else:
                text = f"{lead}{shown(word, ())} stands neither under ok nor under outcomes"
                found.append(Step(text, self._line(*at)))
        for place, flag in enumerate(self._spec.flags):
            value = member_at(self._opened, flag.path)
            if type(value) is type(flag.value) and value == flag.value:
                text = f"{'.'.join(flag.path)} {flag.value!r} is {flag.outcome}"
                found.append(Step(text, self._line("flags", place)))
                break
        return found

    def unread(self) -> list[str]:
        """Members of the reply that no line reads, by name and never by value."""
        read = {path for path, _ in read_paths(self._city)}
        records = ".".join(self._spec.records)
        names: dict[str, None] = {}
        for parts in _leaves(self._opened):
            path = ".".join(part for part in parts if not part.isdecimal())
            inside = path.removeprefix(f"{records}.") if records else path
            if not any(
                one in (path, inside) or inside.startswith(f"{one}.") for one in read - {records}
            ):
                names[".".join(shown_key(part) for part in path.split("."))] = None
        found = list(names)
        more = len(found) - _MOST_UNREAD
        return [*found[:_MOST_UNREAD], f"and {more} more"] if more > 0 else found

    def _code_place(self, level: int) -> tuple[str | int, ...]:
        is_list = isinstance(description(self._city).get("code"), list)
        return ("code", level) if is_list else ("code",)

    def _line(self, *path: str | int) -> int:
        return answer_line(self._city, *path)


def wire_place(city: City) -> tuple[str, ...] | None:
    """Where the wire is described in YAML; None: Python alone knows it."""
    for place in _PLACES:
        value: Any = {"connector": city.scheme.connector}
        for part in place:
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, dict):
            return place
    return None


def wire_spec(city: City) -> HttpSpec | None:
    """The wire as YAML describes it; None: Python alone knows it."""
    place = wire_place(city)
    if place is None:
        return None
    problems: list[Problem] = []
    document = YamlDocument({"connector": dict(city.scheme.connector or {})})
    spec = read_http_spec(Cursor(document, place, problems))
    return None if problems else spec


def answer_line(city: City, *path: str | int) -> int:
    """Line of a part of what says how replies are read."""
    return city.line(*(wire_place(city) or ("connector",)), "answer", *path)


def description(city: City) -> Mapping[str, Any]:
    """How replies are read, as written; empty where Python reads them."""
    value: Any = {"connector": city.scheme.connector}
    for part in (*(wire_place(city) or ()), "answer"):
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def read_paths(city: City) -> Iterator[tuple[str, int]]:
    """Every path of a description with the line that reads it."""
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(description(city), ())]
    while pending:
        value, at = pending.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in _PATH_MEMBERS and isinstance(inner, str):
                    yield inner, answer_line(city, *at, name)
                pending.append((inner, (*at, name)))
        elif isinstance(value, list):
            pending.extend((inner, (*at, place)) for place, inner in enumerate(value))


def line_of_path(city: City, path: tuple[str, ...]) -> int:
    """The line that reads a path; that of the description where none says so."""
    text = ".".join(path)
    found = (line for one, line in read_paths(city) if one == text)
    return next(found, answer_line(city) if path else 0)


def source_of(member: Any) -> str:
    """Where a member of a report comes from, as its description says."""
    if not isinstance(member, dict):
        return ""
    if isinstance(member.get("join"), list):
        separator = str(member.get("separator", ""))
        return separator.join(source_of(part) for part in member["join"])
    if "path" in member or "records" in member:
        return str(member.get("path") or member.get("records"))
    return "set by the scheme" if "value" in member else ""


def _word(value: Any) -> str | None:
    """A result code as the connector reads it; None: neither text nor an integer."""
    if isinstance(value, bool) or value is MISSING or not isinstance(value, str | int):
        return None
    return str(value)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(place)))
    elif path:
        yield path
