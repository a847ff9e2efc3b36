"""A batch: every row of a manifest through the pipeline, many at once.

Each row has its own outcome. A row whose presentation cannot be used is decided
too: it is referred to a person, with the reason.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.edge.presentation import CarriedAttestation
from gateway.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.edge.decide import Pipeline
    from gateway.edge.manifest import ManifestRow
    from gateway.edge.result import Result

CONCURRENT_ROWS: Final = 512
"""Enough for several full envelopes in flight, far below what a client may have."""


async def run_batch(
    pipeline: Pipeline,
    rows: Iterable[ManifestRow],
    *,
    timeout_seconds: float,
    on_result: Callable[[ManifestRow, Result], None],
    concurrent_rows: int = CONCURRENT_ROWS,
) -> None:
    """Decide every row; results come in the order in which they are ready.

    Args:
        pipeline: decides one.
        rows: of the manifest.
        timeout_seconds: a row.
        on_result: called once a row.
        concurrent_rows: rows in flight at once.

    Raises:
        ReplicaError: this checkpoint has never synchronised.
    """
    pipeline.require_trust()
    waiting = iter(rows)
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrent_rows):
            group.create_task(_work(pipeline, waiting, timeout_seconds, on_result))


async def _work(
    pipeline: Pipeline,
    waiting: Iterator[ManifestRow],
    timeout_seconds: float,
    on_result: Callable[[ManifestRow, Result], None],
) -> None:
    for row in waiting:
        on_result(row, await _decide_row(pipeline, row, timeout_seconds))


async def _decide_row(pipeline: Pipeline, row: ManifestRow, timeout_seconds: float) -> Result:
    if row.fault is not None or row.presentation is None:
        return pipeline.refused(row.fault or CallerError("nothing was presented"), row.origin)
    try:
        if isinstance(row.presentation, CarriedAttestation):
            # Nothing is awaited below; the progress of the others must still show.
            await asyncio.sleep(0)
            return await pipeline.verify_carried(row.presentation.token)
        return await pipeline.ask(
            row.presentation, origin=row.origin, timeout_seconds=timeout_seconds
        )
    except CallerError as error:
        return pipeline.refused(error, row.origin)
