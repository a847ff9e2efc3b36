"""Scaffolds a city: a folder that loads, runs and passes its own tests at once."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from stdnum.cn import ric

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.keys import generate_keys, save_keys
from gateway.attestation.sealing_keys import Profile
from gateway.codes.divisions import division_name, division_prefix, parse_division
from gateway.codes.documents import DocumentError, parse_document
from gateway.wire.certificates import self_signed
from gateway.wire.files import refused_as
from gateway.wire.private_files import write_private

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_CITY: Final = re.compile(r"[a-z][a-z0-9-]{1,26}", re.ASCII)
_FILES: Final = {
    "scheme.yaml": "scheme.yaml",
    "vectors.yaml": "vectors.yaml",
    "policy.yaml": "policy.yaml",
    "adapter.toml": "adapter.toml",
    "profile.yaml": "profile.yaml",
    "platform.py.txt": "city_platform.py",
    "test_city.py.txt": "tests/test_city.py",
    "README.md": "README.md",
}
_IGNORE: Final = "keys/\ntls/\nsecrets/\n__pycache__/\nissued.db*\n"
# Dates of birth no platform would hold: the people are marked as synthetic by them.
_BORN: Final = "19000101"


def scaffold_city(folder: Path, city: str, region: str, *, now: datetime) -> list[Path]:
    """Write a new city.

    Args:
        folder: does not exist yet, or is empty.
        city: short name, lower case.
        region: its division, six digits.
        now: the clock, for its certificate.

    Returns:
        Every file written.

    Raises:
        AdapterConfigError: the name is none, the folder is not empty, or it cannot
            be written.
        DivisionError: the division does not exist.
    """
    if not _CITY.fullmatch(city):
        raise AdapterConfigError("a city's name is 2 to 27 lower-case letters, digits and hyphens")
    code = parse_division(region)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AdapterConfigError(f"{folder} exists already and is not empty: name another --dir")
    green, yellow, red, nobody = _numbers(code)
    words = {
        "@CITY@": city,
        "@FAMILY@": f"{city}-jkm",
        "@REGION@": code,
        "@PREFIX@": division_prefix(code),
        "@NAME_ZH@": division_name(code),
        "@NAME_EN@": city.replace("-", " ").title(),
        "@GREEN@": green,
        "@YELLOW@": yellow,
        "@RED@": red,
        "@NOBODY@": nobody,
    }
    written: list[Path] = []
    try:
        for name, target in _FILES.items():
            text = (files("adapters.sdk") / "templates" / name).read_text("utf-8")
            for word, value in words.items():
                text = text.replace(word, value)
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            written.append(path)
        (folder / ".gitignore").write_text(_IGNORE, "utf-8")
    except OSError:
        raise AdapterConfigError(f"{folder} cannot be written") from None
    with refused_as(AdapterConfigError):
        write_private(folder / "secrets" / "token", b"synthetic-token\n")
    return [*written, folder / "secrets" / "token", *make_keys(folder, now=now)]


def make_keys(
    folder: Path,
    *,
    now: datetime,
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
    profiles: tuple[Profile, ...] = (Profile.HPKE,),
) -> list[Path]:
    """Make the keys of a city and a certificate for a trial; overwrites nothing.

    Args:
        folder: the city's.
        now: the clock.
        hosts: names and addresses in the certificate.
        profiles: one sealing key each, the preferred one first.

    Raises:
        AdapterConfigError: a file exists already or cannot be written, or a host
            cannot stand in a certificate.
    """
    try:
        issued = self_signed(hosts, now=now)
    except ValueError:
        raise AdapterConfigError("a host cannot stand in a certificate: use ASCII names") from None
    written = save_keys(folder / "keys", generate_keys(profiles))
    with refused_as(AdapterConfigError):
        for name, data in (
            ("adapter.pem", issued.certificate_pem),
            ("adapter-key.pem", issued.key_pem),
        ):
            write_private(folder / "tls" / name, data)
            written.append(folder / "tls" / name)
    return written


def _numbers(region: str) -> list[str]:
    """Four synthetic resident numbers of a division, or of a county in it."""
    for county in (region, *(f"{region[:4]}{place:02d}" for place in range(1, 100))):
        for born in (_BORN, "20000101"):
            found = [_number(county + born, serial) for serial in range(1, 5)]
            try:
                for number in found:
                    parse_document(10, number)
            except DocumentError:
                continue
            return found
    raise AdapterConfigError("the division has no resident numbers")


def _number(start: str, serial: int) -> str:
    digits = f"{start}{serial:03d}"
    return digits + ric.calc_check_digit(digits + "0")
