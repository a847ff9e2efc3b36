"""Where there is nothing to attest, an adapter does for nobody what it does for a person.

Counted is what an answer takes: signatures, rows on the disk, bytes. How long it takes is
measured by ``tests/benchmarks/alike.py`` and by no test.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hutong.v1 import exchange_pb2

from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import attest
from adapters.sdk.city import load_city
from adapters.sdk.http_connector import HttpConnector
from adapters.sdk.http_stand_in import read_stand_in
from adapters.sdk.interpreting import open_interpreter
from adapters.sdk.issued import FEWEST_COUNTED, NOBODY, StatusSettings
from adapters.sdk.nobody import StandInReader
from adapters.sdk.reports import LocalReport, Reports
from gateway.codes import Outcome
from gateway.codes.proto import outcome_from_proto
from gateway.trust.distrust import DistrustRule
from tests.adapters.sdk.adapter_world import (
    AUTHORITY,
    OTHER_PERSON,
    PERSON,
    by_document,
    by_qr,
    record,
    world,
)
from tests.adapters.sdk.test_issued import desk, person

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.sdk.adapter_world import World

EXPIRED, UNCLEAR = "330106199001010037", "330106199001010045"
OUTCOMES = {
    PERSON: None,
    OTHER_PERSON: Outcome.NOT_FOUND,
    EXPIRED: Outcome.CODE_EXPIRED,
    UNCLEAR: Outcome.CANNOT_DETERMINE,
}


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often an attester signed, of either form; it goes on signing."""
    made: Counter[str] = Counter()
    for name in ("sign_payload", "sign_disclosed"):
        signing: Any = getattr(attest, name)

        def counted(*args: Any, name: str = name, signing: Any = signing) -> Any:
            made[name] += 1
            return signing(*args)

        monkeypatch.setattr(attest, name, counted)
    return made


def rows(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM issued").fetchone()
        return int(count)


async def ask(place: World, question: Any) -> exchange_pb2.Answer:
    (answer,) = await place.asker.query(question, seconds=60)
    return answer


def fill(place: World) -> None:
    place.platform.records = {
        PERSON: [record()],
        EXPIRED: [record(at="20200101080000")],
        UNCLEAR: [record("紫码")],
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("carried", [False, True], ids=["online", "carried"])
@pytest.mark.parametrize("disclosure", ["UNSPECIFIED", "MINIMAL", "SELECTIVE"])
async def test_a_level_and_an_outcome_take_the_same(
    tmp_path: Path, signatures: Counter[str], *, carried: bool, disclosure: str
) -> None:
    path = tmp_path / "issued.db"
    taken = set()
    async with world(status=StatusSettings(path=path, entries=1024)) as place:
        fill(place)
        for number, expected in OUTCOMES.items():
            question = by_document(number, carried=carried)
            question.disclosure = exchange_pb2.Disclosure.Value(f"DISCLOSURE_{disclosure}")
            before, signed = rows(path), signatures.copy()
            answer = await ask(place, question)
            got = None if answer.attestation else outcome_from_proto(answer.outcome.outcome)
            assert got is expected
            taken.add((rows(path) - before, frozenset((signatures - signed).items())))
    assert len(taken) == 1
    ((written, signed_for_one),) = taken
    assert written == carried
    whole = disclosure == "UNSPECIFIED"
    assert signed_for_one == {("sign_payload" if whole else "sign_disclosed", 1)}


@pytest.mark.asyncio
async def test_a_batch_takes_one_signature_a_question_whatever_comes_of_it(
    signatures: Counter[str],
) -> None:
    async with world() as place:
        fill(place)
        answers = await place.asker.query(*(by_document(number) for number in OUTCOMES))
        assert [bool(answer.attestation) for answer in answers] == [True, False, False, False]
        assert signatures == {"sign_payload": len(OUTCOMES)}
        # A platform that fails, a code of another region, a question that is none.
        for number, question in enumerate(
            (by_qr("https://elsewhere.example/"), by_document("nobody")), start=1
        ):
            assert not (await ask(place, question)).attestation
            assert signatures.total() == len(OUTCOMES) + number


@pytest.mark.asyncio
@pytest.mark.parametrize("disclosure", list(exchange_pb2.Disclosure.values()))
@pytest.mark.parametrize("use", [*exchange_pb2.AttestationUse.values(), 99])
@pytest.mark.parametrize("number", [PERSON, OTHER_PERSON])
async def test_no_question_of_a_caller_is_an_incident(
    signatures: Counter[str], number: str, use: int, disclosure: int
) -> None:
    async with world() as place:
        fill(place)
        question = by_document(number)
        question.use, question.disclosure = use, disclosure
        with structlog.testing.capture_logs() as logs:
            await ask(place, question)
        assert not [each for each in logs if each["event"] == "incident"]
        # An import is whole, also where it is refused for being asked for in part.
        whole = not disclosure or use == exchange_pb2.ATTESTATION_USE_IMPORT
        assert signatures == {"sign_payload" if whole else "sign_disclosed": 1}


@pytest.mark.asyncio
async def test_what_goes_wrong_for_nobody_costs_no_answer() -> None:
    async with world() as place:
        fill(place)
        pipeline: Any = place.adapter.pipeline
        nobody = pipeline._nobody

        def fails() -> None:
            raise RuntimeError("synthetic")

        class Broken:
            read_stand_in = staticmethod(fails)

        nobody._reader, nobody._reports = Broken(), None
        nobody._attester = None
        answer = await ask(place, by_document(OTHER_PERSON))
        assert outcome_from_proto(answer.outcome.outcome) is Outcome.NOT_FOUND


@pytest.mark.asyncio
async def test_entries_of_nobody_are_nobodys() -> None:
    async with desk() as place:
        ledger = place.ledger
        for _ in range(3 * FEWEST_COUNTED):
            await place.issue(NOBODY)
        assert not await ledger.has_live()
        assert await ledger.count_live(DistrustRule(AUTHORITY, place.clock.now)) == FEWEST_COUNTED
        mine = [await place.issue(person(number)) for number in range(2)]
        assert await ledger.has_live()
        # One person alone: nobody's entry is never revoked by a name.
        assert await ledger.revoke([person(0)]) == 1
        assert [place.value(each) for each in mine] == [1, 0]
        # Everybody: they go with the others, so that a reader counts more than there were.
        assert await ledger.revoke_all() == 1
        assert {place.value(each) for each in place.issued} == {1}


CITIES = sorted(
    folder.name for folder in SCHEMES_FOLDER.iterdir() if (folder / "scheme.yaml").exists()
)


@pytest.fixture(scope="module")
def described() -> dict[str, HttpConnector]:
    """The connectors that a scheme alone describes, by city."""
    found = {}
    for city in CITIES:
        scheme = load_city(SCHEMES_FOLDER / city)
        if scheme.connector is not None and "http" in scheme.connector:
            made = open_interpreter(scheme, now=lambda: datetime.now(UTC))
            assert isinstance(made, HttpConnector)
            found[city] = made
    return found


def test_every_city_that_is_described_reads_a_record_of_nobody(
    described: dict[str, HttpConnector],
) -> None:
    assert len(described) > 10
    for city, connector in described.items():
        assert isinstance(connector, StandInReader)
        stand_in = connector._stand_in
        assert stand_in is not None, city
        fetched = read_stand_in(connector._spec, stand_in, connector._scheme.timezone)
        assert isinstance(fetched, Reports)
        assert len(fetched.reports) == 1
        # The whole form, so that it takes what a person's does.
        told = {name for name, member in connector._spec.report.items() if member.path is not None}
        (report,) = fetched.reports
        assert all(getattr(report, name) is not None for name in told - {"itinerary"}), city
        connector.read_stand_in()


def test_every_city_that_is_written_in_python_reads_a_record_of_nobody(
    described: dict[str, HttpConnector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each of them makes of it is a report, of the same class as everybody's."""
    made: list[LocalReport] = []
    whole = LocalReport.__init__

    def noted(report: LocalReport, *args: Any, **members: Any) -> None:
        whole(report, *args, **members)
        made.append(report)

    monkeypatch.setattr(LocalReport, "__init__", noted)
    # The issuer asks itself: what it holds is read from a table, and not from an answer.
    written = [city for city in CITIES if city not in described and city != "native"]
    assert len(written) >= 6
    for city in written:
        connector: object = open_interpreter(
            load_city(SCHEMES_FOLDER / city), now=lambda: datetime.now(UTC)
        )
        assert isinstance(connector, StandInReader), city
        made.clear()
        connector.read_stand_in()
        assert len(made) == 1, city
        assert made[0].reason == "synthetic", city
