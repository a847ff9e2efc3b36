"""How the reference hub reaches the adapters behind it: questions out, revocations in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2 as pb
from hutong.v1 import adapter_service_pb2_grpc as pb_grpc
from hutong.v1 import exchange_pb2, feed_service_pb2, feed_service_pb2_grpc

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError
from conformance_tests.peer.hub_book import DENIED, NOT_FOUND, PRECONDITION, PURPOSES, kid_of
from conformance_tests.roles.hub_members import digest_of
from conformance_tests.vectors.lists import CHANGE_TYPE, LIST_TYPE

if TYPE_CHECKING:
    from conformance_tests.peer.hub_book import Book, PeerMember

_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_CONVERTING = {"HOLDER", "PLATFORM"}
_AGAIN_SECONDS = 0.2
_COUNT_SECONDS = 5.0
_FEWEST = 10  # HT-FED-19


@dataclass(slots=True)
class ReferenceLinks:
    """Lines to adapters, by authority.

    Attributes:
        book: what the hub knows.
        lists: base lists that adapters pushed, by digest.
    """

    book: Book
    lists: dict[str, str] = field(default_factory=dict, repr=False)
    _lines: dict[tuple[str, str], grpc.aio.Channel] = field(default_factory=dict)
    _following: dict[PeerMember, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book.listeners.append(self.follow)

    async def close(self) -> None:
        """End every line."""
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        for channel in self._lines.values():
            await channel.close()

    # -- questions ------------------------------------------------------------------

    def behind(self, region: str) -> PeerMember | None:
        """The authority that answers for a region: that of the longest prefix.

        Raises:
            RefusedError: it is suspended.
        """
        found = [
            (len(prefix), member)
            for member in self.book.members.values()
            for prefix in member.prefixes
            if member.approved and member.state != "withdrawn" and region.startswith(prefix)
        ]
        if not found:
            return None
        shortest = len(found) > 1 and self.book.fault == "shortest-prefix-first"
        order = sorted(found, key=lambda each: each[0], reverse=not shortest)
        if order[0][1].state != "active":
            if len(order) > 1 and self.book.fault == "suspended-falls-through":
                return order[1][1]
            raise RefusedError(_UNAVAILABLE, "REGION_SUSPENDED")
        return order[0][1]

    def grant(self, caller: PeerMember, authority: str) -> str:
        """Introduce a caller to an adapter."""
        now = int(time.time())
        claims = {
            "iss": self.book.hub,
            "aud": authority,
            "sub": caller.urn,
            "region": caller.body.get("region", ""),
            "scope": "exchange.query",
            "purposes": caller.purposes or PURPOSES.get(caller.kind, []),
            "iat": now,
            "exp": now + 600,
            "jti": crypto.random_text(),
        }
        if caller.until and self.book.fault != "grant-outlives-grant":
            claims["exp"] = caller.until
        if caller.via or authority.startswith("urn:hutong:hub:"):
            unsaid = self.book.fault == "via-unsaid"
            claims["via"] = [*caller.via, *([] if unsaid else [self.book.hub])]
        return crypto.sign(claims, self.book.token_key, "hutong-grant+jwt")

    async def ask(
        self,
        member: PeerMember,
        question: exchange_pb2.SealedQuestion,
        caller: PeerMember,
        seconds: float,
    ) -> bytes:
        """Hand a question to an adapter.

        Raises:
            RefusedError: it cannot be reached.
        """
        stub = pb_grpc.AdapterServiceStub(self._line(member))
        left: float | None = seconds
        if self.book.fault == "deadline-not-passed-on":
            left = 60.0
        if self.book.fault == "key-id-rewritten":
            question.key_id = crypto.b64(bytes(32))
        request = pb.AdapterServiceQueryRequest(question=question)
        try:
            response = await stub.Query(request, metadata=self._told(member, caller), timeout=left)
        except grpc.aio.AioRpcError as error:
            reason = "ADAPTER_UNREACHABLE"
            if member.kind == "hub":
                reason = reason if self.book.fault == "hub-called-adapter" else "HUB_UNREACHABLE"
            elif self.book.fault == "lost-adapter-internal":
                reason = "INTERNAL"
            unsaid = member.kind == "hub" and self.book.fault == "hub-retry-unsaid"
            wait = 0 if unsaid else 1
            raise RefusedError(_UNAVAILABLE, reason, retry_seconds=wait) from error
        return bytes(response.envelope)

    async def count(self, member: PeerMember, rule: Any) -> int | None:
        """Ask an adapter how much a rule touches; None: it cannot be asked."""
        stub = pb_grpc.AdapterServiceStub(self._line(member))
        try:
            said = await stub.CountLive(pb.CountLiveRequest(rule=rule), timeout=_COUNT_SECONDS)
        except grpc.aio.AioRpcError:
            return None
        told = int(said.attestations)
        small = told < _FEWEST and self.book.fault != "small-count-told"
        return _FEWEST if small else told

    async def unknown(self) -> list[str]:
        """Hubs below that do not say how many readers they have."""
        found = []
        for member in self.book.members.values():
            if member.kind != "hub" or member.state != "active":
                continue
            stub = feed_service_pb2_grpc.FeedServiceStub(self._line(member))
            try:
                request = feed_service_pb2.CountReadersRequest()
                await stub.CountReaders(request, timeout=_COUNT_SECONDS)
            except grpc.aio.AioRpcError:
                if self.book.fault != "unknown-hub-unnamed":
                    found.append(member.urn)
        return found

    async def convert(
        self, member: PeerMember, sealed: exchange_pb2.SealedQuestion, caller: PeerMember
    ) -> bytes:
        """Hand an import to an adapter.

        Raises:
            RefusedError: it takes none, or not for this purpose.
        """
        fault = self.book.fault
        purpose = exchange_pb2.Purpose.Name(sealed.purpose).removeprefix("PURPOSE_")
        if purpose not in _CONVERTING and fault != "convert-for-any-purpose":
            raise RefusedError(DENIED, "PURPOSE_NOT_ALLOWED")
        allowed = purpose in PURPOSES[caller.kind]
        if not allowed and fault != "convert-for-anothers-purpose":
            raise RefusedError(DENIED, "PURPOSE_NOT_ALLOWED")
        stub = pb_grpc.AdapterServiceStub(self._line(member))
        told = self._told(member, caller)
        try:
            response = await stub.Import(pb.ImportRequest(sealed=sealed), metadata=told, timeout=10)
        except grpc.aio.AioRpcError as error:
            if fault == "import-refusal-internal":
                raise RefusedError(grpc.StatusCode.INTERNAL, "INTERNAL") from error
            raise RefusedError(PRECONDITION, "IMPORT_NOT_OFFERED") from error
        envelope = bytes(response.envelope)
        return envelope[:-1] if fault == "import-cut-short" else envelope

    def _told(self, member: PeerMember, caller: PeerMember) -> tuple[tuple[str, str], ...]:
        aud = self.book.hub if self.book.fault == "grant-for-anybody" else member.urn
        told = (("hutong-grant", self.grant(caller, aud)),)
        if self.book.fault == "access-token-handed-on":
            token = self.book.access_token(caller.urn, "exchange.query")
            return (*told, ("authorization", f"Bearer {token}"))
        return told

    def _line(self, member: PeerMember) -> grpc.aio.Channel:
        place = (member.body["endpoint"], member.body.get("tls_ca_pem", ""))
        if place not in self._lines:
            credentials = grpc.ssl_channel_credentials(place[1].encode())
            self._lines[place] = grpc.aio.secure_channel(place[0], credentials)
        return self._lines[place]

    # -- revocations ------------------------------------------------------------------

    def follow(self) -> None:
        """Follow the active adapters, and no others."""
        wanted = [member for member in self.book.adapters() if member.kind == "region"]
        for member in [each for each in self._following if each not in wanted]:
            self._following.pop(member).cancel()
        for member in wanted:
            if member not in self._following:
                self._following[member] = asyncio.create_task(self._watch(member))

    async def _watch(self, member: PeerMember) -> None:
        stub = pb_grpc.AdapterServiceStub(self._line(member))
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                described = await stub.Describe(pb.DescribeRequest(), timeout=10)
                if not described.watches or described.authority != member.urn:
                    return
                async for frame in stub.WatchChanges(pb.WatchChangesRequest()):
                    with contextlib.suppress(RefusedError):
                        self._take(member, frame)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, member: PeerMember, frame: pb.WatchChangesResponse) -> None:
        if frame.WhichOneof("frame") == "list":
            token = frame.list.token.decode()
            self._signed(member, token, LIST_TYPE)
            if self.book.fault != "list-not-kept":
                self.lists[digest_of(token)] = token
        elif frame.WhichOneof("frame") == "change":
            self._publish(member, frame.change)

    def _publish(self, member: PeerMember, token: str) -> None:
        book = self.book
        claims = self._signed(member, token, CHANGE_TYPE)
        missing = claims["base"]["digest"] not in self.lists
        ignored = missing and any(
            book.fault == name for name in ("base-not-awaited", "list-not-kept")
        )
        if missing and not ignored:
            raise RefusedError(NOT_FOUND, "STATUS_BASE_UNKNOWN")
        before = member.published.get(("status", claims["uri"]))
        old = before is not None and crypto.unsafe_claims(before)["seq"] >= claims["seq"]
        if old and book.fault != "older-word-published":
            raise RefusedError(PRECONDITION, "STATUS_ROLLED_BACK")
        body: dict[str, Any] = {"statement": token}
        if before is not None and book.fault == "word-annotated":
            body["seen"] = True
        book.write("status", claims["uri"], body)
        member.published["status", claims["uri"]] = token

    def _signed(self, member: PeerMember, token: str, typ: str) -> dict[str, Any]:
        """Claims of what an adapter pushed, if its own authority signed them."""
        book = self.book
        refused = RefusedError(PRECONDITION, "STATUS_LIST_INVALID")
        issuer = crypto.unsafe_claims(token)["iss"]
        if issuer != member.urn and book.fault != "word-of-anybody":
            raise refused
        signer = book.members[issuer]
        kid = kid_of(token)
        key = signer.key(kid)
        if key is None or (key["use"] != "attest" and book.fault != "word-by-any-key"):
            raise refused
        try:
            return crypto.read_signed(token, {kid: signer.named()[kid]}, typ)[0]
        except ValueError as error:
            if book.fault != "word-signature-ignored":
                raise refused from error
            return crypto.unsafe_claims(token)
