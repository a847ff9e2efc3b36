"""``hutong catalogue …`` as a person runs it: a city's platform, a file, a checkpoint's store."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from adapters.platforms import CREDENTIALS, platform
from adapters.platforms.server import serve_platform
from adapters.sdk.keys import AdapterKeys, save_keys
from gateway.attestation import sealing_key_to_jwk
from gateway.catalogue import parse_row
from gateway.cli.main import build
from gateway.trust import KeyUse
from gateway.wire.private_files import write_private_jwk
from tests.edge.world import scheme_document
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio

RUNNER = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"})

SCHEMES = Path(__file__).parents[2] / "adapters" / "schemes"
MAKE = ("--audience", "440100", "--correction", "杭州 12345 [24h]")


async def run(*words: object) -> tuple[int, str, str]:
    """The command on a thread and a loop of its own: the platform answers on this one."""
    arguments = ["catalogue", *map(str, words)]
    done = await asyncio.to_thread(RUNNER.invoke, build("catalogue"), arguments)
    # What leaves a command uncaught, ``main`` would say as this.
    if isinstance(done.exception, Exception):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@dataclass
class Place:
    """A city's folder beside a checkpoint's."""

    folder: Path
    federation: FederationSimulator

    @property
    def city(self) -> Path:
        return self.folder / "hangzhou"

    @property
    def gate(self) -> tuple[str, ...]:
        return ("--config", str(self.folder / "checkpoint.toml"))

    async def json(self, *words: object, code: int = 0) -> Any:
        status, out, err = await run(*words, "--json")
        assert status == code, err
        return json.loads(out)


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    federation = FederationSimulator(now=datetime.now(UTC) - timedelta(minutes=5))
    federation.add_region("330100")
    federation.add_region("440100")
    federation.publish_scheme("330100", scheme_document("hangzhou"))
    hangzhou = federation.regions["330100"]
    place = Place(tmp_path, federation)
    place.city.mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "anchor.json").write_bytes(federation.anchor.to_bytes())
    (tmp_path / "state" / "feed.replica").write_bytes(federation.replica_from_snapshot().to_bytes())
    keys = hangzhou.signing
    save_keys(
        place.city / "keys",
        AdapterKeys(
            keys[KeyUse.STATE],
            keys[KeyUse.ATTEST],
            keys[KeyUse.AUTHENTICATE],
            (hangzhou.sealing,),
            bytes(32),
        ),
    )
    write_private_jwk(
        tmp_path / "seal.json", sealing_key_to_jwk(federation.regions["440100"].sealing)
    )
    secrets = CREDENTIALS["hangzhou"]
    for name, secret in secrets.items():
        (place.city / name).write_text(secret)
        (place.city / name).chmod(0o600)
    (tmp_path / "checkpoint.toml").write_text(
        'urn = "urn:hutong:checkpoint:440100:gate"\nregion = "440100"\nhub = "localhost:1"\n'
        'http = "https://localhost:1"\ntrust_anchor = "anchor.json"\nkey_file = "k.json"\n'
        'state_dir = "state"\ncatalogue_file = "catalogues.db"\n'
    )
    async with await serve_platform(platform("hangzhou", size=800), admin_token="x") as running:
        named = "\n".join(f'{name} = "{name}"' for name in secrets)
        (place.city / "adapter.toml").write_text(
            f'scheme = "{SCHEMES / "hangzhou"}"\nanchor = "../anchor.json"\n'
            f'[platform]\nurl = "{running.base_url}"\n[platform.secrets]\n{named}\n'
            '[hub]\ntarget = "localhost:1"\nreplica = "../state/feed.replica"\n'
        )
        yield place


async def test_from_a_platform_to_a_checkpoint(place: Place) -> None:
    file = place.folder / "day.catalogue"
    made = await place.json("export", place.city, *MAKE, "--out", file)
    assert made["rows"] > 20
    assert (made["sequence"], made["identified"]) == (1, False)
    looked = await place.json("verify", file, *place.gate)
    assert looked["outcomes"] == {"TAKEN": made["rows"]}
    report = place.folder / "rows.csv"
    code, out, err = await run("import", file, *place.gate, "--report", report)
    assert code == 0, err
    assert "TAKEN" in out
    assert "[24h]" in out
    assert len(report.read_text().splitlines()) == made["rows"] + 1
    assert (await place.json("import", file, *place.gate))["repeat"]
    shown = await place.json("show", *place.gate)
    assert shown["files"][0]["open_now"] == made["rows"]
    first = parse_row(file.read_bytes().splitlines()[1])
    found = await place.json("lookup", "--issuer", "330100", first.sub, *place.gate)
    assert (found["listed"], found["level"]) == (True, first.level)
    unknown = await place.json("lookup", "--issuer", "440100", first.sub, *place.gate, code=1)
    assert unknown == {"listed": False, "past": 0}


async def test_an_identified_row_is_revealed_to_its_audience_alone(place: Place) -> None:
    file = place.folder / "day.catalogue"
    await place.json("export", place.city, *MAKE, "--out", file, "--identified")
    await place.json("import", file, *place.gate)
    sub = parse_row(file.read_bytes().splitlines()[1]).sub
    words = ("lookup", "--issuer", "330100", sub, *place.gate, "--reveal")
    found = await place.json(*words, place.folder / "seal.json")
    assert found["number"].startswith("33")
    code, out, err = await run(*words, place.city / "keys" / "seal.json")
    assert code == 2
    assert found["number"] not in out + err


async def test_counts_go_to_the_national_platform(place: Place) -> None:
    file = place.folder / "day.counts"
    made = await place.json("counts", place.city, "--correction", "12345", "--out", file)
    assert made["audience"] == "urn:hutong:region:100000"
    trust = ("--anchor", place.folder / "anchor.json", "--region", "100000")
    trust += ("--replica", place.folder / "state" / "feed.replica")
    store = ("--store", place.folder / "national.db")
    await place.json("import", file, *trust, *store)
    shown = await place.json("show", *store)
    assert {one["name"] for one in shown["counts"]} >= {"RED", "YELLOW"}
    assert all(one["count"] is None or one["count"] >= 10 for one in shown["counts"])


async def test_what_does_not_hold_is_said_with_a_code_and_changes_nothing(place: Place) -> None:
    file = place.folder / "day.catalogue"
    await place.json("export", place.city, *MAKE, "--out", file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    code, _, err = await run("import", file, *place.gate)
    assert (code, "CATALOGUE_TRUNCATED" in err, "copy it again" in err) == (2, True, True)
    code, _, err = await run("verify", file, *place.gate)
    assert (code, "CATALOGUE_TRUNCATED" in err) == (1, True)
    assert (await place.json("show", *place.gate))["files"] == []
    code, _, err = await run("import", place.folder / "missing", *place.gate)
    assert (code, "cannot be read" in err) == (2, True)
    code, _, err = await run("import", file, "--anchor", place.folder / "anchor.json")
    assert (code, "together" in err) == (2, True)
    code, _, err = await run("export", place.city, *MAKE, "--out")
    assert code == 64
    code, _, err = await run("import", file, *place.gate, "--report", "rows.txt")
    assert (code, ".csv" in err) == (2, True)


async def test_every_command_has_an_example_in_its_help() -> None:
    for command in ("export", "counts", "import", "verify", "show", "lookup"):
        code, out, _ = await run(command, "--help")
        assert code == 0
        assert f"hutong catalogue {command}" in out
