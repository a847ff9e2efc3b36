"""The status of a carried attestation: what is known here, and never green without it."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.attestation import (
    AttestationError,
    AttestationFault,
    base64url,
    generate_signing_key,
    public_jwk,
    verification_key_from_jwk,
)
from gateway.attestation.claims import StatusReference
from gateway.attestation.signing import sign_payload
from gateway.attestation.status_change import base_of, sign_status_change
from gateway.attestation.status_list import (
    LIST_TYPE,
    MAX_LIST_BYTES,
    ON_HOLD,
    REVOKED,
    SignedStatusList,
    StatusList,
    sign_status_list,
    verify_status_list,
)
from gateway.attestation.status_tokens import token_digest
from gateway.edge.revocation import RevocationView, StatusFolder, StatusLists
from gateway.errors import TrustError
from gateway.trust.entries import LiveEntry, StatusEntry
from gateway.trust.feed import FeedKind
from tests.benchmarks.verify import synthetic_attestation

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.attestation import Attestation, VerificationKey

NOW = datetime(2020, 4, 10, 2, 0, tzinfo=UTC)
ISSUER = "urn:hutong:region:330100"
URI = "urn:hutong:status:330100:a1"
SIZE = 4096


class Source:
    """A bundle that says what a test wants."""

    def __init__(self) -> None:
        self.signer = generate_signing_key()
        self.keys = {self.signer.key_id: self._key()}
        self.statements: dict[str, str] = {}

    def _key(self) -> VerificationKey:
        return verification_key_from_jwk(
            public_jwk(self.signer),
            issuer=ISSUER,
            prefixes=("3301",),
            not_before=NOW - timedelta(days=30),
        )

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        if issuer != ISSUER or key_id not in self.keys:
            raise TrustError("no such key", code="KEY_UNKNOWN")
        return self.keys[key_id]

    def status(self, uri: str) -> StatusEntry:
        if uri not in self.statements:
            raise AttestationError("none", code=AttestationFault.STATUS_UNKNOWN)
        return entry_of(uri, self.statements[uri])

    def statuses(self) -> tuple[StatusEntry, ...]:
        return tuple(self.status(uri) for uri in self.statements)


def entry_of(uri: str, statement: str) -> StatusEntry:
    """As the live set makes it of a feed entry; the hub's signature is not looked at here."""
    claims = json.loads(base64url.decode(statement.split(".")[1].encode()))
    body = json.dumps({"body": {"statement": statement}}).encode()
    token = f"h.{base64url.encode(body)}.s"
    entry = LiveEntry(1, token_digest(token.encode()), token, NOW, FeedKind.STATUS, uri)
    base = claims["base"]
    return StatusEntry(
        entry,
        claims["iss"],
        "k",
        NOW,
        claims["seq"],
        base["digest"],
        base["size"],
        base["bits"],
    )


class World:
    """One list of one issuer, and a checkpoint that may hold it."""

    def __init__(self, folder: Path) -> None:
        self.source = Source()
        self.folder = StatusFolder(folder)
        self.lists = StatusLists(self.folder)
        self.token, self.base = self.make_base()

    def make_base(
        self,
        *,
        exp: timedelta = timedelta(days=2),
        values: dict[int, int] | None = None,
        ttl: int | None = 3600,
    ) -> tuple[str, SignedStatusList]:
        entries = StatusList(2, SIZE)
        for index, value in (values or {}).items():
            entries.set(index, value)
        token = sign_status_list(
            entries,
            self.source.signer,
            uri=URI,
            issued_at=NOW - timedelta(hours=3),
            expires_at=NOW + exp,
            ttl_seconds=ttl,
        )
        then = NOW - timedelta(hours=3)
        return token, verify_status_list(token, self.source, now=then, uri=URI)

    def publish(
        self,
        changes: dict[int, list[int]] | None = None,
        *,
        ago: timedelta = timedelta(minutes=10),
        base: SignedStatusList | None = None,
        sequence: int = 1,
    ) -> None:
        self.source.statements[URI] = sign_status_change(
            self.source.signer,
            base=base_of(base or self.base),
            uri=URI,
            sequence=sequence,
            changes=changes or {},
            issued_at=NOW - ago,
        )

    def keep(self, token: str | None = None) -> None:
        data = (token or self.token).encode()
        self.folder.put(token_digest(data), data)

    def view(self) -> RevocationView:
        return RevocationView(self.source, self.lists)


def carried(index: int = 7, *, uri: str = URI) -> Attestation:
    return replace(synthetic_attestation(NOW), issuer=ISSUER, status=StatusReference(uri, index))


def refused(view: RevocationView, attestation: Attestation, now: datetime = NOW) -> str:
    with pytest.raises(AttestationError) as raised:
        view.check(attestation, now)
    return raised.value.code


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "status")
    made.publish()
    made.keep()
    return made


def test_a_good_entry_tells_how_old_the_issuers_word_is(world: World) -> None:
    assert world.view().check(carried(), NOW) == 600
    assert world.view().check(replace(carried(), status=None), NOW) is None


def test_an_issuer_that_promises_no_word_is_as_old_as_the_feed_that_passes_it_on(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    token, base = world.make_base(ttl=None)
    world.publish(base=base, ago=timedelta(hours=40))
    world.keep(token)
    assert world.view().check(carried(), NOW) == 0


def test_a_change_holds_from_the_next_look_on_over_the_same_base(world: World) -> None:
    view = world.view()
    assert view.check(carried(7), NOW) == 600
    world.publish({REVOKED: [7], ON_HOLD: [8]}, sequence=2, ago=timedelta())
    view = world.view()
    assert refused(view, carried(7)) == "ATTESTATION_REVOKED"
    assert refused(view, carried(8)) == "ATTESTATION_ON_HOLD"
    assert view.check(carried(9), NOW) == 0
    world.publish({}, sequence=3)
    assert world.view().check(carried(7), NOW) == 600


def test_what_the_base_says_holds_and_an_unknown_value_is_revoked(tmp_path: Path) -> None:
    world = World(tmp_path)
    token, base = world.make_base(values={1: REVOKED, 2: ON_HOLD, 3: 3})
    world.publish(base=base)
    world.keep(token)
    view = world.view()
    assert [refused(view, carried(index)) for index in (1, 2, 3)] == [
        "ATTESTATION_REVOKED",
        "ATTESTATION_ON_HOLD",
        "ATTESTATION_REVOKED",
    ]


def test_without_the_base_the_changes_still_count_and_the_rest_is_unknown(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish({REVOKED: [7]})
    view = world.view()
    assert refused(view, carried(7)) == "ATTESTATION_REVOKED"
    assert refused(view, carried(8)) == "STATUS_UNKNOWN"
    assert view.missing() == [world.base.digest]
    world.keep()
    assert view.missing() == []
    assert view.check(carried(8), NOW) == 600  # the same view finds what came since


def test_without_a_statement_the_status_is_unknown(world: World) -> None:
    world.source.statements.clear()
    assert refused(world.view(), carried()) == "STATUS_UNKNOWN"


@pytest.mark.parametrize(
    "uri", ["urn:hutong:status:440100:a1", "https://list.example/1", "urn:hutong:status:330100:A"]
)
def test_a_list_of_another_issuer_says_nothing(world: World, uri: str) -> None:
    world.source.statements[uri] = world.source.statements[URI]
    assert refused(world.view(), carried(uri=uri)) == "STATUS_LIST_INVALID"


def test_an_index_that_the_list_does_not_have_is_never_good(world: World) -> None:
    assert refused(world.view(), carried(SIZE)) == "STATUS_LIST_INVALID"


def test_a_list_that_is_over_says_nothing_also_when_it_ends_while_loaded(tmp_path: Path) -> None:
    world = World(tmp_path)
    token, base = world.make_base(exp=timedelta(hours=1))
    world.publish(base=base)
    world.keep(token)
    view = world.view()
    assert view.check(carried(), NOW) == 600
    late = NOW + timedelta(hours=1, minutes=1)
    assert refused(view, carried(), late) == "STATUS_LIST_INVALID"
    fresh = RevocationView(world.source, StatusLists(world.folder))
    assert refused(fresh, carried(), late) == "STATUS_LIST_INVALID"


@pytest.mark.parametrize("ahead", [timedelta(seconds=61), timedelta(hours=9)])
def test_a_statement_from_the_future_does_not_hold(world: World, ahead: timedelta) -> None:
    world.publish(ago=-ahead)
    assert refused(world.view(), carried()) == "STATUS_LIST_INVALID"


def test_an_issuers_clock_a_little_ahead_is_an_age_below_zero(world: World) -> None:
    world.publish(ago=-timedelta(seconds=30))
    assert world.view().check(carried(), NOW) == -30


def test_a_bomb_is_refused_before_it_unpacks(world: World) -> None:
    packed = zlib.compress(bytes(4 * MAX_LIST_BYTES), 9)
    key = world.source.signer
    bomb = sign_status_list(
        StatusList(1, 8), key, uri=URI, issued_at=NOW, expires_at=NOW + timedelta(days=1)
    )
    payload = bomb.split(".")[1]
    claims = base64url.decode(payload.encode())
    small = base64url.encode(StatusList(1, 8).compress()).encode()
    big = claims.replace(small, base64url.encode(packed).encode())
    assert big != claims
    token = sign_payload(big, key, LIST_TYPE)
    change = base_of(world.base)
    digest = token_digest(token.encode())
    world.folder.put(digest, token.encode())
    world.source.statements[URI] = sign_status_change(
        key,
        base=replace(change, digest=digest),
        uri=URI,
        sequence=2,
        changes={},
        issued_at=NOW,
    )
    assert refused(world.view(), carried()) == "STATUS_LIST_INVALID"


def test_a_damaged_file_is_a_missing_one_and_is_asked_for_again(
    world: World, tmp_path: Path
) -> None:
    [file] = (tmp_path / "status").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    view = world.view()
    assert refused(view, carried()) == "STATUS_UNKNOWN"
    assert view.missing() == [world.base.digest]
    world.keep()
    assert view.check(carried(), NOW) == 600


def test_a_list_under_anothers_digest_is_not_kept(world: World) -> None:
    with pytest.raises(AttestationError):
        world.folder.put("A" * 43, world.token.encode())
    with pytest.raises(AttestationError):
        world.folder.put("../escape", b"")


def test_a_key_revoked_later_takes_list_and_statement_with_it(world: World) -> None:
    assert world.view().check(carried(), NOW) == 600
    key_id = world.source.signer.key_id
    good = world.source.keys[key_id]
    world.source.keys[key_id] = verification_key_from_jwk(
        public_jwk(world.source.signer),
        issuer=ISSUER,
        prefixes=("3301",),
        not_before=NOW - timedelta(days=30),
        is_revoked=True,
    )
    assert refused(world.view(), carried()) == "STATUS_LIST_INVALID"
    del world.source.keys[key_id]
    assert refused(world.view(), carried()) == "STATUS_LIST_INVALID"
    world.source.keys[key_id] = good
    assert world.view().check(carried(), NOW) == 600


def test_room_is_made_on_disk_and_in_memory(tmp_path: Path) -> None:
    world = World(tmp_path)
    tokens = []
    for number in range(4):
        token, base = world.make_base(values={number: 1})
        tokens.append((token, base))
    small = StatusFolder(tmp_path / "small", max_bytes=len(tokens[0][0]) * 2 + 40)
    for token, base in tokens:
        small.put(base.digest, token.encode())
    assert small.has(tokens[-1][1].digest)
    assert len(list((tmp_path / "small").iterdir())) <= 3
    small.forget_all_but([])
    assert not any((tmp_path / "small").iterdir())
    lists = StatusLists(world.folder, max_loaded_bytes=SIZE // 4 * 2)
    for token, base in tokens:
        world.keep(token)
        world.publish(base=base)
        RevocationView(world.source, lists).check(carried(100), NOW)
    assert len(lists._loaded) == 2
