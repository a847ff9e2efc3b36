"""The guides for a region's engineer and a gate's officer are typed at a hub that runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.docs.live import WAIT_SECONDS, add_nation, keys_of, make_members, open_place
from tests.docs.test_guides import LIVE, ids, read
from tests.docs.walk import alike, missing, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docs.live import Place
    from tests.docs.walk import Block

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("members")
    make_members(folder)
    return folder


@pytest.fixture
def place(members: Path, tmp_path: Path) -> Iterator[Place]:
    opened = open_place(members, tmp_path / "place")
    try:
        yield opened
    finally:
        opened.stop()


@pytest.mark.parametrize("page", LIVE, ids=ids)
def test_whoever_types_a_guide_at_a_hub_sees_what_it_prints(page: Path, place: Place) -> None:
    todo = read(page)
    printed = ""
    for at, block in enumerate(todo):
        where = f"{page.name}:{block.line}"
        if block.word == "live":
            if block.rest == "province":
                add_nation(place)
        elif block.word in {"file", "append", "insert"}:
            write(place.folder, block.with_text(place.here(block.text)))
        elif block.word == "keep":
            place.kept += block.text
        elif block.word == "quietly":
            place.run(script_of(block, place))
        elif block.word == "run":
            printed = typed(place, block, todo[at + 1])
        elif block.word:
            assert block.word == "output", where
            absent = missing(place.here(block.text), printed, is_like=block.rest == "like")
            assert absent is None, f"{where} was not printed:\n{absent}\n\nbut:\n{alike(printed)}"


def script_of(block: Block, place: Place) -> str:
    """The commands of a block, in the folder it names."""
    words = block.rest.split() if block.word == "run" else []
    folder = words[words.index("in") + 1] if "in" in words else "."
    return f"{place.kept}cd {folder}\n{with_keys(block.text, place)}"


KEYS = {
    "CJ8FVLjs": ("active", -1),
    "4Fh9xW2m": ("active", 0),
    "vpFC_8uc": ("tainted", -1),
}
"""What a guide calls the region's attestation keys: a state, and which of those there are."""


def with_keys(script: str, place: Place) -> str:
    """A guide's keys are those of the region here."""
    for name, (state, which) in KEYS.items():
        if name in script:
            script = script.replace(name, keys_of(place, "attest", state)[which])
    return script


def typed(place: Place, block: Block, follows: Block) -> str:
    """What a block of commands prints."""
    words = block.rest.split()
    code = next((int(word) for word in words if word.isdigit()), 0)
    end = time.monotonic() + WAIT_SECONDS * 2
    while True:
        printed = place.run(script_of(block, place), code=code)
        if "until" not in words or time.monotonic() > end:
            return printed
        if missing(place.here(follows.text), printed, is_like=follows.rest == "like") is None:
            return printed
