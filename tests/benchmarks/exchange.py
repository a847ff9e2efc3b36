"""The exchange: the hub beside a bare grpc.aio echo, and the whole path sealed.

Every party is a process of its own; they talk over loopback without TLS, on both
sides of every pair alike. Rates are per core: items divided by the processor
time of the server's process (all its threads, from ``/proc``), so that a busy
neighbour moves them less than it moves a rate by the clock. Pairs are measured
in turns and the ratio is the median of the rounds' ratios.

The echo is the least that grpc.aio can do with the same bytes: it parses a
batch, rebuilds every item and serialises the answer, in one hop. The hub does
that twice, in two directions, and authenticates, authorises, routes, keeps
deadlines and counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.attestation import Profile
from gateway.attestation.keys import generate_signing_key, signing_key_to_jwk
from tests.benchmarks.figures import Figure, at_least, at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROUNDS = 7
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PEERS = "tests.benchmarks.exchange_peers"
_SEALED = "tests.benchmarks.exchange_sealed"
_REGISTERED = "tests.benchmarks.exchange_registered"

_MUST_BATCHES = 0.4
_MUST_SINGLES = 0.35
_MUST_UNARY = 2.5
_MUST_MEGABYTES = 200
"""Goals of the performance page."""

_LOOPBACK = "no TLS on either side"


class Peer:
    """One process, spoken to in JSON lines."""

    def __init__(self, module: str, *arguments: object, settings: object = None) -> None:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if settings is not None:
            self._send(settings)
        self.ready = self._receive()

    def ask(self, **command: object) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._send(command)
        return self._receive()

    def receive(self) -> dict[str, Any]:
        """Return a further answer."""
        return self._receive()

    def cpu_seconds(self) -> float:
        """Processor time of the process so far, user and system, all threads."""
        fields = self._proc("stat").rsplit(")", 1)[1].split()
        # utime and stime are fields 14 and 15 of proc(5); two were cut off in front.
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_megabytes(self) -> float:
        """Resident memory of the process."""
        return int(self._proc("statm").split()[1]) * _PAGE / 1e6

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/{name}").read_text(encoding="ascii")

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _started(*arguments: object, settings: object = None) -> Iterator[Peer]:
    peer = Peer(str(arguments[0]), *arguments[1:], settings=settings)
    try:
        yield peer
    finally:
        peer.kill()


def measure() -> list[Figure]:
    """Measure everything this module is about, in about two minutes."""
    token_key = signing_key_to_jwk(generate_signing_key())
    with ExitStack() as stack:
        load = stack.enter_context(_started(_PEERS, "load"))
        echo = stack.enter_context(_started(_PEERS, "echo"))
        adapter = stack.enter_context(_started(_PEERS, "adapter"))
        hub = stack.enter_context(
            _started(_PEERS, "hub", adapter.ready["port"], settings={"token_key": token_key})
        )
        load.ask(port=hub.ready["port"], tokens=hub.ready["tokens"])
        figures = [
            _rate_pair(
                "hub, batches of 64 on 16 streams",
                lambda peer: _batches(load, peer),
                echo,
                hub,
                goal=_MUST_BATCHES,
                rounds=2 * _ROUNDS,
            ),
            _rate_pair(
                "hub, 1 000 edges with one question each",
                lambda peer: _singles(load, peer),
                echo,
                hub,
                goal=_MUST_SINGLES,
                rounds=_ROUNDS,
            ),
            _unary_pair(load, echo, hub),
        ]
    for profile in Profile:
        figures += _sealed(profile, token_key)
    figures.append(_memory())
    return figures


def _memory() -> Figure:
    """A whole hub, started anew on a store in which the regions are registered."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = f"{folder}/hub"
        stack.enter_context(_started(_REGISTERED, "fill", directory))
        hub = stack.enter_context(_started(_REGISTERED, "run", directory))
        megabytes = hub.resident_megabytes()
        regions = hub.ready["regions"]
    return Figure(
        f"hub, resident memory with {regions} registered regions",
        megabytes,
        "MB",
        goal=_MUST_MEGABYTES,
        met=megabytes < _MUST_MEGABYTES,
        note="each with its keys and a scheme; the whole hub, freshly started on its store",
    )


def _batches(load: Peer, server: Peer) -> float:
    before = server.cpu_seconds()
    answer = load.ask(port=server.ready["port"], kind="batches", seconds=1.0, streams=16, window=1)
    return float(answer["items"] / (server.cpu_seconds() - before))


def _singles(load: Peer, server: Peer) -> float:
    # Three steps, so that opening a thousand streams is not part of the measurement.
    load.ask(port=server.ready["port"], kind="singles", seconds=1.0, edges=1000)
    before = server.cpu_seconds()
    load.ask(go=True)
    used = server.cpu_seconds() - before
    return float(load.ask(go=True)["items"] / used)


def _rate_pair(
    name: str, rate: Callable[[Peer], float], echo: Peer, hub: Peer, *, goal: float, rounds: int
) -> Figure:
    rate(echo)
    rate(hub)
    pairs = [(rate(echo), rate(hub)) for _ in range(rounds)]
    return at_least(
        name,
        statistics.median(own for _, own in pairs),
        "items/s per core",
        baseline=statistics.median(bare for bare, _ in pairs),
        ratio=statistics.median(own / bare for bare, own in pairs),
        goal=goal,
        note=f"beside a bare grpc.aio echo of the same 1 300-byte envelopes; {_LOOPBACK}",
    )


def _unary_pair(load: Peer, echo: Peer, hub: Peer) -> Figure:
    def p50_us(peer: Peer) -> float:
        answer = load.ask(port=peer.ready["port"], kind="unary", calls=250)
        return float(answer["p50_seconds"] * 1e6)

    p50_us(echo)
    p50_us(hub)
    pairs = [(p50_us(echo), p50_us(hub)) for _ in range(2 * _ROUNDS)]
    return at_most(
        "hub, unary p50, one call at a time",
        statistics.median(own for _, own in pairs),
        "us",
        baseline=statistics.median(bare for bare, _ in pairs),
        ratio=statistics.median(own / bare for bare, own in pairs),
        goal=_MUST_UNARY,
        note=f"beside a bare unary echo; edge, hub and adapter in turn; {_LOOPBACK}",
    )


def _sealed(profile: Profile, token_key: dict[str, str]) -> list[Figure]:
    """The whole path: the SDK's adapter, the hub, the checkpoint's client."""
    with ExitStack() as stack:
        adapter = stack.enter_context(
            _started(
                _SEALED, "adapter", settings={"profile": profile.value, "token_key": token_key}
            )
        )
        hub = stack.enter_context(
            _started(_PEERS, "hub", adapter.ready["port"], settings={"token_key": token_key})
        )
        edge = stack.enter_context(
            _started(
                _SEALED,
                "edge",
                settings={
                    "port": hub.ready["port"],
                    "caller": hub.ready["callers"][0],
                    "token": hub.ready["tokens"][0],
                    "sealing_key": adapter.ready["sealing_key"],
                },
            )
        )
        parties = {"hub": hub, "adapter": adapter, "edge": edge}
        edge.ask(seconds=1.0)
        rates: dict[str, list[float]] = {name: [] for name in parties}
        for _ in range(_ROUNDS):
            before = {name: peer.cpu_seconds() for name, peer in parties.items()}
            items = edge.ask(seconds=1.0)["items"]
            for name, peer in parties.items():
                rates[name].append(items / max(1 / _TICKS, peer.cpu_seconds() - before[name]))
    notes = {
        "hub": "up to 64 travellers an envelope, so the hub carries few and is nearly idle",
        "adapter": "open, translate, sign one ES256 attestation each, seal; platform in memory",
        "edge": "seal, ask, open; verification is measured apart",
    }
    return [
        Figure(
            f"sealed {profile.value.upper()}: {name}",
            statistics.median(rates[name]),
            "travellers/s per core",
            note=f"{notes[name]}; {_LOOPBACK}",
        )
        for name in parties
    ]
