from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import strict_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_good_json_reads(value: object) -> None:
    assert strict_json.loads(json.dumps(value).encode()) == value


@given(st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=4), st.data())
def test_a_doubled_member_is_refused_at_any_depth(
    members: dict[str, object], draw: st.DataObject
) -> None:
    name = draw.draw(st.sampled_from(sorted(members)))
    body = json.dumps(members)
    doubled = f"{body[:-1]}, {json.dumps(name)}: 1}}"
    for text in (doubled, f'{{"outer": [1, {doubled}]}}'):
        with pytest.raises(strict_json.DoubledMemberError):
            strict_json.loads(text.encode())


def test_a_member_doubled_through_an_escape_is_refused() -> None:
    with pytest.raises(strict_json.DoubledMemberError):
        strict_json.loads(b'{"iss":1,"\\u0069ss":2}')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a":Infinity}',
        b"{} x",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_what_is_not_one_json_text_in_utf8_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not one JSON text"):
        strict_json.loads(data)
