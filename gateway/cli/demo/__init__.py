"""``hutong demo``: a whole federation on this machine, and everybody who travels in it.

Sets up a hub, cities with platforms and adapters, the national issuer and checkpoints,
over real servers on loopback; plays the acts of ``script.py``, which show every way in
which regions recognise each other; then stays up until Ctrl-C, or leaves with
``--once``. Nothing is left running either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from gateway.cli.terminal import Exit, console, fail, print_json, stderr
from gateway.errors import HutongError, InternalError
from gateway.wire.loop import run, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.demo.cast import Cast

app = typer.Typer(rich_markup_mode="rich")

_MARKER = "made-by-hutong-demo"
"""Only a folder that holds this file is ever removed."""


@app.callback(invoke_without_command=True)
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Leave after the acts; fail if one is not as scripted.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object an act on stdout.")
    ] = False,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where to put the federation; made anew every time.")
    ] = Path(".hutong/demo"),
) -> None:
    """Run a hub, four cities and the national issuer, and show all ways of recognition.

    Examples:
      hutong demo
      hutong demo --once --json
    """
    with _stage(folder), (folder / "checkpoints.log").open("a", encoding="utf-8") as log:
        # The whole product, not needed to say what the demo is or which folder it takes.
        import structlog

        from gateway.wire.logging import configure_logging

        configure_logging()
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=log))
        try:
            failed = run(_play(folder.resolve(), once=once, as_json=as_json))
        except HutongError as error:
            fail(f"{error} [{error.code}]", fix=f"look into {folder}")
    raise typer.Exit(Exit.NEGATIVE if failed else Exit.OK)


@contextlib.contextmanager
def _stage(folder: Path) -> Iterator[None]:
    """Make an empty folder of our own and hold it; never touch one that is not.

    The lock on the marker ends with the process, however it ends, so a demo that
    was killed is in nobody's way and one that still runs keeps its files.
    """
    marker = folder / _MARKER
    if folder.exists():
        if not marker.exists() and any(folder.iterdir()):
            fail(f"{folder} is not empty and not a demo's", fix="choose another --dir")
        if marker.exists():
            with marker.open("a") as held:
                _lock(held, folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with marker.open("a") as held:
        _lock(held, folder)
        yield


def _lock(marker: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        fail(f"another demo runs in {folder}", fix="stop that one, or choose another --dir")


async def _play(folder: Path, *, once: bool, as_json: bool) -> int:
    """Set up, play, stay; return how many acts were not as scripted."""
    stopping = asyncio.Event()
    restore = stop_on_signals(stopping.set)
    playing = asyncio.create_task(_perform(folder, once=once, as_json=as_json, stopping=stopping))
    asked = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({playing, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await playing
        stderr.print("stopped; nothing is left running")
        return 0
    finally:
        asked.cancel()
        restore()


async def _perform(folder: Path, *, once: bool, as_json: bool, stopping: asyncio.Event) -> int:
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.federation import Federation
    from gateway.cli.demo.next_commands import next_commands, print_next_commands
    from gateway.cli.demo.province import Province
    from gateway.cli.demo.script import ACTS
    from gateway.cli.demo.stage import summary

    started = time.perf_counter()
    with stderr.status("setting up") if stderr.is_terminal else contextlib.nullcontext() as status:

        def show(step: str) -> None:
            if status is not None:
                status.update(step)
            else:
                print(f"… {step}", file=sys.stderr, flush=True)

        federation = await Federation(folder, show).__aenter__()
    try:
        async with Province(federation) as province:
            async with Cast.open(federation, province) as cast:
                failed = await _acts(cast, as_json=as_json)
            province.heal()
        if not as_json:
            console.print(summary(len(ACTS), failed, time.perf_counter() - started))
        if not once:
            await federation.start_hub()
            if as_json:
                print_json({"next": dict(next_commands(federation))})
            else:
                print_next_commands(federation, console)
            stderr.print("Ctrl-C stops everything")
            await stopping.wait()
    finally:
        await federation.stop()
    return failed


async def _acts(cast: Cast, *, as_json: bool) -> int:
    from gateway.cli.demo.script import CHAPTERS
    from gateway.cli.demo.stage import act_block, act_json, chapter_rule

    failed = 0
    number = 0
    for chapter in CHAPTERS:
        if not as_json:
            console.print(chapter_rule(chapter))
        for act in chapter.acts:
            number += 1
            try:
                scene = await act.play(cast)
            except HutongError as error:
                raise InternalError(f"act {act.name}: {error}", code=error.code) from error
            failures = act.failures(scene)
            failed += bool(failures)
            if as_json:
                print_json(act_json(chapter, act, scene, failures))
            else:
                console.print(act_block(number, act, scene, failures))
    return failed
