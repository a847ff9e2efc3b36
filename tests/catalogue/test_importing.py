"""Taking a file: every row has its outcome, and a refused file changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import generate_signing_key
from gateway.catalogue import CatalogueError, CatalogueKind, RowOutcome, encode_row
from gateway.catalogue.counts import CountKey, CountRow, encode_count
from gateway.codes.levels import Level
from gateway.errors import TrustError
from gateway.trust import KeyUse
from tests.catalogue.world import FOREIGN, ISSUER, NOON, World, row, sub

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

DAY = timedelta(days=1)


async def state(world: World) -> list[Any]:
    return [one.to_json() for one in await world.store.taken()]


async def refusal(world: World, path: Path, **changes: Any) -> str:
    """The code with which a file is refused, and proof that nothing of it was taken."""
    before = await state(world)
    report = world.folder / "refused.csv"
    with pytest.raises(TrustError) as caught:
        await world.take(path, report, **changes)
    assert await state(world) == before
    assert not report.exists()
    assert not list(world.folder.glob("refused.csv*"))
    return caught.value.code


async def test_rows_are_listed_with_issuer_reason_and_contact(world: World) -> None:
    taken = await world.take(world.chain.rows(row(1), row(2, level="YELLOW", state="黄码")))
    assert taken.outcomes == {RowOutcome.TAKEN: 2}
    assert taken.is_clean
    listing = await world.store.listed(ISSUER, sub(1))
    assert listing is not None
    assert (listing.level, listing.reason, listing.correction) == ("RED", "CONTACT", "杭州 12345")
    assert await world.store.listed(ISSUER, sub(3)) is None
    assert await world.store.listed(FOREIGN, sub(1)) is None
    assert "RED" not in repr(listing)


async def test_the_newest_file_once_more_changes_nothing(world: World) -> None:
    path = world.chain.rows(row(1))
    await world.take(path)
    before = await state(world)
    again = await world.take(path)
    assert again.is_repeat
    assert not again.outcomes
    assert await state(world) == before


async def test_the_next_day_supersedes_keeps_and_closes(world: World) -> None:
    await world.take(world.chain.rows(row(1), row(2), row(3)))
    tomorrow = NOON + DAY
    newer = row(2, level="YELLOW", state="黄码", assessed_at=tomorrow - timedelta(hours=1))
    path = world.chain.rows(row(1, source_at=tomorrow), newer, row(4), made_at=tomorrow)
    taken = await world.take(path, now=tomorrow)
    assert taken.outcomes == {
        RowOutcome.UNCHANGED: 1,
        RowOutcome.SUPERSEDED: 1,
        RowOutcome.TAKEN: 1,
    }
    assert taken.closed == 1
    assert await world.store.listed(ISSUER, sub(3)) is None
    changed = await world.store.listed(ISSUER, sub(2))
    assert changed is not None
    assert changed.level == "YELLOW"
    assert await world.store.past(ISSUER, sub(2)) == 1
    assert await world.store.past(ISSUER, sub(1)) == 0


async def test_who_was_closed_may_be_listed_again(world: World) -> None:
    await world.take(world.chain.rows(row(1)))
    assert (await world.take(world.chain.rows())).closed == 0
    assert await world.store.listed(ISSUER, sub(1)) is not None
    assert (await world.take(world.chain.rows(), allow_empty=True)).closed == 1
    assert await world.store.listed(ISSUER, sub(1)) is None
    taken = await world.take(world.chain.rows(row(1)))
    assert taken.outcomes == {RowOutcome.TAKEN: 1}
    assert await world.store.listed(ISSUER, sub(1)) is not None
    assert await world.store.past(ISSUER, sub(1)) == 1


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"level": "GREEN", "state": "绿码"}, RowOutcome.REFUSED_LEVEL),
        ({"level": "ORANGE"}, RowOutcome.REFUSED_LEVEL),
        ({"scheme": "hz-jkm@1999"}, RowOutcome.REFUSED_SCHEME),
        ({"scheme": "gz-skm@2020-02"}, RowOutcome.REFUSED_SCHEME),
        ({"issued_by": "440100"}, RowOutcome.REFUSED_DIVISION),
        ({"sealed": "AAAA"}, RowOutcome.REFUSED_DOCUMENT),
        ({"assessed_at": NOON + timedelta(minutes=2)}, RowOutcome.FROM_FUTURE),
    ],
)
async def test_a_row_that_may_not_be_said_is_refused_alone(
    world: World, changes: dict[str, Any], outcome: RowOutcome
) -> None:
    await world.take(world.chain.rows(row(7)))
    report = world.folder / "report.csv"
    taken = await world.take(world.chain.rows(row(1), row(2, **changes), row(3)), report)
    assert taken.outcomes == {RowOutcome.TAKEN: 2, outcome: 1}
    assert report.read_text() == f"line,outcome\n2,TAKEN\n3,{outcome}\n4,TAKEN\n"
    assert await world.store.listed(ISSUER, sub(2)) is None
    # The refused row might have been about person 7, who therefore stays listed.
    assert taken.closed == 0
    assert await world.store.listed(ISSUER, sub(7)) is not None


async def test_a_green_row_does_not_unlist_anybody(world: World) -> None:
    await world.take(world.chain.rows(row(1)))
    later = NOON + timedelta(hours=1)
    green = row(1, level=Level.GREEN, state="绿码", assessed_at=later)
    taken = await world.take(world.chain.rows(green, made_at=later), now=later)
    assert taken.outcomes == {RowOutcome.REFUSED_LEVEL: 1}
    listing = await world.store.listed(ISSUER, sub(1))
    assert listing is not None
    assert listing.level == "RED"


async def test_the_first_of_two_rows_of_one_person_stands(world: World) -> None:
    far = [row(number) for number in range(10, 700)]
    rows = (row(1), row(1, level="YELLOW"), *far, row(1, state="黄码"))
    taken = await world.take(world.chain.rows(*rows))
    assert taken.outcomes == {RowOutcome.TAKEN: 691, RowOutcome.DUPLICATE: 2}
    listing = await world.store.listed(ISSUER, sub(1))
    assert listing is not None
    assert listing.state == "红码"


async def test_an_older_assessment_does_not_displace_a_newer_one(world: World) -> None:
    await world.take(world.chain.rows(row(1)))
    older = row(1, level="YELLOW", assessed_at=NOON - DAY)
    taken = await world.take(world.chain.rows(older))
    assert taken.outcomes == {RowOutcome.TOO_OLD: 1}
    listing = await world.store.listed(ISSUER, sub(1))
    assert listing is not None
    assert listing.level == "RED"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"null\n",
        b"\xff\n",
        b"[" * 8_000 + b"\n",
        b"x" * 30_000 + b"\n",
        encode_row(row(5)).replace(b'"sub"', b' "sub"'),
        encode_row(row(5)).replace(b'{"area"', b'{"area":"330102","area"'),
        encode_row(row(5)).replace(b'"RED"', b'"\\u0052ED"'),
    ],
    ids=["empty", "object", "null", "bytes", "deep", "long", "space", "doubled", "escaped"],
)
async def test_a_line_that_is_no_row_is_malformed_alone(world: World, line: bytes) -> None:
    path = world.chain.write([encode_row(row(1)), line, encode_row(row(2))])
    taken = await world.take(path)
    assert taken.outcomes == {RowOutcome.TAKEN: 2, RowOutcome.MALFORMED: 1}


async def test_a_cut_file_is_refused_whole(world: World) -> None:
    path = world.chain.rows(row(1), row(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert await refusal(world, path) == "CATALOGUE_TRUNCATED"
    path.write_bytes(whole[: whole.index(b"\n") + 1])
    assert await refusal(world, path) == "CATALOGUE_TRUNCATED"
    path.write_bytes(whole + b"\n")
    assert await refusal(world, path) == "CATALOGUE_TRUNCATED"
    path.write_bytes(whole[:20])
    assert await refusal(world, path) == "CATALOGUE_MALFORMED"
    path.write_bytes(b"")
    assert await refusal(world, path) == "CATALOGUE_MALFORMED"


async def test_an_altered_row_refuses_the_file(world: World) -> None:
    rows = [row(number) for number in range(1_200)]
    path = world.chain.rows(*rows)
    whole = path.read_bytes()
    at = whole.rindex(b'"RED"')
    path.write_bytes(whole[:at] + b'"TED"' + whole[at + 5 :])
    assert await refusal(world, path) == "CATALOGUE_ALTERED"
    assert await world.store.listed(ISSUER, sub(0)) is None


async def test_a_foreign_signer_is_refused(world: World) -> None:
    path = world.chain.rows(row(1), key=generate_signing_key())
    assert await refusal(world, path) == "KEY_UNKNOWN"
    shenzhen = world.federation.regions["440300"].signing[KeyUse.STATE]
    assert await refusal(world, world.chain.rows(row(1), key=shenzhen)) == "KEY_UNKNOWN"
    attest = world.federation.regions["330100"].signing[KeyUse.ATTEST]
    assert await refusal(world, world.chain.rows(row(1), key=attest)) == "KEY_UNKNOWN"


async def test_a_suspended_issuer_is_refused(world: World) -> None:
    path = world.chain.rows(row(1))
    world.federation.suspend("330100")
    assert await refusal(world, path) == "AUTHORITY_SUSPENDED"


async def test_a_file_for_another_region_or_time_is_refused(world: World) -> None:
    other = world.chain.rows(row(1), audience=FOREIGN)
    assert await refusal(world, other) == "CATALOGUE_AUDIENCE"
    early = world.chain.rows(row(1), made_at=NOON + timedelta(hours=1))
    assert await refusal(world, early) == "CATALOGUE_FROM_FUTURE"
    old = row(1, assessed_at=NOON - 3 * DAY, source_at=NOON - 3 * DAY)
    late = world.chain.rows(old, made_at=NOON - timedelta(hours=49))
    assert await refusal(world, late) == "CATALOGUE_TOO_OLD"
    assert (await world.take(late, max_age=timedelta(days=3))).is_clean


async def test_order_is_kept(world: World) -> None:
    first = world.chain.rows(row(1))
    second = world.chain.rows(row(1))
    third = world.chain.rows(row(1))
    await world.take(first)
    assert await refusal(world, third) == "CATALOGUE_GAP"
    await world.take(second)
    assert await refusal(world, first) == "CATALOGUE_ROLLED_BACK"
    forked = world.chain.rows(row(1), sequence=3, previous="A" * 43)
    assert await refusal(world, forked) == "CATALOGUE_FORKED"
    twin = world.chain.rows(row(2), sequence=2, previous="A" * 43)
    assert await refusal(world, twin) == "CATALOGUE_FORKED"
    await world.take(third)
    fifth = world.chain.rows(row(1), sequence=5)
    assert await refusal(world, fifth) == "CATALOGUE_GAP"
    assert (await world.take(fifth, allow_gap=True)).is_clean
    yesterday = world.chain.rows(row(1), sequence=6, made_at=NOON - DAY)
    assert await refusal(world, yesterday) == "CATALOGUE_ROLLED_BACK"


async def test_a_header_that_contradicts_itself_is_not_signed(world: World) -> None:
    for changes in (
        {"rows": -1},
        {"rows": 10**9},
        {"size_bytes": 10**15},
        {"sequence": 2},
        {"audience": ISSUER},
        {"correction": " "},
        {"correction": ""},
        {"day": (NOON + DAY).date()},
        {"taken_at": NOON + DAY},
        {"threshold": 5},
        {"kind": CatalogueKind.COUNTS},
    ):
        with pytest.raises(CatalogueError):
            world.chain.rows(row(1), **changes)


async def test_rows_that_the_header_does_not_count_refuse_the_file(world: World) -> None:
    assert await refusal(world, world.chain.rows(row(1), row(2), rows=1)) == "CATALOGUE_ALTERED"
    assert await refusal(world, world.chain.rows(row(1), row(2), rows=3)) == "CATALOGUE_ALTERED"


async def test_counts_are_taken_with_small_numbers_unstated(world: World) -> None:
    lines = [
        encode_count(CountRow(CountKey("330100", "level", "RED"), 120)),
        encode_count(CountRow(CountKey("330100", "level", "YELLOW"), None, 10)),
        encode_count(CountRow(CountKey("330100", "level", "YELLOW"), 11)),
        encode_count(CountRow(CountKey("330102", "level", "RED"), 3)),
        encode_count(CountRow(CountKey("330102", "level", "GREEN"), 300)),
        encode_count(CountRow(CountKey("440100", "level", "RED"), 300)),
    ]
    path = world.chain.write(lines, kind=CatalogueKind.COUNTS, threshold=10)
    taken = await world.take(path)
    assert taken.outcomes == {
        RowOutcome.TAKEN: 2,
        RowOutcome.DUPLICATE: 1,
        RowOutcome.MALFORMED: 2,
        RowOutcome.REFUSED_DIVISION: 1,
    }
    found = await world.store.counted(ISSUER, world.reader().audience or "")
    assert found == (("330100", "RED", 120), ("330100", "YELLOW", None))


async def test_files_of_another_issuer_do_not_touch_a_listing(world: World) -> None:
    await world.take(world.chain.rows(row(1)))
    other = replace(world.chain, sequence=0, previous=None)
    key = world.federation.regions["440300"].signing[KeyUse.STATE]
    path = other.rows(row(1, issued_by="440300"), key=key, issuer=FOREIGN)
    taken = await world.take(path)
    # Shenzhen has published no scheme, so it cannot say anything.
    assert taken.outcomes == {RowOutcome.REFUSED_SCHEME: 1}
    assert await world.store.listed(ISSUER, sub(1)) is not None


async def test_a_report_in_json_lines_names_no_person(world: World) -> None:
    report = world.folder / "report.jsonl"
    await world.take(world.chain.rows(row(1)), report)
    assert [json.loads(line) for line in report.read_text().splitlines()] == [
        {"line": 2, "outcome": "TAKEN"}
    ]
