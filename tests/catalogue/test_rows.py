"""Rows and the reader hold against anything: what is not canonical has no meaning."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import base64url, generate_sealing_key
from gateway.attestation.errors import SealingError
from gateway.attestation.sealing import Profile
from gateway.catalogue import CatalogueError, CatalogueRow, ReasonClass, encode_row, parse_row
from gateway.catalogue.counts import CountKey, count_rows, encode_count, parse_count
from gateway.catalogue.documents import open_document, seal_document
from gateway.catalogue.reading import read_first_line, read_lines
from gateway.catalogue.rows import MAX_ROW_BYTES, RowError, reason_class
from gateway.codes import Basis, Level, parse_document
from tests.catalogue.world import AUDIENCE, ISSUER, PEOPLE, Chain, make_federation, row

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
DIVISIONS = st.from_regex(r"[0-9]{6}", fullmatch=True)
STATES = st.text(min_size=1, max_size=64).filter(
    lambda text: text.isprintable() and _is_unicode(text)
)


CHAIN = Chain(make_federation(), Path())
"""Only for its headers: it writes nothing here."""


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


ROWS = st.builds(
    CatalogueRow,
    sub=st.binary(min_size=32, max_size=32).map(base64url.encode),
    level=st.sampled_from([level.value for level in Level]),
    scheme=st.from_regex(r"[a-z][a-z0-9-]{1,31}@[0-9a-z][0-9a-z.-]{0,31}", fullmatch=True),
    state=STATES,
    basis=st.frozensets(st.sampled_from(Basis)).map(lambda found: tuple(sorted(found))),
    reason=st.sampled_from(ReasonClass),
    assessed_at=MOMENTS,
    source_at=MOMENTS,
    issued_by=DIVISIONS,
    area=st.none() | DIVISIONS,
    sealed=st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True),
)


@given(ROWS)
def test_a_row_is_canonical_json_and_comes_back(one: CatalogueRow) -> None:
    line = encode_row(one)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) < MAX_ROW_BYTES
    assert rfc8785.dumps(json.loads(line)) == line[:-1]
    assert parse_row(line[:-1]) == one
    assert one.state not in repr(one) or len(one.state) < 3


@given(st.binary(max_size=300))
def test_any_other_line_is_a_row_error(line: bytes) -> None:
    with pytest.raises(RowError):
        parse_row(line)


@given(ROWS, st.data())
def test_one_byte_changed_is_another_row_or_none(one: CatalogueRow, data: st.DataObject) -> None:
    line = bytearray(encode_row(one)[:-1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RowError):
        assert parse_row(bytes(line)) != one


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=20))
def test_the_reader_gives_every_line_once_and_proves_them(lines: list[bytes]) -> None:
    content = b"".join(line + b"\n" for line in lines)
    header = CHAIN.header(content)
    assert list(read_lines(io.BytesIO(content), header)) == lines


@given(st.data())
def test_the_reader_refuses_any_other_bytes(data: st.DataObject) -> None:
    content = b"".join(encode_row(row(number)) for number in range(3))
    header = CHAIN.header(content)
    other = data.draw(
        st.one_of(
            st.binary(max_size=400),
            st.integers(0, len(content) - 1).map(lambda cut: content[:cut]),
            st.binary(min_size=1, max_size=40).map(lambda tail: content + tail),
            st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)).map(
                lambda change: (
                    content[: change[0]]
                    + bytes([content[change[0]] ^ change[1]])
                    + content[change[0] + 1 :]
                )
            ),
        )
    )
    if other == content:
        return
    with pytest.raises(CatalogueError) as caught:
        list(read_lines(io.BytesIO(other), header))
    assert caught.value.code in {"CATALOGUE_TRUNCATED", "CATALOGUE_ALTERED"}


def test_an_endless_line_is_read_past_in_pieces() -> None:
    content = b"x" * 3_000_000 + b"\n" + encode_row(row(1))
    given_lines = list(read_lines(io.BytesIO(content), CHAIN.header(content)))
    assert given_lines == [None, encode_row(row(1))[:-1]]


def test_an_endless_header_is_refused_before_it_is_read() -> None:
    with pytest.raises(CatalogueError):
        read_first_line(io.BytesIO(b"x" * 10_000_000))


@pytest.mark.parametrize("profile", list(Profile))
def test_a_sealed_document_opens_in_its_own_row_alone(profile: Profile) -> None:
    key = generate_sealing_key(profile)
    document = parse_document(10, PEOPLE.person(3).number)
    place: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "sub": row(1).sub}
    sealed = seal_document(key.public, document, **place)
    assert open_document(key, sealed, **place) == document
    assert len(encode_row(replace(row(1), sealed=sealed))) < MAX_ROW_BYTES
    passport = seal_document(key.public, parse_document(20, "E12345"), **place)
    assert len(passport) == len(sealed)
    for changes in ({"sub": row(2).sub}, {"issuer": AUDIENCE}, {"audience": ISSUER}):
        with pytest.raises(SealingError):
            open_document(key, sealed, **place | changes)
    for broken in ("", "é", sealed[:-4], generate_sealing_key(profile).key_id):
        with pytest.raises(SealingError):
            open_document(key, broken, **place)
    with pytest.raises(SealingError):
        open_document(generate_sealing_key(profile), sealed, **place)


@pytest.mark.parametrize(
    ("basis", "reason"),
    [
        ((), ReasonClass.NOT_STATED),
        ((Basis.TIME,), ReasonClass.AREA),
        ((Basis.SPACE, Basis.CONTACT), ReasonClass.CONTACT),
        ((Basis.TEST, Basis.ADMINISTRATIVE), ReasonClass.TEST),
        ((Basis.DECLARATION, Basis.ADMINISTRATIVE), ReasonClass.DECLARATION),
    ],
)
def test_the_reason_class_is_that_of_the_strongest_basis(
    basis: tuple[Basis, ...], reason: ReasonClass
) -> None:
    assert reason_class(basis) is reason


@given(
    st.dictionaries(
        st.builds(
            CountKey, DIVISIONS, st.just("level"), st.sampled_from(["RED", "YELLOW", "RESTRICTED"])
        ),
        st.integers(0, 1_000),
        max_size=30,
    ),
    st.integers(2, 50),
)
def test_no_number_below_the_threshold_is_stated(
    numbers: dict[CountKey, int], threshold: int
) -> None:
    for one in count_rows(numbers, threshold):
        assert parse_count(encode_count(one)[:-1], threshold=threshold) == one
        truth = numbers[one.key]
        assert one.count == truth if truth >= threshold else one.count is None
        assert truth > 0
    with pytest.raises(ValueError, match="threshold"):
        list(count_rows(numbers, 1))


@given(st.binary(max_size=200))
def test_any_other_line_is_no_count(line: bytes) -> None:
    with pytest.raises(RowError):
        parse_count(line, threshold=10)
