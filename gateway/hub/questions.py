"""What the hub reads of a question, and how it writes it on.

Of each question it reads the fields that stand in clear and takes the envelope
as it is. Region, purpose and key id repeat from question to question: they are
held against the schema's rules once, encoded once, and kept as a
:class:`Heading`. What then differs (id, time left, size) is checked by hand,
because a call of the validator for every question would cost as much as
everything else the hub does with it.

Writing puts encoded fields side by side instead of serialising a message, which
measured a third faster: a question's message is never built again. Fields that
this version does not know do not travel on.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2

from gateway.wire.fragments import FieldFraming, number_fragment, varint
from gateway.wire.validation import field_rules, is_valid

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from hutong.v1.exchange_pb2 import SealedQuestion

MAX_TIMEOUT_MS: Final = field_rules(exchange_pb2.SealedQuestion, "timeout_ms").uint32.lte
MAX_ENVELOPE_BYTES: Final = field_rules(exchange_pb2.SealedQuestion, "envelope").bytes.max_len
"""Bounds of a question, from the schema itself."""

MAX_HEADINGS: Final = 4096
"""Headings kept: every region of the country with a key or two of its own."""

_ID = exchange_pb2.SealedQuestion.ID_FIELD_NUMBER
_TIMEOUT = exchange_pb2.SealedQuestion.TIMEOUT_MS_FIELD_NUMBER
_CALLER = exchange_pb2.SealedQuestion.CALLER_FIELD_NUMBER

ENVELOPE: Final = FieldFraming(exchange_pb2.SealedQuestion.ENVELOPE_FIELD_NUMBER)
"""Frames the envelope of a question."""


@dataclass(frozen=True, slots=True, eq=False)
class Heading:
    """Region, purpose and key id of a question, valid and encoded.

    Attributes:
        region: six digits.
        purpose: number of ``Purpose``.
        encoded: the three fields.
    """

    region: str
    purpose: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class QuestionRun:
    """Questions of one heading, to be authorised, routed and counted together.

    Attributes:
        heading: what they share.
        items: time left in milliseconds and envelope of each, under its id.
    """

    heading: Heading
    items: dict[int, tuple[int, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SortedQuestions:
    """A batch, sorted.

    Attributes:
        runs: what may go on.
        broken: ids of questions that break a rule of the schema.
        doubled: ids that are taken, on the stream or in this very batch.
    """

    runs: list[QuestionRun]
    broken: list[int]
    doubled: list[int]


class Headings:
    """Headings known to be valid; bounded."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], Heading] = {}

    def of(self, question: SealedQuestion) -> Heading | None:
        """Return the heading of a question; None where a field of it breaks its rule."""
        key = (question.region, question.purpose, question.key_id)
        heading = self._known.get(key)
        if heading is None:
            fields = exchange_pb2.SealedQuestion(
                region=question.region, purpose=question.purpose, key_id=question.key_id
            )
            heading = Heading(question.region, question.purpose, fields.SerializeToString())
            # The rule of the envelope is another's concern.
            fields.envelope = b"\0"
            if not is_valid(fields):
                return None
            if len(self._known) >= MAX_HEADINGS:
                self._known.clear()
            self._known[key] = heading
        return heading


def sort_questions(
    questions: Iterable[SealedQuestion], headings: Headings, taken: Container[int]
) -> SortedQuestions:
    """Hold a batch's questions against the schema's rules and sort them by heading.

    Args:
        questions: as parsed.
        headings: known so far; gains new ones.
        taken: ids in flight on the stream.
    """
    runs: dict[Heading, QuestionRun] = {}
    broken: list[int] = []
    doubled: list[int] = []
    seen: set[int] = set()
    items: dict[int, tuple[int, bytes]] | None = None
    region, purpose, key_id = "", 0, ""
    for question in questions:
        # Neighbours usually share their heading; it is looked up when it changes.
        if question.region != region or question.purpose != purpose or question.key_id != key_id:
            region, purpose, key_id = question.region, question.purpose, question.key_id
            heading = headings.of(question)
            if heading is None:
                items = None
            else:
                run = runs.get(heading)
                if run is None:
                    run = runs[heading] = QuestionRun(heading)
                items = run.items
        item = question.id
        timeout_ms = question.timeout_ms
        envelope = question.envelope
        if (
            items is None
            or not 0 < timeout_ms <= MAX_TIMEOUT_MS
            or not 0 < len(envelope) <= MAX_ENVELOPE_BYTES
        ):
            broken.append(item)
        elif item in seen or item in taken:
            doubled.append(item)
        else:
            seen.add(item)
            items[item] = (timeout_ms, envelope)
    return SortedQuestions(list(runs.values()), broken, doubled)


_LOW_BITS: Final = 14
_LOW: Final = (1 << _LOW_BITS) - 1
_SHORT_IDS: Final = [number_fragment(_ID, number) for number in range(_LOW + 1)]
_LOW_IDS: Final = [
    varint(_ID << 3) + bytes((number & 0x7F | 0x80, number >> 7 | 0x80))
    for number in range(_LOW + 1)
]
"""The id field up to 14 bits, complete; and its first two groups when more follow."""

# Ids go up by one, so thousands in a row share all but their last 14 bits.
_high_id = lru_cache(4096)(varint)


def id_field(item: int) -> bytes:
    """Encode ``id``, the same field of questions and answers, above zero."""
    if item <= _LOW:
        return _SHORT_IDS[item]
    return _LOW_IDS[item & _LOW] + _high_id(item >> _LOW_BITS)


def caller_field(handle: int) -> bytes:
    """Encode ``SealedQuestion.caller``."""
    return number_fragment(_CALLER, handle)


@lru_cache(MAX_TIMEOUT_MS)
def timeout_field(timeout_ms: int) -> bytes:
    """Encode ``SealedQuestion.timeout_ms``."""
    return number_fragment(_TIMEOUT, timeout_ms)
