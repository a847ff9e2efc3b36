"""Printed and read back: what a gate sees of a carried attestation, through real pictures."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pypdfium2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from typer.testing import CliRunner

from gateway.attestation import (
    AttestationVerifier,
    claims_to_json,
    sign_attestation,
    signing_key,
    to_armour,
)
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.sd_jwt import Disclosure, draft_disclosed, sign_disclosed
from gateway.cli.carried import PIXELS_A_MODULE
from gateway.cli.checkpoint import app
from gateway.edge.errors import ImageError
from gateway.edge.images import read_code_from_image
from gateway.issuer.paper import PaperCode, draw_paper
from tests.attestation.samples import GUANGZHOU, NOW, Trust, attestation, verification_key
from tests.edge.pictures import aslant, blurred, dimmed, draw, noisy, sized, to_png, turned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

WHOLE = attestation(expires_at=NOW + timedelta(hours=6))
# Keys, salts and signatures that are the same on every run: so are the pictures.
KEY = signing_key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TRUST = Trust.of(verification_key(KEY))
SALTS = bytes(range(16))


def part(disclosure: Disclosure) -> str:
    taken = iter(range(256))
    draft = draft_disclosed(
        claims_to_json(WHOLE), disclosure, lambda size: SALTS[1:size] + bytes([next(taken)])
    )
    return to_armour(sign_disclosed(draft, KEY))


TEXTS = {
    "whole": to_armour(sign_attestation(WHOLE, KEY)),
    "minimal": part(Disclosure.MINIMAL),
}
CHANGES: dict[str, Callable[[Image], Image]] = {
    "as drawn": turned(0),
    "turned a little": turned(17),
    "turned left": turned(90),
    "upside down": turned(180),
    "turned right": turned(270),
    "out of focus": blurred(2),
    "dimmed": dimmed(0.3),
    "dimmed and grey": dimmed(0.5, 0.4),
    "noisy": noisy(25),
    "aslant": aslant(0.1),
    "far away": sized(2.5),
}


def read(picture: bytes) -> Any:
    text = read_code_from_image(picture)
    return verify_presentation(text, AttestationVerifier(TRUST), audience=GUANGZHOU, now=NOW)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_carried_attestation_is_read_back_and_verifies(change: Callable[[Image], Image]) -> None:
    assert read(to_png(change(draw(TEXTS["whole"], pixels=PIXELS_A_MODULE)))) == WHOLE


@pytest.mark.parametrize("name", ["turned a little", "out of focus", "dimmed", "aslant"])
def test_one_in_part_is_read_back_likewise(name: str) -> None:
    shown = read(to_png(CHANGES[name](draw(TEXTS["minimal"], pixels=PIXELS_A_MODULE))))
    assert shown.code.level is WHOLE.code.level
    assert shown.subject is None


def test_a_large_one_is_read_back_turned_and_out_of_focus() -> None:
    image = blurred(1)(turned(17)(draw(part(Disclosure.SELECTIVE), pixels=PIXELS_A_MODULE)))
    assert read(to_png(image)) == WHOLE


def test_several_things_at_once_do_no_harm() -> None:
    image = draw(TEXTS["whole"], pixels=PIXELS_A_MODULE)
    for change in (aslant(0.06), turned(11), blurred(1.2), dimmed(0.5, 0.7), noisy(8)):
        image = change(image)
    assert read(to_png(image)) == WHOLE


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_paper_is_read_back_from_a_scan_of_the_smallest_page(kind: str) -> None:
    paper = PaperCode(TEXTS[kind], "王**", "3301************55", NOW, NOW + timedelta(hours=6))
    document = pypdfium2.PdfDocument(draw_paper(paper, size="A6"))
    try:
        page = document[0]
        # Dots an inch of a cheap scanner, over the points of the page.
        bitmap = page.render(scale=200 / 72)
        scan = blurred(1)(turned(2)(bitmap.to_pil().convert("L")))
        bitmap.close()
        page.close()
    finally:
        document.close()
    assert read(to_png(scan))


@pytest.mark.parametrize(
    "change",
    [blurred(9), dimmed(0.0), sized(0.8), lambda image: image.crop((0, 0, 300, image.height))],
    ids=["blurred", "black", "tiny", "cut off"],
)
def test_what_cannot_be_read_says_so_and_nothing_else(
    change: Callable[[Image], Image], tmp_path: Path
) -> None:
    picture = to_png(change(draw(TEXTS["whole"], pixels=PIXELS_A_MODULE)))
    with pytest.raises(ImageError) as caught:
        read_code_from_image(picture)
    assert caught.value.code == "IMAGE_NO_CODE"
    (tmp_path / "ticket.png").write_bytes(picture)
    done = CliRunner().invoke(app, ["disclose", "--file", str(tmp_path / "ticket.png")])
    assert done.exit_code == 2
    assert "no readable QR code" in done.output
