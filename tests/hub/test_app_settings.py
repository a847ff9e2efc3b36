from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.attestation.keys import signing_key_to_jwk
from gateway.hub.errors import HubSetupError
from gateway.hub.keys import load_signing_key, save_signing_key
from gateway.hub.settings import parse_settings
from gateway.hub.setup import load_operator_profile
from tests.hub.hub_world import signing_key

if TYPE_CHECKING:
    from pathlib import Path


_URN = 'urn = "urn:hutong:hub:000000"\n'
"""The one member without a default; first, before any table begins."""


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = _URN + 'store = "sqlite:///data/hub.db"\n[keys]\nfeed = "a.json"'
    read = parse_settings(text, tmp_path)
    assert read.store == f"sqlite:///{tmp_path / 'data/hub.db'}"
    assert read.keys.feed == tmp_path / "a.json"
    assert read.tls.certificate == tmp_path / "tls/hub.pem"


def test_absolute_paths_and_other_databases_stay_as_they_are(tmp_path: Path) -> None:
    for dsn in ("sqlite:////var/hub.db", "postgresql://hub@db.invalid/hub"):
        assert parse_settings(f'{_URN}store = "{dsn}"', tmp_path).store == dsn


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_HUB_STORE", "postgresql://hub@db.invalid/hub")
    monkeypatch.setenv("HUTONG_HUB_GRPC__PORT", "9000")
    read = parse_settings(_URN + "[grpc]\nport = 1\nhost = '::1'", tmp_path)
    assert read.store == "postgresql://hub@db.invalid/hub"
    assert (read.grpc.host, read.grpc.port) == ("::1", 9000)


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ("nothing = 1", "nothing"),
        ("[grpc]\nnothing = 1", "grpc.nothing"),
        ('urn = "urn:hutong:region:330100"', "urn"),
        ("", "urn"),
        ("[tokens]\nlifetime_seconds = 3601", "tokens.lifetime_seconds"),
        ('[http]\npublic_url = "http://hub.invalid"', "http.public_url"),
        ("grpc = 1", "grpc"),
    ],
)
def test_a_fault_names_its_member_and_not_its_value(tmp_path: Path, text: str, member: str) -> None:
    with pytest.raises(HubSetupError) as caught:
        parse_settings(text if member == "urn" else _URN + text, tmp_path)
    assert f": {member}: " in str(caught.value)
    assert "hub.invalid" not in str(caught.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_settings_or_refused(tmp_path: Path, text: str) -> None:
    with suppress(HubSetupError):
        assert parse_settings(text, tmp_path).urn.startswith("urn:hutong:hub:")


def test_a_key_is_saved_for_its_owner_alone_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys/feed.json"
    save_signing_key(path, signing_key("x"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_signing_key(path).key_id == signing_key("x").key_id
    with pytest.raises(HubSetupError):
        save_signing_key(path, signing_key("y"))
    assert load_signing_key(path).key_id == signing_key("x").key_id


GOOD = signing_key_to_jwk(signing_key("x"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        json.dumps({k: v for k, v in GOOD.items() if k != "d"}),
        json.dumps(GOOD | {"kid": "A" * 43}),
        json.dumps(GOOD | {"d": "AAAA"}),
        json.dumps(GOOD) + " " * 20_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_file_that_is_no_private_key_is_refused_without_its_text(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(HubSetupError) as caught:
        load_signing_key(path)
    assert GOOD["d"] not in str(caught.value)


@pytest.mark.parametrize("text", ["x", "urn = 1", 'urn = "a"', 'nothing = "x"'])
def test_an_operators_file_that_does_not_load_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "operator.toml"
    path.write_text(text)
    with pytest.raises(HubSetupError) as caught:
        load_operator_profile(path)
    assert "operator.toml" in str(caught.value)
