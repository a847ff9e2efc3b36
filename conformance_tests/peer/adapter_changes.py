"""What the reference adapter keeps of the carried attestations that it gives, and pushes.

One status list in memory, written from ``docs/spec/status.md``; at most one fault.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError
from conformance_tests.vectors.keys import digest
from conformance_tests.vectors.lists import CHANGE_TYPE, LIST_TYPE, packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hutong.v1 import distrust_pb2
    from jwcrypto import jwk

SIZE = 4096
_DECOYS = 256
_FEWEST = 10  # HT-ADP-22
_LIFE_SECONDS = 86_400
_LOT_SECONDS = 3600
_HEARTBEAT_SECONDS = 15
_REBASED_AFTER = 3
"""Turns until what stands becomes the base; seldom enough for a statement to say something."""
_Frame = adapter_service_pb2.WatchChangesResponse


@dataclass(slots=True)
class ReferenceChanges:
    """The list, who holds which entry of it, and who watches.

    Attributes:
        fault: the deliberate fault; empty for none.
        authority: URN of the region.
        key: its attestation key.
    """

    fault: str
    authority: str
    key: jwk.JWK
    uri: str = field(init=False)
    _base: str = field(init=False, repr=False)
    _begun: set[int] = field(init=False, repr=False)
    _held: list[tuple[int, str, int, int]] = field(default_factory=list)
    _decoys: set[int] = field(default_factory=set)
    _revoked: set[int] = field(default_factory=set)
    _sequence: int = 1
    _told: int = 0
    _turned: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: int = 0
    _turned_at: dict[str, int] = field(default_factory=dict)
    _more: list[str] = field(default_factory=list)
    _drains: bool = False

    def __post_init__(self) -> None:
        self.uri = f"urn:hutong:status:{self.authority.rpartition(':')[2]}:reference"
        while len(self._decoys) < _DECOYS:
            # Not among the first, so that the fault of giving them out in order shows always.
            self._decoys.add(SIZE // 2 + secrets.randbelow(SIZE // 2))
        self._begun = set(list(self._decoys)[: _DECOYS // 2])
        self._base = self._sign_base(self.uri)

    def _sign_base(self, uri: str) -> str:
        now = int(time.time())
        life = 60 if self.fault == "list-ends-early" else 2 * _LIFE_SECONDS
        data = packed(dict.fromkeys(self._begun, 1), bits=1, size=SIZE)
        if self.fault == "list-too-short":
            data = data[:-1]
        claims = {
            "iss": self.authority,
            "sub": uri,
            "iat": now,
            "exp": now + life,
            "status_list": {"bits": 1, "lst": crypto.b64(zlib.compress(data, 9))},
        }
        signer = crypto.new_signing_key() if self.fault == "list-by-a-stranger" else self.key
        return crypto.sign(claims, signer, LIST_TYPE, kid=self.key["kid"])

    # -- issuing ------------------------------------------------------------------

    def allot(self, owner: str, issued_at: int, expires_at: int) -> dict[str, Any]:
        """Claims that name an entry of its own for an attestation to carry."""
        if self.fault == "status-left-out":
            return {}
        entry = self._draw(owner)
        self._held.append((entry, owner, issued_at, expires_at))
        elsewhere = self.uri + "-2" if self.fault == "list-not-pushed" else self.uri
        if self.fault == "list-with-its-first-entry":
            elsewhere = f"{self.uri}-{len(self._held)}"
            self._more.append(elsewhere)
            self._wake()
        serial = issued_at // _LOT_SECONDS
        if self.fault == "serial-counts-attestations":
            serial += len(self._held)
        return {"status": {"status_list": {"idx": entry, "uri": elsewhere}}, "serial": serial}

    def _draw(self, owner: str) -> int:
        given = {entry: whose for entry, whose, _, _ in self._held}
        if self.fault == "entry-of-a-person" and owner in given.values():
            return next(entry for entry, whose in given.items() if whose == owner)
        if self.fault == "entries-in-order":
            return min(set(range(SIZE)) - self._decoys - set(given))
        while (entry := secrets.randbelow(SIZE)) in self._decoys or entry in given:
            pass
        return entry

    def count(self, rule: distrust_pb2.DistrustRule) -> int:
        """How many live attestations a rule touches.

        Raises:
            RefusedError: DISTRUST_INVALID.
        """
        foreign = rule.issuer != self.authority and self.fault != "foreign-rule-counted"
        first, last = rule.signed_from.seconds, rule.signed_until.seconds
        has_end = rule.HasField("signed_until")
        if foreign or (has_end and last <= first and self.fault != "impossible-rule-counted"):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "DISTRUST_INVALID")
        touched = [
            issued
            for _, _, issued, expires in self._held
            if issued >= first and (not has_end or issued < last) and expires > time.time()
        ]
        found = 0 if self.fault == "nothing-counted" else len(touched)
        if self.fault == "rule-ignored-in-count":
            found = len(self._held)
        return found if self.fault == "few-counted" else max(found, _FEWEST)

    # -- revoking -----------------------------------------------------------------

    def turns(self) -> int:
        """How often somebody was turned; before the platform is asked."""
        return self._turns

    def was_turned(self, owner: str, since: int) -> bool:
        """Whether a person was turned after so many turns of anybody."""
        return self._turned_at.get(owner, 0) > since

    def turn(self, owner: str, state: str | None) -> None:
        """Take up that a person is no longer green, or is so again."""
        entries = {entry for entry, whose, _, _ in self._held if whose == owner}
        if state is None:
            if self.fault != "revocation-taken-back":
                return
            self._revoked -= entries
        else:
            self._turns += 1
            self._turned_at[owner] = self._turns
            if self.fault == "everybody-revoked":
                entries = {entry for entry, _, _, _ in self._held}
            if self.fault == "first-only-revoked":
                # Always the same one: the oldest, so that whatever came later stands.
                entries = {next((e for e, whose, *_ in self._held if whose == owner), 0)}
            still = sorted(self._decoys - self._begun - self._revoked)
            self._revoked |= entries
            if self.fault != "no-decoy-changes":
                self._revoked |= set(still[:2])
        self._told += 1
        if self.fault != "number-stands-still":
            self._sequence += 1
        if state is not None and self._turns % _REBASED_AFTER == 0 and not self._more:
            self._rebase()
        self._wake()

    def _rebase(self) -> None:
        """Make what stands the base."""
        if self.fault != "new-base-takes-back":
            self._begun |= self._revoked
        self._revoked = set()
        self._base = self._sign_base(self.uri)

    def _wake(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    async def frames(self, heartbeat_seconds: int) -> AsyncIterator[_Frame]:
        """What stands, then what changes, and a sign of life between.

        Raises:
            RefusedError: SHUTTING_DOWN, the adapter drains.
        """
        sent: dict[str, tuple[str, int]] = {}
        if self.fault == "statement-first":
            yield _Frame(change=self._change(self.uri, self._base))
        while True:
            told = self._turned
            for frame in self._frames(sent):
                yield frame
            if self.fault == "watch-ends":
                return
            silent = True
            while silent and not self._is_draining():
                try:
                    async with asyncio.timeout(heartbeat_seconds or _HEARTBEAT_SECONDS):
                        await told.wait()
                    silent = False
                except TimeoutError:
                    yield _Frame(heartbeat=adapter_service_pb2.WatchChangesHeartbeat())
            if self._is_draining():
                raise RefusedError(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")

    def drain(self, is_draining: bool) -> None:  # noqa: FBT001 - a callback takes no keywords
        """Stop for whoever watches, or go on."""
        self._drains = is_draining
        self._wake()

    def _is_draining(self) -> bool:
        return self._drains and self.fault != "drained-without-a-word"

    def _frames(self, sent: dict[str, tuple[str, int]]) -> list[_Frame]:
        """What a watcher lacks: base lists, then statements."""
        lists, changes = [], []
        for uri in (self.uri, *self._more):
            base, told = sent.get(uri, ("", -1))
            if uri == self.uri and base != self._base:
                base = self._base
                lists.append(base)
            elif not base:
                base = self._sign_base(uri)
                lists.append(base)
            if told != self._told:
                changes.append(_Frame(change=self._change(uri, base)))
            sent[uri] = base, self._told
        tokens = [adapter_service_pb2.StatusListToken(token=base.encode()) for base in lists]
        return [*(_Frame(list=token) for token in tokens), *changes]

    def _change(self, uri: str, base: str) -> str:
        revoked = sorted(self._revoked, reverse=self.fault == "changes-unsorted")
        claims = {
            "iss": self.authority,
            "iat": int(time.time()),
            "uri": uri,
            "base": {"digest": digest(base), "size": SIZE, "bits": 1},
            "seq": self._sequence,
            "changes": {"1": revoked} if revoked else {},
        }
        return crypto.sign(claims, self.key, CHANGE_TYPE)
