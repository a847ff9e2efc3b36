"""Reads a scheme document and refuses one that is not whole.

The format, with every member, stands in :mod:`gateway.codes.schemes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.codes.divisions import division_prefix
from gateway.codes.document_reader import Cursor
from gateway.codes.scheme_model import Scheme, SchemeError, SchemeVersion, Source, StateRule
from gateway.codes.scheme_vectors import read_vectors, tested_states
from gateway.codes.scheme_version_reader import DIVISION, PREFIX, VersionReader, both
from gateway.codes.yamldoc import YamlDocument, YamlError, parse_yaml

if TYPE_CHECKING:
    from gateway.codes.scheme_model import Vector
    from gateway.codes.yamldoc import Path, Problem

MAX_SCHEME_BYTES: Final = 256 * 1024
"""The bound of a statement in the schema (EnrolRequest.schemes)."""

_FAMILY: Final = r"[a-z][a-z0-9-]{1,31}"


def load_scheme(
    data: bytes | Mapping[str, Any], *, vectors: bytes | Mapping[str, Any] | None = None
) -> Scheme:
    """Read a scheme.

    Args:
        data: ``scheme.yaml`` as bytes, or a document of the feed (JSON bytes or
            the parsed mapping), which holds its vectors itself.
        vectors: ``vectors.yaml``; only where ``data`` holds none.

    Raises:
        SchemeError: SCHEME_INVALID with every problem found.
    """
    problems: list[Problem] = []
    apart_problems: list[Problem] = []
    document = _parse(data, problems)
    apart = None if vectors is None else _parse(vectors, apart_problems)
    scheme = None
    if document is not None and (vectors is None or apart is not None):
        root = Cursor(document, (), problems)
        if root.is_mapping:
            scheme = _Reading(root, problems, apart_problems).scheme(document, apart)
    if problems or apart_problems or scheme is None:
        raise _refusal(problems, apart_problems)
    return scheme


def _parse(data: bytes | Mapping[str, Any], problems: list[Problem]) -> YamlDocument | None:
    if isinstance(data, Mapping):
        return YamlDocument(dict(data))
    try:
        return parse_yaml(data, max_bytes=MAX_SCHEME_BYTES)
    except YamlError as error:
        problems.append(error.problem)
        return None


def _refusal(problems: list[Problem], apart: list[Problem]) -> SchemeError:
    ordered = sorted(problems, key=lambda problem: problem.line)
    for problem in sorted(apart, key=lambda problem: problem.line):
        ordered.append(replace(problem, path=f"vectors.yaml {problem.path}".rstrip()))
    text = "\n".join(str(problem) for problem in ordered)
    return SchemeError(f"the scheme does not load:\n{text}", problems=ordered)


class _Reading:
    """One reading of one document; turns it into values and notes problems."""

    def __init__(self, root: Cursor, problems: list[Problem], apart: list[Problem]) -> None:
        self._root = root
        self._problems = problems
        self._apart_problems = apart
        self._sources: tuple[Source, ...] = ()
        self._zone = ZoneInfo("UTC")
        self._prefixes: tuple[str, ...] = ()
        self._places: dict[str, Path] = {}  # of each version in the document

    def scheme(self, document: YamlDocument, apart: YamlDocument | None) -> Scheme | None:
        """Return the scheme; None when something essential is missing."""
        root = self._root
        if root.raw("hutong") != "scheme/1":
            root.note("is not a scheme of this format", "begin with `hutong: scheme/1`", "hutong")
        family = root.text("family", pattern=_FAMILY, what="a short name such as hz-jkm")
        zh, en = both(root, "name")
        authority = root.text("authority", pattern=DIVISION, what="a six-digit division")
        self._prefixes = root.texts(
            "prefixes", low=1, high=16, pattern=PREFIX, what="a prefix of 2, 4 or 6 digits"
        )
        own = division_prefix(authority) if authority else ""
        for place, prefix in enumerate(self._prefixes):
            if not prefix.startswith(own):
                root.note(
                    f"`{prefix}` lies outside the authority's own division",
                    f"a region speaks only for itself: keep prefixes that begin with {own}, or let "
                    "the superior region sign",
                    "prefixes",
                    place,
                )
        self._read_zone()
        self._read_sources()
        reader = VersionReader(family or "x", self._zone, self._prefixes, self._sources)
        versions = sorted(reader.versions(root), key=lambda version: version.valid_from)
        self._places = reader.places
        self._refuse_overlaps(versions)
        vectors = self._vectors(root, apart, family or "")
        versions = [self._with_vectors(version, vectors) for version in versions]
        connector = root.raw("connector", required=False)
        if connector is not None and not isinstance(connector, dict):
            root.note("is not a mapping", "see adapters.sdk.connectors", "connector")
        root.done()
        if family is None or authority is None or self._problems or self._apart_problems:
            return None
        return Scheme(
            family=family,
            name_zh=zh,
            name_en=en,
            authority=authority,
            prefixes=self._prefixes,
            timezone=self._zone,
            versions=tuple(versions),
            sources=self._sources,
            vectors=vectors,
            connector=connector,
            _document=_public(document, apart),
        )

    def _read_zone(self) -> None:
        name = self._root.text("timezone", pattern=r"[A-Za-z_]+(?:/[A-Za-z_]+)*", what="a zone")
        if name is not None:
            try:
                self._zone = ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                self._root.note("is not a known zone", "write Asia/Shanghai", "timezone")

    def _read_sources(self) -> None:
        inner = self._root.member("sources")
        found: list[Source] = []
        for key, cursor in inner.members() if inner else ():
            grade = cursor.text("grade", pattern="[ABCKS]", what="a grade: A, B, C, K or S")
            text = cursor.text("text")
            cursor.done()
            found.append(Source(key, grade or "", text or ""))
        self._sources = tuple(found)

    def _refuse_overlaps(self, versions: list[SchemeVersion]) -> None:
        for earlier, later in pairwise(versions):
            if earlier.valid_until is None or later.valid_from < earlier.valid_until:
                begins = later.valid_from.astimezone(self._zone).isoformat()
                self._root.note(
                    f"{earlier.id} and {later.id} overlap",
                    f"end the earlier one where the later begins: `valid_until: {begins}`",
                    *self._places[earlier.id],
                )

    def _vectors(self, root: Cursor, apart: YamlDocument | None, family: str) -> tuple[Vector, ...]:
        if root.raw("vectors", required=False) is None:
            if apart is None:
                root.note("has no vectors", "hand in vectors.yaml beside the scheme")
                return ()
            cursor = Cursor(apart, (), self._apart_problems)
            return read_vectors(cursor, family) if cursor.is_mapping else ()
        if apart is not None:
            root.note("holds vectors, and a file of them came too", "keep one", "vectors")
        inner = root.member("vectors")
        return read_vectors(inner, family) if inner else ()

    def _with_vectors(self, version: SchemeVersion, vectors: tuple[Vector, ...]) -> SchemeVersion:
        tested = tested_states(version, vectors)
        for state in version.states:
            if state not in tested:
                self._root.note(
                    f"the state `{state}` of {version.id} is not tested",
                    "add a vector to vectors.yaml that asks about it alone and expects what it "
                    "maps to",
                    *(*self._places[version.id], "states", state),
                )
        states = {
            state: StateRule(**{**_members(rule), "vectors": tested.get(state, ())})
            for state, rule in version.states.items()
        }
        return SchemeVersion(**{**_members(version), "states": states})


def _members(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _public(document: YamlDocument, apart: YamlDocument | None) -> dict[str, Any]:
    value: Any = document.value
    public = {name: member for name, member in value.items() if name != "connector"}
    if apart is not None:
        public["vectors"] = apart.value
    return public
