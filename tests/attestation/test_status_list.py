from __future__ import annotations

import base64
import random
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.attestation import AttestationError, generate_signing_key
from gateway.attestation import base64url as b64
from gateway.attestation.signing import sign_payload
from gateway.attestation.status_list import (
    LIST_TYPE,
    MAX_LIST_BYTES,
    ON_HOLD,
    REVOKED,
    VALID,
    StatusList,
    check_status,
    sign_status_list,
    status_issuer,
    status_uri,
    verify_status_list,
)
from gateway.errors import TrustError
from tests.attestation import status_vectors as vectors
from tests.attestation.status_world import (
    KEY,
    NOW,
    OTHER_REGION,
    REGION,
    TRUST,
    URI,
    Trust,
    trusting,
)

END = NOW + timedelta(hours=30)


def packed(text: str) -> bytes:
    text = "".join(text.split())
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def refused(code: str, *arguments: Any, **named: Any) -> None:
    with pytest.raises(TrustError) as caught:
        verify_status_list(*arguments, **{"now": NOW, **named})
    assert caught.value.code == code


def claims(**changes: Any) -> bytes:
    entries = StatusList(1, 1024)
    body = {
        "iss": REGION,
        "sub": URI,
        "iat": int(NOW.timestamp()),
        "exp": int(END.timestamp()),
        "status_list": {"bits": 1, "lst": b64.encode(entries.compress())},
    }
    return msgspec.json.encode(
        {name: value for name, value in {**body, **changes}.items() if value is not None}
    )


def token(payload: bytes, typ: str = LIST_TYPE) -> str:
    return sign_payload(payload, KEY, typ)


@pytest.mark.parametrize(
    ("bits", "entries", "data"),
    [
        (1, vectors.ONE_BIT[0], packed(vectors.ONE_BIT[1])),
        (2, vectors.TWO_BITS, bytes.fromhex(vectors.TWO_BITS_CBOR)),
        (4, vectors.FOUR_BITS, bytes.fromhex(vectors.FOUR_BITS_CBOR)),
        (
            8,
            {int(index): value for value, index in enumerate(vectors.EIGHT_BITS.split()) if value},
            packed(vectors.EIGHT_BITS_LST),
        ),
    ],
    ids=["1-bit", "2-bits", "4-bits", "8-bits"],
)
def test_the_vectors_of_the_draft_are_read_and_written(
    bits: int, entries: dict[int, int], data: bytes
) -> None:
    read = StatusList.decompress(bits, data, size=vectors.SIZE)
    assert read.size == len(read) == vectors.SIZE
    assert dict(read.entries()) == entries
    written = StatusList(bits, vectors.SIZE)
    for index, value in entries.items():
        written.set(index, value)
    # Of one content a packer may make several streams; they unpack to the same list.
    assert zlib.decompress(written.compress()) == zlib.decompress(data)


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5])
def test_a_list_is_as_long_as_the_draft_says(rate: float) -> None:
    size = 100_000
    entries = StatusList(1, size)
    for index in random.Random(7).sample(range(size), round(size * rate)):  # noqa: S311 - a figure, no secret
        entries.set(index, REVOKED)
    expected = vectors.SIZES[size, rate]
    # The draft does not say which entries it drew; ten of 100 000 leave more to chance.
    margin = 0.1 if rate > 0.0005 else 0.35
    assert len(entries.compress()) == pytest.approx(expected, rel=margin)


@settings(max_examples=60)
@given(
    bits=st.sampled_from([1, 2, 4, 8]),
    size=st.integers(1, 300),
    writes=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 255)), max_size=40),
)
def test_what_was_written_is_read_and_nothing_else(
    bits: int, size: int, writes: list[tuple[int, int]]
) -> None:
    entries = StatusList(bits, size)
    held: dict[int, int] = {}
    for index, value in writes:
        if index < size:
            entries.set(index, value & ((1 << bits) - 1))
            held[index] = value & ((1 << bits) - 1)
    again = StatusList.decompress(bits, entries.compress())
    assert size <= again.size < size + 8
    assert [again.get(index) for index in range(size)] == [held.get(i, 0) for i in range(size)]
    assert dict(again.entries()) == {index: value for index, value in held.items() if value}


@pytest.mark.parametrize("index", [-1, 1024, 2**40])
def test_an_entry_that_is_not_there_is_an_error_and_no_status(index: int) -> None:
    with pytest.raises(AttestationError) as caught:
        StatusList(1, 1024).get(index)
    assert caught.value.code == "STATUS_LIST_INVALID"
    with pytest.raises(AttestationError):
        StatusList(1, 1024).set(index, 1)


@pytest.mark.parametrize(("bits", "value"), [(1, 2), (2, 4), (8, 256), (1, -1)])
def test_a_value_that_does_not_fit_is_refused(bits: int, value: int) -> None:
    with pytest.raises(AttestationError):
        StatusList(bits, 16).set(0, value)


@pytest.mark.parametrize(("bits", "size"), [(3, 8), (0, 8), (1, 0), (1, MAX_LIST_BYTES * 8 + 1)])
def test_a_list_out_of_bounds_is_not_made(bits: int, size: int) -> None:
    with pytest.raises(AttestationError):
        StatusList(bits, size)


def test_a_bomb_is_refused_after_the_bytes_that_are_allowed() -> None:
    bomb = zlib.compress(bytes(MAX_LIST_BYTES + 1), 9)
    assert len(bomb) < 20_000
    with pytest.raises(AttestationError, match="more than is allowed"):
        StatusList.decompress(1, bomb)
    small = zlib.compress(bytes(100_000), 9)
    with pytest.raises(AttestationError, match="more than is allowed"):
        StatusList.decompress(1, small, size=1024)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not zlib",
        zlib.compress(b""),
        zlib.compress(bytes(128))[:-3],
        zlib.compress(bytes(128)) + b"\0",
        zlib.compress(bytes(64)),
    ],
    ids=["nothing", "no-zlib", "empty", "cut-short", "followed", "too-short"],
)
def test_entries_that_do_not_unpack_are_refused(data: bytes) -> None:
    with pytest.raises(AttestationError) as caught:
        StatusList.decompress(1, data, size=1024)
    assert caught.value.code == "STATUS_LIST_INVALID"


def test_a_signed_list_verifies_and_says_what_it_is() -> None:
    entries = StatusList(2, 512)
    entries.set(3, ON_HOLD)
    signed = sign_status_list(
        entries, KEY, uri=URI, issued_at=NOW, expires_at=END, ttl_seconds=3600
    )
    found = verify_status_list(signed, TRUST, now=NOW, uri=URI, size=512)
    assert (found.issuer, found.uri, found.ttl_seconds) == (REGION, URI, 3600)
    assert (found.issued_at, found.expires_at) == (NOW, END)
    assert dict(found.list.entries()) == {3: ON_HOLD}
    assert len(found.digest) == 43
    copied = found.list.copy()
    copied.set(4, REVOKED)
    assert found.list.get(4) == VALID
    assert verify_status_list(signed.encode(), TRUST, now=NOW).digest == found.digest


def test_a_list_of_another_key_kind_verifies_too() -> None:
    key = generate_signing_key("Ed25519")
    signed = sign_status_list(StatusList(1, 8), key, uri=URI, issued_at=NOW, expires_at=END)
    assert verify_status_list(signed, trusting(key), now=NOW).list.size == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "urn:hutong:status:330100:other"},
        {"sub": "urn:hutong:status:440100:p1-a"},
        {"sub": "https://example.com/statuslists/1"},
        {"sub": None},
        {"iat": int(NOW.timestamp()) + 61},
        {"exp": None},
        {"exp": int(NOW.timestamp()) - 61, "iat": int(NOW.timestamp()) - 3600},
        {"exp": int(NOW.timestamp())},
        {"ttl": 0},
        {"status_list": {"bits": 3, "lst": "eNpjAAAAAQAB"}},
        {"status_list": {"bits": 1, "lst": "not base64url!"}},
        {"status_list": {"bits": 1}},
        {"extra": True},
        {"iat": 1.5},
    ],
)
def test_a_list_that_breaks_one_rule_is_refused(changes: dict[str, Any]) -> None:
    verify_status_list(token(claims()), TRUST, now=NOW, uri=URI)
    refused("STATUS_LIST_INVALID", token(claims(**changes)), TRUST, uri=URI)


def test_a_list_is_refused_for_its_frame() -> None:
    good = token(claims())
    header, payload, signature = good.split(".")
    doubled = claims()[:-1] + b',"iat":1}'
    for bad in (
        token(claims(), typ="hutong-status+jwt"),
        token(doubled),
        token(b"[]"),
        f"{header}.{payload}",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}=.{signature}",
        good + "\N{SNOWMAN}",
        f"{header}.{b64.encode(claims(ttl=5))}.{signature}",
        "." * 600 + good,
    ):
        refused("STATUS_LIST_INVALID", bad, TRUST)
    refused("STATUS_LIST_INVALID", "x" * (4 * 1024 * 1024 + 1), TRUST)


def test_a_list_is_only_as_good_as_its_key_was_when_it_signed() -> None:
    good = token(claims())
    refused("KEY_UNKNOWN", good, Trust({}))
    refused("KEY_REVOKED", good, trusting(KEY, is_revoked=True))
    refused("KEY_TAINTED", good, trusting(KEY, tainted_from=NOW))
    verify_status_list(good, trusting(KEY, tainted_from=NOW + timedelta(seconds=1)), now=NOW)
    refused("KEY_NOT_VALID_NOW", good, trusting(KEY, not_after=NOW - timedelta(minutes=2)))
    retired = trusting(KEY, not_after=NOW + timedelta(hours=1))
    verify_status_list(good, retired, now=NOW + timedelta(hours=9))
    refused("STATUS_LIST_INVALID", good, trusting(KEY, prefixes=("44",)))


def test_a_region_cannot_publish_the_list_of_another() -> None:
    trust = trusting(KEY, OTHER_REGION)
    refused("STATUS_LIST_INVALID", token(claims(iss=OTHER_REGION)), trust)


def test_a_skew_of_a_minute_is_allowed_in_both_directions() -> None:
    good = token(claims())
    verify_status_list(good, TRUST, now=NOW - timedelta(seconds=60))
    verify_status_list(good, TRUST, now=END + timedelta(seconds=59))
    refused("STATUS_LIST_INVALID", good, TRUST, now=NOW - timedelta(seconds=61))
    refused("STATUS_LIST_INVALID", good, TRUST, now=END + timedelta(seconds=60))


def test_nothing_is_signed_that_a_reader_would_refuse() -> None:
    with pytest.raises(AttestationError):
        sign_status_list(StatusList(1, 8), KEY, uri="urn:x:1", issued_at=NOW, expires_at=END)
    with pytest.raises(AttestationError):
        sign_status_list(StatusList(1, 8), KEY, uri=URI, issued_at=END, expires_at=END)


def test_a_uri_names_a_region_and_a_list() -> None:
    assert status_uri(REGION, "p1-a") == URI
    assert status_issuer(URI) == REGION
    for name in ("", "A", "-a", "a" * 65, "a:b"):
        with pytest.raises(AttestationError):
            status_uri(REGION, name)
    with pytest.raises(AttestationError):
        status_uri("urn:hutong:hub:000000:", "a")


def test_only_zero_is_good() -> None:
    check_status(VALID)
    for value, code in ((REVOKED, "ATTESTATION_REVOKED"), (ON_HOLD, "ATTESTATION_ON_HOLD")):
        with pytest.raises(AttestationError) as caught:
            check_status(value)
        assert caught.value.code == code
    with pytest.raises(AttestationError) as caught:
        check_status(3)
    assert caught.value.code == "ATTESTATION_REVOKED"


def test_times_are_utc() -> None:
    found = verify_status_list(token(claims()), TRUST, now=NOW)
    assert found.issued_at == datetime(2020, 3, 1, 4, 0, tzinfo=UTC)
