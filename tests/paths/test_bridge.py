"""Path 2, the bridge: a code of one region becomes a local code of another.

Real hub, real platforms and adapters of Hangzhou and Guangdong; the asker joins the
two exchanges. Nobody's record at the destination is ever overwritten, and nothing
that is not green becomes anything.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hutong.v1 import exchange_pb2

from adapters.platforms import Faults
from adapters.platforms.guangdong.platform import sign_fields
from adapters.platforms.hangzhou.table import CITY as HANGZHOU_CITY
from gateway.attestation import base64url
from gateway.codes import TriState, region_urn
from gateway.codes.conversion import ImportRefusal, LocalCode
from gateway.edge import ConversionError
from gateway.edge.importing import ImportAsked
from gateway.edge.questions import AttestedAnswer
from gateway.recognition import OutcomeEvidence, RefusedEvidence, VerifiedEvidence
from gateway.wire.errors import RpcFailure
from tests.paths.world import MANY, NAME, NO, PEOPLE, City, card, post, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.codes import Document
    from gateway.edge import Checkpoint, Conversion
    from tests.paths.world import World

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]

HANGZHOU, GUANGDONG = "330100", "440000"


async def to_guangdong(checkpoint: Checkpoint, document: Document, **changes: Any) -> Conversion:
    asked: dict[str, Any] = {"origin": HANGZHOU, "destination": GUANGDONG}
    return await checkpoint.convert(
        document, **({"name": NAME, "declarations": NO} | asked | changes)
    )


async def to_hangzhou(checkpoint: Checkpoint, document: Document, **changes: Any) -> Conversion:
    return await to_guangdong(
        checkpoint, document, origin=GUANGDONG, destination=HANGZHOU, **changes
    )


async def at_guangdong_s_gate(city: City, place: World, qr_text: str) -> Any:
    """Guangdong's own gate, over its own wire; it knows nothing of the federation."""
    fields = {
        "qrText": qr_text,
        "site": "synthetic",
        "appId": city.platform.credentials.app_id,
        "timestamp": str(int(place.clock().timestamp() * 1000)),
        "nonce": "synthetic",
    }
    fields["sign"] = sign_fields(fields, city.platform.credentials.app_key)
    return await post(f"{city.running.base_url}/ebus/ykm/gate", data=fields)


async def test_a_green_of_hangzhou_is_a_code_of_guangdong_until_it_ends(tmp_path: Path) -> None:
    async with world(tmp_path, "hangzhou", "guangdong") as place:
        phone = await place.checkpoint(HANGZHOU)
        async with place.gate(phone) as checkpoint:
            began = place.clock()
            done = await to_guangdong(checkpoint, place["hangzhou"].document("green"))
            code = done.local_code
            assert code is not None, done.reason
            assert (code.scheme, code.state, code.origin) == ("gd-ykm@2022", "绿码", HANGZHOU)
            assert code.valid_until - began <= timedelta(hours=24, seconds=1)
            assert code.qr_text not in repr(done)

            # Guangdong's own adapter says that it is green, by Guangdong's scheme.
            gate = await place.checkpoint(GUANGDONG)
            async with place.gate(gate) as south:
                result = await south.ask(code.qr_text)
                assert isinstance(result.evidence, VerifiedEvidence)
                unified = result.evidence.attestation.code
                assert (unified.level.value, unified.issued_by) == ("GREEN", GUANGDONG)
                assert result.is_admitted
                opened = await at_guangdong_s_gate(place["guangdong"], place, code.qr_text)
                assert opened["body"]["pass"] is True

                place.clock.moved += code.valid_until - place.clock()
                result = await south.ask(code.qr_text)
                assert isinstance(result.evidence, OutcomeEvidence)
                assert not result.is_admitted
                opened = await at_guangdong_s_gate(place["guangdong"], place, code.qr_text)
                assert opened["body"] is None


async def test_and_back(tmp_path: Path) -> None:
    async with world(tmp_path, "hangzhou", "guangdong") as place:
        city = place["guangdong"]
        async with place.gate(await place.checkpoint(GUANGDONG)) as checkpoint:
            done = await to_hangzhou(checkpoint, city.document("recently-tested"))
        code = done.local_code
        assert code is not None, done.reason
        assert (code.scheme.partition("@")[0], code.state, code.origin) == (
            "hz-jkm",
            "绿码",
            GUANGDONG,
        )
        # The date of the test travels along, into Hangzhou's own record.
        assert code.negative_test_at is not None
        async with place.gate(await place.checkpoint(HANGZHOU)) as north:
            result = await north.ask(code.qr_text)
        assert isinstance(result.evidence, VerifiedEvidence)
        unified = result.evidence.attestation.code
        assert (unified.level.value, unified.issued_by) == ("GREEN", HANGZHOU)
        assert unified.negative_test_at == code.negative_test_at


@pytest_asyncio.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[World, Checkpoint]]:
    """Hangzhou and Guangdong, and a holder's phone that stands in neither's way."""
    async with world(tmp_path, "hangzhou", "guangdong") as place:
        phone = await place.checkpoint(HANGZHOU)
        async with place.gate(phone) as checkpoint:
            yield place, checkpoint


NOT_GREEN = {
    "yellow": "IMPORT_REFUSAL_LEVEL",
    "red": "IMPORT_REFUSAL_LEVEL",
    "two-records": "IMPORT_REFUSAL_LEVEL",
    "not-found": "NOT_FOUND",
    "unknown-state": "CANNOT_DETERMINE",
}


async def test_what_is_not_green_does_not_convert(both: tuple[World, Checkpoint]) -> None:
    place, checkpoint = both
    for story, code in NOT_GREEN.items():
        done = await to_guangdong(checkpoint, place["hangzhou"].document(story))
        assert (done.local_code, done.reason.code) == (None, code), story
        assert done.reason.code not in repr(done)
        assert done.to_json()["converted"] is False
    assert not place["guangdong"].platform.imports._by_serial


async def test_nor_what_two_colours_restrict(both: tuple[World, Checkpoint]) -> None:
    place, checkpoint = both
    for story, code in {
        "red": "IMPORT_REFUSAL_LEVEL",
        "two-records": "IMPORT_REFUSAL_LEVEL",
        "not-applied": "NOT_APPLIED",
        "no-identity": "HOLDER_MUST_UPDATE",
    }.items():
        done = await to_hangzhou(checkpoint, place["guangdong"].document(story))
        assert (done.local_code, done.reason.code) == (None, code), story
    assert not place["hangzhou"].platform.imports._by_serial


async def test_a_platform_that_is_down_at_either_end_makes_nothing(
    both: tuple[World, Checkpoint],
) -> None:
    place, checkpoint = both
    green = place["hangzhou"].document("green")
    place["guangdong"].platform.faults = Faults(down=True)
    done = await to_guangdong(checkpoint, green)
    assert done.result is ImportRefusal.PLATFORM
    place["guangdong"].platform.faults = Faults()
    assert not place["guangdong"].platform.imports._by_serial

    place["hangzhou"].platform.faults = Faults(down=True)
    done = await to_guangdong(checkpoint, green)
    assert isinstance(done.result, OutcomeEvidence)
    assert not place["guangdong"].platform.imports._by_serial

    place["hangzhou"].platform.faults = Faults()
    await place["guangdong"].stop()
    done = await to_guangdong(checkpoint, green)
    assert isinstance(done.result, RefusedEvidence)
    assert done.reason.code in {"ADAPTER_UNREACHABLE", "DEADLINE_EXCEEDED"}
    assert "destination" in done.reason.en


async def test_an_answer_that_is_not_no_stands_against_it(both: tuple[World, Checkpoint]) -> None:
    place, checkpoint = both
    green = place["hangzhou"].document("green")
    for answer in (TriState.YES, TriState.UNSURE):
        answers = replace(NO, risk_area=answer)
        done = await to_guangdong(checkpoint, green, declarations=answers)
        assert done.result is ImportRefusal.DECLARATION
    with pytest.raises(ConversionError):
        await to_guangdong(checkpoint, green, declarations=replace(NO, contact=TriState.ABSENT))
    with pytest.raises(ConversionError):
        await to_guangdong(checkpoint, green, name=" ")


async def test_nobody_is_asked_where_nothing_could_come(both: tuple[World, Checkpoint]) -> None:
    place, checkpoint = both
    green = place["hangzhou"].document("green")
    done = await to_guangdong(checkpoint, green, destination=HANGZHOU)
    assert done.result is ImportRefusal.ORIGIN
    done = await to_guangdong(checkpoint, green, destination="530000")
    assert (done.reason.code, done.reason.en[:15]) == ("UNKNOWN_REGION", "The destination")
    place.clock.advance(days=2)
    done = await to_guangdong(checkpoint, green)
    assert done.reason.code == "TRUST_TOO_OLD"


# --- the second leg by hand -----------------------------------------------------------


async def attested(
    checkpoint: Checkpoint, document: Document, destination: str = GUANGDONG, **changes: Any
) -> ImportAsked:
    """The first leg alone."""
    converter = checkpoint._converter
    assert converter is not None
    answer = await converter._asks.ask(
        HANGZHOU,
        document,
        **(
            {
                "purpose": exchange_pb2.PURPOSE_HOLDER,
                "use": exchange_pb2.ATTESTATION_USE_IMPORT,
                "timeout_seconds": 30,
                "audience": region_urn(destination),
            }
            | changes
        ),
    )
    assert isinstance(answer, AttestedAnswer)
    return ImportAsked(
        nonce=answer.nonce, token=answer.token, document=document, name=NAME, declarations=NO
    )


async def imported(checkpoint: Checkpoint, asked: ImportAsked) -> LocalCode | ImportRefusal:
    converter = checkpoint._converter
    assert converter is not None
    return await converter._imports.convert(
        GUANGDONG, asked, purpose=exchange_pb2.PURPOSE_HOLDER, timeout_seconds=30
    )


async def test_an_attestation_is_worth_nothing_without_its_document(
    both: tuple[World, Checkpoint],
) -> None:
    place, checkpoint = both
    asked = await attested(checkpoint, place["hangzhou"].document("green"))
    other = place["hangzhou"].document("red")
    # A red one borrows a green one's attestation.
    assert await imported(checkpoint, replace(asked, document=other)) is ImportRefusal.SUBJECT
    assert await imported(checkpoint, replace(asked, nonce=bytes(16))) is ImportRefusal.SUBJECT
    assert not place["guangdong"].platform.imports._by_serial
    assert isinstance(await imported(checkpoint, asked), LocalCode)


async def test_an_attestation_is_for_one_destination_one_use_and_ten_minutes(
    both: tuple[World, Checkpoint],
) -> None:
    place, checkpoint = both
    green = place["hangzhou"].document("green")
    elsewhere = await attested(checkpoint, green, HANGZHOU)
    online = await attested(
        checkpoint, green, HANGZHOU, use=exchange_pb2.ATTESTATION_USE_ONLINE, audience=None
    )
    carried = await attested(
        checkpoint, green, HANGZHOU, use=exchange_pb2.ATTESTATION_USE_CARRIED, audience=None
    )
    for asked in (elsewhere, online, carried):
        with pytest.raises(RpcFailure) as caught:
            await imported(checkpoint, asked)
        assert caught.value.code == "ATTESTATION_INVALID"
    # No gate takes it, not even one of the region that it is for.
    local = checkpoint.verify_offline(elsewhere.token)
    assert not local.is_admitted
    assert "ATTESTATION_REPLAYED" in [reason.code for reason in local.decision.reasons]

    asked = await attested(checkpoint, green)
    place.clock.advance(minutes=12)
    with pytest.raises(RpcFailure) as caught:
        await imported(checkpoint, asked)
    assert caught.value.code == "ATTESTATION_INVALID"
    assert not place["guangdong"].platform.imports._by_serial


async def test_an_import_that_is_repeated_gives_the_same_code(
    both: tuple[World, Checkpoint],
) -> None:
    place, checkpoint = both
    asked = await attested(checkpoint, place["hangzhou"].document("green"))
    first = await imported(checkpoint, asked)
    assert isinstance(first, LocalCode)
    assert await imported(checkpoint, asked) == first
    # Started anew, the adapter has forgotten; its platform has not.
    await place["guangdong"].stop()
    await place["guangdong"].start()
    await place["guangdong"].refresh()
    again: LocalCode | ImportRefusal | None = None
    while again is None:  # the hub needs a moment to find it back
        try:
            again = await imported(checkpoint, asked)
        except RpcFailure as failure:
            if failure.code != "ADAPTER_UNREACHABLE":
                raise
            await asyncio.sleep(0.01)
    assert isinstance(again, LocalCode)
    assert again.qr_text == first.qr_text
    assert len(place["guangdong"].platform.imports._by_serial) == 1


@pytest.mark.parametrize(
    ("purpose", "use"), [("CHECKPOINT", "IMPORT"), ("HOLDER", "ONLINE"), ("HOLDER", "CARRIED")]
)
async def test_only_a_conversion_may_be_for_a_region_the_asker_is_not_in(
    both: tuple[World, Checkpoint], purpose: str, use: str
) -> None:
    place, checkpoint = both
    with pytest.raises(RpcFailure) as caught:
        await attested(
            checkpoint,
            place["hangzhou"].document("green"),
            purpose=exchange_pb2.Purpose.Value(f"PURPOSE_{purpose}"),
            use=exchange_pb2.AttestationUse.Value(f"ATTESTATION_USE_{use}"),
        )
    assert caught.value.code == "AUDIENCE_NOT_ALLOWED"


async def test_the_asker_does_not_learn_how_the_destination_s_gates_know_a_person(
    both: tuple[World, Checkpoint],
) -> None:
    place, checkpoint = both
    green = place["hangzhou"].document("green")
    asked = await attested(checkpoint, green)
    async with place.gate(await place.checkpoint(GUANGDONG)) as south:
        result = await south.ask(green, origin=HANGZHOU)
    assert isinstance(result.evidence, VerifiedEvidence)
    subject = json.loads(base64url.decode(asked.token.split(".")[1].encode()))["sub"]
    assert subject != result.evidence.attestation.subject


# --- conditions of the destination ----------------------------------------------------


async def test_the_destination_s_own_record_is_not_overwritten(tmp_path: Path) -> None:
    """The same people live in both places; what Guangdong itself holds stands."""
    people = HANGZHOU_CITY.counties
    async with world(
        tmp_path, "hangzhou", "guangdong", counties={"guangdong": people, "hangzhou": people}
    ) as place:
        north, south = place["hangzhou"].platform, place["guangdong"].platform
        known = [north.population.person(index) for index in range(MANY)]
        green_there = [
            person
            for person in known
            if {record.state for record in north.records_of(person)} == {"绿码"}
        ]
        red = next(p for p in green_there if {r.state for r in south.records_of(p)} == {"红码"})
        green = next(p for p in green_there if {r.state for r in south.records_of(p)} == {"绿码"})
        async with place.gate(await place.checkpoint(HANGZHOU)) as checkpoint:
            before = south.records_of(red)
            done = await to_guangdong(checkpoint, card(red.number))
            assert done.result is ImportRefusal.OWN_RECORD
            assert [each.state for each in south.records_of(red)] == [r.state for r in before]
            assert not south.imports._by_serial
            assert (await to_guangdong(checkpoint, card(green.number))).local_code is not None


def with_test_of_a_week(text: str) -> str:
    changed = text.replace(
        "negative_test_max_age_seconds: null", "negative_test_max_age_seconds: 604800"
    )
    assert changed != text
    return changed


async def test_a_test_is_required_where_the_destination_requires_one(tmp_path: Path) -> None:
    changes = {"hangzhou": with_test_of_a_week}
    async with world(tmp_path, "hangzhou", "guangdong", changes=changes) as place:
        south = place["guangdong"].platform
        tested: dict[bool, str] = {}
        for index in range(PEOPLE):
            person = south.population.person(index)
            records = south.records_of(person)
            if len(records) == 1 and records[0].state == "绿码" and records[0].negative_test_at:
                age = place.clock() - records[0].negative_test_at
                if abs(age - timedelta(days=7)) > timedelta(hours=1):
                    tested[age < timedelta(days=7)] = person.number
        async with place.gate(await place.checkpoint(GUANGDONG)) as checkpoint:
            done = await to_hangzhou(checkpoint, card(tested[False]))
            assert done.result is ImportRefusal.TEST
            done = await to_hangzhou(checkpoint, card(tested[True]))
            assert done.local_code is not None
            assert done.local_code.negative_test_at is not None


async def test_no_test_is_no_test(tmp_path: Path) -> None:
    async with (
        world(
            tmp_path, "hangzhou", "guangdong", changes={"guangdong": with_test_of_a_week}
        ) as place,
        place.gate(await place.checkpoint(HANGZHOU)) as checkpoint,
    ):
        done = await to_guangdong(checkpoint, place["hangzhou"].document("green"))
        assert done.result is ImportRefusal.TEST
