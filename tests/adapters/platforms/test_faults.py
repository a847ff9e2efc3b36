from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.platforms import FaultError, Faults, Garbage, parse_faults

faults = st.builds(
    Faults,
    slow_seconds=st.floats(0, 120, allow_nan=False),
    down=st.booleans(),
    maintenance=st.booleans(),
    quota=st.booleans(),
    garbage=st.none() | st.sampled_from(Garbage),
    stale=st.booleans(),
    disagree=st.booleans(),
    ordinal=st.booleans(),
    empty=st.booleans(),
    qr_expired=st.booleans(),
    wrong_province=st.booleans(),
    must_update=st.booleans(),
    odd_dates=st.booleans(),
    json_in_json=st.booleans(),
    lowercase_x=st.booleans(),
    shared_phone=st.booleans(),
    proxy=st.booleans(),
    another_province=st.booleans(),
)


@settings(max_examples=100)
@given(faults)
def test_words_lead_back_to_the_same_faults(value: Faults) -> None:
    assert parse_faults(value.to_words()) == value


@settings(max_examples=100)
@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_words_are_faults_or_a_fault_error(words: list[str]) -> None:
    try:
        value = parse_faults(words)
    except FaultError:
        return
    assert parse_faults(value.to_words()) == value


@pytest.mark.parametrize(
    "word",
    [
        "",
        "slow",
        "slow=",
        "slow=-1",
        "slow=nan",
        "slow=inf",
        "slow=121",
        "garbage",
        "garbage=x",
        "down=1",
        "quota=",
        "Down",
        "unknown",
    ],
)
def test_a_word_that_is_no_fault_is_refused(word: str) -> None:
    with pytest.raises(FaultError, match="slow"):
        parse_faults([word])


def test_no_words_are_a_healthy_platform() -> None:
    assert parse_faults([]) == Faults()
