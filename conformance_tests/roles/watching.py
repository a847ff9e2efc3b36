"""One watch on what an adapter pushes (docs/spec/status.md), as a hub has it.

The suite takes the lists and the statements in, reads them strictly, and looks entries
up by the newest word.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2

from conformance_tests import crypto
from conformance_tests.attestations import LEEWAY_SECONDS
from conformance_tests.model import CheckFailedError, Observed, VoidError
from conformance_tests.roles import calls
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from conformance_tests.roles.asking import Asker

PATIENCE_SECONDS = 30
"""For what a platform tells to arrive at who watches, unless the profile says
``patience_seconds``; a second is usual."""
HEARTBEAT_SECONDS = 1
_LIST_TYPE = "statuslist+jwt"
_CHANGE_TYPE = "hutong-status+jwt"
_MOST_BYTES = 16 * 1024 * 1024  # HT-STS-5
_FEW = 3
_CHANGE_CLAIMS = {"iss", "iat", "uri", "seq", "base", "changes"}


@dataclass(slots=True)
class Watch:
    """One ``WatchChanges``, and what it has told so far.

    Attributes:
        authority: whose lists they are.
        keys: its attestation keys by key id.
        patience_seconds: how long what should come may take.
        bases: base lists by digest: their claims and entries.
        words: the newest statement on each list.
    """

    authority: str
    keys: Mapping[str, Any]
    patience_seconds: int
    frames: Any = field(repr=False)
    bases: dict[str, tuple[dict[str, Any], bytes]] = field(default_factory=dict, repr=False)
    words: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    async def next(self) -> str:
        """Take the next frame in; which kind it was.

        Raises:
            CheckFailedError: it breaks a rule, or none comes.
        """
        try:
            # A frame comes every heartbeat; only a dead line takes as long.
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

    def revoked(self) -> int:
        """How many entries of all lists are not valid by the newest words, whosever they are."""
        return sum(map(self._revoked, self.words.values()))

    def _revoked(self, word: Mapping[str, Any]) -> int:
        bits: int = word["base"]["bits"]
        entries = int.from_bytes(self.bases[word["base"]["digest"]][1], "little")
        mask = (1 << bits) - 1
        for value, places in word["changes"].items():
            for place in places:
                entries &= ~(mask << place * bits)
                entries |= int(value) << place * bits
        # Any bit of an entry means that it is not valid: all are folded into the lowest.
        for step in range(1, bits):
            entries |= (entries >> step) & self._lowest(bits, word["base"]["size"])
        return (entries & self._lowest(bits, word["base"]["size"])).bit_count()

    @staticmethod
    def _lowest(bits: int, size: int) -> int:
        """The lowest bit of every entry."""
        byte = sum(1 << place for place in range(0, 8, bits))
        return int.from_bytes(bytes([byte]) * (size * bits // 8), "little")

    async def refused(self) -> Observed:
        """Read on until the watch is refused; how it was."""
        try:
            async with asyncio.timeout(self.patience_seconds):
                while await self.frames.read() is not grpc.aio.EOF:
                    pass
        except TimeoutError:
            raise CheckFailedError("a draining adapter goes on pushing (HT-ADP-21)") from None
        except grpc.aio.AioRpcError as error:
            return calls.refusal(error)
        return Observed(kind="answer", value="an end without a reason")

    async def until_revoked(self, held: Iterable[Mapping[str, Any]]) -> None:
        """Wait for the word, up to the whole patience; for the rest of it, not so long.

        Raises:
            CheckFailedError: an entry stands.
        """
        claims = list(held)
        left = self.patience_seconds // HEARTBEAT_SECONDS
        while stand := sum(self.value(each) == 0 for each in claims):
            if stand < len(claims):
                # Lists are told of one after another, in one go.
                left = min(left, _FEW)
            if await self.next() == "heartbeat":
                left -= 1
            if left <= 0:
                raise CheckFailedError("an attestation of who turned stands (HT-STS-20)")

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


@contextlib.asynccontextmanager
async def watching(asker: Asker) -> AsyncIterator[Watch]:
    """Watch what the adapter pushes."""
    request = adapter_service_pb2.WatchChangesRequest(heartbeat_seconds=HEARTBEAT_SECONDS)
    call = asker.stub.WatchChanges(request)
    try:
        patience = int(asker.profile.entries.get("patience_seconds", PATIENCE_SECONDS))
        yield Watch(asker.authority, asker.attest_keys, patience, call)
    finally:
        call.cancel()


async def carried(asker: Asker, person: str) -> Mapping[str, Any]:
    """Ask for an attestation to carry; its claims, which name an entry.

    Raises:
        VoidError: none was given.
        CheckFailedError: it names no entry.
    """
    plan = asker.plan().changed({"person": person, "question.use": "CARRIED"})
    seen = await asker.ask(plan)
    if seen.kind != "level" or seen.notes:
        raise VoidError(f"{seen.code} {seen.reason} {seen.value}")
    # Its form is the matter of other checks.
    if "status" not in seen.claims:
        raise CheckFailedError("an attestation to carry names no entry (HT-STS-14)")
    return seen.claims
