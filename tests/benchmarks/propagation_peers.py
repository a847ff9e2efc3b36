"""The processes of ``tests/benchmarks/propagation.py``: a hub, an adapter, a thousand edges.

Each is started as ``python -m tests.benchmarks.propagation_peers ROLE DIRECTORY …`` and
speaks JSON lines: it says that it is ready, and answers one line a command. The hub is
the whole hub with TLS, its store on disk; the adapter pushes what the parent says; every
edge is a stream of its own with a replica of its own. All are on one machine, so that one
monotonic clock times both ends. Every name, key and list is synthetic.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import grpc
from hutong.v1 import adapter_service_pb2, feed_service_pb2, registry_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from gateway.attestation import AttestationError, generate_sealing_key, public_sealing_jwk
from gateway.attestation.keys import (
    generate_signing_key,
    signing_key_from_jwk,
    signing_key_to_jwk,
)
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import StatusList, sign_status_list, status_uri
from gateway.attestation.status_tokens import token_digest
from gateway.edge.revocation import RevocationView, StatusFolder, StatusLists
from gateway.hub.app import running_hub
from gateway.hub.settings import load_settings
from gateway.hub.setup import HubPlan, make_hub
from gateway.recognition import load_policy
from gateway.trust import KeyUse, MemberKind, parse_anchor
from gateway.trust.authority import EnrolmentBody
from gateway.trust.keys import sealing_member_key, signing_member_key
from gateway.trust.replica import FeedReplica
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import MemberIdentity, enrol_request, open_challenges
from gateway.wire.logging import configure_logging
from gateway.wire.loop import run
from tests.benchmarks.exchange_peers import HUB, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REGION: Final = "urn:hutong:region:330100"
URI: Final = status_uri(REGION, "bench")

LIST_ENTRIES: Final = 1_000_000
"""Of the base list: a city's attestations of a day."""

CHANNELS: Final = 20
STREAMS_A_CHANNEL: Final = 50
EDGES: Final = CHANNELS * STREAMS_A_CHANNEL

_BEFORE: Final = timedelta(days=1)


async def _lines() -> AsyncIterator[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield json.loads(line)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def prepare(directory: Path) -> None:
    """Make the hub's directory and the region's attestation key."""
    await make_hub(
        HubPlan(
            directory=directory,
            urn=HUB,
            store=None,
            grpc=("127.0.0.1", 0),
            http=("127.0.0.1", 0),
            names=["localhost"],
            operator="first",
            approvals=1,
        ),
        now=_now(),
    )
    key = signing_key_to_jwk(generate_signing_key())
    (directory / "attest.json").write_text(json.dumps(key))
    say(ready=True)


async def adapter(directory: Path) -> None:
    """Push one more revocation for every line; say when the frame left."""
    key = signing_key_from_jwk(json.loads((directory / "attest.json").read_text()))
    base = sign_status_list(
        StatusList(1, LIST_ENTRIES),
        key,
        uri=URI,
        issued_at=_now(),
        expires_at=_now() + timedelta(hours=6),
    ).encode("ascii")
    held = StatusBase(token_digest(base), LIST_ENTRIES, 1)
    frames: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
    followed = asyncio.Event()
    revoked: list[int] = []

    def word() -> str:
        return sign_status_change(
            key,
            base=held,
            uri=URI,
            sequence=len(revoked) + 1,
            changes={1: revoked} if revoked else {},
            issued_at=_now(),
        )

    async def describe(_request: Any, _context: Any) -> Any:
        return adapter_service_pb2.DescribeResponse(authority=REGION, watches=True)

    async def watch(_request: Any, _context: Any) -> AsyncIterator[Any]:
        token = adapter_service_pb2.StatusListToken(token=base)
        yield adapter_service_pb2.WatchChangesResponse(list=token)
        yield adapter_service_pb2.WatchChangesResponse(change=word())
        followed.set()
        while True:
            index, statement = await frames.get()
            at = time.monotonic_ns()
            yield adapter_service_pb2.WatchChangesResponse(change=statement)
            say(index=index, at=at, bytes=len(statement))

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "hutong.v1.AdapterService",
                {
                    "Describe": grpc.unary_unary_rpc_method_handler(
                        describe,
                        adapter_service_pb2.DescribeRequest.FromString,
                        adapter_service_pb2.DescribeResponse.SerializeToString,
                    ),
                    "WatchChanges": grpc.unary_stream_rpc_method_handler(
                        watch,
                        adapter_service_pb2.WatchChangesRequest.FromString,
                        adapter_service_pb2.WatchChangesResponse.SerializeToString,
                    ),
                },
            ),
        )
    )
    tls = directory / "tls"
    pair = ((tls / "hub-key.pem").read_bytes(), (tls / "hub.pem").read_bytes())
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    say(port=port)
    async for command in _lines():
        await followed.wait()
        revoked.append(command["index"])
        frames.put_nowait((command["index"], word()))
    await server.stop(None)


async def hub(directory: Path, adapter_port: str) -> None:
    """Run the hub as ``hutong hub run`` does, with one region that is active."""
    now = _now()
    ca_pem = (directory / "tls/ca.pem").read_text()
    attest = signing_key_from_jwk(json.loads((directory / "attest.json").read_text()))
    state, authenticate = generate_signing_key(), generate_signing_key()
    seal = generate_sealing_key()
    since = now - _BEFORE
    body = EnrolmentBody(
        urn=REGION,
        kind=MemberKind.REGION,
        name_zh="合成地区",
        name_en="Synthetic region",
        prefixes=("3301",),
        endpoint=f"localhost:{adapter_port}",
        tls_ca_pem=ca_pem,
        keys=(
            signing_member_key(state, KeyUse.STATE, not_before=since),
            signing_member_key(attest, KeyUse.ATTEST, not_before=since),
            signing_member_key(authenticate, KeyUse.AUTHENTICATE, not_before=since),
            sealing_member_key(public_sealing_jwk(seal), not_before=since),
        ),
    )
    identity = MemberIdentity(body, state, (attest, authenticate), (seal,))
    async with running_hub(load_settings(directory), check_policy=load_policy) as running:
        request = enrol_request(identity, hub_urn=HUB, now=now)
        enrolled = await running.registry.enrol(
            request.statement, request.key_proofs, request.schemes, request.policy
        )
        challenges = [
            registry_service_pb2.SealedChallenge(key_id=each.key_id, envelope=each.envelope)
            for each in enrolled.challenges
        ]
        opened = open_challenges(identity, challenges, hub_urn=HUB)
        await running.registry.prove(
            enrolled.enrolment_id, {each.key_id: each.plaintext for each in opened}
        )
        await running.registry.approve(REGION)
        say(port=running.grpc_port)
        await asyncio.Event().wait()


class _Machine:
    """What fifty streams of one channel share: the proof of what they were sent.

    Each stream has a replica and a view of its own. What a token does to a replica in
    one state is the same for all, so it is proved once a machine and the result taken
    over by the others; a thousand real edges would prove it on a thousand processors.
    """

    def __init__(self, folder: StatusFolder) -> None:
        self._after: dict[tuple[str, str], FeedReplica] = {}
        self.lists = StatusLists(folder)
        self.prove_seconds = 0.0
        self.proved = 0

    def apply(self, mine: FeedReplica, token: str) -> FeedReplica:
        after = self._after.get((mine.digest, token))
        if after is None:
            begun = time.perf_counter()
            after = mine.copy()
            after.apply_entry(token, datetime.now(UTC))
            self.prove_seconds += time.perf_counter() - begun
            self.proved += 1
            self._after[mine.digest, token] = after
        return after


class _Edge:
    """One stream: a replica, and an old green that it watches for."""

    def __init__(self, machine: _Machine, replica: FeedReplica, call: Any) -> None:
        self._machine = machine
        self._replica = replica
        self._call = call
        self.index = -1
        self.bytes = 0
        self.refused_at: asyncio.Future[int] | None = None

    def is_refused(self) -> bool:
        """Whether an attestation at the index is refused by what is held now."""
        shown: Any = SimpleNamespace(
            issuer=REGION, status=SimpleNamespace(uri=URI, index=self.index)
        )
        view = RevocationView(self._replica.bundle, self._machine.lists)
        try:
            view.check(shown, datetime.now(UTC))
        except AttestationError as error:
            if error.code != "ATTESTATION_REVOKED":
                raise
            return True
        return False

    async def run(self) -> None:
        """Apply what comes; note when the old green is refused."""
        while True:
            frame = await self._call.read()
            for token in frame.entries.entries:
                self._replica = self._machine.apply(self._replica, token)
                self.bytes += len(token)
            waits = self.refused_at
            if waits is not None and not waits.done() and self.is_refused():
                waits.set_result(time.monotonic_ns())


async def edges(directory: Path, port: str) -> None:
    """A thousand streams; for every line say when each of them refused the index."""
    anchor = parse_anchor((directory / "anchor.json").read_bytes())
    ca_pem = (directory / "tls/ca.pem").read_bytes()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(open_channel(f"localhost:{port}", ca_pem=ca_pem))
            for _ in range(CHANNELS)
        ]
        replica, folder = await _caught_up(FeedServiceStub(channels[0]), anchor, directory)
        all_edges: list[_Edge] = []
        machines = [_Machine(folder) for _ in channels]
        for machine, channel in zip(machines, channels, strict=True):
            stub = FeedServiceStub(channel)
            for _ in range(STREAMS_A_CHANNEL):
                request = feed_service_pb2.WatchRequest(
                    after_sequence=replica.sequence, heartbeat_seconds=300
                )
                call: Any = stub.Watch(request)
                frame = await call.read()
                assert frame.WhichOneof("frame") == "head"
                all_edges.append(_Edge(machine, replica.copy(), call))
        tasks = [asyncio.create_task(edge.run()) for edge in all_edges]
        say(edges=len(all_edges))
        async for command in _lines():
            for edge in all_edges:
                edge.index, edge.bytes = command["index"], 0
                assert not edge.is_refused()
                edge.refused_at = loop.create_future()
            say(waiting=True)
            refused = await asyncio.gather(*(e.refused_at for e in all_edges if e.refused_at))
            proved = sum(machine.proved for machine in machines)
            say(
                refused=sorted(refused),
                bytes=sum(edge.bytes for edge in all_edges),
                prove_ms=1000 * sum(machine.prove_seconds for machine in machines) / proved,
            )
        for task in tasks:
            task.cancel()


async def _caught_up(
    stub: FeedServiceStub, anchor: Any, directory: Path
) -> tuple[FeedReplica, StatusFolder]:
    """A replica that knows the list, and a folder that has its base."""
    replica = FeedReplica(anchor)
    call: Any = stub.Watch(feed_service_pb2.WatchRequest(heartbeat_seconds=300))
    while not replica.bundle.statuses():
        frame = await call.read()
        for token in frame.entries.entries:
            replica.apply_entry(token, datetime.now(UTC))
    call.cancel()
    digest = replica.bundle.status(URI).base_digest
    wanted = feed_service_pb2.GetStatusListRequest(digest=digest)
    base = b"".join([chunk.chunk async for chunk in stub.GetStatusList(wanted)])
    folder = StatusFolder(directory / "edges-status")
    folder.put(digest, base)
    return replica, folder


if __name__ == "__main__":
    configure_logging()
    roles: dict[str, Any] = {"prepare": prepare, "adapter": adapter, "hub": hub, "edges": edges}
    run(roles[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:]))
