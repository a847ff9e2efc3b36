"""Offline verification with status and policy beside the bare signature check; a status look-up.

What a gate does with a carried attestation when the line is cut: verify it strictly,
look its status up in a list of a million entries over which a statement with changes
stands, and apply a shipped policy with all its ages. Left out on both sides is what the
disk costs (the guard against a second showing, the record).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.attestation import (
    AttestationVerifier,
    VerificationKey,
    base64url,
    generate_signing_key,
    public_jwk,
    sign_attestation,
    verification_key_from_jwk,
)
from gateway.attestation.claims import StatusReference
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import REVOKED, StatusList, sign_status_list
from gateway.attestation.status_tokens import token_digest
from gateway.edge.revocation import RevocationView, StatusFolder, StatusLists
from gateway.recognition import Ages, Decision, VerifiedEvidence, decide, shipped_policy
from gateway.trust.entries import LiveEntry, StatusEntry
from gateway.trust.feed import FeedKind
from tests.benchmarks.figures import Figure, at_least, capacity, interleave
from tests.benchmarks.verify import (
    AUDIENCE,
    ISSUER,
    TOKENS,
    _signature_and_input,
    synthetic_attestation,
)

if TYPE_CHECKING:
    from gateway.attestation import SigningKey

URI = "urn:hutong:status:330100:a1"
ENTRIES = 1_000_000
CHANGED = 2_000
LOOK_UPS = 20_000


class _Source:
    """A bundle with one key and one list."""

    def __init__(self, key: VerificationKey, statement: str, base: StatusBase) -> None:
        self._key = key
        body = base64url.encode(b'{"body":{"statement":"%s"}}' % statement.encode())
        token = f"h.{body}.s"
        now = datetime.now(UTC)
        entry = LiveEntry(1, token_digest(token.encode()), token, now, FeedKind.STATUS, URI)
        self._entry = StatusEntry(
            entry, ISSUER, key.key_id, now, 1, base.digest, base.size, base.bits
        )

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """Return the one key to whoever names it."""
        assert (issuer, key_id) == (ISSUER, self._key.key_id)
        return self._key

    def status(self, uri: str) -> StatusEntry:
        """Return the one list."""
        assert uri == URI
        return self._entry

    def statuses(self) -> tuple[StatusEntry, ...]:
        """Return the one list."""
        return (self._entry,)


def measure(*, rounds: int = 60) -> list[Figure]:
    """Measures everything; some five seconds with the default rounds."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder), rounds)


def _measure(folder: Path, rounds: int) -> list[Figure]:
    now = datetime.now(UTC)
    key = generate_signing_key()
    trusted = verification_key_from_jwk(
        public_jwk(key), issuer=ISSUER, prefixes=("3301",), not_before=now - timedelta(days=1)
    )
    lists = StatusFolder(folder)
    source = _source(trusted, key, lists, now)
    view = RevocationView(source, StatusLists(lists))
    indices = itertools.cycle(
        [int.from_bytes(os.urandom(3)) % ENTRIES // 2 * 2 for _ in range(TOKENS)]
    )
    attestations = [
        dataclasses.replace(synthetic_attestation(now), status=StatusReference(URI, next(indices)))
        for _ in range(TOKENS)
    ]
    tokens = [sign_attestation(attestation, key) for attestation in attestations]
    verifier = AttestationVerifier(source)
    policy = shipped_policy("440100")
    ring = itertools.cycle(tokens)
    parts = itertools.cycle([_signature_and_input(token) for token in tokens])
    public: Any = key.public_key
    algorithm = ec.ECDSA(hashes.SHA256())

    def bare() -> None:
        signature, signed = next(parts)
        public.verify(signature, signed, algorithm)

    def offline() -> Decision:
        attestation = verifier.verify(next(ring), audience=AUDIENCE, now=now)
        status = view.check(attestation, now)
        ages = Ages(60, 60, status_seconds=status)
        return decide(policy, VerifiedEvidence(attestation), now=now, ages=ages)

    assert offline().verdict.admits
    microseconds = _look_up_us(view, attestations, now)
    run = interleave({"bare": bare, "offline": offline}, rounds=rounds)
    return [
        at_least(
            "offline verify with status and policy / bare signature check",
            run.rate("offline"),
            "/s",
            baseline=run.rate("bare"),
            ratio=run.speed_ratio("offline", "bare"),
            goal=0.70,
            note=f"list of {ENTRIES:,} entries loaded, {CHANGED:,} changes over it",
        ),
        Figure(
            "status check of a carried attestation",
            microseconds,
            "us",
            goal=2.0,
            met=microseconds < 2.0,
            note=f"list of {ENTRIES:,} entries loaded, {CHANGED:,} changes over it",
        ),
    ]


def _look_up_us(view: RevocationView, attestations: list[Any], now: datetime) -> float:
    """The best of five runs: what else the machine does is not the look-up's."""
    times = []
    for _ in range(5):
        started = time.thread_time()
        for attestation in itertools.islice(itertools.cycle(attestations), LOOK_UPS):
            view.check(attestation, now)
        times.append((time.thread_time() - started) / LOOK_UPS * 1e6)
    return min(times)


def _source(
    trusted: VerificationKey, key: SigningKey, lists: StatusFolder, now: datetime
) -> _Source:
    entries = StatusList(1, ENTRIES)
    for index in range(1, ENTRIES, 101):
        entries.set(index | 1, 1)
    token = sign_status_list(
        entries,
        key,
        uri=URI,
        issued_at=now - timedelta(hours=1),
        expires_at=now + timedelta(days=2),
    )
    digest = token_digest(token.encode())
    lists.put(digest, token.encode())
    base = StatusBase(digest, ENTRIES, 1)
    statement = sign_status_change(
        key,
        base=base,
        uri=URI,
        sequence=1,
        changes={REVOKED: range(1, 2 * CHANGED, 2)},
        issued_at=now,
    )
    return _Source(trusted, statement, base)


def main() -> None:
    """Prints the figures of this part between two probes of capacity."""
    for figure in (*capacity(), *measure(), *capacity()):
        print(dataclasses.asdict(figure))


if __name__ == "__main__":
    main()
