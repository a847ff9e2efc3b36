"""A code on paper, for people without a phone: one page, PDF, Chinese and English.

The page bears the QR code, the masked name and number, the day it was printed and the
moment it ends. It bears no colour: a gate asks for the state of its moment, and a
colour on paper would outlive the truth.

The QR code is drawn as squares, so it is as sharp as the printer. Chinese is set in
STSong-Light, an Adobe CID font that readers of PDF bring along or replace, the rest in
Helvetica, which all have; no font file is needed or embedded. The properties of the
document name nobody.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import segno
from reportlab.lib.pagesizes import A5, A6
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from gateway.issuer.days import ZONE

if TYPE_CHECKING:
    from datetime import datetime

SIZES: Final = {"A5": A5, "A6": A6}
"""Both fit a wallet when folded, and two or four a sheet of A4."""

_CHINESE: Final = "STSong-Light"
_LATIN: Final = "Helvetica"
_WORDS = re.compile(r"\S+\s*|\s+")
_LATIN_1 = re.compile(r"[\x00-\xff]*")
"""What Helvetica has."""
_QUIET_MODULES: Final = 4
"""ISO/IEC 18004: four modules of quiet zone around the symbol."""
_QR_SHARE: Final = 0.62
"""Of the page's width: about 65 mm on A6, which a gate reads at arm's length."""
_LATIN_SHARE: Final = 0.75
"""English stands smaller than the Chinese above it."""


@dataclass(frozen=True, slots=True, repr=False)
class PaperCode:
    """What stands on the page.

    Attributes:
        text: of the QR code.
        masked_name: name to compare with a document.
        masked_number: number to compare with a document.
        made_at: when it was made.
        valid_until: exclusive.
    """

    text: str = field(repr=False)
    masked_name: str
    masked_number: str
    made_at: datetime
    valid_until: datetime


def draw_paper(code: PaperCode, *, size: str = "A6") -> bytes:
    """Draw the page.

    Args:
        code: what stands on it.
        size: one of :data:`SIZES`.

    Returns:
        The PDF.
    """
    _register_font()
    page = SIZES[size]
    width, height = page
    scale = width / A6[0]
    buffer = io.BytesIO()
    # invariant: no moment and no identifier of this machine goes into the file.
    canvas = Canvas(buffer, pagesize=page, invariant=1, pageCompression=1)
    canvas.setTitle("Health code on paper")
    canvas.setCreator("Hutong")
    cursor = _Cursor(canvas, width / 2, height - 11 * mm * scale, scale)
    cursor.line("全国健康信息码 · 纸质码", 14)
    cursor.line("National health code on paper", 10, gap=3)
    side = width * _QR_SHARE
    cursor.y -= side
    _draw_qr(canvas, code.text, (width - side) / 2, cursor.y, side)
    cursor.y -= 7 * mm * scale
    cursor.line(f"{code.masked_name}  {code.masked_number}", 11, gap=3)
    cursor.line(f"打印 Printed  {_local(code.made_at)}", 9)
    cursor.line(f"有效至 Valid until  {_local(code.valid_until)}", 10, gap=3)
    for zh, en in _HINTS:
        cursor.line(zh, 7.5)
        cursor.line(en, 7.5 * _LATIN_SHARE)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


_HINTS: Final = (
    (
        "本码不印颜色。卡口扫码，以当时结果为准，并核对证件。",
        "No colour is printed. The gate scans for the state of the moment and checks the document.",
    ),
    (
        "过期或健康状况有变，请到服务窗口或由家人重新申报。",
        "When it has ended, or when you feel ill, declare again at a service window or by a proxy.",
    ),
)


class _Cursor:
    """Writes centred lines downwards."""

    def __init__(self, canvas: Canvas, x: float, y: float, scale: float) -> None:
        self._canvas = canvas
        self._x = x
        self._scale = scale
        self.y = y

    def line(self, text: str, points: float, *, gap: float = 0) -> None:
        size = points * self._scale
        # By words: a name and its stars stay together.
        runs = [
            (_LATIN if _LATIN_1.fullmatch(word) else _CHINESE, word)
            for word in _WORDS.findall(text)
        ]
        x = self._x - sum(pdfmetrics.stringWidth(run, font, size) for font, run in runs) / 2
        for font, run in runs:
            self._canvas.setFont(font, size)
            self._canvas.drawString(x, self.y, run)
            x += pdfmetrics.stringWidth(run, font, size)
        self.y -= size * 1.35 + gap * self._scale


def _draw_qr(canvas: Canvas, text: str, x: float, y: float, side: float) -> None:
    symbol = segno.make_qr(text, error="m")
    rows = [bytes(row) for row in symbol.matrix_iter(scale=1, border=_QUIET_MODULES)]
    module = side / len(rows)
    path = canvas.beginPath()
    for place, row in enumerate(rows):
        bottom = y + side - (place + 1) * module
        for column, is_dark in enumerate(row):
            if is_dark:
                path.rect(x + column * module, bottom, module, module)
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)


def _local(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M")


@cache
def _register_font() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
