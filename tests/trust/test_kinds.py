"""Kinds of entries that a reader knows, and those for younger readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import base64url
from gateway.attestation.keys import generate_signing_key
from gateway.trust import feed, jws
from gateway.trust.anchor import anchor_of
from gateway.trust.authority import MemberKind, MemberState
from gateway.trust.entries import notice_body, superior_body
from gateway.trust.errors import FeedError, StatementError
from gateway.trust.feed import FeedKind
from gateway.trust.feed_log import sign_entry
from gateway.trust.keys import KeyUse, MemberKey, signing_member_key
from gateway.trust.rehearsals import rehearsal_body
from gateway.trust.replica import FeedReplica
from gateway.trust.statements import StatementKind
from tests.trust.replica_world import MINUTE, refused, refuses_next
from tests.trust.simulator import START, FederationSimulator, make_region

if TYPE_CHECKING:
    from collections.abc import Callable

HANGZHOU = "urn:hutong:region:330100"
NATION = "urn:hutong:hub:000000"
PROVINCE = "urn:hutong:hub:330000"


def hub_keys(*uses: KeyUse) -> tuple[MemberKey, ...]:
    return tuple(signing_member_key(generate_signing_key(), use, not_before=START) for use in uses)


def superior(**changes: Any) -> dict[str, Any]:
    return superior_body(NATION, hub_keys(KeyUse.FEED, KeyUse.TOKEN)) | changes


STATEMENT_KEY = hub_keys(KeyUse.STATE)[0].to_body()


# --- unknown kinds ----------------------------------------------------------------------


def test_an_unknown_kind_is_kept_verbatim_counted_and_ignored(
    federation: FederationSimulator,
) -> None:
    entry = federation.append(FeedKind("risk-map"), "440100", {"colour": ["red"]})
    assert not FeedKind("risk-map").is_known
    replica = federation.replica()
    assert entry.token in replica.live_tokens()
    assert replica.live_digests() == federation.replica_from_snapshot().live_digests()
    newer = federation.append(FeedKind("risk-map"), "440100", {"colour": []})
    assert federation.replica().live_tokens()[-1] == newer.token
    assert len(federation.replica().live_tokens()) == 7


def test_what_must_be_understood_and_is_not_changes_nothing(
    federation: FederationSimulator,
) -> None:
    body = {"critical": True}
    refuses_next(federation, FeedKind("risk-map"), "440100", body, "FEED_UNSUPPORTED")


@pytest.mark.parametrize("critical", [False, "true", 1, None])
def test_only_true_is_critical(federation: FederationSimulator, critical: Any) -> None:
    federation.append(FeedKind("risk-map"), "440100", {"critical": critical})
    assert len(federation.replica().live_tokens()) == 7


# --- the superior -----------------------------------------------------------------------


def test_the_superior_gives_its_anchor(federation: FederationSimulator) -> None:
    assert federation.replica().bundle.superior() is None
    federation.append(FeedKind.SUPERIOR, NATION, superior())
    found = federation.replica().bundle.superior()
    assert found is not None
    anchor = found.anchor()
    assert (anchor.hub, len(anchor.feed_keys), len(anchor.token_keys)) == (NATION, 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body | {"hub": PROVINCE},
        lambda body: body | {"hub": HANGZHOU},
        lambda body: body | {"keys": []},
        lambda body: body | {"keys": [k for k in body["keys"] if k["use"] == "token"]},
        lambda body: body | {"keys": [*body["keys"], STATEMENT_KEY]},
        lambda body: body | {"note": ""},
        lambda body: {"hub": body["hub"]},
        lambda body: {"statement": body["hub"]},
    ],
)
def test_an_unknown_shape_of_a_superior_is_refused(
    federation: FederationSimulator, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    refuses_next(federation, FeedKind.SUPERIOR, NATION, change(superior()))


def test_a_hub_stands_below_one_other(federation: FederationSimulator) -> None:
    federation.append(FeedKind.SUPERIOR, NATION, superior())
    refuses_next(federation, FeedKind.SUPERIOR, PROVINCE, superior(hub=PROVINCE))


def test_a_tainted_feed_key_verifies_only_what_it_signed_before() -> None:
    federation = FederationSimulator()
    key = signing_member_key(federation.feed_key, KeyUse.FEED, not_before=START)
    entry = sign_entry(
        federation.feed_key,
        hub=federation.hub,
        sequence=1,
        previous=feed.ZERO_DIGEST,
        issued_at=START,
        kind=FeedKind("x"),
        subject="x",
        body={},
    )
    body = key.to_body()
    later = MemberKey(**_members(key) | {"tainted_from": START + MINUTE})
    FeedReplica(anchor_of(federation.hub, [later])).apply_entry(entry, START)
    at_once = MemberKey(**_members(key) | {"tainted_from": START})
    replica = FeedReplica(anchor_of(federation.hub, [at_once]))
    refused(replica, lambda: replica.apply_entry(entry, START), "FEED_SIGNATURE")
    assert "tainted_from" not in body


def _members(key: MemberKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__slots__}


# --- hubs below -------------------------------------------------------------------------


def province_hub(**changes: Any) -> dict[str, Any]:
    uses = (KeyUse.FEED, KeyUse.TOKEN, KeyUse.STATE, KeyUse.AUTHENTICATE)
    return {
        "urn": PROVINCE,
        "kind": MemberKind.HUB.value,
        "name_zh": "合成省",
        "name_en": "",
        "prefixes": ["33"],
        "endpoint": "127.0.0.1:7500",
        "keys": [key.to_body() for key in hub_keys(*uses)],
        "state": MemberState.ACTIVE.value,
        "max_attestation_seconds": 3600,
        "kinds": ["attestation", "policy"],
        "path_length": 1,
    } | changes


def test_a_hub_below_is_no_region_and_answers_for_its_prefixes(
    federation: FederationSimulator,
) -> None:
    federation.append(FeedKind.AUTHORITY, PROVINCE, province_hub())
    bundle = federation.replica().bundle
    (hub,) = bundle.hubs()
    assert bundle.hub_for("330200") is hub
    assert (hub.path_length, hub.urn) == (1, PROVINCE)
    assert hub.kinds == frozenset({"attestation", "policy"})
    assert bundle.authority_for("330100").urn == HANGZHOU
    assert PROVINCE not in {authority.urn for authority in bundle.authorities()}
    assert anchor_of(hub.urn, hub.keys).feed_keys


@pytest.mark.parametrize(
    "change",
    [
        {"urn": HANGZHOU},
        {"prefixes": ["44"]},
        {"prefixes": ["3301"]},  # the region's own
        {"prefixes": []},
        {"path_length": 5},
        {"path_length": -1},
        {"kinds": ["policy", "policy"]},
        {"endpoint": None},
        {"state": "pending"},
        {"keys": [key.to_body() for key in hub_keys(KeyUse.FEED, KeyUse.TOKEN, KeyUse.STATE)]},
    ],
)
def test_a_hub_outside_its_bounds_is_refused(
    federation: FederationSimulator, change: dict[str, Any]
) -> None:
    body = {k: v for k, v in province_hub(**change).items() if v is not None}
    refuses_next(federation, FeedKind.AUTHORITY, body["urn"], body)


def test_a_key_of_two_authorities_is_refused(federation: FederationSimulator) -> None:
    other = make_region("320100").authority.to_body()
    other["keys"] = federation.regions["330100"].authority.to_body()["keys"]
    refuses_next(federation, FeedKind.AUTHORITY, other["urn"], other)


# --- notices and rehearsals -------------------------------------------------------------


def test_a_notice_tells_whom_it_concerns(federation: FederationSimulator) -> None:
    body = notice_body("key-expiring", at=START, key_id="k")
    federation.append(FeedKind.NOTICE, f"{HANGZHOU}#key-expiring", body)
    (notice,) = federation.replica().bundle.notices()
    assert (notice.urn, notice.topic, notice.at) == (HANGZHOU, "key-expiring", START)
    refuses_next(federation, FeedKind.NOTICE, f"{HANGZHOU}#anchor-key", body)


def rehearsal(federation: FederationSimulator, **changes: Any) -> dict[str, Any]:
    private = generate_signing_key()
    key = signing_member_key(private, KeyUse.ATTEST, not_before=START + MINUTE)
    body = rehearsal_body(key, private, issuer=HANGZHOU, now=federation.now) | changes
    return {"statement": federation.statement(StatementKind.REHEARSAL, "330100", body)}


def test_a_rehearsal_brings_a_key_to_come_and_what_it_signed(
    federation: FederationSimulator,
) -> None:
    federation.append(FeedKind.REHEARSAL, "r1", rehearsal(federation))
    (found,) = federation.replica().bundle.rehearsals()
    assert (found.rehearsal_id, found.issuer) == ("r1", HANGZHOU)
    found.check()


def test_a_rehearsal_whose_sample_is_another_keys_fails_at_the_reader(
    federation: FederationSimulator,
) -> None:
    other = jws.sign(
        {"iss": HANGZHOU, "iat": 1}, generate_signing_key(), typ="hutong-rehearsal+jwt"
    )
    federation.append(FeedKind.REHEARSAL, "r1", rehearsal(federation, sample=other))
    (found,) = federation.replica().bundle.rehearsals()
    with pytest.raises(StatementError):
        found.check()


def test_a_rehearsal_of_another_shape_is_refused(federation: FederationSimulator) -> None:
    refuses_next(federation, FeedKind.REHEARSAL, "r1", rehearsal(federation, note=""))


# --- signatures with two spellings ------------------------------------------------------


def test_our_signatures_are_the_lower_spelling(federation: FederationSimulator) -> None:
    for entry in federation.entries:
        twin = jws.twin(entry.token)
        assert twin is not None
        assert jws.twin(twin) == entry.token
        mine, other = (
            base64url.decode(token.rpartition(".")[2].encode()) for token in (entry.token, twin)
        )
        assert mine[:32] == other[:32]
        assert mine[32:] < other[32:]


def test_who_passes_on_the_newest_entry_in_the_other_spelling_forks_nothing(
    federation: FederationSimulator,
) -> None:
    newest = federation.entries[-1]
    twin = jws.twin(newest.token)
    assert twin is not None
    feed.verify_entry(twin, federation.anchor)

    def deceived() -> FeedReplica:
        replica = federation.replica(-1)
        replica.apply_entry(twin, federation.now)
        assert replica.digest != newest.digest
        replica.apply_entry(newest.token, federation.now)
        return replica

    by_head, by_entry, by_snapshot, later = (deceived() for _ in range(4))
    by_head.apply_head(federation.head(), federation.now)
    by_snapshot.load_snapshot(*federation.snapshot(), federation.now)
    assert (
        by_head.live_digests() == by_snapshot.live_digests() == federation.replica().live_digests()
    )
    after = federation.publish_policy("330100", turn=2)
    by_entry.apply_entry(after.token, federation.now)
    later.load_snapshot(*federation.snapshot(), federation.now)
    assert by_entry.live_digests() == later.live_digests() == federation.replica().live_digests()


def test_another_entry_for_the_newest_number_is_a_fork_all_the_same(
    federation: FederationSimulator,
) -> None:
    newest = federation.entries[-1]
    replica = federation.replica()
    forged = federation.resign(newest, iat=int(newest.issued_at.timestamp()) + 1)
    with pytest.raises(FeedError) as caught:
        replica.apply_entry(forged, federation.now)
    assert caught.value.code == "FEED_FORK"
