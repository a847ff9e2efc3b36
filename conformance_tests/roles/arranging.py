"""Brings the system behind an implementation into the state that a check needs.

Some rules show only when the city's platform is slow, answers from an old cache or
answers garbage. A person of the profile may say how to bring that about, as one HTTP
request, and how to undo it::

    people:
      turned:                       # green; capability `changes`
        document: {type: 10, number: "…"}
        bystander: green            # somebody else who is green, and stays so
        arrange: {…}                # turns them to another level
        restore: {…}
      slow-platform:
        document: {type: 10, number: "…"}
        arrange: {method: PUT, url: "http://127.0.0.1:8331/admin/faults",
                  headers: {authorization: "Bearer …"}, json: {faults: [slow=30]}}
        restore: {method: DELETE, url: "http://127.0.0.1:8331/admin/faults",
                  headers: {authorization: "Bearer …"}}
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp

from conformance_tests.model import UntestableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_SECONDS = 10.0
"""A door for tests answers at once; more than this is no door."""


@contextlib.asynccontextmanager
async def arranged(person: Mapping[str, Any]) -> AsyncIterator[None]:
    """Arrange what a person's entry asks for, and undo it afterwards.

    Raises:
        UntestableError: a request failed, or one of the two is missing.
    """
    if "arrange" not in person:
        yield
        return
    if "restore" not in person:
        raise UntestableError("`arrange` without `restore` would spoil the checks after it")
    await _send(person["arrange"])
    try:
        yield
    finally:
        await _send(person["restore"])


async def _send(request: Mapping[str, Any]) -> None:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(
                str(request.get("method", "POST")),
                str(request["url"]),
                headers=dict(request.get("headers", {})),
                json=request.get("json"),
            ) as answer,
        ):
            if not answer.ok:
                raise UntestableError(f"a request to arrange a check got HTTP {answer.status}")
    except (aiohttp.ClientError, TimeoutError, KeyError) as error:
        kind = type(error).__name__
        raise UntestableError(f"a request to arrange a check failed: {kind}") from error
