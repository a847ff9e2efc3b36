"""The calls on living trust over a real hub: who may make them, and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import distrust_pb2, feed_service_pb2
from hutong.v1 import registry_service_pb2 as pb

from gateway.trust import KeyChange, KeyUse, StatementKind, rehearsal_body, sign_statement
from tests.hub.hub_world import (
    HANGZHOU,
    OPERATOR,
    now_region,
    region,
    scheme,
    signing_key,
    statement,
)
from tests.hub.test_app import TIMEOUT, Client, connected, now, reason
from tests.hub.trust_world import change_request, ending, next_key, next_sealing_key, open_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

WHO = now_region(HANGZHOU, slot="rpc", endpoint="127.0.0.1:1")
Caller = tuple[tuple[str, str], ...]


class Doors:
    """A hub with one active region; who calls is the metadata."""

    def __init__(self, client: Client, member: Caller) -> None:
        self.registry: Any = client.registry
        self.feed = client.feed
        self.operator: Caller = client.operator
        self.member = member
        self.world = client.world

    async def call(self, method: str, request: Any, caller: Caller) -> Any:
        return await getattr(self.registry, method)(request, metadata=caller, timeout=TIMEOUT)


@pytest_asyncio.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with connected(tmp_path) as client:
        await client.enrol(WHO, schemes=[scheme()])
        await client.approve(HANGZHOU)
        async with client.world.tokens(HANGZHOU, signing_key("rpc/auth")) as tokens:
            yield Doors(
                client, await client.world.metadata(tokens, "registry.publish exchange.query")
            )


def moment(when: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp


def rule(**changes: Any) -> distrust_pb2.DistrustRule:
    whole: dict[str, Any] = {
        "issuer": HANGZHOU,
        "signed_from": moment(datetime(2020, 1, 1, tzinfo=UTC)),
    }
    return distrust_pb2.DistrustRule(**whole | changes)


async def test_a_member_changes_its_keys_and_sees_how_it_stands(doors: Doors) -> None:
    # The hub's clock goes on: later than its lead time by much.
    later = now() + timedelta(hours=1)
    private, attest = next_key("rpc/next", KeyUse.ATTEST, later)
    seal = next_sealing_key("rpc/next/seal", later)
    token, proofs = change_request(WHO, KeyChange(add=(attest, seal)), now(), private)
    request = pb.ChangeKeysRequest(statement=token, key_proofs=proofs)
    changed = await doors.call("ChangeKeys", request, doors.member)
    assert (changed.sequence, len(changed.challenges)) == (0, 1)
    standing = await doors.call("GetStanding", pb.GetStandingRequest(), doors.member)
    states = {key.key_id: key.state for key in standing.keys}
    assert states[attest.key_id] == states[seal.key_id] == pb.KEY_STATE_PREPARED
    proven = pb.ProvePossessionRequest(
        enrolment_id=changed.enrolment_id,
        challenges=[
            pb.OpenedChallenge(key_id=key_id, plaintext=plaintext)
            for key_id, plaintext in open_with(WHO, "rpc/next/seal", changed).items()
        ],
    )
    assert (await doors.call("ProvePossession", proven, ())).state == pb.MEMBER_STATE_ACTIVE
    asked = pb.GetStandingRequest(urn=HANGZHOU)
    standing = await doors.call("GetStanding", asked, doors.operator)
    states = {key.key_id: key.state for key in standing.keys}
    assert states[attest.key_id] == states[seal.key_id] == pb.KEY_STATE_PUBLISHED
    assert standing.sequence == 3


async def test_an_operator_distrusts_looks_first_and_takes_it_back(doors: Doors) -> None:
    preview = await doors.call(
        "PreviewDistrust", pb.PreviewDistrustRequest(rule=rule(kind="scheme")), doors.operator
    )
    assert list(preview.published) == [f"{HANGZHOU}#ex-jkm"]
    assert preview.attestations == 0
    made = await doors.call(
        "Distrust", pb.DistrustRequest(rule=rule(), reason="a key leaked"), doors.operator
    )
    assert made.sequence == 3
    undo = pb.UndoDistrustRequest(distrust=made.distrust, reason="checked")
    assert (await doors.call("UndoDistrust", undo, doors.operator)).sequence == 4
    assert await reason(doors.call("UndoDistrust", undo, doors.operator)) == "NOT_FOUND"
    for wrong in (rule(issuer="urn:hutong:region:990000"), rule(first_serial=9, last_serial=3)):
        asked = pb.DistrustRequest(rule=wrong, reason="x")
        assert await reason(doors.call("Distrust", asked, doors.operator)) == "DISTRUST_INVALID"


async def test_the_audit_is_read_in_pages_by_operators(doors: Doors) -> None:
    token = statement(WHO, StatementKind.SCHEME, scheme(), now())
    await doors.call("PublishStatement", pb.PublishStatementRequest(statement=token), doors.member)
    seen: list[tuple[str, str, int]] = []
    page_token = ""
    while True:
        page = await doors.call(
            "ListAudit", pb.ListAuditRequest(page_size=1, page_token=page_token), doors.operator
        )
        seen += [(row.action, row.actor, row.sequence) for row in page.records]
        page_token = page.next_page_token
        if not page_token:
            break
    assert seen == [
        ("publish-scheme", HANGZHOU, 3),
        ("approve", OPERATOR, 2),
        ("admit-operator", "", 0),
    ]
    forged = pb.ListAuditRequest(page_token="forged")
    assert await reason(doors.call("ListAudit", forged, doors.operator)) == "PAGE_TOKEN_INVALID"


async def test_a_member_rehearses_lints_and_withdraws_itself(doors: Doors) -> None:
    private, key = next_key("rpc/rehearsed", KeyUse.ATTEST, now())
    body = rehearsal_body(key, private, issuer=HANGZHOU, now=now())
    token = sign_statement(StatementKind.REHEARSAL, HANGZHOU, body, WHO.state_key, now=now())
    begun = await doors.call("Rehearse", pb.RehearseRequest(statement=token), doors.member)
    assert begun.sequence == 3
    asked = pb.GetRehearsalRequest(rehearsal=begun.rehearsal)
    assert (await doors.call("GetRehearsal", asked, doors.member)).verified == 0
    said = feed_service_pb2.RehearsalResult(rehearsal=begun.rehearsal, verified=True)
    await doors.feed.Acknowledge(
        feed_service_pb2.AcknowledgeRequest(sequence=3, rehearsals=[said]),
        metadata=doors.member,
        timeout=TIMEOUT,
    )
    result = await doors.call("GetRehearsal", asked, doors.operator)
    assert (result.connected, result.verified, list(result.silent)) == (1, 1, [])
    foreign = statement(WHO, StatementKind.SCHEME, scheme("440100"), now())
    linted = await doors.call("Lint", pb.LintRequest(statement=foreign), doors.member)
    assert linted.findings[0].name == "STATEMENT_SCOPE"
    assert linted.findings[0].weight == pb.FINDING_WEIGHT_ERROR
    other = pb.WithdrawRequest(urn=OPERATOR)
    assert await reason(doors.call("Withdraw", other, doors.member)) == "NOT_FOUND"
    withdrawn = await doors.call("Withdraw", pb.WithdrawRequest(urn=HANGZHOU), doors.member)
    assert withdrawn.member.state == pb.MEMBER_STATE_WITHDRAWN
    assert (
        await reason(doors.call("GetStanding", pb.GetStandingRequest(), doors.member))
        == "CALLER_SUSPENDED"
    )


async def test_the_metrics_tell_when_a_region_is_left_without_a_key(tmp_path: Path) -> None:
    end = now().replace(microsecond=0) + timedelta(days=100)
    who = ending(region(HANGZHOU, slot="rpc", not_before=end - timedelta(days=365)), end)
    async with connected(tmp_path) as client:
        await client.enrol(who)
        await client.approve(HANGZHOU)
        url = f"{client.world.url}/metrics"
        async with client.world.session() as session, session.get(url) as response:
            lines = (await response.text()).splitlines()
    begin = 'hutong_key_expires_seconds{region="330100",use="'
    told = {line.removeprefix(begin).partition('"')[0]: line for line in lines if begin in line}
    assert set(told) == {"attest", "authenticate", "seal", "state"}
    assert 99 * 86_400 < float(told["attest"].split()[-1]) <= 100 * 86_400


async def test_each_call_needs_its_scope(doors: Doors) -> None:
    nothing = "x.y.z"
    for method, request, wrong in (
        ("ChangeKeys", pb.ChangeKeysRequest(statement=nothing), doors.operator),
        ("Rehearse", pb.RehearseRequest(statement=nothing), doors.operator),
        ("Lint", pb.LintRequest(statement=nothing), doors.operator),
        ("PreviewDistrust", pb.PreviewDistrustRequest(rule=rule()), doors.member),
        ("Distrust", pb.DistrustRequest(rule=rule(), reason="x"), doors.member),
        ("UndoDistrust", pb.UndoDistrustRequest(distrust="x"), doors.member),
        ("ListAudit", pb.ListAuditRequest(), doors.member),
    ):
        assert await reason(doors.call(method, request, wrong)) == "SCOPE_MISSING", method
        assert await reason(doors.call(method, request, ())) == "TOKEN_MISSING", method
    foreign = pb.GetStandingRequest(urn=OPERATOR)
    assert await reason(doors.call("GetStanding", foreign, doors.member)) == "NOT_FOUND"
    unknown = pb.GetRehearsalRequest(rehearsal="unknown")
    for caller in (doors.member, doors.operator):
        assert await reason(doors.call("GetRehearsal", unknown, caller)) == "NOT_FOUND"
