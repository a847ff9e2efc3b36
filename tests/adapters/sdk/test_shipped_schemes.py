"""What every scheme that ships with this project has to say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters.sdk import load_city
from gateway.codes.levels import RESTRICTIVENESS, Level

if TYPE_CHECKING:
    from gateway.codes.schemes import Scheme

_SCHEMES = Path(__file__).parents[3] / "adapters" / "schemes"
FOLDERS = sorted(path.parent for path in _SCHEMES.glob("*/scheme.yaml"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def scheme(request: pytest.FixtureRequest) -> Scheme:
    return load_city(request.param)


def test_it_says_of_every_version_what_is_lost_and_what_was_chosen(scheme: Scheme) -> None:
    for version in scheme.versions:
        assert version.lost is not None, version.id
        assert version.evidence, version.id
        assert version.choices, version.id


def test_it_says_of_every_state_what_it_means_and_where_that_is_known_from(
    scheme: Scheme,
) -> None:
    for version in scheme.versions:
        for state in version.states.values():
            where = f"{version.id} {state.state}"
            assert state.meaning_zh, where
            assert state.meaning_en, where
            assert state.evidence, where


def test_it_says_of_every_restriction_how_one_gets_out_of_it_or_that_nobody_knows(
    scheme: Scheme,
) -> None:
    for version in scheme.versions:
        is_unknown = any("未知/unknown" in choice.what for choice in version.choices)
        for state in version.states.values():
            if state.level not in (None, Level.GREEN):
                where = f"{version.id} {state.state}"
                assert is_unknown or (state.release_zh and state.release_en), where


def test_no_conversion_lifts_a_restriction(scheme: Scheme) -> None:
    for version in scheme.versions:
        rule = version.import_rule
        if rule is not None:
            given = version.states[rule.state].level
            assert given is not None
            for level in rule.levels:
                assert RESTRICTIVENESS[level] <= RESTRICTIVENESS[given]
