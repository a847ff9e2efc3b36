"""Nothing is written to a hub under test unless the command line says that it may be."""

from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from conformance_tests.cli import app
from conformance_tests.crypto import new_signing_key, unsafe_claims
from conformance_tests.model import Exit, Role
from conformance_tests.peer.common import private_members, write_json
from conformance_tests.peer.serve import serve_peer
from conformance_tests.profile import (
    ProfileError,
    load_profile,
    with_also,
    with_disposable,
    without_disposable,
)
from conformance_tests.registry import load_cases
from conformance_tests.roles.hub import HubBench
from conformance_tests.runner import run_cases

RUN = ["run", "--role", "hub", "--profile"]
FIRST = "urn:hutong:operator:first"


@pytest.fixture
def written(tmp_path):
    """A profile that declares itself disposable."""
    write_json(tmp_path / "anchor.json", {"hub": "urn:hutong:hub:000000", "keys": []})
    path = tmp_path / "profile.yaml"
    entries = {
        "role": "hub",
        "target": "127.0.0.1:9",
        "insecure": True,
        "anchor": "anchor.json",
        "token_url": "http://127.0.0.1:9",
        "capabilities": ["disposable", "disposable.barred"],
    }
    path.write_text(yaml.safe_dump(entries))
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "H-ENROL-001"],
        ["--operator", "operator.toml"],
        ["--prefix", "65"],
    ],
)
def test_what_writes_to_a_hub_is_refused_without_the_word(written, words) -> None:
    done = CliRunner().invoke(app, [*RUN, str(written), *words])
    assert done.exit_code == Exit.COULD_NOT_RUN
    assert "writes to the hub under test" in " ".join(done.stderr.split())
    assert "--disposable" in done.stderr


def test_a_profile_alone_lets_nothing_write(written) -> None:
    kept = without_disposable(load_profile(written))
    assert kept.capabilities == frozenset()
    assert with_disposable(kept).capabilities == {"disposable"}
    assert with_also(kept, "127.0.0.1:1").need("also") == "127.0.0.1:1"


def test_an_operator_is_read_from_the_file_that_the_hub_made(written, tmp_path) -> None:
    folder = tmp_path / "operator"
    folder.mkdir()
    write_json(folder / "key.json", private_members(new_signing_key()))
    (folder / "operator.toml").write_text(f'urn = "{FIRST}"\nkey = "key.json"\nhub = "x:1"\n')
    profile = with_disposable(
        load_profile(written), operators=[folder / "operator.toml"], prefix="65"
    )
    (named,) = profile.need("disposable", "operators")
    assert named["urn"] == FIRST
    assert "d" in profile.read_json(named["key"])
    assert profile.need("disposable", "prefix") == "65"


@pytest.mark.parametrize("text", [None, "[", 'urn = "x"'])
def test_a_file_that_names_no_operator_says_so(written, tmp_path, text) -> None:
    path = tmp_path / "operator.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProfileError, match="operator"):
        with_disposable(load_profile(written), operators=[path])


@pytest.mark.asyncio
async def test_without_the_word_a_sound_hub_is_left_as_it_was(tmp_path) -> None:
    async with serve_peer(Role.HUB, tmp_path) as path:
        profile = without_disposable(load_profile(path))
        results = await run_cases(profile, HubBench(profile), load_cases(Role.HUB))
        bench = HubBench(profile)
        async with bench:
            _, entries = await bench._reader._read_snapshot()
    skipped = {each.case.id for each in results if each.status == "not applicable"}
    assert skipped == {case.id for case in load_cases(Role.HUB) if "disposable" in case.needs}
    assert not any("region:65" in entry for entry in map(str, map(unsafe_claims, entries)))


@pytest.mark.asyncio
async def test_one_operator_is_too_few_and_a_prefix_is_two_digits(tmp_path) -> None:
    cases = [case for case in load_cases(Role.HUB) if case.id == "H-APPROVE-001"]
    async with serve_peer(Role.HUB, tmp_path) as path:
        profile = load_profile(path)
        section = dict(profile.need("disposable"))
        told = []
        for change in ({"operators": section["operators"][:1]}, {"prefix": "650"}):
            entries = {**profile.entries, "disposable": {**section, **change}}
            broken = type(profile)(
                profile.role, profile.target, profile.folder, entries, profile.capabilities
            )
            (result,) = await run_cases(broken, HubBench(broken), cases)
            told.append((result.status, result.detail))
    assert [status for status, _ in told] == ["untestable", "untestable"]
    assert "--operator twice" in told[0][1]
    assert "two digits" in told[1][1]
