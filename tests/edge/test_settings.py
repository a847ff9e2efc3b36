"""checkpoint.toml and the key file: every fault has its reason and leaks no value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge.enrolment import load_enrolment, save_enrolment
from gateway.edge.errors import SettingsError
from gateway.edge.keys import create_keys, load_keys
from gateway.edge.settings import load_settings
from gateway.wire.settings_file import MAX_SETTINGS_BYTES

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "urn": "urn:hutong:checkpoint:440100:north-gate",
    "region": "440100",
    "hub": "hub.example:7443",
    "http": "https://hub.example:7480/",
    "trust_anchor": "anchor.json",
    "key_file": "key.json",
    "state_dir": "state",
}


def write(folder: Path, **changes: object) -> Path:
    members = {name: value for name, value in (GOOD | changes).items() if value is not None}
    path = folder / "checkpoint.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in members.items()))
    return path


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    loaded = load_settings(write(tmp_path))
    assert loaded.key_file == tmp_path / "key.json"
    assert loaded.replica_file == tmp_path / "state" / "feed.replica"
    assert loaded.http == "https://hub.example:7480"
    assert loaded.ca_file is None


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_CHECKPOINT_HUB", "other.example:1")
    assert load_settings(write(tmp_path)).hub == "other.example:1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hub": None}, "hub"),
        ({"hubb": "x"}, "hubb"),
        ({"urn": "urn:hutong:checkpoint:440100:NORTH"}, "urn"),
        ({"urn": "urn:hutong:region:440100"}, "urn"),
        ({"region": "330100"}, "region is not the one"),
        ({"region": "990000"}, "region"),
        ({"hub": "https://hub.example"}, "host:port"),
        ({"http": "hub.example"}, "http"),
        ({"http": "https://user:secret@hub.example"}, "password"),
        ({"purpose": "HOLDER"}, "purpose"),
        ({"max_trust_age_seconds": 1}, "max_trust_age_seconds"),
        ({"question_timeout_seconds": 61}, "question_timeout_seconds"),
        ({"max_in_flight": 0}, "max_in_flight"),
    ],
)
def test_a_member_that_breaks_its_rule_is_named(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, **changes))
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"urn = ",
        b'urn = "a"\nurn = "b"\n',
        b"x" * (MAX_SETTINGS_BYTES + 1),
        "urn = '健'".encode("gb18030"),
    ],
)
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "checkpoint.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert caught.value.code == "SETTINGS_INVALID"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_settings_or_a_settings_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError):
        load_settings(path)


def test_keys_are_drawn_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    drawn = create_keys(path)
    assert load_keys(path).state.key_id == drawn.state.key_id
    assert drawn.state.key_id != drawn.authenticate.key_id
    with pytest.raises(SettingsError):
        create_keys(path)
    assert load_keys(path).authenticate.key_id == drawn.authenticate.key_id
    secret = json.loads(path.read_text())["keys"][0]["jwk"]["d"]
    assert secret not in repr(drawn)


@pytest.mark.parametrize("fault", ["missing", "readable", "torn", "lacking", "foreign", "public"])
def test_a_key_file_that_does_not_hold_is_refused(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "key.json"
    create_keys(path)
    text = path.read_text()
    content = json.loads(text)
    if fault == "missing":
        path.unlink()
    elif fault == "readable":
        path.chmod(0o640)
    elif fault == "torn":
        path.write_text(text[:-20])
    elif fault == "lacking":
        path.write_text(json.dumps({"keys": content["keys"][:1]}))
    elif fault == "foreign":
        path.write_text(json.dumps(content | {"more": 1}))
    else:
        del content["keys"][0]["jwk"]["d"]
        path.write_text(json.dumps(content))
    with pytest.raises(SettingsError) as caught:
        load_keys(path)
    for entry in content["keys"]:
        assert entry["jwk"].get("d", "\n") not in str(caught.value)


@pytest.mark.parametrize("data", ["", "{}", "[]", '{"enrolment_id": 7}', '{"enrolment_id": ""}'])
def test_an_enrolment_file_that_does_not_hold_is_refused(tmp_path: Path, data: str) -> None:
    path = tmp_path / "enrolment.json"
    assert load_enrolment(path) is None
    save_enrolment(path, "e-1")
    assert load_enrolment(path) == "e-1"
    path.write_text(data)
    with pytest.raises(SettingsError):
        load_enrolment(path)
