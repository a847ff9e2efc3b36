"""What may become of a key, and what may not."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.attestation.keys import generate_signing_key
from gateway.attestation.sealing_keys import (
    generate_sealing_key,
    public_sealing_jwk,
)
from gateway.errors import TrustError
from gateway.trust.authority import parse_authority
from gateway.trust.keys import (
    KeyState,
    KeyUse,
    MemberKey,
    parse_member_key,
    sealing_member_key,
    signing_member_key,
)
from gateway.trust.lifecycle import (
    LEAD_TIME,
    KeyChange,
    KeyMove,
    apply_key_change,
    parse_key_change,
    usable_keys,
)
from tests.trust.simulator import START, make_region

AUTHORITY = make_region("330100").authority
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def key_of(use: KeyUse) -> MemberKey:
    return next(key for key in AUTHORITY.keys if key.use is use)


ATTEST = key_of(KeyUse.ATTEST)


def fresh(
    use: KeyUse = KeyUse.ATTEST, *, begins: timedelta = LEAD_TIME, **members: Any
) -> MemberKey:
    key = signing_member_key(generate_signing_key(), use, not_before=START + begins)
    return dataclasses.replace(key, **members)


def move(key: MemberKey, at: timedelta | None = None) -> KeyMove:
    return KeyMove(key.key_id, None if at is None else START + at, "synthetic")


def applied(change: KeyChange, authority: Any = AUTHORITY, **how: Any) -> Any:
    return apply_key_change(authority, change, how.pop("now", START), **how)


def refused(code: str, change: KeyChange, authority: Any = AUTHORITY, **how: Any) -> None:
    with pytest.raises(TrustError) as caught:
        applied(change, authority, **how)
    assert caught.value.code == code


def state(authority: Any, key: MemberKey, now: Any = START) -> KeyState:
    found: MemberKey = next(k for k in authority.keys if k.key_id == key.key_id)
    return found.state(now)


def test_a_key_lives_from_published_to_retired() -> None:
    new = fresh()
    assert new.state(START) is KeyState.PREPARED
    after = applied(KeyChange(add=(new,), retire=(move(ATTEST, LEAD_TIME),)))
    assert state(after, new) is KeyState.PUBLISHED
    assert state(after, new, START + LEAD_TIME) is KeyState.ACTIVE
    assert state(after, ATTEST) is KeyState.ACTIVE
    assert state(after, ATTEST, START + LEAD_TIME) is KeyState.RETIRED
    assert [k.key_id for k in usable_keys(after.keys, KeyUse.ATTEST, START + LEAD_TIME)] == [
        new.key_id
    ]
    # What the feed carries reads back with its history.
    assert parse_authority(after.to_body()) == after
    assert next(k for k in after.keys if k.key_id == new.key_id).published_at == START


def test_taint_and_revocation_say_what_is_believed() -> None:
    tainted = applied(KeyChange(taint=(move(ATTEST, -HOUR),)))
    key = next(k for k in tainted.keys if k.key_id == ATTEST.key_id)
    assert key.state(START) is KeyState.TAINTED
    assert key.is_believed(START - 2 * HOUR)
    assert not key.is_believed(START - HOUR)
    back = applied(KeyChange(untaint=(move(ATTEST),)), tainted)
    assert back == AUTHORITY
    revoked = applied(KeyChange(revoke=(move(ATTEST),)), tainted)
    key = next(k for k in revoked.keys if k.key_id == ATTEST.key_id)
    assert key.state(START - DAY) is KeyState.REVOKED
    assert (key.revoked_at, key.reason) == (START, "synthetic")
    assert not key.is_believed(START - DAY)


def test_a_taint_to_come_does_not_work_yet() -> None:
    after = applied(KeyChange(taint=(move(ATTEST, HOUR),)))
    assert state(after, ATTEST) is KeyState.ACTIVE
    assert state(after, ATTEST, START + HOUR) is KeyState.TAINTED


def test_a_taint_moves_only_to_an_earlier_instant_unless_it_is_taken_back_too() -> None:
    after = applied(KeyChange(taint=(move(ATTEST, -HOUR),)))
    applied(KeyChange(taint=(move(ATTEST, -2 * HOUR),)), after)
    refused("WRONG_STATE", KeyChange(taint=(move(ATTEST, HOUR),)), after)
    both = KeyChange(taint=(move(ATTEST, HOUR),), untaint=(move(ATTEST),))
    assert state(applied(both, after), ATTEST) is KeyState.ACTIVE


def test_the_lead_time_is_kept_to_the_second() -> None:
    refused(
        "LEAD_TIME_TOO_SHORT",
        KeyChange(add=(fresh(begins=LEAD_TIME - timedelta(seconds=1)),)),
    )
    applied(KeyChange(add=(fresh(),)))
    applied(KeyChange(add=(fresh(begins=HOUR),)), lead=HOUR)


@pytest.mark.parametrize("how", ["taint", "revoke"])
def test_in_an_emergency_the_next_key_begins_at_once(how: str) -> None:
    at = -HOUR if how == "taint" else None
    ended: dict[str, Any] = {how: (move(ATTEST, at),)}
    gone = KeyChange(**ended)
    at_once = KeyChange(add=(fresh(begins=timedelta()),))
    applied(at_once, applied(gone))
    # In one change too, and not for another use.
    applied(dataclasses.replace(gone, add=at_once.add))
    refused(
        "LEAD_TIME_TOO_SHORT",
        dataclasses.replace(gone, add=(fresh(KeyUse.STATE, begins=timedelta()),)),
    )


def test_half_a_rotation_is_refused() -> None:
    refused("WRONG_STATE", KeyChange(retire=(move(ATTEST, DAY),)))
    # The next one begins after the last one ends.
    gap = KeyChange(add=(fresh(begins=2 * DAY),), retire=(move(ATTEST, DAY),))
    refused("WRONG_STATE", gap)
    # The next one is tainted by then.
    tainted = applied(KeyChange(add=(fresh(),)))
    new = next(key for key in tainted.keys if key.use is KeyUse.ATTEST and key != ATTEST)
    tainted = applied(KeyChange(taint=(move(new, timedelta()),)), tainted)
    refused("WRONG_STATE", KeyChange(retire=(move(ATTEST, DAY),)), tainted)


def test_what_is_ended_does_not_end_again() -> None:
    rotated = applied(KeyChange(add=(fresh(),), retire=(move(ATTEST, DAY),)))
    later = {"now": START + DAY}
    refused("WRONG_STATE", KeyChange(retire=(move(ATTEST, 2 * DAY),)), rotated, **later)
    revoked = applied(KeyChange(revoke=(move(ATTEST),)), rotated, **later)
    for change in (
        KeyChange(retire=(move(ATTEST, 2 * DAY),)),
        KeyChange(taint=(move(ATTEST, HOUR),)),
        KeyChange(revoke=(move(ATTEST),)),
        KeyChange(untaint=(move(ATTEST),)),
    ):
        refused("WRONG_STATE", change, revoked, **later)


def test_a_retired_key_may_still_be_tainted() -> None:
    rotated = applied(KeyChange(add=(fresh(),), retire=(move(ATTEST, DAY),)))
    after = applied(KeyChange(taint=(move(ATTEST, HOUR),)), rotated, now=START + 2 * DAY)
    assert state(after, ATTEST, START + 2 * DAY) is KeyState.TAINTED


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("WRONG_STATE", KeyChange(add=(ATTEST,))),
        ("WRONG_STATE", KeyChange(untaint=(move(ATTEST),))),
        ("WRONG_STATE", KeyChange(add=(fresh(),), retire=(move(ATTEST, -HOUR),))),
        ("WRONG_STATE", KeyChange(add=(fresh(),), retire=(move(ATTEST, timedelta()),))),
        ("STATEMENT_INVALID", KeyChange(add=(fresh(KeyUse.FEED),))),
        ("STATEMENT_INVALID", KeyChange(taint=(move(ATTEST, HOUR),), revoke=(move(ATTEST),))),
        ("NOT_FOUND", KeyChange(revoke=(move(fresh()),))),
        ("NOT_FOUND", KeyChange(retire=(move(fresh(), DAY),))),
    ],
)
def test_a_transition_out_of_place_is_refused_by_name(code: str, change: KeyChange) -> None:
    refused(code, change)


def test_a_use_may_change_to_a_new_sealing_key_too() -> None:
    key = sealing_member_key(
        public_sealing_jwk(generate_sealing_key()), not_before=START + LEAD_TIME
    )
    after = applied(KeyChange(add=(key,), retire=(move(key_of(KeyUse.SEAL), DAY),)))
    assert after.sealing_key(START).key_id == key_of(KeyUse.SEAL).key_id
    assert after.sealing_key(START + LEAD_TIME).key_id == key.key_id


def test_a_full_history_forgets_the_oldest_under_which_nothing_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.trust.lifecycle.MAX_KEYS", 5)
    new = fresh()
    once = applied(KeyChange(add=(new,), retire=(move(ATTEST, DAY),)))
    next_one = fresh(begins=40 * DAY)
    after = applied(KeyChange(add=(next_one,)), once, now=START + 35 * DAY)
    assert {key.key_id for key in after.keys} == (
        {key.key_id for key in AUTHORITY.keys} - {ATTEST.key_id}
    ) | {new.key_id, next_one.key_id}


# --- the body ---------------------------------------------------------------------------


def test_a_change_reads_back() -> None:
    change = KeyChange(
        add=(fresh(),),
        retire=(move(ATTEST, DAY),),
        taint=(move(key_of(KeyUse.STATE), -HOUR),),
        revoke=(move(key_of(KeyUse.SEAL)),),
        untaint=(move(key_of(KeyUse.AUTHENTICATE)),),
    )
    assert parse_key_change(change.to_body()) == change


@pytest.mark.parametrize(
    "body",
    [
        {},
        None,
        [],
        {"add": []},
        {"drop": [{"key_id": ATTEST.key_id, "reason": ""}]},
        {"revoke": [{"key_id": ATTEST.key_id}]},
        {"revoke": [{"key_id": ATTEST.key_id, "reason": "x" * 257}]},
        {"revoke": [{"key_id": ATTEST.key_id, "reason": "a\nb"}]},
        {"revoke": [{"key_id": "short", "reason": ""}]},
        {"retire": [{"key_id": ATTEST.key_id, "reason": ""}]},
        {"retire": [{"key_id": ATTEST.key_id, "reason": "", "at": -1}]},
        {"taint": [{"key_id": ATTEST.key_id, "reason": "", "at": 1}]},
        {"add": [dataclasses.replace(ATTEST, published_at=START).to_body()]},
        {"add": [ATTEST.to_body() | {"revoked_at": 1}]},
        {"revoke": [{"key_id": ATTEST.key_id, "reason": ""}] * 17},
    ],
)
def test_a_body_out_of_shape_is_refused(body: Any) -> None:
    with pytest.raises(TrustError) as caught:
        parse_key_change(body)
    assert caught.value.code == "STATEMENT_INVALID"


def test_a_key_reads_back_with_its_history() -> None:
    key = dataclasses.replace(
        ATTEST,
        not_after=START + DAY,
        published_at=START - DAY,
        tainted_from=START,
        revoked_at=START + HOUR,
        reason="synthetic",
    )
    assert parse_member_key(key.to_body()) == key
    assert key.has_history
    assert not ATTEST.has_history


# --- any order --------------------------------------------------------------------------


class Lifecycle(RuleBasedStateMachine):
    """Whatever is asked for: nothing comes back from the dead, no id is used twice."""

    POOL = tuple(fresh(begins=timedelta(hours=n)) for n in range(8))

    @initialize()
    def begin(self) -> None:
        self.authority: Any = AUTHORITY
        self.now = START
        self.revoked: set[str] = set()
        self.seen = {key.key_id for key in AUTHORITY.keys}

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(
        what=st.sampled_from(["add", "retire", "taint", "revoke", "untaint"]),
        which=st.integers(0, 7),
        hours=st.integers(-3, 30),
    )
    def change(self, what: str, which: int, hours: int) -> None:
        held = [key for key in self.authority.keys if key.use is KeyUse.ATTEST]
        key = self.POOL[which] if what == "add" else held[which % len(held)]
        at = self.now + timedelta(hours=hours) if what in ("retire", "taint") else None
        item: Any = key if what == "add" else KeyMove(key.key_id, at, "synthetic")
        before = self.authority
        try:
            self.authority = apply_key_change(before, KeyChange(**{what: (item,)}), self.now)
        except TrustError as error:
            assert error.code in {"LEAD_TIME_TOO_SHORT", "WRONG_STATE"}  # noqa: PT017
            assert self.authority is before
            return
        if what == "revoke":
            self.revoked.add(key.key_id)
        self.seen |= {key.key_id for key in self.authority.keys}

    @invariant()
    def history_stays(self) -> None:
        keys = {key.key_id: key for key in self.authority.keys}
        assert keys.keys() == self.seen
        for key_id in self.revoked:
            assert keys[key_id].state(self.now) is KeyState.REVOKED
        assert parse_authority(self.authority.to_body()) == self.authority


Lifecycle.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
test_lifecycle = Lifecycle.TestCase
