"""What a disposable hub tells its operators before a distrust, and asks an adapter for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import distrust_pb2
from hutong.v1 import registry_service_pb2 as pb

from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.roles.hub_desk import APPROVE
from conformance_tests.roles.hub_members import HOUR_SECONDS

if TYPE_CHECKING:
    from conformance_tests.roles.hub_below import Below
    from conformance_tests.roles.hub_desk import Desk
    from conformance_tests.roles.hub_members import SuiteMember
    from conformance_tests.roles.hub_played import PlayedAdapter

_FEWEST = 10
"""No smaller count is told (HT-FED-19)."""
_FEW, _MANY = 3, 25


class Previews:
    """Plays the scenarios of a preview.

    Args:
        desk: at the hub.
        adapter: that counts.
        below: plays a hub below, which counts no readers.
    """

    def __init__(self, desk: Desk, adapter: PlayedAdapter, below: Below) -> None:
        self._desk = desk
        self._below = below
        self._adapter = adapter
        self.scenarios = {
            "counted": self._counted,
            "uncounted": self._uncounted,
            "readers_unknown": self._readers_unknown,
        }

    async def _preview(self, member: SuiteMember) -> Any:
        began = Timestamp(seconds=int(time.time()) - HOUR_SECONDS)
        rule = distrust_pb2.DistrustRule(issuer=member.urn, signed_from=began, kind="attestation")
        operator = self._desk.operators()[0]
        method = self._desk.registry.PreviewDistrust
        request = pb.PreviewDistrustRequest(rule=rule)
        return await self._desk.call(method, request, operator, APPROVE)

    async def _counted(self) -> Observed:
        """The issuer's adapter is asked; a count that tells of people is not passed on."""
        adapter = self._adapter
        here, _ = self._desk.cities()
        adapter.authority, adapter.watches = f"urn:hutong:region:{here}", False
        member = await self._desk.region(here, endpoint=adapter.endpoint, ca_pem=adapter.ca_pem)
        for live, told in ((_MANY, _MANY), (_FEW, _FEWEST)):
            adapter.live = live
            said = await self._preview(member)
            if not said.counted:
                raise CheckFailedError("the issuer's adapter was not asked (HT-FED-19)")
            if said.attestations != told:
                raise CheckFailedError(f"{said.attestations} told of {live} (HT-FED-19)")
        return Observed(kind="answer")

    async def _uncounted(self) -> Observed:
        """Who could not be asked is named, and nothing is told for a count."""
        here, _ = self._desk.cities()
        member = await self._desk.region(here)
        said = await self._preview(member)
        if said.counted or said.uncounted != member.urn:
            raise CheckFailedError("who could not be asked is not named (HT-FED-19)")
        return Observed(kind="answer")

    async def _readers_unknown(self) -> Observed:
        """A hub below that does not say how many readers it has is named."""
        here, there = self._desk.cities()
        hub = await self._below.join(here)
        member = await self._desk.region(there)
        said = await self._preview(member)
        if list(said.unknown) != [hub.urn]:
            raise CheckFailedError("a hub that could not be asked is not named (HT-FED-22)")
        return Observed(kind="answer")
