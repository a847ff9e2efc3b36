from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    MAX_CARRIED_SECONDS,
    MAX_ONLINE_SECONDS,
    Attestation,
    AttestationError,
    AttestationUse,
    StatusReference,
    base64url,
    claims_to_json,
    parse_claims,
)
from gateway.codes.levels import Level
from gateway.codes.unified import UnifiedCode
from tests.attestation.samples import (
    NONCE,
    NOW,
    SECONDS,
    SUBJECT,
    attestation,
    claims,
    code_claim,
    compact,
)
from tests.codes.strategies import UNIFIED_CODES

URI = "urn:hutong:status:330100:7q"
REFERENCES = st.builds(
    StatusReference,
    uri=st.sampled_from([URI, "https://example.invalid/status/1"]),
    index=st.integers(0, 2**31 - 1),
)
TEXT_IDS = st.text("ABCabc012-_", min_size=16, max_size=64)


def refused(payload: bytes, code: str = "CLAIMS_INVALID") -> None:
    with pytest.raises(AttestationError) as caught:
        parse_claims(payload)
    assert caught.value.code == code


@st.composite
def attestations(draw: st.DrawFn) -> Attestation:
    """Anything a region may state."""
    code = draw(UNIFIED_CODES)
    use = draw(st.sampled_from(AttestationUse))
    issued = draw(st.integers(0, 4_000_000_000))
    longest = MAX_CARRIED_SECONDS if use is AttestationUse.CARRIED else MAX_ONLINE_SECONDS
    life = draw(st.integers(1, longest))
    begins = issued + draw(st.integers(0, life - 1))
    epoch = NOW - timedelta(seconds=SECONDS)
    expires = epoch + timedelta(seconds=issued + life)
    reports = [
        dataclasses.replace(report, also=(), valid_until=max(report.valid_until, expires))
        if report.valid_until is not None
        else dataclasses.replace(report, also=())
        for report in code.reports
    ]
    return attestation(
        use,
        audience=f"urn:hutong:region:{draw(st.sampled_from(['44', '4401', '440106', '440000']))}",
        issued_at=epoch + timedelta(seconds=issued),
        not_before=epoch + timedelta(seconds=begins),
        expires_at=expires,
        token_id=draw(TEXT_IDS),
        code=dataclasses.replace(reports[0], also=tuple(reports[1:])),
        nonce=draw(st.binary(min_size=16, max_size=16)) if use is AttestationUse.ONLINE else None,
        bound=draw(st.none() | st.binary(min_size=32, max_size=32))
        if use is AttestationUse.IMPORT
        else None,
        status=draw(st.none() | REFERENCES) if use is AttestationUse.CARRIED else None,
        serial=draw(st.none() | st.integers(0, 2**53 - 1)),
    )


@given(attestations())
def test_what_is_written_reads_back_the_same(stated: Attestation) -> None:
    payload = claims_to_json(stated)
    assert parse_claims(payload) == stated
    assert claims_to_json(parse_claims(payload)) == payload


@given(attestations())
def test_what_was_read_holds_every_invariant_of_its_types(stated: Attestation) -> None:
    read = parse_claims(claims_to_json(stated))
    rebuilt = [dataclasses.replace(report) for report in read.code.reports]
    assert rebuilt == list(read.code.reports)
    assert type(read) is Attestation
    assert all(type(report) is UnifiedCode for report in read.code.reports)
    assert {field.name for field in dataclasses.fields(read.code)} == {
        field.name for field in dataclasses.fields(UnifiedCode) if hasattr(read.code, field.name)
    }


@given(attestations(), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_another_order_spacing_or_escaping_of_members_reads_the_same(
    stated: Attestation,
    random: Any,
    ascii_only: bool,
    spaced: bool,
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            pairs = [(name, shuffled(inner)) for name, inner in value.items()]
            random.shuffle(pairs)
            return dict(pairs)
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    members = shuffled(json.loads(claims_to_json(stated)))
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps(members, ensure_ascii=ascii_only, separators=separators)
    assert parse_claims(text.encode()) == stated


@given(attestations(), st.data())
def test_a_doubled_member_is_refused_wherever_it_stands(
    stated: Attestation, draw: st.DataObject
) -> None:
    payload = claims_to_json(stated).decode()
    ends = [at for at, character in enumerate(payload) if character == "}"]
    members = json.loads(payload)
    inside = [
        ("}}", members["code"]),  # the end of the code, then of the claims
        ("}", members),
    ]
    suffix, owner = draw.draw(st.sampled_from(inside))
    name = draw.draw(st.sampled_from(sorted(owner)))
    value = json.dumps(owner[name], ensure_ascii=False, separators=(",", ":"))
    escaped = draw.draw(st.booleans())
    key = f"\\u{ord(name[0]):04x}{name[1:]}" if escaped else name
    space = draw.draw(st.sampled_from(["", " ", "\n"]))
    if suffix == "}":
        doubled = f'{payload[:-1]},"{key}"{space}:{value}}}'
    else:
        code_text = json.dumps(owner, ensure_ascii=False, separators=(",", ":"))
        assert code_text in payload
        doubled = payload.replace(code_text, f'{code_text[:-1]},"{key}"{space}:{value}}}')
    assert ends
    refused(doubled.encode())


def test_a_member_doubled_with_another_value_is_refused() -> None:
    text = compact(claims()).decode()
    parse_claims(text.encode())
    refused(text.replace('"level":"GREEN"', '"level":"RED","level":"GREEN"').encode())
    refused(text.replace('"level":"GREEN"', '"level" :"RED","level":"GREEN"').encode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_that_are_no_claims_are_refused_and_nothing_else_happens(payload: bytes) -> None:
    with pytest.raises(AttestationError):
        parse_claims(payload)


@given(st.data())
def test_claims_with_one_byte_changed_are_refused_or_read_as_something_well_formed(
    draw: st.DataObject,
) -> None:
    payload = bytearray(compact(claims()))
    payload[draw.draw(st.integers(0, len(payload) - 1))] = draw.draw(st.integers(0, 255))
    try:
        read = parse_claims(bytes(payload))
    except AttestationError:
        return
    claims_to_json(read)


def test_the_good_claims_are_good() -> None:
    assert parse_claims(compact(claims())).code.level is Level.GREEN
    online = claims(use="online", nonce=base64url.encode(NONCE))
    assert parse_claims(compact(online)).nonce == NONCE


FRAME: list[dict[str, Any]] = [
    {"iss": ...},
    {"aud": ...},
    {"iat": ...},
    {"nbf": ...},
    {"exp": ...},
    {"jti": ...},
    {"sub": ...},
    {"use": ...},
    {"code": ...},
    {"iss": None},
    {"nonce": None},
    {"extra": 1},
    {"cnf": {"jwk": {}}},
    {"iss": 330100},
    {"iss": "urn:hutong:region:3301"},
    {"iss": "urn:hutong:region:33010０"},
    {"iss": "urn:hutong:region:330100\n"},
    {"iss": "urn:hutong:hub:000000"},
    {"iss": "URN:HUTONG:REGION:330100"},
    {"aud": ["urn:hutong:region:440100"]},
    {"aud": "urn:hutong:region:000000"},
    {"aud": "urn:hutong:region:00"},
    {"aud": "urn:hutong:region:"},
    {"aud": "urn:hutong:region:440"},
    {"aud": "urn:hutong:region:4401061"},
    {"iat": str(SECONDS)},
    {"iat": float(SECONDS)},
    {"iat": True},
    {"iat": -1},
    {"iat": SECONDS + 1, "nbf": SECONDS},
    {"nbf": SECONDS + 600},
    {"exp": SECONDS},
    {"exp": 253_402_300_800},
    {"exp": 10**30},
    {"jti": "short"},
    {"jti": "x" * 65},
    {"jti": "synthetic token id 1"},
    {"sub": "SYNTHETIC0000001"},
    {"sub": SUBJECT + "A"},
    {"sub": SUBJECT[:-1] + "="},
    {"use": "ONLINE"},
    {"use": "forever"},
    {"use": "online"},
    {"nonce": base64url.encode(NONCE)},
    {"use": "online", "nonce": base64url.encode(NONCE[:15])},
    {"use": "online", "nonce": base64url.encode(NONCE) + "=="},
    {"use": "online", "nonce": base64url.encode(NONCE)[:-1] + "x"},
    {"use": "online", "nonce": "é" * 22},
    {"code": []},
    {"code": "GREEN"},
    {"serial": -1},
    {"serial": 2**53},
    {"serial": 1.0},
    {"serial": "1"},
    {"serial": True},
    {"status": None},
    {"status": {}},
    {"status": {"status_list": {"idx": 1}}},
    {"status": {"status_list": {"uri": URI}}},
    {"status": {"status_list": {"idx": -1, "uri": URI}}},
    {"status": {"status_list": {"idx": 2**31, "uri": URI}}},
    {"status": {"status_list": {"idx": True, "uri": URI}}},
    {"status": {"status_list": {"idx": 1, "uri": ""}}},
    {"status": {"status_list": {"idx": 1, "uri": "urn:a b"}}},
    {"status": {"status_list": {"idx": 1, "uri": "é"}}},
    {"status": {"status_list": {"idx": 1, "uri": "u" * 257}}},
    {"status": {"status_list": {"idx": 1, "uri": URI, "kind": 1}}},
    {"status": {"status_list": {"idx": 1, "uri": URI}, "identifier_list": {}}},
    {
        "status": {"status_list": {"idx": 1, "uri": URI}},
        "use": "online",
        "nonce": base64url.encode(NONCE),
    },
]


@pytest.mark.parametrize("change", FRAME)
def test_claims_that_are_wrong_in_one_thing_are_refused(change: dict[str, Any]) -> None:
    refused(compact(claims(**change)))


CODES: list[dict[str, Any]] = [
    {"level": ...},
    {"scheme": ...},
    {"state": ...},
    {"assessed_at": ...},
    {"source_at": ...},
    {"issued_by": ...},
    {"level": "LEVEL_GREEN"},
    {"level": "green"},
    {"level": 1},
    {"level": "UNSPECIFIED"},
    {"level": "NOT_FOUND"},
    {"colour": "green"},
    {"scheme": "hz-jkm"},
    {"scheme": "HZ-jkm@1"},
    {"state": ""},
    {"state": "x" * 65},
    {"assessed_at": 1.5},
    {"assessed_at": "2020-03-02T08:00:00Z"},
    {"assessed_at": None},
    {"source_at": -1},
    {"issued_by": "3301"},
    {"issued_by": "33010０"},
    {"area": ""},
    {"area": "33"},
    {"area": None},
    {"basis": []},
    {"basis": ["SPACE", "SPACE"]},
    {"basis": ["WEATHER"]},
    {"basis": "SPACE"},
    {"valid_until": None},
    {"release": {"days_done": 1}},
    {"release": {"days_done": 1, "days_needed": 0}},
    {"release": {"days_done": 367, "days_needed": 14}},
    {"release": {"days_done": 1, "days_needed": 14, "days_left": 13}},
    {"declarations": {"contact": "ABSENT"}},
    {"declarations": {"contact": "MAYBE"}},
    {"declarations": {"contact": None}},
    {"declarations": {"fever": "NO"}},
    {"rule": ""},
    {"rule": "x" * 65},
    {"also": []},
    {"also": [{}]},
    {"also": [code_claim()] * 16},
    {"also": [code_claim(level="RED")]},
    {"also": [code_claim(also=[code_claim()])]},
    {"also": [code_claim(scheme="no version")]},
]


@pytest.mark.parametrize("change", CODES)
def test_a_code_that_is_wrong_in_one_thing_is_refused(change: dict[str, Any]) -> None:
    refused(compact(claims(code=code_claim(**change))))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff", compact(claims()) + b"x", b"\xef\xbb\xbf" + compact(claims())],
)
def test_what_is_no_json_is_malformed(payload: bytes) -> None:
    refused(payload, "ATTESTATION_MALFORMED")


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"claims"', b"{}"])
def test_json_that_is_no_claim_set_is_invalid(payload: bytes) -> None:
    refused(payload)


@pytest.mark.parametrize(
    ("use", "longest"),
    [("online", MAX_ONLINE_SECONDS), ("carried", MAX_CARRIED_SECONDS)],
)
def test_a_life_is_bounded_by_its_use(use: str, longest: int) -> None:
    nonce = base64url.encode(NONCE) if use == "online" else ...
    code = code_claim()
    parse_claims(compact(claims(use=use, nonce=nonce, code=code, exp=SECONDS + longest)))
    refused(
        compact(claims(use=use, nonce=nonce, code=code, exp=SECONDS + longest + 1)),
        "LIFETIME_TOO_LONG",
    )


def test_an_attestation_does_not_outlive_any_of_its_reports() -> None:
    for code in (
        code_claim(valid_until=SECONDS + 600),
        code_claim(also=[code_claim(valid_until=SECONDS + 600)]),
    ):
        parse_claims(compact(claims(code=code, exp=SECONDS + 600)))
        refused(compact(claims(code=code, exp=SECONDS + 601)), "LIFETIME_TOO_LONG")


def test_what_was_read_behaves_like_what_was_made() -> None:
    made, read = attestation(), parse_claims(claims_to_json(attestation()))
    assert read == made
    assert hash(read) == hash(made)
    assert repr(read) == repr(made)
    fresh = [parse_claims(claims_to_json(made)) for _ in range(4)]
    assert copy.deepcopy(fresh[0]) == made
    assert pickle.loads(pickle.dumps(fresh[1])) == made  # noqa: S301 - our own bytes
    assert dataclasses.replace(fresh[2], token_id="x" * 16).code == made.code
    with pytest.raises(AttributeError):
        fresh[3].no_such_member  # type: ignore[attr-defined]  # noqa: B018 - the access itself is under test
    with pytest.raises(dataclasses.FrozenInstanceError):
        fresh[3].code = made.code  # type: ignore[misc]  # wrong on purpose, or loosely typed


def test_no_repr_and_no_error_shows_the_person() -> None:
    read = parse_claims(claims_to_json(attestation()))
    for text in (repr(read), repr(attestation())):
        for personal in (SUBJECT, "GREEN", "绿码", "synthetic-token-id"):
            assert personal not in text
    for change in ({"sub": "SYNTHETIC0000001"}, {"jti": "SYNTHETIC"}, {"code": {"level": "RED"}}):
        with pytest.raises(AttestationError) as caught:
            parse_claims(compact(claims(**change)))
        assert "SYNTHETIC" not in str(caught.value)
        assert "RED" not in str(caught.value)
        # What a parser said about the input is not shown with it.
        assert caught.value.__context__ is None or caught.value.__suppress_context__
