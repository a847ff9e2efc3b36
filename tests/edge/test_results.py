"""Results of a batch: round trip, resume, and nothing personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from gateway.edge.errors import ManifestError
from gateway.edge.results import COLUMNS, UNANSWERED, ResultRow, ResultsFile, parse_results

if TYPE_CHECKING:
    from pathlib import Path

codes = st.sampled_from(["LEVEL_GREEN", "GREEN_IS_FRESH", "NO_RULE", *sorted(UNANSWERED)])
ages = st.none() | st.integers(0, 10**7)
rows = st.builds(
    ResultRow,
    ref=st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True),
    line=st.integers(2, 10**6),
    verdict=st.sampled_from(["ADMIT", "REFER", "OBSERVE_HOME"]),
    days=st.none() | st.integers(1, 28),
    reasons=st.lists(codes, min_size=1, max_size=3),
    origin=st.none() | st.sampled_from(["330100", "440100"]),
    destination=st.just("440100"),
    path=st.sampled_from(["online", "offline"]),
    policy=st.sampled_from(["", "440100@2020-04"]),
    trust_seconds=ages,
    policy_seconds=ages,
    source_seconds=ages,
    decided_at=st.just("2020-04-10T02:00:00+00:00"),
    milliseconds=st.integers(0, 600_000).map(lambda tenths: tenths / 10),
)
ROW = ResultRow(
    ref="a",
    line=2,
    verdict="ADMIT",
    days=None,
    reasons=["LEVEL_GREEN"],
    origin="330100",
    destination="440100",
    path="online",
    policy="440100@2020-04",
    trust_seconds=1,
    policy_seconds=1,
    source_seconds=1,
    decided_at="2020-04-10T02:00:00+00:00",
    milliseconds=1.0,
)
unique_rows = st.lists(rows, max_size=8, unique_by=lambda row: row.ref)


@settings(max_examples=60, deadline=None)
@given(unique_rows, st.sampled_from(["csv", "jsonl"]), st.integers(0, 60))
def test_resume_keeps_exactly_what_was_answered_whole(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[ResultRow],
    ending: Literal["csv", "jsonl"],
    cut: int,
) -> None:
    path = tmp_path_factory.mktemp("results") / f"results.{ending}"
    with ResultsFile(path) as file:
        file.begin()
        for row in written:
            file.append(row)
    whole = path.read_bytes()
    assert parse_results(whole, ending) == tuple(written)
    if written and cut:
        last = len(whole.splitlines(keepends=True)[-1])
        path.write_bytes(whole[: -min(cut, last)])
        written = written[:-1]
    refs = [row.ref for row in written]
    kept = [row for row in written if row.is_answered]
    with ResultsFile(path) as file:
        assert list(file.resume([*refs, "another"])) == kept
    assert parse_results(path.read_bytes(), ending) == tuple(kept)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("mine")
    with pytest.raises(ManifestError) as caught:
        ResultsFile(path).begin()
    assert caught.value.code == "RESULTS_MISMATCH"
    assert path.read_text() == "mine"


def test_resume_refuses_what_is_not_this_manifests(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    with ResultsFile(path) as file:
        file.begin()
        file.append(ROW)
    with pytest.raises(ManifestError):
        ResultsFile(path).resume({"b"})
    for foreign in ("", "some,other,file\n1,2,3\n", ",".join(COLUMNS) + "\nshort\n"):
        path.write_text(foreign)
        with pytest.raises(ManifestError) as caught:
            ResultsFile(path).resume({"a"})
        assert caught.value.code == "RESULTS_MISMATCH"
        assert path.read_text() == foreign


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        ResultsFile(tmp_path / "results.xlsx")


def test_resume_without_a_file_begins_one(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "results.jsonl") as file:
        assert file.resume({"a"}) == ()
    assert (tmp_path / "results.jsonl").exists()


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode),
    st.sampled_from(["csv", "jsonl"]),
)
def test_any_bytes_are_results_or_a_mismatch(data: bytes, ending: Literal["csv", "jsonl"]) -> None:
    found: tuple[ResultRow, ...] = ()
    try:
        found = parse_results(data, ending)
    except ManifestError as error:
        said = error.code
    else:
        said = "RESULTS_MISMATCH"
    assert found == ()
    assert said == "RESULTS_MISMATCH"


@pytest.mark.parametrize("held", ["milliseconds", "status_seconds", "warnings"])
def test_what_an_older_release_wrote_is_taken_up(tmp_path: Path, held: str) -> None:
    names = COLUMNS[: COLUMNS.index(held) + 1]
    values = {**asdict(ROW), "reasons": "LEVEL_GREEN", "warnings": "", "days": ""}
    text = [",".join(names), ",".join(str(values[name] or "") for name in names), ""]
    path = tmp_path / "results.csv"
    path.write_text("\n".join(text))
    with ResultsFile(path) as file:
        assert file.resume(["a"]) == (ROW,)
    # From here on it is one of this release.
    assert path.read_text().startswith(",".join(COLUMNS) + "\n")
    assert parse_results(path.read_bytes(), "csv") == (ROW,)
