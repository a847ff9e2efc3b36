from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.wire.files import FileError, FileMissingError
from gateway.wire.settings_file import (
    MAX_SETTINGS_BYTES,
    FileSettings,
    SettingsTable,
    check_members,
    read_toml,
)

if TYPE_CHECKING:
    from pathlib import Path


class Door(SettingsTable):
    host: str = "127.0.0.1"
    port: int = Field(default=7450, ge=0, le=65535)


class GateSettings(FileSettings):
    model_config = SettingsConfigDict(env_prefix="HUTONG_TEST_GATE_")

    name: str
    door: Door = Door()


def load(folder: Path, text: str | bytes) -> GateSettings:
    path = folder / "gate.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return check_members(GateSettings, read_toml(path), path)


def test_a_file_makes_settings(tmp_path: Path) -> None:
    read = load(tmp_path, 'name = "a"\n[door]\nport = 1')
    assert (read.name, read.door.host, read.door.port) == ("a", "127.0.0.1", 1)


def test_the_environment_wins_member_by_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_TEST_GATE_NAME", "b")
    monkeypatch.setenv("HUTONG_TEST_GATE_DOOR__PORT", "2")
    read = load(tmp_path, 'name = "a"\n[door]\nport = 1\nhost = "::1"')
    assert (read.name, read.door.host, read.door.port) == ("b", "::1", 2)


def test_every_fault_is_named_at_once_and_no_value(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        load(tmp_path, 'more = "secret"\n[door]\nport = 99999\nhots = "secret"')
    said = str(caught.value)
    for member in ("name: ", "more: ", "door.port: ", "door.hots: "):
        assert member in said
    assert "secret" not in said
    assert "99999" not in said
    assert caught.value.fix is not None
    assert "door.hots" in caught.value.fix


@pytest.mark.parametrize("name", ["_cli_parse_args", "_env_file", "_secrets_dir", "__init__"])
def test_no_member_steers_the_reading_itself(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gate", "--name", "typed"])
    with pytest.raises(FileError, match=f"{name}: "):
        load(tmp_path, f'{name} = true\nname = "a"')


def test_a_table_in_the_environment_that_is_no_table_is_refused_unquoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_TEST_GATE_DOOR", "secret")
    with pytest.raises(FileError, match="environment") as caught:
        load(tmp_path, 'name = "a"')
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"name = ",
        b'name = "a"\nname = "b"',
        b"name = " + b"[" * 20_000,
        b"name = " + b"1" * 5000,
        b"name = 2020-02-31",
    ],
)
def test_what_is_not_toml_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FileError, match="is not TOML"):
        load(tmp_path, data)


def test_a_file_is_there_and_a_page_long(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(FileError, match="is longer than"):
        load(tmp_path, b"#" * (MAX_SETTINGS_BYTES + 1))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_settings_or_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FileError):
        load(tmp_path, data)
