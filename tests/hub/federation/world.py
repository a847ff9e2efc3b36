"""Three real hubs on loopback: the nation, Zhejiang with Hangzhou, Guangdong with Guangzhou.

Everything speaks real gRPC over real TLS. The lines between a province and the nation
run through small proxies that a test may cut and heal. All people are synthetic.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.platforms import HangzhouPlatform, hangzhou_population, serve_platform
from adapters.sdk import AdapterParts, AdapterServer, generate_keys
from adapters.sdk.city import load_city
from adapters.sdk.issued import StatusSettings
from adapters.sdk.server import platform_changes, platform_connector
from adapters.sdk.settings import PlatformSettings
from gateway.cli.operator_trust import TrustClient
from gateway.edge import create_keys, load_keys, load_settings
from gateway.edge.enrolment import checkpoint_identity
from gateway.hub.app import Hub, running_hub
from gateway.hub.settings import load_settings as load_hub_settings
from gateway.hub.setup import HubPlan, load_operator_profile, make_hub
from gateway.hub.superior import JoinPlan, join_superior
from gateway.recognition import load_policy, shipped_policy
from gateway.trust import parse_anchor
from gateway.wire.certificates import issue_certificate, make_authority
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import MemberIdentity, enrol
from gateway.wire.key_change import MemberLine
from gateway.wire.server import ServerSettings
from gateway.wire.token_client import TokenClient
from tests.edge.federation import SCHEMES, _region
from tests.hub.hub_world import now_region

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from adapters.platforms import RunningPlatform
    from adapters.sdk.keys import AdapterKeys
    from gateway.codes.schemes import Scheme
    from gateway.edge import CheckpointSettings
    from gateway.hub.settings import HubSettings

NATION = "urn:hutong:hub:000000"
ZHEJIANG = "urn:hutong:hub:330000"
GUANGDONG = "urn:hutong:hub:440000"
HANGZHOU = "urn:hutong:region:330100"
GUANGZHOU = "urn:hutong:region:440100"

WAIT_SECONDS = 120.0
"""Bound of a wait for a condition, far above what a busy machine needs."""


class Line:
    """A TCP proxy on a port of its own that can be cut and healed."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        self._is_cut = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def heal(self) -> None:
        self._is_cut = False

    async def stop(self) -> None:
        await self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._is_cut or task is None:
            writer.transport.abort()
            return
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._target)
            one = asyncio.ensure_future(_pump(reader, there))
            other = asyncio.ensure_future(_pump(back, writer))
            try:
                await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                one.cancel()
                other.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # a line that is cut tells nobody
        finally:
            self._tasks.discard(task)
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@dataclass
class Place:
    """One hub and its directory."""

    settings: HubSettings
    hub: Hub
    directory: Path
    lines: list[Line] = field(default_factory=list)

    @property
    def urn(self) -> str:
        return self.settings.urn

    @property
    def ca_pem(self) -> bytes:
        return (self.directory / "tls/ca.pem").read_bytes()

    @property
    def operator_file(self) -> Path:
        """The first operator's profile, with the ports that the system chose."""
        file = self.directory / "operator/operator.toml"
        text = file.read_text()
        text = text.replace(":0/", f":{self.hub.http_port}/").replace(
            ':0"', f':{self.hub.grpc_port}"'
        )
        made = file.with_name("here.toml")
        made.write_text(text)
        return made

    def operator(self) -> TrustClient:
        """Speaks to this hub as its first operator."""
        return TrustClient(load_operator_profile(self.operator_file))

    @asynccontextmanager
    async def member(self, identity: MemberIdentity) -> AsyncIterator[MemberLine]:
        """Speaks to this hub as one of its regions."""
        tokens = TokenClient(
            f"{self.hub.http_url}/oauth2/token",
            identity.body.urn,
            identity.signing_keys[1],
            self.ca_pem,
            lambda: datetime.now(UTC),
        )
        async with tokens, self.channel() as channel:
            yield MemberLine(channel, tokens, urn=identity.body.urn, hub_urn=self.urn)

    def channel(self):  # type: ignore[no-untyped-def]  # grpc.aio.Channel
        return open_channel(f"localhost:{self.hub.grpc_port}", ca_pem=self.ca_pem)

    async def admit(self, identity: MemberIdentity, **documents: object) -> None:
        async with self.channel() as channel:
            now = datetime.now(UTC)
            await enrol(channel, identity, hub_urn=self.urn, now=now, **documents)  # type: ignore[arg-type]
        await self.hub.registry.approve(identity.body.urn)


@dataclass
class Country:
    """What runs."""

    nation: Place
    zhejiang: Place
    guangdong: Place
    platform: RunningPlatform
    adapter: AdapterServer
    adapter_line: Line
    """Between Zhejiang's hub and Hangzhou's adapter."""
    hangzhou: MemberIdentity
    gate: CheckpointSettings
    home_gate: CheckpointSettings
    """In Hangzhou itself."""


async def until(holds: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0.02)


async def start_hub(stack: AsyncExitStack, directory: Path, urn: str, *, more: str = "") -> Place:
    await make_hub(
        HubPlan(
            directory=directory,
            urn=urn,
            store=None,
            grpc=("127.0.0.1", 0),
            http=("127.0.0.1", 0),
            names=["localhost", "127.0.0.1"],
            operator="first",
            approvals=1,
        ),
        now=datetime.now(UTC).replace(microsecond=0),
    )
    with (directory / "hub.toml").open("a", encoding="utf-8") as file:
        file.write(more)
    settings = load_hub_settings(directory)
    hub = await stack.enter_async_context(running_hub(settings, check_policy=load_policy))
    return Place(settings, hub, directory)


async def start_line(stack: AsyncExitStack, target: int) -> Line:
    line = Line(target)
    await line.start()
    stack.push_async_callback(line.stop)
    return line


def join_plan(above: Place, below: Place, prefix: str, up: int, down: int) -> JoinPlan:
    return JoinPlan(
        grpc=f"localhost:{up}",
        http=above.hub.http_url,
        anchor=(above.directory / "anchor.json").read_bytes(),
        ca_pem=above.ca_pem,
        endpoint=f"localhost:{down}",
        tls_ca_pem=below.ca_pem.decode(),
        prefixes=(prefix,),
        name_zh="",
        name_en="Synthetic hub",
    )


async def join(stack: AsyncExitStack, below: Place, above: Place, prefix: str) -> None:
    """Let one hub stand below another, over a line each way."""
    up = await start_line(stack, above.hub.grpc_port)
    down = await start_line(stack, below.hub.grpc_port)
    below.lines += [up, down]
    await join_superior(
        below.settings,
        join_plan(above, below, prefix, up.port, down.port),
        now=datetime.now(UTC).replace(microsecond=0),
    )
    await above.hub.registry.approve(below.urn)
    assert below.hub.federation is not None
    await below.hub.federation.look()


@asynccontextmanager
async def country(folder: Path, *, more: str = "") -> AsyncIterator[Country]:
    async with AsyncExitStack() as stack:
        nation = await start_hub(stack, folder / "nation", NATION, more=more)
        zhejiang = await start_hub(stack, folder / "zhejiang", ZHEJIANG, more=more)
        guangdong = await start_hub(stack, folder / "guangdong", GUANGDONG, more=more)
        platform = await serve_platform(
            HangzhouPlatform(population=hangzhou_population(size=50)), admin_token="synthetic"
        )
        stack.push_async_callback(platform.stop)
        scheme = load_city(SCHEMES / "hangzhou")
        keys = generate_keys()
        adapter = _adapter(
            folder, scheme, keys, platform.base_url, zhejiang.directory / "anchor.json"
        )
        port = await adapter.start()
        stack.push_async_callback(adapter.stop)
        adapter_line = await start_line(stack, port)
        hangzhou = _region(folder, keys, adapter_line.port)
        await zhejiang.admit(
            hangzhou,
            schemes=[scheme.to_document()],
            policy=shipped_policy("330100").to_document(),
        )
        await guangdong.admit(
            now_region(GUANGZHOU),
            schemes=[load_city(SCHEMES / "guangzhou").to_document()],
            policy=shipped_policy("440100").to_document(),
        )
        await join(stack, zhejiang, nation, "33")
        await join(stack, guangdong, nation, "44")
        gates = [
            await _gate(folder / "gate", guangdong, "440100"),
            await _gate(folder / "home", zhejiang, "330100"),
        ]
        yield Country(
            nation, zhejiang, guangdong, platform, adapter, adapter_line, hangzhou, *gates
        )


def _adapter(
    folder: Path, scheme: Scheme, keys: AdapterKeys, url: str, anchor: Path
) -> AdapterServer:
    """Hangzhou's, which follows its platform's changes and revokes what it issued."""
    now = datetime.now(UTC)
    authority = make_authority("Synthetic Hangzhou", now=now)
    issued = issue_certificate(authority, ["localhost", "127.0.0.1"], now=now)
    files = {
        "adapter-ca.pem": authority.certificate_pem,
        "adapter.pem": issued.certificate_pem,
        "adapter-key.pem": issued.key_pem,
        "app_key": b"synthetic-app",
        "app_secret": b"synthetic-app-secret",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    platform = PlatformSettings(
        url=url, secrets={name: folder / name for name in ("app_key", "app_secret")}
    )
    return AdapterServer(
        AdapterParts(
            scheme=scheme,
            connector=platform_connector(scheme, platform),
            keys=keys,
            anchor=parse_anchor(anchor.read_bytes()),
            anchor_file=anchor,
            server=ServerSettings(
                tls_certificate=folder / "adapter.pem", tls_key=folder / "adapter-key.pem"
            ),
            status=StatusSettings(entries=1024),
            changes=platform_changes(scheme, platform),
        )
    )


async def _gate(folder: Path, place: Place, region: str) -> CheckpointSettings:
    settings = load_settings(_config(folder, place, region))
    create_keys(settings.key_file)
    keys = load_keys(settings.key_file)
    await place.admit(checkpoint_identity(settings, keys, now=datetime.now(UTC)))
    return settings


def _config(folder: Path, place: Place, region: str) -> Path:
    folder.mkdir()
    (folder / "gate-ca.pem").write_bytes(place.ca_pem)
    config = folder / "checkpoint.toml"
    config.write_text(
        f"""\
urn = "urn:hutong:checkpoint:{region}:north-gate"
region = "{region}"
hub = "localhost:{place.hub.grpc_port}"
http = "{place.hub.http_url}"
ca_file = "gate-ca.pem"
trust_anchor = "{place.directory / "anchor.json"}"
key_file = "checkpoint-key.json"
state_dir = "state"
heartbeat_seconds = 1
"""
    )
    return config
