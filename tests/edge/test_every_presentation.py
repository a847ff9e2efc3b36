"""Whatever a traveller shows finds its own region, and leaves only sealed.

Schemes are found by their folders, and what is shown by the schemes' own examples
and by the stories of the reference platforms: who adds one is tested here without a
line. The second half asks over a line whose every byte is kept.
"""

from __future__ import annotations

import asyncio
import base64
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import pytest

from adapters.platforms import Faults, ScenarioPerson, city_names, platform
from adapters.platforms.jiangsu import holder_page
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import OutcomeReport, QrText
from gateway.codes import Outcome, contains, parse_document
from gateway.edge.errors import AmbiguousPresentationError, PresentationError
from gateway.edge.identify import SchemeIndex
from gateway.edge.presentation import LocalCode, parse_presentation
from gateway.recognition import OutcomeEvidence
from tests.adapters.platforms.support import Clock as PlatformClock
from tests.adapters.schemes.support import load_city as read_city
from tests.adapters.schemes.support import open_city
from tests.edge import world as edge
from tests.edge.world import HANGZHOU, hangzhou_qr, scheme_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.codes.schemes import Scheme
    from tests.edge.world import World

EVERY: Final = tuple(sorted(path.parent.name for path in SCHEMES_FOLDER.glob("*/scheme.yaml")))
TODAY: Final = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
IN_FORCE: Final = timedelta(hours=36)
"""Into a version: past midnight in every zone, short of the next version."""


@cache
def load_city(name: str) -> Scheme:
    return read_city(name)


@cache
def index() -> SchemeIndex:
    """What a checkpoint holds: every shipped scheme as the feed carries it."""
    return SchemeIndex.from_documents([scheme_document(name) for name in EVERY])


def moments(scheme: Scheme) -> list[datetime]:
    return [*(version.valid_from + IN_FORCE for version in scheme.versions), TODAY]


def regions_of(text: str, now: datetime) -> set[str]:
    """Every region whose scheme recognises a scanned text."""
    shown = parse_presentation(text)
    assert isinstance(shown, LocalCode)
    try:
        return {index().identify(shown, origin=None, now=now).region}
    except AmbiguousPresentationError as error:
        return {candidate.region for candidate in error.candidates}
    except PresentationError as error:
        if error.code != "PRESENTATION_UNRECOGNISED":
            raise
        return set()


def stories(name: str, now: datetime) -> list[ScenarioPerson]:
    city = platform(name, clock=PlatformClock(now))
    return [person for person in city.scenarios().values() if person.qr_text is not None]


# --- recognised without asking anybody ----------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_example_of_a_version_is_its_own_regions_and_no_others(name: str) -> None:
    scheme = load_city(name)
    for version in scheme.versions:
        now = version.valid_from + IN_FORCE
        for pattern in version.qr_patterns:
            assert any(contains(prefix, pattern.region) for prefix in scheme.prefixes)
            for text in pattern.examples:
                assert regions_of(text, now) == {pattern.region}, (version.id, text)


@pytest.mark.parametrize("name", EVERY)
def test_no_counterexample_is_read_as_the_code_it_resembles(name: str) -> None:
    for version in load_city(name).versions:
        for pattern in version.qr_patterns:
            for text in pattern.counterexamples:
                assert not pattern.matches(text)


@pytest.mark.parametrize("name", city_names())
def test_what_every_story_shows_is_its_own_regions_and_no_others(name: str) -> None:
    scheme = load_city(name)
    seen = 0
    for now in moments(scheme):
        for person in stories(name, now):
            found = regions_of(person.qr_text or "", now)
            assert found <= {scheme.authority}, person.name
            # A code of an earlier form is nobody's; its own city says so when asked.
            if person.expected != Outcome.WRONG_REGION:
                assert found, person.name
            seen += len(found)
    assert seen or not any(version.qr_patterns for version in scheme.versions)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \r\n"])
def test_what_a_scanner_appends_is_no_part_of_the_code(name: str, end: str) -> None:
    for version in load_city(name).versions:
        for pattern in version.qr_patterns:
            for text in pattern.examples:
                assert parse_presentation(text + end) == parse_presentation(text)


@pytest.mark.parametrize(
    "text",
    [
        "nobody's code",
        "HTTPS://HZJKM.EXAMPLE/CODE",
        "https://hzjkm.example.org/code?id=33010000000000&k=fa20487d00228617",
        "330102199001010055",
        "HTCN2:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        "胡同",
    ],
)
def test_a_text_nobody_knows_is_refused(text: str) -> None:
    shown = parse_presentation(text)
    assert isinstance(shown, LocalCode)
    with pytest.raises(PresentationError) as caught:
        index().identify(shown, origin=None, now=TODAY)
    assert caught.value.code == "PRESENTATION_UNRECOGNISED"
    assert text not in str(caught.value)


def twin_of_hangzhou() -> dict[str, Any]:
    """A scheme of Shenzhen that writes its codes exactly as Hangzhou does."""
    document = scheme_document("hangzhou")
    document |= {"family": "sz-twin", "authority": "440300", "prefixes": ["4403"]}
    document["vectors"]["scheme"] = "sz-twin"
    for version in document["versions"]:
        version["qr"] = [pattern | {"region": "440300"} for pattern in version["qr"]]
        version.pop("scopes", None)
        version.pop("import", None)
    return document


def test_a_text_that_two_schemes_know_is_asked_back_and_settled_by_its_origin() -> None:
    both = SchemeIndex.from_documents([scheme_document("hangzhou"), twin_of_hangzhou()])
    shown = LocalCode(hangzhou_qr())
    with pytest.raises(AmbiguousPresentationError) as caught:
        both.identify(shown, origin=None, now=TODAY)
    assert {candidate.region for candidate in caught.value.candidates} == {HANGZHOU, "440300"}
    assert shown.text not in str(caught.value)
    for origin, region in ((HANGZHOU, HANGZHOU), ("440300", "440300"), ("330000", HANGZHOU)):
        found = both.identify(shown, origin=origin, now=TODAY)
        assert (found.region, found.presentation) == (region, shown)


def head(pattern: str) -> str:
    """The characters with which every text of a pattern begins."""
    text = pattern.removeprefix("^")
    if "|" not in text:
        text = re.sub(r"^\(\?(?::|P<\w+>)", "", text)
    literal = re.match(r"(?:\\[^A-Za-z0-9]|[^\\\[\](){}?.|^$])*", text)
    assert literal is not None
    # A quantifier is about the last character, which then need not be there.
    pieces = re.findall(r"\\?(.)", literal[0], re.DOTALL)
    return "".join(pieces[:-1] if text[literal.end() :][:1] in ("?", "{") else pieces)


def test_no_text_fits_patterns_of_two_regions_today() -> None:
    heads = {
        (pattern.region, head(pattern.pattern))
        for name in EVERY
        for pattern in load_city(name).version_at(TODAY).qr_patterns
    }
    # Told apart by their beginnings alone, which is more than a matcher needs.
    collisions = [
        (one, other)
        for one, other in combinations(sorted(heads), 2)
        if one[0] != other[0] and (one[1].startswith(other[1]) or other[1].startswith(one[1]))
    ]
    assert collisions == []
    without_qr = {"shaoxing"}  # its wire knows documents only
    assert {region for region, _ in heads} == {
        load_city(name).authority for name in EVERY if name not in without_qr
    }


# --- sealed to that region, and nothing in clear on the line ------------------------


class Line:
    """What went over the wire in both directions, byte by byte."""

    def __init__(self) -> None:
        self.heard = bytearray()

    async def carry(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def holds(self, text: str) -> bool:
        """Whether a text stands on the line, plainly or in a common writing of bytes."""
        raw = text.encode()
        plain = base64.b64encode(raw)[: len(raw) // 3 * 4]
        writings = (raw, raw.upper(), raw.lower(), raw.hex().encode(), raw.hex().upper().encode())
        return any(
            one in self.heard for one in (*writings, plain, raw.decode().encode("utf-16-le"))
        )


@asynccontextmanager
async def listened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, Line]]:
    """A checkpoint whose feed holds every region, on a line without TLS that is kept."""
    line = Line()
    relays: list[asyncio.Server] = []
    serve = edge.serve

    async def serve_behind_relay(hub: edge.HubInProcess) -> tuple[Any, int]:
        server, port = await serve(hub)
        relay = await asyncio.start_server(
            lambda reader, writer: line.carry(port, reader, writer), "127.0.0.1", 0
        )
        relays.append(relay)
        return server, relay.sockets[0].getsockname()[1]

    monkeypatch.setattr(edge, "serve", serve_behind_relay)
    async with edge.edge_world(folder) as world:
        world.clock.now = world.federation.now = TODAY
        for name in EVERY:
            scheme = load_city(name)
            if scheme.authority not in world.federation.regions:
                world.federation.add_region(scheme.authority)
                world.federation.publish_scheme(scheme.authority, scheme_document(name))
        world.give_trust()
        world.hub.default = Outcome.NOT_FOUND
        try:
            yield world, line
        finally:
            for relay in relays:
                relay.close()


def shown_today() -> dict[str, str]:
    """One code of every region that has one, as its platform makes it today."""
    texts = {load_city("native").authority: "HTCN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"}
    for name in city_names():
        person = next(iter(stories(name, TODAY)), None)
        if person is not None and person.qr_text is not None:
            texts[load_city(name).authority] = person.qr_text
    return texts


@pytest.mark.asyncio
async def test_every_code_goes_sealed_to_its_region_and_never_in_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = shown_today()
    assert len(texts) >= len(EVERY) - 1
    async with listened(tmp_path, monkeypatch) as (world, line):
        for region, text in texts.items():
            # Only this region's key opens the question, and it must find this very text.
            world.hub.people = {text: Outcome.NOT_APPLIED}
            result = await world.pipeline.ask(text + "\r\n", origin=None, timeout_seconds=30)
            assert result.evidence == OutcomeEvidence(Outcome.NOT_APPLIED, region)
            assert not line.holds(text), region
            # It would have been heard: to which region the question goes stands in clear.
            assert line.holds(region)


DOCUMENTS: Final = (
    (10, "33010219000101002x", HANGZHOU),
    (14, "H12345678", "440000"),
    (15, "12345678", "350000"),
    (16, "tw1234567", "350200"),
    (20, "E12345678", "310000"),
    (34, "USA330100123456", "330000"),
    (99, "REFUGEE0001", "110000"),
)


@pytest.mark.asyncio
async def test_every_document_goes_sealed_to_the_named_region_and_never_in_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listened(tmp_path, monkeypatch) as (world, line):
        for kind, number, region in DOCUMENTS:
            # Only this region's key opens the question, and it must find this very number.
            world.hub.people = {number.upper(): Outcome.NOT_APPLIED}
            result = await world.pipeline.ask(
                parse_document(kind, number), origin=region, timeout_seconds=30
            )
            assert result.evidence == OutcomeEvidence(Outcome.NOT_APPLIED, region)
            assert line.holds(region)
        written = (tmp_path / "decisions.jsonl").read_text().upper()
        for _, number, _ in DOCUMENTS:
            for part in (number, number[:-1], number[-8:]):
                assert not line.holds(part)
                assert part.upper() not in written


@pytest.mark.parametrize(("kind", "number", "region"), DOCUMENTS)
def test_a_document_says_nothing_about_where_its_code_is_from(
    kind: int, number: str, region: str
) -> None:
    document = parse_document(kind, number)
    assert document.number == number.upper()
    assert document.number not in repr(document)
    with pytest.raises(PresentationError) as caught:
        index().identify(document, origin=None, now=TODAY)
    assert caught.value.code == "ORIGIN_REQUIRED"
    found = index().identify(document, origin=region, now=TODAY)
    assert (found.region, found.presentation) == (region, document)


@pytest.mark.asyncio
async def test_jiangsus_token_page_leaves_neither_the_envelope_nor_the_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_city("jiangsu", PlatformClock(TODAY)) as city:
        page = holder_page(city.platform.population, 7)
        token = page.partition("token=")[2].partition("&")[0]
        assert regions_of(page, TODAY) == {"320000"}
        async with listened(tmp_path, monkeypatch) as (world, line):
            world.hub.people = {page: Outcome.CANNOT_DETERMINE}
            result = await world.pipeline.ask(page, origin=None, timeout_seconds=30)
            written = (tmp_path / "decisions.jsonl").read_text()
            assert result.evidence == OutcomeEvidence(Outcome.CANNOT_DETERMINE, "320000")
            assert not line.holds(page)
            assert not line.holds(token)
            assert token not in written
            assert token not in str(result.to_json())
        # A platform that were asked would be found down, and the answer would be another.
        city.platform.faults = Faults(down=True)
        answer = await city.ask(QrText(page))
        assert isinstance(answer, OutcomeReport)
        assert (answer.outcome, answer.state) == (Outcome.CANNOT_DETERMINE, None)
