"""A code on paper is read back from the rendered page, and says nothing else of anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pypdfium2
import pytest
import zxingcpp
from hutong.v1 import issuer_service_pb2 as pb

from gateway.issuer.paper import SIZES, PaperCode, draw_paper
from tests.issuer.core.world import POPULATION
from tests.issuer.service.world import service_world

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "HTCN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
NOW = datetime(2020, 3, 1, 16, 30, tzinfo=UTC)


def read_page(pdf: bytes, dots_per_inch: int = 150) -> tuple[list[str], str, int]:
    """What a scanner reads, the page's text, and how many pages there are."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[0]
        bitmap = page.render(scale=dots_per_inch / 72)
        image = bitmap.to_pil()
        codes = [found.text for found in zxingcpp.read_barcodes(image)]
        text_page = page.get_textpage()
        text = text_page.get_text_bounded()
        pages = len(document)
        for part in (text_page, bitmap, page):
            part.close()
    finally:
        document.close()
    return codes, text, pages


@pytest.mark.parametrize("size", sorted(SIZES))
@pytest.mark.parametrize("dots_per_inch", [75, 300])
def test_the_qr_code_is_read_back_from_the_page(size: str, dots_per_inch: int) -> None:
    code = PaperCode(TEXT, "王**", "3301************55", NOW, NOW + timedelta(days=7))
    pdf = draw_paper(code, size=size)
    codes, text, pages = read_page(pdf, dots_per_inch)
    assert (codes, pages) == ([TEXT], 1)
    for part in ("全国健康信息码", "王**", "3301************55", "2020-03-02 00:30", "2020-03-09"):
        assert part in text
    assert draw_paper(code, size=size) == pdf


@pytest.mark.asyncio
async def test_paper_lives_days_and_shows_only_masked_names(tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer") as world:
        await world.declare(1)
        made = await world.make(1, pb.MEDIUM_PAPER)
        codes, text, _ = read_page(made.pdf)
        assert codes == [made.code_content]
        person = POPULATION.person(1)
        for personal in (person.number, person.name, person.phone, "GREEN", "绿"):
            assert personal not in text
            assert personal.encode() not in made.pdf
        world.clock.days(6.9)
        assert (await world.verify(codes[0])).HasField("holder")
        phone = await world.make(1)
        assert phone.pdf == b""
