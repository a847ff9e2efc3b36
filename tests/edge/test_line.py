"""The line of a gate to a real hub: it says how far it is, takes part, and reports."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.platforms import scenario
from gateway.attestation import generate_signing_key
from gateway.codes import parse_document
from gateway.edge.federation import Tried
from gateway.trust.entries import LiveEntry
from gateway.trust.feed import FeedKind
from gateway.trust.keys import KeyUse, signing_member_key
from gateway.trust.rehearsals import Rehearsal, parse_rehearsal, rehearsal_body
from tests.edge.federation import gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ISSUER = "urn:hutong:region:330100"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens elsewhere in this process."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_a_gate_tells_its_hub_how_far_it_is_and_what_was_shown(tmp_path: Path) -> None:
    async with gate(tmp_path) as (place, checkpoint):
        line = checkpoint._line
        assert line is not None
        await until(lambda: line.acknowledger.told)
        await until(place.world.hub.readers.standing)
        status = checkpoint.status()
        assert (status.road, status.unreported, status.hubs) == ("feed", 0, ())
        document = parse_document(10, scenario("hangzhou/green").document_number)
        fetched = await checkpoint.fetch(document, origin="330100")
        assert fetched.armour is not None
        result = await checkpoint.verify(fetched.armour)
        assert result.sighting in {"reported", "unreported"}
        came = await checkpoint.reconcile()
        assert came.conflicts == ()
        assert checkpoint.status().unreported == 0


def test_a_rehearsal_holds_when_the_key_to_come_signed_its_sample() -> None:
    now = datetime(2020, 4, 10, tzinfo=UTC)
    private = generate_signing_key()
    key = signing_member_key(private, KeyUse.ATTEST, not_before=now + timedelta(hours=1))
    read, sample = parse_rehearsal(rehearsal_body(key, private, issuer=ISSUER, now=now))
    entry = LiveEntry(7, "d" * 43, "t", now, FeedKind.REHEARSAL, "r-1")
    rehearsal = Rehearsal(entry, ISSUER, now, "k" * 43, read, sample)
    assert Tried(rehearsal).failure() is None
    other = rehearsal_body(key, generate_signing_key(), issuer=ISSUER, now=now)["sample"]
    assert Tried(replace(rehearsal, sample=other)).failure() == "STATEMENT_INVALID"
    foreign = replace(rehearsal, issuer="urn:hutong:region:440100")
    assert Tried(foreign).failure() == "STATEMENT_INVALID"
    # Whatever the key signed: nothing of its owner is believed here.
    assert Tried(rehearsal, "AUTHORITY_SUSPENDED").failure() == "AUTHORITY_SUSPENDED"
