"""The suite as a reader of the feed of a hub under test (docs/spec/feed.md).

What the hub serves is read twice: token by token here, so that a defect is named, and
as a whole by the reader of the reference verifier, which holds everything that one
entry says of another.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import feed_service_pb2

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.peer.verifier_feed import ReferenceReplica
from conformance_tests.peer.verifier_jose import VerifierError
from conformance_tests.roles import calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hutong.v1 import feed_service_pb2_grpc
    from jwcrypto import jwk

_ZERO_DIGEST = crypto.b64(bytes(32))
_HEARTBEAT_SECONDS = 1
_FEED_SECONDS = 10.0
_LEEWAY_SECONDS = 60
NOBODY = "urn:hutong:hub:990000"
"""A hub that nobody runs."""


class FeedReading:
    """Plays the checks of the feed.

    Args:
        stub: of the hub's feed service.
        anchor: the trust anchor file.
    """

    def __init__(self, stub: feed_service_pb2_grpc.FeedServiceStub, anchor: Any) -> None:
        self._feed = stub
        self._anchor = anchor
        self._hub = str(anchor["hub"])
        found = [crypto.load_key(each["jwk"]) for each in anchor["keys"] if each["use"] == "feed"]
        self._resynced = False
        self._keys: dict[str, jwk.JWK] = {key["kid"]: key for key in found}
        self.scenarios = {
            "snapshot": self._snapshot,
            "watch": self._watch,
            "resume": self._resume,
            "adds_up": self._adds_up,
            "readable": self._readable,
            "keys_apart": self._keys_apart,
            "hubs_listed": self._hubs_listed,
            "hub_unknown": self._hub_unknown,
            "status_lists": self._status_lists,
            "list_unknown": self._list_unknown,
            "sequence_ahead": self._sequence_ahead,
            "one_superior": self._one_superior,
            "own_name": self._own_name,
        }

    def _mark(self, token: str, typ: str) -> dict[str, Any]:
        try:
            claims, _ = crypto.read_signed(token, self._keys, typ)
        except ValueError as error:
            raise CheckFailedError(f"{typ}: {error} (HT-FEED-1)") from None
        if claims.get("iss") != self._hub:
            raise CheckFailedError(f"{typ}: iss is not the hub of the anchor (HT-FEED-1)")
        return claims

    async def _read_snapshot(self) -> tuple[str, list[str]]:
        manifest = ""
        entries: list[str] = []
        try:
            async with asyncio.timeout(_FEED_SECONDS):
                async for chunk in self._feed.Snapshot(feed_service_pb2.SnapshotRequest()):
                    manifest = manifest or chunk.manifest
                    entries += chunk.entries
        except TimeoutError:
            raise CheckFailedError("the snapshot did not end in time") from None
        return manifest, entries

    async def _snapshot(self) -> Observed:
        token, entries = await self._read_snapshot()
        manifest = self._mark(token, "hutong-feed-manifest+jwt")
        claims = [self._mark(entry, "hutong-feed-entry+jwt") for entry in entries]
        numbers = [claim["seq"] for claim in claims]
        if numbers != sorted(set(numbers)) or (numbers and numbers[-1] > manifest["seq"]):
            raise CheckFailedError("sequence numbers do not rise to the manifest's (HT-FEED-2)")
        stones = [set(claim["body"]) == {"withdrawn"} for claim in claims]
        live = [entry for entry, stone in zip(entries, stones, strict=True) if not stone]
        buried = [entry for entry, stone in zip(entries, stones, strict=True) if stone]
        if manifest["count"] != len(live):
            raise CheckFailedError("the manifest counts other entries (HT-FEED-2)")
        if manifest["entries"] != _listed(live):
            raise CheckFailedError("the manifest lists other entries (HT-FEED-2)")
        if manifest.get("tombstones") != _listed(buried):
            raise CheckFailedError("the manifest lists other tombstones (HT-FEED-2)")
        if not 0 <= manifest.get("floor", -1) <= manifest["seq"]:
            raise CheckFailedError("the manifest names no floor (HT-FEED-2)")
        if not live:
            raise CheckFailedError("the snapshot is empty, though an origin is active")
        return Observed(kind="answer")

    async def _frames(self, after: int) -> AsyncIterator[tuple[list[str], dict[str, Any] | None]]:
        """Entries and heads from a number on; ends at the first head, or at a resync."""
        request = feed_service_pb2.WatchRequest(
            after_sequence=after, heartbeat_seconds=_HEARTBEAT_SECONDS
        )
        call = self._feed.Watch(request)
        self._resynced = False
        try:
            async with asyncio.timeout(_FEED_SECONDS):
                async for frame in call:
                    if frame.HasField("resync"):
                        self._resynced = True
                        return
                    if frame.head:
                        yield [], self._mark(frame.head, "hutong-feed-head+jwt")
                    else:
                        yield list(frame.entries.entries), None
        except TimeoutError:
            raise CheckFailedError("entries or a signed head did not come in time") from None
        finally:
            call.cancel()

    async def _follow(self, after: int, digest: str) -> list[str]:
        """Follow the chain from a number to the first head that names its end."""
        token, _ = await self._read_snapshot()
        wanted = self._mark(token, "hutong-feed-manifest+jwt")["seq"]
        sequence, tokens = after, list[str]()
        async for entries, head in self._frames(after):
            for token in entries:
                claims = self._mark(token, "hutong-feed-entry+jwt")
                if (claims["seq"], claims["prev"]) != (sequence + 1, digest):
                    raise CheckFailedError("the chain has a gap or a fork (HT-FEED-3)")
                sequence, digest = claims["seq"], digest_of_token(token)
                tokens.append(token)
            if head is None:
                continue
            if (head["seq"], head["digest"]) != (sequence, digest):
                raise CheckFailedError("a head names another chain (HT-FEED-4)")
            if abs(time.time() - head["iat"]) > _LEEWAY_SECONDS + _HEARTBEAT_SECONDS:
                raise CheckFailedError("a head vouches for another time than now (HT-FEED-4)")
            if sequence >= wanted:
                return tokens
        if not self._resynced:
            raise CheckFailedError("the watch ended without a signed head (HT-FEED-4)")
        return tokens

    async def _watch(self) -> Observed:
        await self._follow(0, _ZERO_DIGEST)
        return Observed(kind="answer")

    async def _resume(self) -> Observed:
        """From the middle of the chain on, as after a lost connection."""
        tokens = await self._follow(0, _ZERO_DIGEST)
        if tokens:
            place = (len(tokens) - 1) // 2
            after = self._mark(tokens[place], "hutong-feed-entry+jwt")["seq"]
            rest = await self._follow(after, digest_of_token(tokens[place]))
            wanted = tokens[place + 1 :]
            if rest[: len(wanted)] != wanted and not self._resynced:
                raise CheckFailedError("not every entry from the middle on (HT-FEED-3)")
        return Observed(kind="answer")

    async def _adds_up(self) -> Observed:
        """Entries from the first lead to what the snapshot says."""
        tokens = await self._follow(0, _ZERO_DIGEST)
        snapshot, entries = await self._read_snapshot()
        manifest = self._mark(snapshot, "hutong-feed-manifest+jwt")
        if not tokens or len(tokens) != manifest["seq"]:
            return Observed(kind="answer")  # an explicit resync, or a change in between
        newest: dict[tuple[str, str], tuple[int, str]] = {}
        for number, token in enumerate(tokens, start=1):
            claims = self._mark(token, "hutong-feed-entry+jwt")
            newest[claims["kind"], claims["subject"]] = (number, token)
            if set(claims["body"]) == {"withdrawn"}:
                del newest[claims["kind"], claims["subject"]]
        live = [token for _, token in sorted(newest.values())]
        if manifest["entries"] != _listed(live) or not set(live) <= set(entries):
            raise CheckFailedError("a snapshot and the entries do not lead to the same (HT-FEED-2)")
        return Observed(kind="answer")

    async def _readable(self) -> Observed:
        """A strict reader takes the whole of it in."""
        manifest, entries = await self._read_snapshot()
        replica = ReferenceReplica(self._anchor)
        try:
            step = {"snapshot": {"manifest": manifest, "entries": entries}}
            replica.take(step, int(time.time()))
        except VerifierError as error:
            raise CheckFailedError(f"a reader refuses the snapshot with {error}") from None
        return Observed(kind="answer")

    async def _keys_apart(self) -> Observed:
        _, entries = await self._read_snapshot()
        holders: dict[str, set[tuple[str, str]]] = {}
        for entry in entries:
            claims = self._mark(entry, "hutong-feed-entry+jwt")
            if claims["kind"] == "authority":
                for key in claims["body"].get("keys", ()):
                    holder = (claims["subject"], key["use"])
                    holders.setdefault(key["jwk"]["kid"], set()).add(holder)
        if any(len(each) > 1 for each in holders.values()):
            raise CheckFailedError("a key has two uses or two members (HT-REG-9)")
        return Observed(kind="answer")

    async def _own_name(self) -> Observed:
        """The feed is there under the name of its hub."""
        request = feed_service_pb2.WatchRequest(hub=self._hub, heartbeat_seconds=_HEARTBEAT_SECONDS)
        call = self._feed.Watch(request)
        try:
            async with asyncio.timeout(_FEED_SECONDS):
                async for frame in call:
                    for token in frame.entries.entries:
                        self._mark(token, "hutong-feed-entry+jwt")
                    return Observed(kind="answer")
        except grpc.aio.AioRpcError as error:
            reason = calls.refusal(error).reason
            raise CheckFailedError(f"refused under its own name: {reason} (HT-FED-5)") from None
        except TimeoutError:
            raise CheckFailedError("left without an answer (HT-FED-5)") from None
        finally:
            call.cancel()
        raise CheckFailedError("the feed ended at once (HT-FED-5)")

    async def _one_superior(self) -> Observed:
        """At most one hub stands above this one."""
        _, entries = await self._read_snapshot()
        above = [
            claims["body"].get("hub")
            for claims in (self._mark(entry, "hutong-feed-entry+jwt") for entry in entries)
            if claims["kind"] == "superior" and set(claims["body"]) != {"withdrawn"}
        ]
        if len(above) > 1:
            raise CheckFailedError("the feed names two hubs above this one (HT-FEED-20)")
        request = feed_service_pb2.ListHubsRequest()
        listed = await self._feed.ListHubs(request, timeout=calls.CALL_SECONDS)
        served = [feed.hub for feed in listed.feeds if feed.superior]
        if len(served) > 1 or (above and served and served != above):
            raise CheckFailedError("the hub passes on two superiors' feeds (HT-FEED-20)")
        return Observed(kind="answer")

    async def _hubs_listed(self) -> Observed:
        token, _ = await self._read_snapshot()
        manifest = self._mark(token, "hutong-feed-manifest+jwt")
        listed = await self._feed.ListHubs(
            feed_service_pb2.ListHubsRequest(), timeout=calls.CALL_SECONDS
        )
        if not listed.feeds or listed.feeds[0].hub != self._hub:
            raise CheckFailedError("the hub does not name its own feed first")
        if listed.feeds[0].sequence < manifest["seq"]:
            raise CheckFailedError("the hub says that it is behind its own snapshot")
        return Observed(kind="answer")

    async def _hub_unknown(self) -> Observed:
        return await self._refused(
            self._feed.Snapshot(feed_service_pb2.SnapshotRequest(hub=NOBODY)),
            "the feed of a hub that nobody runs was served",
        )

    async def _status_lists(self) -> Observed:
        """Every base list that the feed names is there, whole."""
        _, entries = await self._read_snapshot()
        for entry in entries:
            claims = self._mark(entry, "hutong-feed-entry+jwt")
            if claims["kind"] != "status" or "statement" not in claims["body"]:
                continue
            digest = crypto.unsafe_claims(claims["body"]["statement"])["base"]["digest"]
            chunks = [
                chunk.chunk
                async for chunk in self._feed.GetStatusList(
                    feed_service_pb2.GetStatusListRequest(digest=digest),
                    timeout=calls.CALL_SECONDS,
                )
            ]
            if digest_of_token(b"".join(chunks).decode()) != digest:
                raise CheckFailedError("a base list is not the one of its digest")
        return Observed(kind="answer")

    async def _list_unknown(self) -> Observed:
        request = feed_service_pb2.GetStatusListRequest(digest=_ZERO_DIGEST)
        return await self._refused(
            self._feed.GetStatusList(request), "a list that nobody published was served"
        )

    async def _sequence_ahead(self) -> Observed:
        token, _ = await self._read_snapshot()
        manifest = self._mark(token, "hutong-feed-manifest+jwt")
        request = feed_service_pb2.WatchRequest(after_sequence=manifest["seq"] + 1_000_000)
        return await self._refused(
            self._feed.Watch(request), "a number far ahead was answered with a frame"
        )

    async def _refused(self, call: Any, otherwise: str) -> Observed:
        """How a stream was refused, before its first message."""
        try:
            async with asyncio.timeout(_FEED_SECONDS):
                async for _message in call:
                    raise CheckFailedError(otherwise)
        except grpc.aio.AioRpcError as error:
            return calls.refusal(error)
        except TimeoutError:
            raise CheckFailedError("left without an answer") from None
        finally:
            call.cancel()
        raise CheckFailedError("ended as if there were nothing to refuse")


def digest_of_token(token: str) -> str:
    """By which the next entry, a head or a list names a token."""
    return crypto.b64(hashlib.sha256(token.encode()).digest())


def _listed(tokens: list[str]) -> str:
    digests = b"".join(hashlib.sha256(token.encode()).digest() for token in tokens)
    return crypto.b64(hashlib.sha256(digests).digest())
