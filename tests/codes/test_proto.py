from __future__ import annotations

from datetime import UTC, datetime

import protovalidate
import pytest
from hutong.v1 import code_pb2, exchange_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes import (
    Basis,
    Document,
    DocumentError,
    DocumentType,
    Level,
    Outcome,
    TriState,
    UnifiedCode,
    UnifiedCodeError,
    basis_from_proto,
    basis_to_proto,
    document_from_proto,
    document_to_proto,
    level_from_proto,
    level_to_proto,
    outcome_from_proto,
    outcome_to_proto,
    unified_from_proto,
    unified_to_proto,
)
from gateway.codes.proto import TRI_STATE_TO_PROTO
from tests.codes.strategies import UNIFIED_CODES

NOON = datetime(2020, 3, 1, 4, tzinfo=UTC)


def message() -> code_pb2.UnifiedCode:
    return unified_to_proto(
        UnifiedCode(Level.GREEN, "hz-jkm@2020-02", "绿码", NOON, NOON, "330100")
    )


@given(UNIFIED_CODES)
def test_a_unified_code_survives_the_wire(code: UnifiedCode) -> None:
    data = unified_to_proto(code).SerializeToString()
    assert unified_from_proto(code_pb2.UnifiedCode.FromString(data)) == code


@given(UNIFIED_CODES)
def test_what_we_write_passes_the_schemas_own_rules(code: UnifiedCode) -> None:
    protovalidate.validate(unified_to_proto(code))


def test_every_name_of_the_schema_is_one_of_ours() -> None:
    assert {f"LEVEL_{level.name}" for level in Level} == set(code_pb2.Level.keys()[1:])
    assert {f"OUTCOME_{each.name}" for each in Outcome} == set(code_pb2.Outcome.keys()[1:])
    assert {f"BASIS_{each.name}" for each in Basis} == set(code_pb2.Basis.keys()[1:])
    assert set(TRI_STATE_TO_PROTO) == set(TriState)
    assert set(TRI_STATE_TO_PROTO.values()) == set(code_pb2.TriState.values())
    assert {int(kind) for kind in DocumentType} == set(code_pb2.DocumentType.values()) - {0}


def test_enums_go_there_and_back() -> None:
    assert [level_from_proto(level_to_proto(each)) for each in Level] == list(Level)
    assert [outcome_from_proto(outcome_to_proto(each)) for each in Outcome] == list(Outcome)
    assert [basis_from_proto(basis_to_proto(each)) for each in Basis] == list(Basis)


@pytest.mark.parametrize("value", [0, 99, -1])
def test_unspecified_and_unknown_values_are_refused(value: int) -> None:
    for reader in (level_from_proto, outcome_from_proto, basis_from_proto):
        with pytest.raises(UnifiedCodeError):
            reader(value)


def set_level(code: code_pb2.UnifiedCode) -> None:
    code.level = 17  # type: ignore[assignment]  # wrong on purpose, or a number for the enum


def clear_level(code: code_pb2.UnifiedCode) -> None:
    code.ClearField("level")


def set_basis(code: code_pb2.UnifiedCode) -> None:
    code.basis.append(17)  # type: ignore[arg-type]  # wrong on purpose, or built loosely


def double_basis(code: code_pb2.UnifiedCode) -> None:
    code.basis.extend([code_pb2.BASIS_SPACE, code_pb2.BASIS_SPACE])


def clear_assessed(code: code_pb2.UnifiedCode) -> None:
    code.ClearField("assessed_at")


def set_nanos(code: code_pb2.UnifiedCode) -> None:
    code.source_at.nanos = 5


def set_negative(code: code_pb2.UnifiedCode) -> None:
    code.source_at.seconds = -1


def set_far(code: code_pb2.UnifiedCode) -> None:
    code.valid_until.seconds = 1 << 60


def set_answer(code: code_pb2.UnifiedCode) -> None:
    code.declarations.contact = 9  # type: ignore[assignment]  # wrong on purpose, or a number for the enum


def set_release(code: code_pb2.UnifiedCode) -> None:
    code.release.days_done = 3


def nest(code: code_pb2.UnifiedCode) -> None:
    other = message()
    other.also.add().CopyFrom(message())
    code.also.add().CopyFrom(other)


def set_division(code: code_pb2.UnifiedCode) -> None:
    code.issued_by = "3301"


def worse_other(code: code_pb2.UnifiedCode) -> None:
    other = message()
    other.level = code_pb2.LEVEL_RED
    code.also.add().CopyFrom(other)


@pytest.mark.parametrize(
    "change",
    [
        set_level,
        clear_level,
        set_basis,
        double_basis,
        clear_assessed,
        set_nanos,
        set_negative,
        set_far,
        set_answer,
        set_release,
        nest,
        set_division,
        worse_other,
    ],
)
def test_a_message_with_one_thing_wrong_is_refused(change: object) -> None:
    good = message()
    assert unified_from_proto(good).level is Level.GREEN
    change(good)  # type: ignore[operator]  # drawn from a table of callables
    with pytest.raises(UnifiedCodeError):
        unified_from_proto(good)


@given(st.binary(max_size=120))
def test_any_message_is_read_or_refused(data: bytes) -> None:
    try:
        parsed = code_pb2.UnifiedCode.FromString(data)
    except Exception:  # noqa: BLE001 - protobuf's own refusal, not under test
        return
    try:
        code = unified_from_proto(parsed)
    except UnifiedCodeError:
        return
    assert unified_from_proto(unified_to_proto(code)) == code


def test_documents_go_there_and_back_in_the_schemas_spelling_only() -> None:
    document = Document(DocumentType.PASSPORT, "E12345678")
    assert document_from_proto(document_to_proto(document)) == document
    for bad in (
        exchange_pb2.Document(type=code_pb2.DOCUMENT_TYPE_PASSPORT, number="e12345678"),
        exchange_pb2.Document(number="E12345678"),
        exchange_pb2.Document(type=11, number="E12345678"),  # type: ignore[arg-type]  # wrong on purpose, or built loosely
    ):
        with pytest.raises(DocumentError):
            document_from_proto(bad)
