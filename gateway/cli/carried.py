"""A carried attestation on paper and on a screen: QR as PNG, SVG-free, and as blocks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import segno

from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

PIXELS_A_MODULE = 6
"""About half a millimetre on ordinary paper, which a phone reads at arm's length."""


def write_carried(stem: Path, armour: str) -> tuple[Path, ...]:
    """Write ``STEM.txt`` and ``STEM.png``, readable by their owner only.

    Returns:
        What was written.
    """
    text, picture = stem.with_name(stem.name + ".txt"), stem.with_name(stem.name + ".png")
    drawn = io.BytesIO()
    segno.make_qr(armour, error="m", boost_error=False).save(
        drawn, kind="png", scale=PIXELS_A_MODULE
    )
    write_atomically(text, armour.encode() + b"\n")
    write_atomically(picture, drawn.getvalue())
    return text, picture


def show_qr(armour: str) -> None:
    """Draw the code at the terminal, two modules a character."""
    segno.make_qr(armour, error="l", boost_error=False).terminal(compact=True)
