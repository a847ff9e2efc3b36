"""What a traveller shows, read at the door of the edge.

Three kinds, told apart by form alone: an attestation carried on phone or paper
(armoured text or a bare JWT), the text of a local QR code, an identity document.
Reading bounds and cleans; it decides nothing about regions (``identify``) and
nothing about trust (``decide``).

Personal values: every ``repr`` here is masked, and no error repeats its input.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from gateway.attestation import from_armour, is_armour
from gateway.codes import Document
from gateway.edge.errors import PresentationError

MAX_QR_CHARACTERS: Final = 2048
"""hutong.v1.Question.qr_text; the largest QR symbol holds 4 296 characters of its
poorest alphabet, deployed codes stay below 512 bytes."""

MAX_PRESENTATION_BYTES: Final = 16 * 1024
"""An armoured attestation is at most about 11 KiB (8 KiB of JWT in base45-like text)."""

# The parts of a JWT, and disclosures behind it (SD-JWT).
# A header is a JSON object: `{`, then a quotation mark or white space, which base64url
# writes as `ey` or `ew`. Without that, a local code with two full stops (Xiamen's) is one.
_JWT = re.compile(r"e[yw][A-Za-z0-9_-]+\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}[A-Za-z0-9_~-]*")


@dataclass(frozen=True, slots=True)
class CarriedAttestation:
    """An attestation that the holder carries, whole or in part; not verified yet."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LocalCode:
    """The text of a local QR code, as scanned."""

    text: str = field(repr=False)


Presentation = CarriedAttestation | LocalCode | Document


def read_text(data: bytes) -> str:
    """Decode what a scanner, a file or a pipe delivered.

    Raises:
        PresentationError: PRESENTATION_TOO_LONG above 16 KiB,
            PRESENTATION_MALFORMED when it is not UTF-8.
    """
    if len(data) > MAX_PRESENTATION_BYTES:
        raise PresentationError(
            f"longer than {MAX_PRESENTATION_BYTES} bytes", code="PRESENTATION_TOO_LONG"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PresentationError("the scanned text is not UTF-8") from None


def parse_presentation(text: str) -> CarriedAttestation | LocalCode:
    """Tell a carried attestation from the text of a local code.

    Scanners append line ends (a kiosk in Shanghai strips CR and LF for that
    reason), so white space around the text is dropped; nothing else is changed.

    Raises:
        PresentationError: PRESENTATION_MALFORMED for empty text or control
            characters, PRESENTATION_TOO_LONG beyond the bounds of the wire.
        ArmourError: the text says it is an armoured attestation and is not
            (ARMOUR_INVALID).
    """
    if len(text) > MAX_PRESENTATION_BYTES:
        raise PresentationError(
            f"longer than {MAX_PRESENTATION_BYTES} characters", code="PRESENTATION_TOO_LONG"
        )
    text = text.strip(" \t\r\n")
    if not text:
        raise PresentationError("nothing was presented")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Co"} for character in text):
        raise PresentationError("the scanned text holds control characters")
    if is_armour(text):
        return CarriedAttestation(from_armour(text))
    if _JWT.fullmatch(text) is not None:
        return CarriedAttestation(text)
    if len(text) > MAX_QR_CHARACTERS:
        raise PresentationError(
            f"longer than {MAX_QR_CHARACTERS} characters", code="PRESENTATION_TOO_LONG"
        )
    return LocalCode(text)


def carried_token(text: str) -> str:
    """Return the token inside armoured text, or the bare token.

    Raises:
        PresentationError: it is neither.
        ArmourError: it says that it is armour and is not.
    """
    text = text.strip()
    if is_armour(text):
        return from_armour(text)
    presentation = parse_presentation(text)
    if not isinstance(presentation, CarriedAttestation):
        raise PresentationError(
            "not a carried attestation; a local code can only be asked about online",
            code="PRESENTATION_UNRECOGNISED",
        )
    return presentation.token
