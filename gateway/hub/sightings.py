"""Serves ``hutong.v1.SightingService``: one attestation shown at two places is noticed.

What comes is a tag, sixteen bytes that only a holder of the attestation can make
and that mean nothing after their span (docs/spec/sightings.md). Kept in memory of
this process alone, for the span and no longer: a restart forgets, and of two hub
processes each knows what it was told. Nothing is written, logged or counted by tag
or by caller.

Bounded twice: sightings a caller may report in a minute, and tags held. Where the
room is used up, the tags that end first make room for those that end later: what is
lost is the oldest knowledge, and a repeat that goes unnoticed is no green that was
not one before.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hutong.v1 import sighting_service_pb2 as pb
from hutong.v1 import sighting_service_pb2_grpc as pb_grpc

from gateway.wire.errors import RpcFailure
from gateway.wire.hub_tokens import EXCHANGE_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import grpc

    from gateway.hub.access import AccessControl

    Context = grpc.aio.ServicerContext[Any, Any]

SIGHTING_SERVICE: Final = "hutong.v1.SightingService"
"""Full name, for health and registration."""

REPORT_METHOD: Final = f"/{SIGHTING_SERVICE}/Report"

TAG_BYTES: Final = 16
MAX_BATCH: Final = 1024
"""As ``sighting_service.proto`` says."""

MAX_TAGS: Final = 500_000
"""Some 150 MB; a day of carried attestations at a thousand gates."""

MAX_SPAN_SECONDS: Final = 2 * 86_400
"""The longest window of a policy is a day, and a showing is also told of the next one."""

LEEWAY_SECONDS: Final = 60
"""What two clocks may differ (HT-ATT-6)."""

PER_MINUTE: Final = 6_000
"""Of one caller: a hundred persons a second, or a batch from after an outage."""

_PER_TAG: Final = 8
"""Callers remembered of one tag: one other is enough for the answer."""


@dataclass(slots=True)
class _Seen:
    ends: float
    by: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Minute:
    began: float
    count: int = 0


class Sightings:
    """Who saw which tag when; no I/O.

    Args:
        max_tags: tags held.
        per_minute: sightings of one caller in a minute.
    """

    def __init__(self, *, max_tags: int = MAX_TAGS, per_minute: int = PER_MINUTE) -> None:
        self._max_tags = max_tags
        self._per_minute = per_minute
        self._tags: dict[bytes, _Seen] = {}
        self._ends: list[tuple[float, bytes]] = []
        self._minutes: dict[str, _Minute] = {}
        self.reported = 0
        """Sightings taken in since the start; nothing is counted by tag or by caller."""
        self.elsewhere = 0
        """Of these, how many another caller had seen."""
        self.refused = 0
        """Sightings of batches refused because their caller reports too much."""
        self.displaced = 0
        """Tags forgotten before their span ended, to make room."""

    def __len__(self) -> int:
        return len(self._tags)

    def admit(self, caller: str, count: int, now: float) -> None:
        """Count a batch of a caller.

        Raises:
            RpcFailure: OVERLOADED, more than the caller may report in a minute.
        """
        minute = self._minutes.get(caller)
        if minute is None or not 0 <= now - minute.began < 60:  # noqa: PLR2004  a minute
            if len(self._minutes) > self._max_tags:
                self._minutes.clear()
            minute = self._minutes[caller] = _Minute(now)
        if minute.count and minute.count + count > self._per_minute:
            self.refused += count
            raise RpcFailure(
                "OVERLOADED",
                "more sightings than one caller may report",
                retry_after_seconds=max(1.0, 60 - (now - minute.began)),
            )
        minute.count += count

    def report(
        self, caller: str, tag: bytes, seen_at: float, span_ends: float, now: float
    ) -> float | None:
        """Take one sighting in.

        Args:
            caller: URN of who saw it.
            tag: see the module.
            seen_at: when, seconds since 1970.
            span_ends: from when the tag may be forgotten.
            now: the clock.

        Returns:
            Seconds between this and the nearest sighting of another caller; None: no
            other saw it, or the sighting is malformed, over or from the future.
        """
        self._forget(now)
        if (
            len(tag) != TAG_BYTES
            or seen_at > now + LEEWAY_SECONDS
            or not now < span_ends <= now + MAX_SPAN_SECONDS + LEEWAY_SECONDS
        ):
            return None
        known = self._tags.get(tag)
        if known is None:
            while len(self._tags) >= self._max_tags:
                self._drop_first()
                self.displaced += 1
            known = self._tags[tag] = _Seen(span_ends)
            heapq.heappush(self._ends, (span_ends, tag))
        others = [abs(seen_at - at) for other, at in known.by.items() if other != caller]
        if caller in known.by or len(known.by) < _PER_TAG:
            known.by[caller] = seen_at
        self.reported += 1
        self.elsewhere += bool(others)
        return min(others, default=None)

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            self._drop_first()

    def _drop_first(self) -> None:
        _, tag = heapq.heappop(self._ends)
        self._tags.pop(tag, None)


class SightingService(pb_grpc.SightingServiceServicer):
    """The service.

    Args:
        access: verifies tokens.
        sightings: what is known.
        clock: the time, UTC.
    """

    def __init__(
        self, access: AccessControl, sightings: Sightings, clock: Callable[[], datetime]
    ) -> None:
        self._access = access
        self._sightings = sightings
        self._clock = clock

    async def Report(  # noqa: N802  the name of the RPC
        self, request: pb.ReportRequest, context: Context
    ) -> pb.ReportResponse:
        """Take sightings in and tell which were seen elsewhere."""
        access, _ = self._access.require(context, EXCHANGE_SCOPE)
        count = len(request.sightings)
        if not 0 < count <= MAX_BATCH:
            raise RpcFailure("INVALID_REQUEST", f"a batch has 1 to {MAX_BATCH} sightings")
        now = self._clock().timestamp()
        self._sightings.admit(access.caller, count, now)
        return pb.ReportResponse(
            answers=[self._answer(access.caller, item, now) for item in request.sightings]
        )

    def _answer(self, caller: str, item: pb.Sighting, now: float) -> pb.SightingAnswer:
        apart = self._sightings.report(
            caller, item.tag, _seconds(item.seen_at), _seconds(item.span_ends), now
        )
        if apart is None:
            return pb.SightingAnswer()
        return pb.SightingAnswer(elsewhere=True, seconds_apart=min(int(apart), 2**32 - 1))


def _seconds(stamp: Any) -> float:
    seconds: float = stamp.seconds + stamp.nanos / 1e9
    return seconds
