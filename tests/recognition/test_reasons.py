from __future__ import annotations

import re

import pytest
from hutong.v1 import error_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation.errors import AttestationFault
from gateway.codes import Level, Outcome
from gateway.recognition import REFUSAL_CODES, level_reason, outcome_reason, refusal_reason
from gateway.recognition import reasons as catalogue
from gateway.recognition.reasons import Reason
from gateway.trust.errors import FeedFault, Missing

OWN = [value for value in vars(catalogue).values() if isinstance(value, Reason)]
EVERY = [
    *map(level_reason, Level),
    *map(outcome_reason, Outcome),
    *map(refusal_reason, sorted(REFUSAL_CODES)),
    *OWN,
]


def test_every_level_and_outcome_has_words() -> None:
    assert [level_reason(level).code for level in Level] == [f"LEVEL_{each}" for each in Level]
    assert [outcome_reason(each).code for each in Outcome] == list(Outcome)


def test_every_refusal_of_the_federation_has_words_of_its_own() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name, _ in error_pb2.ErrorReason.items()}
    reasons.remove("UNSPECIFIED")
    for code in (*reasons, *AttestationFault, *FeedFault, *Missing):
        assert code in REFUSAL_CODES
        assert refusal_reason(code).code == code


@pytest.mark.parametrize("reason", EVERY, ids=lambda reason: str(reason.code))
def test_words_are_in_their_language(reason: Reason) -> None:
    assert re.search("[\u4e00-\u9fff]", reason.zh)
    assert not re.search("[,;:!?]", reason.zh)
    assert reason.zh.endswith("。")
    assert reason.en.isascii()
    assert reason.en.endswith(".")


def test_no_two_codes_share_their_words() -> None:
    assert len({reason.en for reason in EVERY}) >= len(EVERY) - 4
    codes = [reason.code for reason in EVERY]
    # NOT_FOUND is an outcome and, from the registry, a refusal.
    assert {code for code in codes if codes.count(code) > 1} == {"NOT_FOUND"}


def test_what_failed_says_nothing_about_health() -> None:
    for code in ("ADAPTER_UNREACHABLE", "OVERLOADED", "DEADLINE_EXCEEDED", "INTERNAL"):
        assert "says nothing about health" in refusal_reason(code).en
    for outcome in (
        Outcome.SOURCE_BUSY,
        Outcome.SOURCE_TIMED_OUT,
        Outcome.SOURCE_UNPARSABLE,
    ):
        assert "says nothing about health" in outcome_reason(outcome).en


@given(st.text(max_size=60))
def test_any_refusal_code_has_words_and_only_a_proper_code_is_repeated(code: str) -> None:
    reason = refusal_reason(code)
    assert reason.code in (code, "REFUSED")
    assert re.fullmatch("[A-Z][A-Z0-9_]{1,47}", reason.code)
