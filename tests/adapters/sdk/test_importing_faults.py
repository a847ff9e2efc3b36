"""Conversions that are refused: a fault of one import, or of the envelope as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from hutong.v1 import error_pb2, exchange_pb2

from adapters.sdk import Deadline
from adapters.sdk.errors import QuestionError
from adapters.sdk.importing import MAX_IMPORTS
from gateway.attestation import AttestationUse, Binding, seal_question
from gateway.attestation.sealing import generate_sealing_key
from tests.adapters.sdk.import_world import (
    CALLER,
    DESTINATION,
    NAME,
    NOW,
    PERSON,
    URN,
    ImportWorld,
    destination_scheme,
    held,
)

pytestmark = pytest.mark.asyncio
NONCE = bytes(range(16))


@pytest.fixture
def world() -> ImportWorld:
    return ImportWorld()


# --- faults of one import ----------------------------------------------------


async def error_of(world: ImportWorld, asked: exchange_pb2.Import) -> str:
    (answer,) = await world.convert(asked)
    assert answer.WhichOneof("result") == "error"
    assert not world.city.orders
    return error_pb2.ErrorReason.Name(answer.error.reason).removeprefix("ERROR_REASON_")


TOKENS: dict[str, dict[str, Any]] = {
    "carried": {"use": AttestationUse.CARRIED, "bound": None},
    "online": {"use": AttestationUse.ONLINE, "bound": None},
    "another-audience": {"audience": URN + "110000"},
    "expired": {"issued_at": NOW - timedelta(minutes=11), "not_before": NOW - timedelta(minutes=11),
                "expires_at": NOW - timedelta(minutes=1)},
    "not-yet": {"issued_at": NOW + timedelta(minutes=2), "not_before": NOW + timedelta(minutes=2),
                "expires_at": NOW + timedelta(minutes=3)},
}  # fmt: skip


@pytest.mark.parametrize("change", TOKENS.values(), ids=list(TOKENS))
async def test_an_attestation_that_does_not_hold_is_an_error(
    world: ImportWorld, change: dict[str, Any]
) -> None:
    token = world.attest(nonce=NONCE, **change)
    assert await error_of(world, world.ask(token, nonce=NONCE)) == "ATTESTATION_INVALID"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[::-1],
        lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        lambda token: token.rpartition(".")[0] + ".",
    ],
)
async def test_an_attestation_that_was_changed_is_an_error(world: ImportWorld, spoil: Any) -> None:
    asked = world.ask(spoil(world.attest(nonce=NONCE)), nonce=NONCE)
    assert await error_of(world, asked) == "ATTESTATION_INVALID"


async def test_a_suspended_or_unknown_origin_is_not_believed(world: ImportWorld) -> None:
    token = world.attest(nonce=NONCE)
    world.federation.suspend("440100")
    assert await error_of(world, world.ask(token, nonce=NONCE)) == "ATTESTATION_INVALID"
    stranger = ImportWorld()
    foreign = stranger.attest(nonce=NONCE)
    world.federation.resume("440100")
    assert await error_of(world, world.ask(foreign, nonce=NONCE)) == "ATTESTATION_INVALID"


def spoilt(field: str, value: Any) -> Any:
    def spoil(asked: exchange_pb2.Import) -> None:
        if value is None:
            asked.ClearField(field)  # type: ignore[arg-type]  # the name comes from the table
        elif field.startswith("document."):
            setattr(asked.document, field.removeprefix("document."), value)
        elif field.startswith("declarations."):
            setattr(asked.declarations, field.removeprefix("declarations."), value)
        else:
            setattr(asked, field, value)

    return spoil


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nonce", b"short"),
        ("nonce", None),
        ("attestation", None),
        ("document", None),
        ("document.number", "330102"),
        ("document.number", "33010219900101005x"),
        ("document.type", 11),
        ("name", None),
        ("name", "合" * 65),
        ("declarations", None),
        ("declarations.contact", 0),
        ("declarations.risk_area", 0),
        ("declarations.overseas", 9),
    ],
)
async def test_a_field_that_breaks_its_rule_is_named_and_nothing_is_asked(
    world: ImportWorld, field: str, value: Any
) -> None:
    asked = world.ask(world.attest(nonce=NONCE), nonce=NONCE)
    spoilt(field, value)(asked)
    assert await error_of(world, asked) == "INVALID_REQUEST"
    assert not world.city.fetched


async def test_one_bad_import_fails_alone_and_every_nonce_has_one_answer(
    world: ImportWorld,
) -> None:
    good = [world.ask() for _ in range(3)]
    bad = world.ask("nonsense")
    answers = await world.convert(good[0], bad, good[1], good[1], good[2])
    kinds = [answer.WhichOneof("result") for answer in answers]
    assert kinds == ["local_code", "error", "local_code", "error", "local_code"]
    assert answers[3].error.reason == error_pb2.ERROR_REASON_QUESTION_REPLAYED
    assert [answer.nonce for answer in answers] == [
        each.nonce for each in (good[0], bad, good[1], good[1], good[2])
    ]


async def test_a_defect_of_a_connector_is_an_incident_without_a_word_of_its_text(
    world: ImportWorld,
) -> None:
    world.city.fails = RuntimeError(f"cannot import {PERSON.number}")
    with structlog.testing.capture_logs() as logs:
        (answer,) = await world.convert(world.ask())
    assert answer.error.reason == error_pb2.ERROR_REASON_INTERNAL
    assert answer.error.incident
    assert PERSON.number not in str(answer)
    assert all(PERSON.number not in str(log.get("event")) for log in logs)


async def test_no_log_line_holds_a_value_of_the_person(world: ImportWorld) -> None:
    spoilt_token = world.ask("nonsense", nonce=NONCE)
    with structlog.testing.capture_logs() as logs:
        await world.convert(world.ask())
        await world.convert(spoilt_token)
        world.city.held = (held("红码"),)
        await world.convert(world.ask())
        world.city.held, world.city.qr_text = (), ""
        await world.convert(world.ask())
    said = str(logs)
    for secret in (PERSON.number, NAME, "绿码", "红码", "GREEN", "OWN_RECORD"):
        assert secret not in said


# --- the envelope ------------------------------------------------------------


async def refused_whole(world: ImportWorld, *imports: exchange_pb2.Import, **sealing: Any) -> str:
    with pytest.raises(QuestionError) as caught:
        await world.convert(*(imports or (world.ask(),)), **sealing)
    assert not world.city.orders
    assert not world.city.fetched
    return caught.value.code


ENVELOPES: dict[str, tuple[str, dict[str, Any]]] = {
    "purpose": ("PURPOSE_NOT_ALLOWED", {"purpose": "CHECKPOINT"}),
    "purpose-not-granted": ("PURPOSE_NOT_ALLOWED", {"purpose": "PLATFORM"}),
    "region": ("UNKNOWN_REGION", {"region": "440100"}),
    "key": ("SEALING_KEY_UNKNOWN", {"key_id": "A" * 43}),
    "bytes": ("ENVELOPE_UNREADABLE", {"envelope": b"not sealed"}),
    "sealed-as-question": ("ENVELOPE_UNREADABLE", {"sealer": seal_question}),
    "bound-to-another-caller": (
        "ENVELOPE_UNREADABLE",
        {"binding": Binding(URN + DESTINATION, CALLER + "2", "HOLDER")},
    ),
    "bound-to-another-purpose": (
        "ENVELOPE_UNREADABLE",
        {"binding": Binding(URN + DESTINATION, CALLER, "PLATFORM")},
    ),
    "reply-key": ("INVALID_REQUEST", {"reply_key": bytes(31)}),
    "asked-long-ago": ("QUESTION_STALE", {"asked_at": NOW - timedelta(seconds=61)}),
    "asked-ahead": ("QUESTION_STALE", {"asked_at": NOW + timedelta(seconds=61)}),
}


@pytest.mark.parametrize(("reason", "change"), ENVELOPES.values(), ids=list(ENVELOPES))
async def test_an_envelope_of_which_one_thing_does_not_hold_is_refused_as_a_whole(
    world: ImportWorld, reason: str, change: dict[str, Any]
) -> None:
    assert await refused_whole(world, **change) == reason


async def test_an_envelope_holds_one_to_sixteen_imports(world: ImportWorld) -> None:
    asked = [world.ask() for _ in range(MAX_IMPORTS + 1)]
    assert await refused_whole(world, *asked) == "INVALID_REQUEST"
    sealed = world.seal()
    with pytest.raises(QuestionError, match="too few"):
        world.pipeline.open(sealed, world.caller)
    assert len(await world.convert(*asked[1:])) == MAX_IMPORTS


async def test_a_key_of_another_adapter_does_not_open_it(world: ImportWorld) -> None:
    sealed = world.seal(world.ask())
    world.key = generate_sealing_key()
    world.pipeline = world.new_pipeline()
    sealed.key_id = world.key.key_id
    with pytest.raises(QuestionError) as caught:
        world.pipeline.open(sealed, world.caller)
    assert caught.value.code == "ENVELOPE_UNREADABLE"


async def test_nothing_is_converted_without_trust_a_condition_or_a_scheme_in_force(
    world: ImportWorld,
) -> None:
    assert world.pipeline.is_offered()
    world.trust.is_fresh = False
    assert not world.pipeline.is_offered()
    assert await refused_whole(world) == "IMPORT_NOT_OFFERED"
    plain = ImportWorld(scheme=destination_scheme(""))
    assert not plain.pipeline.is_offered()
    assert await refused_whole(plain) == "IMPORT_NOT_OFFERED"
    early = ImportWorld()
    early.now = datetime(2020, 1, 1, tzinfo=UTC)
    assert not early.pipeline.is_offered()


@pytest.mark.parametrize("count", [1, 16])
async def test_a_code_and_a_refusal_have_one_length(world: ImportWorld, count: int) -> None:
    sizes = set()
    for state in ("绿码", "红码"):
        world.city.held = (held(state),)
        sealed = world.seal(*(world.ask() for _ in range(count)))

        sizes.add(len(await world.pipeline.convert(sealed, world.caller, Deadline.after(5))))
    assert len(sizes) == 1
