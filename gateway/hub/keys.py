"""The hub's private keys on disk, and which of them signs when.

A private key is one JWK a file, readable by its owner only; a file that others
may read is refused, because then the key is not private. A feed key signs the feed;
a token key signs access tokens and grants.

====================================  ==================================================
``keys/feed.json``, ``token.json``    the first keys, made by ``init``
``keys/feed-1795314300.json``         a later one; the number says from when, for people
``keys/….json.next``                  a key to come that nobody uses (``own_keys``)
``anchor.json``                       beside ``keys``: the public halves, as handed over
====================================  ==================================================

Which key signs is not told by the files but by the feed's newest set of keys
(:mod:`gateway.trust.hub_keys`): the one whose time it is, found by its id. So every
process of a hub changes over at the same second, whoever published the set, and a key
that is not published never signs. A file is looked for when its key is wanted; it may
be copied to a running process's folder until then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from gateway.attestation.keys import (
    SigningKey,
    signing_key_from_jwk,
    signing_key_to_jwk,
)
from gateway.hub.errors import HubSetupError
from gateway.trust import TrustAnchor, make_anchor, parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.trust.errors import AnchorError
from gateway.trust.times import to_seconds
from gateway.wire.files import read_bounded, refused_as
from gateway.wire.private_files import read_private_key, write_private_jwk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.attestation.keys import VerificationKey
    from gateway.hub.settings import HubSettings

_DATED: Final = re.compile(r"-[0-9]{1,12}", re.ASCII)

KeySource: TypeAlias = Callable[[datetime], SigningKey]
"""The key that signs at a moment."""

FeedKeys: TypeAlias = Callable[[TrustAnchor, datetime], SigningKey]
"""The feed key that signs at a moment, by the keys that are published."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The first private keys of a hub.

    Attributes:
        feed: signs entries, heads and manifests of the feed.
        token: signs access tokens and grants.
    """

    feed: SigningKey = field(repr=False)
    token: SigningKey = field(repr=False)


class PrivateKeys:
    """The private keys of one use.

    Args:
        first: file of the first one, ``keys/feed.json``; later ones stand beside it.
    """

    def __init__(self, first: Path) -> None:
        self.first = first
        self._by_id: dict[str, SigningKey] = {}
        self._read: set[Path] = set()

    def files(self) -> list[Path]:
        """The files that are there, the first one first."""
        stem = self.first.stem
        later = [
            path
            for path in self.first.parent.glob(f"{stem}-*{self.first.suffix}")
            if _DATED.fullmatch(path.stem.removeprefix(stem))
        ]
        return [*([self.first] if self.first.exists() else []), *sorted(later)]

    def get(self, key_id: str) -> SigningKey | None:
        """Return a key by its id; None: no file holds it.

        Raises:
            HubSetupError: a file is malformed or readable by others.
        """
        if key_id not in self._by_id:
            for path in self.files():
                if path not in self._read:
                    key = load_signing_key(path)
                    self._by_id[key.key_id] = key
                    self._read.add(path)
        return self._by_id.get(key_id)

    def oldest(self) -> SigningKey:
        """Return the oldest key that is there.

        Raises:
            HubSetupError: there is none, or its file cannot be used.
        """
        files = self.files()
        return load_signing_key(files[0] if files else self.first)

    def in_force(self, published: Mapping[str, VerificationKey], at: datetime) -> SigningKey:
        """Return the key whose time it is.

        Args:
            published: the keys of this use, as the feed says them.
            at: the moment of signing.

        Raises:
            HubSetupError: its file is not there.
        """
        second = to_seconds(at)
        begun = [key for key in published.values() if key.first_second <= second < key.end_second]
        for key in sorted(begun, key=lambda key: key.first_second, reverse=True):
            private = self.get(key.key_id)
            if private is not None:
                return private
        _log.error("hub_key_missing", use=self.first.stem, wanted=[key.key_id for key in begun])
        raise HubSetupError(
            f"no {self.first.stem} key whose time it is stands in {self.first.parent}",
            fix="copy its file there from the process where it was made",
        )


class HubKeyRing:
    """Every private key of a hub, and the anchor from which its feed is walked.

    Args:
        settings: with resolved paths.
    """

    def __init__(self, settings: HubSettings) -> None:
        self._urn = settings.urn
        self._anchor_file = anchor_file(settings)
        self.feed = PrivateKeys(settings.keys.feed)
        self.token = PrivateKeys(settings.keys.token)

    def root(self) -> TrustAnchor:
        """Return an anchor that the whole feed follows from.

        That is the first keys; where they were put away, what stands in ``anchor.json``.

        Raises:
            HubSetupError: neither can be read, or one key stands for both uses.
        """
        handed_over = self._handed_over()
        if handed_over is not None and (handed_over.number or not self.feed.first.exists()):
            return handed_over
        keys = HubKeys(feed=self.feed.oldest(), token=self.token.oldest())
        if keys.feed.key_id == keys.token.key_id:
            raise HubSetupError("feed key and token key are the same; one key has one use")
        return make_anchor(self._urn, feed_keys=[keys.feed], token_keys=[keys.token])

    def feed_key(self, anchor: TrustAnchor, at: datetime) -> SigningKey:
        """Return the feed key whose time it is; raises as :meth:`PrivateKeys.in_force`."""
        return self.feed.in_force(anchor.feed_keys, at)

    def token_key(self, anchor: Callable[[], TrustAnchor]) -> KeySource:
        """Return what says which token key signs.

        Args:
            anchor: the hub's own keys as they are now.
        """
        return lambda at: self.token.in_force(anchor().token_keys, at)

    def check(self, anchor: TrustAnchor, now: datetime) -> None:
        """Make sure that there is a key of each use to sign with; raises as the others."""
        self.feed_key(anchor, now)
        self.token.in_force(anchor.token_keys, now)

    def _handed_over(self) -> TrustAnchor | None:
        if not self._anchor_file.exists():
            return None
        try:
            with refused_as(HubSetupError):
                data = read_bounded(self._anchor_file, MAX_ANCHOR_BYTES, "trust anchor")
            anchor = parse_anchor(data)
        except AnchorError as error:
            raise HubSetupError(f"{self._anchor_file}: {error}") from None
        return anchor if anchor.hub == self._urn else None


def anchor_file(settings: HubSettings) -> Path:
    """Return where the trust anchor of a hub stands: ``anchor.json`` in its directory."""
    return settings.keys.feed.parent.parent / "anchor.json"


def key_source(key: SigningKey | KeySource) -> KeySource:
    """Return a source of keys; one key is the same at every moment."""
    if isinstance(key, SigningKey):
        only = key
        return lambda _: only
    return key


def load_hub_keys(settings: HubSettings) -> HubKeys:
    """Read the first keys.

    Raises:
        HubSetupError: a file is missing, malformed or readable by others.
    """
    return HubKeys(
        feed=load_signing_key(settings.keys.feed), token=load_signing_key(settings.keys.token)
    )


def load_signing_key(path: Path) -> SigningKey:
    """Read one private JWK.

    Raises:
        HubSetupError: the file is missing, malformed or readable by others.
    """
    with refused_as(HubSetupError):
        return read_private_key(path, signing_key_from_jwk)


def save_signing_key(path: Path, key: SigningKey) -> None:
    """Write one private JWK to a new file that only its owner may read.

    Raises:
        HubSetupError: the file exists or cannot be written.
    """
    with refused_as(HubSetupError):
        write_private_jwk(path, signing_key_to_jwk(key))
