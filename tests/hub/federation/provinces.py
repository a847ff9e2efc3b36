"""Zhejiang with its eleven cities and Guangdong with its two systems, below the nation.

Three real hubs, thirteen adapters, each real on a port of its own, and six reference
platforms, in one process. Hangzhou, Ningbo and Shaoxing have wires of their own. Of the
eight others no wire is known but the provincial query: each reads that one and signs as
the city that issues, which leaves out what other cities issued. All people are synthetic.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from adapters.platforms import CREDENTIALS, platform, scenario, serve_platform
from adapters.platforms.zhejiang.table import EVERYWHERE, GREEN
from adapters.schemes.zhejiang.wire import CITIES
from adapters.sdk import AdapterParts, AdapterServer, generate_keys
from adapters.sdk.city import load_city, read_files
from adapters.sdk.enrolment import city_identity
from adapters.sdk.issued import StatusSettings
from adapters.sdk.key_schedule import KeySchedule
from adapters.sdk.keys import save_keys
from adapters.sdk.server import platform_connector
from adapters.sdk.settings import AdapterSettings, PlatformSettings
from adapters.sdk.vectors import check_vectors
from gateway.codes import DocumentType, parse_document, region_urn
from gateway.codes.schemes import load_scheme
from gateway.edge import Checkpoint
from gateway.recognition import shipped_policy
from gateway.trust import parse_anchor
from gateway.wire.certificates import issue_certificate, make_authority
from gateway.wire.server import ServerSettings
from tests.edge.federation import SCHEMES
from tests.hub.federation.world import (
    GUANGDONG,
    NATION,
    ZHEJIANG,
    Place,
    _gate,
    join,
    start_hub,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapters.platforms import RunningPlatform
    from gateway.codes import Document
    from gateway.codes.schemes import Scheme
    from gateway.wire.enrolment import MemberIdentity

OWN_WIRES: Final = {"330100": "hangzhou", "330200": "ningbo", "330600": "shaoxing"}
"""Cities of Zhejiang with a system of their own."""

ELEVEN: Final = tuple(sorted(CITIES.values()))
LISHUI: Final = "331100"  # 丽水
SYSTEMS: Final = {"440000": "guangdong", "440100": "guangzhou"}
"""粤康码 for the province, 穗康码 for Guangzhou."""

_SHORT_LEAD: Final = "\n[feed]\nrefresh_seconds = 1\n\n[keys]\nlead_periods = 3\n"
"""Three seconds between the publication of a key and its use; a real hub keeps a minute."""


@dataclass
class City:
    """One authority that answers.

    Attributes:
        identity: who it is.
        folder: its keys.
        adapter: its server.
        document: of a person whose code it issued and who is green.
    """

    identity: MemberIdentity
    folder: Path
    adapter: AdapterServer
    document: Document


@dataclass
class Provinces:
    """What runs."""

    nation: Place
    zhejiang: Place
    guangdong: Place
    south: Checkpoint
    """Guangzhou's north gate."""
    east: Checkpoint
    """A gate in Hangzhou."""
    cities: dict[str, City] = field(default_factory=dict)


@asynccontextmanager
async def provinces(folder: Path) -> AsyncIterator[Provinces]:
    async with AsyncExitStack() as stack:
        hubs = {
            urn: await start_hub(stack, folder / urn[-6:], urn, more=_SHORT_LEAD)
            for urn in (NATION, ZHEJIANG, GUANGDONG)
        }
        platforms = {
            name: await _platform(stack, name)
            for name in (*OWN_WIRES.values(), "zhejiang", *SYSTEMS.values())
        }
        names = {**{code: OWN_WIRES.get(code, "zhejiang") for code in ELEVEN}, **SYSTEMS}
        cities = {}
        for code, name in names.items():
            hub = hubs[ZHEJIANG if code.startswith("33") else GUANGDONG]
            cities[code] = await _city(stack, folder / code, code, platforms[name], hub)
        for below, prefix in ((ZHEJIANG, "33"), (GUANGDONG, "44")):
            await join(stack, hubs[below], hubs[NATION], prefix)
        gates = [
            await _gate(folder / "gate", hubs[GUANGDONG], "440100"),
            await _gate(folder / "home", hubs[ZHEJIANG], "330100"),
        ]
        opened = [await stack.enter_async_context(Checkpoint.open(gate)) for gate in gates]
        yield Provinces(*hubs.values(), *opened, cities)


async def _platform(stack: AsyncExitStack, name: str) -> RunningPlatform:
    running = await serve_platform(platform(name, size=400), admin_token="synthetic")
    stack.push_async_callback(running.stop)
    return running


async def _city(
    stack: AsyncExitStack, folder: Path, code: str, source: RunningPlatform, hub: Place
) -> City:
    name = source.platform.city
    scheme = city_of_the_province(code) if name == "zhejiang" else load_city(SCHEMES / name)
    keys = generate_keys()
    save_keys(folder / "keys", keys)
    now = datetime.now(UTC)
    authority = make_authority(f"Synthetic {code}", now=now)
    issued = issue_certificate(authority, ["localhost", "127.0.0.1"], now=now)
    secrets = {key: folder / key for key in CREDENTIALS[name]}
    files = {
        folder / "ca.pem": authority.certificate_pem,
        folder / "adapter.pem": issued.certificate_pem,
        folder / "adapter-key.pem": issued.key_pem,
        **{path: CREDENTIALS[name][key].encode() for key, path in secrets.items()},
    }
    for path, data in files.items():
        path.write_bytes(data)
        path.chmod(0o600)
    settings = PlatformSettings(url=source.base_url, secrets=secrets)
    adapter = AdapterServer(
        AdapterParts(
            scheme=scheme,
            connector=platform_connector(scheme, settings),
            keys=keys,
            anchor=parse_anchor((hub.directory / "anchor.json").read_bytes()),
            server=ServerSettings(
                tls_certificate=folder / "adapter.pem", tls_key=folder / "adapter-key.pem"
            ),
            status=StatusSettings(entries=1024),
            schedule=KeySchedule(folder / "keys", keys, clock=lambda: datetime.now(UTC)),
        )
    )
    port = await adapter.start()
    stack.push_async_callback(adapter.stop)
    member = AdapterSettings(
        scheme=SCHEMES / name,
        keys=folder / "keys",
        anchor=hub.directory / "anchor.json",
        name_en=f"Synthetic {code}",
        grpc={"ca": folder / "ca.pem"},
        platform=settings,
    )
    identity = city_identity(member, keys, scheme, now=now, endpoint=f"localhost:{port}")
    documents = {"schemes": [scheme.to_document()]}
    if code in ("330100", "440000", "440100"):
        documents["policy"] = shipped_policy(code).to_document()
    await hub.admit(identity, **documents)
    number = green_of(source, code) if name == "zhejiang" else _story(name)
    document = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number)
    return City(identity, folder / "keys", adapter, document)


def city_of_the_province(code: str) -> Scheme:
    """The provincial scheme, with one city as the authority that issues and signs."""
    scheme, vectors = (data.decode() for data in read_files(SCHEMES / "zhejiang"))
    family = f"zj-{code}"
    for old, new in (
        ("family: zj-jkm", f"family: {family}"),
        ('authority: "330000"', f'authority: "{code}"'),
        ('prefixes: ["33"]', f'prefixes: ["{code[:4]}"]'),
        ('region: "330000"', f'region: "{code}"'),
        ("orgCode=33[0-9]{4}-", f"orgCode={code}-"),
        ("orgCode=330300-", f"orgCode={code}-"),
        ("orgCode=330283-", f"orgCode={code}-"),
        # The provincial query answers with other cities' records too.
        ("    several: report_all\n", "    foreign: leave_out_green\n    several: report_all\n"),
    ):
        assert old in scheme
        scheme = scheme.replace(old, new)
    # The vectors of one record, as this city would issue it; the others name its sisters.
    own, _, _ = vectors.partition("  - name: green-of-hangzhou")
    name = next(name for name, number in CITIES.items() if number == code)
    own = own.replace("scheme: zj-jkm", f"scheme: {family}")
    own = own.replace('issued_by: "330300"', f'issued_by: "{code}"')
    own = own.replace("scope: 温州市", f"scope: {name}")
    loaded = load_scheme(scheme.encode(), vectors=own.encode())
    check_vectors(loaded)
    return loaded


def green_of(source: RunningPlatform, code: str) -> str:
    """The number of somebody who holds one code, of this city, and is green."""
    found = source.platform
    for index in range(found.population.size):
        person = found.population.person(index)
        records = found.records_of(person)
        if [(r.division, r.state, r.kind) for r in records] == [(code, GREEN, EVERYWHERE)]:
            return str(person.number)
    raise AssertionError(f"nobody of {code} is green")


def _story(name: str) -> str:
    number: str = scenario(f"{name}/green").document_number
    return number


def urn_of(code: str) -> str:
    """The URN of a region."""
    return region_urn(code)
