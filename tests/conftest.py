"""What all tests share.

Names of cases that are the same everywhere, the files that take longest first, no
deadline for an example of a property, garbage left alone, and logging as it was.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

_LONGEST_ID = 40

_TESTS = Path(__file__).parent
_LONGEST_FILES = (
    "cli/test_demo.py",
    "doors/test_blindness.py",
    "adapters/platforms/test_every_city.py",
    "conformance/test_shipped_adapters.py",
    "issuer/core/test_properties.py",
    "conformance/test_selftest_hub.py",
    "conformance/test_selftest_verifier.py",
    "conformance/test_selftest_adapter.py",
    "docs/test_guides.py",
    "hub/test_kill.py",
    "paths/test_bridge_outside.py",
    "issuer/service/test_kill.py",
    "faults/test_killed_hub.py",
    "cli/test_checkpoint.py",
    "paths/test_bridge.py",
    "issuer/core/test_assess.py",
    "hub/federation/test_three_hubs.py",
)
"""More than ten seconds each, by ``--durations``, in either run."""

# An example on a busy machine may take ten times as long; that says nothing about it.
settings.register_profile("hutong", settings.default, deadline=None)
settings.load_profile("hutong")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case by what does not change from run to run.

    Keys and certificates are made anew in every process, and the processes of a
    parallel run must agree on the names of all cases: so a mapping is named by its
    members, and long or unprintable text by its argument; doubles get a number.
    """
    if isinstance(val, Mapping):
        return ",".join(map(str, val)) or "nothing"
    if isinstance(val, str | bytes):
        text = val if isinstance(val, str) else val.decode("ascii", "replace")
        if len(text) > _LONGEST_ID or not (text.isascii() and text.isprintable()):
            return argname
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected out of every search for garbage, then and later.

    Thousands of tests and all that they import stay until the end. Each command of ours
    collects garbage before it leaves, and a test that runs one walked all of that: a
    third of a second, more than the command.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, otherwise keep the order.

    A parallel run hands out whole files: one that takes a minute and comes last would
    keep one core busy while the others have nothing left.
    """
    places = {_TESTS / name: place for place, name in enumerate(_LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a command under test did to logging: commands configure the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
