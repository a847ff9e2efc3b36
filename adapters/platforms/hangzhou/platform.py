"""Hangzhou behind the provincial wire; see `adapters.platforms.hangzhou.provincial`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from adapters.platforms.hangzhou.provincial import ProvincialCredentials, ProvincialPlatform
from adapters.platforms.hangzhou.table import CITY

if TYPE_CHECKING:
    from adapters.platforms.tables import City


@dataclass(frozen=True, slots=True)
class HangzhouCredentials(ProvincialCredentials):
    """What one client of the gateway was given; synthetic unless you change it."""


class HangzhouPlatform(ProvincialPlatform[HangzhouCredentials]):
    """The reference platform of Hangzhou."""

    table: ClassVar[City] = CITY
    credentials_type = HangzhouCredentials
