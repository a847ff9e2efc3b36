"""Calls that must be applied for: a serial number and a nonce against replay.

One applied call is one MakeCode or one VerifyCode of the client that applied, of the
kind it was applied for, within a short life. Making it deletes its row in one
statement, so of several processes and several attempts exactly one is first. The nonce
is kept as its hash.

A call is used up when it is presented, also where the request is then refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from gateway.attestation import base64url
from gateway.issuer.days import to_seconds
from gateway.issuer.service_errors import CallNotAppliedError
from gateway.issuer.store.service_schema import calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.issuer.store import IssuerStore

CALL_SECONDS: Final = 120
"""Life of an applied call: a scan and a question, with time for a slow line; a choice."""

NONCE_BYTES: Final = 16
"""``AppliedCall.nonce`` of the schema."""

_SERIAL_BYTES: Final = 16


class CallKind(IntEnum):
    """What a call is applied for; the numbers of the schema."""

    MAKE = 1
    VERIFY = 2


@dataclass(frozen=True, slots=True)
class Applied:
    """What a client must present.

    Attributes:
        serial: serial number.
        nonce: 16 bytes.
        expires_at: exclusive.
    """

    serial: str
    nonce: bytes = field(repr=False)
    expires_at: datetime


class Calls:
    """Gives and takes calls; see the module.

    Args:
        store: where they stand.
        random: gives random bytes, ``os.urandom``.
        life_seconds: how long one may be made.
    """

    def __init__(
        self,
        store: IssuerStore,
        random: Callable[[int], bytes],
        *,
        life_seconds: int = CALL_SECONDS,
    ) -> None:
        self._store = store
        self._random = random
        self._life = timedelta(seconds=life_seconds)

    async def apply(self, client: str, kind: CallKind, now: datetime) -> Applied:
        """Give a client one call."""
        serial = base64url.encode(self._random(_SERIAL_BYTES))
        nonce = self._random(NONCE_BYTES)
        expires_at = (now + self._life).replace(microsecond=0)
        async with self._store.write() as connection:
            await connection.execute(
                sa.insert(calls).values(
                    serial=serial,
                    nonce=_hash(serial, nonce),
                    client=client,
                    kind=int(kind),
                    expires_at=to_seconds(expires_at),
                )
            )
        return Applied(serial, nonce, expires_at)

    async def make(
        self, serial: str, nonce: bytes, *, client: str, kind: CallKind, now: datetime
    ) -> None:
        """Use a call up.

        Raises:
            CallNotAppliedError: see there.
        """
        async with self._store.write() as connection:
            result = await connection.execute(
                sa.delete(calls).where(
                    calls.c.serial == serial,
                    calls.c.nonce == _hash(serial, nonce),
                    calls.c.client == client,
                    calls.c.kind == int(kind),
                    calls.c.expires_at > to_seconds(now),
                )
            )
        if result.rowcount != 1:
            raise CallNotAppliedError("apply for the call first; each is made once and soon")

    async def forget(self, before: datetime) -> None:
        """Delete calls that nobody made."""
        async with self._store.write() as connection:
            await connection.execute(
                sa.delete(calls).where(calls.c.expires_at < to_seconds(before))
            )


def _hash(serial: str, nonce: bytes) -> bytes:
    return hashlib.sha256(serial.encode() + nonce).digest()
