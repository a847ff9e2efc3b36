"""The way to one adapter: one coalescing stream that carries everybody's questions.

Every question gets an id of this link and goes into one queue; while a message
is on its way, the next gathers. Answers come back in any order and find their
asker by id. What the hub adds to a question is that id and the caller's handle;
the rest are the edge's bytes.

Promises, each tested:

* every question asked gets exactly one outcome: the adapter's, or
  ``DEADLINE_EXCEEDED`` at most one slot late, or ``ADAPTER_UNREACHABLE`` when
  the stream breaks, or none because its asker withdrew it;
* an adapter that cannot be reached refuses at once, with the time of the next
  attempt; attempts back off exponentially with jitter;
* a question that comes during such a pause ends it, at most once a second, so
  that an adapter that is back is found by the first question; the questions of
  that second wait for the attempt;
* what is in flight and what waits is bounded; above it ``OVERLOADED`` at once;
* a caller is introduced before its first question, again when its grant is
  renewed, and anew on every stream;
* whatever nobody waits for any more is cancelled at the adapter;
* a way to another hub is the same link: up through its ExchangeService with an
  access token, down through its AdapterService; what cannot be reached is then
  ``HUB_UNREACHABLE``, and each question has a little less time than here;
* an answer counts only for a question this very adapter was asked.

Not here: routing, authorisation, accounting rules. The link never looks into an
envelope.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from hutong.v1 import adapter_service_pb2, exchange_pb2

from gateway.errors import PeerError
from gateway.hub.answers import PIECES_AN_ANSWER, answer_pieces, refusals
from gateway.hub.deadlines import SLOT_SECONDS, DeadlineWheel
from gateway.hub.link_line import LinkLine
from gateway.hub.link_service import TO_ADAPTER
from gateway.hub.questions import ENVELOPE, caller_field, id_field, timeout_field
from gateway.wire.errors import RpcFailure
from gateway.wire.fragments import (
    PREPARED_LENGTHS,
    Run,
    number_fragment,
)
from gateway.wire.hub_tokens import GRANT_METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import grpc

    from gateway.hub.access import GrantMinter
    from gateway.hub.accounting import Tally
    from gateway.hub.directory import CallerRecord
    from gateway.hub.link_line import LinkSettings, Metadata
    from gateway.hub.link_service import LinkService
    from gateway.hub.questions import QuestionRun

_MAX_INTRODUCED: Final = 4096
"""Callers known on one stream; an adapter keeps a grant for each. Past it, the
one introduced longest ago gives its handle to the newcomer."""

_Downstream = adapter_service_pb2.AdapterServiceQueryStreamResponse


class Asker(Protocol):
    """Who waits for answers: one stream of an edge, or one unary call."""

    in_flight: dict[int, Entry]
    """Questions asked by their id at the asker; the link keeps it up to date."""

    def push(self, answers: Run) -> None:
        """Take framed answers; their entries are out of ``in_flight`` already."""
        ...


Entry = tuple[Asker, int, int, "AdapterLink", "Tally"]
"""A question in flight: asker, id at the asker, id on the link, link, tally."""


class AdapterLink(LinkLine):
    """See the module's contract. It connects when first used.

    Args:
        authority: URN of the adapter's authority.
        open_channel: opens a channel; called in the event loop.
        grants: mints what introduces a caller.
        settings: bounds and pauses.
        jitter: a number in [0, 1) that spreads reconnections.
        service: what is spoken to.
        credentials: metadata of every call, fetched anew for each; None: none.
    """

    def __init__(
        self,
        authority: str,
        open_channel: Callable[[], grpc.aio.Channel],
        grants: GrantMinter,
        *,
        settings: LinkSettings,
        jitter: Callable[[], float],
        service: LinkService = TO_ADAPTER,
        credentials: Callable[[], Awaitable[Metadata]] | None = None,
    ) -> None:
        super().__init__(
            authority,
            open_channel,
            settings=settings,
            jitter=jitter,
            service=service,
            credentials=credentials,
        )
        self.import_method = service.import_method
        self._grants = grants
        self._pending: dict[int, Entry] = {}
        self._next_id = 0
        self._wheel = DeadlineWheel()
        self._timer: asyncio.TimerHandle | None = None
        self._introduced: dict[str, tuple[int, str]] = {}
        self.unknown_answers = 0
        """Answers to nothing this link asked, or too late; for the metrics."""

    @property
    def in_flight(self) -> int:
        """Questions asked and not answered."""
        return len(self._pending)

    def introduce(self, caller: CallerRecord) -> int:
        """Return the handle of a caller on the present stream, introducing it if needed.

        Raises:
            RpcFailure: ``ADAPTER_UNREACHABLE`` with the time of the next attempt.
        """
        self._start()
        grant = self._grants.grant(caller, self.authority).text
        known = self._introduced.get(caller.urn)
        if known is not None and known[1] == grant:
            return known[0]
        if known is not None:
            handle = known[0]
        elif len(self._introduced) < _MAX_INTRODUCED:
            handle = len(self._introduced) + 1
        else:
            # What it asked before stands before this introduction in the queue.
            handle, _ = self._introduced.pop(next(iter(self._introduced)))
        self._introduced[caller.urn] = (handle, grant)
        introduction = exchange_pb2.CallerGrant(handle=handle, grant=grant)
        self._enqueue([self._service.callers.frame(introduction.SerializeToString())], 1)
        return handle

    async def beside(self, caller: CallerRecord) -> tuple[grpc.aio.Channel, Metadata]:
        """Return channel and metadata for one unary call beside the stream.

        Raises:
            RpcFailure: as :meth:`introduce`.
        """
        channel = self._start()
        grant = self._grants.grant(caller, self.authority).text
        try:
            credentials = () if self._credentials is None else await self._credentials()
        except PeerError:
            raise self._unreachable() from None
        return channel, (*credentials, (GRANT_METADATA_KEY, grant))

    def ask(
        self, asker: Asker, run: QuestionRun, *, room: int, handle: int, now: float, tally: Tally
    ) -> int:
        """Send questions on, as far as there is room.

        Args:
            asker: gets the answers; its ``in_flight`` gains the questions, so
                their ids must not stand in it.
            run: the questions; each lives its time from now.
            room: how many the asker may still have in flight.
            handle: from :meth:`introduce`, in this very turn of the loop.
            now: in seconds of the loop's clock.
            tally: gains the bytes of questions and answers.

        Returns:
            How many were taken, from the first on.
        """
        pending = self._pending
        room = min(room, self._settings.max_in_flight - len(pending))
        if self._queued_bytes >= self._settings.max_queued_bytes or not self._accepting:
            return 0
        in_flight = asker.in_flight
        framing, hop_ms = self._service.questions, self._service.hop_ms
        prefixes, headers = framing.prepared, ENVELOPE.prepared
        shared = run.heading.encoded + caller_field(handle)
        upstream_id = self._next_id
        taken = size = 0
        slot: list[int] = []
        timeout = b""
        last_ms = 0
        pieces: list[bytes] = []
        for edge_id, (timeout_ms, envelope) in run.items.items():
            if taken >= room:
                break
            taken += 1
            upstream_id += 1
            if timeout_ms != last_ms:
                slot = self._wheel.slot(now + timeout_ms / 1000)
                timeout = timeout_field(timeout_ms - min(hop_ms, timeout_ms // 10))
                last_ms = timeout_ms
            slot.append(upstream_id)
            own_id = id_field(upstream_id)
            length = len(envelope)
            header = headers[length] if length < PREPARED_LENGTHS else ENVELOPE.prefix(length)
            length += len(own_id) + len(shared) + len(timeout) + len(header)
            pieces += (
                prefixes[length] if length < PREPARED_LENGTHS else framing.prefix(length),
                own_id,
                shared,
                timeout,
                header,
                envelope,
            )
            size += len(envelope)
            pending[upstream_id] = in_flight[edge_id] = (asker, edge_id, upstream_id, self, tally)
        self._next_id = upstream_id
        self._enqueue(pieces, taken)
        tally.envelopes += taken
        tally.bytes += size
        if self._timer is None:
            self._set_timer()
        return taken

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Forget questions of this link that nobody waits for, and tell the adapter."""
        gone = [entry[2] for entry in entries if self._pending.pop(entry[2], None) is not None]
        self._cancel_upstream(gone)

    # --- answers

    def _take(self, data: bytes) -> None:
        message = _Downstream.FromString(data)
        pending = self._pending
        by_asker: dict[Asker, list[bytes]] = {}
        for answer in message.answers:
            entry = pending.pop(answer.id, None)
            if entry is None:
                self.unknown_answers += 1
                continue
            asker, edge_id, _, _, tally = entry
            pieces = answer_pieces(answer, edge_id)
            del asker.in_flight[edge_id]
            tally.bytes += len(pieces[-1])
            gathered = by_asker.get(asker)
            if gathered is None:
                gathered = by_asker[asker] = []
            gathered += pieces
        for asker, gathered in by_asker.items():
            asker.push(Run(b"".join(gathered), len(gathered) // PIECES_AN_ANSWER))

    def _refuse(self, entries: Iterable[Entry], failure: RpcFailure) -> None:
        by_asker: dict[Asker, list[int]] = {}
        for asker, edge_id, _, _, _ in entries:
            del asker.in_flight[edge_id]
            by_asker.setdefault(asker, []).append(edge_id)
        for asker, items in by_asker.items():
            asker.push(refusals(items, failure))

    def _lose(self) -> None:
        """Refuse everything in flight: the stream is gone and its ids with it."""
        lost, self._pending = list(self._pending.values()), {}
        self._drop_queue()
        self._introduced.clear()
        self._wheel.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._refuse(lost, self._unreachable())

    # --- deadlines and cancellation

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SLOT_SECONDS, self._sweep)

    def _sweep(self) -> None:
        pending = self._pending
        late = [
            entry
            for upstream_id in self._wheel.due(asyncio.get_running_loop().time())
            if (entry := pending.pop(upstream_id, None)) is not None
        ]
        if late:
            self._refuse(late, RpcFailure("DEADLINE_EXCEEDED"))
            self._cancel_upstream([entry[2] for entry in late])
        self._wheel.compact(pending, len(pending))
        self._timer = None
        if pending:
            self._set_timer()
        else:
            self._wheel.clear()

    def _cancel_upstream(self, ids: list[int]) -> None:
        if self._accepting and ids:
            field = self._service.cancelled
            self._enqueue([number_fragment(field, item) for item in ids], len(ids))
