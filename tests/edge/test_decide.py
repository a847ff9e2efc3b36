"""The pipeline: what is shown, who is asked, what comes of it, what is written down."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import error_pb2

from gateway.attestation import to_armour
from gateway.codes import Document, DocumentType, Level, Outcome
from gateway.edge.errors import AmbiguousPresentationError, PresentationError, ReplicaError
from gateway.edge.record import parse_records
from gateway.recognition import Verdict
from gateway.trust import KeyUse
from tests.edge.world import (
    GUANGZHOU,
    HANGZHOU,
    NOW,
    PERSON,
    World,
    edge_world,
    hangzhou_qr,
    scheme_document,
    unified,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge.result import Result

pytestmark = pytest.mark.asyncio

DOCUMENT = Document(DocumentType.RESIDENT_IDENTITY_CARD, PERSON)


async def ask(world: World, shown: Any = None, origin: str | None = None) -> Result:
    return await world.pipeline.ask(
        hangzhou_qr() if shown is None else shown, origin=origin, timeout_seconds=30
    )


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def test_a_fresh_green_is_admitted_and_recorded(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        result = await ask(world)
        assert result.decision.verdict is Verdict.ADMIT
        assert codes(result) == ["GREEN_IS_FRESH", "LEVEL_GREEN"]
        assert result.origin == HANGZHOU
        assert result.decision.ages.trust_seconds == 0
        assert result.decision.ages.policy_seconds == 0
        assert result.decision.ages.source_seconds == 2 * 3600
        assert result.milliseconds > 0
        [record] = parse_records((tmp_path / "decisions.jsonl").read_bytes())
        assert (record.verdict, record.path, record.policy) == ("ADMIT", "online", "440100@2020-04")
        assert result.to_json()["level"] == "GREEN"
        assert "GREEN" not in repr(result).replace("GREEN_IS_FRESH", "")


@pytest.mark.parametrize(
    ("reply", "verdict", "code"),
    [
        (unified(Level.RED, state="红码"), Verdict.OBSERVE_CENTRAL, "LEVEL_RED"),
        (unified(Level.YELLOW, state="黄码"), Verdict.OBSERVE_HOME, "LEVEL_YELLOW"),
        (unified(Level.RESTRICTED), Verdict.REFER, "LEVEL_RESTRICTED"),
        (unified(assessed_at=NOW - timedelta(days=9)), Verdict.REFER, "ASSESSMENT_TOO_OLD"),
        (Outcome.CODE_EXPIRED, Verdict.REFER, "CODE_EXPIRED"),
        (Outcome.SOURCE_TIMED_OUT, Verdict.REFER, "SOURCE_TIMED_OUT"),
        (error_pb2.ERROR_REASON_INTERNAL, Verdict.REFER, "INTERNAL"),
    ],
)
async def test_what_the_origin_says_is_what_is_decided_on(
    tmp_path: Path, reply: Any, verdict: Verdict, code: str
) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.people[hangzhou_qr()] = reply
        result = await ask(world)
        assert result.decision.verdict is verdict
        assert code in codes(result)
        assert not result.is_admitted


async def test_every_fault_of_the_answer_fails_closed(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        faults: dict[str, Any] = {
            "ATTESTATION_REPLAYED": lambda one: replace(one, nonce=bytes(16)),
            "AUDIENCE_MISMATCH": lambda one: replace(one, audience="urn:hutong:region:330100"),
            "ATTESTATION_EXPIRED": lambda one: replace(
                one,
                issued_at=NOW - timedelta(hours=1),
                not_before=NOW - timedelta(hours=1),
                expires_at=NOW - timedelta(minutes=55),
            ),
            "ATTESTATION_NOT_YET_VALID": lambda one: replace(
                one,
                issued_at=NOW + timedelta(hours=1),
                not_before=NOW + timedelta(hours=1),
                expires_at=NOW + timedelta(hours=1, minutes=5),
            ),
            "ISSUER_NOT_ALLOWED": lambda one: replace(
                one, code=replace(one.code, issued_by="110000")
            ),
        }
        for code, change in faults.items():
            world.hub.change_attestation = change
            result = await ask(world)
            assert code in codes(result)
            assert not result.is_admitted
        world.hub.change_attestation = lambda one: one
        world.hub.change_token = lambda token: token[:-8] + "AAAAAAAA"
        assert "SIGNATURE_INVALID" in codes(await ask(world))
        world.hub.change_token = lambda _: "not a token"
        assert "ATTESTATION_MALFORMED" in codes(await ask(world))


async def test_an_attestation_of_another_authority_is_not_an_answer(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        other = world.federation.regions[GUANGZHOU]
        own = world.federation.regions[HANGZHOU]
        own.urn, own.signing[KeyUse.ATTEST] = other.urn, other.signing[KeyUse.ATTEST]
        world.hub.people[hangzhou_qr()] = unified(issued_by=GUANGZHOU)
        result = await ask(world)
        assert codes(result)[0] == "ISSUER_NOT_ALLOWED" or "ISSUER_NOT_ALLOWED" in codes(result)
        assert not result.is_admitted


async def test_a_hub_that_is_gone_refers_and_says_so_in_both_languages(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        await world.server.stop(None)
        result = await ask(world)
        assert result.decision.verdict is Verdict.REFER
        [reason] = [r for r in result.decision.reasons if r.code == "PEER_UNREACHABLE"]
        assert "hub" in reason.en
        assert "网关" in reason.zh


async def test_a_document_needs_its_origin(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with pytest.raises(PresentationError) as caught:
            await ask(world, DOCUMENT)
        assert caught.value.code == "ORIGIN_REQUIRED"
        result = await ask(world, DOCUMENT, "330100")
        assert result.is_admitted
        assert PERSON not in json.dumps(result.to_json())
        assert PERSON.encode() not in (tmp_path / "decisions.jsonl").read_bytes()


async def test_a_district_is_answered_by_its_city(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.federation.regions["330106"] = world.federation.regions[HANGZHOU]
        result = await ask(world, DOCUMENT, "330106")
        assert result.is_admitted


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ("", "PRESENTATION_MALFORMED"),
        ("  \r\n", "PRESENTATION_MALFORMED"),
        ("a\x00b", "PRESENTATION_MALFORMED"),
        ("x" * 2049, "PRESENTATION_TOO_LONG"),
        ("x" * 100_000, "PRESENTATION_TOO_LONG"),
        ("https://nobody.example/", "PRESENTATION_UNRECOGNISED"),
        (hangzhou_qr()[:-1], "PRESENTATION_UNRECOGNISED"),
    ],
)
async def test_what_cannot_be_used_is_told_and_asks_nobody(
    tmp_path: Path, shown: str, code: str
) -> None:
    async with edge_world(tmp_path) as world:
        with pytest.raises(PresentationError) as caught:
            await ask(world, shown)
        assert caught.value.code == code
        assert not shown.strip() or shown.strip()[:40] not in str(caught.value)
        assert world.hub.messages == []
        assert (tmp_path / "decisions.jsonl").read_bytes() == b""


async def test_line_ends_of_a_scanner_do_not_matter(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        assert (await ask(world, hangzhou_qr() + "\r\n")).is_admitted


async def test_a_named_origin_is_asked_even_about_a_foreign_code(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.people[hangzhou_qr()] = Outcome.WRONG_REGION
        result = await ask(world, origin=GUANGZHOU)
        assert result.origin == GUANGZHOU
        assert "WRONG_REGION" in codes(result)


async def test_an_ambiguous_code_asks_back_with_names(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        document = scheme_document("hangzhou")
        text = json.dumps(document, ensure_ascii=False)
        text = text.replace("hz-jkm", "zj-jkm").replace('"330100"', '"340100"')
        text = text.replace('"3301"', '"3401"')
        world.federation.add_region("340100")
        world.federation.publish_scheme("340100", json.loads(text))
        world.give_trust()
        with pytest.raises(AmbiguousPresentationError) as caught:
            await ask(world)
        assert {candidate.region for candidate in caught.value.candidates} == {"330100", "340100"}
        assert "杭州健康码" in str(caught.value)
        assert hangzhou_qr() not in str(caught.value)
        assert (await ask(world, origin=HANGZHOU)).is_admitted


async def test_without_trust_nothing_is_decided(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.store._is_usable = False
        with pytest.raises(ReplicaError) as caught:
            await ask(world)
        assert caught.value.code == "REPLICA_MISSING"
        with pytest.raises(ReplicaError):
            world.pipeline.verify_offline(world.hub.carried())


async def test_without_a_policy_everything_is_referred(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.federation.entries.pop()
        world.store._replica = type(world.store._replica)(world.federation.anchor)
        world.give_trust()
        result = await ask(world)
        assert result.decision.verdict is Verdict.REFER
        assert codes(result) == ["POLICY_UNKNOWN"]


async def test_trust_that_grew_old_refers(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.clock.advance(hours=24, seconds=1)
        world.hub.default = unified(now=world.clock())
        result = await ask(world)
        assert result.decision.verdict is Verdict.REFER
        assert codes(result)[0] == "TRUST_TOO_OLD"
        assert result.decision.ages.trust_seconds == 24 * 3600 + 1


async def test_this_checkpoint_may_be_stricter_about_trust(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.pipeline._weigher._max_trust_age_seconds = 600
        world.clock.advance(seconds=600)
        assert (await ask(world)).is_admitted
        world.clock.advance(seconds=1)
        result = await ask(world)
        assert result.decision.verdict is Verdict.REFER
        assert codes(result)[0] == "TRUST_TOO_OLD"


# --- carried ------------------------------------------------------------------------


async def test_a_carried_attestation_is_admitted_once(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        text = to_armour(world.hub.carried(life=timedelta(hours=6)))
        await world.server.stop(None)
        first = world.pipeline.verify_offline(text)
        assert first.is_admitted
        assert (first.path, first.origin) == ("offline", HANGZHOU)
        second = world.pipeline.verify_offline(text)
        assert second.decision.verdict is Verdict.REFER
        assert "ATTESTATION_SEEN_BEFORE" in codes(second)
        assert second.to_json()["level"] is None


async def test_asked_about_a_carried_attestation_the_edge_asks_nobody(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried()
        assert (await ask(world, to_armour(token))).path == "offline"
        assert "ATTESTATION_SEEN_BEFORE" in codes(await ask(world, token))
        assert world.hub.messages == []


async def test_what_is_not_admitted_may_be_shown_again(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried(unified(Level.RED))
        for _ in range(2):
            assert world.pipeline.verify_offline(token).decision.verdict is Verdict.OBSERVE_CENTRAL


@pytest.mark.parametrize("kind", ["online", "expired", "forged", "torn", "other_region"])
async def test_a_carried_attestation_that_does_not_hold_says_why(tmp_path: Path, kind: str) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried()
        expected = {
            "online": "ATTESTATION_REPLAYED",
            "expired": "ATTESTATION_EXPIRED",
            "forged": "SIGNATURE_INVALID",
            "torn": "ARMOUR_INVALID",
            "other_region": "AUDIENCE_MISMATCH",
        }[kind]
        text = {
            "online": lambda: world.hub.carried(nonce=bytes(16)),
            "expired": lambda: token,
            "forged": lambda: token[:-10] + "A" * 10,
            "torn": lambda: to_armour(token)[:-3],
            "other_region": lambda: world.hub.carried(audience="urn:hutong:region:310000"),
        }[kind]()
        if kind == "expired":
            world.clock.advance(minutes=7)
        result = world.pipeline.verify_offline(text)
        assert not result.is_admitted
        assert expected in codes(result)


async def test_an_admission_that_cannot_be_noted_is_not_given(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        (tmp_path / "seen.log").mkdir()
        result = world.pipeline.verify_offline(world.hub.carried())
        assert result.decision.verdict is Verdict.REFER
        assert "RECORD_UNAVAILABLE" in codes(result)


async def test_a_local_code_cannot_be_verified_offline(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with pytest.raises(PresentationError) as caught:
            world.pipeline.verify_offline(hangzhou_qr())
        assert caught.value.code == "PRESENTATION_UNRECOGNISED"


async def test_a_fetched_attestation_is_admitted_later_offline(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        token, result = await world.pipeline.fetch(hangzhou_qr(), origin=None, timeout_seconds=30)
        assert token is not None
        assert result.is_admitted
        assert (tmp_path / "decisions.jsonl").read_bytes() == b""
        assert world.pipeline.verify_offline(token).is_admitted


async def test_where_there_is_no_level_there_is_nothing_to_carry(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.default = Outcome.NOT_APPLIED
        token, result = await world.pipeline.fetch(hangzhou_qr(), origin=None, timeout_seconds=30)
        assert token is None
        assert "NOT_APPLIED" in codes(result)
        world.hub.default = unified()
        world.hub.change_attestation = lambda one: replace(one, audience="urn:hutong:region:11")
        token, result = await world.pipeline.fetch(hangzhou_qr(), origin=None, timeout_seconds=30)
        assert token is None
        assert "AUDIENCE_MISMATCH" in codes(result)


async def test_a_suspended_authority_is_refused_at_once(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried()
        world.federation.suspend(HANGZHOU)
        world.give_trust()
        result = world.pipeline.verify_offline(token)
        assert "AUTHORITY_SUSPENDED" in codes(result)
        assert not (await ask(world)).is_admitted


async def test_a_crowd_is_decided_one_by_one(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        for number in range(0, 300, 3):
            world.hub.people[hangzhou_qr(number)] = Outcome.NOT_FOUND
        results = await asyncio.gather(*(ask(world, hangzhou_qr(n)) for n in range(300)))
        assert [result.is_admitted for result in results] == [n % 3 != 0 for n in range(300)]
        assert sum(message.envelopes for message in world.hub.messages) <= 10
