"""A gate that starts: 400 regions, 3 000 keys of the past, 50 status lists; and its resume.

From the file on disk to the first verified, status-checked and decided attestation, in a
process that has everything imported, and from one more entry of the feed to the next.
The feed is made here: every region has a policy, retired keys, and 50 have a list.
Every signature is checked again: nothing rests on the file having been written here.
Processor time, the best of three: what else the machine does is not the gate's.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.attestation import VerifiedTokenCache, generate_signing_key, sign_attestation
from gateway.attestation.claims import StatusReference
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import StatusList, sign_status_list
from gateway.attestation.status_tokens import token_digest
from gateway.codes.divisions import DivisionError, division_name
from gateway.edge.revocation import StatusFolder, StatusLists
from gateway.edge.view import TrustView
from gateway.recognition import Ages, VerifiedEvidence, decide, shipped_policy
from gateway.trust import KeyUse
from gateway.trust.feed import FeedKind
from gateway.trust.keys import signing_member_key
from gateway.wire.replica_store import ReplicaStore
from tests.benchmarks.figures import Figure
from tests.benchmarks.verify import synthetic_attestation
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from tests.trust.simulator import RegionSimulator

REGIONS = 400
PAST_KEYS = 3_000
LISTS = 50
SIZE = 20_000
GATE = "440100"
ORIGIN = "330100"
COLD_SECONDS = 1.0
RESUME_SECONDS = 0.05


def measure() -> list[Figure]:
    """Makes the feed, which takes most of the time, and starts from it three times."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder))


def _measure(folder: Path) -> list[Figure]:
    now = datetime.now(UTC).replace(microsecond=0)
    federation = FederationSimulator(now=now - timedelta(days=1))
    for code in _regions():
        federation.add_region(code)
    _age_keys(federation, now)
    document = shipped_policy(GATE).to_document()
    for code in federation.regions:
        federation.publish_policy(code, document | {"id": f"{code}@2020-04", "region": code})
    lists = StatusFolder(folder / "status")
    federation.now = now
    for code in sorted(federation.regions, key=lambda one: one != ORIGIN)[:LISTS]:
        _publish_list(federation, federation.regions[code], lists)
    token = _carried(federation, now)
    path = folder / "feed.replica"
    _write(federation, path, now)
    cold = min(_start(federation, path, lists, token, now)[0] for _ in range(3))
    resume = min(_resume(federation, path, lists, token, now) for _ in range(3))
    note = f"{REGIONS} regions, {PAST_KEYS:,} past keys, {LISTS} lists, {path.stat().st_size:,} B"
    return [
        Figure(
            "edge cold start from disk to the first decision",
            cold * 1000,
            "ms",
            goal=COLD_SECONDS * 1000,
            met=cold < COLD_SECONDS,
            note=note,
        ),
        Figure(
            "incremental resume: one entry to the next decision",
            resume * 1000,
            "ms",
            goal=RESUME_SECONDS * 1000,
            met=resume < RESUME_SECONDS,
            note=note,
        ),
    ]


def _regions() -> list[str]:
    """The first cities and districts of the division table, the two of the story among them."""
    found = [ORIGIN, GATE]
    for number in range(110_000, 660_000, 100):
        code = f"{number:06d}"
        try:
            division_name(code)
        except DivisionError:
            continue
        if code not in found and not code.endswith("0000"):
            found.append(code)
        if len(found) == REGIONS:
            break
    for number in range(110_101, 660_000):
        if len(found) == REGIONS:
            break
        code = f"{number:06d}"
        try:
            division_name(code)
        except DivisionError:
            continue
        if not code.endswith("00") and code[:4] + "00" not in found:
            found.append(code)
    assert len(found) == REGIONS, len(found)
    return found


def _age_keys(federation: FederationSimulator, now: datetime) -> None:
    """Give the regions what they used before."""
    a_region = PAST_KEYS // REGIONS
    left = PAST_KEYS - a_region * REGIONS
    for region in federation.regions.values():
        count = a_region + (1 if left > 0 else 0)
        left -= 1
        past = [
            signing_member_key(
                generate_signing_key(),
                KeyUse.ATTEST,
                not_before=now - timedelta(days=400 + 30 * number),
                not_after=now - timedelta(days=370 + 30 * number),
            )
            for number in range(count)
        ]
        federation.publish_authority(
            dataclasses.replace(region.authority, keys=(*region.authority.keys, *past))
        )


def _publish_list(
    federation: FederationSimulator, region: RegionSimulator, lists: StatusFolder
) -> None:
    uri = f"urn:hutong:status:{region.code}:a1"
    key = region.signing[KeyUse.ATTEST]
    token = sign_status_list(
        StatusList(1, SIZE),
        key,
        uri=uri,
        issued_at=federation.now,
        expires_at=federation.now + timedelta(days=2),
    )
    digest = token_digest(token.encode())
    lists.put(digest, token.encode())
    statement = sign_status_change(
        key,
        base=StatusBase(digest, SIZE, 1),
        uri=uri,
        sequence=1,
        changes={1: range(0, SIZE, 40)},
        issued_at=federation.now,
    )
    federation.append(FeedKind.STATUS, uri, {"statement": statement})


def _carried(federation: FederationSimulator, now: datetime) -> str:
    attestation = dataclasses.replace(
        synthetic_attestation(now), status=StatusReference(f"urn:hutong:status:{ORIGIN}:a1", 7)
    )
    return sign_attestation(attestation, federation.regions[ORIGIN].signing[KeyUse.ATTEST])


def _write(federation: FederationSimulator, path: Path, now: datetime) -> None:
    store = ReplicaStore(path, federation.anchor)
    store._replica.load_snapshot(*federation.snapshot(), now)
    path.write_bytes(store._replica.to_bytes())


def _start(
    federation: FederationSimulator, path: Path, lists: StatusFolder, token: str, now: datetime
) -> tuple[float, ReplicaStore, StatusLists]:
    started = time.process_time()
    store = ReplicaStore(path, federation.anchor)
    assert store.load(now)
    held = StatusLists(lists)
    _decide(store, held, token, now)
    return time.process_time() - started, store, held


def _resume(
    federation: FederationSimulator, path: Path, lists: StatusFolder, token: str, now: datetime
) -> float:
    _, store, held = _start(federation, path, lists, token, now)
    entry = federation.next_token(
        FeedKind.NOTICE,
        f"urn:hutong:region:{ORIGIN}#key-expiring",
        {"topic": "key-expiring", "at": int(now.timestamp())},
    )
    started = time.process_time()
    store._replica.apply_entry(entry, now)
    _decide(store, held, token, now)
    return time.process_time() - started


def _decide(store: ReplicaStore, lists: StatusLists, token: str, now: datetime) -> None:
    view = TrustView(store.bundle, GATE, VerifiedTokenCache(), lists)
    attestation = view.verifier.verify(token, audience=f"urn:hutong:region:{GATE}", now=now)
    status = view.revocations.check(attestation, now)
    assert view.policy is not None
    ages = Ages(0, 0, status_seconds=status)
    decision = decide(view.policy, VerifiedEvidence(attestation), now=now, ages=ages)
    assert decision.verdict.admits, [reason.code for reason in decision.reasons]


def main() -> None:
    """Prints the figures of this part."""
    for figure in measure():
        print(dataclasses.asdict(figure))


if __name__ == "__main__":
    main()
