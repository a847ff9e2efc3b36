"""QR texts of the reference cities: made and read by one form a city.

No source shows most of the real texts, so every form is a choice of its city's
module. What each needs is the same: a serial number that leads to a person, a
stamp that tells whether the text is still good, and a check that nobody can guess
by counting. A form is a template over these placeholders::

    {serial}   nine digits: place in the population, or an imported code
    {stamp}    digits: generation of the code, or minutes since 2020 with `life`
    {check}    16 hexadecimal digits, {CHECK} in upper case
    {opaque}   32 hexadecimal digits that hold all three, {OPAQUE} in upper case

    >>> form = QrForm("anywhere", "https://code.example/?c={serial}{stamp}&k={check}")
    >>> form.read(form.write(7, 1))
    Ticket(serial=7, stamp=1, genuine=True)

A city whose QR is no template (a JSON object in clear, say) overrides `render` and
`parse`. The check's key is no secret: this is a stage prop, and anybody may print
a ticket.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY: Final = 999_999_999
"""The largest serial number; never issued."""

IMPORTED_FROM: Final = 900_000_000
"""Serial numbers of imported codes begin here, far above any population."""

_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_CHECK_DIGITS: Final = 16
_OPAQUE_DIGITS: Final = 32
_MASKED_BYTES: Final = 8  # five of serial, three of stamp; minutes fit until 2051
_STAMP_BYTES: Final = 3


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a QR text says.

    Attributes:
        serial: whose.
        stamp: generation, or minutes since 2020.
        genuine: its check holds.
    """

    serial: int
    stamp: int
    genuine: bool


class QrForm:
    """One form of QR text.

    Args:
        city: short name; part of the check's key.
        template: see the head of this module.
        life: how long a text is good; None: until the code is made anew.
        stamp_digits: width of ``{stamp}``.
        payload: what the check is over, a template of ``{serial}``, ``{stamp}`` and
            ``{index}``, which is the serial number without its leading noughts.
    """

    def __init__(
        self,
        city: str,
        template: str,
        *,
        life: timedelta | None = None,
        stamp_digits: int = 8,
        payload: str = "{serial}/{stamp}",
    ) -> None:
        self.life = life
        self._key = f"hutong synthetic {city}".encode()
        self._template = template
        self._stamp_digits = stamp_digits
        self._payload = payload
        pattern = re.escape(template)
        for name, digits in (
            ("serial", "[0-9]{9}"),
            ("stamp", f"[0-9]{{{stamp_digits}}}"),
            ("check", f"[0-9a-f]{{{_CHECK_DIGITS}}}"),
            ("CHECK", f"[0-9A-F]{{{_CHECK_DIGITS}}}"),
            ("opaque", f"[0-9a-f]{{{_OPAQUE_DIGITS}}}"),
            ("OPAQUE", f"[0-9A-F]{{{_OPAQUE_DIGITS}}}"),
        ):
            pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{digits})")
        self._pattern = re.compile(pattern, re.ASCII)

    def write(self, serial: int, stamp: int) -> str:
        """The text of a code."""
        fields = self._fields(serial, stamp)
        check = self._check(fields)
        fields |= {"check": check, "CHECK": check.upper()}
        if "{opaque}" in self._template.lower():
            opaque = self._mask(serial, stamp, check) + check
            fields |= {"opaque": opaque, "OPAQUE": opaque.upper()}
        return self.render(fields)

    def read(self, text: str) -> Ticket | None:
        """What a text says; None: it is not of this form. Never raises."""
        fields = self.parse(text)
        if fields is None:
            return None
        opaque = fields.get("opaque") or fields.get("OPAQUE")
        if opaque is not None:
            body, check = opaque[:_CHECK_DIGITS].lower(), opaque[_CHECK_DIGITS:].lower()
            clear = bytes.fromhex(body)
            clear = bytes(a ^ b for a, b in zip(clear, self._pad(check), strict=True))
            serial = int.from_bytes(clear[:-_STAMP_BYTES], "big")
            stamp = int.from_bytes(clear[-_STAMP_BYTES:], "big")
        else:
            check = (fields.get("check") or fields.get("CHECK") or "").lower()
            serial, stamp = int(fields["serial"]), int(fields.get("stamp", "1"))
        wanted = self._check(self._fields(serial, stamp))
        return Ticket(serial, stamp, hmac.compare_digest(check.encode(), wanted.encode()))

    def render(self, fields: Mapping[str, str]) -> str:
        """Write the fields into the text."""
        text = self._template
        for name, value in fields.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def parse(self, text: str) -> Mapping[str, str] | None:
        """Find the fields in a text; None: it is not of this form."""
        match = self._pattern.fullmatch(text)
        return None if match is None else match.groupdict()

    def stamp_at(self, moment: datetime, generation: int = 1) -> int:
        """The stamp of a text made at a moment; without `life` the generation."""
        if self.life is None:
            return generation
        return max(0, (moment - _EPOCH) // _MINUTE)

    def holds(self, stamp: int, now: datetime, generation: int = 1) -> bool:
        """Whether a text with this stamp is still good."""
        if self.life is None:
            return stamp == generation
        made = _EPOCH + stamp * _MINUTE
        return made <= now < made + self.life

    def _fields(self, serial: int, stamp: int) -> dict[str, str]:
        return {
            "serial": f"{serial:09d}",
            "stamp": f"{stamp:0{self._stamp_digits}d}",
            "index": str(serial),
        }

    def _check(self, fields: Mapping[str, str]) -> str:
        payload = self._payload.format_map(fields)
        return hashlib.blake2b(payload.encode(), digest_size=8, key=self._key).hexdigest()

    def _mask(self, serial: int, stamp: int, check: str) -> str:
        clear = serial.to_bytes(_MASKED_BYTES - _STAMP_BYTES, "big")
        clear += stamp.to_bytes(_STAMP_BYTES, "big")
        return bytes(a ^ b for a, b in zip(clear, self._pad(check), strict=True)).hex()

    def _pad(self, check: str) -> bytes:
        return hashlib.blake2b(
            check.encode(), digest_size=_MASKED_BYTES, key=self._key, person=b"pad"
        ).digest()
