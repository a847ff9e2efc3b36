"""The sightings of the reference hub: tags in memory, for their span and no longer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import sighting_service_pb2 as pb
from hutong.v1 import sighting_service_pb2_grpc as pb_grpc

from conformance_tests.peer.common import RefusedError, abort

if TYPE_CHECKING:
    from conformance_tests.peer.hub_book import Book

_Context = grpc.aio.ServicerContext[Any, Any]
_TAG_BYTES = 16
_LEEWAY_SECONDS = 60
_MAX_SPAN_SECONDS = 2 * 86_400 + 60
_MINUTE_SECONDS = 60
_MOST = 2048
"""Sightings of one caller; the reference hub lives too short to forget that."""


@dataclass(slots=True)
class ReferenceSightings(pb_grpc.SightingServiceServicer):
    """Answers as the specification asks, but for the one fault of its book."""

    book: Book
    _tags: dict[bytes, tuple[float, dict[str, float]]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    async def Report(  # noqa: N802 - the service's own name
        self, request: pb.ReportRequest, context: _Context
    ) -> pb.ReportResponse:
        """Take sightings in and tell which were seen elsewhere."""
        try:
            caller = self.book.caller(context, "exchange.query").urn
            self._admit(caller, len(request.sightings))
            answers = [self._take(caller, item) for item in request.sightings]
        except RefusedError as error:
            await abort(context, error)
        return pb.ReportResponse(answers=answers)

    def _admit(self, caller: str, count: int) -> None:
        count += self._counts.get(caller, 0)
        self._counts[caller] = count
        if count > _MOST and self.book.fault != "reports-unbounded":
            wait = 0 if self.book.fault == "retry-unsaid" else _MINUTE_SECONDS
            exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
            raise RefusedError(exhausted, "OVERLOADED", retry_seconds=wait)

    def _take(self, caller: str, item: pb.Sighting) -> pb.SightingAnswer:
        now, fault = time.time(), self.book.fault
        seen, ends = _seconds(item.seen_at), _seconds(item.span_ends)
        wrong = {
            "odd-tag-kept": len(item.tag) != _TAG_BYTES,
            "future-showing-kept": seen > now + _LEEWAY_SECONDS,
            "ended-span-kept": ends <= now,
            "long-span-kept": ends > now + _MAX_SPAN_SECONDS,
        }
        for name, is_wrong in wrong.items():
            if is_wrong and fault == "bad-showing-fails-batch":
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
            if is_wrong and fault != name:
                return pb.SightingAnswer()
        tag = item.tag[:_TAG_BYTES].ljust(_TAG_BYTES, b"\0")
        until, by = self._tags.get(tag, (0.0, dict[str, float]()))
        if until and until <= now and fault != "tags-kept":
            until, by = 0.0, {}
        others = [abs(seen - at) for other, at in by.items() if other != caller]
        if caller in by and fault == "own-sighting-elsewhere":
            others.append(abs(seen - by[caller]))
        kept = ends if ends > now else now + _LEEWAY_SECONDS
        self._tags[tag] = (until or kept, {**by, caller: seen})
        if not others:
            return pb.SightingAnswer()
        nearest = others[0] if len(others) > 1 and fault == "first-sighting-counts" else min(others)
        return pb.SightingAnswer(elsewhere=True, seconds_apart=int(nearest))


def _seconds(stamp: Any) -> float:
    return float(stamp.seconds) + float(stamp.nanos) / 1e9
