from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.platforms.papers import paper_holder, paper_number
from gateway.codes import DocumentType, parse_document

KINDS = [int(kind) for kind in DocumentType if kind is not DocumentType.RESIDENT_IDENTITY_CARD]


@given(st.sampled_from(KINDS), st.integers(0, 999_999))
def test_a_number_leads_back_to_its_holder_and_is_a_document(kind: int, index: int) -> None:
    number = paper_number(kind, index)
    assert paper_holder(kind, number) == index
    assert parse_document(kind, number).number == number


@given(st.integers(), st.text(max_size=24))
def test_any_text_is_somebody_s_number_or_nobody_s(kind: int, text: str) -> None:
    index = paper_holder(kind, text)
    assert index is None or paper_number(kind, index) == text


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_number_for_a_place_that_does_not_fit(kind: int) -> None:
    with pytest.raises(ValueError, match="no number left"):
        paper_number(kind, 10**12)


def test_a_resident_card_is_no_such_paper() -> None:
    assert paper_holder(10, "110101210001010013") is None
    with pytest.raises(KeyError):
        paper_number(10, 0)
