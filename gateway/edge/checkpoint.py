"""One checkpoint, put together: the door through which other programs use the edge.

Example::

    settings = load_settings(Path("checkpoint.toml"))
    async with Checkpoint.open(settings) as checkpoint:
        result = await checkpoint.ask("https://code.example/?id=…")
        print(result.decision.verdict, result.to_json())

Opened online, it follows the feed in the background and asks over one stream;
opened with ``online=False`` it touches no network at all and decides about carried
attestations from what is on disk.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from hutong.v1 import exchange_pb2

from gateway.attestation import to_armour
from gateway.codes import parse_division
from gateway.edge.batch import CONCURRENT_ROWS, run_batch
from gateway.edge.decide import Pipeline
from gateway.edge.files import read_bounded
from gateway.edge.holdings import STALE_SECONDS as STALE_SECONDS
from gateway.edge.holdings import Holdings
from gateway.edge.holdings import utc_now as utc_now
from gateway.edge.images import read_code_from_image
from gateway.edge.online import open_hub_channel as open_hub_channel
from gateway.edge.record import DecisionLog
from gateway.edge.seen import SeenAttestations
from gateway.edge.showings import Showings
from gateway.edge.status import Fetched as Fetched
from gateway.trust import parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from datetime import datetime

    from gateway.attestation.sd_jwt import Disclosure
    from gateway.codes import Declarations, Document
    from gateway.edge.convert import Conversion, Converter
    from gateway.edge.manifest import ManifestRow
    from gateway.edge.questions import Askable
    from gateway.edge.result import Result
    from gateway.edge.settings import CheckpointSettings
    from gateway.recognition import Evidence


class Checkpoint(Holdings):
    """One checkpoint. Made by ``open``; belongs to one event loop."""

    _pipeline: Pipeline | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: CheckpointSettings,
        *,
        online: bool = True,
        follow: bool = True,
        clock: Callable[[], datetime] = utc_now,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> AsyncIterator[Checkpoint]:
        """Open a checkpoint.

        Args:
            settings: of the checkpoint.
            online: False: no network, no key needed; only what is carried is decided.
            follow: keep the feed current in the background; False suits commands
                that end at once, which then call ``refresh_if_stale``.
            clock: now, UTC.
            random_bytes: source of nonces and reply keys.

        Raises:
            SettingsError: a file that the settings name cannot be used.
            AnchorError: the trust anchor is malformed.
        """
        anchor = parse_anchor(read_bounded(settings.trust_anchor, MAX_ANCHOR_BYTES, "trust anchor"))
        checkpoint = cls(settings, anchor, clock=clock)
        async with contextlib.AsyncExitStack() as stack:
            checkpoint._take_up(clock())
            log = DecisionLog(settings.record_file)
            stack.callback(log.close)
            if online:
                await checkpoint._go_online(stack, random_bytes, is_following=follow)
            line = checkpoint._line
            showings = Showings(checkpoint._queue, None if line is None else line.reporter)
            stack.push_async_callback(showings.close)
            checkpoint._pipeline = Pipeline(
                region=settings.region,
                view=checkpoint._trust_view,
                trust_age_seconds=checkpoint._knowledge.age_seconds,
                client=None if line is None else line.client,
                seen=SeenAttestations(settings.seen_file, random_bytes),
                log=log,
                clock=clock,
                purpose=exchange_pb2.Purpose.Value(f"PURPOSE_{settings.purpose}"),
                max_trust_age_seconds=settings.max_trust_age_seconds,
                catalogue_file=settings.catalogue_file,
                showings=showings,
            )
            yield checkpoint

    async def ask(
        self,
        shown: str | Askable,
        *,
        origin: str | None = None,
        timeout_seconds: float | None = None,
        beside: str | None = None,
        disclosure: Disclosure | None = None,
    ) -> Result:
        """Decide about one traveller; see ``Pipeline.ask``.

        Args:
            shown: scanned text or a document.
            origin: division the code is from, 2, 4 or 6 digits; needed with a document.
            timeout_seconds: None: as the settings say.
            beside: scanned text of a travel card shown beside it.
            disclosure: that no more than a part be answered; None: the whole code.
        """
        return await self._ready().ask(
            shown,
            origin=_division(origin),
            timeout_seconds=self._timeout(timeout_seconds),
            beside=beside,
            disclosure=disclosure,
        )

    async def fetch(
        self,
        shown: str | Askable,
        *,
        origin: str | None = None,
        timeout_seconds: float | None = None,
        disclosure: Disclosure | None = None,
    ) -> Fetched:
        """Fetch an attestation that the holder carries here; see ``Pipeline.fetch``."""
        token, result = await self._ready().fetch(
            shown,
            origin=_division(origin),
            timeout_seconds=self._timeout(timeout_seconds),
            disclosure=disclosure,
            freshen=self.refresh,
        )
        return Fetched(token, None if token is None else to_armour(token), result)

    async def convert(
        self,
        document: Document,
        *,
        name: str,
        declarations: Declarations,
        origin: str,
        destination: str,
        timeout_seconds: float | None = None,
    ) -> Conversion:
        """Convert a holder's code into a local code of another region; see ``Converter``.

        Args:
            document: the holder's.
            name: as in the document.
            declarations: the holder's own answers; none is ABSENT.
            origin: division whose code it is, 2, 4 or 6 digits.
            destination: division whose code is wanted, likewise.
            timeout_seconds: for both legs; None: twice what the settings say.

        Raises:
            ConversionError: the name or an answer is missing.
        """
        converter = self._converter
        if converter is None:
            raise RpcFailure("PEER_UNREACHABLE", "this checkpoint runs offline")
        return await converter.convert(
            document,
            name=name,
            declarations=declarations,
            origin=parse_division(origin),
            destination=parse_division(destination),
            timeout_seconds=timeout_seconds or 2 * self._timeout(None),
        )

    @property
    def _converter(self) -> Converter | None:
        return None if self._line is None else self._line.converter

    async def attested(
        self, document: Document, *, origin: str, timeout_seconds: float | None = None
    ) -> Evidence:
        """What an origin attests, verified, for a platform's own rule; see ``Pipeline``."""
        return await self._ready().attested(
            document,
            origin=parse_division(origin),
            timeout_seconds=self._timeout(timeout_seconds),
        )

    def verify_offline(self, text: str) -> Result:
        """Decide about a carried attestation; see ``Pipeline.verify_offline``."""
        return self._ready().verify_offline(text)

    async def verify(self, text: str) -> Result:
        """The same, asking a hub within reach about repeats; see ``Pipeline``."""
        return await self._ready().verify_carried(text)

    def verify_image(self, data: bytes) -> Result:
        """Decide about a carried attestation in a PNG or SVG picture.

        Raises:
            ImageError: the picture holds no readable code.
        """
        return self.verify_offline(read_code_from_image(data))

    async def batch(
        self,
        rows: Iterable[ManifestRow],
        *,
        on_result: Callable[[ManifestRow, Result], None],
        timeout_seconds: float | None = None,
    ) -> None:
        """Decide every row of a manifest; see ``run_batch``."""
        await run_batch(
            self._ready(),
            rows,
            timeout_seconds=self._timeout(timeout_seconds),
            on_result=on_result,
            concurrent_rows=min(CONCURRENT_ROWS, self.settings.max_in_flight),
        )

    def _ready(self) -> Pipeline:
        if self._pipeline is None:
            raise RuntimeError("use `async with Checkpoint.open(settings)`")
        return self._pipeline

    def _timeout(self, given: float | None) -> float:
        return self.settings.question_timeout_seconds if given is None else given


def _division(origin: str | None) -> str | None:
    return None if origin is None else parse_division(origin)
