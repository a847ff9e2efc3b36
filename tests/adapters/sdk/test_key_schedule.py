"""Keys change while the adapter runs, and nothing in flight fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.sdk.issued import StatusSettings
from adapters.sdk.key_schedule import KeySchedule
from adapters.sdk.keys import generate_keys, key_file, key_files, load_keys, save_keys
from gateway.attestation.keys import generate_signing_key, signing_key_to_jwk
from gateway.attestation.sealing_keys import Profile, generate_sealing_key, sealing_key_to_jwk
from gateway.attestation.status_tokens import signer_of
from gateway.wire.private_files import write_private_jwk
from tests.adapters.sdk.adapter_world import PERSON, by_document, record, world

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2020, 3, 1, 12, tzinfo=UTC)
LATER = int(START.timestamp()) + 600


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def schedule(folder: Path) -> tuple[KeySchedule, Clock]:
    save_keys(folder, generate_keys())
    clock = Clock()
    return KeySchedule(folder, load_keys(folder, now=START), clock=clock), clock


@pytest.mark.parametrize("slot", ["attest", "state", "authenticate"])
def test_the_newest_key_whose_time_has_come_signs(tmp_path: Path, slot: str) -> None:
    follows, clock = schedule(tmp_path)
    old, new = getattr(follows.keys, slot), generate_signing_key()
    write_private_jwk(key_file(tmp_path, slot, LATER), signing_key_to_jwk(new))
    assert list(key_files(tmp_path, slot)) == [0, LATER]
    clock.now = START + timedelta(seconds=599)
    assert getattr(follows.look(), slot).key_id == old.key_id
    clock.now = START + timedelta(seconds=600)
    assert getattr(follows.look(), slot).key_id == new.key_id
    # A restart comes to the same.
    assert getattr(load_keys(tmp_path, now=clock.now), slot).key_id == new.key_id
    # And the file of the first one may be moved away.
    key_file(tmp_path, slot, 0).unlink()
    assert getattr(load_keys(tmp_path, now=clock.now), slot).key_id == new.key_id


def test_what_is_not_published_yet_is_never_used(tmp_path: Path) -> None:
    follows, clock = schedule(tmp_path)
    old = follows.keys.attest
    pending = key_file(tmp_path, "attest", LATER).with_suffix(".json.next")
    write_private_jwk(pending, signing_key_to_jwk(generate_signing_key()))
    clock.now = START + timedelta(hours=1)
    assert follows.look().attest.key_id == old.key_id


def test_every_sealing_key_that_is_there_opens(tmp_path: Path) -> None:
    follows, _ = schedule(tmp_path)
    (old,) = follows.keys.seal
    made = [generate_sealing_key(profile) for profile in (Profile.HPKE, Profile.JWE)]
    for slot, key in zip(("seal", "seal-jwe"), made, strict=True):
        write_private_jwk(key_file(tmp_path, slot, LATER), sealing_key_to_jwk(key))
    assert list(key_files(tmp_path, "seal")) == [0, LATER]
    assert list(key_files(tmp_path, "seal-jwe")) == [LATER]
    held = {key.key_id for key in follows.look().seal}
    assert held == {old.key_id, *(key.key_id for key in made)}
    key_file(tmp_path, "seal", 0).unlink()
    assert old.key_id not in {key.key_id for key in follows.look().seal}


@pytest.mark.parametrize("slot", ["attest", "seal"])
def test_a_file_that_cannot_be_read_stops_nothing(tmp_path: Path, slot: str) -> None:
    follows, clock = schedule(tmp_path)
    before = follows.keys
    clock.now = START + timedelta(hours=1)
    path = key_file(tmp_path, slot, LATER)
    path.write_text("{")
    path.chmod(0o600)
    after = follows.look()
    assert after.attest.key_id == before.attest.key_id
    assert [key.key_id for key in after.seal] == [key.key_id for key in before.seal]
    path.unlink()
    if slot == "attest":
        new = generate_signing_key()
        write_private_jwk(path, signing_key_to_jwk(new))
        assert follows.look().attest.key_id == new.key_id


@pytest.mark.asyncio
async def test_a_running_adapter_signs_and_opens_with_the_next_keys(tmp_path: Path) -> None:
    async with world(status=StatusSettings()) as place:
        place.platform.records[PERSON] = [record("绿码")]
        old = place.asker.keys
        (answer,) = await place.asker.query(by_document(carried=True))
        assert signer_of(answer.attestation) == old.attest.key_id
        attest, seal = generate_signing_key(), generate_sealing_key(Profile.HPKE)
        await place.adapter.turn_keys(replace(old, attest=attest, seal=(*old.seal, seal)))

        # Sealed to the old key, as by an edge that has not read the feed yet.
        (answer,) = await place.asker.query(by_document(carried=True))
        assert signer_of(answer.attestation) == attest.key_id
        ledger = place.adapter.ledger
        assert ledger is not None
        posted = list(ledger.board.posted.values())
        assert posted
        assert {signer_of(one.base) for one in posted} == {attest.key_id}
        assert {signer_of(one.change) for one in posted} == {attest.key_id}

        # Sealed to the new one, and no longer to the old.
        await place.adapter.turn_keys(replace(old, attest=attest, seal=(seal,)))
        place.asker.keys = replace(old, seal=(seal,))
        (answer,) = await place.asker.query(by_document(carried=True))
        assert signer_of(answer.attestation) == attest.key_id
