"""The readers that we ship, behind the harness of docs/spec/verifier.md.

``python -m tests.conformance.shipped_verifier`` reads requests on standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.attestation import AttestationVerifier, base64url
from gateway.attestation.armour import from_armour, is_armour
from gateway.attestation.cache import VerifiedTokenCache
from gateway.attestation.status_tokens import token_digest
from gateway.catalogue.importing import import_file
from gateway.catalogue.judging import Reader as Reading
from gateway.catalogue.report import Report
from gateway.catalogue.store import CatalogueStore, sqlite_dsn
from gateway.edge.revocation import RevocationView, StatusFolder, StatusLists
from gateway.errors import TrustError
from gateway.trust import FeedReplica, TrustBundle
from gateway.trust.anchor import parse_anchor
from gateway.trust.feed import entries_digest
from gateway.trust.pack import PackReplica, load_pack
from gateway.wire.feed_tree import FeedTree, TreeReplica
from gateway.wire.replica_store import ReplicaStore


def answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Answer one request and what comes later of it; nothing of it stays but base lists."""
    now = datetime.fromtimestamp(request["now"], UTC)
    if any("pack" in step for step in request["feed"]):
        return answer_of_packs(request, now, folder)
    reader = Reader(FeedReplica(parse_anchor(json.dumps(request["anchor"]).encode())), folder)
    said = {"id": request["id"], **reader.read(request)}
    asked, later = request, []
    for each in request.get("later", ()):
        asked = {**asked, **each}
        later.append(reader.read(asked))
    return {**said, "later": later} if "later" in request else said


class Reader:
    """One reader with its replica of the feed and its memory of what it verified.

    Args:
        replica: empty.
        folder: for base lists.
    """

    def __init__(self, replica: FeedReplica, folder: Path) -> None:
        self._replica = replica
        self._folder = folder
        self._cache = VerifiedTokenCache()
        self._lists = StatusLists(StatusFolder(Path(tempfile.mkdtemp(dir=folder))))

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the steps in and read the attestation."""
        now = datetime.fromtimestamp(request["now"], UTC)
        replica = self._replica
        refused = [taken(replica, step, now) for step in request["feed"]]
        said: dict[str, Any] = {
            "feed": refused,
            "sequence": replica.sequence,
            "live": entries_digest(replica.live_digests()),
            "as_of": int(replica.as_of.timestamp()) if replica.as_of else 0,
            "ok": True,
        }
        if "catalogues" in request:
            return said | asyncio.run(catalogued(request, replica.bundle, now, self._folder))
        if "token" not in request:
            return said
        bundle, trusted = replica.bundle, said["as_of"]
        tree: FeedTree | None = None
        try:
            if "relayed" in request:
                bundle, tree = asyncio.run(followed(request, replica, now, self._folder))
            found = verified(request, bundle, now, self._lists, self._cache)
        except TrustError as error:
            return {**said, "ok": False, "reason": error.code}
        level, issuer, as_of = found
        if tree is not None:
            age = tree.age_seconds(now, issuer)
            trusted = 0 if age is None else request["now"] - age
            said |= {"trust_as_of": trusted}
        status_as_of = trusted if as_of is None else min(trusted, as_of)
        return {**said, "level": level, "issuer": issuer, "status_as_of": status_as_of}


async def followed(
    request: dict[str, Any], own: FeedReplica, now: datetime, folder: Path
) -> tuple[TrustBundle, FeedTree]:
    """Read every feed that the own one leads to, as a checkpoint's tree of feeds does."""
    place = Path(tempfile.mkdtemp(dir=folder))
    tree = FeedTree(
        request["anchor"]["hub"],
        own=lambda: own.bundle,
        own_age_seconds=lambda then: int(own.age(then).total_seconds()),
        make_replica=lambda at, anchor: ReplicaStore(place / at.hub[-6:], anchor),
        source=lambda _place: None,
        clock=lambda: now,
        heartbeat_seconds=15,
        on_change=lambda: None,
    )
    tree.update()
    read: set[str] = set()
    while left := tree.replicas.keys() - read:
        read |= left
        for hub in left:
            for step in request["relayed"].get(hub, ()):
                # A refused step leaves the replica as it was; what follows may be sound.
                with contextlib.suppress(TrustError):
                    await relayed(tree.replicas[hub], step, now)
        tree.update()
    bundle = tree.bundle
    assert bundle is not None
    return bundle, tree


async def relayed(replica: TreeReplica, step: dict[str, Any], now: datetime) -> None:
    """Take a step of another hub's feed in."""
    if "snapshot" in step:
        snapshot = step["snapshot"]
        await replica.take_snapshot(snapshot["manifest"], snapshot["entries"], now)
    elif "head" in step:
        await replica.take_head(step["head"], now)
    else:
        await replica.take_entries(step["entries"], now)


def answer_of_packs(request: dict[str, Any], now: datetime, folder: Path) -> dict[str, Any]:
    """The same for a reader that no line reaches."""
    anchor = parse_anchor(json.dumps(request["anchor"]).encode())
    held: PackReplica | None = None
    refused: list[str | None] = []
    for step in request["feed"]:
        try:
            held = load_pack(anchor, step["pack"].encode(), now, held)
            refused.append(None)
        except TrustError as error:
            refused.append(error.code)
    live = () if held is None else held.live_entries()
    said: dict[str, Any] = {
        "id": request["id"],
        "feed": refused,
        "sequence": 0 if held is None else held.sequence,
        "live": entries_digest(entry.digest for entry in live),
        "as_of": 0 if held is None else int(held.as_of.timestamp()),
        "ok": True,
    }
    if held is None:
        return {**said, "ok": False, "reason": "KEY_UNKNOWN"}
    lists = [*request.get("lists", []), *(base.decode() for base in held.lists.values())]
    try:
        at_hand = StatusLists(StatusFolder(Path(tempfile.mkdtemp(dir=folder))))
        level, issuer, _ = verified({**request, "lists": lists}, held.bundle, now, at_hand)
    except TrustError as error:
        return {**said, "ok": False, "reason": error.code}
    return {**said, "level": level, "issuer": issuer}


async def catalogued(
    request: dict[str, Any], bundle: TrustBundle, now: datetime, folder: Path
) -> dict[str, Any]:
    """Take catalogues one after another; who is listed then, is counted."""
    results: list[dict[str, Any]] = []
    people: set[tuple[str, str]] = set()
    place = Path(tempfile.mkdtemp(dir=folder))
    reader = Reading(audience=request["audience"], bundle=bundle, now=now)
    async with await CatalogueStore.open(sqlite_dsn(place / "catalogues.db")) as store:
        for number, text in enumerate(request["catalogues"]):
            path, told = place / f"{number}.catalogue", place / f"{number}.jsonl"
            path.write_bytes(text.encode())
            try:
                with Report(told) as report:
                    taken_in = await import_file(path, store, reader, report)
            except TrustError as error:
                results.append({"refused": error.code})
                continue
            if taken_in.is_repeat:
                results.append({"repeat": True})
                continue
            lines = map(json.loads, told.read_text().splitlines())
            results.append({"rows": [line["outcome"] for line in lines]})
            issuer = taken_in.signed.header.issuer
            rows = map(json.loads, text.splitlines()[1:])
            people |= {(issuer, row["sub"]) for row in rows if "sub" in row}
        listed = [await store.listed(*person) for person in people]
    return {"catalogues": results, "listed": sum(each is not None for each in listed)}


def taken(replica: FeedReplica, step: dict[str, Any], now: datetime) -> str | None:
    """Take a step of the feed in; the reason where it is refused."""
    try:
        if "snapshot" in step:
            replica.load_snapshot(step["snapshot"]["manifest"], step["snapshot"]["entries"], now)
        elif "head" in step:
            replica.apply_head(step["head"], now)
        else:
            for token in step["entries"]:
                replica.apply_entry(token, now)
    except TrustError as error:
        return error.code
    return None


def verified(
    request: dict[str, Any],
    bundle: TrustBundle,
    now: datetime,
    lists: StatusLists,
    cache: VerifiedTokenCache | None = None,
) -> tuple[str, str, int | None]:
    """Verify the attestation and look its status up.

    Returns:
        Level, issuer, and of when the word on the status is where that is older than the
        newest word of the hub.
    """
    nonce = request.get("nonce")
    found: Any = AttestationVerifier(bundle, cache=cache)
    token = request["token"]
    if is_armour(token):
        token = from_armour(token)
    verify = found.verify_disclosed if "~" in token else found.verify
    attestation = verify(
        token,
        audience=request["audience"],
        now=now,
        nonce=None if nonce is None else base64url.decode(nonce.encode()),
    )
    assert lists.folder is not None
    for base in request.get("lists", []):
        lists.folder.put(token_digest(base.encode()), base.encode())
    age = RevocationView(bundle, lists).check(attestation, now)
    as_of = int(now.timestamp()) - age if age else None
    if age is None:
        # What names no list could be revoked on no day, whoever is silent (HT-STS-24).
        as_of = int(attestation.issued_at.timestamp())
    elif (silence := bundle.silence(attestation.issuer)) is not None:
        since = int(silence.since.timestamp())
        as_of = since if as_of is None else min(as_of, since)
    return attestation.code.level.value, attestation.issuer, as_of


def main() -> None:
    """Answer until standard input ends."""
    with tempfile.TemporaryDirectory() as name:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(answer(json.loads(line), Path(name))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
