"""The readers that we ship, behind the harness of docs/spec/verifier.md.

``python -m tests.conformance.shipped_verifier`` reads requests on standard input.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.attestation import AttestationVerifier, base64url
from gateway.attestation.armour import from_armour, is_armour
from gateway.attestation.status_tokens import token_digest
from gateway.edge.revocation import RevocationView, StatusFolder, StatusLists
from gateway.errors import TrustError
from gateway.trust import FeedReplica, TrustBundle
from gateway.trust.anchor import parse_anchor
from gateway.trust.feed import entries_digest
from gateway.trust.pack import PackReplica, load_pack


def answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Answer one request; nothing of it stays but base lists, under their digests."""
    now = datetime.fromtimestamp(request["now"], UTC)
    if any("pack" in step for step in request["feed"]):
        return answer_of_packs(request, now, folder)
    replica = FeedReplica(parse_anchor(json.dumps(request["anchor"]).encode()))
    refused = [taken(replica, step, now) for step in request["feed"]]
    said: dict[str, Any] = {
        "id": request["id"],
        "feed": refused,
        "sequence": replica.sequence,
        "live": entries_digest(replica.live_digests()),
        "as_of": int(replica.as_of.timestamp()) if replica.as_of else 0,
        "ok": True,
    }
    if "token" not in request:
        return said
    try:
        level, issuer = verified(request, replica.bundle, now, folder)
    except TrustError as error:
        return {**said, "ok": False, "reason": error.code}
    return {**said, "level": level, "issuer": issuer}


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
        level, issuer = verified({**request, "lists": lists}, held.bundle, now, folder)
    except TrustError as error:
        return {**said, "ok": False, "reason": error.code}
    return {**said, "level": level, "issuer": issuer}


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
    request: dict[str, Any], bundle: TrustBundle, now: datetime, folder: Path
) -> tuple[str, str]:
    """Verify the attestation and look its status up."""
    nonce = request.get("nonce")
    found: Any = AttestationVerifier(bundle)
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
    at_hand = StatusFolder(Path(tempfile.mkdtemp(dir=folder)))
    for token in request.get("lists", []):
        at_hand.put(token_digest(token.encode()), token.encode())
    RevocationView(bundle, StatusLists(at_hand)).check(attestation, now)
    return attestation.code.level.value, attestation.issuer


def main() -> None:
    """Answer until standard input ends."""
    with tempfile.TemporaryDirectory() as name:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(answer(json.loads(line), Path(name))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
