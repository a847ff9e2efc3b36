"""What every reference platform shares: two HTTP doors, faults, and a clock.

A platform is a real server on a real port. Its *city door* speaks the city's own
wire with the city's own authentication and knows nothing of Hutong. Its *admin
door* stands on a port of its own, asks for a bearer token, and is how a test, the
demo or `hutong platform fault` switches faults:

==========  ===================  ==================================================
method      path                 answer
==========  ===================  ==================================================
GET         /healthz             200, without a token
GET         /admin/faults        ``{"faults": ["slow=3.0"]}``
PUT         /admin/faults        the same document as the body; replaces all faults
DELETE      /admin/faults        no fault any more
GET         /admin/population    size, seed and the scenario people
POST        /admin/people        turns a person: ``{"person": "green", "state": "红码"}``;
                                 ``person`` is a story or a document number, ``state``
                                 null: as drawn; tells the city's change feed, or with
                                 ``"forget": true`` lets it lose its place instead
==========  ===================  ==================================================

Bodies are bounded. No request, number or colour is logged. A reference platform
serves plain HTTP: it stands for an ESB inside a city's own network and is meant
for loopback.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from adapters.platforms.faults import FaultError, Faults, Garbage, parse_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.base import AnyCity
    from adapters.platforms.people import Population
    from adapters.platforms.scenarios import ScenarioPerson

MAX_REQUEST_BYTES: Final = 16_384
"""Far above the longest query of any wire spoken here."""

_PAGE: Final = "<html><body><h1>系统繁忙，请稍后再试</h1></body></html>"


class Platform(ABC):
    """One city's reference platform: a population behind that city's wire.

    Attributes:
        city: short name, for example ``hangzhou``.
        population: its people.
        faults: the faults in force; assign to change them.
    """

    city: str

    def __init__(self, population: Population, clock: Callable[[], datetime]) -> None:
        self.population = population
        self.clock = clock
        self.faults = Faults()

    @abstractmethod
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The routes of the city door."""

    @abstractmethod
    def scenarios(self) -> Mapping[str, ScenarioPerson]:
        """The people of this city whose state is fixed by name."""

    def application(self) -> web.Application:
        """The city door, with the faults in front of it."""
        app = web.Application(middlewares=[self._misbehave], client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(self.routes())
        return app

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        faults = self.faults
        if faults.slow_seconds:
            await asyncio.sleep(faults.slow_seconds)
        if faults.down:
            if request.transport is not None:
                request.transport.abort()
            # Nobody reads this: the connection is gone.
            return web.Response()
        if faults.maintenance:
            return web.Response(
                status=HTTPStatus.SERVICE_UNAVAILABLE, text=_PAGE, content_type="text/html"
            )
        response = await handler(request)
        if not isinstance(response, web.Response):
            return response  # type: ignore[no-any-return]  # aiohttp types its handlers loosely
        if faults.json_in_json:
            response = _renested(response)
        return response if faults.garbage is None else _spoil(response, faults.garbage)


def _renested(response: web.Response) -> web.Response:
    """Turn inner documents into text and inner texts into documents.

    Where there is neither, the whole document becomes one text.
    """
    body = response.body if isinstance(response.body, bytes) else b""
    try:
        document = json.loads(body)
    except ValueError:
        document = body.decode("utf-8", "replace")
    changed = document
    if isinstance(document, dict):
        changed = {name: _turned(value) for name, value in document.items()}
    if changed == document:
        changed = _compact(document)
    return web.Response(
        status=response.status,
        body=_compact(changed).encode(),
        content_type="application/json",
        charset="utf-8",
    )


def _turned(value: object) -> object:
    if isinstance(value, dict | list):
        return _compact(value)
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _compact(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _spoil(response: web.Response, garbage: Garbage) -> web.Response:
    """Turn a good answer into one that cannot be read."""
    body = response.body if isinstance(response.body, bytes) else b""
    if garbage is Garbage.HTML:
        return web.Response(text=_PAGE, content_type="text/html")
    if garbage is Garbage.TRUNCATED:
        spoilt = body[: len(body) // 2]
    else:
        # The Chinese state words come out as bytes that are no UTF-8.
        text = body.decode("utf-8", "replace").encode("gbk", "replace")
        spoilt = text + "绿".encode("gbk")
    return web.Response(body=spoilt, content_type=response.content_type, charset="utf-8")


def json_response(document: object, status: int = HTTPStatus.OK) -> web.Response:
    """A JSON answer with Chinese text as it is, members in the order given."""
    return web.Response(
        status=status,
        body=_compact(document).encode(),
        content_type="application/json",
        charset="utf-8",
    )


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request's body; empty: the body is no such thing."""
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def bearer_is(request: web.Request, token: str) -> bool:
    """Whether a request carries this bearer token."""
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, f"Bearer {token}".encode())


class _AdminDoor:
    """Switches the faults of one platform for who knows the token."""

    def __init__(self, platform: AnyCity, token: str) -> None:
        self._platform = platform
        self._token = token

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/admin/faults", self._show),
                web.put("/admin/faults", self._replace),
                web.delete("/admin/faults", self._clear),
                web.get("/admin/population", self._population),
                web.post("/admin/people", self._turn),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path != "/healthz" and not bearer_is(request, self._token):
            return json_response({"error": "bearer token required"}, HTTPStatus.UNAUTHORIZED)
        return await handler(request)  # type: ignore[no-any-return]  # aiohttp types its handlers loosely

    async def _healthz(self, _: web.Request) -> web.Response:
        return json_response({"city": self._platform.city, "status": "serving"})

    async def _show(self, _: web.Request) -> web.Response:
        return json_response({"faults": self._platform.faults.to_words()})

    async def _replace(self, request: web.Request) -> web.Response:
        words = (await read_object(request)).get("faults")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return json_response({"error": 'body: {"faults": [words]}'}, HTTPStatus.BAD_REQUEST)
        try:
            self._platform.faults = parse_faults(words)
        except FaultError as error:
            return json_response({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return await self._show(request)

    async def _clear(self, request: web.Request) -> web.Response:
        self._platform.faults = Faults()
        return await self._show(request)

    async def _turn(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        name, state, reason = body.get("person"), body.get("state"), body.get("reason", "")
        if not (isinstance(name, str) and isinstance(state, str | None) and "state" in body):
            problem = 'body: {"person": STORY or NUMBER, "state": WORD or null}'
            return json_response({"error": problem}, HTTPStatus.BAD_REQUEST)
        platform = self._platform
        told = platform.scenarios().get(name)
        person = platform.population.find(told.document_number if told else name)
        if person is None:
            return json_response({"error": "nobody here has this name"}, HTTPStatus.NOT_FOUND)
        try:
            platform.turn(person, state, reason=str(reason))
            if body.get("forget") is True:
                # Before anybody is told: what happened cannot be told one by one any more.
                platform.changes.forget()
        except ValueError as error:
            return json_response({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return json_response({"turned": 1})

    async def _population(self, _: web.Request) -> web.Response:
        population = self._platform.population
        return json_response(
            {
                "city": self._platform.city,
                "synthetic": True,
                "size": population.size,
                "seed": population.seed,
                "scenarios": [person.to_dict() for person in self._platform.scenarios().values()],
            }
        )


@dataclass(slots=True)
class RunningPlatform:
    """A platform that is listening; use it as an async context manager or stop it.

    Attributes:
        platform: the platform itself; its faults may be assigned in process too.
        base_url: the city door, for example ``http://127.0.0.1:40001``.
        admin_url: the admin door.
    """

    platform: AnyCity
    base_url: str
    admin_url: str
    _runners: tuple[web.AppRunner, ...]

    async def stop(self) -> None:
        """Close both doors; calls that wait in a slow fault are cancelled."""
        for runner in self._runners:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def serve_platform(
    platform: AnyCity,
    *,
    admin_token: str,
    host: str = "127.0.0.1",
    port: int = 0,
    admin_port: int = 0,
) -> RunningPlatform:
    """Open both doors of a platform.

    Args:
        platform: what to serve.
        admin_token: bearer token of the admin door.
        host: address for both doors.
        port: of the city door; 0: any free one.
        admin_port: of the admin door; 0: any free one.

    Raises:
        OSError: a port is taken; the door opened before it is closed again.
    """
    runners: list[web.AppRunner] = []
    urls: list[str] = []
    admin = _AdminDoor(platform, admin_token)
    doors = ((platform.application(), port), (admin.application(), admin_port))
    try:
        for app, wanted in doors:
            # A reference platform stops at once: nobody depends on its last answers.
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, host, wanted).start()
            urls.append(f"http://{host}:{runner.addresses[0][1]}")
    except OSError:
        for runner in runners:
            await runner.cleanup()
        raise
    return RunningPlatform(platform, urls[0], urls[1], tuple(runners))
