"""The file: verified again when it is read, and behind when it is old."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest

from gateway.attestation import base64url
from gateway.attestation.keys import generate_signing_key, public_jwk
from gateway.trust.errors import FeedError
from gateway.trust.replica import FeedReplica
from tests.trust.replica_world import MINUTE, refused
from tests.trust.simulator import (
    START,
    FederationSimulator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


def _damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "cut short", data[:-1]
    yield "cut in the middle", data[: len(data) // 2]
    yield "a byte more", data + b"\n"
    yield "another version", data.replace(b"replica 2", b"replica 3", 1)
    yield "one bit", data[:200] + bytes([data[200] ^ 1]) + data[201:]
    yield "the checksum", data[:20] + bytes([data[20] ^ 1]) + data[21:]
    yield "not ASCII", _seal("not ASCII: 未\n".encode())
    yield "no line end", _seal(data.split(b"\n", 1)[1][:-1])
    yield "nothing in it", _seal(b"")
    yield "no mark", _seal(b"floor 0\n")
    yield "no floor", _seal(b"none\n")
    yield "a floor that is none", _seal(b"floor 01\nnone\n")
    yield "an unknown mark", _seal(b"floor 0\ntail abc\n")
    yield "a mark that is none", _seal(b"floor 0\nhead abc\n")


def _seal(lines: bytes) -> bytes:
    """A right checksum over wrong lines."""
    checksum = base64url.encode(hashlib.sha256(lines).digest())
    return b"hutong-replica 2 " + checksum.encode() + b"\n" + lines


def test_a_damaged_file_is_refused(federation: FederationSimulator) -> None:
    data = federation.replica_from_snapshot().to_bytes()
    for name, damaged in _damaged(data):
        try:
            with pytest.raises(FeedError) as caught:
                FeedReplica.from_bytes(federation.anchor, damaged, federation.now)
            assert caught.value.code == "FEED_MALFORMED"
        except BaseException as error:
            error.add_note(name)
            raise


def lines_of(data: bytes) -> list[str]:
    floor, *lines = data.split(b"\n", 1)[1].decode().splitlines()
    assert floor == "floor 0"
    return lines


def load(federation: FederationSimulator, lines: list[str], now: datetime) -> FeedReplica:
    data = _seal("".join(line + "\n" for line in ["floor 0", *lines]).encode())
    return FeedReplica.from_bytes(federation.anchor, data, now)


def test_a_file_is_verified_again_signature_by_signature(federation: FederationSimulator) -> None:
    lines = lines_of(federation.replica_from_snapshot().to_bytes())
    assert load(federation, lines, federation.now).sequence == 6
    forged = federation.resign(federation.entries[-1], key=generate_signing_key())
    for changed, code in (
        ([*lines[:-1], forged], "FEED_SIGNATURE"),
        (lines[:-1], "FEED_MALFORMED"),
        ([lines[0], *lines[2:]], "FEED_MALFORMED"),
        # Whole in itself, yet not what the manifest fixed: a scheme is gone.
        ([*lines[:3], *lines[4:]], "FEED_MALFORMED"),
        ([lines[0], *reversed(lines[1:])], "FEED_MALFORMED"),
        ([f"head {federation.head()}", *lines[1:-1]], "FEED_MALFORMED"),
        (["none", *lines[2:]], "FEED_MALFORMED"),
    ):
        with pytest.raises(FeedError) as caught:
            load(federation, changed, federation.now)
        assert caught.value.code == code


def test_a_file_of_another_hub_is_refused(federation: FederationSimulator) -> None:
    data = federation.replica().to_bytes()
    with pytest.raises(FeedError) as caught:
        FeedReplica.from_bytes(FederationSimulator().anchor, data, federation.now)
    assert caught.value.code == "FEED_SIGNATURE"


def test_a_file_from_the_future_is_refused(federation: FederationSimulator) -> None:
    replica = federation.replica()
    replica.apply_head(federation.head(), federation.now)
    with pytest.raises(FeedError) as caught:
        FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), START - MINUTE * 2)
    assert caught.value.code == "FEED_FROM_FUTURE"


@pytest.mark.parametrize("last", ["entry", "head", "manifest", "entry after head"])
def test_a_restart_changes_nothing(federation: FederationSimulator, last: str) -> None:
    replica = federation.replica()
    if last in ("head", "entry after head"):
        replica.apply_head(federation.head(), federation.now)
    if last == "entry after head":
        federation.tick(60)
        replica.apply_entry(federation.suspend("330100").token, federation.now)
    if last == "manifest":
        replica.load_snapshot(*federation.snapshot(), federation.now)
    again = FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), federation.now)
    assert again.to_bytes() == replica.to_bytes()
    assert again.as_of == replica.as_of
    assert again.sequence == replica.sequence
    again.apply_entry(federation.publish_policy("330100").token, federation.now)


def test_a_newer_head_outlives_an_older_snapshot_and_a_restart(
    federation: FederationSimulator,
) -> None:
    replica = federation.replica()
    snapshot = federation.snapshot()
    federation.tick(60)
    replica.apply_head(federation.head(), federation.now)
    replica.load_snapshot(*snapshot, federation.now)
    again = FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), federation.now)
    assert again.as_of == replica.as_of == federation.now


def test_an_old_file_is_shown_to_be_behind_by_the_next_head(
    federation: FederationSimulator,
) -> None:
    old = federation.replica().to_bytes()
    federation.suspend("330100")
    again = FeedReplica.from_bytes(federation.anchor, old, federation.now)
    refused(again, lambda: again.apply_head(federation.head(), federation.now), "FEED_GAP")


def test_a_replica_survives_a_change_of_feed_keys(federation: FederationSimulator) -> None:
    replica = federation.replica()
    old_key = federation.feed_key
    federation.feed_key = generate_signing_key("Ed25519")
    keys = {**federation.anchor.feed_keys}
    keys[federation.feed_key.key_id] = dataclasses.replace(
        keys[old_key.key_id],
        key_id=federation.feed_key.key_id,
        algorithm="Ed25519",
        public_key=federation.feed_key.public_key,
    )
    federation.anchor = dataclasses.replace(federation.anchor, feed_keys=keys)
    again = FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), federation.now)
    entry = federation.suspend("330100")
    again.apply_entry(entry.token, federation.now)
    refused(replica, lambda: replica.apply_entry(entry.token, federation.now), "FEED_SIGNATURE")
    assert public_jwk(federation.feed_key)["kid"] in federation.anchor.feed_keys
