"""From database rows to values and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from gateway.store.records import (
    AuditRow,
    ChallengeRow,
    EnrolmentRow,
    FeedRow,
    MemberRow,
    StatementRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Row


def member_values(member: MemberRow) -> dict[str, Any]:
    """The columns of a member, without its revision."""
    return {
        "urn": member.urn,
        "kind": member.kind,
        "state": member.state,
        "display_name": member.display_name,
        "record": dict(member.record),
        "enrolment_id": member.enrolment_id,
        "changed_at": member.changed_at,
        "approved_at": member.approved_at,
        "approvals": list(member.approvals),
        "report": sa.null() if member.report is None else dict(member.report),
    }


def member_from_row(row: Row[Any]) -> MemberRow:
    """A row of ``members``."""
    return MemberRow(
        urn=row.urn,
        kind=row.kind,
        state=row.state,
        display_name=row.display_name,
        record=row.record,
        enrolment_id=row.enrolment_id,
        changed_at=row.changed_at,
        approved_at=row.approved_at,
        approvals=tuple(row.approvals),
        report=row.report,
        revision=row.revision,
    )


def enrolment_from_rows(row: Row[Any], challenge_rows: Iterable[Row[Any]]) -> EnrolmentRow:
    """A row of ``enrolments`` with its rows of ``challenges``."""
    return EnrolmentRow(
        enrolment_id=row.enrolment_id,
        urn=row.urn,
        statement=row.statement,
        statement_key_id=row.statement_key_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        challenges=tuple(
            ChallengeRow(key_id=c.key_id, digest=bytes(c.digest), proven=c.proven)
            for c in challenge_rows
        ),
        kind=row.kind,
    )


def statement_from_row(row: Row[Any]) -> StatementRow:
    """A row of ``statements``."""
    return StatementRow(
        digest=row.digest,
        urn=row.urn,
        kind=row.kind,
        name=row.name,
        token=row.token,
        received_at=row.received_at,
        sequence=row.sequence,
    )


def feed_from_row(row: Row[Any]) -> FeedRow:
    """A row of ``feed_entries``."""
    return FeedRow(
        sequence=row.sequence,
        kind=row.kind,
        subject=row.subject,
        token=row.token,
        digest=row.digest,
        issued_at=row.issued_at,
        withdrawn=row.withdrawn,
    )


def audit_from_row(row: Row[Any]) -> AuditRow:
    """A row of ``audit``."""
    return AuditRow(
        number=row.number,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        reason=row.reason,
        sequence=row.sequence,
    )
