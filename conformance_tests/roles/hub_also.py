"""A second address of the hub under test: another of its processes, the same feed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from hutong.v1 import feed_service_pb2, feed_service_pb2_grpc

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.roles import calls
from conformance_tests.roles.hub_feed import digest_of_token

if TYPE_CHECKING:
    import grpc

    from conformance_tests.profile import Profile

_SECONDS = 60.0
"""Longest until one process has what another wrote: it may have to look by itself."""


async def _entries(channel: grpc.aio.Channel, after: int, until: int) -> dict[int, str]:
    """Entries from a number to another, by number; fewer where the address resyncs."""
    stub = feed_service_pb2_grpc.FeedServiceStub(channel)
    call = stub.Watch(feed_service_pb2.WatchRequest(after_sequence=after, heartbeat_seconds=1))
    found: dict[int, str] = {}
    try:
        async with asyncio.timeout(_SECONDS):
            async for frame in call:
                if frame.HasField("resync"):
                    return found
                for token in frame.entries.entries:
                    found[crypto.unsafe_claims(token)["seq"]] = token
                if until in found or (found and max(found) >= until) or after >= until:
                    return found
    except TimeoutError:
        raise CheckFailedError("the second address lacks entries of the first") from None
    finally:
        call.cancel()
    return found


async def _newest(channel: grpc.aio.Channel) -> int:
    stub = feed_service_pb2_grpc.FeedServiceStub(channel)
    async for chunk in stub.Snapshot(feed_service_pb2.SnapshotRequest(), timeout=_SECONDS):
        return int(crypto.unsafe_claims(chunk.manifest)["seq"])
    raise CheckFailedError("no snapshot")


async def same_everywhere(profile: Profile, channel: grpc.aio.Channel) -> Observed:
    """Both addresses serve the same entries, and a reader goes on at the other."""
    other = await calls.connect(replace(profile, target=str(profile.need("also"))))
    try:
        until = await _newest(channel)
        here = await _entries(channel, 0, until)
        there = await _entries(other, 0, until)
        both = set(here) & set(there)
        if any(here[number] != there[number] for number in both):
            raise CheckFailedError("two addresses serve two entries of one number (HT-FEED-22)")
        if not both:
            return Observed(kind="answer")  # nothing but the state in full is kept
        middle = sorted(both)[len(both) // 2]
        rest = await _entries(other, middle, until)
        for number in range(middle + 1, until + 1):
            if rest.get(number) != here.get(number):
                raise CheckFailedError("a reader cannot go on at the other address (HT-FEED-22)")
        if middle < until:
            following = crypto.unsafe_claims(rest[middle + 1])
            if following["prev"] != digest_of_token(here[middle]):
                raise CheckFailedError("the chain breaks between two addresses (HT-FEED-22)")
    finally:
        await other.close()
    return Observed(kind="answer")
