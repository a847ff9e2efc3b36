"""What tests of and against the reference cities share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

ADMIN_TOKEN = "synthetic-test-token"


@dataclass
class Clock:
    """A clock that moves only when it is told to."""

    now: datetime = field(default=datetime(2020, 6, 1, 4, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


def signed(
    clock: Clock, secret: str, app_key: str = "synthetic-app", **fields: str
) -> dict[str, str]:
    """Query parameters of Zhejiang's gateway, signed by this test's own few lines."""
    moment = str(int(clock.now.timestamp() * 1000))
    sign = hashlib.md5(f"{app_key}{secret}{moment}".encode()).hexdigest()  # noqa: S324 - the wire that integrators describe
    return {"appKey": app_key, "requestTime": moment, "sign": sign, **fields}


async def get_json(http: aiohttp.ClientSession, url: str, params: dict[str, str]) -> Any:
    async with http.get(url, params=params) as answer:
        assert answer.status == 200
        return await answer.json()
