"""What another hub says of its readers is taken as sums and words, and nothing else."""

from __future__ import annotations

from hutong.v1 import readers_pb2

from gateway.hub.reader_counts import (
    MAX_REASONS,
    ReaderCount,
    count_from_proto,
    count_to_proto,
    failing_by_reason,
)

HUB = "urn:hutong:hub:440000"


def test_a_count_goes_over_the_wire_and_back() -> None:
    count = ReaderCount(HUB, 9, 4, {"KEY_TYPE": 2, "AUTHORITY_SUSPENDED": 1}, 2, 3)
    assert count_from_proto(count_to_proto(count)) == count


def test_reasons_that_are_no_words_are_not_passed_on() -> None:
    message = readers_pb2.HubReaders(hub=HUB, connected=4)
    for reason, readers in (("KEY_TYPE", 1), ("\x1b[31mred", 1), ("a gate\nby name", 2)):
        message.failing.add(reason=reason, readers=readers)
    assert count_from_proto(message).failing == {"KEY_TYPE": 1, "UNKNOWN": 3}


def test_the_commonest_reasons_are_told_and_who_verifies_gives_none() -> None:
    reasons = ["", "B", "A", "B", ""] + [f"R{number}" for number in range(100)]
    told = failing_by_reason(reasons)
    assert list(told.items())[:2] == [("B", 2), ("A", 1)]
    assert len(told) == MAX_REASONS
