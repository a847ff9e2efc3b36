"""Recognition policies: what a destination region accepts, as ordered rules.

The first rule that matches decides; where none does, a person does (``REFER``).
What a rule may not do stands in :mod:`gateway.recognition.rules`.

Periods are UTC, ``valid_until`` exclusive. A policy is one dated version; the
versions of one region must not overlap (:func:`check_versions`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from gateway.codes.divisions import DivisionError, parse_division
from gateway.codes.levels import Level, Outcome
from gateway.codes.yamldoc import Problem
from gateway.recognition.conditions import conditions_about
from gateway.recognition.freshness import MAX_REPLAY_MINUTES, quiet_ages
from gateway.recognition.rules import PolicyError, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from gateway.recognition.conditions import Conditions
    from gateway.recognition.freshness import Freshness, QuietAges, Replay
    from gateway.recognition.reasons import Words

MAX_RULES: Final = 200
"""Most rules of one policy: each of 34 provinces several times. Our choice."""

MAX_AGE_HOURS: Final = 31 * 24
"""Oldest trust, policy or source record that a policy may tolerate. Our choice:
beyond a month a checkpoint is not part of the federation."""

POLICY_ID = re.compile(r"([0-9]{6})@[0-9a-z][0-9a-z.-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AgeLimits:
    """How old what a decision rests on may be, in hours, inclusive.

    Attributes:
        trust: newest verified word of the hub; beyond it everything is referred.
        policy: this policy's own confirmation; beyond it everything is referred.
        source: last update of the platform's record; beyond it nobody is admitted.
    """

    trust: int
    policy: int
    source: int

    def __post_init__(self) -> None:
        if not all(1 <= hours <= MAX_AGE_HOURS for hours in (self.trust, self.policy, self.source)):
            raise PolicyError(
                [Problem(0, "ages", "an age outside 1 to 744 hours", "write 1 to 744")]
            )


@dataclass(frozen=True, slots=True)
class Policy:
    """One dated version of a region's rules.

    Attributes:
        id: the region and the version, ``440100@2020-04``.
        region: six digits of the destination.
        name: of the region's policy, for people.
        valid_from: UTC, inclusive.
        valid_until: UTC, exclusive; None: until replaced.
        ages: how old what a decision rests on may be.
        rules: in order; the first that matches decides.
        freshness: steps by age; None: the limits of ``ages`` alone.
        replay: what follows from a repeat elsewhere; None: nothing, and none is asked for.
        following: the policy that takes its place, announced before it begins; None: none
            is announced.
    """

    id: str
    region: str
    name: Words
    valid_from: datetime
    valid_until: datetime | None
    ages: AgeLimits
    rules: tuple[Rule, ...]
    freshness: Freshness | None = None
    replay: Replay | None = None
    following: Policy | None = None
    _by_subject: Mapping[Level | Outcome | None, tuple[tuple[Rule, Conditions], ...]] = field(
        init=False, repr=False, compare=False
    )
    _quiet_ages: QuietAges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Decisions are made for every traveller: only the rules that may be about
        # the level at hand are held against it. Frozen, hence the detour.
        object.__setattr__(
            self,
            "_by_subject",
            {
                subject: tuple(
                    (rule, conditions_about(rule.match, subject))
                    for rule in self.rules
                    if rule.match.may_be_about(subject)
                )
                for subject in (*Level, *Outcome, None)
            },
        )
        object.__setattr__(self, "_quiet_ages", quiet_ages(self.ages, self.freshness))
        problems = []
        found = POLICY_ID.fullmatch(self.id)
        if found is None or found[1] != self.region:
            problems.append(
                Problem(0, "id", "not the region, @ and a version", "write 440100@2020-04")
            )
        try:
            parse_division(self.region)
        except DivisionError:
            problems.append(Problem(0, "region", "no known division", "write its six digits"))
        if self.valid_from.tzinfo is None or (
            self.valid_until is not None
            and (self.valid_until.tzinfo is None or self.valid_until <= self.valid_from)
        ):
            problems.append(
                Problem(0, "valid_until", "not after valid_from", "write a later moment")
            )
        if not 1 <= len(self.rules) <= MAX_RULES:
            problems.append(
                Problem(0, "rules", f"1 to {MAX_RULES} rules are needed", "write the rules")
            )
        if len({rule.id for rule in self.rules}) != len(self.rules):
            problems.append(Problem(0, "rules", "two rules share an id", "rename one"))
        if self.freshness is not None:
            problems += [
                Problem(0, ".".join(path), message, fix)
                for path, message, fix in self.freshness.faults(self.ages, MAX_AGE_HOURS)
            ]
        if self.replay is not None and not 1 <= self.replay.minutes <= MAX_REPLAY_MINUTES:
            problems.append(
                Problem(
                    0,
                    "replay.minutes",
                    f"not 1 to {MAX_REPLAY_MINUTES} minutes",
                    f"write 1 to {MAX_REPLAY_MINUTES}",
                )
            )
        if self.following is not None:
            problems += [
                Problem(0, f"next.{path}", message, fix)
                for path, message, fix in following_faults(
                    self.following, self.id, self.region, self.valid_from, self.valid_until
                )
            ]
        if problems:
            raise PolicyError(problems)

    def at(self, moment: datetime) -> Policy:
        """The version that counts at a moment: this one, or the one that has followed it."""
        after = self.following
        return self if after is None or moment < after.valid_from else after

    def rules_about(self, subject: Level | Outcome | None) -> tuple[tuple[Rule, Conditions], ...]:
        """The rules that may be about a level, an outcome, or a refusal (None).

        In order, each with its conditions ready to be held against a case.
        """
        return self._by_subject[subject]

    @property
    def quiet_ages(self) -> QuietAges:
        """Up to which ages nothing is to be said of them."""
        return self._quiet_ages

    def in_force(self, moment: datetime) -> bool:
        """Whether the policy is in force at a moment."""
        until = self.valid_until if self.following is None else self.following.valid_from
        return self.valid_from <= moment and (until is None or moment < until)

    def to_document(self) -> dict[str, Any]:
        """A JSON value, which is what a region signs; ``load_policy`` reads it back."""
        document: dict[str, Any] = {
            "id": self.id,
            "region": self.region,
            "name": self.name.to_json(),
            "valid_from": _moment_text(self.valid_from),
        }
        if self.valid_until is not None:
            document["valid_until"] = _moment_text(self.valid_until)
        document["ages"] = {
            "trust_hours": self.ages.trust,
            "policy_hours": self.ages.policy,
            "source_hours": self.ages.source,
        }
        if self.freshness is not None:
            document["freshness"] = self.freshness.to_document()
        if self.replay is not None:
            document["replay"] = self.replay.to_document()
        document["rules"] = [rule.to_document() for rule in self.rules]
        if self.following is not None:
            document["next"] = self.following.to_document()
        return document


def following_faults(
    following: Policy,
    policy_id: str | None,
    region: str | None,
    valid_from: datetime,
    valid_until: datetime | None,
) -> Iterator[tuple[str, str, str]]:
    """What keeps a policy from following another: path, message and fix of each fault."""
    if following.region != region:
        yield "region", "is another region", "write the region of the policy that it follows"
    if following.id == policy_id:
        yield "id", "is the id of the policy that it follows", "give each version its own"
    if following.valid_from <= valid_from:
        yield "valid_from", "does not begin after the policy that it follows", "write a later day"
    if valid_until is not None:
        yield (
            "valid_from",
            "ends the policy that it follows, which names an end of its own",
            "leave valid_until out there",
        )
    if following.following is not None:
        yield "next", "is a second step ahead", "announce it when the first has begun"


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def check_versions(policies: Iterable[Policy]) -> None:
    """Holds the versions of each region against each other.

    Raises:
        PolicyError: two of one region have the same id or overlap in time.
    """
    problems = []
    seen: list[Policy] = []
    for policy in sorted(policies, key=lambda each: each.valid_from):
        for earlier in seen:
            if earlier.region != policy.region:
                continue
            if earlier.id == policy.id:
                problems.append(
                    Problem(0, policy.id, "the same id twice", "give each version its own")
                )
            elif earlier.valid_until is None or policy.valid_from < earlier.valid_until:
                problems.append(
                    Problem(
                        0,
                        policy.id,
                        f"overlaps {earlier.id}",
                        "end the earlier version where the later begins",
                    )
                )
        seen.append(policy)
    if problems:
        raise PolicyError(problems)


def policy_at(policies: Iterable[Policy], region: str, moment: datetime) -> Policy | None:
    """The version of a region in force at a moment; None: there is none.

    Raises:
        PolicyError: the versions overlap.
    """
    own = [policy for policy in policies if policy.region == region]
    check_versions(own)
    return next((policy for policy in own if policy.in_force(moment)), None)
