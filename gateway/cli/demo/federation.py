"""The federation of the demo: a hub and its regions, all real, all on this machine.

Hub, issuer, platforms and adapters are processes of their own that speak TLS and HTTP
on loopback; the checkpoints are opened by whoever plays. Everything is started at the
same time, as far as one does not need another: the time it takes is that of the
machine's cores, not of one process after the other.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from gateway.cli.demo.processes import Process
from gateway.cli.demo.regions import REGIONS, Brings
from gateway.cli.demo.site import HOST, Site
from gateway.cli.operator_client import OperatorClient
from gateway.edge import load_keys
from gateway.edge.enrolment import checkpoint_identity
from gateway.errors import InternalError
from gateway.hub.settings import FILE_NAME
from gateway.hub.setup import OPERATOR_FILE, HubPlan, load_operator_profile, make_hub
from gateway.issuer.setup import IssuerPlan, make_issuer
from gateway.recognition import shipped_policy
from gateway.recognition.loading import shipped_regions
from gateway.trust import parse_anchor
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import check_hub, enrol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from types import TracebackType

    from gateway.cli.demo.regions import Region

HUB_URN: Final = "urn:hutong:hub:000000"
_SHORT_LEAD: Final = "\n[feed]\nrefresh_seconds = 1\n\n[keys]\nlead_periods = 3\n"
"""Three seconds between the publication of a key and its use; a real hub keeps a minute."""
_PROBE_SECONDS: Final = 1.0
_CALL_SECONDS: Final = 5.0
"""A city's own door asks other regions for up to three seconds."""


class Federation(Site):
    """Sets everything up, starts it, and stops it.

    Args:
        folder: an empty folder of the demo's own.
        on_step: told of every step, in English, for progress.
        regions: who takes part.
        hub_urn: URN of the hub.
    """

    def __init__(
        self,
        folder: Path,
        on_step: Callable[[str], None] = lambda _step: None,
        regions: tuple[Region, ...] = REGIONS,
        *,
        hub_urn: str = HUB_URN,
    ) -> None:
        super().__init__(folder, regions)
        self.hub_urn = hub_urn
        self._on_step = on_step
        self._admin_token = secrets.token_urlsafe(24)
        self._processes: list[Process] = []
        self._hub: Process | None = None

    async def __aenter__(self) -> Self:
        """Set up and start everything; on failure nothing is left running."""
        try:
            await self._set_up()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything."""
        await self.stop()

    async def stop(self) -> None:
        """Stop every process; each drains what it has in hand."""
        await asyncio.gather(*(process.stop() for process in self._processes))

    # -- what the acts use ----------------------------------------------------

    @property
    def admin_token(self) -> str:
        """Opens the admin doors of the reference platforms."""
        return self._admin_token

    async def turn(self, name: str, person: str, state: str | None) -> None:
        """Turn a person of a platform, as a tracing office would; None: as drawn again."""
        await post(
            f"{self.admin_url(name)}/admin/people",
            json.dumps({"person": person, "state": state}).encode(),
            {"Authorization": f"Bearer {self._admin_token}", "Content-Type": "application/json"},
        )

    async def set_faults(self, name: str, words: list[str]) -> None:
        """Switch the faults of a platform; an empty list makes it healthy."""
        await post(
            f"{self.admin_url(name)}/admin/faults",
            json.dumps({"faults": words}).encode(),
            {"Authorization": f"Bearer {self._admin_token}", "Content-Type": "application/json"},
            method="PUT",
        )

    async def kill_hub(self) -> None:
        """End the hub at once, as a power cut would."""
        if self._hub is not None:
            await self._hub.kill()

    async def start_hub(self) -> None:
        """Start the hub, the first time or again."""
        if self._hub is None:
            self._hub = self._process("hub", ["hub", "run", "--dir", str(self.hub_folder)])
        await self._hub.start(self._hub_is_ready)

    # -- setting up -------------------------------------------------------------

    async def _set_up(self) -> None:
        self._on_step("keys, certificates and store of the hub")
        plan = HubPlan(
            directory=self.hub_folder,
            urn=self.hub_urn,
            store=None,
            grpc=(HOST, self.hub_ports[0]),
            http=(HOST, self.hub_ports[1]),
            names=["localhost", HOST],
            operator="demo",
            tls=None,
            approvals=1,
        )
        await make_hub(plan, now=datetime.now(UTC))
        with (self.hub_folder / FILE_NAME).open("a", encoding="utf-8") as settings:
            settings.write(_SHORT_LEAD)
        self._on_step("the hub, the platforms and the national issuer")
        hub_is_up = asyncio.Event()

        async def start_hub() -> None:
            await self.start_hub()
            self._on_step("the hub answers; adapters start, and every region enrols")
            hub_is_up.set()

        await together(start_hub(), *(self._bring(region, hub_is_up) for region in self.regions))
        self._on_step("the operator approves")
        operator = load_operator_profile(self.hub_folder / OPERATOR_FILE)
        async with OperatorClient(operator) as client:
            for region in self.regions:
                await client.approve(region.urn)
                if region.gate is not None:
                    await client.approve(region.checkpoint_urn)

    async def _bring(self, region: Region, hub_is_up: asyncio.Event) -> None:
        """Write what a region needs, start what it runs, and hand in its enrolment."""
        if region.brings is Brings.CITY:
            self.write_adapter(region)
        elif region.brings is Brings.ISSUER:
            await self._make_issuer(region)
        if region.gate is not None:
            self.write_checkpoint(region)

        async def join() -> None:
            # Adapters follow the hub's feed; one that finds no hub waits before the next try.
            await hub_is_up.wait()
            await together(*self._follow(region), self._enrol(region))

        await together(*self._lead(region), join())
        self._on_step(f"{region.en} has joined")

    def _lead(self, region: Region) -> tuple[Coroutine[Any, Any, None], ...]:
        """What starts at once."""
        if region.brings is Brings.ISSUER:
            return (self._start_issuer(region),)
        if region.brings is Brings.CITY and not region.is_sharing:
            return (self._start_platform(region),)
        return ()

    def _follow(self, region: Region) -> tuple[Coroutine[Any, Any, None], ...]:
        """What starts when the hub is there."""
        if region.brings is not Brings.CITY:
            return ()
        if region.is_sharing:
            return self._start_platform(region), self._start_adapter(region)
        return (self._start_adapter(region),)

    async def _start_platform(self, region: Region) -> None:
        ports = self.ports[region.name]
        arguments = ["platform", "run", region.name]
        arguments += ["--port", str(ports.door), "--admin-port", str(ports.admin)]
        arguments += ["--admin-token", self._admin_token]
        if region.is_sharing:
            arguments += ["--shared", str(self.platform_file(region))]
        process = self._process(f"{region.name}-platform", arguments)
        await process.start(lambda: _listens(ports.admin))

    async def _start_adapter(self, region: Region) -> None:
        arguments = ["adapter", "serve", str(self.folder / region.name)]
        process = self._process(f"{region.name}-adapter", arguments)
        await process.start(lambda: _listens(self.ports[region.name].grpc))

    async def _make_issuer(self, region: Region) -> None:
        plan = IssuerPlan(
            directory=self.issuer_folder,
            store=None,
            grpc=(HOST, self.ports[region.name].grpc),
            names=["localhost", HOST],
        )
        await make_issuer(plan, now=datetime.now(UTC))
        shutil.copy(self.anchor_file, self.issuer_folder)

    async def _start_issuer(self, region: Region) -> None:
        process = self._process("issuer", ["issuer", "run", "--dir", str(self.issuer_folder)])
        await process.start(lambda: _listens(self.ports[region.name].grpc))

    async def _enrol(self, region: Region) -> None:
        now = datetime.now(UTC)
        identity, scheme = self.identity(region, now=now)
        async with open_channel(self.hub_target, ca_pem=self.ca_file.read_bytes()) as channel:
            await check_hub(channel, parse_anchor(self.anchor_file.read_bytes()))
            await enrol(
                channel,
                identity,
                hub_urn=self.hub_urn,
                now=now,
                schemes=[] if scheme is None else [scheme.to_document()],
                policy=_policy(region),
            )
            if region.gate is not None:
                settings = self.checkpoint_settings(region)
                gate = checkpoint_identity(settings, load_keys(settings.key_file), now=now)
                await enrol(channel, gate, hub_urn=self.hub_urn, now=now)

    def _process(self, name: str, arguments: list[str]) -> Process:
        process = Process(name, arguments, self.folder / "logs" / f"{name}.log")
        self._processes.append(process)
        return process

    async def _hub_is_ready(self) -> bool:
        return all([await _listens(port) for port in self.hub_ports])


def _policy(region: Region) -> dict[str, Any] | None:
    """The policy that a region publishes: its own, or one that it takes over."""
    rules = region.rules or region.region
    if rules not in shipped_regions():
        return None
    document = shipped_policy(rules).to_document()
    if rules == region.region:
        return document
    return {
        **document,
        "id": document["id"].replace(rules, region.region),
        "region": region.region,
        "name": {"zh": f"{region.zh}互认政策", "en": f"{region.en} recognition policy"},
    }


async def post(
    url: str, data: bytes, headers: dict[str, str], *, method: str = "POST"
) -> dict[str, Any]:
    """Call a door of a reference platform; returns the object that it answers.

    Raises:
        InternalError: it does not answer, or refuses.
    """
    request = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - our own loopback address

    def call() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=_CALL_SECONDS) as answer:  # noqa: S310 - our own loopback address
            found: dict[str, Any] = json.load(answer)
            return found

    try:
        return await asyncio.to_thread(call)
    except (OSError, ValueError):
        raise InternalError("a platform of the demo does not answer", code="DEMO_DOOR") from None


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things at once; the first failure ends them all, and is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _listens(port: int) -> bool:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
