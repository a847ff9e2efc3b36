"""What an entry may say, and about whom."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.trust import feed_log
from gateway.trust.authority import MemberState
from gateway.trust.feed import FeedKind
from gateway.trust.keys import KeyUse, signing_member_key
from gateway.trust.statements import StatementKind
from tests.trust.replica_world import MINUTE, refuses_entry, refuses_next
from tests.trust.simulator import (
    FederationSimulator,
    make_region,
    policy_frame,
    scheme_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_statement_of_a_region_that_the_feed_does_not_name_is_refused(
    federation: FederationSimulator,
) -> None:
    region = make_region("320100")
    federation.regions["320100"] = region
    token = federation.statement(StatementKind.POLICY, "320100", policy_frame("320100"))
    refuses_next(federation, FeedKind.POLICY, f"{region.urn}#320100", {"statement": token})


@pytest.mark.parametrize("use", [KeyUse.ATTEST, KeyUse.AUTHENTICATE])
def test_a_statement_by_a_key_of_another_use_is_refused(
    federation: FederationSimulator, use: KeyUse
) -> None:
    region = federation.regions["330100"]
    token = federation.statement(
        StatementKind.POLICY, "330100", policy_frame("330100"), key=region.signing[use]
    )
    refuses_next(federation, FeedKind.POLICY, f"{region.urn}#330100", {"statement": token})


def test_a_statement_by_another_regions_key_is_refused(federation: FederationSimulator) -> None:
    region = federation.regions["330100"]
    token = federation.statement(
        StatementKind.POLICY,
        "330100",
        policy_frame("330100"),
        key=federation.regions["440100"].signing[KeyUse.STATE],
    )
    refuses_next(federation, FeedKind.POLICY, f"{region.urn}#330100", {"statement": token})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (StatementKind.POLICY, policy_frame("440100")),
        (StatementKind.POLICY, policy_frame("330000")),
        (StatementKind.SCHEME, scheme_frame("330100") | {"prefixes": ["4401"]}),
        (StatementKind.SCHEME, scheme_frame("330100") | {"prefixes": ["3301", "33"]}),
        (StatementKind.SCHEME, scheme_frame("440100")),
    ],
)
def test_a_region_publishes_for_its_own_prefixes_alone(
    federation: FederationSimulator, kind: StatementKind, body: dict[str, Any]
) -> None:
    token = federation.statement(kind, "330100", body)
    part = body.get("region", body.get("family"))
    subject = f"urn:hutong:region:330100#{part}"
    refuses_next(federation, FeedKind(kind.value), subject, {"statement": token})


def test_a_statement_stands_under_its_own_subject_and_kind(
    federation: FederationSimulator,
) -> None:
    urn = "urn:hutong:region:330100"
    policy = federation.statement(StatementKind.POLICY, "330100", policy_frame("330100"))
    enrolment = federation.statement(StatementKind.ENROLMENT, "330100", {})
    for kind, subject, body in (
        (FeedKind.POLICY, "urn:hutong:region:440100#330100", {"statement": policy}),
        (FeedKind.POLICY, f"{urn}#330106", {"statement": policy}),
        (FeedKind.POLICY, urn, {"statement": policy}),
        (FeedKind.SCHEME, f"{urn}#330100", {"statement": policy}),
        (FeedKind.POLICY, f"{urn}#330100", {"statement": enrolment}),
        (FeedKind.POLICY, f"{urn}#330100", {"statement": policy, "note": ""}),
        (FeedKind.POLICY, f"{urn}#330100", {"statement": None}),
        (FeedKind.POLICY, f"{urn}#330100", {}),
        (FeedKind.POLICY, f"{urn}#330100", policy_frame("330100")),
    ):
        refuses_entry(federation, federation.next_token(kind, subject, body), "FEED_MALFORMED")


def test_an_older_statement_is_a_rollback_although_the_hub_signs_it(
    federation: FederationSimulator,
) -> None:
    old = federation.entries[-1]
    federation.publish_policy("440100", note="stricter")
    refuses_next(federation, old.kind, old.subject, old.body, "FEED_ROLLED_BACK")


def test_a_statement_dated_ahead_of_its_entry_is_refused(federation: FederationSimulator) -> None:
    token = federation.statement(
        StatementKind.POLICY,
        "330100",
        policy_frame("330100"),
        now=federation.now + timedelta(seconds=61),
    )
    subject = "urn:hutong:region:330100#330100"
    refuses_next(federation, FeedKind.POLICY, subject, {"statement": token})


def test_a_statement_outlives_the_end_of_its_key_and_of_its_acceptance(
    federation: FederationSimulator,
) -> None:
    region = federation.regions["330100"]
    keys = tuple(
        dataclasses.replace(key, not_after=federation.now + MINUTE * 5)
        if key.use is KeyUse.STATE
        else key
        for key in region.authority.keys
    )
    federation.publish_authority(dataclasses.replace(region.authority, keys=keys))
    federation.publish_policy("330100", note="kept")
    federation.tick(3600 * 24 * 365)
    replica = federation.replica_from_snapshot()
    assert replica.bundle.policy("330100")["note"] == "kept"
    token = federation.statement(StatementKind.POLICY, "330100", policy_frame("330100"))
    refuses_next(
        federation, FeedKind.POLICY, "urn:hutong:region:330100#330100", {"statement": token}
    )


def test_a_statement_key_is_not_dropped_while_something_lives_that_it_signed(
    federation: FederationSimulator,
) -> None:
    region = federation.regions["330100"]
    coming = generate_signing_key()
    both = (
        *region.authority.keys,
        signing_member_key(coming, KeyUse.STATE, not_before=federation.now),
    )
    only_new = tuple(
        key for key in both if key.use is not KeyUse.STATE or key.key_id == coming.key_id
    )
    refuses_entry(
        federation,
        federation.next_token(
            *feed_log.authority_change(dataclasses.replace(region.authority, keys=only_new))
        ),
        "FEED_MALFORMED",
    )
    # In the right order: the key first, then what it signs, then the old one goes.
    federation.publish_authority(dataclasses.replace(region.authority, keys=both))
    region.signing[KeyUse.STATE] = coming
    federation.publish_scheme("330100")
    federation.publish_policy("330100")
    federation.publish_authority(dataclasses.replace(region.authority, keys=only_new))
    assert federation.replica().live_tokens() == federation.replica_from_snapshot().live_tokens()


def test_prefixes_are_not_narrowed_under_a_live_statement(
    federation: FederationSimulator,
) -> None:
    authority = dataclasses.replace(federation.regions["330100"].authority, prefixes=("330106",))
    refuses_next(federation, *feed_log.authority_change(authority))


def test_two_active_authorities_do_not_hold_the_same_prefix(
    federation: FederationSimulator,
) -> None:
    province = make_region("330000", prefixes=("3301",))
    refuses_next(federation, *feed_log.authority_change(province.authority))


def test_a_prefix_is_free_again_when_its_holder_gives_it_up() -> None:
    federation = FederationSimulator()
    province = federation.add_region("330000", prefixes=("3301", "3302"))
    federation.publish_authority(dataclasses.replace(province.authority, prefixes=("3302",)))
    federation.add_region("330100")
    assert federation.replica().bundle.authority_for("330106").region == "330100"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body | {"urn": "urn:hutong:region:330200"},
        lambda body: body | {"state": "pending"},
        lambda body: body | {"keys": body["keys"][:-1]},
        lambda body: body | {"keys": [*body["keys"], body["keys"][0]]},
        lambda body: body | {"prefixes": ["44"]},
        lambda body: {name: value for name, value in body.items() if name != "state"},
        lambda body: {"authority": body},
    ],
)
def test_a_malformed_record_is_refused(
    federation: FederationSimulator, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    authority = federation.regions["330100"].authority
    refuses_entry(
        federation,
        federation.next_token(FeedKind.AUTHORITY, authority.urn, change(authority.to_body())),
        "FEED_MALFORMED",
    )


def test_a_record_stands_under_its_own_name(federation: FederationSimulator) -> None:
    body = federation.regions["330100"].authority.to_body()
    refuses_next(federation, FeedKind.AUTHORITY, "urn:hutong:region:330106", body)


def test_a_division_younger_than_our_table_does_not_stop_a_reader(
    federation: FederationSimulator,
) -> None:
    federation.add_region("990100")
    assert federation.replica().bundle.authority_for("990101").region == "990100"


def test_statements_of_a_suspended_region_stay_for_its_return(
    federation: FederationSimulator,
) -> None:
    federation.suspend("330100")
    assert len(federation.replica_from_snapshot().live_tokens()) == 6
    authority = dataclasses.replace(
        federation.regions["330100"].authority, state=MemberState.ACTIVE
    )
    federation.publish_authority(authority)
    assert federation.replica_from_snapshot().bundle.policy("330100")
