from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.attestation.sealing import Binding, open_question, seal_question
from gateway.attestation.sealing_keys import Profile, generate_sealing_key, public_sealing_jwk
from gateway.trust.errors import TrustLookupError
from gateway.trust.keys import KeyUse, sealing_member_key, signing_member_key
from tests.trust.simulator import START, FederationSimulator


def federation() -> FederationSimulator:
    made = FederationSimulator()
    made.add_region("330000", prefixes=("33",))
    made.add_region("330100")
    made.add_region("440100", profile=Profile.JWE, max_attestation_seconds=600)
    for code in made.regions:
        made.publish_scheme(code)
        made.publish_policy(code)
    return made


FEDERATION = federation()
BUNDLE = FEDERATION.replica().bundle


def code_of(error: pytest.ExceptionInfo[TrustLookupError]) -> str:
    return error.value.code


@pytest.mark.parametrize(
    ("region", "answers"),
    [("330106", "330100"), ("330100", "330100"), ("330200", "330000"), ("330000", "330000")],
)
def test_the_longest_prefix_answers(region: str, answers: str) -> None:
    assert BUNDLE.authority_for(region).region == answers


@pytest.mark.parametrize("region", ["110000", "440000", "44", "", "x" * 6])
def test_a_division_nobody_answers_for_is_unknown(region: str) -> None:
    with pytest.raises(TrustLookupError) as caught:
        BUNDLE.authority_for(region)
    assert code_of(caught) == "UNKNOWN_REGION"


def test_an_attestation_key_is_bound_to_its_authority() -> None:
    region = FEDERATION.regions["440100"]
    key_id = region.signing[KeyUse.ATTEST].key_id
    key = BUNDLE.attestation_key(region.urn, key_id)
    assert key.prefixes == ("4401",)
    assert key.max_lifetime_seconds == 600
    assert BUNDLE.attestation_key(region.urn, key_id) is key


def test_a_key_of_another_issuer_or_use_is_unknown() -> None:
    one, two = FEDERATION.regions["330100"], FEDERATION.regions["440100"]
    attempts = [
        (two.urn, one.signing[KeyUse.ATTEST].key_id),
        (one.urn, one.signing[KeyUse.STATE].key_id),
        (one.urn, one.signing[KeyUse.AUTHENTICATE].key_id),
        (one.urn, one.sealing.key_id),
        (one.urn, generate_signing_key().key_id),
        ("urn:hutong:region:110000", one.signing[KeyUse.ATTEST].key_id),
    ]
    for issuer, key_id in attempts:
        with pytest.raises(TrustLookupError) as caught:
            BUNDLE.attestation_key(issuer, key_id)
        assert code_of(caught) == "KEY_UNKNOWN"


def test_a_statement_key_is_found_as_such_alone() -> None:
    region = FEDERATION.regions["330100"]
    state = region.signing[KeyUse.STATE].key_id
    assert BUNDLE.statement_key(region.urn, state).key_id == state
    with pytest.raises(TrustLookupError):
        BUNDLE.statement_key(region.urn, region.signing[KeyUse.ATTEST].key_id)


@pytest.mark.parametrize("code", ["330100", "440100"])
def test_what_is_sealed_to_the_bundles_key_opens_with_the_regions(code: str) -> None:
    region = FEDERATION.regions[code]
    public = BUNDLE.sealing_key(code, now=START)
    binding = Binding(region.urn, "urn:hutong:checkpoint:440100:gate", "TRAVEL")
    envelope = seal_question(public, b"synthetic question", binding)
    assert open_question(region.sealing, envelope, binding) == b"synthetic question"


def test_the_newest_sealing_key_that_is_valid_now_is_chosen() -> None:
    made = FederationSimulator()
    region = made.add_region("330100")
    coming = generate_sealing_key()
    later = START + timedelta(days=1)
    key = sealing_member_key(public_sealing_jwk(coming), not_before=later)
    made.publish_authority(
        dataclasses.replace(region.authority, keys=(key, *region.authority.keys))
    )
    bundle = made.replica().bundle
    assert bundle.sealing_key("330100", now=START).key_id == region.sealing.key_id
    assert bundle.sealing_key("330100", now=later).key_id == coming.key_id
    with pytest.raises(TrustLookupError) as caught:
        bundle.sealing_key("330100", now=START - timedelta(seconds=1))
    assert code_of(caught) == "SEALING_KEY_UNKNOWN"


def test_both_keys_of_a_rotation_verify() -> None:
    made = FederationSimulator()
    region = made.add_region("330100")
    coming = generate_signing_key("Ed25519")
    key = signing_member_key(coming, KeyUse.ATTEST, not_before=START)
    made.publish_authority(
        dataclasses.replace(region.authority, keys=(*region.authority.keys, key))
    )
    bundle = made.replica().bundle
    for key_id in (region.signing[KeyUse.ATTEST].key_id, coming.key_id):
        assert bundle.attestation_key(region.urn, key_id).key_id == key_id


def test_a_suspended_authority_answers_nothing_and_nobody_steps_in() -> None:
    made = federation()
    made.suspend("330100")
    bundle = made.replica().bundle
    region = made.regions["330100"]
    for ask in (
        lambda: bundle.authority_for("330106"),
        lambda: bundle.authority(region.urn),
        lambda: bundle.attestation_key(region.urn, region.signing[KeyUse.ATTEST].key_id),
        lambda: bundle.statement_key(region.urn, region.signing[KeyUse.STATE].key_id),
        lambda: bundle.sealing_key("330100", now=START),
        lambda: bundle.policy("330100"),
    ):
        with pytest.raises(TrustLookupError) as caught:
            ask()
        assert code_of(caught) == "AUTHORITY_SUSPENDED"
    assert region.urn in {authority.urn for authority in bundle.authorities()}
    assert "synthetic-330100" in {scheme["family"] for scheme in bundle.schemes()}


def test_a_suspended_authority_that_is_approved_again_answers_again() -> None:
    made = federation()
    made.suspend("330100")
    made.resume("330100")
    assert made.replica().bundle.authority_for("330106").region == "330100"


def test_a_prefix_of_a_suspended_authority_may_pass_to_another() -> None:
    made = FederationSimulator()
    made.add_region("330000", prefixes=("3301",))
    made.suspend("330000")
    made.add_region("330100")
    for replica in (made.replica(), made.replica_from_snapshot()):
        assert replica.bundle.authority_for("330106").region == "330100"


def test_the_policy_of_the_nearest_division_of_the_same_authority_holds() -> None:
    made = federation()
    made.publish_policy("330100", region="330106", id="330106@2020-04")
    bundle = made.replica().bundle
    assert bundle.policy("330106")["id"] == "330106@2020-04"
    assert bundle.policy("330108")["id"] == "330100@2020-04"
    assert bundle.policy("330200")["id"] == "330000@2020-04"


def test_a_province_makes_no_policy_for_a_city_with_an_authority_of_its_own() -> None:
    made = FederationSimulator()
    made.add_region("330000", prefixes=("33",))
    made.publish_policy("330000", region="330100", id="330100@2020-03")
    assert made.replica().bundle.policy("330106")["id"] == "330100@2020-03"
    made.add_region("330100")
    with pytest.raises(TrustLookupError) as caught:
        made.replica().bundle.policy("330106")
    assert code_of(caught) == "POLICY_UNKNOWN"


def test_a_published_document_tells_who_signed_it_and_when() -> None:
    made = FederationSimulator()
    made.add_region("330100")
    signed = made.tick(60)
    entry = made.publish_policy("330100", note="未见异常")
    published = made.replica().bundle.published_policy("330100")
    assert published.authority == "urn:hutong:region:330100"
    assert published.signed_at == signed
    assert published.entry.digest == entry.digest
    assert published.document() == {
        "id": "330100@2020-04",
        "region": "330100",
        "note": "未见异常",
    }


def test_a_caller_that_changes_a_document_changes_nothing() -> None:
    BUNDLE.policy("330100").clear()
    BUNDLE.schemes()[0].clear()
    assert BUNDLE.policy("330100")["region"] == "330100"
    assert all(BUNDLE.schemes())


def test_a_newer_scheme_takes_the_place_of_the_one_before() -> None:
    made = federation()
    made.publish_scheme("330100", name_zh="新")
    schemes = {item["family"]: item for item in made.replica().bundle.schemes()}
    assert len(schemes) == 3
    assert schemes["synthetic-330100"]["name_zh"] == "新"


def test_a_region_may_have_several_schemes() -> None:
    made = federation()
    made.publish_scheme("330100", family="second")
    families = [item["family"] for item in made.replica().bundle.schemes()]
    assert families == ["synthetic-330000", "second", "synthetic-330100", "synthetic-440100"]


def test_a_bundle_is_of_one_moment() -> None:
    made = federation()
    replica = made.replica()
    before = replica.bundle
    entry = made.suspend("330100")
    replica.apply_entry(entry.token, made.now)
    assert before.authority_for("330100").is_active
    assert replica.bundle is not before
    assert replica.bundle.sequence == before.sequence + 1
    replica.apply_head(made.head(now=made.tick()), made.now)
    assert replica.bundle is replica.bundle
