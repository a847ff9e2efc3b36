"""Surgical distrust: what a rule touches, what it leaves, and that it can be undone."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from gateway.attestation import Attestation, AttestationUse, AttestationVerifier, sign_attestation
from gateway.attestation.cache import VerifiedTokenCache
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.codes.levels import Level
from gateway.codes.unified import UnifiedCode
from gateway.errors import TrustError
from gateway.trust.distrust import DistrustRule, parse_distrust_rule
from gateway.trust.entries import distrust_body
from gateway.trust.errors import DistrustError
from gateway.trust.feed import FeedKind
from gateway.trust.feed_log import withdrawal_change
from gateway.trust.keys import KeyUse
from gateway.trust.lifecycle import KeyChange, KeyMove, apply_key_change
from gateway.trust.replica import FeedReplica
from tests.trust.replica_world import refuses_next
from tests.trust.simulator import START, FederationSimulator

HANGZHOU = "urn:hutong:region:330100"
GUANGZHOU = "urn:hutong:region:440100"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
FROM = START + HOUR
URI = "urn:hutong:status:330100:7q"

CODE = UnifiedCode(
    level=Level.GREEN,
    scheme="hz-jkm@2020-02",
    state="绿码",
    assessed_at=START,
    source_at=START,
    issued_by="330100",
    area="330106",
)


def attestation(**changes: Any) -> Attestation:
    issued = changes.pop("issued_at", FROM)
    code = dataclasses.replace(CODE, **changes.pop("code", {}))
    members: dict[str, Any] = {
        "issuer": HANGZHOU,
        "audience": GUANGZHOU,
        "issued_at": issued,
        "not_before": issued,
        "expires_at": issued + 12 * HOUR,
        "token_id": "synthetic-token-id-0001",
        "subject": "s" * 43,
        "code": code,
        "use": AttestationUse.CARRIED,
        "serial": 7,
    }
    return Attestation(**members | changes)


class World:
    """A federation, what follows it, and a checkpoint with a cache that lives on."""

    def __init__(self, federation: FederationSimulator) -> None:
        self.federation = federation
        self.region = federation.regions["330100"]
        self.cache = VerifiedTokenCache(10)
        self.replica = FeedReplica(federation.anchor)

    def follow(self) -> FeedReplica:
        for entry in self.federation.entries[self.replica.sequence :]:
            self.replica.apply_entry(entry.token, self.federation.now)
        return self.replica

    def read(self, given: Attestation, *, now: Any = None) -> Attestation:
        token = sign_attestation(given, self.region.signing[KeyUse.ATTEST])
        return self.read_token(token, now=now or given.issued_at)

    def read_token(self, token: str, *, now: Any) -> Attestation:
        bundle = self.follow().bundle
        verifier = AttestationVerifier(bundle, cache=self.cache)
        return verifier.verify(token, audience=GUANGZHOU, now=now)

    def refusal(self, given: Attestation, *, now: Any = None) -> str:
        with pytest.raises(TrustError) as caught:
            self.read(given, now=now)
        return caught.value.code

    def distrust(self, rule: DistrustRule, name: str = "d1") -> None:
        body = distrust_body(rule, reason="synthetic", decided_at=self.federation.now)
        self.federation.append(FeedKind.DISTRUST, name, body)

    def change_keys(self, change: KeyChange) -> None:
        authority = apply_key_change(self.region.authority, change, self.federation.now)
        self.federation.publish_authority(authority)


@pytest.fixture
def world(federation: FederationSimulator) -> World:
    federation.now = START + 2 * HOUR
    return World(federation)


# --- the rule ---------------------------------------------------------------------------

RULE = DistrustRule(
    HANGZHOU,
    FROM,
    signed_until=FROM + HOUR,
    kind="attestation",
    prefix="330106",
    scheme="hz-jkm@2020-02",
    first_serial=5,
    last_serial=9,
)
OTHER_REPORT = dataclasses.replace(CODE, scheme="other@1", area="330108", issued_by="330100")


@pytest.mark.parametrize(
    ("is_touched", "changes"),
    [
        (True, {}),
        (True, {"issued_at": FROM + HOUR - SECOND}),
        (False, {"issued_at": FROM - SECOND}),
        (False, {"issued_at": FROM + HOUR}),
        (False, {"issuer": "urn:hutong:region:330200"}),
        (False, {"serial": 4}),
        (True, {"serial": 9}),
        (False, {"serial": 10}),
        (True, {"serial": None}),
        (False, {"code": {"scheme": "hz-jkm@2020-03"}}),
        (False, {"code": {"area": "330108"}}),
        (True, {"code": {"area": None}}),
        (True, {"code": {"area": "330100"}}),
        (True, {"code": {"also": (OTHER_REPORT,)}}),
    ],
)
def test_a_rule_touches_what_it_names_and_what_cannot_be_told_apart(
    is_touched: bool, changes: dict[str, Any]
) -> None:
    assert RULE.touches_attestation(attestation(**changes)) is is_touched


def test_a_rule_for_one_key_touches_no_other() -> None:
    rule = DistrustRule(HANGZHOU, FROM, key_id="k" * 43)
    assert rule.touches_attestation(attestation(), "k" * 43)
    assert not rule.touches_attestation(attestation(), "l" * 43)
    assert rule.touches_attestation(attestation())


def test_a_rule_reads_back() -> None:
    assert parse_distrust_rule(RULE.to_body()) == RULE
    whole = DistrustRule(HANGZHOU, FROM)
    assert parse_distrust_rule(whole.to_body()) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "urn:hutong:operator:front-desk"},
        {"issuer": None},
        {"signed_from": None},
        {"signed_until": int(FROM.timestamp())},
        {"kind": "enrolment"},
        {"key_id": "short"},
        {"prefix": "3301060"},
        {"prefix": "330100"},
        {"prefix": ""},
        {"scheme": "hz-jkm"},
        {"first_serial": None},
        {"first_serial": 10},
        {"first_serial": -1},
        {"last_serial": 2**53},
        {"kind": "policy"},
        {"note": ""},
    ],
)
def test_a_rule_that_is_none_is_refused(change: dict[str, Any]) -> None:
    body = {name: value for name, value in (RULE.to_body() | change).items() if value is not None}
    with pytest.raises(DistrustError):
        parse_distrust_rule(body)


# --- in the feed ------------------------------------------------------------------------


def test_a_distrust_works_at_once_and_can_be_undone(world: World) -> None:
    given = attestation()
    token = sign_attestation(given, world.region.signing[KeyUse.ATTEST])
    assert world.read_token(token, now=FROM) == given
    world.distrust(RULE)
    with pytest.raises(TrustError) as caught:
        world.read_token(token, now=FROM)
    assert caught.value.code == "ATTESTATION_DISTRUSTED"
    (distrust,) = world.replica.bundle.distrusts()
    assert (distrust.distrust_id, distrust.rule, distrust.reason) == ("d1", RULE, "synthetic")
    with pytest.raises(TrustError) as caught:
        world.replica.bundle.check_distrust(given)
    assert caught.value.code == "ATTESTATION_DISTRUSTED"
    world.federation.append(*withdrawal_change(FeedKind.DISTRUST, "d1", "a mistake"))
    assert world.read_token(token, now=FROM) == given
    world.replica.bundle.check_distrust(given)


def test_a_distrust_leaves_everything_else_green(world: World) -> None:
    world.distrust(RULE)
    for untouched in ({"serial": 4}, {"code": {"area": "330108"}}, {"issued_at": FROM - SECOND}):
        world.read(attestation(**untouched))
    assert world.refusal(attestation()) == "ATTESTATION_DISTRUSTED"


def test_policies_and_schemes_fall_too_when_nothing_narrows_the_rule(world: World) -> None:
    rule = DistrustRule(HANGZHOU, START)
    bundle = world.follow().bundle
    assert [item.entry.kind.value for item in bundle.touched(rule)] == ["scheme", "policy"]
    world.distrust(rule)
    bundle = world.follow().bundle
    with pytest.raises(TrustError) as caught:
        bundle.policy("330100")
    assert caught.value.code == "POLICY_UNKNOWN"
    assert [item.authority for item in bundle.published_schemes()] == [GUANGZHOU]


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        (DistrustRule(HANGZHOU, START, kind="policy"), ["policy"]),
        (DistrustRule(HANGZHOU, START, kind="scheme", scheme="synthetic-330100@1"), ["scheme"]),
        (DistrustRule(HANGZHOU, START, scheme="synthetic-330100@1"), []),
        (DistrustRule(HANGZHOU, START, first_serial=1, last_serial=2), []),
        (DistrustRule(HANGZHOU, START, prefix="330106"), ["scheme", "policy"]),
        (DistrustRule(HANGZHOU, START + HOUR), []),
    ],
)
def test_what_a_rule_would_end_is_known_before(
    world: World, rule: DistrustRule, kinds: list[str]
) -> None:
    touched = world.follow().bundle.touched(rule)
    assert [item.entry.kind.value for item in touched] == kinds


def test_a_distrust_out_of_shape_is_refused(federation: FederationSimulator) -> None:
    body = distrust_body(RULE, reason="", decided_at=START)
    refuses_next(federation, FeedKind.DISTRUST, "d1", body)


# --- keys -------------------------------------------------------------------------------


def moved(world: World, at: Any = None) -> KeyMove:
    return KeyMove(world.region.signing[KeyUse.ATTEST].key_id, at, "synthetic")


def test_a_tainted_key_is_believed_for_what_it_signed_before(world: World) -> None:
    before, after = attestation(issued_at=FROM - SECOND), attestation(issued_at=FROM)
    world.read(before)
    world.read(after)
    world.change_keys(KeyChange(taint=(moved(world, FROM),)))
    world.read(before)
    assert world.refusal(after) == "KEY_TAINTED"
    world.change_keys(KeyChange(revoke=(moved(world),)))
    assert world.refusal(before) == "KEY_REVOKED"


def test_a_retired_key_verifies_what_it_signed_for_as_long_as_that_lives(world: World) -> None:
    keys = tuple(
        dataclasses.replace(key, not_after=FROM + HOUR) if key.use is KeyUse.ATTEST else key
        for key in world.region.authority.keys
    )
    world.federation.publish_authority(dataclasses.replace(world.region.authority, keys=keys))
    world.read(attestation(), now=FROM + 11 * HOUR)
    assert world.refusal(attestation(), now=FROM + 13 * HOUR) == "ATTESTATION_EXPIRED"
    late = attestation(issued_at=FROM + HOUR + timedelta(seconds=60))
    assert world.refusal(late) == "KEY_NOT_VALID_NOW"


@pytest.mark.parametrize("skew", [timedelta(seconds=60), timedelta(seconds=-60)])
def test_clocks_may_differ_by_a_minute_in_both_directions(world: World, skew: Any) -> None:
    issued = attestation(issued_at=START - timedelta(seconds=60))
    # The region's clock is behind its own key by a minute, the reader's by another.
    world.read(issued, now=issued.issued_at + skew)
    too_early = attestation(issued_at=START - timedelta(seconds=61))
    assert world.refusal(too_early) == "KEY_NOT_VALID_NOW"
    ahead = issued.issued_at - timedelta(seconds=61)
    assert world.refusal(issued, now=ahead) == "ATTESTATION_NOT_YET_VALID"


def test_an_authority_that_left_answers_nothing(world: World) -> None:
    from gateway.trust.authority import MemberState

    gone = dataclasses.replace(world.region.authority, state=MemberState.WITHDRAWN)
    world.federation.publish_authority(gone)
    assert world.refusal(attestation()) == "AUTHORITY_WITHDRAWN"
    bundle = world.replica.bundle
    with pytest.raises(TrustError) as caught:
        bundle.authority_for("330106")
    assert caught.value.code == "UNKNOWN_REGION"
    assert [item.authority for item in bundle.published_schemes()] == [GUANGZHOU]
    # Its prefixes are free; its keys stay, as history.
    world.federation.add_region("330000", prefixes=("3301",))
    assert world.follow().bundle.authority_for("330106").region == "330000"


def test_what_a_superior_does_not_allow_does_not_verify(world: World) -> None:
    bound = dataclasses.replace(world.region.authority, kinds=frozenset({"scheme", "policy"}))
    world.federation.publish_authority(bound)
    assert world.refusal(attestation()) == "CONSTRAINT_EXCEEDED"


def test_a_kind_is_not_taken_away_under_a_live_statement(federation: FederationSimulator) -> None:
    from gateway.trust.feed_log import authority_change

    bound = dataclasses.replace(
        federation.regions["330100"].authority, kinds=frozenset({"attestation"})
    )
    refuses_next(federation, *authority_change(bound))


def test_statements_of_a_tainted_key_stay_and_are_not_believed(world: World) -> None:
    key_id = world.region.signing[KeyUse.STATE].key_id
    world.change_keys(KeyChange(taint=(KeyMove(key_id, START, "synthetic"),)))
    with pytest.raises(TrustError) as caught:
        world.follow().bundle.policy("330100")
    assert caught.value.code == "POLICY_UNKNOWN"
    # A snapshot says the same as the chain.
    assert world.federation.replica_from_snapshot().live_digests() == world.replica.live_digests()
    with pytest.raises(TrustError):
        world.federation.replica_from_snapshot().bundle.policy("330100")


# --- status -----------------------------------------------------------------------------


def status(world: World, number: int, *, uri: str = URI, key: Any = None) -> dict[str, Any]:
    token = sign_status_change(
        key or world.region.signing[KeyUse.ATTEST],
        base=StatusBase("d" * 43, 1024, 1),
        uri=uri,
        sequence=number,
        changes={1: [5, 17]},
        issued_at=world.federation.now,
    )
    return {"statement": token}


def test_the_newest_word_on_a_status_list_stands(world: World) -> None:
    world.federation.append(FeedKind.STATUS, URI, status(world, 1))
    world.federation.append(FeedKind.STATUS, URI, status(world, 2))
    bundle = world.follow().bundle
    found = bundle.status(URI, issuer=HANGZHOU)
    assert (found.number, found.size, found.bits, found.changes()) == (2, 1024, 1, {1: (5, 17)})
    assert bundle.statuses() == (found,)
    for uri, issuer in ((URI, GUANGZHOU), (URI + "x", HANGZHOU)):
        with pytest.raises(TrustError) as caught:
            bundle.status(uri, issuer=issuer)
        assert caught.value.code == "STATUS_UNKNOWN"


def test_an_older_word_on_a_status_list_is_a_rollback(world: World) -> None:
    world.federation.append(FeedKind.STATUS, URI, status(world, 2))
    refuses_next(world.federation, FeedKind.STATUS, URI, status(world, 1), "FEED_ROLLED_BACK")


def test_a_region_speaks_only_of_its_own_lists_and_by_its_attestation_key(world: World) -> None:
    state_key = world.region.signing[KeyUse.STATE]
    foreign = status(world, 1, key=world.federation.regions["440100"].signing[KeyUse.ATTEST])
    by_state_key = status(world, 1, key=state_key)
    for body in (foreign, by_state_key, {"statement": "a.b.c"}):
        token = world.federation.next_token(FeedKind.STATUS, URI, body)
        with pytest.raises(TrustError):
            world.federation.replica().apply_entry(token, world.federation.now)
    elsewhere = world.federation.next_token(FeedKind.STATUS, URI + "x", status(world, 1))
    with pytest.raises(TrustError):
        world.federation.replica().apply_entry(elsewhere, world.federation.now)


def test_a_word_of_a_tainted_key_is_not_believed(world: World) -> None:
    world.federation.append(FeedKind.STATUS, URI, status(world, 1))
    world.change_keys(KeyChange(taint=(moved(world, START),)))
    bundle = world.follow().bundle
    assert bundle.statuses() == ()
    with pytest.raises(TrustError) as caught:
        bundle.status(URI)
    assert caught.value.code == "STATUS_UNKNOWN"
