"""Zhejiang behind the provincial wire; see `adapters.platforms.hangzhou.provincial`.

A record that the table leaves without an issuer is of the city in which its person's
identity number was issued. The province converts no code of another region: its
cities issue, the province only answers for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from adapters.platforms.hangzhou.provincial import ProvincialCredentials, ProvincialPlatform
from adapters.platforms.records import Record, Result
from adapters.platforms.zhejiang.table import CITY, OLDER_BY

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.platforms.imports import Imported, ImportOrder
    from adapters.platforms.people import Person
    from adapters.platforms.tables import City

_HANGZHOU: Final = "330100"


@dataclass(frozen=True, slots=True)
class ZhejiangCredentials(ProvincialCredentials):
    """What one client of the gateway was given; synthetic unless you change it."""


class ZhejiangPlatform(ProvincialPlatform[ZhejiangCredentials]):
    """The reference platform of Zhejiang."""

    table: ClassVar[City] = CITY
    credentials_type = ZhejiangCredentials

    def finish(self, person: Person, record: Record, now: datetime) -> Record:  # noqa: ARG002 - as the base calls it
        """Name the city that issued a record, and the platform it issues with."""
        city = record.division
        if city == self.table.division:
            city = person.county[:4] + "00"
        source = record.source or ("杭州自建" if city == _HANGZHOU else "阿里自建alipay")
        record = replace(record, division=city, source=source)
        if not record.extra.get("older"):
            return record
        return replace(
            record,
            assessed_at=record.assessed_at - OLDER_BY,
            updated_at=record.updated_at - OLDER_BY,
        )

    def convert(self, order: ImportOrder) -> Imported | Result:  # noqa: ARG002 - nothing is taken, whatever it says
        """Refuse: only a city issues."""
        return Result.BAD_REQUEST
