# ruff: noqa: T201 — it speaks to the test in lines
"""A process that does the daily run and says how far it is; to be killed.

``python -m tests.issuer.core.recompute_process DSN SPAN SECONDS``: the clock stands at
SECONDS; after every transaction a line ``done people``; at the end ``finished …``.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from gateway.issuer.core import open_issuer
from tests.issuer.core.world import box


async def main(dsn: str, span: int, seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    async with await open_issuer(dsn, box(), span=span) as issuer:
        report = await issuer.recompute.run(
            lambda: moment,
            lambda progress: print(progress.done, progress.people, flush=True),
        )
        print("finished", report.run_id, report.people, int(report.is_resumed), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
