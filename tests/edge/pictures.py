"""Pictures of a code as a gate meets them: turned, blurred, dimmed, noisy, seen aslant.

Every picture is made from a seed, so it is the same on every run.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import TYPE_CHECKING, Final

import segno
from PIL import Image, ImageEnhance, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from segno import QRCode

WHITE: Final = 255


def draw(symbol: QRCode | str, *, pixels: int = 6) -> Image.Image:
    """A symbol, or the one that ``hutong checkpoint fetch`` prints of a text."""
    if isinstance(symbol, str):
        symbol = segno.make_qr(symbol, error="m", boost_error=False)
    stream = io.BytesIO()
    symbol.save(stream, kind="png", scale=pixels)
    return Image.open(stream).convert("L")


def to_png(image: Image.Image) -> bytes:
    """The picture as a file; its rows unfiltered, which is quickest to read."""
    width, height = image.size
    pixels = image.convert("L").tobytes()
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def turned(degrees: float) -> Callable[[Image.Image], Image.Image]:
    """Held askew, on a white page."""

    def change(image: Image.Image) -> Image.Image:
        return image.rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=WHITE)

    return change


def blurred(pixels: float) -> Callable[[Image.Image], Image.Image]:
    """Out of focus by a Gaussian of this radius."""
    return lambda image: image.filter(ImageFilter.GaussianBlur(pixels))


def dimmed(brightness: float, contrast: float = 1.0) -> Callable[[Image.Image], Image.Image]:
    """A phone at its darkest, or a page in the dusk."""

    def change(image: Image.Image) -> Image.Image:
        return ImageEnhance.Brightness(ImageEnhance.Contrast(image).enhance(contrast)).enhance(
            brightness
        )

    return change


def noisy(sigma: float, seed: int = 1) -> Callable[[Image.Image], Image.Image]:
    """A sensor in bad light: every pixel off by a little."""

    def change(image: Image.Image) -> Image.Image:
        drawn = random.Random(seed)  # noqa: S311 - the same noise on every run
        # One row of errors for all, shifted: as random to a reader, and quickly made.
        errors = [drawn.gauss(0, sigma) for _ in range(8191)]
        pixels = image.tobytes()
        changed = (
            min(WHITE, max(0, round(value + errors[place % 8191])))
            for place, value in enumerate(pixels)
        )
        return Image.frombytes("L", image.size, bytes(changed))

    return change


def aslant(share: float) -> Callable[[Image.Image], Image.Image]:
    """Seen from the side: the far edge shorter by this share of the width."""

    def change(image: Image.Image) -> Image.Image:
        width, height = image.size
        inset = share * width / 2
        # The source's corners, as the target's corners show them.
        quad = (-inset, 0, 0, height, width, height, width + inset, 0)
        return image.transform(
            image.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR, fillcolor=WHITE
        )

    return change


def sized(pixels_a_module: float, *, drawn_at: int = 6) -> Callable[[Image.Image], Image.Image]:
    """Taken from farther away: fewer pixels a module than it was drawn with."""

    def change(image: Image.Image) -> Image.Image:
        factor = pixels_a_module / drawn_at
        size = (round(image.width * factor), round(image.height * factor))
        return image.resize(size, Image.Resampling.BICUBIC)

    return change
