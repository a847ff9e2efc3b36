"""What a hub sees of an answer says nothing of whether the person exists, nor who it is.

The hub sees a status, the length of an envelope and how much was carried. Those are equal
for somebody whom the platform knows and for somebody whom it does not, whatever else goes
wrong; so are the calls that the platform gets. How long either takes is measured by
``tests/benchmarks/alike.py`` and by no test.
"""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import adapter_service_pb2

from gateway.attestation import Binding, base64url
from gateway.codes import parse_document
from gateway.hub import app
from gateway.hub.accounting import Accounting
from gateway.wire.hub_tokens import GRANT_METADATA_KEY
from tests.adapters.sdk.adapter_world import (
    AUTHORITY,
    OTHER_PERSON,
    PERSON,
    by_document,
    by_qr,
    record,
    world,
)
from tests.edge.federation import gate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.sdk.adapter_world import World

pytestmark = pytest.mark.asyncio

QR, OTHER_QR = (f"https://code.example/?id={digit * 32}" for digit in "0f")
SHARED = 6
"""Characters in a row that two of 43 random ones share less than once in ten million pairs."""


async def seen(place: World, question: Any) -> tuple[object, ...]:
    """What stands between adapter and hub, and how often the platform was called."""
    asked = place.platform.asked
    sealed, _ = place.asker.seal(question)
    call = place.asker.stub.Query(
        adapter_service_pb2.AdapterServiceQueryRequest(question=sealed),
        metadata=((GRANT_METADATA_KEY, place.asker.grant()),),
        timeout=60,
    )
    try:
        reply = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details(), place.platform.asked - asked
    trailers = sorted(key for key, _ in await call.trailing_metadata())
    code = await call.code()
    return code, reply.ByteSize(), len(reply.envelope), trailers, place.platform.asked - asked


@pytest.mark.parametrize(
    "trouble",
    [
        {},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "30"}},
        {"raw": b"<html>"},
        {"raw": b'{"code": "0", "data": [{"number": "synthetic"'},
        {"raw": b'{"code": "500", "data": null}'},
    ],
    ids=["none", "503", "busy", "a page", "cut", "refused"],
)
async def test_somebody_who_exists_and_somebody_who_does_not_look_alike(
    trouble: dict[str, Any],
) -> None:
    async with world(breaker_failures=1000) as place:
        for state in ("绿码", "红码", "未申领", "紫码"):
            place.platform.records = {PERSON: [record(state)], QR: record(state)}
            for name, value in trouble.items():
                setattr(place.platform, name, value)
            for carried in (False, True):
                known = await seen(place, by_document(PERSON, carried=carried))
                unknown = await seen(place, by_document(OTHER_PERSON, carried=carried))
                # How often a failing platform is called again is counted over all questions.
                assert known[:-1] == unknown[:-1]
                assert known[-1] == unknown[-1] or "status" in trouble
                assert known[0] is grpc.StatusCode.OK
            known, unknown = await seen(place, by_qr(QR)), await seen(place, by_qr(OTHER_QR))
            assert known[:-1] == unknown[:-1]


async def test_a_hub_counts_the_same_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Accounting] = []

    def accounting(store: Any) -> Accounting:
        made.append(Accounting(store, flush_seconds=86_400))
        return made[0]

    def counted_so_far() -> tuple[int, int]:
        sums = made[0]._tallies.values()
        return sum(one.envelopes for one in sums), sum(one.bytes for one in sums)

    monkeypatch.setattr(app, "Accounting", accounting)
    async with gate(tmp_path) as (place, checkpoint):
        city: Any = place.platform.platform
        stories = city.scenarios()
        numbers = [stories[name].document_number for name in ("green", "not-found")]
        counted = []
        for number in (*numbers, *reversed(numbers)):
            before = counted_so_far()
            result = await checkpoint.ask(parse_document(10, number), origin="330100")
            assert result.decision is not None
            counted.append(tuple(map(operator.sub, counted_so_far(), before)))
        assert len(set(counted)) == 1
        assert counted[0][0] == 1


async def claims(place: World, number: str, region: str) -> tuple[dict[str, Any], str]:
    """An attestation about a person for an audience: its claims and its signature."""
    caller = f"urn:hutong:checkpoint:{region}:gate"
    audience = f"urn:hutong:region:{region}"
    (answer,) = await place.asker.query(
        by_document(number, carried=True),
        grant=place.asker.grant(sub=caller, region=region),
        audience=audience,
        binding=Binding(AUTHORITY, caller, "CHECKPOINT"),
    )
    _, payload, signature = answer.attestation.split(".")
    return json.loads(base64url.decode(payload.encode())), signature


def in_common(one: str, other: str) -> int:
    """The longest run of characters that stands in both."""
    return max(
        (
            length
            for start in range(len(one))
            for length in range(1, len(one) - start + 1)
            if one[start : start + length] in other
        ),
        default=0,
    )


async def test_pseudonyms_of_one_person_at_two_audiences_do_not_link() -> None:
    people = [PERSON, OTHER_PERSON]
    async with world() as place:
        place.platform.records = {person: [record()] for person in people}
        found = {
            (person, region): await claims(place, person, region)
            for person in people
            for region in ("440100", "320100")
        }
        again = await claims(place, PERSON, "440100")
    subjects = {key: said["sub"] for key, (said, _) in found.items()}
    # One person at one audience is one pseudonym: otherwise there is nothing to link.
    assert again[0]["sub"] == subjects[PERSON, "440100"]
    assert len(set(subjects.values())) == 4
    pairs = [(subjects[person, "440100"], subjects[person, "320100"]) for person in people]
    for here, there in pairs:
        assert in_common(here, there) < SHARED
    # What turns one into the other for one person does not do so for another.
    moved = {
        bytes(
            a ^ b
            for a, b in zip(
                base64url.decode(here.encode()), base64url.decode(there.encode()), strict=True
            )
        )
        for here, there in pairs
    }
    assert len(moved) == 2
    # And nothing else in the tokens is of one person alone.
    for person in people:
        (here, one), (there, other) = (found[person, region] for region in ("440100", "320100"))
        assert here["jti"] != there["jti"]
        assert in_common(one, other) < SHARED
        for name in (here.keys() & there.keys()) - {"sub", "jti", "aud"}:
            stranger = next(each for each in people if each != person)
            assert here[name] in (there[name], found[stranger, "320100"][0].get(name))


async def test_the_secret_of_pseudonyms_leaves_the_adapter_in_nothing_that_it_says() -> None:
    async with world() as place:
        place.platform.records = {PERSON: [record()]}
        said, _ = await claims(place, PERSON, "440100")
        described = await place.asker.stub.Describe(
            adapter_service_pb2.DescribeRequest(), timeout=60
        )
        secret = place.asker.keys.pseudonym_secret
        everything = json.dumps(said).encode() + described.SerializeToString()
        for form in (secret, secret.hex().encode(), base64url.encode(secret).encode()):
            assert form not in everything
