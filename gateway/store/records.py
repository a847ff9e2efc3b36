"""The rows as values.

The store knows neither signatures nor protobuf: tokens are opaque text,
documents are JSON objects, kinds and states are the upper-snake names of
``hutong.v1`` without their prefix. All datetimes are aware, UTC, whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member of the federation.

    Attributes:
        urn: name of the member, the key of the table.
        kind: REGION, CHECKPOINT, OPERATOR or HUB.
        state: CHALLENGED, PENDING, ACTIVE, SUSPENDED or WITHDRAWN.
        display_name: name to show.
        record: what its enrolment said, as a JSON object.
        enrolment_id: the enrolment that brought it.
        changed_at: when the state last changed.
        approved_at: when operators first approved it; None: never.
        approvals: URNs of the operators who approved it so far, in their order.
        report: digest and counts of the conformance report it brought; None: none.
        revision: grows by one with every change of any member; set by the store.
    """

    urn: str
    kind: str
    state: str
    display_name: str
    record: Mapping[str, Any]
    enrolment_id: str
    changed_at: datetime
    approved_at: datetime | None = None
    approvals: tuple[str, ...] = ()
    report: Mapping[str, Any] | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    """What must come back for one sealing key.

    Attributes:
        key_id: thumbprint of the sealing key.
        digest: SHA-256 of the 32 bytes; the bytes themselves are not kept.
        proven: the bytes came back.
    """

    key_id: str
    digest: bytes
    proven: bool = False


@dataclass(frozen=True, slots=True)
class EnrolmentRow:
    """One enrolment, kept also after its member was approved, or one change of keys.

    Attributes:
        enrolment_id: random, names the enrolment towards whoever handed it in.
        urn: the member it asks for.
        statement: the signed enrolment statement.
        statement_key_id: thumbprint of the key that signed it.
        created_at: when it was accepted.
        expires_at: after when its challenges are void.
        challenges: one a sealing key.
        kind: ``enrolment``, or ``keys``: a change of keys that waits for its proof.
    """

    enrolment_id: str
    urn: str
    statement: str
    statement_key_id: str
    created_at: datetime
    expires_at: datetime
    challenges: tuple[ChallengeRow, ...] = field(default=())
    kind: str = "enrolment"


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A signed statement of a member, published or waiting for its approval.

    Attributes:
        digest: SHA-256 of the token, base64url; the key of the table.
        urn: the member that signed it.
        kind: ``scheme`` or ``policy``.
        name: what a later one supersedes, for example a member and a scheme family.
        token: the compact JWS.
        received_at: when the hub took it.
        sequence: the feed entry that carries it; None: not published yet.
    """

    digest: str
    urn: str
    kind: str
    name: str
    token: str
    received_at: datetime
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One entry of the feed; never changed once written.

    Attributes:
        sequence: consecutive, from 1.
        kind: what the entry is about.
        subject: who it is about; the newest entry of (kind, subject) is in force.
        token: the compact JWS of the hub.
        digest: digest of the token, which the next entry repeats.
        issued_at: when it was signed.
        withdrawn: it is a tombstone.
    """

    sequence: int
    kind: str
    subject: str
    token: str
    digest: str
    issued_at: datetime
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit; never changed, never removed.

    Attributes:
        number: consecutive, from 1; set by the store.
        at: when.
        actor: URN of who did it; empty: the hub itself.
        action: lower-kebab word.
        subject: to whom or what.
        reason: as the actor said; never a personal value.
        sequence: the last feed entry it led to; zero: none.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str = ""
    sequence: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class FeedStateRow:
    """Where the feed stands.

    Attributes:
        floor: sequence number up to which superseded entries may be gone; every
            entry above it is there.
        last_sequence: of the newest entry; zero before the first.
        last_digest: of the newest entry; empty before the first.
        last_issued_at: of the newest entry; None before the first.
    """

    floor: int
    last_sequence: int
    last_digest: str
    last_issued_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What changed since a revision and a sequence number, read at one moment.

    Attributes:
        members: changed members, by revision.
        entries: feed entries, by sequence number.
        feed_state: where the feed stands.
    """

    members: tuple[MemberRow, ...]
    entries: tuple[FeedRow, ...]
    feed_state: FeedStateRow


@dataclass(frozen=True, slots=True)
class StatusListRow:
    """A base status list of a region; never changed once written.

    Attributes:
        digest: base64url SHA-256 of the token; the key of the table.
        uri: which list it is.
        urn: the authority that signed it.
        token: the compact JWS.
        received_at: when the hub took it.
        expires_at: end of the list: nothing that names it is valid any more.
    """

    digest: str
    uri: str
    urn: str
    token: bytes
    received_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Use within one hour, to be added to what is already counted.

    Attributes:
        caller: URN of the member that asked.
        region: division that was asked, six digits.
        purpose: declared purpose.
        hour: start of the hour, UTC.
        envelopes: sealed questions forwarded.
        bytes: sealed bytes carried, both ways.
    """

    caller: str
    region: str
    purpose: str
    hour: datetime
    envelopes: int
    bytes: int
