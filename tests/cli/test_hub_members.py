"""What `hutong hub approve` says that it grants."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.cli.hub_members import print_allowance
from gateway.cli.operator_client import AllowanceView, MemberView

KINDS = ("attestation", "policy", "scheme", "status")


def member(kind: str, allowance: AllowanceView | None) -> MemberView:
    return MemberView(
        urn="urn:hutong:hub:330000",
        kind=kind,
        state="ACTIVE",
        display_name="",
        prefixes=("33",),
        endpoint="",
        key_ids=(),
        changed_at=datetime(2020, 3, 1, tzinfo=UTC),
        allowance=allowance,
    )


@pytest.mark.parametrize(
    ("path_length", "below"),
    [(0, "hubs below it      none"), (2, "hubs below it      2 deep")],
)
def test_an_approval_of_a_hub_says_how_many_may_stand_below(
    path_length: int, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_allowance(member("HUB", AllowanceView(KINDS, 86_400, path_length, only_here=False)))
    shown = capsys.readouterr().out
    assert below in shown
    assert "answers for        33" in shown
    assert "attestation policy scheme status" in shown
    assert "up to 24 h" in shown
    assert "only checkpoints of this hub" not in shown


def test_a_hub_that_nobody_else_will_believe_is_told_of_at_its_approval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_allowance(member("HUB", AllowanceView(KINDS, 86_400, 0, only_here=True)))
    assert "only checkpoints of this hub" in capsys.readouterr().out


def test_who_the_feed_does_not_name_is_granted_nothing_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_allowance(member("CHECKPOINT", None))
    print_allowance(member("REGION", AllowanceView(KINDS, 3600, 0, only_here=False)))
    shown = capsys.readouterr().out
    assert "hubs below it" not in shown
    assert "up to 1 h" in shown
