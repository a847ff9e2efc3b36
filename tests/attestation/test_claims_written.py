"""Writing claims: nothing is signed that a strict reader would refuse."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import (
    AttestationError,
    AttestationUse,
    StatusReference,
    claims_to_json,
    parse_claims,
)
from tests.attestation.samples import CODE, NONCE, NOW, attestation

if TYPE_CHECKING:
    from gateway.codes.unified import UnifiedCode

URI = "urn:hutong:status:330100:7q"

WRITER: list[dict[str, Any]] = [
    {"issuer": "urn:hutong:region:33"},
    {"audience": "urn:hutong:checkpoint:440100:north-gate"},
    {"token_id": "short"},
    {"subject": "SYNTHETIC0000001"},
    {"not_before": NOW - timedelta(seconds=1)},
    {"expires_at": NOW},
    {"nonce": NONCE},
    {"use": AttestationUse.ONLINE, "nonce": None},
    {"use": AttestationUse.ONLINE, "nonce": b"short"},
    {"issued_at": NOW.replace(tzinfo=None)},
    {"not_before": NOW.replace(tzinfo=None)},
    {"expires_at": NOW.replace(tzinfo=None)},
    {"issued_at": NOW.replace(year=1969), "not_before": NOW.replace(year=1969)},
    {"code": dataclasses.replace(CODE, state="\ud800")},
    {"serial": -1},
    {"serial": 2**53},
    {"status": StatusReference(URI, -1)},
    {"status": StatusReference(URI, 2**31)},
    {"status": StatusReference("", 1)},
    {"status": StatusReference(URI, 1), "use": AttestationUse.ONLINE, "nonce": NONCE},
]


@pytest.mark.parametrize("change", WRITER, ids=",".join)
def test_the_writer_refuses_what_a_reader_would(change: dict[str, Any]) -> None:
    claims_to_json(attestation())
    with pytest.raises(AttestationError) as caught:
        claims_to_json(attestation(**change))
    assert caught.value.code in {"CLAIMS_INVALID", "LIFETIME_TOO_LONG"}


def test_the_writer_refuses_lives_that_are_too_long() -> None:
    for change in (
        {"expires_at": NOW + timedelta(hours=24, seconds=1), "code": _without_end(CODE)},
        {"code": dataclasses.replace(CODE, valid_until=NOW + timedelta(minutes=9))},
        {
            "code": dataclasses.replace(
                CODE,
                also=(dataclasses.replace(CODE, valid_until=NOW + timedelta(minutes=9)),),
            )
        },
    ):
        with pytest.raises(AttestationError) as caught:
            claims_to_json(attestation(**change))
        assert caught.value.code == "LIFETIME_TOO_LONG"


def _without_end(code: UnifiedCode) -> UnifiedCode:
    return dataclasses.replace(code, valid_until=None)


def test_times_of_another_zone_are_the_same_moments_and_fractions_are_dropped() -> None:
    shanghai = timezone(timedelta(hours=8), "Asia/Shanghai")
    written = claims_to_json(
        attestation(
            issued_at=NOW.astimezone(shanghai),
            not_before=NOW.replace(microsecond=999_999),
            expires_at=(NOW + timedelta(minutes=10)).astimezone(shanghai),
        )
    )
    assert parse_claims(written) == attestation()


def test_an_end_is_held_against_a_report_as_it_is_written() -> None:
    ends = NOW + timedelta(minutes=9)
    code = dataclasses.replace(CODE, valid_until=ends)
    written = claims_to_json(attestation(code=code, expires_at=ends.replace(microsecond=999_999)))
    assert parse_claims(written) == attestation(code=code, expires_at=ends)
    with pytest.raises(AttestationError) as caught:
        claims_to_json(attestation(code=code, expires_at=ends + timedelta(seconds=1)))
    assert caught.value.code == "LIFETIME_TOO_LONG"


def test_what_was_read_is_written_as_it_was_read_and_a_part_of_it_changed_as_made() -> None:
    read = parse_claims(claims_to_json(attestation(serial=3)))
    assert claims_to_json(read) == claims_to_json(attestation(serial=3))
    changed = dataclasses.replace(read, token_id="x" * 16)
    assert claims_to_json(changed) == claims_to_json(attestation(serial=3, token_id="x" * 16))
    assert changed.claims.jti == "x" * 16


def test_the_payload_is_compact_and_in_a_fixed_order() -> None:
    payload = claims_to_json(attestation())
    assert list(json.loads(payload)) == [
        "iss", "aud", "iat", "nbf", "exp", "jti", "sub", "code", "use",
    ]  # fmt: skip
    further = json.loads(claims_to_json(attestation(status=StatusReference(URI, 7), serial=3)))
    assert list(further)[-2:] == ["status", "serial"]
    assert further["status"] == {"status_list": {"idx": 7, "uri": URI}}
    assert further["serial"] == 3
    assert b", " not in payload
    assert "绿码".encode() in payload
    assert b"null" not in payload
