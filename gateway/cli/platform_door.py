"""The admin door of a running reference platform, as its commands call it."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from adapters.platforms import city_names, usual_port
from gateway.cli.terminal import Exit, fail

LOCAL_TOKEN: Final = "synthetic-admin-token"  # noqa: S105 - good for loopback only
_CALL_SECONDS: Final = 5.0
_CITIES: Final = f"One of: {', '.join(city_names())}."

CityOption = Annotated[str, typer.Option("--city", metavar="CITY", help=_CITIES)]
CityArgument = Annotated[str, typer.Argument(metavar="CITY", help=_CITIES)]
TokenOption = Annotated[
    str,
    typer.Option(
        "--admin-token", envvar="HUTONG_PLATFORM_TOKEN", help="Bearer token of the admin door."
    ),
]
AdminOption = Annotated[
    str,
    typer.Option("--admin-url", help="Admin door; left out: the city's usual port on loopback."),
]


def check_city(city: str) -> None:
    """Leave where no reference platform has this name."""
    if city not in city_names():
        fail(
            f"no reference platform is named {city!r}",
            fix=f"use one of {', '.join(city_names())}",
            code=Exit.USAGE,
        )


def call(
    method: str,
    path: str,
    city: str,
    admin_url: str,
    token: str,
    body: Any = None,
    *,
    fix: str = "check --admin-token",
) -> Any:
    """Make one call at an admin door and return its document, or leave.

    Args:
        method: of HTTP.
        path: at the door.
        city: whose door.
        admin_url: its address; empty: the city's usual port on loopback.
        token: bearer token.
        body: JSON to send; None: nothing.
        fix: what helps where the door refuses.
    """
    check_city(city)
    try:
        parts = urlsplit(admin_url or f"http://127.0.0.1:{usual_port(city) + 1}")
        host, port = parts.hostname, parts.port
    except ValueError:  # a bracket that is not closed, a port beyond 65535
        parts, host, port = None, None, None
    if parts is None or parts.scheme != "http" or not host:
        fail(
            "the admin door is an http address",
            fix="for example http://127.0.0.1:8331",
            code=Exit.USAGE,
        )
    connection = http.client.HTTPConnection(host, port, timeout=_CALL_SECONDS)
    with contextlib.closing(connection):
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Bearer {token}"},
            )
            response = connection.getresponse()
            status, document = response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            status, document = 0, None
    if not isinstance(document, dict):
        fail(
            "no admin door answers there",
            fix=f"start it: hutong platform run {city}, or give --admin-url",
        )
    if status != http.HTTPStatus.OK:
        unknown = status == http.HTTPStatus.UNAUTHORIZED
        fail(
            f"the admin door refuses: {document.get('error')}",
            fix="check --admin-token" if unknown else fix,
        )
    return document
