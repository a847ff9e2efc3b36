"""Translation of every scheme: the bytes of a real reply to a unified code or an outcome.

Each scheme's reference platform is started and asked through the scheme's own connector
about one person of each of its stories: by document, or by QR text where the platform
takes no documents. The reply is kept as it came over HTTP, the last one where a question
takes several calls. What is timed is the connector's interpretation of those bytes and
the translation of what it found; the network, keys and signatures are not in it.

The bare counterpart is the least that can be done with the same bytes: ``json.loads``,
or expat without handlers where the reply is XML. It opens no document inside a document
and no cipher.

Nothing is timed that did not first end as its story says, over the network and again
from the saved bytes: a benchmark of a refusal would be quick and mean nothing.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from statistics import median, median_high
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

from adapters.platforms import CREDENTIALS, city_names, platform, serve_platform
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import (
    Deadline,
    Interpreter,
    OutcomeReport,
    QrText,
    Reports,
    Upstream,
    UpstreamSettings,
    open_connector,
    translate,
)
from adapters.sdk.city import read_city
from adapters.sdk.upstream import UpstreamReply
from gateway.codes.documents import DocumentType, parse_document
from tests.benchmarks.figures import Figure, interleave, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adapters.platforms import ScenarioPerson
    from adapters.sdk import Presentation
    from adapters.sdk.reports import Fetched
    from gateway.codes import UnifiedCode
    from gateway.codes.scheme_model import Scheme

_MEDIAN_US: Final = 60.0
_SLOWEST_US: Final = 200.0
"""Goals of the performance page; a scheme's median counts replies that hold a record."""

_SEVERAL: Final = ("zhejiang", "hebei")
"""Schemes whose platforms answer with the records of a whole province, or of all."""

_SLICE_SECONDS: Final = 0.002
"""Some forty translations: far above the clock's resolution, and hundreds of slices a round."""

_PATIENCE_SECONDS: Final = 10.0


class WrongAnswerError(Exception):
    """A story did not end as it is told; nothing of this run can be relied upon."""


class _Recording(Upstream):
    """Keeps what the last call brought."""

    last: UpstreamReply | OutcomeReport | None = None

    async def request(self, *args: Any, **kwargs: Any) -> UpstreamReply | OutcomeReport:
        """Call the platform and keep the reply."""
        self.last = await super().request(*args, **kwargs)
        return self.last


@dataclass(frozen=True, slots=True)
class Reply:
    """What a platform answered about the person of one story.

    Attributes:
        story: ``green`` of ``hangzhou/green``.
        body: as it came.
        records: how many it holds; 0: the reply itself is an outcome.
        run: bytes to unified code or outcome.
        bare: the counterpart on the same bytes.
    """

    story: str
    body: bytes = field(repr=False)
    records: int
    run: Callable[[], object] = field(repr=False)
    bare: Callable[[], object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Timed:
    """One reply, measured.

    Attributes:
        reply: which.
        us: from bytes to code.
        bare_us: the counterpart.
        ratio: the first over the second: the median of the rounds' ratios.
    """

    reply: Reply
    us: float
    bare_us: float
    ratio: float

    @property
    def note(self) -> str:
        """Which reply it is."""
        count = self.reply.records
        what = "no record" if count == 0 else f"{count} record{'s' if count > 1 else ''}"
        return f"{self.reply.story}, {what}, {len(self.reply.body)} bytes"


def measure(*, rounds: int = 15) -> list[Figure]:
    """Measure every scheme that has a platform; some twenty seconds with the default rounds.

    Raises:
        WrongAnswerError: a story did not end as it is told.
    """
    now = datetime.now(UTC)
    timed = _time({name: asyncio.run(_capture(name, now)) for name in city_names()}, rounds)
    middles = {name: _middle(replies) for name, replies in timed.items()}
    slowest = {name: max(replies, key=lambda one: one.us) for name, replies in timed.items()}
    figures = [
        within(
            f"translate {name}",
            middles[name].us,
            "us",
            baseline=middles[name].bare_us,
            ratio=middles[name].ratio,
            goal=_MEDIAN_US,
            note=f"median of {len(timed[name])} stories; slowest {slowest[name].us:.0f} us: "
            f"{slowest[name].note}",
        )
        for name in timed
    ]
    for name in _SEVERAL:
        most = max(timed[name], key=lambda one: one.reply.records)
        figures.append(_row(f"translate {name}, {most.reply.records} records", most, _SLOWEST_US))
    middle = median(one.us for one in middles.values())
    figures.append(
        within(
            f"translate: median of {len(timed)} schemes",
            middle,
            "us",
            baseline=median(one.bare_us for one in middles.values()),
            ratio=median(one.ratio for one in middles.values()),
            goal=_MEDIAN_US,
            note="raw reply to unified code; beside it a bare parse of the same bytes",
        )
    )
    name = max(middles, key=lambda name: middles[name].us)
    figures.append(_row(f"translate: slowest scheme, {name}", middles[name], _SLOWEST_US))
    name = max(slowest, key=lambda name: slowest[name].us)
    figures.append(_row(f"translate: slowest reply, {name}", slowest[name], _SLOWEST_US))
    return figures


def _row(name: str, one: _Timed, goal: float) -> Figure:
    return within(
        name, one.us, "us", baseline=one.bare_us, ratio=one.ratio, goal=goal, note=one.note
    )


def _middle(replies: list[_Timed]) -> _Timed:
    """The median reply of those that hold a record: an outcome is quicker to read."""
    found = [one for one in replies if one.reply.records]
    us = median_high([one.us for one in found])
    return next(one for one in found if one.us == us)


def _time(replies: dict[str, list[Reply]], rounds: int) -> dict[str, list[_Timed]]:
    """Time all replies of all schemes in turns: no scheme meets a busy moment alone."""
    steps: dict[str, Callable[[], object]] = {}
    for name, one in _named(replies):
        steps |= {name: one.run, _bare(name): one.bare}
    run = interleave(steps, rounds=rounds, slice_seconds=_SLICE_SECONDS)
    timed: dict[str, list[_Timed]] = {scheme: [] for scheme in replies}
    for name, one in _named(replies):
        us, bare_us = run.seconds(name) * 1e6, run.seconds(_bare(name)) * 1e6
        ratio = run.speed_ratio(_bare(name), name)
        timed[name.partition("/")[0]].append(_Timed(one, us, bare_us, ratio))
    return timed


def _named(replies: dict[str, list[Reply]]) -> Iterator[tuple[str, Reply]]:
    for scheme, held in replies.items():
        for one in held:
            yield f"{scheme}/{one.story}", one


def _bare(name: str) -> str:
    return f"{name}: bare"


async def _capture(name: str, now: datetime) -> list[Reply]:
    """Ask about the person of each story and keep what the platform answered."""
    scheme = read_city(SCHEMES_FOLDER / name)
    city = platform(name, clock=lambda: now)
    async with await serve_platform(city, admin_token="synthetic-bench-token") as running:
        asked = _Asked(name, scheme, running.base_url, city.table.documents, now)
        try:
            return [await asked.reply_about(person) for person in city.scenarios().values()]
        finally:
            await asked.connector.close()


class _Asked:
    """A scheme's connector in front of its platform.

    Args:
        name: of the folder.
        scheme: the scheme.
        url: of its platform.
        documents: whether the platform takes documents.
        now: the moment of asking.
    """

    def __init__(self, name: str, scheme: Scheme, url: str, documents: bool, now: datetime) -> None:
        self._scheme = scheme
        self._documents = documents
        self._now = now
        self._upstream = _Recording(UpstreamSettings(url=url))
        self.connector = open_connector(
            scheme, upstream=self._upstream, secrets=CREDENTIALS[name], now=lambda: now
        )

    async def reply_about(self, person: ScenarioPerson) -> Reply:
        """Ask about one person and hold the answer against the story, twice.

        Raises:
            WrongAnswerError: it is not what the story tells.
        """
        presentation, expected = self._shown(person)
        self._upstream.last = None
        live = self._translated(
            await self.connector.fetch(presentation, Deadline.after(_PATIENCE_SECONDS))
        )
        if (got := _words(live)) != expected:
            raise WrongAnswerError(f"{person.name}: {got}, told as {expected}")
        body = self._body(person)
        interpreter = self.connector
        if not isinstance(interpreter, Interpreter):
            raise WrongAnswerError(f"{person.name}: the connector reads no saved reply")
        fetched = interpreter.interpret(body)
        if self._translated(fetched) != live:
            raise WrongAnswerError(f"{person.name}: the saved reply says something else")
        scheme, now, interpret = self._scheme, self._now, interpreter.interpret

        def run() -> UnifiedCode | OutcomeReport:
            found = interpret(body)
            if isinstance(found, OutcomeReport):
                return found
            return translate(scheme, found.reports, now)

        return Reply(
            story=person.name.partition("/")[2],
            body=body,
            records=len(fetched.reports) if isinstance(fetched, Reports) else 0,
            run=run,
            bare=_bare_parse(body),
        )

    def _shown(self, person: ScenarioPerson) -> tuple[Presentation, tuple[str, ...]]:
        """What the person shows, and the words that the answer must have."""
        if self._documents:
            number = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, person.document_number)
            # The levels beside the first are told of the QR text alone.
            same = person.expected == person.expected_by_document
            return number, (person.expected_by_document, *(person.also if same else ()))
        if person.qr_text is None:
            raise WrongAnswerError(f"{person.name}: neither a document nor a QR text to show")
        return QrText(person.qr_text), (person.expected, *person.also)

    def _translated(self, fetched: Fetched) -> UnifiedCode | OutcomeReport:
        if isinstance(fetched, OutcomeReport):
            return fetched
        return translate(self._scheme, fetched.reports, self._now)

    def _body(self, person: ScenarioPerson) -> bytes:
        reply = self._upstream.last
        if not isinstance(reply, UpstreamReply):
            raise WrongAnswerError(f"{person.name}: the platform gave no reply to read")
        return reply.body


def _words(answer: UnifiedCode | OutcomeReport) -> tuple[str, ...]:
    """The level and the levels beside it, or the outcome."""
    if isinstance(answer, OutcomeReport):
        return (str(answer.outcome),)
    return (str(answer.level), *(str(code.level) for code in answer.also))


def _bare_parse(body: bytes) -> Callable[[], object]:
    if not body.lstrip().startswith(b"<"):
        return partial(json.loads, body)
    return lambda: expat.ParserCreate().Parse(body, True)  # noqa: FBT003 - expat takes its arguments by position
