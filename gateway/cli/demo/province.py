"""Zhejiang's own hub below the national one, with one city; and the lines between the two.

It is a federation of its own in a folder below: a hub, a city with platform and adapter,
a checkpoint. It is set up while the first acts are played, and joins the national hub as
``hutong hub join-superior`` does.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gateway.cli.demo.federation import Federation
from gateway.cli.demo.line import Line
from gateway.cli.demo.regions import NINGBO
from gateway.cli.operator_client import OperatorClient
from gateway.hub.settings import load_settings as load_hub_settings
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.hub.superior import JoinPlan, join_superior

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

ZHEJIANG_HUB: Final = "urn:hutong:hub:330000"
FOLDER: Final = "zhejiang"


class Province:
    """See the module.

    Args:
        nation: the federation of the national hub, which runs.
    """

    def __init__(self, nation: Federation) -> None:
        self._nation = nation
        self.federation = Federation(
            nation.folder / FOLDER, regions=(NINGBO,), hub_urn=ZHEJIANG_HUB
        )
        self._lines = [Line(nation.hub_ports[0]), Line(self.federation.hub_ports[0])]
        self._starting = asyncio.create_task(self._start())

    async def __aenter__(self) -> Self:
        """Begin to set it up; :meth:`ready` waits for the end of that."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything."""
        self._starting.cancel()
        await asyncio.gather(self._starting, return_exceptions=True)
        await asyncio.gather(*(line.stop() for line in self._lines))
        await self.federation.stop()

    async def ready(self) -> Federation:
        """Wait until it stands below the national hub."""
        await self._starting
        return self.federation

    async def cut(self) -> None:
        """Cut the lines between province and nation, both ways."""
        for line in self._lines:
            await line.cut()

    def heal(self) -> None:
        """Let them carry again."""
        for line in self._lines:
            line.heal()

    async def _start(self) -> None:
        own, nation = self.federation, self._nation
        for line in self._lines:
            await line.start()
        await own.__aenter__()
        up, down = self._lines
        await join_superior(
            load_hub_settings(own.hub_folder),
            JoinPlan(
                grpc=f"localhost:{up.port}",
                http=nation.hub_url,
                anchor=nation.anchor_file.read_bytes(),
                ca_pem=nation.ca_file.read_bytes(),
                endpoint=f"localhost:{down.port}",
                tls_ca_pem=own.ca_file.read_text(encoding="ascii"),
                prefixes=("33",),
                name_zh="",
                name_en="Zhejiang",
            ),
            now=datetime.now(UTC).replace(microsecond=0),
        )
        operator = load_operator_profile(nation.hub_folder / OPERATOR_FILE)
        async with OperatorClient(operator) as client:
            await client.approve(ZHEJIANG_HUB)
