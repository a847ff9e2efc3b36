"""An air-gapped pack of thirty regions: how large, and how long to make and to take in.

Every region has four keys, the scheme of Hangzhou under a name of its own, the shipped
policy of Hangzhou, and a status list of a hundred thousand entries of which one in a
hundred is revoked. Beside the whole pack stands the delta after one list changed.
"""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk import load_city
from gateway.attestation.keys import generate_signing_key
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import StatusList, sign_status_list, status_uri
from gateway.attestation.status_tokens import token_digest
from gateway.codes.yamldoc import parse_yaml
from gateway.trust import FeedKind, FeedLog, StatementKind, authority_change, make_anchor
from gateway.trust.live import LiveSet
from gateway.trust.pack import load_pack, make_pack
from gateway.trust.statements import sign_statement
from tests.benchmarks.exchange_peers import HUB
from tests.benchmarks.exchange_registered import _codes, _identity
from tests.benchmarks.figures import Figure

if TYPE_CHECKING:
    from gateway.attestation.keys import SigningKey

REGIONS: Final = 30
ENTRIES: Final = 100_000
_ROOT: Final = Path(__file__).parents[2]


class _Feed:
    """A chain and what is live in it."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.key = generate_signing_key()
        self.log = FeedLog(HUB)
        self.live = LiveSet()
        self.tokens: list[str] = []
        self.lists: list[tuple[str, bytes]] = []

    def put(self, kind: FeedKind, subject: str, body: dict[str, Any]) -> None:
        entry, self.log = self.log.append(self.key, kind, subject, body, now=self.now)
        self.live.put(entry)
        self.tokens.append(entry.token)

    def pack(self, after: int = 0) -> bytes:
        return make_pack(
            self.key,
            self.live,
            hub=HUB,
            sequence=self.log.sequence,
            digest=self.log.digest,
            now=self.now,
            after=after,
            later=self.tokens[after:],
            lists=() if after else self.lists,
        )


def measure() -> list[Figure]:
    """Measure sizes and times of packs, in a few seconds."""
    now = datetime.now(UTC).replace(microsecond=0)
    feed = _Feed(now)
    scheme = json.dumps(load_city(_ROOT / "adapters/schemes/hangzhou").to_document())
    shipped = (_ROOT / "gateway/recognition/policies/330100.yaml").read_bytes()
    policy = json.dumps(parse_yaml(shipped, max_bytes=len(shipped)).value)
    signers: list[tuple[str, SigningKey]] = []
    codes = _codes()
    for number in range(REGIONS):
        code = next(codes)
        who = _identity(code, now)
        urn = who.body.urn
        feed.put(*authority_change(who.body.authority()))
        own = scheme.replace("330100", code).replace("hz-jkm", f"syn-{number}")
        own = own.replace('"3301"', f'"{who.body.prefixes[0]}"')
        for kind, text, name in (
            (StatementKind.SCHEME, own, f"syn-{number}"),
            (StatementKind.POLICY, policy.replace("330100", code), code),
        ):
            token = sign_statement(kind, urn, json.loads(text), who.state_key, now=now)
            feed.put(FeedKind(kind.value), f"{urn}#{name}", {"statement": token})
        feed.lists.append(_status(feed, urn, who.signing_keys[0], 1))
        signers.append((urn, who.signing_keys[0]))
    bare = make_pack(
        feed.key, feed.live, hub=HUB, sequence=feed.log.sequence, digest=feed.log.digest, now=now
    )
    started = time.perf_counter()
    whole = feed.pack()
    made = time.perf_counter()
    anchor = make_anchor(HUB, feed_keys=[feed.key])
    held = load_pack(anchor, whole, now)
    loaded = time.perf_counter()
    after = feed.log.sequence
    _status(feed, *signers[0], 2, base=feed.lists[0][1])
    delta = feed.pack(after)
    assert load_pack(anchor, delta, now, held).sequence == after + 1
    note = f"{REGIONS} regions, each with scheme, policy and status"
    return [
        Figure("pack without lists", len(bare) / 1e3, "kB", note=note),
        Figure(
            "pack with lists", len(whole) / 1e3, "kB", note=f"{ENTRIES} entries each, 1 % revoked"
        ),
        Figure("delta after one change", len(delta) / 1e3, "kB"),
        Figure("making the whole pack", 1e3 * (made - started), "ms"),
        Figure("verifying and taking it in", 1e3 * (loaded - made), "ms"),
    ]


def _status(
    feed: _Feed, urn: str, key: SigningKey, number: int, *, base: bytes | None = None
) -> tuple[str, bytes]:
    uri = status_uri(urn, "bench")
    if base is None:
        entries = StatusList(1, ENTRIES)
        for index in random.Random(0).sample(range(ENTRIES), ENTRIES // 100):  # noqa: S311 - a benchmark
            entries.set(index, 1)
        base = sign_status_list(
            entries, key, uri=uri, issued_at=feed.now, expires_at=feed.now + timedelta(days=1)
        ).encode("ascii")
    token = sign_status_change(
        key,
        base=StatusBase(token_digest(base), ENTRIES, 1),
        uri=uri,
        sequence=number,
        changes={1: [number]},
        issued_at=feed.now,
    )
    feed.put(FeedKind.STATUS, uri, {"statement": token})
    return uri, base
