"""Hub, issuer and a checkpoint: a region without a code is answered by the national one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hutong.v1 import issuer_service_pb2 as pb

from adapters.sdk.city import load_city
from adapters.sdk.enrolment import city_identity, enrol_city
from adapters.sdk.keys import load_keys as load_adapter_keys
from gateway.cli.issuer import as_city
from gateway.codes import Level, Outcome, parse_document
from gateway.edge import Checkpoint, create_keys, load_keys, load_settings
from gateway.edge.enrolment import checkpoint_identity
from gateway.issuer.app import running_issuer
from gateway.issuer.calling import IssuerClient, load_profile
from gateway.issuer.settings import load_settings as load_issuer_settings
from gateway.issuer.setup import CLIENTS
from gateway.recognition import OutcomeEvidence, Verdict, VerifiedEvidence, shipped_policy
from gateway.trust import parse_anchor
from gateway.wire.enrolment import enrol
from tests.edge.federation import GATE, SCHEMES, _config
from tests.hub.hub_world import hub_world, now_region
from tests.issuer.core.world import POPULATION, Clock
from tests.issuer.service.world import ServiceWorld, make_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.edge import Result

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

HUNAN = "430000"


@dataclass
class Place:
    """A federation around the issuer, and the checkpoint that asks."""

    issuer: ServiceWorld
    checkpoint: Checkpoint

    async def ask(self, index: int, origin: str = HUNAN) -> Result:
        document = parse_document(10, POPULATION.person(index).number)
        return await self.checkpoint.ask(document, origin=origin)


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    async with hub_world(folder / "hub") as world:
        await make_folder(folder / "issuer")
        anchor = folder / "issuer" / "anchor.json"
        anchor.write_bytes(world.hub.feed.anchor.to_bytes())
        settings = load_issuer_settings(folder / "issuer")
        async with running_issuer(settings) as running, world.channel() as channel:
            assert running.answers_hubs
            now = world.clock()
            city = as_city(settings)
            scheme = load_city(city.scheme)
            identity = city_identity(
                city,
                load_adapter_keys(city.keys),
                scheme,
                now=now,
                endpoint=f"localhost:{running.port}",
            )
            await enrol_city(
                channel, identity, anchor=parse_anchor(anchor.read_bytes()), scheme=scheme, now=now
            )
            guangzhou = now_region("urn:hutong:region:440100")
            await enrol(
                channel,
                guangzhou,
                hub_urn=world.settings.urn,
                now=now,
                schemes=[load_city(SCHEMES / "guangzhou").to_document()],
                policy=shipped_policy("440100").to_document(),
            )
            (folder / "anchor.json").write_bytes(anchor.read_bytes())
            gate_settings = load_settings(_config(folder, world, folder / "anchor.json"))
            create_keys(gate_settings.key_file)
            gate = checkpoint_identity(gate_settings, load_keys(gate_settings.key_file), now=now)
            await enrol(channel, gate, hub_urn=world.settings.urn, now=now)
            for urn in (identity.body.urn, guangzhou.body.urn, GATE):
                await world.hub.registry.approve(urn)
            clock = Clock(datetime.now(UTC))
            issuer = ServiceWorld(running, clock, folder / "issuer")
            async with Checkpoint.open(gate_settings) as checkpoint:
                await checkpoint.refresh()
                for name in ("window", "feeder"):
                    profile = load_profile(folder / "issuer" / CLIENTS / f"{name}.toml")
                    issuer.clients[name] = IssuerClient(
                        profile.model_copy(update={"issuer": issuer.target}),
                        lambda: datetime.now(UTC),
                    )
                try:
                    yield Place(issuer, checkpoint)
                finally:
                    for client in issuer.clients.values():
                        await client._channel.close()


async def test_a_region_without_a_code_is_answered_by_the_national_issuer(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        nobody = await here.ask(1)
        assert nobody.evidence == OutcomeEvidence(Outcome.NOT_APPLIED, "100000")
        assert (nobody.instead_of, nobody.decision.verdict) == (HUNAN, Verdict.REFER)

        await here.issuer.declare(1, division="430102")
        green = await here.ask(1)
        assert isinstance(green.evidence, VerifiedEvidence)
        assert (green.origin, green.instead_of) == ("100000", HUNAN)
        assert green.evidence.attestation.code.level is Level.GREEN
        assert green.evidence.attestation.code.scheme == "cn-native@2020-02"

        await here.issuer.contacts(here.issuer.contact(1))
        red = await here.ask(1)
        assert isinstance(red.evidence, VerifiedEvidence)
        assert red.evidence.attestation.code.level is Level.RED
        assert red.decision.verdict not in {Verdict.ADMIT, Verdict.ADMIT_WITH_CONDITIONS}


async def test_a_code_of_ours_is_recognised_by_its_text_and_bound_to_its_holder(
    tmp_path: Path,
) -> None:
    async with place(tmp_path) as here:
        await here.issuer.declare(1, division="430102")
        made = await here.issuer.make(1, pb.MEDIUM_PAPER)
        shown = await here.checkpoint.ask(made.code_content)
        assert isinstance(shown.evidence, VerifiedEvidence)
        assert (shown.origin, shown.instead_of) == ("100000", None)
        asked = await here.ask(1)
        assert isinstance(asked.evidence, VerifiedEvidence)
        # The pseudonym is that of the person, whichever way the person is asked about.
        assert shown.evidence.attestation.subject == asked.evidence.attestation.subject
        unknown = await here.checkpoint.ask("HTCN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        assert unknown.evidence == OutcomeEvidence(Outcome.NOT_FOUND, "100000")
