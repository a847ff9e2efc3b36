"""What the younger kinds of feed entries say.

Distrusts, statuses, silences, notices, the superior; rehearsals and the hub's own keys
have modules of their own. Each is a frozen value made from a verified entry when it is
put into the live set; it keeps the parsed part that readers ask for at every turn, and
leaves the rest in the token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from gateway.attestation import base64url
from gateway.trust import names
from gateway.trust.anchor import TrustAnchor, anchor_of
from gateway.trust.distrust import MAX_REASON_LENGTH, DistrustRule, parse_distrust_rule
from gateway.trust.errors import StatementError
from gateway.trust.hub_keys import HubKeySet
from gateway.trust.keys import KeyUse, MemberKey, parse_member_keys
from gateway.trust.rehearsals import Rehearsal
from gateway.trust.times import Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.trust.feed import FeedEntry
    from gateway.trust.kinds import FeedKind

MAX_TOPIC_LENGTH: Final = 64
"""Lower-kebab words such as ``key-expiring``."""


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """An entry in force, or a tombstone, without its parsed body.

    Attributes:
        sequence: its number.
        digest: of its token.
        token: as signed by the hub.
        issued_at: when the hub published it.
        kind: what it changes.
        subject: what it is about.
    """

    sequence: int
    digest: str
    token: str = field(repr=False)
    issued_at: datetime
    kind: FeedKind
    subject: str

    @property
    def place(self) -> tuple[FeedKind, str]:
        """What a later entry supersedes."""
        return self.kind, self.subject


def live_entry(entry: FeedEntry) -> LiveEntry:
    """Returns a verified entry without its parsed body."""
    return LiveEntry(
        entry.sequence, entry.digest, entry.token, entry.issued_at, entry.kind, entry.subject
    )


@dataclass(frozen=True, slots=True)
class Distrust:
    """A distrust in force.

    Attributes:
        entry: the hub's entry; its subject names the distrust.
        rule: what is not believed.
        reason: why, in the hub's words.
        decided_at: when operators decided.
    """

    entry: LiveEntry
    rule: DistrustRule
    reason: str
    decided_at: datetime

    @property
    def distrust_id(self) -> str:
        """Names it."""
        return self.entry.subject


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """The newest word of a region on one of its status lists.

    Attributes:
        entry: the hub's entry; its subject is the list's URI.
        issuer: URN of the region that signed.
        key_id: of the attestation key that signed.
        issued_at: when, by the region's clock.
        number: goes up with every statement on this list.
        base_digest: of the base list's token, base64url.
        size: entries of the base.
        bits: of an entry.
    """

    entry: LiveEntry
    issuer: str
    key_id: str
    issued_at: datetime
    number: int
    base_digest: str
    size: int
    bits: int

    @property
    def uri(self) -> str:
        """Names the list."""
        return self.entry.subject

    @property
    def statement(self) -> str:
        """The region's statement, type ``hutong-status+jwt``, as signed."""
        token: str = payload_of(self.entry.token)["body"]["statement"]
        return token

    def changes(self) -> dict[int, tuple[int, ...]]:
        """Returns what differs from the base, by value, read anew at each call."""
        said = payload_of(self.statement)["changes"]
        return {int(value): tuple(entries) for value, entries in said.items()}


@dataclass(frozen=True, slots=True)
class Silence:
    """A region whose changes the hub does not hear, in the hub's own words.

    Attributes:
        entry: the hub's entry; its subject is the region's URN.
        since: up to when the hub has heard all that the region said of its status lists.
    """

    entry: LiveEntry
    since: datetime

    @property
    def urn(self) -> str:
        """The region."""
        return self.entry.subject


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know; nothing is decided by it.

    Attributes:
        entry: the hub's entry.
        urn: whom it concerns.
        topic: ``key-expiring``, ``anchor-key``, …
        at: when what it tells of happens.
        body: all of it.
    """

    entry: LiveEntry
    urn: str
    topic: str
    at: datetime
    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Superior:
    """The hub that this hub stands below.

    Attributes:
        entry: the hub's entry.
        hub: URN of the superior.
        keys: its feed keys, and its token keys if any.
    """

    entry: LiveEntry
    hub: str
    keys: tuple[MemberKey, ...]

    def anchor(self) -> TrustAnchor:
        """Returns what verifies the superior's feed.

        Raises:
            AnchorError: no feed key is left.
            KeyMaterialError: a key does not decode.
        """
        return anchor_of(self.hub, self.keys)


Extra = Distrust | StatusEntry | Silence | Rehearsal | Notice | Superior | HubKeySet
"""What an entry of a younger kind says; ``None`` stands for a kind not known here."""


def distrust_body(rule: DistrustRule, *, reason: str, decided_at: datetime) -> dict[str, Any]:
    """Returns the body of an entry of kind ``distrust``."""
    return {"rule": rule.to_body(), "reason": reason, "decided_at": to_seconds(decided_at)}


def notice_body(topic: str, *, at: datetime, **more: Any) -> dict[str, Any]:
    """Returns the body of an entry of kind ``notice``; its subject is ``{urn}#{topic}``."""
    return {"topic": topic, "at": to_seconds(at), **more}


def silence_body(since: datetime) -> dict[str, Any]:
    """Returns the body of an entry of kind ``silence``; its subject is the region's URN."""
    return {"since": to_seconds(since)}


def superior_body(hub: str, keys: Iterable[MemberKey]) -> dict[str, Any]:
    """Returns the body of an entry of kind ``superior``; its subject is the hub's URN."""
    return {"hub": hub, "keys": [key.to_body() for key in keys]}


def parse_distrust(entry: LiveEntry, body: dict[str, Any]) -> Distrust:
    """Reads a body of kind ``distrust``.

    Raises:
        TrustError: it does not hold.
    """
    read = _convert(body, _Distrust, "a distrust has exactly rule, reason and decided_at")
    rule = parse_distrust_rule(read.rule)
    return Distrust(entry, rule, read.reason, from_seconds(read.decided_at))


def parse_notice(entry: LiveEntry, body: dict[str, Any]) -> Notice:
    """Reads a body of kind ``notice``.

    Raises:
        StatementError: it does not hold.
    """
    read = _convert(body, _Notice, "a notice has a topic and a time")
    urn, mark, topic = entry.subject.partition("#")
    if not mark or not urn or topic != read.topic:
        raise StatementError("the subject is not that of the notice")
    return Notice(entry, urn, topic, from_seconds(read.at), body)


def parse_silence(entry: LiveEntry, body: dict[str, Any]) -> Silence:
    """Reads a body of kind ``silence``.

    Raises:
        StatementError: it does not hold.
    """
    read = _convert(body, _Silence, "a silence has exactly a time")
    if names.region_of(entry.subject) is None:
        raise StatementError("the subject is the URN of the region")
    return Silence(entry, from_seconds(read.since))


def parse_superior(entry: LiveEntry, body: dict[str, Any]) -> Superior:
    """Reads a body of kind ``superior``.

    Raises:
        TrustError: it does not hold.
    """
    read = _convert(body, _Superior, "a superior has exactly hub and keys")
    if read.hub != entry.subject or not names.is_hub_urn(read.hub):
        raise StatementError("the subject is the URN of the superior")
    keys = parse_member_keys(read.keys, decode=False)
    uses = {key.use for key in keys}
    if not {KeyUse.FEED} <= uses <= {KeyUse.FEED, KeyUse.TOKEN}:
        raise StatementError("a superior has feed keys, and perhaps token keys")
    return Superior(entry, read.hub, keys)


def payload_of(token: str) -> Any:
    """Parses the payload of a token that was verified when it was put in."""
    return msgspec.json.decode(base64url.decode(token.split(".")[1].encode("ascii")))


class _Distrust(msgspec.Struct, forbid_unknown_fields=True):
    rule: dict[str, Any]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REASON_LENGTH)]
    decided_at: Seconds


class _Notice(msgspec.Struct):
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOPIC_LENGTH)]
    at: Seconds


class _Silence(msgspec.Struct, forbid_unknown_fields=True):
    since: Seconds


class _Superior(msgspec.Struct, forbid_unknown_fields=True):
    hub: str
    keys: list[Any]


def _convert(body: dict[str, Any], kind: type[Any], otherwise: str) -> Any:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError:
        raise StatementError(otherwise) from None
