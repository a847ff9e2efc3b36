"""Starts what we ship on loopback and writes the profiles that the suite needs.

A city is its platform, its adapter and nothing else: the suite is its hub. What the
profile says of people follows from the stories of the reference platform, so who adds a
city is tested here without a line.
"""

from __future__ import annotations

import functools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from adapters.platforms import CREDENTIALS, city_names, platform, serve_platform
from adapters.platforms.times import TimeForm
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import (
    AdapterParts,
    AdapterServer,
    Upstream,
    UpstreamSettings,
    generate_keys,
    open_connector,
)
from adapters.sdk.city import load_city
from adapters.sdk.connectors import change_feed_path
from adapters.sdk.issued import StatusSettings
from adapters.sdk.replica import HubReplica, ReplicaSettings
from adapters.sdk.watching import CALL_SECONDS, PlatformChanges
from conformance_tests import crypto
from conformance_tests.peer.common import private_members, write_json
from gateway.attestation import public_sealing_jwk
from gateway.attestation.keys import public_jwk
from gateway.codes.divisions import region_urn
from gateway.codes.levels import Level
from gateway.trust.anchor import parse_anchor
from gateway.wire.server import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapters.platforms import ScenarioPerson
    from adapters.platforms.base import AnyCity
    from gateway.codes.schemes import Scheme

CITIES = tuple(name for name in city_names() if (SCHEMES_FOLDER / name / "scheme.yaml").exists())
HUB = "urn:hutong:hub:000000"
ADMIN_TOKEN = "synthetic-suite-token"
ORIGIN = "urn:hutong:region:420000"
POPULATION = 1_000
"""People of a city: few, so that the whole catalogue, which is read after a gap, keeps
neither the platform nor its adapter from the checks after it."""
PLATFORM_SECONDS = 1.0
"""An adapter's patience with its platform: short, since every city is made slow once."""

NAMED = {
    "unknown-state": (
        "CANNOT_DETERMINE",
        (
            *("unknown-state", "unknown-value", "unknown-type", "a-colour", "orange-too-late"),
            "cannot-confirm",
        ),
    ),
    "foreign-record": (
        "CANNOT_DETERMINE",
        ("only-elsewhere", "another-city", "two-cities", "linked-elsewhere"),
    ),
    "proxy": ("GREEN", ("proxy", "child")),
}
"""Person of the profile: what comes out, and the stories that tell it, the best first."""
BY_OUTCOME = {
    "unknown": "NOT_FOUND",
    "two-colour-red": "RESTRICTED",
    "expired-code": "CODE_EXPIRED",
    "expired-declaration": "DECLARATION_EXPIRED",
    "shared": "AMBIGUOUS_SUBJECT",
    "not-applied": "NOT_APPLIED",
    "must-update": "HOLDER_MUST_UPDATE",
    "pending": "PENDING_REVIEW",
    "evidence-only": "EVIDENCE_ONLY",
}
"""Person of the profile: what comes out of any story that tells it."""
FAULTS = {
    "slow-platform": "slow=30",
    "stale": "stale",
    "unreadable": "garbage=html",
    "busy": "quota",
    "ordinal": "ordinal",
    "unreadable-date": "odd-dates",
}
"""Person of the profile: the fault of the platform under which somebody green is asked."""
ASSESSED = {"anhui": "changed_at"}
"""Which moment a wire states: Anhui's has that of the last change only."""
WITHOUT_ZONE = {TimeForm.LOCAL, TimeForm.LOCAL_COMPACT, TimeForm.LOCAL_MINUTE}


scheme_of = functools.cache(lambda name: load_city(SCHEMES_FOLDER / name))
"""A city's scheme, read once."""


def shown(person: ScenarioPerson, outcome: str) -> dict[str, Any] | None:
    """How somebody is asked about so that this comes out; None: there is no way."""
    if person.expected_by_document == outcome:
        return {"document": {"type": 10, "number": person.document_number}}
    if person.qr_text is not None and person.expected == outcome:
        return {"qr_text": person.qr_text}
    return None


def people_of(city: AnyCity, admin_url: str = "http://127.0.0.1:1") -> dict[str, dict[str, Any]]:
    """The people of a city's profile."""
    people = told(city)
    if "green" in city.scenarios():
        people["green"] = shown(city.scenarios()["green"], "GREEN") or {}
        if city.times in WITHOUT_ZONE:
            people["date-without-zone"] = {**people["green"], **assessed(city, "green")}
    if "proxy" in people:
        people["proxy"] |= {"level": "GREEN", "acting": "green"}
    sound = people.get("green") or people["evidence-only"]
    bystander = beside(city)
    if "document" in sound and bystander is not None:
        people["beside"] = bystander
        people["turned"] = sound | {"bystander": "beside"} | turned(city, admin_url)
        people["turned"]["gap"] = unheard(people["turned"])
    if not_named(city):
        people["unnamed"] = {"qr_text": city.scenarios()["green"].qr_text}
    for name, fault in FAULTS.items():
        people[name] = sound | arranged(admin_url, fault)
    return people


def told(city: AnyCity) -> dict[str, dict[str, Any]]:
    """Those whose story the platform tells; of several, the first."""
    stories = city.scenarios()
    found = [
        (name, shown(person, outcome))
        for name, outcome in BY_OUTCOME.items()
        for person in stories.values()
    ]
    found += [
        (name, shown(stories[story], outcome))
        for name, (outcome, wanted) in NAMED.items()
        for story in wanted
        if story in stories
    ]
    found += [
        ("restricted", shown(person, level))
        for level in ("RED", "RESTRICTED", "YELLOW")
        for person in stories.values()
    ]
    found += [
        (
            "several-records",
            {"qr_text": person.qr_text, "level": person.expected, "also": list(person.also)},
        )
        for person in stories.values()
        if person.also and person.qr_text
    ]
    # Later ones do not replace earlier ones: a dictionary keeps the last.
    return {name: entry for name, entry in reversed(found) if entry is not None}


def assessed(city: AnyCity, story: str) -> dict[str, int]:
    """When the platform assessed somebody, to the second, as the platform itself knows it."""
    number = city.scenarios()[story].document_number
    person = city.population.find(number)
    assert person is not None
    (record,) = city.records_of(person)
    moment: datetime = getattr(record, ASSESSED.get(city.city, "assessed_at"))
    return {"assessed_at": int(moment.timestamp())}


def beside(city: AnyCity) -> dict[str, Any] | None:
    """Somebody else who is green; None: the population has nobody among the first."""
    first = [each.state for each in city.records_of(_green(city))] if _has_green(city) else []
    for person in map(city.population.person, range(100, 300)):
        if first and [record.state for record in city.records_of(person)] == first:
            return {"document": {"type": 10, "number": person.number}}
    return None


def turned(city: AnyCity, admin_url: str) -> dict[str, Any]:
    """How the green person is turned, and back."""
    version = city.table.version_at(city.clock())
    rules = scheme_of(city.city).version_at(city.clock()).states
    state = next(
        name
        for name, rule in rules.items()
        if rule.level in {Level.RED, Level.RESTRICTED, Level.YELLOW} and version.state(name)
    )
    door = {
        "method": "POST",
        "url": f"{admin_url}/admin/people",
        "headers": {"authorization": f"Bearer {ADMIN_TOKEN}"},
    }
    return {
        word: {**door, "json": {"person": "green", "state": value}}
        for word, value in (("arrange", state), ("restore", None))
    }


def unheard(turned: dict[str, Any]) -> dict[str, Any]:
    """The same, while the platform's feed loses its place."""
    arrange, restore = turned["arrange"], turned["restore"]
    return {
        "arrange": arrange | {"json": arrange["json"] | {"forget": True}},
        "restore": restore,
    }


def not_named(city: AnyCity) -> bool:
    """Whether somebody green shows a QR text that the platform answers without a name."""
    connector = scheme_of(city.city).connector or {}
    if not _has_green(city) or "python" in connector or "subject" in str(connector):
        return False
    green = city.scenarios()["green"]
    return green.qr_text is not None and green.expected == "GREEN"


def _has_green(city: AnyCity) -> bool:
    return "green" in city.scenarios()


def _green(city: AnyCity) -> Any:
    return city.population.find(city.scenarios()["green"].document_number)


def arranged(admin_url: str, fault: str) -> dict[str, Any]:
    door = {
        "url": f"{admin_url}/admin/faults",
        "headers": {"authorization": f"Bearer {ADMIN_TOKEN}"},
    }
    return {
        "arrange": {"method": "PUT", "json": {"faults": [fault]}, **door},
        "restore": {"method": "DELETE", **door},
    }


@dataclass(frozen=True, slots=True)
class SuiteKeys:
    """The keys of the suite as a hub, and of its origin region."""

    token: Any
    feed: Any
    origin: Any

    def anchor(self) -> bytes:
        keys = [
            {"use": use, "jwk": crypto.public_members(getattr(self, use))}
            for use in ("feed", "token")
        ]
        return json.dumps({"hub": HUB, "keys": keys}).encode()


def suite_keys() -> SuiteKeys:
    return SuiteKeys(*(crypto.new_signing_key() for _ in range(3)))


@asynccontextmanager
async def shipped_city(name: str, folder: Path) -> AsyncIterator[Path]:
    """A city's platform and adapter on loopback; yields the profile of it.

    Both clocks stand still, so that no story ends while it is told; the suite's goes on,
    and has a minute before its questions are too new.
    """
    start = datetime.now(UTC)
    scheme, keys, suite = scheme_of(name), generate_keys(), suite_keys()
    anchor = parse_anchor(suite.anchor())
    offers_import = scheme.version_at(start).import_rule is not None
    feed = f"unix:{folder / 'feed.sock'}"
    async with await serve_platform(
        platform(name, clock=lambda: start, size=POPULATION), admin_token=ADMIN_TOKEN
    ) as running:
        settings = UpstreamSettings(
            url=running.base_url, timeout_seconds=PLATFORM_SECONDS, breaker_failures=1000
        )
        door = open_connector(
            scheme,
            upstream=Upstream(UpstreamSettings(url=running.base_url, timeout_seconds=CALL_SECONDS)),
            secrets=CREDENTIALS[name],
            now=lambda: start,
        )
        path = change_feed_path(scheme)
        assert path is not None
        replica = ReplicaSettings(target=feed, path=folder / "feed.replica", unsafe_insecure=True)
        adapter = AdapterServer(
            AdapterParts(
                scheme=scheme,
                connector=open_connector(
                    scheme,
                    upstream=Upstream(settings),
                    secrets=CREDENTIALS[name],
                    now=lambda: start,
                ),
                keys=keys,
                anchor=anchor,
                clock=lambda: start,
                server=ServerSettings(unsafe_insecure=True, drain_seconds=1),
                status=StatusSettings(entries=4096),
                changes=PlatformChanges(door, path, scheme, clock=lambda: start),
                replica=HubReplica(anchor, replica, clock=lambda: start) if offers_import else None,
            )
        )
        port = await adapter.start()
        try:
            city: Any = running.platform
            people = people_of(city, running.admin_url)
            profile = {
                "role": "adapter",
                "target": f"127.0.0.1:{port}",
                "insecure": True,
                "authority": region_urn(scheme.authority),
                "hub": {
                    "urn": HUB,
                    "token_key": write_json(folder / "token.jwk", private_members(suite.token)),
                },
                "caller": {"urn": "urn:hutong:checkpoint:440100:suite", "region": "440100"},
                "seal": [write_json(folder / "seal.jwk", public_sealing_jwk(keys.seal[0]))],
                "attest": [write_json(folder / "attest.jwk", public_jwk(keys.attest))],
                "people": people,
                "capabilities": capabilities(city, scheme, start),
            }
            if offers_import:
                profile["import"] = conversion(suite, people, running.admin_url, feed, folder)
            path = folder / "profile.yaml"
            path.write_text(yaml.safe_dump(profile, allow_unicode=True))
            yield path
        finally:
            await adapter.stop()


def capabilities(city: AnyCity, scheme: Scheme, now: datetime) -> list[str]:
    """What a city's profile declares."""
    people = people_of(city)
    declared = ["stream", "changes", *(f"person.{name}" for name in people)]
    if "turned" in people:
        declared.append("changes.gap")
    if city.table.documents and "green" in people:
        declared.append("document")
    if scheme.version_at(now).import_rule is not None:
        declared += ["import", "import.answers", "import.own-record", "import.broken-platform"]
    return declared


def conversion(
    suite: SuiteKeys, people: dict[str, dict[str, Any]], admin_url: str, feed: str, folder: Path
) -> dict[str, Any]:
    """The section ``import``: the traveller comes from the suite's own origin."""
    traveller = platform("hubei").scenarios()["green"].document_number
    shows = {"document": {"type": 10, "number": traveller}, "name": "测试甲"}
    return {
        "origin": {
            "authority": ORIGIN,
            "attest": write_json(folder / "origin.jwk", private_members(suite.origin)),
        },
        "feed": {
            "listen": feed,
            "key": write_json(folder / "feed.jwk", private_members(suite.feed)),
        },
        "traveller": shows,
        "broken-platform": shows | arranged(admin_url, "quota"),
        "own-record": {"document": people["restricted"]["document"], "name": "测试乙"},
    }
