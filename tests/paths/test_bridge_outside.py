"""The bridge seen from outside: by the hub between, and by a person at a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hutong.v1 import exchange_pb2

from gateway.codes import region_urn
from gateway.edge.images import read_code_from_image
from gateway.edge.questions import AttestedAnswer
from tests.doors.test_blindness import holders, hub_process, memory_of
from tests.paths.world import NAME, NO, world

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge import CheckpointSettings

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.timeout(300),
]


async def test_a_hub_between_two_regions_holds_nothing_of_a_conversion(tmp_path: Path) -> None:
    """Its memory, its files, its log and its metrics, after every kind of end."""
    secrets = {"name": NAME.encode()}
    async with world(tmp_path, "hangzhou", "guangdong", hub=hub_process) as place:
        phone = await place.checkpoint("330100")
        async with place.gate(phone) as checkpoint:
            for story in ("green", "released", "red", "yellow", "not-found"):
                document = place["hangzhou"].document(story)
                secrets[f"number {story}"] = document.number.encode()
                done = await checkpoint.convert(
                    document,
                    name=NAME,
                    declarations=NO,
                    origin="330100",
                    destination="440000",
                )
                if done.local_code is not None:
                    secrets[f"QR {story}"] = done.local_code.qr_text.encode()
            assert any(name.startswith("QR") for name in secrets)
            converter = checkpoint._converter
            assert converter is not None
            answer = await converter._asks.ask(
                "330100",
                place["hangzhou"].document("green"),
                purpose=exchange_pb2.PURPOSE_HOLDER,
                use=exchange_pb2.ATTESTATION_USE_IMPORT,
                timeout_seconds=30,
                audience=region_urn("440000"),
            )
            assert isinstance(answer, AttestedAnswer)
            secrets["attestation"] = answer.token.split(".")[1].encode()

            hub = place.hub.hub
            pid = hub.process.pid  # type: ignore[attr-defined]  # a hub of its own process
            seen = {"caller": phone.urn.encode()}
            assert holders(seen, memory_of(pid)) == {"caller"}
            assert holders(secrets, memory_of(pid)) == set()
            async with place.hub.session() as http:
                metrics = await (await http.get(f"{place.hub.url}/metrics")).read()
        stored = [path.read_bytes() for path in (tmp_path / "hub").rglob("*") if path.is_file()]
        assert holders(secrets, [metrics, *stored]) == set()
        log = (tmp_path / "hub" / "hub.log").read_bytes()
        for word in (b"GREEN", b"YELLOW", b"RED", "绿码".encode(), "红码".encode(), b"REFUSAL"):
            assert word not in metrics
            assert word not in log
        # Nor does the asker keep anything.
        kept = [path.read_bytes() for path in phone.state_dir.rglob("*") if path.is_file()]
        assert holders(secrets, kept) == set()


async def hutong(settings: CheckpointSettings, *words: str, stdin: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "checkpoint", "convert", *words,
        "--config", str(settings.key_file.with_name("checkpoint.toml")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1", "COLUMNS": "100"},
    )  # fmt: skip
    out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_holder_converts_at_a_terminal(tmp_path: Path) -> None:
    async with world(tmp_path, "hangzhou", "guangdong") as place:
        phone = await place.checkpoint("330100")
        way = ("--from", "330100", "--to", "440000")
        no = ("--contact", "no", "--risk-area", "no", "--overseas", "no")
        green, red = (place["hangzhou"].document(story).number for story in ("green", "red"))

        # Everything but the number is asked for; what is no answer is asked again.
        number = tmp_path / "number"
        number.write_text(green)
        code, out, err = await hutong(
            phone, "--document-file", str(number), *way, "--out", str(tmp_path / "code"),
            stdin=f"{NAME}\nno\nperhaps\nno\nNO\n",
        )  # fmt: skip
        assert code == 0, err
        assert "已转码 CONVERTED" in out
        assert green not in out + err
        shown = (tmp_path / "code.txt").read_text().strip()
        assert read_code_from_image((tmp_path / "code.png").read_bytes()) == shown
        assert (tmp_path / "code.png").stat().st_mode & 0o077 == 0

        stdin = ("--document-file", "-", *way, "--name", NAME)
        code, out, err = await hutong(phone, *stdin, *no, "--json", stdin=green)
        told = json.loads(out)
        assert (code, told["converted"], told["local_code"]["scheme"]) == (0, True, "gd-ykm@2022")

        code, out, err = await hutong(phone, *stdin, *no, stdin=red)
        assert code == 1
        assert "IMPORT_REFUSAL_LEVEL" in out
        assert red not in out + err

        unsure = ("--contact", "unsure", "--risk-area", "no", "--overseas", "no")
        code, out, err = await hutong(phone, *stdin, *unsure, "--json", stdin=green)
        assert (code, json.loads(out)["refusal"]) == (1, "DECLARATION")

        await place["guangdong"].stop()
        code, out, err = await hutong(phone, *stdin, *no, "--json", stdin=green)
        assert (code, json.loads(out)["local_code"]) == (2, None)

        code, out, err = await hutong(phone, "--name", NAME, *way, *no, stdin="")
        assert code == 64, out + err
