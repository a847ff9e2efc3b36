"""Sightings at a disposable hub: what two checkpoints may learn of each other, and no more."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import sighting_service_pb2 as pb

from conformance_tests.model import CheckFailedError, Observed, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.hub_desk import QUERY
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from conformance_tests.roles.hub_desk import Desk
    from conformance_tests.roles.hub_members import SuiteMember

SOUND = Observed(kind="answer")
_TAG_BYTES = 16
_SPAN_SECONDS = 600
_SHORT_SPAN_SECONDS = 3
"""Time for two reports, and no more to wait for."""
_BATCH = 1024
"""As sighting_service.proto says."""
_MOST_REPORTS = 65_536
"""More than any checkpoint has to report in a minute: a hub that still takes them has no bound."""
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class SpoiltPlan(Plan):
    """A showing that two checkpoints report; the first report has one thing wrong.

    Attributes:
        bytes: of its tag.
        ahead: seconds that it lies ahead.
        span: seconds until its span ends.
        kept: whether the second checkpoint must be told of the first.
    """

    bytes: int = _TAG_BYTES
    ahead: int = 0
    span: int = _SPAN_SECONDS
    kept: bool = True


class Sightings:
    """Plays the act and scenarios of sightings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.acts = {"showing": (SpoiltPlan(), self._showing)}
        self.scenarios = {
            "seen_elsewhere": self._elsewhere,
            "nearest": self._nearest,
            "forgotten": self._forgotten,
            "reports_bounded": self._bounded,
        }

    async def _report(
        self, who: SuiteMember, *showings: tuple[bytes, float, float]
    ) -> list[pb.SightingAnswer]:
        """Report tags, each with when it was shown and when its span ends."""
        sightings = [
            pb.Sighting(tag=tag, seen_at=_stamp(seen), span_ends=_stamp(ends))
            for tag, seen, ends in showings
        ]
        request = pb.ReportRequest(sightings=sightings)
        response = await self._desk.call(self._desk.sightings.Report, request, who, QUERY)
        if len(response.answers) != len(showings):
            raise CheckFailedError("not one answer a sighting")
        return list(response.answers)

    async def _showing(self, plan: SpoiltPlan) -> Observed:
        first, second = [await self._desk.checkpoint() for _ in range(2)]
        now = int(time.time())
        tag, beside = os.urandom(plan.bytes), os.urandom(_TAG_BYTES)
        ends = now + _SPAN_SECONDS
        spoilt = (tag, now + plan.ahead, now + plan.span)
        answers = await self._report(first, spoilt, (beside, now, ends))
        if any(answer.elsewhere for answer in answers):
            return Observed(kind="answer", notes=("elsewhere, and nobody else saw it",))
        again = tag if plan.bytes == _TAG_BYTES else tag[:_TAG_BYTES].ljust(_TAG_BYTES, b"\0")
        found = await self._report(second, (again, now, ends), (beside, now, ends))
        notes = []
        if found[0].elsewhere != plan.kept:
            notes.append("what was wrong was kept" if found[0].elsewhere else "not kept (HT-SGT-3)")
        if not found[1].elsewhere:
            notes.append("the sound one beside it was lost")
        return Observed(kind="answer", notes=tuple(notes))

    async def _elsewhere(self) -> Observed:
        """Only another caller's sighting counts, whichever came first."""
        first, second = [await self._desk.checkpoint() for _ in range(2)]
        now = int(time.time())
        ends, tag = now + _SPAN_SECONDS, os.urandom(_TAG_BYTES)
        await self._report(first, (tag, now - 30, ends))
        if (await self._report(first, (tag, now - 30, ends)))[0].elsewhere:
            raise CheckFailedError("elsewhere for a caller's own tag (HT-SGT-3)")
        for seen, apart in ((now - 10, 20), (now - 60, 30)):
            (answer,) = await self._report(second, (tag, seen, ends))
            if not answer.elsewhere:
                raise CheckFailedError("another caller's tag is not elsewhere (HT-SGT-3)")
            if answer.seconds_apart != apart:
                raise CheckFailedError(f"{answer.seconds_apart} s apart, not {apart} (HT-SGT-3)")
        return SOUND

    async def _nearest(self) -> Observed:
        """Of several, the nearest."""
        first, second, third = [await self._desk.checkpoint() for _ in range(3)]
        now = int(time.time())
        ends, tag = now + _SPAN_SECONDS, os.urandom(_TAG_BYTES)
        await self._report(first, (tag, now - 40, ends))
        await self._report(second, (tag, now - 5, ends))
        (answer,) = await self._report(third, (tag, now - 15, ends))
        if answer.seconds_apart != 10:  # noqa: PLR2004 - seconds to the nearer of the two
            raise CheckFailedError("of several sightings not the nearest (HT-SGT-3)")
        return SOUND

    async def _forgotten(self) -> Observed:
        """A tag is known until its span ends, and forgotten from then on."""
        first, second, third = [await self._desk.checkpoint() for _ in range(3)]
        now = int(time.time())
        tag = os.urandom(_TAG_BYTES)
        ends = now + _SHORT_SPAN_SECONDS
        await self._report(first, (tag, now, ends))
        (answer,) = await self._report(second, (tag, now, ends))
        if not answer.elsewhere:
            raise VoidError("a tag was not known while its span lasted")
        await asyncio.sleep(max(0.0, ends + 0.1 - time.time()))
        (answer,) = await self._report(third, (tag, now, int(time.time()) + _SPAN_SECONDS))
        if answer.elsewhere:
            raise CheckFailedError("a tag outlived its span (HT-SGT-4)")
        return SOUND

    async def _bounded(self) -> Observed:
        """Who reports without end is told to wait; the others are served."""
        first, second = [await self._desk.checkpoint() for _ in range(2)]
        now = int(time.time())
        refused: Observed | None = None
        most = int(self._desk.entry("reports_per_minute", _MOST_REPORTS))
        for _ in range(most // _BATCH + 1):
            tags = [(os.urandom(_TAG_BYTES), now, now + _SPAN_SECONDS) for _ in range(_BATCH)]
            try:
                await self._report(first, *tags)
            except grpc.aio.AioRpcError as error:
                refused = calls.refusal(error)
                if not calls.retry_seconds(error):
                    raise CheckFailedError("told to wait, not for how long (HT-ERR-4)") from None
                break
        if refused is None:
            raise CheckFailedError("a caller may report without bound (HT-SGT-6)")
        await self._report(second, (os.urandom(_TAG_BYTES), now, now + _SPAN_SECONDS))
        return refused


def _stamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
