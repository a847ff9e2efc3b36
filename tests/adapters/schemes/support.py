"""A city as its adapter sees it: connector and translation, without keys and gRPC."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

from adapters.platforms import CREDENTIALS, platform, serve_platform
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import (
    Deadline,
    OutcomeReport,
    QrText,
    Upstream,
    UpstreamSettings,
    open_connector,
    translate,
)
from adapters.sdk.city import read_city
from gateway.codes.documents import DocumentType, parse_document
from tests.adapters.platforms.support import ADMIN_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from adapters.platforms import RunningPlatform, ScenarioPerson
    from adapters.sdk import Presentation
    from gateway.codes import UnifiedCode
    from gateway.codes.schemes import Scheme
    from tests.adapters.platforms.support import Clock


@cache
def load_city(name: str) -> Scheme:
    """The scheme of a city, read once: nothing can change it."""
    return read_city(SCHEMES_FOLDER / name)


class City:
    """One city's connector in front of its platform."""

    def __init__(
        self,
        running: RunningPlatform,
        scheme: Scheme,
        secrets: Mapping[str, str],
        clock: Clock,
        *,
        timeout_seconds: float = 3.0,
    ) -> None:
        self.running = running
        self.platform = running.platform
        self.scheme = scheme
        self.clock = clock
        settings = UpstreamSettings(
            url=running.base_url, timeout_seconds=timeout_seconds, breaker_failures=1000
        )
        self.connector = open_connector(
            scheme, upstream=Upstream(settings), secrets=secrets, now=clock
        )

    async def ask(
        self, presentation: Presentation, seconds: float = 5.0
    ) -> UnifiedCode | OutcomeReport:
        fetched = await self.connector.fetch(presentation, Deadline.after(seconds))
        if isinstance(fetched, OutcomeReport):
            return fetched
        return translate(self.scheme, fetched.reports, self.clock())

    async def by_qr(self, person: ScenarioPerson) -> UnifiedCode | OutcomeReport:
        return await self.ask(QrText(person.qr_text or ""))

    async def by_document(self, person: ScenarioPerson) -> UnifiedCode | OutcomeReport:
        return await self.ask(card(person.document_number))

    async def close(self) -> None:
        await self.connector.close()


@asynccontextmanager
async def open_city(name: str, clock: Clock) -> AsyncIterator[City]:
    """The city of this name: its platform on loopback, its connector in front of it."""
    running = await serve_platform(platform(name, clock=clock), admin_token=ADMIN_TOKEN)
    city = City(running, load_city(name), CREDENTIALS[name], clock)
    async with running:
        try:
            yield city
        finally:
            await city.close()


def card(number: str) -> Presentation:
    return parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number)


def words(answer: UnifiedCode | OutcomeReport) -> tuple[str, ...]:
    """The level and the levels beside it, or the outcome."""
    if isinstance(answer, OutcomeReport):
        return (str(answer.outcome),)
    return (str(answer.level), *(str(code.level) for code in answer.also))
