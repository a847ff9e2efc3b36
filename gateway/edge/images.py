"""Pictures of a code, read at the door: PNG, and SVG as this project draws it.

zxing-cpp finds and reads the symbol; it wants pixels, so this module turns a
file into one grey plane. Only what a checkpoint meets is read: PNG of any colour
type without interlacing (screenshots, scanners, ``hutong checkpoint fetch``) and
the SVG subset that segno writes. Everything is bounded before it is unpacked:
bytes of the file, pixels of the picture, bytes that the packed data may become.

A picture that cannot be read is an ``ImageError``; nothing of its content is
repeated.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

import zxingcpp

from gateway.edge.errors import ImageError

MAX_IMAGE_BYTES: Final = 8 * 1024 * 1024
"""A screenshot of a phone is below 4 MiB."""

MAX_PIXELS: Final = 8 * 1024 * 1024
"""A phone's screen has 2 to 4 million pixels; unpacking 8 million takes seconds."""

MAX_MODULES: Final = 177 + 16
"""Side of the largest QR symbol (version 40) with a generous quiet zone."""

_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel by PNG colour type (ISO/IEC 15948, table 11.1)."""
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_OPAQUE: Final = 128
"""Pixels below half opacity show the page behind them: white."""
_WHITE: Final = 255


def read_code_from_image(data: bytes) -> str:
    """Read the one QR code of a picture.

    Args:
        data: content of a PNG or SVG file.

    Raises:
        ImageError: IMAGE_TOO_LARGE, IMAGE_UNREADABLE (not a picture of a known
            kind, truncated, damaged), IMAGE_NO_CODE, IMAGE_SEVERAL_CODES.
    """
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageError(f"larger than {MAX_IMAGE_BYTES} bytes", code="IMAGE_TOO_LARGE")
    if data.startswith(_PNG_MAGIC):
        width, height, grey = _grey_from_png(data)
    elif _looks_like_svg(data):
        width, height, grey = _grey_from_svg(data)
    else:
        raise ImageError("neither PNG nor SVG")
    found = zxingcpp.read_barcodes(
        memoryview(grey).cast("B", (height, width)),
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
        text_mode=zxingcpp.TextMode.Plain,
    )
    texts = {barcode.text for barcode in found if barcode.valid}
    if not texts:
        raise ImageError("no readable QR code in the picture", code="IMAGE_NO_CODE")
    if len(texts) > 1:
        raise ImageError("several QR codes in the picture", code="IMAGE_SEVERAL_CODES")
    return str(texts.pop())


def is_image(data: bytes) -> bool:
    """Whether ``data`` begins like a picture that this module reads."""
    return data.startswith(_PNG_MAGIC) or _looks_like_svg(data)


# --- PNG ---------------------------------------------------------------------


def _grey_from_png(data: bytes) -> tuple[int, int, bytes]:
    width, height, depth, colour, palette, packed = _png_chunks(data)
    channels = _CHANNELS[colour]
    bytes_per_sample = 2 if depth == 16 else 1  # noqa: PLR2004 - bits, as the format says
    row_bytes = (width * channels * depth + 7) // 8
    unpacker = zlib.decompressobj()
    wanted = (row_bytes + 1) * height
    try:
        raw = unpacker.decompress(packed, wanted)
    except zlib.error:
        raise ImageError("the picture is damaged") from None
    if len(raw) != wanted:
        raise ImageError("the picture is truncated")
    # Filters work on each byte position of a pixel by itself, so one plane can be
    # unfiltered without the others: green carries most of the brightness.
    step = channels * bytes_per_sample
    if depth < 8:  # noqa: PLR2004 - as the PNG format says
        plane = _unfilter(raw, row_bytes, height, 0, 1)
        plane = _spread(plane, row_bytes, width, height, depth)
    else:
        offset = bytes_per_sample if channels >= 3 else 0  # noqa: PLR2004 - as the PNG format says
        plane = _unfilter(raw, row_bytes, height, offset, step)
    if colour == 3:  # noqa: PLR2004 - indexed
        plane = plane.translate(palette)
    elif depth < 8:  # noqa: PLR2004 - as the PNG format says
        top = (1 << depth) - 1
        plane = plane.translate(bytes(min(v, top) * _WHITE // top for v in range(256)))
    if colour in {4, 6}:
        alpha = _unfilter(raw, row_bytes, height, (channels - 1) * bytes_per_sample, step)
        if min(alpha) < _OPAQUE:
            pairs = zip(plane, alpha, strict=True)
            plane = bytes(v if a >= _OPAQUE else _WHITE for v, a in pairs)
    return width, height, plane


def _png_chunks(data: bytes) -> tuple[int, int, int, int, bytes, bytes]:
    """Width, height, depth, colour type, green of the palette, packed pixels."""
    position = len(_PNG_MAGIC)
    header: tuple[int, int, int, int] | None = None
    palette = bytes(range(256))
    packed = bytearray()
    while True:
        if position + 12 > len(data):
            raise ImageError("the picture is truncated")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ImageError("the picture is truncated")
        body = data[position + 8 : end]
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise ImageError("the picture is damaged")
        position = end + 4
        if kind == b"IHDR":
            header = _png_header(body)
        elif kind == b"PLTE":
            palette = body[1::3][:256].ljust(256, b"\x00")
        elif kind == b"IDAT":
            packed += body
        elif kind == b"IEND":
            break
    if header is None or not packed:
        raise ImageError("the picture has no content")
    return *header, palette, bytes(packed)


def _png_header(body: bytes) -> tuple[int, int, int, int]:
    if len(body) != 13:  # noqa: PLR2004 - length of IHDR
        raise ImageError("the picture is damaged")
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering:
        raise ImageError("the picture is damaged")
    if interlace:
        raise ImageError("interlaced PNG is not read; save it without interlacing")
    if width == 0 or height == 0:
        raise ImageError("the picture is empty")
    if width * height > MAX_PIXELS:
        raise ImageError(f"more than {MAX_PIXELS} pixels", code="IMAGE_TOO_LARGE")
    return width, height, depth, colour


def _unfilter(raw: bytes, row_bytes: int, height: int, offset: int, step: int) -> bytes:
    """One plane of the picture: every ``step``-th byte from ``offset`` of each row."""
    rows: list[bytes] = []
    above = bytes(len(range(offset, row_bytes, step)))
    for index in range(height):
        start = index * (row_bytes + 1)
        line = raw[start + 1 + offset : start + 1 + row_bytes : step]
        if raw[start] >= len(_UNFILTERS):
            raise ImageError("the picture is damaged")
        above = _UNFILTERS[raw[start]](line, above)
        rows.append(above)
    return b"".join(rows)


def _unfilter_none(line: bytes, above: bytes) -> bytes:
    del above
    return line


def _unfilter_sub(line: bytes, above: bytes) -> bytes:
    del above
    out = bytearray(line)
    left = 0
    for i, x in enumerate(line):
        out[i] = left = (x + left) & 255
    return bytes(out)


def _unfilter_up(line: bytes, above: bytes) -> bytes:
    return bytes([(x + b) & 255 for x, b in zip(line, above, strict=True)])


def _unfilter_average(line: bytes, above: bytes) -> bytes:
    out = bytearray(len(line))
    left = 0
    for i, x in enumerate(line):
        out[i] = left = (x + ((left + above[i]) >> 1)) & 255
    return bytes(out)


def _unfilter_paeth(line: bytes, above: bytes) -> bytes:
    out = bytearray(len(line))
    left = corner = 0
    for i, x in enumerate(line):
        up = above[i]
        to_left, to_up = abs(up - corner), abs(left - corner)
        to_corner = abs(left + up - 2 * corner)
        if to_left <= to_up and to_left <= to_corner:
            guess = left
        elif to_up <= to_corner:
            guess = up
        else:
            guess = corner
        out[i] = left = (x + guess) & 255
        corner = up
    return bytes(out)


_UNFILTERS: Final = (
    _unfilter_none,
    _unfilter_sub,
    _unfilter_up,
    _unfilter_average,
    _unfilter_paeth,
)
"""The five filters of ISO/IEC 15948, 9.2, by the number each row begins with."""


def _spread(plane: bytes, row_bytes: int, width: int, height: int, depth: int) -> bytes:
    """One byte a pixel from several pixels a byte, high bits first."""
    mask = (1 << depth) - 1
    shifts = range(8 - depth, -1, -depth)
    table = [bytes((value >> shift) & mask for shift in shifts) for value in range(256)]
    rows = []
    for index in range(height):
        line = plane[index * row_bytes : (index + 1) * row_bytes]
        rows.append(b"".join([table[value] for value in line])[:width])
    return b"".join(rows)


# --- SVG ---------------------------------------------------------------------

_SVG_PATH = re.compile(
    r"<path\b[^<>]{0,200}?\bstroke=[^<>]{0,200}?\bd=\"([Mmh0-9 .\-]{1,400000})\""
)
_SVG_STEP = re.compile(r"([Mmh])(-?[0-9]{1,4}(?:\.5)?)(?: (-?[0-9]{1,4}(?:\.5)?))?")
_SCALE: Final = 4
"""Pixels a module when an SVG is drawn; enough for the reader, small in memory."""


def _looks_like_svg(data: bytes) -> bool:
    head = data[:256].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith((b"<svg", b"<?xml")) and b"<svg" in data[:1024]


def _grey_from_svg(data: bytes) -> tuple[int, int, bytes]:
    """Draw segno's path: rows of horizontal strokes, one module high."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ImageError("the picture is not UTF-8") from None
    match = _SVG_PATH.search(text)
    if match is None:
        raise ImageError("this SVG is not one that `hutong checkpoint fetch` drew; use PNG")
    modules: set[tuple[int, int]] = set()
    x = y = 0.0
    for step in _SVG_STEP.finditer(match[1]):
        across, down = float(step[2]), float(step[3] or 0)
        if step[1] == "M":
            x, y = across, down
            continue
        if step[1] == "h":
            if min(x, across, y) < 0 or x + across > MAX_MODULES or y >= MAX_MODULES:
                raise ImageError("the picture is damaged")
            modules.update((int(x) + i, int(y)) for i in range(int(across)))
        x, y = x + across, y + down
    if not modules:
        raise ImageError("no readable QR code in the picture", code="IMAGE_NO_CODE")
    quiet = 4
    left, top = min(c for c, _ in modules), min(r for _, r in modules)
    columns = max(c for c, _ in modules) - left + 1 + 2 * quiet
    rows = max(r for _, r in modules) - top + 1 + 2 * quiet
    lines = []
    for row in range(rows):
        line = bytes(
            0 if (column + left - quiet, row + top - quiet) in modules else _WHITE
            for column in range(columns)
            for _ in range(_SCALE)
        )
        lines.append(line * _SCALE)
    return columns * _SCALE, rows * _SCALE, b"".join(lines)
