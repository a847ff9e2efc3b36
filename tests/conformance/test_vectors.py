"""Vectors are the same at every run, say what they mean, and are read by what we ship."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from conformance_tests import crypto
from conformance_tests.cli import app
from conformance_tests.model import Role
from conformance_tests.registry import load_cases
from gateway.attestation.armour import from_armour
from tests.conformance.shipped_verifier import answer

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_DIGEST = "c654147ac6284fabadbaabe0678d0937e7eb7ff7aecfec4fb4568bc5b6d53e85"


def written(folder: Path) -> dict[str, bytes]:
    result = CliRunner().invoke(app, ["vectors", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_two_runs_write_the_same_files_one_for_each_check(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    assert first == second
    checks = {f"verifier/{case.id}.json" for case in load_cases(Role.VERIFIER)}
    assert set(first) == {"index.json", "keys.json", *checks}


def test_the_first_vector_is_the_one_that_others_have_read(tmp_path: Path) -> None:
    # Whoever copied the vectors must find out here that they changed.
    token = json.loads(written(tmp_path)["verifier/V-ATT-001.json"])["stages"]["token"]
    assert hashlib.sha256(token.encode()).hexdigest() == TOKEN_DIGEST


def test_every_vector_comes_out_as_it_says_and_its_twin_too(tmp_path: Path) -> None:
    files = written(tmp_path / "vectors")
    wrong = {}
    for name, data in files.items():
        if not name.startswith("verifier/"):
            continue
        vector = json.loads(data)
        for each in (vector, vector.get("twin", vector)):
            said = answer({"id": "1", **each["request"]}, tmp_path)
            if not agrees(said, each["expect"]):
                wrong[vector["id"]] = said
    assert wrong == {}


def agrees(said: dict[str, object], expect: dict[str, object]) -> bool:
    feed = [
        seen == wanted if wanted is None else seen in wanted
        for seen, wanted in zip(said["feed"], expect["feed"], strict=True)  # type: ignore[call-overload]  # lists
    ]
    held = (said["sequence"], said["live"]) == (expect["sequence"], expect["live"])
    found = said["ok"] is expect["ok"]
    for age in ("status_as_of", "trust_as_of"):
        found = found and said.get(age) == expect.get(age, said.get(age))
    told = said.get("reason") in expect.get("reasons", [said.get("reason")])  # type: ignore[operator]  # lists
    level = said.get("level") == expect.get("level", said.get("level"))
    later = all(map(agrees, said.get("later", ()), expect.get("later", ())))  # type: ignore[call-overload]  # lists
    same = len(said.get("later", ())) == len(expect.get("later", ()))  # type: ignore[arg-type]  # lists
    if "catalogue" in expect:
        return all(feed) and held and agrees_of_catalogues(said, expect["catalogue"])  # type: ignore[arg-type]  # mappings
    return all(feed) and held and found and told and level and later and same


def agrees_of_catalogues(said: dict[str, object], expect: dict[str, object]) -> bool:
    last = said["catalogues"][-1]  # type: ignore[index]  # a list
    if expect.get("refused"):
        return last.get("refused") in expect["refused"] and said["listed"] == expect["listed"]  # type: ignore[operator]  # lists
    if "listed" not in expect:
        return "refused" not in last
    told = {name: last.get(name) for name in ("rows", "repeat") if name in expect}
    return said["listed"] == expect["listed"] and told == {
        name: expect[name] for name in ("rows", "repeat") if name in expect
    }


def test_the_stages_lead_from_one_to_the_next(tmp_path: Path) -> None:
    files = written(tmp_path)
    keys = {key["kid"]: crypto.load_key(key) for key in json.loads(files["keys.json"]).values()}
    stages = json.loads(files["verifier/V-ATT-001.json"])["stages"]
    assert json.loads(crypto.unb64(stages["payload"])) == stages["claims"]
    assert stages["token"].startswith(stages["signing_input"] + ".")
    claims, kid = crypto.read_signed(stages["token"], keys, stages["header"]["typ"])
    assert (claims, kid) == (stages["claims"], stages["header"]["kid"])
    assert from_armour(stages["armour"]) == stages["token"]


def test_the_stages_of_a_part_lead_to_a_text_that_reads_back(tmp_path: Path) -> None:
    stages = json.loads(written(tmp_path)["verifier/V-ARM-011.json"])["stages"]
    assert stages["armour"].startswith("HUTONG2:")
    assert from_armour(stages["armour"]) == stages["token"]
    assert stages["token"].split("~")[1:-1] == stages["disclosures"]


def test_the_stages_of_a_later_reading_say_what_both_must_bring(tmp_path: Path) -> None:
    vector = json.loads(written(tmp_path)["verifier/V-MEM-002.json"])
    assert vector["expect"]["ok"] is True
    (later,) = vector["expect"]["later"]
    assert (later["ok"], later["reasons"]) == (False, ["KEY_TAINTED"])
