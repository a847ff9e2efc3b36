"""The real ends of the exchange for ``tests/benchmarks/exchange.py``: adapter and edge.

The adapter is the SDK's whole pipeline with Hangzhou's scheme; only the city
platform is replaced, by a connector that answers from memory. The edge is the
checkpoint's client: it seals, asks, opens. Started as
``python -m tests.benchmarks.exchange_sealed ROLE``; each takes one JSON line of
settings and says when it is ready. Every key, person and number is synthetic.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hutong.v1 import exchange_pb2, exchange_service_pb2_grpc

from adapters.sdk import AdapterParts, AdapterServer, LocalReport, Reports, generate_keys, load_city
from gateway.attestation import Profile, public_sealing_jwk, sealing_public_key_from_jwk
from gateway.attestation.keys import generate_signing_key, signing_key_from_jwk
from gateway.codes import parse_document
from gateway.edge.client import ExchangeClient
from gateway.edge.questions import AttestedAnswer
from gateway.trust.anchor import make_anchor
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.logging import configure_logging
from gateway.wire.loop import run
from gateway.wire.server import ServerSettings
from tests.benchmarks.exchange_peers import HUB, say

if TYPE_CHECKING:
    from adapters.sdk import Deadline, Fetched, Presentation
    from gateway.attestation import SealingPublicKey

REGION = "330100"
AUDIENCE = "urn:hutong:region:440100"
DOCUMENT = "330102199001010055"
"""Synthetic: a division of Hangzhou, a birth date and a valid check character."""

ASKERS = 512
"""Travellers who wait at once at one busy edge; several envelopes in flight."""

_REPORT_AGE = timedelta(hours=2)


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


class MemoryConnector:
    """A platform that knows one green report of everybody."""

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Answer at once."""
        del presentation, deadline
        moment = now().replace(microsecond=0) - _REPORT_AGE
        report = LocalReport(
            state="绿码",
            issued_by=REGION,
            assessed_at=moment,
            source_at=moment,
            scope="杭州市",
        )
        return Reports((report,))

    async def close(self) -> None:
        """Nothing to let go of."""


async def adapter(settings: dict[str, Any]) -> None:
    """Serve the SDK's adapter."""
    keys = generate_keys((Profile(settings["profile"]),))
    token_key = signing_key_from_jwk(settings["token_key"])
    server = AdapterServer(
        AdapterParts(
            scheme=load_city(Path(__file__).parents[2] / "adapters" / "schemes" / "hangzhou"),
            connector=MemoryConnector(),
            keys=keys,
            anchor=make_anchor(HUB, feed_keys=[generate_signing_key()], token_keys=[token_key]),
            server=ServerSettings(unsafe_insecure=True, drain_seconds=0.0),
        )
    )
    say(port=await server.start(), sealing_key=public_sealing_jwk(keys.seal[0]))
    await server.run_until_signal()


class _Keys:
    """A trust bundle that holds one key."""

    def __init__(self, key: SealingPublicKey) -> None:
        self._key = key

    def sealing_key(self, region: str, *, now: datetime) -> SealingPublicKey:
        """Return it."""
        del region, now
        return self._key


class _Token:
    """A token source that holds one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, scope: str) -> str:
        """Return it."""
        del scope
        return self._token

    def forget(self, scope: str) -> None:
        """Keep it."""


async def _no_news() -> None:
    """Refresh a trust that does not change."""


async def edge(settings: dict[str, Any]) -> None:
    """Ask for as many travellers as wait, for the seconds each command gives."""
    document = parse_document(10, DOCUMENT)
    keys = _Keys(sealing_public_key_from_jwk(settings["sealing_key"]))
    channel = unsafe_open_insecure_channel(f"127.0.0.1:{settings['port']}")
    async with (
        channel,
        ExchangeClient(
            exchange_service_pb2_grpc.ExchangeServiceStub(channel),
            caller=settings["caller"],
            audience=AUDIENCE,
            tokens=_Token(settings["token"]),
            keys=lambda: keys,
            refresh_trust=_no_news,
            clock=now,
            random_bytes=os.urandom,
        ) as client,
    ):

        async def ask_until(stop_at: float) -> int:
            asked = 0
            while time.perf_counter() < stop_at:
                answer = await client.ask(
                    REGION,
                    document,
                    purpose=exchange_pb2.PURPOSE_CHECKPOINT,
                    use=exchange_pb2.ATTESTATION_USE_ONLINE,
                    timeout_seconds=10,
                )
                if not isinstance(answer, AttestedAnswer):
                    # An outcome costs the adapter no signature; it must not pass for one.
                    raise SystemExit("the adapter did not attest; the figure would be wrong")
                asked += 1
            return asked

        say(ready=True)
        while line := sys.stdin.readline():
            stop_at = time.perf_counter() + json.loads(line)["seconds"]
            counts = await asyncio.gather(*(ask_until(stop_at) for _ in range(ASKERS)))
            say(items=sum(counts))


if __name__ == "__main__":
    configure_logging()
    roles: dict[str, Any] = {"adapter": adapter, "edge": edge}
    run(roles[sys.argv[1]](json.loads(sys.stdin.readline())))
