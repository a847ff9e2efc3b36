"""Whether the issuer still stands by a carried attestation (docs/spec/status.md).

The step after verification. An attestation that names a status list is looked up in
what this checkpoint holds: the newest change statement on that list, which the feed
carries, over its base, which was fetched by its digest and is kept on disk::

    lists = StatusLists(state_dir / "status")
    view = RevocationView(bundle, lists)              # of one bundle; cheap
    status_seconds = view.check(attestation, now)     # or raises

What comes of it, never green but where the entry is zero:

=============================================== =======================================
the entry says revoked, or anything unknown     ATTESTATION_REVOKED
the entry says on hold                          ATTESTATION_ON_HOLD
no statement on the list, or its base not here  STATUS_UNKNOWN
the list is over, another's, too short, forged  STATUS_LIST_INVALID
=============================================== =======================================

A statement whose base is not here still counts for the entries it names: they are
refused.

How old the knowledge is: an issuer speaks when something changes, so its silence tells
nothing, and what is known is as old as the newest word of the hub that passes its words
on. An issuer that promises a word every ``ttl`` seconds (in the list) is held to it: then
the age counts from its newest statement. What follows is the policy's (``freshness``).

Nothing here is remembered beyond the bundle but what is pinned by a digest or by the
very bytes of a statement and the very key that proved them, so that a change in the
feed holds from the next verification on.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from gateway.attestation import AttestationError, AttestationFault
from gateway.attestation.status_change import StatusChange, base_of, verify_status_change
from gateway.attestation.status_list import (
    MAX_TOKEN_BYTES,
    SignedStatusList,
    check_status,
    check_status_uri,
    verify_status_list,
)
from gateway.attestation.status_tokens import LEEWAY_SECONDS, token_digest
from gateway.errors import TrustError
from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.attestation.keys import VerificationKey
    from gateway.trust.entries import StatusEntry

MAX_KEPT_BYTES: Final = 512 * 1024 * 1024
"""Base lists on disk: some hundred of the largest, or all of a country's ordinary ones."""
MAX_KEPT_LISTS: Final = 2048
"""Files in the folder; an issuer's day is one list, and a year of 30 issuers far more
than any attestation lives."""
MAX_LOADED_BYTES: Final = 256 * 1024 * 1024
"""Unpacked lists in memory: 1 000 of a million two-bit entries."""

_DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SUFFIX: Final = ".status"
_LEEWAY: Final = timedelta(seconds=LEEWAY_SECONDS)

_log = structlog.get_logger(__name__)


class StatusSource(Protocol):
    """Of a bundle, what this module asks."""

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """Return a key that signs attestations and lists."""

    def status(self, uri: str) -> StatusEntry:
        """Return the newest word on a list; raises STATUS_UNKNOWN."""

    def statuses(self) -> tuple[StatusEntry, ...]:
        """Return the newest word on every list."""


class StatusFolder:
    """Base lists on disk, each under its digest; whatever is damaged is missing.

    Args:
        path: of the folder; made when the first list comes.
        max_bytes: of all files together; the longest unused go first.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def get(self, digest: str) -> bytes | None:
        """Return a list's token; None: it is not here, or not what its name says."""
        path = self._of(digest)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_TOKEN_BYTES + 1)
        except OSError:
            return None
        if len(data) <= MAX_TOKEN_BYTES and token_digest(data) == digest:
            with contextlib.suppress(OSError):
                os.utime(path)  # in use: not the first to make room
            return data
        _log.warning("status_list_damaged", digest=digest)
        path.unlink(missing_ok=True)
        return None

    def has(self, digest: str) -> bool:
        """Whether there is a file of this name; whether it is sound, ``get`` finds out."""
        return self._of(digest).exists()

    def put(self, digest: str, token: bytes) -> None:
        """Keep a list.

        Raises:
            AttestationError: STATUS_LIST_INVALID, too long, or not of this digest.
            OSError: it cannot be written.
        """
        if len(token) > MAX_TOKEN_BYTES or token_digest(token) != digest:
            raise _invalid("not the list that was asked for")
        self._path.mkdir(parents=True, exist_ok=True)
        write_atomically(self._of(digest), token)
        self._make_room(keep=digest)

    def forget_all_but(self, digests: Iterable[str]) -> None:
        """Drop what no statement names any more."""
        kept = {digest + _SUFFIX for digest in digests}
        for path in self._files():
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _of(self, digest: str) -> Path:
        # The name of a file comes from a signed statement, and is checked all the same.
        if _DIGEST.fullmatch(digest) is None:
            raise _invalid("no digest of a list")
        return self._path / (digest + _SUFFIX)

    def _files(self) -> list[Path]:
        return list(self._path.glob("*" + _SUFFIX)) if self._path.is_dir() else []

    def _make_room(self, *, keep: str) -> None:
        known: list[tuple[float, int, Path]] = []
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue
            known.append((status.st_mtime, status.st_size, path))
        total, number = sum(size for _, size, _ in known), len(known)
        for _, size, path in sorted(known):
            if total <= self._max_bytes and number <= MAX_KEPT_LISTS:
                return
            if path.name != keep + _SUFFIX:
                path.unlink(missing_ok=True)
                total, number = total - size, number - 1


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A base that verified, and the key that proved it."""

    signed: SignedStatusList
    key: VerificationKey


@dataclass(slots=True)
class _Known:
    """A statement that verified, with what it makes of its base."""

    digest: str  # of the entry that carries it
    key: VerificationKey
    change: StatusChange
    overrides: dict[int, int]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A list as one bundle says: the statement, its base, and when the base is over."""

    known: _Known
    base: SignedStatusList | None
    over_at: datetime


class StatusLists:
    """What this process knows of lists, whatever the bundle; see the module.

    Args:
        folder: where bases are kept; None: nowhere, so that none is known.
        max_loaded_bytes: unpacked lists in memory; the longest unused go first.
    """

    def __init__(
        self, folder: StatusFolder | None, *, max_loaded_bytes: int = MAX_LOADED_BYTES
    ) -> None:
        self.folder = folder
        self._max_loaded_bytes = max_loaded_bytes
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._known: dict[str, _Known] = {}

    def known(self, source: StatusSource, uri: str, now: datetime) -> _Known:
        """Return the newest statement on a list, verified under a bundle's keys.

        Raises:
            AttestationError: STATUS_UNKNOWN, there is none; STATUS_LIST_INVALID, it does
                not hold.
        """
        entry = source.status(uri)
        held = self._known.get(uri)
        if held is not None and held.digest == entry.entry.digest and self._proves(source, held):
            return held
        try:
            change = verify_status_change(entry.statement, source, now=now, uri=uri)
            key = source.attestation_key(change.issuer, change.key_id)
        except TrustError as error:
            raise _invalid("the statement on the list does not hold") from error
        overrides = {index: value for value, indices in change.changes.items() for index in indices}
        fresh = _Known(entry.entry.digest, key, change, overrides)
        self._known[uri] = fresh
        return fresh

    def base(self, source: StatusSource, known: _Known, now: datetime) -> SignedStatusList | None:
        """Return the base of a statement, from memory or disk; None: it is not here.

        Raises:
            AttestationError: STATUS_LIST_INVALID, it does not hold.
        """
        change = known.change
        digest = change.base.digest
        held = self._loaded.get(digest)
        if held is not None and self._is_key(source, held.signed, held.key):
            self._loaded.move_to_end(digest)
            return held.signed
        token = None if self.folder is None else self.folder.get(digest)
        if token is None:
            return None
        try:
            signed = verify_status_list(
                token, source, now=now, uri=change.uri, size=change.base.size
            )
            key = source.attestation_key(signed.issuer, signed.key_id)
        except TrustError as error:
            raise _invalid("the list does not hold") from error
        if base_of(signed) != change.base:
            raise _invalid("another list than the statement counts from")
        self._loaded[digest] = _Loaded(signed, key)
        self._make_room()
        return signed

    def _proves(self, source: StatusSource, held: _Known) -> bool:
        change = held.change
        return self._same_key(source, change.issuer, change.key_id, held.key)

    def _is_key(self, source: StatusSource, signed: SignedStatusList, key: VerificationKey) -> bool:
        return self._same_key(source, signed.issuer, signed.key_id, key)

    @staticmethod
    def _same_key(source: StatusSource, issuer: str, key_id: str, key: VerificationKey) -> bool:
        try:
            now_held = source.attestation_key(issuer, key_id)
        except TrustError:
            return False
        return now_held is key or now_held == key

    def _make_room(self) -> None:
        used = [
            (digest, loaded.signed.list.size * loaded.signed.list.bits // 8)
            for digest, loaded in self._loaded.items()
        ]
        total = sum(size for _, size in used)
        for digest, size in used[:-1]:
            if total <= self._max_loaded_bytes:
                return
            del self._loaded[digest]
            total -= size


class RevocationView:
    """The lists as one bundle says; see the module.

    Args:
        source: the bundle.
        lists: of this process.
    """

    def __init__(self, source: StatusSource, lists: StatusLists) -> None:
        self._source = source
        self._lists = lists
        self._current: dict[str, _Ready] = {}

    def check(self, attestation: Attestation | DisclosedAttestation, now: datetime) -> int | None:
        """Look an attestation up.

        Args:
            attestation: verified.
            now: the clock, aware.

        Returns:
            How old the issuer's word is in seconds, beside the age of the feed that
            brought it: 0 where the issuer promises none at set times, negative where its
            clock runs ahead. None: the attestation names no list.

        Raises:
            AttestationError: see the module.
        """
        reference = attestation.status
        if reference is None:
            return None
        ready = self._current.get(reference.uri)
        if ready is None:
            ready = self._look_up(attestation.issuer, reference.uri, now)
        known, base = ready.known, ready.base
        if known.change.issuer != attestation.issuer:
            raise _invalid("a list of another issuer")
        value = known.overrides.get(reference.index)
        if value is None:
            if base is None:
                raise _unknown("the list itself is not here yet")
            if now >= ready.over_at:
                raise _invalid("the list is over")
            value = base.list.get(reference.index)
        if value:
            check_status(value)
        if base is None or base.ttl_seconds is None:
            return 0
        return int((now - known.change.issued_at).total_seconds())

    def missing(self) -> list[str]:
        """Return the digests of bases that the feed names and that are not on disk."""
        folder = self._lists.folder
        return [digest for digest in self.named() if folder is None or not folder.has(digest)]

    def named(self) -> list[str]:
        """Return the digests of all bases that the feed names, each once."""
        return list(dict.fromkeys(entry.base_digest for entry in self._source.statuses()))

    def _look_up(self, issuer: str, uri: str, now: datetime) -> _Ready:
        check_status_uri(uri, issuer)
        known = self._lists.known(self._source, uri, now)
        base = self._lists.base(self._source, known, now)
        if base is None:
            # Looked for again at the next check: it may have come by then.
            return _Ready(known, None, now)
        ready = _Ready(known, base, base.expires_at + _LEEWAY)
        self._current[uri] = ready
        return ready


def _unknown(message: str) -> AttestationError:
    return AttestationError(message, code=AttestationFault.STATUS_UNKNOWN)


def _invalid(message: str) -> AttestationError:
    return AttestationError(message, code=AttestationFault.STATUS_LIST_INVALID)
