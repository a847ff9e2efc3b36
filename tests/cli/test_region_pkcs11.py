"""A region whose signing keys never leave their module: from enrolment to a rotation.

The commands run as processes of their own, because a module reads its configuration once
a process, and because nobody types them in ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.trust import jws
from gateway.trust.keys import KeyState, KeyUse
from tests.cli.test_region import URN, city, serving_platform
from tests.hub.hub_world import OPERATOR, hub_world, make_directory
from tests.wire.test_pkcs11_keys import MODULE, PIN, needs_softhsm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub.hub_world import HubWorld

pytestmark = [needs_softhsm, pytest.mark.long, pytest.mark.processes, pytest.mark.timeout(240)]

SECOND = "urn:hutong:operator:second"

_SIGN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from adapters.sdk.keys import load_keys
from gateway.trust import jws
keys = load_keys(Path(sys.argv[1]), now=datetime.fromtimestamp(int(sys.argv[2]), UTC))
print(keys.attest.key_id, jws.sign({"iss": sys.argv[3]}, keys.attest, typ="synthetic+jwt"))
"""


class Module:
    """A token of SoftHSM in a folder, and what a shell needs to use it."""

    def __init__(self, folder: Path) -> None:
        (folder / "tokens").mkdir(parents=True)
        conf = folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {folder / 'tokens'}\n")
        self.environment = os.environ | {
            "SOFTHSM2_CONF": str(conf),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "NO_COLOR": "1",
        }
        pin = folder / "pin.txt"
        pin.write_text(PIN + "\n")
        pin.chmod(0o600)
        words = ["--init-token", "--free", "--label", "qujing", "--pin", PIN, "--so-pin", PIN]
        subprocess.run(
            ["softhsm2-util", *words], check=True, capture_output=True, env=self.environment
        )
        self.uri = f"pkcs11:token=qujing?module-path={MODULE}&pin-source=file:{pin}"

    async def run(self, *words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def region(self, world: HubWorld, *words: str) -> tuple[int, Any, str]:
        ca = world.directory / "tls/ca.pem"
        code, out, err = await self.run(
            *("-m", "gateway.cli", "region", *words, "--json"),
            *("--hub", f"localhost:{world.hub.grpc_port}", "--http", world.url, "--ca", str(ca)),
        )
        return code, json.loads(out) if out else None, err

    async def signed(self, keys: Path, moment: datetime) -> tuple[str, str]:
        """Key id and token of what an adapter signs at a moment."""
        at = str(int(moment.timestamp()))
        code, out, err = await self.run("-c", _SIGN, str(keys), at, URN)
        assert code == 0, err
        key_id, token = out.split()
        return key_id, token


@pytest.mark.asyncio
async def test_keys_are_made_used_and_rotated_inside_the_token(tmp_path: Path) -> None:
    module, folder = Module(tmp_path / "hsm"), city(tmp_path / "qujing")
    hub = tmp_path / "hub"
    await make_directory(hub, None, datetime.now(UTC).replace(microsecond=0))
    settings = hub / "hub.toml"
    settings.write_text(
        settings.read_text("utf-8").replace("approvals_needed = 1", "approvals_needed = 2"), "utf-8"
    )
    async with serving_platform(folder), hub_world(hub) as world:
        (folder / "anchor.json").write_bytes((hub / "anchor.json").read_bytes())
        words = ("enrol", str(folder), "--pkcs11", module.uri)
        code, enrolled, err = await module.region(world, *words)
        assert (code, enrolled["state"], enrolled["approvals_left"]) == (1, "PENDING", 2), err
        steps = {step["step"]: step for step in enrolled["steps"]}
        # The checks asked a copy of the adapter, and verified what the token's key signed.
        assert steps["conformance"]["note"].endswith(" passed, 0 failed"), err
        assert steps["scheme, vectors, policy"]["note"] == "nothing to remark"
        for slot in ("state", "attest", "authenticate"):
            assert "pkcs11" in json.loads((folder / f"keys/{slot}.json").read_text("utf-8"))

        registry = world.hub.registry
        assert not (await registry.approve(URN, by=OPERATOR)).member.is_active
        assert (await registry.approve(URN, by=SECOND)).member.is_active
        code, enrolled, err = await module.region(world, "enrol", str(folder))
        assert (code, enrolled["state"]) == (0, "ACTIVE"), err

        for use in ("attest", "state"):
            code, done, err = await module.region(world, "rotate", str(folder), "--use", use)
            assert code == 0, err
            (rotated,) = done
            begins = datetime.fromisoformat(rotated["begins"])
            file = folder / f"keys/{use}-{int(begins.timestamp())}.json"
            assert f"object={file.stem}?" in json.loads(file.read_text("utf-8"))["pkcs11"]
            row = registry.members.get(URN)
            assert row is not None
            (new,) = (key for key in row.body.keys if key.key_id == rotated["key_id"])
            assert new.state(world.clock()) is KeyState.PUBLISHED
            if new.use is KeyUse.ATTEST:
                key_id, token = await module.signed(folder / "keys", begins)
                assert key_id == new.key_id
                parsed = jws.take_apart(token, typ="synthetic+jwt", max_bytes=4096)
                parsed.check_signature(new.verification_key(issuer=URN))
