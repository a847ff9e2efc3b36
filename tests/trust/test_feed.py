from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.trust import feed, jws
from gateway.trust.anchor import make_anchor
from gateway.trust.errors import FeedError
from gateway.trust.feed import (
    ZERO_DIGEST,
    FeedKind,
    entries_digest,
    entry_digest,
    verify_entry,
    verify_head,
    verify_manifest,
)
from gateway.trust.feed_log import FeedLog, statement_change
from gateway.trust.keys import KeyUse
from gateway.trust.statements import Statement, StatementKind
from tests.trust.simulator import HUB, START, FederationSimulator

if TYPE_CHECKING:
    from collections.abc import Callable

FEDERATION = FederationSimulator()
FEDERATION.add_region("330100")
FEDERATION.publish_policy("330100")
ENTRY = FEDERATION.entries[-1]
SECONDS = int(START.timestamp())
MARK = {"iss": HUB, "seq": 2, "digest": ENTRY.digest, "iat": SECONDS}
MANIFEST = MARK | {
    "count": 2,
    "entries": entries_digest([e.digest for e in FEDERATION.live()]),
    "floor": 0,
    "tombstones": entries_digest([]),
}


def sign(claims: dict[str, Any], typ: str) -> str:
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jws.sign(claims, FEDERATION.feed_key, typ=typ)


def test_the_three_tokens_read_back() -> None:
    assert verify_entry(ENTRY.token, FEDERATION.anchor) == ENTRY
    head = verify_head(FEDERATION.head(), FEDERATION.anchor)
    assert (head.sequence, head.digest, head.issued_at) == (2, ENTRY.digest, START)
    manifest = verify_manifest(FEDERATION.manifest(), FEDERATION.anchor)
    assert (manifest.sequence, manifest.digest, manifest.count) == (2, ENTRY.digest, 2)
    assert manifest.entries == MANIFEST["entries"]


def test_the_claims_on_the_wire_are_those_of_the_specification() -> None:
    claims = jws.take_apart(ENTRY.token, typ=feed.ENTRY_TYPE, max_bytes=10_000).claims()
    assert set(claims) == {"iss", "seq", "prev", "iat", "kind", "subject", "body"}
    assert claims["prev"] == FEDERATION.entries[0].digest
    assert FEDERATION.entries[0].previous == "A" * 43 == ZERO_DIGEST
    head = jws.take_apart(FEDERATION.head(), typ=feed.HEAD_TYPE, max_bytes=10_000).claims()
    assert head == MARK
    manifest = jws.take_apart(
        FEDERATION.manifest(), typ=feed.MANIFEST_TYPE, max_bytes=10_000
    ).claims()
    assert manifest == MANIFEST


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"seq": ...},
        {"seq": 0},
        {"seq": -1},
        {"seq": "2"},
        {"seq": 2.0},
        {"seq": True},
        {"seq": 2**53},
        {"prev": ...},
        {"prev": "A" * 42},
        {"prev": None},
        {"iat": ...},
        {"iat": -1},
        {"iat": 10**15},
        {"kind": "Risk-map"},
        {"kind": "a" * 33},
        {"kind": ""},
        {"kind": ...},
        {"subject": ""},
        {"subject": "x" * 257},
        {"subject": ...},
        {"body": ...},
        {"body": []},
        {"exp": SECONDS},
    ],
)
def test_an_entry_with_one_claim_out_of_place_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(FeedError) as caught:
        verify_entry(FEDERATION.resign(ENTRY, **changes), FEDERATION.anchor)
    assert caught.value.code == "FEED_MALFORMED"


@pytest.mark.parametrize("name", sorted(MANIFEST))
@pytest.mark.parametrize("value", [..., None, -1, "x", True, [], 2**60])
def test_a_mark_with_one_claim_out_of_place_is_refused(name: str, value: Any) -> None:
    for claims, typ, verify in (
        (MARK, feed.HEAD_TYPE, verify_head),
        (MANIFEST, feed.MANIFEST_TYPE, verify_manifest),
    ):
        # A manifest from before tombstones names neither.
        if name in claims and not (value is ... and name in ("floor", "tombstones")):
            with pytest.raises(FeedError):
                verify(sign(claims | {name: value}, typ), FEDERATION.anchor)


def test_a_mark_has_no_further_claims() -> None:
    with pytest.raises(FeedError):
        verify_head(sign(MARK | {"count": 2}, feed.HEAD_TYPE), FEDERATION.anchor)
    with pytest.raises(FeedError):
        verify_manifest(sign(MANIFEST | {"exp": 1}, feed.MANIFEST_TYPE), FEDERATION.anchor)


def test_the_three_tokens_do_not_stand_in_for_each_other() -> None:
    tokens = {
        verify_entry: ENTRY.token,
        verify_head: FEDERATION.head(),
        verify_manifest: FEDERATION.manifest(),
    }
    verify: Callable[..., Any]
    for verify, own in tokens.items():
        for token in ({*tokens.values()} - {own}) | {"", "a.b.c"}:
            with pytest.raises(FeedError) as caught:
                verify(token, FEDERATION.anchor)
            assert caught.value.code == "FEED_MALFORMED"


def test_a_foreign_key_is_a_foreign_signature() -> None:
    for token in (
        FEDERATION.resign(ENTRY, key=generate_signing_key()),
        FEDERATION.resign(ENTRY, key=FEDERATION.token_key),
        FEDERATION.resign(ENTRY, key=FEDERATION.regions["330100"].signing[KeyUse.STATE]),
        FEDERATION.resign(ENTRY, iss="urn:hutong:hub:330000"),
    ):
        with pytest.raises(FeedError) as caught:
            verify_entry(token, FEDERATION.anchor)
        assert caught.value.code == "FEED_SIGNATURE"


def test_a_signature_of_another_entry_is_a_foreign_signature() -> None:
    other = FEDERATION.entries[0].token
    token = ENTRY.token.rpartition(".")[0] + "." + other.rpartition(".")[2]
    with pytest.raises(FeedError) as caught:
        verify_entry(token, FEDERATION.anchor)
    assert caught.value.code == "FEED_SIGNATURE"


def test_any_feed_key_of_the_anchor_may_sign() -> None:
    coming = generate_signing_key("Ed25519")
    anchor = make_anchor(HUB, feed_keys=[FEDERATION.feed_key, coming])
    assert verify_entry(FEDERATION.resign(ENTRY, key=coming), anchor).sequence == ENTRY.sequence


# --- the log --------------------------------------------------------------------------


def test_a_log_chains_from_one_and_leaves_the_old_log_as_it_was() -> None:
    log = FeedLog(HUB)
    first, after = log.append(FEDERATION.feed_key, FeedKind.POLICY, "a", {}, now=START)
    second, _ = after.append(FEDERATION.feed_key, FeedKind.POLICY, "a", {}, now=START)
    assert (first.sequence, first.previous) == (1, ZERO_DIGEST)
    assert (second.sequence, second.previous) == (2, entry_digest(first.token))
    assert log == FeedLog(HUB)


def test_a_log_reads_back_from_its_entries_and_notices_a_missing_or_foreign_one() -> None:
    first, second = FEDERATION.entries
    log = FeedLog(HUB).after(first)
    assert log.after(second) == FEDERATION.log
    with pytest.raises(FeedError) as caught:
        FeedLog(HUB).after(second)
    assert caught.value.code == "FEED_GAP"
    foreign = verify_entry(FEDERATION.resign(second, prev="B" * 43), FEDERATION.anchor)
    with pytest.raises(FeedError) as caught:
        log.after(foreign)
    assert caught.value.code == "FEED_FORK"


def test_a_clock_set_back_does_not_date_entries_or_heads_back() -> None:
    earlier = START - timedelta(hours=1)
    entry, after = FEDERATION.log.append(FEDERATION.feed_key, FeedKind.POLICY, "a", {}, now=earlier)
    assert entry.issued_at == START
    head = verify_head(after.head(FEDERATION.feed_key, now=earlier), FEDERATION.anchor)
    assert head.issued_at == START


def test_an_entry_over_its_size_is_not_signed() -> None:
    with pytest.raises(FeedError):
        FEDERATION.log.append(
            FEDERATION.feed_key, FeedKind.POLICY, "a", {"x": "y" * 400_000}, now=START
        )


@pytest.mark.parametrize(
    "kind", [StatementKind.ENROLMENT, StatementKind.KEYS, StatementKind.REHEARSAL]
)
def test_only_schemes_and_policies_are_published_under_their_own_subject(
    kind: StatementKind,
) -> None:
    with pytest.raises(ValueError, match="only schemes and policies"):
        statement_change(Statement(kind, "urn", START, None, {}, "", ""))


def test_the_list_digest_depends_on_every_digest_and_their_order() -> None:
    one, two = (entry.digest for entry in FEDERATION.entries)
    assert len({entries_digest(d) for d in ([one, two], [two, one], [one], [two], [])}) == 5
