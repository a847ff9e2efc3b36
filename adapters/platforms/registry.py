"""Finds reference cities by name; imports one only when it is asked for.

A city is a folder beside this module whose package says ``PLATFORM``, its
`CityPlatform`. Nothing lists them: who adds a folder has registered the city. The
usual ports stand here, so that command lines and documents agree on them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from adapters.platforms.base import AnyCity

_HERE: Final = Path(__file__).parent

_PORTS: Final = {
    "hangzhou": 8330,
    "zhejiang": 8332,
    "ningbo": 8334,
    "shaoxing": 8336,
    "alipay": 8338,
    "yiwu": 8350,
    "guangzhou": 8440,
    "guangdong": 8442,
    "beijing": 8110,
    "tianjin": 8120,
    "hebei": 8130,
    "chongqing": 8500,
    "xian": 8610,
    "hubei": 8420,
    "anhui": 8340,
    "xiamen": 8352,
    "fujian": 8354,
    "jiangsu": 8320,
    "wuxi": 8322,
    "shanghai": 8310,
    "jiangxi": 8360,
    "tencent": 8510,
    "travelcard": 8102,
    "national": 8104,
}
"""City doors; the admin door is the next port. Most begin with the province's code."""

_OTHER_PORTS: Final = range(8700, 8900, 2)


@cache
def city_names() -> tuple[str, ...]:
    """Short names of all reference cities, in alphabetical order."""
    packages = _HERE.glob("*/__init__.py")
    # A folder that only begins to be a city is none yet.
    cities = [path for path in packages if "PLATFORM = " in path.read_text(encoding="utf-8")]
    return tuple(sorted(path.parent.name for path in cities))


def platform_class(name: str) -> type[AnyCity]:
    """The class of a city's platform.

    Raises:
        KeyError: there is no such city; `city_names` lists them.
    """
    if name not in city_names():
        raise KeyError(name)
    found: type[AnyCity] = import_module(f"adapters.platforms.{name}").PLATFORM
    return found


def platform(name: str, **arguments: Any) -> AnyCity:
    """A city's platform.

    Args:
        name: short name.
        arguments: as `CityPlatform` takes them: clock, size, seed, credentials.

    Raises:
        KeyError: there is no such city.
        ValueError: the size does not fit into the identity numbers.
    """
    return platform_class(name)(**arguments)


def usual_port(name: str) -> int:
    """The city door of `hutong platform run NAME`; the admin door is the next."""
    known = _PORTS.get(name)
    if known is not None:
        return known
    digest = blake2b(name.encode(), digest_size=2).digest()
    return _OTHER_PORTS[int.from_bytes(digest, "big") % len(_OTHER_PORTS)]


class _Credentials(Mapping[str, Mapping[str, str]]):
    """Reads the defaults of a city's credentials when they are asked for."""

    def __getitem__(self, name: str) -> Mapping[str, str]:
        return dataclasses.asdict(platform_class(name).credentials_type())

    def __iter__(self) -> Iterator[str]:
        return iter(city_names())

    def __len__(self) -> int:
        return len(city_names())


CREDENTIALS: Final[Mapping[str, Mapping[str, str]]] = _Credentials()
"""What each city's adapter shows, as its secrets: name of the city, then of the secret."""
