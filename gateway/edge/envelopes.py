"""Envelopes: many askers' questions sealed as one, and the answer opened again.

What a batch of askers becomes on the wire, without the wire itself (``client``
has that). One envelope holds the questions of one region and one purpose, within
the bounds of the schema; every question has a fresh nonce, every envelope a fresh
reply key, and an answer is opened only under both and under its own binding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from hutong.v1 import exchange_pb2

from gateway.attestation.errors import SealingError
from gateway.attestation.sealing import Binding, Profile, open_answer, seal_question
from gateway.codes import region_urn
from gateway.edge.questions import (
    ENVELOPE_PLAINTEXT_BYTES,
    NONCE_BYTES,
    REPLY_KEY_BYTES,
    Answered,
    Askable,
    Asked,
    decode_answers,
    encode_questions,
    question_bytes,
)
from gateway.wire.errors import RpcFailure, failure_from_item

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from gateway.attestation.sd_jwt import Disclosure
    from gateway.attestation.sealing import SealingPublicKey
    from gateway.errors import HutongError

QUESTIONS_PER_ENVELOPE: Final = 64
"""The schema allows 256, but the answer envelope holds 512 KiB: with 64 questions
every attestation may have 6 KiB in either profile. Sealing 64 at once costs 2 µs
each already."""

MAX_TIMEOUT_SECONDS: Final = 60.0
"""hutong.v1.SealedQuestion.timeout_ms."""


class SealingKeys(Protocol):
    """Where sealing keys come from: the trust bundle of the day."""

    def sealing_key(self, region: str, *, now: datetime) -> SealingPublicKey:
        """Return the key a question to ``region`` is sealed to; raises TrustError."""


@dataclass(slots=True, eq=False)
class Asking:
    """One caller of ``ask()``, while it waits."""

    region: str
    purpose: exchange_pb2.Purpose.ValueType
    presentation: Askable = field(repr=False)
    use: exchange_pb2.AttestationUse.ValueType
    deadline: float
    future: asyncio.Future[Answered | HutongError] = field(repr=False)
    audience: str | None = None
    disclosure: Disclosure | None = None
    is_asked_again: bool = False
    envelope: Envelope | None = field(default=None, repr=False)

    def settle(self, result: Answered | HutongError) -> None:
        """Give the caller its result, unless it left."""
        if not self.future.done():
            self.future.set_result(result)


@dataclass(slots=True, eq=False)
class Envelope:
    """One sealed batch, while its answer is out.

    Attributes:
        id: of its item on the stream.
        reply_key: under which the answer comes back.
        binding: of question and answer.
        profile: of question and answer.
        askings: who waits, in the order of the questions.
        nonces: of the questions.
        waiting: askers that have not left.
    """

    id: int
    reply_key: bytes = field(repr=False)
    binding: Binding
    profile: Profile
    askings: tuple[Asking, ...] = field(repr=False)
    nonces: tuple[bytes, ...] = field(repr=False)
    waiting: int

    def open(self, answer: exchange_pb2.SealedAnswer) -> RpcFailure | list[Answered | RpcFailure]:
        """Open an answer.

        Returns:
            One result an asker, or why there is none for any of them.
        """
        if answer.WhichOneof("result") == "error":
            return failure_from_item(answer.error)
        try:
            plaintext = open_answer(self.reply_key, answer.envelope, self.binding, self.profile)
        except SealingError:
            return RpcFailure("ADAPTER_MISBEHAVED", "the answer does not open here")
        return decode_answers(plaintext, self.nonces)


class Sealer:
    """Seals for one caller.

    Args:
        caller: URN under which this checkpoint is enrolled.
        audience: URN of the region the attestations are for, where a question names
            no other.
        keys: gives the trust bundle of the moment.
        clock: now, UTC.
        random_bytes: for nonces and reply keys.
    """

    def __init__(
        self,
        *,
        caller: str,
        audience: str,
        keys: Callable[[], SealingKeys],
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._caller = caller
        self._audience = audience
        self._keys = keys
        self._clock = clock
        self._random_bytes = random_bytes
        self._ids = count(1)

    def seal(
        self, askings: Sequence[Asking], *, now_seconds: float
    ) -> tuple[Envelope, exchange_pb2.SealedQuestion]:
        """Seal questions to one region for one purpose and one audience.

        Args:
            askings: at least one, at most 256.
            now_seconds: the loop's time, in which their deadlines are.

        Raises:
            TrustError: the feed knows no authority or key for the region.
        """
        first = askings[0]
        now = self._clock()
        key = self._keys().sealing_key(first.region, now=now)
        purpose = exchange_pb2.Purpose.Name(first.purpose).removeprefix("PURPOSE_")
        nonces = tuple(self._random_bytes(NONCE_BYTES) for _ in askings)
        envelope = Envelope(
            next(self._ids),
            self._random_bytes(REPLY_KEY_BYTES),
            Binding(region_urn(first.region), self._caller, purpose),
            key.profile,
            tuple(askings),
            nonces,
            len(askings),
        )
        plaintext = encode_questions(
            [
                Asked(nonce, asking.presentation, asking.use, asking.disclosure)
                for nonce, asking in zip(nonces, askings, strict=True)
            ],
            reply_key=envelope.reply_key,
            asked_at=now,
            audience=first.audience or self._audience,
        )
        left = max(asking.deadline for asking in askings) - now_seconds
        question = exchange_pb2.SealedQuestion(
            id=envelope.id,
            region=first.region,
            purpose=first.purpose,
            timeout_ms=round(min(max(left, 0.001), MAX_TIMEOUT_SECONDS) * 1000),
            key_id=key.key_id,
            envelope=seal_question(key, plaintext, envelope.binding),
        )
        return envelope, question


def groups(askings: list[Asking], per_envelope: int) -> Iterator[list[Asking]]:
    """Cut a batch into envelopes: one region, purpose and audience each, within the bounds."""
    by_key: dict[tuple[str, int, str | None], list[Asking]] = {}
    for asking in askings:
        key = (asking.region, asking.purpose, asking.audience)
        by_key.setdefault(key, []).append(asking)
    for group in by_key.values():
        part: list[Asking] = []
        left = ENVELOPE_PLAINTEXT_BYTES
        for asking in group:
            size = question_bytes(asking.presentation)
            if part and (len(part) == per_envelope or size > left):
                yield part
                part, left = [], ENVELOPE_PLAINTEXT_BYTES
            part.append(asking)
            left -= size
        if part:
            yield part
