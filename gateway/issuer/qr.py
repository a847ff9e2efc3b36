"""Codes to show: a QR text with a random reference, and nothing about the person.

``HTCN1:`` and 32 letters and digits of base32 (RFC 4648 §6), which stand for 160 random
bits. All of it lies in the alphanumeric mode of ISO/IEC 18004, so the symbol stays
small. The issuer keeps the SHA-256 of the reference: a stolen table shows no code, and
160 bits cannot be searched.

A code has a clock of its own (minutes on a phone, days on paper), beside that of the
declaration. One that is over is still known for a while, to say so.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from gateway.issuer.days import from_seconds, to_seconds
from gateway.issuer.store.service_schema import shown_codes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.issuer.store import IssuerStore

MARK: Final = "HTCN1:"
PHONE_SECONDS: Final = 300
"""Life of a code on a phone; a choice: it is made anew whenever it is looked at."""
PAPER_DAYS: Final = 7
"""Life of a code on paper; a choice: half of a declaration's."""
KEEP_DAYS: Final = 30
"""How long a code that is over is still told from one that never was; a choice."""

_REFERENCE_BYTES: Final = 20
_TEXT = re.compile(rf"{MARK}([A-Z2-7]{{32}})", re.ASCII)


class Medium(IntEnum):
    """On what a code is shown; the numbers of the schema."""

    PHONE = 1
    PAPER = 2


@dataclass(frozen=True, slots=True)
class MadeCode:
    """A code that was made.

    Attributes:
        text: of the QR code.
        made_at: when.
        valid_until: exclusive.
    """

    text: str = field(repr=False)
    made_at: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class ShownCode:
    """A code that was found again.

    Attributes:
        person_id: whose.
        valid_until: exclusive.
    """

    person_id: int = field(repr=False)
    valid_until: datetime


def is_ours(text: str) -> bool:
    """Whether a text has the shape of this issuer's codes."""
    return _TEXT.fullmatch(text) is not None


class ShownCodes:
    """Makes and finds codes; see the module.

    Args:
        store: where they stand.
        random: gives random bytes, ``os.urandom``.
        phone_seconds: life on a phone.
        paper_days: life on paper.
    """

    def __init__(
        self,
        store: IssuerStore,
        random: Callable[[int], bytes],
        *,
        phone_seconds: int = PHONE_SECONDS,
        paper_days: int = PAPER_DAYS,
    ) -> None:
        self._store = store
        self._random = random
        self._lives = {
            Medium.PHONE: timedelta(seconds=phone_seconds),
            Medium.PAPER: timedelta(days=paper_days),
        }

    async def make(self, person_id: int, medium: Medium, *, client: str, now: datetime) -> MadeCode:
        """Make a code for a person."""
        text = MARK + base64.b32encode(self._random(_REFERENCE_BYTES)).decode("ascii")
        made_at = now.replace(microsecond=0)
        valid_until = made_at + self._lives[medium]
        async with self._store.write() as connection:
            await connection.execute(
                sa.insert(shown_codes).values(
                    digest=_digest(text),
                    person_id=person_id,
                    medium=int(medium),
                    made_at=to_seconds(made_at),
                    valid_until=to_seconds(valid_until),
                    client=client,
                )
            )
        return MadeCode(text, made_at, valid_until)

    async def find(self, text: str) -> ShownCode | None:
        """Find the code of a text of our shape; None: there is none, or no more."""
        async with self._store.read() as connection:
            row = (
                await connection.execute(
                    sa.select(shown_codes.c.person_id, shown_codes.c.valid_until).where(
                        shown_codes.c.digest == _digest(text)
                    )
                )
            ).one_or_none()
        return None if row is None else ShownCode(row.person_id, from_seconds(row.valid_until))

    async def forget(self, now: datetime) -> None:
        """Delete codes that have been over for :data:`KEEP_DAYS`."""
        before = to_seconds(now - timedelta(days=KEEP_DAYS))
        async with self._store.write() as connection:
            await connection.execute(
                sa.delete(shown_codes).where(shown_codes.c.valid_until < before)
            )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()
