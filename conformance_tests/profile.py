"""The implementer's declaration: what is under test and what it offers.

A YAML file. Undeclared capabilities make their checks not applicable; declared
ones that cannot be tested fail. Paths are relative to the file. All people named
in it must be synthetic::

    role: adapter
    target: 127.0.0.1:7501
    ca: ca.pem                      # or `insecure: true` on loopback
    authority: urn:hutong:region:330100
    hub:
      urn: urn:hutong:hub:000000
      token_key: suite-token.jwk    # the adapter under test trusts its public half
    caller: {urn: "urn:hutong:checkpoint:440100:suite", region: "440100"}
    seal: [sealing-public.jwk]
    attest: [attest-public.jwk]
    people:
      green: {document: {type: 10, number: "…"}}
    capabilities: [stream, carried]

For the role ``hub`` the file names ``token_url``, ``http_ca``, the ``client``
(``urn`` and private ``key``), the ``anchor`` and an ``origin`` region with a
working adapter behind the hub. What writes to a hub needs the section ``disposable``
and, on the command line, the word as well::

    disposable:
      operators: [{urn: "urn:hutong:operator:first", key: first.json}, …]
      prefix: "65"                  # a province that nobody else uses at this hub
      listen: localhost:0           # where the hub reaches the suite's adapters
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from conformance_tests.model import Role
from conformance_tests.yamlfile import load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_PROFILE_BYTES = 256 * 1024
"""A profile is written by hand; more than this is another file."""


DISPOSABLE = "disposable"
"""Capability, and section, without which nothing is written to a hub under test."""


class ProfileError(Exception):
    """The profile cannot be used; the text names the entry and the fix."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A loaded profile: the entries of the file, with files already read.

    Attributes:
        role: what is under test.
        target: ``host:port`` of its gRPC door; of a verifier, the command of its harness.
        folder: what relative paths are relative to.
        entries: everything else, as written.
        capabilities: what it declares.
    """

    role: Role
    target: str
    folder: Path
    entries: Mapping[str, Any] = field(repr=False)
    capabilities: frozenset[str] = frozenset()

    def need(self, *path: str) -> Any:
        """Return an entry that this role cannot do without.

        Raises:
            ProfileError: it is missing.
        """
        value: Any = self.entries
        for step in path:
            if not isinstance(value, dict) or step not in value:
                raise ProfileError(f"the profile lacks `{'.'.join(path)}`; add it")
            value = value[step]
        return value

    def read(self, name: str) -> bytes:
        """Read a file that the profile names.

        Raises:
            ProfileError: it cannot be read.
        """
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise ProfileError(f"cannot read {name}: {error.strerror}") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file that the profile names.

        Raises:
            ProfileError: it cannot be read or is not a JSON object.
        """
        try:
            value = json.loads(self.read(name))
        except ValueError as error:
            raise ProfileError(f"{name} is not JSON") from error
        if not isinstance(value, dict):
            raise ProfileError(f"{name} is not a JSON object")
        return value


def load_profile(path: Path, *, role: Role | None = None, target: str | None = None) -> Profile:
    """Read a profile.

    Args:
        path: the YAML file.
        role: overrides the file's.
        target: overrides the file's.

    Raises:
        ProfileError: not readable, not YAML, too large, or an entry is missing.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProfileError(f"cannot read the profile: {error.strerror}") from error
    if len(data) > MAX_PROFILE_BYTES:
        raise ProfileError(f"the profile is larger than {MAX_PROFILE_BYTES} bytes")
    try:
        entries = load_yaml(data)
    except yaml.YAMLError as error:
        raise ProfileError(f"the profile is not YAML{_line_of(data)}") from error
    if not isinstance(entries, dict):
        raise ProfileError("the profile is not a mapping")
    named = role or entries.get("role")
    if named not in set(Role):
        raise ProfileError(f"`role` must be one of {', '.join(Role)}")
    if role is not None and entries.get("role", role) != role:
        raise ProfileError(f"the profile is for the role {entries['role']}")
    address = _address(Role(named), target, entries)
    declared = entries.get("capabilities", [])
    if not isinstance(declared, list):
        raise ProfileError("`capabilities` must be a list")
    return Profile(
        role=Role(named),
        target=address,
        folder=path.parent,
        entries=entries,
        capabilities=frozenset(map(str, declared)),
    )


def _address(role: Role, given: str | None, entries: Mapping[str, Any]) -> str:
    if role is Role.VERIFIER:
        command = given or entries.get("harness")
        if not isinstance(command, str) or not command.strip():
            raise ProfileError("`harness` must be a command; give --target or add it")
        return command
    address = given or entries.get("target")
    if not isinstance(address, str) or ":" not in address:
        raise ProfileError("`target` must be host:port; give --target or add it")
    return address


def _line_of(data: bytes) -> str:
    """Where a file stops being YAML; libyaml, which is quicker, counts a line too many."""
    try:
        yaml.safe_load(data)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return f", line {mark.line + 1}" if mark else ""
    return ""


def with_disposable(
    profile: Profile, *, operators: Sequence[Path] = (), prefix: str = ""
) -> Profile:
    """Let the checks that write to a hub run.

    Args:
        profile: of the role hub.
        operators: files that name an operator's ``urn`` and its private ``key``, as
            ``hutong hub init`` writes them; none: as the profile says.
        prefix: the two digits of the province to play; empty: as the profile says.

    Raises:
        ProfileError: a file cannot be read, or does not name both.
    """
    section = dict(profile.entries.get(DISPOSABLE, {}))
    if operators:
        section["operators"] = [_operator(path) for path in operators]
    if prefix:
        section["prefix"] = prefix
    return replace(
        profile,
        entries={**profile.entries, DISPOSABLE: section},
        capabilities=profile.capabilities | {DISPOSABLE},
    )


def without_disposable(profile: Profile) -> Profile:
    """Leave out whatever writes to a hub, also where the profile declares it."""
    kept = {name for name in profile.capabilities if name.partition(".")[0] != DISPOSABLE}
    return replace(profile, capabilities=frozenset(kept))


def with_also(profile: Profile, address: str) -> Profile:
    """Name a second address of the same hub."""
    return replace(
        profile,
        entries={**profile.entries, "also": address},
        capabilities=profile.capabilities | {"also"},
    )


def _operator(path: Path) -> dict[str, str]:
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ProfileError(f"{path} is not TOML") from error
    if not (isinstance(named.get("urn"), str) and isinstance(named.get("key"), str)):
        raise ProfileError(f"{path} names no `urn` and `key` of an operator")
    return {"urn": named["urn"], "key": str(path.parent.absolute() / named["key"])}
