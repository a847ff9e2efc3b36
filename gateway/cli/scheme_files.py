"""Finds schemes by name or by folder, and knows on which line each part of one stands.

A word on the command line is a folder (``.``, ``./shaoxing``, any folder that holds
a scheme) or one of the schemes that ship with this project, by the name of its
folder (``hangzhou``), its family (``hz-jkm``), its authority (``330100``) or its
Chinese name. A folder here is preferred to a shipped scheme of the same name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk.city import SCHEME_FILE, VECTORS_FILE, read_files
from gateway.cli.terminal import Exit, fail, fail_with, stderr
from gateway.codes.scheme_loader import MAX_SCHEME_BYTES, load_scheme
from gateway.codes.scheme_model import SchemeError
from gateway.codes.yamldoc import YamlDocument, parse_yaml
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.codes.scheme_model import Scheme, SchemeVersion
    from gateway.codes.yamldoc import Problem

_HEAD_BYTES: Final = 4096
"""Family, name and authority stand at the head of a scheme."""

_ALIASES: Final = (
    re.compile(r"^family:\s*([a-z0-9-]+)", re.MULTILINE),
    re.compile(r"^authority:\s*[\"']?([0-9]{6})", re.MULTILINE),
    re.compile(r"^name:\s*(?:\{\s*|\n\s+)zh:\s*([^,}\s]+)", re.MULTILINE),
)
_CLOSE: Final = 0.6
"""How near a misspelt name must lie: difflib's own measure."""


@dataclass(frozen=True, slots=True)
class City:
    """A folder whose scheme loads.

    Attributes:
        folder: where it stands.
        scheme: the scheme.
        document: ``scheme.yaml`` with its lines.
        vectors: ``vectors.yaml`` with its lines.
        text: ``scheme.yaml`` as it stands.
    """

    folder: Path
    scheme: Scheme
    document: YamlDocument
    vectors: YamlDocument
    text: str

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    def line(self, *path: str | int) -> int:
        """Line of a part of ``scheme.yaml``, or of the nearest part around it."""
        return self.document.line(path)

    def version_line(self, version: SchemeVersion, *path: str | int) -> int:
        """Line of a part of a version."""
        return self.line(*self._place(version), *path)

    def version_value(self, version: SchemeVersion) -> dict[str, Any]:
        """A version as it is written."""
        value: Any = self.document.value
        for part in self._place(version):
            value = value[part]
        return value if isinstance(value, dict) else {}

    def _place(self, version: SchemeVersion) -> tuple[str | int, ...]:
        """Where a version stands in the document; versions need not stand in order."""
        value: Any = self.document.value
        for place, one in enumerate(value["versions"]):
            if f"{self.scheme.family}@{one['id']}" == version.id:
                return ("versions", place)
        return ()

    def vector_line(self, name: str) -> int:
        """Line on which a vector begins; 0: no such vector."""
        value = self.vectors.value
        vectors = value.get("vectors") if isinstance(value, dict) else None
        for place, vector in enumerate(vectors if isinstance(vectors, list) else ()):
            if isinstance(vector, dict) and vector.get("name") == name:
                return self.vectors.line(("vectors", place))
        return 0


def shipped_folders() -> list[Path]:
    """Folders of every scheme that ships with this project, by name; short where they can be."""
    here = Path.cwd()
    folders = sorted(path.parent for path in SCHEMES_FOLDER.glob(f"*/{SCHEME_FILE}"))
    return [
        folder.relative_to(here) if folder.is_relative_to(here) else folder for folder in folders
    ]


def read_scheme_folder(folder: Path) -> City:
    """Read a folder.

    Raises:
        SchemeError: the scheme does not load.
        AdapterConfigError: a file cannot be read.
    """
    data, vectors = read_files(folder)
    scheme = load_scheme(data, vectors=vectors)
    return City(
        folder=folder,
        scheme=scheme,
        document=parse_yaml(data, max_bytes=MAX_SCHEME_BYTES),
        vectors=parse_yaml(vectors, max_bytes=MAX_SCHEME_BYTES),
        text=data.decode("utf-8-sig"),
    )


def find_folder(word: str) -> Path:
    """Return the folder that a word on the command line stands for; leave where none.

    Raises:
        typer.Exit: no scheme of that name; the nearest names are shown.
    """
    path = Path(word)
    shipped = shipped_folders()
    named = next((folder for folder in shipped if word in _names(folder)), None)
    is_here = (path / SCHEME_FILE).is_file()
    if named is None and not is_here and not path.is_dir() and path.name == word:
        fail(
            f"no scheme is named {word!r}, and no folder here holds one",
            fix=_suggestion(word, shipped),
            code=Exit.USAGE,
        )
    if named is None or is_here:
        if named is not None and path.resolve() != named.resolve():
            stderr.print(f"note: this is {path.resolve()}, not the shipped {word}", style="dim")
        return path  # where nothing is, whoever reads it says so
    return named


def load_city(word: str, *, group: str = "scheme") -> City:
    """Read what a word stands for, or leave with the first problem on one line.

    Args:
        word: folder, name, family, authority or Chinese name.
        group: of the command that is running, for the way out it shows.
    """
    return load_folder(find_folder(word), group=group)


def load_folder(folder: Path, *, group: str = "scheme") -> City:
    """Read a folder, or leave with its first problem on one line."""
    try:
        return read_scheme_folder(folder)
    except SchemeError as error:
        fail_scheme(error, folder, group=group)
    except HutongError as error:
        fail_with(error)


def fail_scheme(error: SchemeError, folder: Path, *, group: str = "scheme") -> NoReturn:
    """Name the first problem on one line; ``lint`` lists them all."""
    if not error.problems:  # it loads, and a vector comes out otherwise
        fail_with(error, fix=f"hutong {group} test {folder}")
    where, what = described(error.problems[0])
    others = len(error.problems) - 1
    more = f", and {counted(others, 'more problem')}" if others else ""
    fail(
        f"{where} {what}{more} [{error.code}]",
        fix=f"{error.problems[0].fix}; all problems: hutong {group} lint {folder}",
    )


def described(problem: Problem) -> tuple[str, str]:
    """Where a problem is, as ``file:line``, and what it is."""
    file, path = SCHEME_FILE, problem.path
    if path.startswith(VECTORS_FILE):
        file, path = VECTORS_FILE, path.removeprefix(VECTORS_FILE).strip()
    return f"{file}:{problem.line}", f"{path}: {problem.message}" if path else problem.message


def counted(number: int, what: str) -> str:
    """``1 state``, ``2 states``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _names(folder: Path) -> list[str]:
    """Every name that a shipped scheme answers to."""
    try:
        with (folder / SCHEME_FILE).open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "ignore")
    except OSError:
        head = ""
    found = [pattern.search(head) for pattern in _ALIASES]
    return [folder.name, *(match[1] for match in found if match)]


def _suggestion(word: str, shipped: Sequence[Path]) -> str:
    names = {name: folder.name for folder in shipped for name in _names(folder)}
    near = get_close_matches(word, names, n=2, cutoff=_CLOSE)
    near += [name for name in names if len(word) > 1 and word in name and name not in near]
    if near:
        meant = dict.fromkeys(
            name if names[name] == name else f"{names[name]} ({name})" for name in near[:3]
        )
        return f"did you mean {' or '.join(meant)}? All of them: hutong scheme list"
    return "hutong scheme list shows every name; a folder is written ./NAME"
