"""The record of decisions: round trip, torn lines, nothing personal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.edge import record as record_module
from gateway.edge.record import DecisionLog, DecisionRecord, parse_records

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2020, 4, 1, 8, 0, tzinfo=UTC)

codes = st.from_regex(r"[A-Z][A-Z0-9_]{1,30}", fullmatch=True)
ages = st.none() | st.integers(0, 10**7)
records = st.builds(
    DecisionRecord,
    at=st.integers(0, 10**9).map(lambda ms: NOW + timedelta(milliseconds=ms)),
    path=st.sampled_from(["online", "offline"]),
    destination=st.just("440100"),
    origin=st.none() | st.just("330100"),
    verdict=codes,
    reasons=st.lists(codes, max_size=4).map(tuple),
    policy=st.none() | st.just("440100@2020-04"),
    trust_seconds=ages,
    policy_seconds=ages,
    source_seconds=ages,
    milliseconds=st.floats(0, 60_000),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=6))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[DecisionRecord]
) -> None:
    path = tmp_path_factory.mktemp("record") / "decisions.jsonl"
    log = DecisionLog(path)
    for one in written:
        log.append(one)
    log.close()
    assert list(parse_records(path.read_bytes())) == written
    assert path.stat().st_mode & 0o077 == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_torn_line_costs_itself_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, written: list[DecisionRecord], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("record") / "decisions.jsonl"
    log = DecisionLog(path)
    for one in written:
        log.append(one)
    log.close()
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    path.write_bytes(whole[: len(whole) - data.draw(st.integers(2, last - 1))])
    log = DecisionLog(path)
    log.append(written[0])
    log.close()
    assert list(parse_records(path.read_bytes())) == [*written[:-1], written[0]]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_foreign_lines_are_skipped(data: bytes) -> None:
    assert list(parse_records(data)) == []


@pytest.mark.parametrize("reason", ["11010519491231002X", "green", "张三", "A B", ""])
def test_only_stable_codes_can_be_written(reason: str) -> None:
    with pytest.raises(ValueError, match="stable code"):
        DecisionRecord(
            NOW, "online", "440100", None, "REFER", (reason,), None, None, None, None, 1.0
        )


def test_a_full_file_is_turned_over_and_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "MAX_RECORD_BYTES", 500)
    path = tmp_path / "decisions.jsonl"
    log = DecisionLog(path)
    one = DecisionRecord(NOW, "online", "440100", None, "REFER", (), None, 1, 2, None, 1.0)
    for _ in range(10):
        log.append(one)
    log.close()
    assert path.stat().st_size <= 500
    kept = path.with_suffix(".jsonl.1")
    assert kept.stat().st_size <= 500
    assert set(parse_records(kept.read_bytes() + path.read_bytes())) == {one}
