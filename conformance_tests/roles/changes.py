"""What an adapter pushes about the carried attestations that it gave (docs/spec/status.md).

The suite watches as a hub does: it takes the lists and the statements in, reads them
strictly, and looks entries up by the newest word.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import adapter_service_pb2, distrust_pb2, exchange_pb2

from conformance_tests import crypto
from conformance_tests.attestations import LEEWAY_SECONDS
from conformance_tests.model import CheckFailedError, Observed, UntestableError, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.arranging import arranged
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from conformance_tests.profile import Profile
    from conformance_tests.roles.asking import Asker

PATIENCE_SECONDS = 30.0
"""For what a platform tells to arrive at who watches; a second is usual."""
_LIST_TYPE = "statuslist+jwt"
_CHANGE_TYPE = "hutong-status+jwt"
_HEARTBEAT_SECONDS = 1
_FEWEST = 10  # HT-ADP-22
_MOST_BYTES = 16 * 1024 * 1024  # HT-STS-5
_SEVERAL = 4
_FEW = 3
_MANY = 12
_CHANGE_CLAIMS = {"iss", "iat", "uri", "seq", "base", "changes"}


@dataclass(slots=True)
class Watch:
    """One ``WatchChanges``, and what it has told so far.

    Attributes:
        authority: whose lists they are.
        keys: its attestation keys by key id.
        bases: base lists by digest: their claims and entries.
        words: the newest statement on each list.
    """

    authority: str
    keys: Mapping[str, Any]
    frames: Any = field(repr=False)
    bases: dict[str, tuple[dict[str, Any], bytes]] = field(default_factory=dict, repr=False)
    words: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    async def next(self) -> str:
        """Take the next frame in; which kind it was.

        Raises:
            CheckFailedError: it breaks a rule, or none comes.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                frame = await self.frames.read()
        except TimeoutError:
            raise CheckFailedError("no frame, not even a heartbeat (HT-ADP-20)") from None
        if frame is grpc.aio.EOF:
            raise CheckFailedError("the watch ended by itself (HT-ADP-20)")
        kind = str(frame.WhichOneof("frame"))
        if kind == "list":
            self._base(frame.list.token)
        elif kind == "change":
            self._word(frame.change)
        return kind

    async def until_word_on(self, uri: str) -> None:
        """Wait until the list has been told of; a heartbeat says that nothing more stands."""
        while uri not in self.words:
            if await self.next() == "heartbeat":
                raise CheckFailedError("an attestation names a list that is not pushed (HT-ADP-20)")

    def value(self, claims: Mapping[str, Any]) -> int:
        """What the newest word and its base say of an attestation's entry."""
        reference = claims["status"]["status_list"]
        word = self.words[reference["uri"]]
        index = reference["idx"]
        if index >= word["base"]["size"]:
            raise CheckFailedError("an attestation names an entry that its list lacks (HT-STS-6)")
        said = [int(value) for value, entries in word["changes"].items() if index in entries]
        if said:
            return said[0]
        bits: int = word["base"]["bits"]
        data = self.bases[word["base"]["digest"]][1]
        return int(data[index * bits // 8] >> (index * bits % 8)) & ((1 << bits) - 1)

    def ends_at(self, uri: str) -> int:
        """When the list ends that the newest word counts from."""
        return int(self.bases[self.words[uri]["base"]["digest"]][0]["exp"])

    def _base(self, token: bytes) -> None:
        text = token.decode("ascii", "replace")
        claims = self._signed(text, _LIST_TYPE)
        uri, packed = claims.get("sub", ""), claims.get("status_list", {})
        parts = str(uri).split(":")
        if parts[:3] != ["urn", "hutong", "status"] or parts[3] != self.authority[-6:]:
            raise CheckFailedError("a list has a URI that is not the region's (HT-STS-2)")
        if packed.get("bits") not in {1, 2, 4, 8} or not isinstance(claims.get("exp"), int):
            raise CheckFailedError("a list lacks its width or its end (HT-STS-1, HT-STS-4)")
        reader = zlib.decompressobj()
        try:
            data = reader.decompress(crypto.unb64(packed["lst"]), _MOST_BYTES)
        except (ValueError, KeyError, zlib.error):
            raise CheckFailedError("a list does not unpack (HT-STS-1)") from None
        if not reader.eof or reader.unused_data:
            raise CheckFailedError("a list is longer than its stream (HT-STS-1)")
        self.bases[digest(text)] = (claims, data)

    def _word(self, token: str) -> None:
        claims = self._signed(token, _CHANGE_TYPE)
        if set(claims) != _CHANGE_CLAIMS or type(claims["seq"]) is not int:
            raise CheckFailedError("a statement lacks a claim or has another (HT-STS-9)")
        uri, base = claims["uri"], claims["base"]
        if base["digest"] not in self.bases:
            raise CheckFailedError("a statement comes before its base list (HT-ADP-20)")
        list_claims, data = self.bases[base["digest"]]
        is_its = list_claims["sub"] == uri and list_claims["status_list"]["bits"] == base["bits"]
        if not is_its or len(data) * 8 != base["size"] * base["bits"]:
            raise CheckFailedError("a statement names another base than was sent (HT-STS-11)")
        before = self.words.get(uri)
        if before is not None and claims["seq"] <= before["seq"]:
            raise CheckFailedError("seq does not go up (HT-STS-10)")
        seen: set[int] = set()
        for value, entries in claims["changes"].items():
            fits = value == str(int(value)) and int(value) < 1 << base["bits"]
            is_rising = entries == sorted(set(entries)) and entries
            inside = is_rising and entries[0] >= 0 and entries[-1] < base["size"]
            if not fits or not inside or seen & set(entries):
                raise CheckFailedError("the changes are not in their form (HT-STS-9)")
            seen |= set(entries)
        self.words[uri] = claims

    def _signed(self, token: str, typ: str) -> dict[str, Any]:
        try:
            claims, _ = crypto.read_signed(token, dict(self.keys), typ)
        except ValueError as error:
            raise CheckFailedError(f"a list or statement: {error} (HT-STS-3)") from None
        if claims.get("iss") != self.authority:
            raise CheckFailedError("a list or statement of another issuer (HT-STS-2)")
        if not isinstance(claims.get("iat"), int) or claims["iat"] > time.time() + LEEWAY_SECONDS:
            raise CheckFailedError("a list or statement from ahead (HT-STS-4)")
        return claims


class Changes:
    """Plays the scenarios of lists and counts.

    Args:
        profile: the implementer's declaration.
        asker: asks the adapter.
    """

    def __init__(self, profile: Profile, asker: Asker) -> None:
        self._profile = profile
        self._asker = asker

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        scenarios = {
            "changes_described": self._described,
            "changes_standing": self._standing,
            "changes_heartbeat": self._heartbeat,
            "changes_entries": self._entries,
            "changes_turned": self._turned,
            "count_floor": self._floor,
            "count_many": self._many,
            "count_foreign": self._foreign,
            "count_impossible": self._impossible,
        }
        try:
            return await scenarios[name]()
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            return calls.refusal(error)

    @contextlib.asynccontextmanager
    async def _watch(self) -> AsyncIterator[Watch]:
        request = adapter_service_pb2.WatchChangesRequest(heartbeat_seconds=_HEARTBEAT_SECONDS)
        call = self._asker.stub.WatchChanges(request)
        try:
            yield Watch(self._asker.authority, self._asker.attest_keys, call)
        finally:
            call.cancel()

    async def _carried(self, person: str) -> Mapping[str, Any]:
        plan = self._asker.plan().changed({"person": person, "question.use": "CARRIED"})
        seen = await self._asker.ask(plan)
        if seen.kind != "level" or seen.notes:
            raise VoidError(f"{seen.code} {seen.reason} {seen.value}")
        # Its form is the matter of other checks.
        if "status" not in seen.claims:
            raise CheckFailedError("an attestation to carry names no entry (HT-STS-14)")
        return seen.claims

    # -- lists --------------------------------------------------------------------

    async def _described(self) -> Observed:
        request = adapter_service_pb2.DescribeRequest()
        described = await self._asker.stub.Describe(request, timeout=calls.CALL_SECONDS)
        if not described.watches:
            raise CheckFailedError("Describe does not say that changes are pushed (HT-ADP-21)")
        return Observed(kind="answer")

    async def _standing(self) -> Observed:
        async with self._watch() as watch:
            # A list need not stand before there is anybody to revoke, nor at once.
            while not watch.words:
                await watch.next()
        return Observed(kind="answer")

    async def _heartbeat(self) -> Observed:
        async with self._watch() as watch:
            while await watch.next() != "heartbeat":
                pass
        return Observed(kind="answer")

    async def _entries(self) -> Observed:
        held = [await self._carried("green") for _ in range(_SEVERAL)]
        places = [tuple(claims["status"]["status_list"].values()) for claims in held]
        if len(set(map(str, places))) < _SEVERAL:
            raise CheckFailedError("two attestations have one entry (HT-STS-14)")
        numbers = [claims["status"]["status_list"]["idx"] for claims in held]
        steps = {after - before for before, after in itertools.pairwise(numbers)}
        if len(steps) == 1:
            raise CheckFailedError("entries are given out in order (HT-STS-14)")
        lots = {claims.get("serial") for claims in held}
        # An hour may end between them.
        if None in lots or len(lots) > 2:  # noqa: PLR2004 - this lot and the next
            raise CheckFailedError("serial does not number lots of an hour (HT-STS-18)")
        async with self._watch() as watch:
            for claims in held:
                uri = claims["status"]["status_list"]["uri"]
                await watch.until_word_on(uri)
                if watch.value(claims) != 0:
                    raise CheckFailedError("a fresh attestation is revoked (HT-STS-7)")
                if watch.ends_at(uri) <= claims["exp"]:
                    raise CheckFailedError("a list ends before what names it (HT-STS-4)")
        return Observed(kind="answer")

    async def _turned(self) -> Observed:
        person = self._asker.person("turned")
        if "arrange" not in person or "bystander" not in person:
            raise UntestableError("person.turned needs `arrange`, `restore` and `bystander`")
        mine = [await self._carried("turned") for _ in range(2)]
        beside = await self._carried(str(person["bystander"]))
        async with self._watch() as watch:
            for claims in (*mine, beside):
                await watch.until_word_on(claims["status"]["status_list"]["uri"])
                if watch.value(claims) != 0:
                    raise VoidError("revoked before anything was turned")
            async with arranged(person):
                await self._until_revoked(watch, mine)
            if watch.value(beside) != 0:
                raise CheckFailedError("who stayed green was revoked too (HT-STS-20)")
        async with self._watch() as again:
            for claims in mine:
                await again.until_word_on(claims["status"]["status_list"]["uri"])
                if again.value(claims) == 0:
                    raise CheckFailedError("a revocation was taken back (HT-STS-21)")
        return Observed(kind="answer")

    async def _until_revoked(self, watch: Watch, held: list[Mapping[str, Any]]) -> None:
        """Wait for the word, up to the whole patience; for the rest of it, not so long."""
        left = int(PATIENCE_SECONDS / _HEARTBEAT_SECONDS)
        while stand := sum(watch.value(claims) == 0 for claims in held):
            if stand < len(held):
                # Lists are told of one after another, in one go.
                left = min(left, _FEW)
            if await watch.next() == "heartbeat":
                left -= 1
            if left <= 0:
                raise CheckFailedError("an attestation of who turned stands (HT-STS-20)")

    # -- counts -------------------------------------------------------------------

    async def _count(self, **members: Any) -> int:
        members = {"issuer": self._asker.authority, "signed_from": _moment(0), **members}
        rule = distrust_pb2.DistrustRule(**members)
        request = adapter_service_pb2.CountLiveRequest(rule=rule)
        answer = await self._asker.stub.CountLive(request, timeout=calls.CALL_SECONDS)
        return int(answer.attestations)

    async def _floor(self) -> Observed:
        await self._ask_many()
        if await self._count(signed_until=_moment(1)) != _FEWEST:
            raise CheckFailedError("a rule that touches nobody is not counted as ten (HT-ADP-22)")
        return Observed(kind="answer")

    async def _many(self) -> Observed:
        await self._ask_many()
        if await self._count() < _MANY:
            raise CheckFailedError("a rule about everything counts too few (HT-ADP-22)")
        return Observed(kind="answer")

    async def _ask_many(self) -> None:
        plan = self._asker.plan().changed({"person": "green", "question.use": "CARRIED"})
        sealed = self._asker.seal(plan, questions=_MANY)
        answered = await self._asker.query(plan, sealed)
        if isinstance(answered, Observed):
            raise VoidError(f"{answered.code} {answered.reason}")
        opened = crypto.open_answer(
            sealed.batch.reply_key, answered, sealed.binding, self._asker.seal_key.profile
        )
        answers = exchange_pb2.AnswerBatch.FromString(opened).answers
        if sum(bool(answer.attestation) for answer in answers) != _MANY:
            raise VoidError("not an attestation for each question of an envelope")

    async def _foreign(self) -> Observed:
        await self._count()
        other = "urn:hutong:region:990000"
        return Observed(kind="answer", value=str(await self._count(issuer=other)))

    async def _impossible(self) -> Observed:
        await self._count(signed_from=_moment(100), signed_until=_moment(101))
        counted = await self._count(signed_from=_moment(101), signed_until=_moment(100))
        return Observed(kind="answer", value=str(counted))


def _moment(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)
