"""What hubs ask each other on their own behalf, with the suite as the hub below."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hutong.v1 import feed_service_pb2

from conformance_tests import crypto
from conformance_tests.model import Observed
from conformance_tests.roles import calls
from conformance_tests.roles.hub_below import GRANT, GRANT_SECONDS
from conformance_tests.roles.hub_desk import QUERY
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from conformance_tests.roles.hub_below import Below
    from conformance_tests.roles.hub_desk import Desk
    from conformance_tests.roles.hub_members import SuiteMember


@dataclass(frozen=True, slots=True)
class CountPlan(Plan):
    """The hub below asks how many readers there are.

    Attributes:
        speaks: for ``itself``, or with the grant of a ``caller``.
        via: ``own``, or through the hub under test already (``loop``).
        signed_by: its ``token`` key, or a ``stranger``.
        suspended: an operator stopped it meanwhile.
    """

    speaks: str = "itself"
    via: str = "own"
    signed_by: str = "token"
    suspended: bool = False


class Between:
    """Plays the acts between hubs.

    Args:
        desk: at the hub under test.
        below: plays the hub below.
    """

    def __init__(self, desk: Desk, below: Below) -> None:
        self._desk = desk
        self._below = below
        self.acts = {"count-readers": (CountPlan(), self._count)}

    async def _count(self, plan: CountPlan) -> Observed:
        here, _ = self._desk.cities()
        hub = await self._below.join(here)
        if plan.suspended:
            await self._desk.suspend(hub.urn)
        response = await self._desk.feed.CountReaders(
            feed_service_pb2.CountReadersRequest(),
            metadata=(("hutong-grant", self._grant(hub, plan)),),
            timeout=calls.CALL_SECONDS,
        )
        if not response.hubs or response.hubs[0].hub != self._desk.hub:
            return Observed(kind="answer", notes=("the hub does not count its own first",))
        return Observed(kind="answer")

    def _grant(self, hub: SuiteMember, plan: CountPlan) -> str:
        now = int(time.time())
        itself, loop = plan.speaks == "itself", plan.via == "loop"
        asker = f"urn:hutong:hub:{hub.division[:4]}02" if loop else hub.urn
        claims = {
            "iss": hub.urn,
            "aud": self._desk.hub,
            "sub": asker if itself else f"urn:hutong:checkpoint:{hub.division}:suite-gate",
            "region": asker[-6:],
            "scope": QUERY,
            "purposes": [] if itself else ["WORKPLACE"],
            "via": [asker, self._desk.hub, hub.urn] if loop else [hub.urn],
            "iat": now,
            "exp": now + GRANT_SECONDS,
            "jti": crypto.random_text(),
        }
        stranger = plan.signed_by == "stranger"
        key = crypto.new_signing_key() if stranger else hub.pair("token")
        return crypto.sign(claims, key, GRANT, kid=hub.key("token").kid if stranger else None)
