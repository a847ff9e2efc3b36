"""Codes converted from another region's: the platform's own side of the bridge.

The adapter checks the attestation and the condition; the platform checks its own
record, gives the person a local code, and honours it until it ends. It keeps who,
from where, until when and the date of the negative test, and forgets all of it
when it stops, as everything here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from adapters.platforms.people import Person
from adapters.platforms.qr import IMPORTED_FROM, NOBODY
from adapters.platforms.records import Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

MAX_REFERENCE: Final = 128
"""Characters of a reference; the identifier of an attestation is far shorter."""

_MAX_NAME: Final = 64
_MAX_NUMBER: Final = 32
_DIVISION_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """What an adapter asks its platform to register.

    Attributes:
        reference: of this conversion; asking again with it changes nothing.
        number: document number.
        name: holder's name; empty: not given.
        document_type: as the wire names it; empty: a resident identity card.
        origin: six-digit division that stated the green.
        negative_test_at: last negative test that the origin knows of.
        ends_at: when the code must end at the latest, exclusive; None: the platform
            alone decides.
    """

    reference: str
    number: str = field(repr=False)
    origin: str
    name: str = field(default="", repr=False)
    document_type: str = ""
    negative_test_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A local code made from another region's.

    Attributes:
        person: the holder; ``index`` is the serial number of the code.
        qr_text: what the holder shows from now on.
        imported_at: when it was registered.
        expires_at: exclusive.
        origin: division that stated the green.
        negative_test_at: as stated there.
    """

    person: Person
    qr_text: str = field(repr=False)
    imported_at: datetime
    expires_at: datetime
    origin: str
    negative_test_at: datetime | None


class Imports:
    """The imported codes of one platform.

    Args:
        life: from the import to the end of the code.
    """

    def __init__(self, life: timedelta) -> None:
        self._life = life
        self._by_reference: dict[str, Imported] = {}
        self._by_serial: dict[int, Imported] = {}

    def by_serial(self, serial: int) -> Imported | None:
        """The imported code with a serial number."""
        return self._by_serial.get(serial)

    def register(
        self, order: ImportOrder, now: datetime, qr_text: Callable[[int], str | None]
    ) -> Imported | Result:
        """Register a code, or find the one that the reference stands for.

        Args:
            order: what is asked for.
            now: aware time.
            qr_text: makes the text for a serial number; None: there is no QR.

        Returns:
            The code; `Result.BAD_REQUEST` where a member is missing or too long,
            or the end is past;
            `Result.CONFLICT` where the reference stands for another conversion.
        """
        over = order.ends_at is not None and order.ends_at <= now
        if over or not _well_formed(order):
            return Result.BAD_REQUEST
        known = self._by_reference.get(order.reference)
        if known is not None:
            same = (known.person.number, known.origin) == (order.number, order.origin)
            return known if same else Result.CONFLICT
        serial = IMPORTED_FROM + len(self._by_serial)
        text = qr_text(serial) if serial < NOBODY else None
        if text is None:
            return Result.BAD_REQUEST
        now = now.replace(microsecond=0)
        ends_at = now + self._life
        if order.ends_at is not None:
            ends_at = min(ends_at, order.ends_at)
        imported = Imported(
            person=Person(
                index=serial, number=order.number, name=order.name, phone="", county=order.origin
            ),
            qr_text=text,
            imported_at=now,
            expires_at=ends_at,
            origin=order.origin,
            negative_test_at=order.negative_test_at,
        )
        self._by_reference[order.reference] = imported
        self._by_serial[serial] = imported
        return imported


def _well_formed(order: ImportOrder) -> bool:
    return (
        0 < len(order.reference) <= MAX_REFERENCE
        and 0 < len(order.number) <= _MAX_NUMBER
        and len(order.name) <= _MAX_NAME
        and len(order.origin) == _DIVISION_DIGITS
        and order.origin.isascii()
        and order.origin.isdigit()
    )
