"""Eleven cities and two systems: every one is reached from the other province.

One federation for the module; what a test changes it puts back.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.sdk.keys import file_in_use
from gateway.cli.region_keys import RotationPlan, Surroundings, rotate
from gateway.hub.live_counts import FEWEST_COUNTED
from gateway.hub.rule_proto import rule_to_proto
from gateway.trust import DistrustRule, jws
from gateway.wire.errors import RpcFailure
from tests.hub.federation.gates import until_true, until_trusted
from tests.hub.federation.provinces import (
    ELEVEN,
    LISHUI,
    SYSTEMS,
    Provinces,
    provinces,
    urn_of,
)
from tests.hub.federation.world import GUANGDONG, NATION, WAIT_SECONDS, ZHEJIANG, until
from tests.hub.hub_world import now_region

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.edge import Checkpoint, Result

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # Thirteen adapters and three hubs, once.
    pytest.mark.long,
    pytest.mark.xdist_group("provinces"),
    pytest.mark.timeout(600),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provinces]:
    async with provinces(tmp_path_factory.mktemp("provinces")) as made:
        for gate in (made.south, made.east):
            for code in (*ELEVEN, *SYSTEMS):
                await until_trusted(gate, lambda bundle, code=code: bundle.authority(urn_of(code)))  # type: ignore[misc]  # the default binds it
        yield made


async def ask(place: Provinces, gate: Checkpoint, code: str, *, origin: str = "") -> Result:
    document = place.cities[code].document
    return await gate.ask(document, origin=origin or code, timeout_seconds=30)


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def test_each_of_the_eleven_cities_answers_a_checkpoint_of_guangdong(
    place: Provinces,
) -> None:
    assert len(ELEVEN) == 11
    results = await asyncio.gather(*(ask(place, place.south, code) for code in ELEVEN))
    for code, result in zip(ELEVEN, results, strict=True):
        assert (result.origin, result.to_json()["level"]) == (code, "GREEN"), codes(result)
        assert result.is_admitted, (code, codes(result))


async def test_both_systems_of_guangdong_answer_a_checkpoint_of_zhejiang(
    place: Provinces,
) -> None:
    families = {"440000": "gd-ykm", "440100": "gz-skm"}
    # 穗康码 holds the longer prefix; any other city of the province goes to 粤康码.
    for holder, origin, answering in (
        ("440100", "440100", "440100"),
        ("440000", "440300", "440000"),
        ("440000", "441900", "440000"),
        ("440000", "440000", "440000"),
    ):
        fetched = await place.east.fetch(
            place.cities[holder].document, origin=origin, timeout_seconds=30
        )
        assert fetched.token is not None, codes(fetched.result)
        claims = payload(fetched.token)
        assert claims["iss"] == urn_of(answering)
        assert claims["code"]["scheme"].partition("@")[0] == families[answering]
        result = await ask(place, place.east, holder, origin=origin)
        assert result.to_json()["level"] == "GREEN"


async def test_a_city_signs_what_it_issued_and_leaves_out_its_sisters(place: Provinces) -> None:
    # By the one provincial query each reads them all: Wenzhou is asked about who
    # holds a code of Lishui alone.
    result = await ask(place, place.south, LISHUI, origin="330300")
    assert result.origin == "330300"
    assert result.to_json()["outcome"] == "CANNOT_DETERMINE"
    assert not result.is_admitted


async def test_a_province_that_is_cut_serves_its_eleven_and_heals(place: Provinces) -> None:
    for line in place.zhejiang.lines:
        await line.cut()
    try:
        feeds = place.zhejiang.hub.feeds
        await until(lambda: not feeds[NATION].connected)
        at_home = await asyncio.gather(*(ask(place, place.east, code) for code in ELEVEN))
        assert [result.to_json()["level"] for result in at_home] == ["GREEN"] * 11
        abroad = await asyncio.gather(*(ask(place, place.south, code) for code in ELEVEN))
        for result in abroad:
            assert "HUB_UNREACHABLE" in codes(result)
            assert not result.is_admitted
        # Guangdong goes on as well.
        for code in SYSTEMS:
            assert (await ask(place, place.south, code)).to_json()["level"] == "GREEN"
    finally:
        for line in place.zhejiang.lines:
            line.heal()
    for code in ELEVEN:
        await until_true(lambda code=code: _is_green(place, place.south, code))  # type: ignore[misc]  # the default binds it
    await until(lambda: feeds[NATION].connected)


async def test_a_key_rotated_in_lishui_verifies_at_a_checkpoint_of_guangdong(
    place: Provinces,
) -> None:
    city = place.cities[LISHUI]
    before = payload_key(await fetched(place, LISHUI))
    # As `hutong region rotate` does it; who is silent is not waited for here.
    plan = RotationPlan(
        begin_in=timedelta(seconds=5),
        overlap=timedelta(0),
        patience=timedelta(0),
        force=True,
    )
    around = Surroundings(
        clock=lambda: datetime.now(UTC),
        sleep=asyncio.sleep,
        show=lambda _: None,
        ask=lambda _: False,
    )
    async with place.zhejiang.member(city.identity) as member:
        done = await rotate(city.folder, "attest", member, plan, around)
    assert not done.stopped
    # Known three hubs away before it is used.
    await until_trusted(
        place.south, lambda bundle: bundle.attestation_key(urn_of(LISHUI), done.key_id)
    )
    now = datetime.now(UTC)
    assert now < done.begins
    assert file_in_use(city.folder, "attest", now).name == "attest.json"
    # And from its first moment on it signs, and verifies there.
    async with asyncio.timeout(WAIT_SECONDS):
        while payload_key(token := await fetched(place, LISHUI)) == before:  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0.2)
    assert payload_key(token) == done.key_id
    assert (await ask(place, place.south, LISHUI)).is_admitted


async def test_the_nation_counts_in_any_of_the_eleven(place: Provinces) -> None:
    async with place.nation.operator() as operator:
        for code in (LISHUI, "330400", "440100"):
            rule = DistrustRule(
                issuer=urn_of(code), signed_from=datetime.now(UTC) - timedelta(hours=1)
            )
            preview = await operator.preview(rule_to_proto(rule))
            assert preview.attestations is not None
            assert preview.attestations >= FEWEST_COUNTED
            assert (preview.uncounted, preview.unknown) == ("", ())
            assert {item.hub for item in preview.elsewhere} == {ZHEJIANG, GUANGDONG}


async def test_a_prefix_of_the_eleven_or_of_a_province_is_claimed_once(place: Provinces) -> None:
    for hub, urn, prefix in (
        (place.zhejiang, "urn:hutong:region:330000", "3311"),
        (place.nation, "urn:hutong:region:440000", "44"),
    ):
        with pytest.raises(RpcFailure) as refused:
            await hub.admit(now_region(urn, prefixes=[prefix]))
        assert refused.value.code == "PREFIX_TAKEN"


async def fetched(place: Provinces, code: str) -> str:
    """An attestation for Guangdong, as soon as there is one."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(RpcFailure):
                found = await place.south.fetch(
                    place.cities[code].document, origin=code, timeout_seconds=20
                )
                if found.token is not None:
                    return found.token
            await asyncio.sleep(0.05)


def payload(token: str) -> dict[str, object]:
    return jws.take_apart(token, typ="hutong-attestation+jwt", max_bytes=65_536).claims()


def payload_key(token: str) -> str:
    return jws.take_apart(token, typ="hutong-attestation+jwt", max_bytes=65_536).key_id


async def _is_green(place: Provinces, gate: Checkpoint, code: str) -> bool:
    return (await ask(place, gate, code)).to_json()["level"] == "GREEN"
