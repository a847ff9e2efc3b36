"""What the acts play with: the federation, its open checkpoints, and the issuer's desks."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from adapters.platforms import scenario
from gateway.cli.demo.regions import Brings
from gateway.codes import DocumentType, parse_document
from gateway.edge import Checkpoint
from gateway.errors import InternalError
from gateway.issuer.calling import IssuerClient, load_profile
from gateway.issuer.setup import CLIENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from gateway.cli.demo.federation import Federation
    from gateway.cli.demo.regions import Region
    from gateway.codes import Document
    from gateway.edge import Fetched

_FEED_SECONDS: Final = 30.0
"""A checkpoint that has not read the feed by then never will."""

_DESKS: Final = ("window", "feeder", "reviewer")
"""Clients of the national issuer that the acts speak as."""


class Cast:
    """The federation as the acts see it; see :meth:`open`.

    Attributes:
        federation: what runs.
        notes: what one act leaves for a later one, by name.
    """

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.notes: dict[str, str] = {}
        self._checkpoints: dict[str, Checkpoint] = {}
        self._desks: dict[str, IssuerClient] = {}
        self._carried: dict[tuple[str, str], Fetched] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, federation: Federation) -> AsyncIterator[Self]:
        """Open every checkpoint and every desk, and bring the checkpoints up to date."""
        cast = cls(federation)
        regions = federation.regions
        async with contextlib.AsyncExitStack() as stack:
            for region in regions:
                if region.gate is not None:
                    settings = federation.checkpoint_settings(region)
                    cast._checkpoints[region.region] = await stack.enter_async_context(
                        Checkpoint.open(settings)
                    )
            if any(region.brings is Brings.ISSUER for region in regions):
                for name in _DESKS:
                    path = federation.issuer_folder / CLIENTS / f"{name}.toml"
                    cast._desks[name] = await stack.enter_async_context(
                        IssuerClient(load_profile(path), lambda: datetime.now(UTC))
                    )
            refreshes = [checkpoint.refresh() for checkpoint in cast._checkpoints.values()]
            async with asyncio.timeout(_FEED_SECONDS):
                await asyncio.gather(*refreshes)
            yield cast

    def at(self, region: Region) -> Checkpoint:
        """The checkpoint of a region."""
        return self._checkpoints[region.region]

    def desk(self, name: str) -> IssuerClient:
        """A client of the national issuer."""
        return self._desks[name]

    @contextlib.asynccontextmanager
    async def offline(
        self, region: Region, *, later: timedelta | None = None
    ) -> AsyncIterator[Checkpoint]:
        """The checkpoint of a region with no network, now or later."""
        settings = self.at(region).settings
        if later is None:
            opened = Checkpoint.open(settings, online=False)
        else:
            opened = Checkpoint.open(
                settings, online=False, clock=lambda: datetime.now(UTC) + later
            )
        async with opened as alone:
            yield alone

    async def carry(self, person: str, origin: Region, destination: Region) -> str:
        """The QR text of an attestation fetched for its holder, once for each destination.

        Raises:
            InternalError: the origin gave none.
        """
        known = self._carried.get((person, destination.region))
        if known is None:
            shown = document(person)
            known = await self.at(destination).fetch(shown, origin=origin.region)
            self._carried[person, destination.region] = known
        if known.armour is None:
            raise InternalError("the origin gave no attestation to carry", code="DEMO_ACT")
        return known.armour


def document(person: str) -> Document:
    """The identity document of somebody whose story is fixed, ``hangzhou/green``."""
    return card(scenario(person).document_number)


def card(number: str) -> Document:
    """A resident identity card."""
    return parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number)
