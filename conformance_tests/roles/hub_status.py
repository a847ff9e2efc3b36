"""Status lists at a disposable hub: what an adapter pushes, and what the feed takes of it."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2, feed_service_pb2

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed
from conformance_tests.roles import calls
from conformance_tests.roles.hub_members import digest_of
from conformance_tests.vectors.lists import CHANGE_TYPE, LIST_TYPE, packed

if TYPE_CHECKING:
    from jwcrypto import jwk

    from conformance_tests.roles.hub_desk import Desk
    from conformance_tests.roles.hub_members import SuiteMember
    from conformance_tests.roles.hub_played import PlayedAdapter

SOUND = Observed(kind="answer")
_SIZE = 4096
_DAY_SECONDS = 86_400
_Frame = adapter_service_pb2.WatchChangesResponse


class Statuses:
    """Plays the scenarios of status.

    Args:
        desk: at the hub.
        adapter: that pushes.
    """

    def __init__(self, desk: Desk, adapter: PlayedAdapter) -> None:
        self._desk = desk
        self._adapter = adapter
        self.scenarios = {
            "pushed": self._pushed,
            "list_served": self._list_served,
            "push_by_stranger": self._by_stranger,
            "push_by_other_use": self._by_other_use,
            "push_of_another": self._of_another,
            "push_without_base": self._without_base,
            "push_of_old": self._of_old,
        }

    async def _region(self, division: str = "") -> SuiteMember:
        """A region whose adapter pushes changes."""
        adapter = self._adapter
        here = division or self._desk.cities()[0]
        adapter.authority, adapter.watches = f"urn:hutong:region:{here}", True
        adapter.pushed = []
        return await self._desk.region(here, endpoint=adapter.endpoint, ca_pem=adapter.ca_pem)

    def _uri(self, member: SuiteMember, name: str) -> str:
        return f"urn:hutong:status:{member.division}:{name}-{int(time.time_ns())}"

    def _list(self, member: SuiteMember, uri: str) -> str:
        now = int(time.time())
        data = packed({7: 1}, bits=1, size=_SIZE)
        claims = {
            "iss": member.urn,
            "sub": uri,
            "iat": now,
            "exp": now + 2 * _DAY_SECONDS,
            "status_list": {"bits": 1, "lst": crypto.b64(zlib.compress(data, 9))},
        }
        return crypto.sign(claims, member.pair("attest"), LIST_TYPE)

    def _word(
        self,
        member: SuiteMember,
        uri: str,
        base: str,
        sequence: int = 1,
        *,
        by: jwk.JWK | None = None,
        kid: str | None = None,
    ) -> str:
        claims = {
            "iss": member.urn,
            "iat": int(time.time()),
            "uri": uri,
            "base": {"digest": digest_of(base), "size": _SIZE, "bits": 1},
            "seq": sequence,
            "changes": {"1": [sequence]},
        }
        return crypto.sign(claims, by or member.pair("attest"), CHANGE_TYPE, kid=kid)

    def _push(self, token: str) -> None:
        """Push a base list or a word, as its type says."""
        head = crypto.unb64(token.split(".", maxsplit=1)[0])
        if LIST_TYPE.encode() in head:
            frame = _Frame(list=adapter_service_pb2.StatusListToken(token=token.encode()))
        else:
            frame = _Frame(change=token)
        self._adapter.pushed.append(frame)
        self._adapter.note()

    async def _await(self, uri: str, token: str, after: int = 0) -> int:
        """Wait for a word; returns its number in the feed.

        Args:
            uri: of the list.
            token: the word.
            after: number of the word before it.
        """
        found = await self._desk.until(
            "status",
            uri,
            lambda word: word.sequence > after and not word.is_withdrawn,
            "what an adapter pushed is not in the feed (HT-FEED-23)",
        )
        if found.body != {"statement": token}:
            raise CheckFailedError("a word stands in the feed otherwise than signed (HT-FEED-18)")
        return found.sequence

    async def _pushed(self) -> Observed:
        """What an adapter pushes stands in the feed as it was signed, the newest word last."""
        member = await self._region()
        uri = self._uri(member, "day")
        base = self._list(member, uri)
        for token in (base, first := self._word(member, uri, base)):
            self._push(token)
        number = await self._await(uri, first)
        self._push(second := self._word(member, uri, base, 2))
        await self._await(uri, second, number)
        return SOUND

    async def _list_served(self) -> Observed:
        """The base list is there as soon as the feed names it, whole, for everybody."""
        member = await self._region()
        uri = self._uri(member, "day")
        base = self._list(member, uri)
        word = self._word(member, uri, base)
        self._push(base)
        self._push(word)
        await self._await(uri, word)
        request = feed_service_pb2.GetStatusListRequest(digest=digest_of(base))
        data = b""
        try:
            async for chunk in self._desk.feed.GetStatusList(request, timeout=calls.CALL_SECONDS):
                data += chunk.chunk
        except grpc.aio.AioRpcError as error:
            reason = calls.refusal(error).reason
            raise CheckFailedError(f"the feed names a list that is not served: {reason}") from None
        if data != base.encode():
            raise CheckFailedError("a list is not served as it was pushed (HT-FEED-24)")
        return SOUND

    async def _kept_out(self, member: SuiteMember, uri: str, base: str, why: str) -> Observed:
        """A sound word pushed after a spoilt one arrives; the spoilt one must not have.

        Args:
            member: the region.
            uri: of the list that the spoilt word is about.
            base: a list that was pushed.
            why: what it means if the spoilt one did.
        """
        other = self._uri(member, "beside")
        for token in (made := self._list(member, other), word := self._word(member, other, made)):
            self._push(token)
        await self._await(other, word)
        found = await self._desk.word("status", uri)
        if found is not None and not found.is_withdrawn:
            raise CheckFailedError(why)
        # The twin: the same list with a sound word about it.
        self._push(base)
        self._push(sound := self._word(member, uri, base, 9))
        await self._await(uri, sound)
        return SOUND

    async def _by_stranger(self) -> Observed:
        member = await self._region()
        uri = self._uri(member, "day")
        base = self._list(member, uri)
        self._push(base)
        kid = member.key("attest").kid
        self._push(self._word(member, uri, base, by=crypto.new_signing_key(), kid=kid))
        return await self._kept_out(member, uri, base, "a stranger's word is in the feed")

    async def _by_other_use(self) -> Observed:
        member = await self._region()
        uri = self._uri(member, "day")
        base = self._list(member, uri)
        self._push(base)
        self._push(self._word(member, uri, base, by=member.pair("state")))
        return await self._kept_out(member, uri, base, "a statement key spoke of status")

    async def _without_base(self) -> Observed:
        member = await self._region()
        uri = self._uri(member, "day")
        base = self._list(member, uri)
        self._push(self._word(member, uri, base))
        return await self._kept_out(member, uri, base, "the feed names a list that nobody pushed")

    async def _of_another(self) -> Observed:
        """A region whose keys count pushes by another region's adapter."""
        here, there = self._desk.cities()
        other = await self._desk.region(there)
        member = await self._region(here)
        uri = self._uri(other, "day")
        base = self._list(other, uri)
        word = self._word(other, uri, base)
        self._push(base)
        self._push(word)
        beside = self._uri(member, "beside")
        for token in (made := self._list(member, beside), own := self._word(member, beside, made)):
            self._push(token)
        await self._await(beside, own)
        if await self._desk.word("status", uri) is not None:
            raise CheckFailedError("one region's adapter spoke for another (HT-FEED-23)")
        return SOUND

    async def _of_old(self) -> Observed:
        member = await self._region()
        uri = self._uri(member, "day")
        base = self._list(member, uri)
        self._push(base)
        self._push(newest := self._word(member, uri, base, 5))
        await self._await(uri, newest)
        self._push(self._word(member, uri, base, 4))
        other = self._uri(member, "beside")
        for token in (made := self._list(member, other), word := self._word(member, other, made)):
            self._push(token)
        await self._await(other, word)
        found: Any = await self._desk.word("status", uri)
        if found.body != {"statement": newest}:
            raise CheckFailedError("a list went back to an older word (HT-FEED-18)")
        return SOUND
