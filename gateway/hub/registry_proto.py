"""From the registry's values to ``hutong.v1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import registry_service_pb2 as pb

from gateway.hub.registry_base import IN_FEED
from gateway.trust import MemberKind, MemberState

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.hub.admission import Challenge
    from gateway.hub.members import Member
    from gateway.hub.registry_base import Constraint
    from gateway.trust import MemberKey
    from gateway.trust.findings import Finding


def member_to_proto(
    member: Member, *, approvals_needed: int = 0, allowance: pb.Allowance | None = None
) -> pb.Member:
    """The member as the registry shows it."""
    is_active = member.state is MemberState.ACTIVE
    report = member.row.report or {}
    return pb.Member(
        urn=member.row.urn,
        kind=pb.MemberKind.Value(f"MEMBER_KIND_{member.row.kind}"),
        state=state_to_proto(member.state),
        display_name=member.row.display_name,
        prefixes=member.body.prefixes,
        endpoint=member.body.endpoint or "",
        key_ids=[key.key_id for key in member.body.keys],
        changed_at=timestamp(member.row.changed_at),
        enrolment_id="" if is_active else member.row.enrolment_id,
        approved_by=member.row.approvals,
        approvals_needed=approvals_needed,
        report_digest=report.get("digest", ""),
        report_passed=report.get("passed", 0),
        report_failed=report.get("failed", 0),
        allowance=allowance,
    )


def allowance_to_proto(
    member: Member, bounds: Constraint, own_path_length: int | None
) -> pb.Allowance | None:
    """What the hub allows a member; None: the feed does not name such a member.

    Args:
        member: the member.
        bounds: what this hub allows it.
        own_path_length: hubs that the hub above allows below this one; None: there is
            none above, or it has not said so yet.
    """
    if member.body.kind not in IN_FEED:
        return None
    is_hub = member.body.kind is MemberKind.HUB
    return pb.Allowance(
        kinds=sorted(bounds.kinds),
        max_attestation_seconds=bounds.max_attestation_seconds,
        path_length=bounds.path_length if is_hub else 0,
        only_here=is_hub and own_path_length == 0,
    )


def state_to_proto(state: MemberState) -> pb.MemberState.ValueType:
    """Where a member stands."""
    return pb.MemberState.Value(f"MEMBER_STATE_{state.name}")


def state_name(state: pb.MemberState.ValueType) -> str:
    """Name of a state, without its prefix."""
    return pb.MemberState.Name(state).removeprefix("MEMBER_STATE_")


def challenge_to_proto(challenge: Challenge) -> pb.SealedChallenge:
    """A challenge on its way out."""
    return pb.SealedChallenge(key_id=challenge.key_id, envelope=challenge.envelope)


def finding_to_proto(finding: Finding) -> pb.Finding:
    """What the linter found."""
    return pb.Finding(
        name=finding.name.value,
        weight=pb.FindingWeight.Value(f"FINDING_WEIGHT_{finding.weight.name}"),
        subject=finding.subject,
        message=finding.message,
    )


def key_to_proto(key: MemberKey, now: datetime) -> pb.KeyStanding:
    """A key as its owner sees it."""
    distrusted = key.tainted_from
    if key.revoked_at is not None:
        distrusted = key.not_before
    return pb.KeyStanding(
        key_id=key.key_id,
        use=key.use.value,
        state=pb.KeyState.Value(f"KEY_STATE_{key.state(now).name}"),
        not_before=timestamp(key.not_before),
        not_after=None if key.not_after is None else timestamp(key.not_after),
        distrusted_from=None if distrusted is None else timestamp(distrusted),
        reason=key.reason or "",
    )


def timestamp(moment: datetime) -> Timestamp:
    """A moment on the wire."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message
