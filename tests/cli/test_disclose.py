"""``hutong checkpoint disclose``: a part of what is carried, from picture to picture."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from gateway.attestation import AttestationVerifier, claims_to_json, sign_attestation, to_armour
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.sd_jwt import Disclosure, draft_disclosed, sign_disclosed
from gateway.cli.carried import write_carried
from gateway.cli.checkpoint import app
from gateway.edge.images import read_code_from_image
from tests.attestation.samples import ES256_KEY, GUANGZHOU, NOW, TRUST, attestation

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = attestation()
TOKEN = sign_disclosed(
    draft_disclosed(claims_to_json(WHOLE), Disclosure.SELECTIVE, os.urandom), ES256_KEY
)


def invoke(*words: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, ["disclose", *words], input=stdin, env={"NO_COLOR": "1"})


def read(text: str) -> Any:
    return verify_presentation(text, AttestationVerifier(TRUST), audience=GUANGZHOU, now=NOW)


def test_a_picture_becomes_a_picture_that_shows_less_and_verifies(tmp_path: Path) -> None:
    _, picture = write_carried(tmp_path / "ticket", to_armour(TOKEN))
    done = invoke("--file", str(picture), "--out", str(tmp_path / "market"))
    assert done.exit_code == 0, done.output
    text = read_code_from_image((tmp_path / "market.png").read_bytes())
    assert text == (tmp_path / "market.txt").read_text().strip()
    part = read(text)
    assert part.code.disclosed == {"level", "valid_until", "issued_by"}
    assert (tmp_path / "market.png").stat().st_mode & 0o077 == 0


def test_members_are_kept_by_name_and_region_is_a_name() -> None:
    done = invoke(TOKEN, "--keep", "state, subject", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["discloses"] == ["level", "state", "issued_by", "sub"]
    assert read(said["attestation"]).subject == WHOLE.subject
    assert read(invoke("-", "--keep", "", stdin=to_armour(TOKEN)).stdout).code.state is None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([TOKEN, "--keep", "name"], 64),
        (["HUTONG2:NOTHING"], 2),
        ([sign_attestation(WHOLE, ES256_KEY)], 2),
        ([TOKEN + "AAAA~"], 2),
    ],
    ids=["unknown member", "no armour", "whole", "spoiled"],
)
def test_what_cannot_be_shown_in_part_says_so(words: list[str], code: int) -> None:
    done = invoke(*words)
    assert done.exit_code == code, done.output
    assert "GREEN" not in done.output
