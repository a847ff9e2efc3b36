"""A real issuer on a real port, with a clock that is moved and a client for each role."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import code_pb2, exchange_pb2, issuer_pb2
from hutong.v1 import issuer_desk_service_pb2 as desk_pb
from hutong.v1 import issuer_service_pb2 as pb

from gateway.issuer.app import RunningIssuer, running_issuer
from gateway.issuer.calling import IssuerClient, load_profile
from gateway.issuer.settings import load_settings
from gateway.issuer.setup import CLIENTS, IssuerPlan, make_issuer
from tests.issuer.core.world import BEGIN, HOME, POPULATION, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NO = code_pb2.TRI_STATE_NO
NAMES = ["localhost", "127.0.0.1"]


def document(index: int) -> exchange_pb2.Document:
    return exchange_pb2.Document(
        type=code_pb2.DOCUMENT_TYPE_RESIDENT_IDENTITY_CARD, number=POPULATION.person(index).number
    )


def moment(value: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def proxy(index: int | None) -> issuer_pb2.Proxy | None:
    return None if index is None else issuer_pb2.Proxy(document=document(index))


def declaration(index: int, **changes: Any) -> pb.DeclareHealthRequest:
    person = POPULATION.person(index)
    request = pb.DeclareHealthRequest(
        identity=issuer_pb2.Identity(
            document=document(index),
            name=person.name,
            sex=issuer_pb2.SEX_FEMALE,
            phone=person.phone,
            division=changes.pop("division", HOME),
        ),
        temperature_decicelsius=changes.pop("temperature", 365),
        symptoms=changes.pop("symptoms", [issuer_pb2.SYMPTOM_NONE]),
        answers=code_pb2.Declarations(
            contact=changes.pop("contact", NO),
            risk_area=changes.pop("risk_area", NO),
            overseas=changes.pop("overseas", NO),
        ),
        proxy=proxy(changes.pop("proxy", None)),
    )
    assert not changes
    return request


@dataclass
class ServiceWorld:
    """What runs, and short ways to ask it."""

    running: RunningIssuer
    clock: Clock
    folder: Path
    clients: dict[str, IssuerClient] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return f"localhost:{self.running.port}"

    @property
    def window(self) -> IssuerClient:
        return self.clients["window"]

    @property
    def gate(self) -> IssuerClient:
        return self.clients["gate"]

    async def declare(self, index: int, **changes: Any) -> pb.DeclareHealthResponse:
        return await self.window.call(
            self.window.service.DeclareHealth, declaration(index, **changes)
        )

    async def itinerary(
        self, index: int, *stays: tuple[str, float, float | None], proxy_index: int | None = None
    ) -> pb.DeclareItineraryResponse:
        now = self.clock.now
        return await self.window.call(
            self.window.service.DeclareItinerary,
            pb.DeclareItineraryRequest(
                document=document(index),
                proxy=proxy(proxy_index),
                stays=[
                    issuer_pb2.Stay(
                        division=division,
                        entered_at=moment(now - timedelta(days=begin)),
                        left_at=None if end is None else moment(now - timedelta(days=end)),
                    )
                    for division, begin, end in stays
                ],
            ),
        )

    async def query(self, index: int) -> pb.QueryHealthResponse:
        return await self.window.call(
            self.window.service.QueryHealth, pb.QueryHealthRequest(document=document(index))
        )

    async def make(
        self,
        index: int,
        medium: pb.Medium.ValueType = pb.MEDIUM_PHONE,
        *,
        proxy_index: int | None = None,
        call: pb.AppliedCall | None = None,
    ) -> pb.MakeCodeResponse:
        applied = call or await self.window.applied(pb.CALL_KIND_MAKE)
        return await self.window.call(
            self.window.service.MakeCode,
            pb.MakeCodeRequest(
                call=applied, document=document(index), medium=medium, proxy=proxy(proxy_index)
            ),
        )

    async def verify(
        self, text: str, temperature: int = 0, *, call: pb.AppliedCall | None = None
    ) -> pb.VerifyCodeResponse:
        applied = call or await self.gate.applied(pb.CALL_KIND_VERIFY)
        return await self.gate.call(
            self.gate.service.VerifyCode,
            pb.VerifyCodeRequest(
                call=applied, code_content=text, temperature_decicelsius=temperature
            ),
        )

    async def contacts(self, *contacts: desk_pb.Contact) -> desk_pb.ReportContactsResponse:
        feeder = self.clients["feeder"]
        return await feeder.call(
            feeder.desk.ReportContacts, desk_pb.ReportContactsRequest(contacts=contacts)
        )

    def contact(self, index: int, kind: str = "CLOSE", **changes: Any) -> desk_pb.Contact:
        fields: dict[str, Any] = {
            "document": document(index),
            "kind": desk_pb.ContactKind.Value(f"CONTACT_KIND_{kind}"),
            "at": moment(self.clock.now - timedelta(days=1)),
            "division": HOME,
            "reference": "case-1",
        }
        return desk_pb.Contact(**{**fields, **changes})

    async def review(self, name: str, request: Any) -> Any:
        reviewer = self.clients["reviewer"]
        return await reviewer.call(getattr(reviewer.desk, name), request)


async def make_folder(folder: Path, dsn: str | None = None, port: int = 0) -> None:
    """An issuer's directory as ``hutong issuer init`` makes it."""
    plan = IssuerPlan(directory=folder, store=dsn, grpc=("127.0.0.1", port), names=NAMES)
    await make_issuer(plan, now=datetime.now(UTC))


@asynccontextmanager
async def service_world(folder: Path, dsn: str | None = None) -> AsyncIterator[ServiceWorld]:
    """Make an issuer, run it, and open a client for each role."""
    if not (folder / "issuer.toml").exists():
        await make_folder(folder, dsn)
    clock = Clock(BEGIN)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            running_issuer(load_settings(folder), clock=clock, directory=folder)
        )
        world = ServiceWorld(running, clock, folder)
        for name in ("window", "gate", "feeder", "reviewer"):
            world.clients[name] = await stack.enter_async_context(open_client(world, name))
        yield world


def open_client(world: ServiceWorld, name: str) -> IssuerClient:
    """A client of a profile, at the port that was bound."""
    profile = load_profile(world.folder / CLIENTS / f"{name}.toml")
    return IssuerClient(profile.model_copy(update={"issuer": world.target}), world.clock)
