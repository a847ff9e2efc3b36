"""Pictures at the door: what segno draws is read back; everything else has its reason."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
import segno
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge.errors import ImageError
from gateway.edge.images import MAX_IMAGE_BYTES, is_image, read_code_from_image

TEXT = "HUTONG1:SYNTHETIC" + "ABC123" * 40


def draw(kind: str = "png", text: str = TEXT, **options: object) -> bytes:
    stream = io.BytesIO()
    segno.make(text, error="m").save(stream, kind=kind, scale=4, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 0, extra: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def modules(scale: int = 4) -> list[list[bool]]:
    """Rows of dark pixels, with a quiet zone."""
    drawn = segno.make(TEXT, error="m").matrix_iter(scale=scale, border=4)
    return [[bool(value) for value in row] for row in drawn]


def filtered(rows: list[bytes], kind: int, step: int) -> bytes:
    """Apply one PNG filter, by its definition, byte by byte."""
    out = bytearray()
    above = bytes(len(rows[0]))
    for row in rows:
        out.append(kind)
        for i, x in enumerate(row):
            a = row[i - step] if i >= step else 0
            b = above[i]
            c = above[i - step] if i >= step else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            out.append((x - (0, a, b, (a + b) // 2, nearest)[kind]) & 255)
        above = row
    return bytes(out)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}),
        ("png", {"dark": "darkblue", "light": "#eee"}),
        ("png", {"light": None}),
        ("svg", {}),
        ("svg", {"light": "white", "omitsize": True}),
        ("svg", {"dark": "navy", "xmldecl": False}),
    ],
)
def test_what_is_drawn_is_read_back(kind: str, options: dict[str, object]) -> None:
    picture = draw(kind, **options)
    assert is_image(picture)
    assert read_code_from_image(picture) == TEXT


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_every_filter_and_colour_type_is_undone(kind: int, colour: int, channels: int) -> None:
    dark = modules()
    pixel = {
        0: lambda d: [0 if d else 255],
        2: lambda d: [30, 20, 90] if d else [250, 240, 255],
        4: lambda d: [0 if d else 255, 255],
        6: lambda d: [0, 0, 0, 255] if d else [0, 0, 0, 0],  # transparent is white
    }[colour]
    rows = [bytes(v for d in row for v in pixel(d)) for row in dark]
    picture = png(len(dark[0]), len(dark), filtered(rows, kind, channels), colour=colour)
    assert read_code_from_image(picture) == TEXT


def test_sixteen_bits_a_sample_are_read() -> None:
    dark = modules()
    rows = [bytes(v for d in row for v in ((0, 0) if d else (255, 255))) for row in dark]
    picture = png(len(dark[0]), len(dark), filtered(rows, 1, 2), depth=16)
    assert read_code_from_image(picture) == TEXT


def test_indexed_colours_are_looked_up() -> None:
    dark = modules()
    rows = [bytes(1 if d else 0 for d in row) for row in dark]
    palette = chunk(b"PLTE", bytes([255, 255, 255, 10, 0, 10]))
    picture = png(len(dark[0]), len(dark), filtered(rows, 0, 1), colour=3, extra=palette)
    assert read_code_from_image(picture) == TEXT


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "IMAGE_UNREADABLE"),
        (b"GIF89a", "IMAGE_UNREADABLE"),
        (b"\x89PNG\r\n\x1a\n", "IMAGE_UNREADABLE"),
        (draw()[:-30], "IMAGE_UNREADABLE"),
        (draw()[:60] + b"\x00" + draw()[61:], "IMAGE_UNREADABLE"),
        (draw("svg")[:200], "IMAGE_UNREADABLE"),
        (b"<svg xmlns='x'><text>hello</text></svg>", "IMAGE_UNREADABLE"),
        (b"<svg>\xff</svg>", "IMAGE_UNREADABLE"),
        (b'<svg><path stroke="#000" d="M0 0.5h9999"/></svg>', "IMAGE_UNREADABLE"),
        (b'<svg><path stroke="#000" d="M0 0.5h9"/></svg>', "IMAGE_NO_CODE"),
        (b"<svg" + b" " * MAX_IMAGE_BYTES, "IMAGE_TOO_LARGE"),
        (png(1 << 16, 1 << 16, b"\x00"), "IMAGE_TOO_LARGE"),
        (png(0, 4, b"\x00"), "IMAGE_UNREADABLE"),
        (png(8, 8, b"\x00" * 71), "IMAGE_UNREADABLE"),  # one byte short
        (png(8, 8, (b"\x07" + bytes(8)) * 8), "IMAGE_UNREADABLE"),  # no such filter
        (png(8, 8, (b"\x00" + bytes(8)) * 8, depth=3), "IMAGE_UNREADABLE"),
        (png(8, 8, (b"\x00" + bytes(8)) * 8), "IMAGE_NO_CODE"),
    ],
)
def test_a_picture_that_cannot_be_read_has_its_reason(data: bytes, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_code_from_image(data)
    assert caught.value.code == code


def test_packed_data_is_not_unpacked_beyond_the_picture() -> None:
    bomb = png(8, 8, b"\x00" * 50_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(ImageError) as caught:
        read_code_from_image(bomb)
    assert caught.value.code == "IMAGE_NO_CODE"


def test_two_codes_in_one_picture_are_refused() -> None:
    one = modules(3)
    second = [
        [bool(v) for v in row]
        for row in segno.make("OTHER" + TEXT, error="m").matrix_iter(scale=3, border=4)
    ]
    width = max(len(one[0]), len(second[0]))
    rows = [
        b"\x00" + bytes(0 if d else 255 for d in row + [False] * (width - len(row)))
        for row in one + second
    ]
    with pytest.raises(ImageError) as caught:
        read_code_from_image(png(width, len(rows), b"".join(rows)))
    assert caught.value.code == "IMAGE_SEVERAL_CODES"


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_damaged_picture_is_read_right_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["png", "svg"]))
    picture = bytearray(draw(kind, text="HUTONG1:SYNTHETIC"))
    for _ in range(data.draw(st.integers(1, 4))):
        picture[data.draw(st.integers(0, len(picture) - 1))] = data.draw(st.integers(0, 255))
    picture = picture[: data.draw(st.integers(0, len(picture)))]
    said = ""
    text = "HUTONG1:SYNTHETIC"
    try:
        text = read_code_from_image(bytes(picture))
    except ImageError as error:
        said = str(error)
    assert "SYNTHETIC" not in said
    # Error correction of the symbol may heal a drawing; it never invents another text.
    assert text == "HUTONG1:SYNTHETIC"
