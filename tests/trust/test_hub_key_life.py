"""From one set of a hub's keys to the next: no half of a rotation, nothing forgotten too soon."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.trust import parse_anchor
from gateway.trust.errors import KeyChangeError
from gateway.trust.hub_key_life import keys_of, replaced, rotated
from gateway.trust.keys import MAX_KEYS, KeyState, KeyUse, MemberKey, signing_member_key
from tests.trust.hub_keys_world import EPOCH, LEAD, ChangingHub
from tests.trust.simulator import START

DAY = timedelta(days=1)


@cache
def private(number: int) -> MemberKey:
    return signing_member_key(generate_signing_key(), KeyUse.TOKEN, not_before=EPOCH)


def key(number: int, use: KeyUse = KeyUse.TOKEN, **changes: object) -> MemberKey:
    return replace(private(number), use=use, **changes)  # type: ignore[arg-type]  # of a key


def held() -> tuple[MemberKey, ...]:
    return (key(0, KeyUse.FEED), key(1))


@pytest.mark.parametrize("use", [KeyUse.FEED, KeyUse.TOKEN])
def test_the_next_key_begins_where_the_last_one_ends(use: KeyUse) -> None:
    coming = key(2, use, not_before=START + LEAD)
    after = rotated(held(), coming, now=START, lead=LEAD)
    states = {item.key_id: item.state(START + LEAD) for item in after if item.use is use}
    assert sorted(states.values()) == [KeyState.ACTIVE, KeyState.RETIRED]
    assert states[coming.key_id] is KeyState.ACTIVE
    assert [item.published_at for item in after if item.key_id == coming.key_id] == [START]
    # The other use is untouched.
    assert [item for item in after if item.use is not use] == [
        item for item in held() if item.use is not use
    ]


@pytest.mark.parametrize(
    ("keys", "coming", "code"),
    [
        (held(), key(2, not_before=START + LEAD / 2), "LEAD_TIME_TOO_SHORT"),
        (held(), key(1, not_before=START + LEAD), "WRONG_STATE"),
        (
            (*held(), key(3, not_before=START + DAY, published_at=START)),
            key(2, not_before=START + 2 * DAY),
            "WRONG_STATE",
        ),
    ],
)
def test_a_rotation_that_may_not_be_is_refused(
    keys: tuple[MemberKey, ...], coming: MemberKey, code: str
) -> None:
    with pytest.raises(KeyChangeError) as caught:
        rotated(keys, coming, now=START, lead=LEAD)
    assert caught.value.code == code


def test_a_leak_revokes_every_token_key_that_is_good_or_will_be() -> None:
    coming = key(3, not_before=START + DAY, published_at=START)
    ended = key(4, not_after=START - DAY)
    after = replaced((*held(), coming, ended), key(2), now=START, reason="copied")
    states = {item.key_id: item.state(START) for item in after if item.use is KeyUse.TOKEN}
    assert states == {
        key(1).key_id: KeyState.REVOKED,
        coming.key_id: KeyState.REVOKED,
        ended.key_id: KeyState.RETIRED,
        key(2).key_id: KeyState.ACTIVE,
    }


def test_a_feed_key_is_not_taken_back() -> None:
    with pytest.raises(KeyChangeError) as caught:
        replaced(held(), key(2, KeyUse.FEED), now=START, reason="copied")
    assert caught.value.code == "WRONG_STATE"


def test_of_a_full_set_the_oldest_token_key_goes_and_no_feed_key() -> None:
    past = [
        key(10 + n, not_before=EPOCH + n * DAY, not_after=EPOCH + (n + 1) * DAY)
        for n in range(MAX_KEYS - 2)
    ]
    after = rotated((*held(), *past), key(2, not_before=START + LEAD), now=START, lead=LEAD)
    assert len(after) == MAX_KEYS
    assert {item.key_id for item in (*held(), *past)} - {item.key_id for item in after} == {
        past[0].key_id
    }
    only_feed = [replace(item, use=KeyUse.FEED) for item in past]
    with pytest.raises(KeyChangeError):
        rotated((*held(), *only_feed), key(2, not_before=START + LEAD), now=START, lead=LEAD)


def test_the_keys_of_an_anchor_are_those_that_it_says() -> None:
    hub = ChangingHub()
    hub.tick(1)
    assert {(item.key_id, item.use) for item in keys_of(hub.anchor, None)} == {
        (item.key_id, item.use) for item in hub.keys
    }
    hub.rotate()
    late = parse_anchor(hub.anchor_now().to_bytes())
    assert {(item.key_id, item.not_before, item.not_after) for item in keys_of(late, None)} == {
        (item.key_id, item.not_before, item.not_after) for item in hub.keys
    }
