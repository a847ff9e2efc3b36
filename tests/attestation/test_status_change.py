from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.attestation import AttestationError
from gateway.attestation.signing import sign_payload
from gateway.attestation.status_change import (
    CHANGE_TYPE,
    StatusBase,
    apply_change,
    base_of,
    sign_status_change,
    verify_status_change,
)
from gateway.attestation.status_list import (
    SignedStatusList,
    StatusList,
    sign_status_list,
    verify_status_list,
)
from tests.attestation.status_world import KEY, NOW, REGION, TRUST, URI

END = NOW + timedelta(hours=30)


def base(uri: str = URI, size: int = 1024, bits: int = 1) -> SignedStatusList:
    entries = StatusList(bits, size)
    entries.set(5, 1)
    signed = sign_status_list(entries, KEY, uri=uri, issued_at=NOW, expires_at=END)
    return verify_status_list(signed, TRUST, now=NOW)


BASE = base()


def change(changes: dict[int, list[int]], sequence: int = 1, held: Any = BASE) -> str:
    return sign_status_change(
        KEY, base=held, uri=URI, sequence=sequence, changes=changes, issued_at=NOW
    )


def raw(**changed: Any) -> str:
    claims = {
        "iss": REGION,
        "uri": URI,
        "iat": int(NOW.timestamp()),
        "seq": 1,
        "base": {"digest": BASE.digest, "size": 1024, "bits": 1},
        "changes": {"1": [3, 17]},
    }
    return sign_payload(msgspec.json.encode({**claims, **changed}), KEY, CHANGE_TYPE)


def test_a_change_says_what_differs_from_the_base() -> None:
    found = verify_status_change(change({1: [90, 17]}, 7), TRUST, now=NOW, uri=URI)
    assert (found.issuer, found.uri, found.sequence) == (REGION, URI, 7)
    assert found.base == base_of(BASE)
    assert dict(found.changes) == {1: (17, 90)}
    assert (found.value(17), found.value(18)) == (1, None)
    entries = apply_change(BASE, found)
    assert [entries.get(index) for index in (5, 17, 18, 90)] == [1, 1, 0, 1]
    assert BASE.list.get(17) == 0


def test_a_change_may_be_empty_and_may_take_back() -> None:
    empty = verify_status_change(change({}), TRUST, now=NOW)
    assert apply_change(BASE, empty).get(5) == 1
    freed = verify_status_change(change({0: [5], 1: []}), TRUST, now=NOW)
    assert dict(freed.changes) == {0: (5,)}
    assert apply_change(BASE, freed).get(5) == 0


@pytest.mark.parametrize(
    "held",
    [base(size=2048), base(bits=2), base("urn:hutong:status:330100:other")],
    ids=["longer", "wider", "another"],
)
def test_a_change_counts_from_its_own_base_only(held: SignedStatusList) -> None:
    found = verify_status_change(change({1: [17]}), TRUST, now=NOW)
    with pytest.raises(AttestationError) as caught:
        apply_change(held, found)
    assert caught.value.code == "STATUS_LIST_INVALID"


@pytest.mark.parametrize(
    "changed",
    [
        {"changes": {"1": [17, 3]}},
        {"changes": {"1": [3, 3]}},
        {"changes": {"0": [3], "1": [3]}},
        {"changes": {"1": [1024]}},
        {"changes": {"1": [-1]}},
        {"changes": {"1": []}},
        {"changes": {"2": [3]}},
        {"changes": {"01": [3]}},
        {"changes": {"x": [3]}},
        {"changes": {"\N{SUPERSCRIPT ONE}": [3]}},
        {"changes": {"1": [1.5]}},
        {"seq": 0},
        {"seq": 2**53},
        {"base": {"digest": "short", "size": 1024, "bits": 1}},
        {"base": {"digest": BASE.digest, "size": 0, "bits": 1}},
        {"base": {"digest": BASE.digest, "size": 1024, "bits": 3}},
        {"uri": "urn:hutong:status:440100:p1-a"},
        {"iat": int(NOW.timestamp()) + 61},
        {"extra": 1},
    ],
)
def test_a_change_that_breaks_one_rule_is_refused(changed: dict[str, Any]) -> None:
    verify_status_change(raw(), TRUST, now=NOW)
    with pytest.raises(AttestationError) as caught:
        verify_status_change(raw(**changed), TRUST, now=NOW)
    assert caught.value.code == "STATUS_LIST_INVALID"


def test_a_change_about_another_list_than_is_wanted_is_refused() -> None:
    with pytest.raises(AttestationError):
        verify_status_change(raw(), TRUST, now=NOW, uri="urn:hutong:status:330100:other")


def test_what_is_too_long_for_the_wire_is_not_signed() -> None:
    held = StatusBase(BASE.digest, 10_000_000, 1)
    with pytest.raises(AttestationError, match="new base"):
        change({1: list(range(9_000_000, 9_040_000))}, held=held)
    with pytest.raises(AttestationError):
        change({2: [1]})
