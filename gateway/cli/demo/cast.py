"""What the acts play with: the federation, its open checkpoints, and the issuer's desks."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from adapters.platforms import scenario
from gateway.cli.demo.regions import NINGBO, Brings
from gateway.cli.demo.rotation import Rotation
from gateway.cli.demo.scene import seen_in
from gateway.cli.demo.waiting import until_found
from gateway.codes import DocumentType, parse_document
from gateway.edge import Checkpoint
from gateway.errors import InternalError
from gateway.issuer.calling import IssuerClient, load_profile
from gateway.issuer.setup import CLIENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from datetime import timedelta

    from gateway.cli.demo.federation import Federation
    from gateway.cli.demo.province import Province
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
        province: what is set up below it meanwhile.
        notes: what one act leaves for a later one, by name.
    """

    def __init__(self, federation: Federation, province: Province) -> None:
        self.federation = federation
        self.province = province
        self.notes: dict[str, str] = {}
        self._beside: asyncio.Task[None] | None = None
        self._rotation: asyncio.Task[Rotation]
        self._stack = contextlib.AsyncExitStack()
        self._checkpoints: dict[str, Checkpoint] = {}
        self._desks: dict[str, IssuerClient] = {}
        self._carried: dict[tuple[str, str], Fetched] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, federation: Federation, province: Province) -> AsyncIterator[Self]:
        """Open every checkpoint and every desk, and bring the checkpoints up to date."""
        cast = cls(federation, province)
        regions = federation.regions
        async with cast._stack as stack:
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
            cast._rotation = asyncio.create_task(cast._rehearse())
            stack.callback(cast._rotation.cancel)
            yield cast

    def at(self, region: Region) -> Checkpoint:
        """The checkpoint of a region."""
        return self._checkpoints[region.region]

    async def at_province(self) -> Checkpoint:
        """The checkpoint below the province's own hub, as soon as that is there."""
        federation = await self.province.ready()
        if NINGBO.region not in self._checkpoints:
            gate = await self._stack.enter_async_context(
                Checkpoint.open(federation.checkpoint_settings(NINGBO))
            )
            async with asyncio.timeout(_FEED_SECONDS):
                await gate.refresh()
            self._checkpoints[NINGBO.region] = gate
        return self.at(NINGBO)

    @property
    def gates(self) -> int:
        """How many checkpoints of the national hub are open."""
        return sum(region.gate is not None for region in self.federation.regions)

    async def rotation(self) -> Rotation:
        """Hangzhou's engineer, who shows the key to come to every checkpoint first."""
        return await self._rotation

    def play_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something while the next acts are played, until :meth:`end_beside`."""
        self._beside = asyncio.create_task(work)
        self._stack.push_async_callback(self.end_beside)

    async def end_beside(self) -> None:
        """End what is done beside the acts; what it failed with is raised."""
        if self._beside is not None:
            self._beside.cancel()
            beside, self._beside = self._beside, None
            with contextlib.suppress(asyncio.CancelledError):
                await beside

    async def _rehearse(self) -> Rotation:
        rotation = Rotation(self.federation)
        await rotation.rehearse()
        return rotation

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

    async def carry(
        self, person: str, origin: Region, destination: Region, *, anew: bool = False
    ) -> str:
        """The QR text of an attestation fetched for its holder, once for each destination.

        A region's first list may come to the checkpoint after its first attestation; a
        holder would fetch again, and so does this.

        Args:
            person: whose.
            origin: where the code is from.
            destination: where it will be shown.
            anew: fetch another one.

        Raises:
            InternalError: the origin gave none.
        """
        known = None if anew else self._carried.get((person, destination.region))
        if known is None:
            shown, gate = document(person), self.at(destination)
            known = await until_found(
                lambda: gate.fetch(shown, origin=origin.region),
                lambda fetched: seen_in(fetched.result) != "STATUS_UNKNOWN",
            )
            if not anew:
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
