"""Keys that stay in their module, with SoftHSM."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.attestation import signing_key_from_jwk
from gateway.attestation.sealing_keys import sealing_key_from_jwk
from gateway.trust import jws
from gateway.wire.files import FileError
from gateway.wire.pkcs11_keys import make_signing_key, open_signing_key, parse_uri
from gateway.wire.private_files import read_private_key
from tests.attestation.samples import verification_key

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so")
MODULE = next((path for path in MODULES if Path(path).exists()), None)
TOOL = shutil.which("softhsm2-util")
PIN = "5381"  # synthetic

needs_softhsm = pytest.mark.skipif(
    MODULE is None or TOOL is None, reason="SoftHSM is not installed"
)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a token; the module reads its configuration once a process."""
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "city",
            "--pin",
            PIN,
            "--so-pin",
            PIN,
        ],
        check=True,
        capture_output=True,
    )
    pin = folder / "pin.txt"
    pin.write_text(PIN + "\n")
    pin.chmod(0o600)
    return folder


def uri(name: str, *, label: str = "city", pin: str = "pin.txt") -> str:
    return f"pkcs11:token={label};object={name}?module-path={MODULE}&pin-source=file:{pin}"


@needs_softhsm
def test_a_key_made_in_a_module_signs_what_everybody_verifies(token: Path) -> None:
    made = make_signing_key(parse_uri(uri("attest")), token)
    file = token / "attest.json"
    file.write_text(json.dumps({"pkcs11": uri("attest")}))
    file.chmod(0o600)
    read = read_private_key(file, signing_key_from_jwk)
    assert read.key_id == made.key_id
    assert read.algorithm == "ES256"
    signed = jws.sign({"iss": "urn:hutong:region:330100"}, read, typ="hutong-statement+jwt")
    parsed = jws.take_apart(signed, typ="hutong-statement+jwt", max_bytes=4096)
    parsed.check_signature(verification_key(read))
    with pytest.raises(NotImplementedError):
        read.private.private_numbers()  # type: ignore[union-attr]


@needs_softhsm
def test_a_second_key_of_one_name_is_not_made(token: Path) -> None:
    first = make_signing_key(parse_uri(uri("state")), token)
    with pytest.raises(FileError, match="stands in the token already"):
        make_signing_key(parse_uri(uri("state")), token)
    assert open_signing_key(parse_uri(uri("state")), token).key_id == first.key_id


@needs_softhsm
@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"name": "nobody"}, "key pair is not there"),
        ({"name": "attest", "label": "other"}, "does not open"),
        ({"name": "attest", "pin": "absent.txt"}, "no PIN"),
    ],
)
def test_what_is_not_there_is_named(token: Path, where: dict[str, str], message: str) -> None:
    with pytest.raises(FileError, match=message) as caught:
        open_signing_key(parse_uri(uri(**where)), token)
    assert PIN not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pkcs11:token=city",
        "pkcs11:token=city;object=a?module-path=/m",
        "pkcs11:token=city;object=a?module-path=/m&pin-source=https://pin.example",
        "pkcs11:token=city;object=a;id=%01?module-path=/m&pin-source=file:p",
        f"pkcs11:token=city;object=a?module-path=/m&pin-value={PIN}",
    ],
)
def test_a_uri_outside_the_profile_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(FileError) as caught:
        parse_uri(text)
    assert PIN not in f"{caught.value} {caught.value.fix}"


def test_a_sealing_key_does_not_stand_in_a_module(tmp_path: Path) -> None:
    file = tmp_path / "seal.json"
    file.write_text(json.dumps({"pkcs11": uri("seal")}))
    file.chmod(0o600)
    with pytest.raises(FileError, match="signing keys only"):
        read_private_key(file, sealing_key_from_jwk)
