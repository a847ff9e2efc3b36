"""Reference city platforms: real HTTP servers over people who do not exist.

Each speaks one city's wire with that city's authentication, quirks and faults, so
that an adapter can be built, tested and shown without any real platform. Nothing
here is a real system's code, address, key or person. How a city is made says
:mod:`adapters.platforms.base`; a city is imported when it is first asked for.

    >>> scenario("hangzhou/red").expected
    'RED'
    >>> platform("guangzhou").population.size
    20000
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from adapters.platforms.registry import CREDENTIALS as CREDENTIALS
from adapters.platforms.registry import city_names as city_names
from adapters.platforms.registry import platform as platform
from adapters.platforms.registry import platform_class as platform_class
from adapters.platforms.registry import usual_port as usual_port

# Imported before `scenarios` is defined: a module that is imported later would take
# the name of the function.
from adapters.platforms.scenarios import ScenarioPerson as ScenarioPerson  # noqa: TC001 - see above

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from adapters.platforms.base import CityPlatform as CityPlatform
    from adapters.platforms.faults import HARMLESS as HARMLESS
    from adapters.platforms.faults import FaultError as FaultError
    from adapters.platforms.faults import Faults as Faults
    from adapters.platforms.faults import Garbage as Garbage
    from adapters.platforms.faults import parse_faults as parse_faults
    from adapters.platforms.guangzhou import GuangzhouCredentials as GuangzhouCredentials
    from adapters.platforms.guangzhou import GuangzhouPlatform as GuangzhouPlatform
    from adapters.platforms.guangzhou import guangzhou_population as guangzhou_population
    from adapters.platforms.hangzhou import HangzhouCredentials as HangzhouCredentials
    from adapters.platforms.hangzhou import HangzhouPlatform as HangzhouPlatform
    from adapters.platforms.hangzhou import hangzhou_population as hangzhou_population
    from adapters.platforms.people import Person as Person
    from adapters.platforms.people import Population as Population
    from adapters.platforms.server import Platform as Platform
    from adapters.platforms.server import RunningPlatform as RunningPlatform
    from adapters.platforms.server import serve_platform as serve_platform

_HOMES: Final = {
    "CityPlatform": "base",
    "FaultError": "faults",
    "Faults": "faults",
    "Garbage": "faults",
    "HARMLESS": "faults",
    "parse_faults": "faults",
    "Person": "people",
    "Population": "people",
    "Platform": "server",
    "RunningPlatform": "server",
    "serve_platform": "server",
}

_OF_A_CITY: Final = ("Platform", "Credentials", "_population")
"""``HangzhouPlatform`` and so on are found in the package of that city."""


def scenario(name: str, now: datetime | None = None) -> ScenarioPerson:
    """The person with a fixed story.

    Args:
        name: ``CITY/STORY``, for example ``guangzhou/two-records``.
        now: when the story is told; decides the version in force and, where a city's
            QR texts end by themselves, the text. None: the present.

    Raises:
        KeyError: there is no such story, or none at that time; `scenarios` lists them.
    """
    city, _, story = name.partition("/")
    return _stories(city, now)[story]


def scenarios(now: datetime | None = None) -> Mapping[str, ScenarioPerson]:
    """Every person with a fixed story, by ``CITY/STORY``; imports every city."""
    return {person.name: person for city in city_names() for person in _stories(city, now).values()}


def _stories(city: str, now: datetime | None) -> Mapping[str, ScenarioPerson]:
    return platform(city, **({} if now is None else {"clock": lambda: now})).scenarios()


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None:
        return getattr(import_module(f"adapters.platforms.{home}"), name)
    for ending in _OF_A_CITY:
        city = name.removesuffix(ending).lower()
        if name.endswith(ending) and city in city_names():
            return getattr(import_module(f"adapters.platforms.{city}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
