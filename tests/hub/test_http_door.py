from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from gateway.hub.errors import HubSetupError
from gateway.hub.http_door import MAX_BODY_BYTES, HttpDoor
from gateway.hub.settings import HttpSettings, TlsSettings
from gateway.trust import parse_anchor
from gateway.trust.replica import FeedReplica
from gateway.wire.token_client import TokenError
from tests.hub.hub_world import OPERATOR, HubWorld, hub_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    import aiohttp

pytestmark = pytest.mark.asyncio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[HubWorld]:
    async with hub_world(tmp_path) as world:
        yield world


@asynccontextmanager
async def asking(world: HubWorld) -> AsyncIterator[aiohttp.ClientSession]:
    async with world.session() as session:
        yield session


async def get(world: HubWorld, path: str) -> tuple[int, Any]:
    async with world.session() as session, session.get(world.url + path) as response:
        return response.status, json.loads(await response.read())


async def post(world: HubWorld, data: Any, headers: dict[str, str] = FORM) -> tuple[int, Any]:
    async with (
        world.session() as session,
        session.post(f"{world.url}/oauth2/token", data=data, headers=headers) as response,
    ):
        assert response.headers["Content-Type"].startswith("application/json")
        return response.status, json.loads(await response.read())


async def test_the_well_known_documents_agree_with_the_anchor(world: HubWorld) -> None:
    status, metadata = await get(world, "/.well-known/oauth-authorization-server")
    assert status == 200
    assert metadata["issuer"] == world.url
    assert metadata["token_endpoint"] == f"{world.url}/oauth2/token"
    assert metadata["hutong_hub"] == world.settings.urn
    status, jwks = await get(world, "/.well-known/jwks.json")
    assert status == 200
    anchor = parse_anchor((world.directory / "anchor.json").read_bytes())
    assert jwks == anchor.token_jwks()
    assert all("d" not in key for key in jwks["keys"])


async def test_the_snapshot_is_one_a_reader_accepts(world: HubWorld) -> None:
    status, snapshot = await get(world, "/v1/feed/snapshot")
    assert status == 200
    replica = FeedReplica(parse_anchor((world.directory / "anchor.json").read_bytes()))
    replica.load_snapshot(snapshot["manifest"], snapshot["entries"], world.clock())


async def test_the_probes_answer(world: HubWorld) -> None:
    assert await get(world, "/healthz") == (200, {"status": "ok"})
    assert await get(world, "/readyz") == (200, {"status": "ready"})


async def test_a_hub_whose_store_is_gone_is_not_ready_but_alive(world: HubWorld) -> None:
    async with world.hub.store._engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE feed_state")
    assert await get(world, "/healthz") == (200, {"status": "ok"})
    assert await get(world, "/readyz") == (503, {"status": "not ready"})


async def test_the_metrics_show_counts_and_no_name(world: HubWorld) -> None:
    async with world.operator_tokens() as tokens:
        await tokens.token("registry.read")
    await get(world, "/no-such-path-of-a-person")
    async with world.session() as session, session.get(f"{world.url}/metrics") as response:
        text = await response.text()
    assert 'hutong_members{kind="OPERATOR",state="ACTIVE"} 1.0' in text
    assert "hutong_feed_sequence 0.0" in text
    assert "hutong_sightings_total 0.0" in text
    assert "hutong_status_adapters 0.0" in text
    assert 'hutong_http_responses_total{route="/oauth2/token",status="200"} 1.0' in text
    assert 'hutong_http_responses_total{route="none",status="404"} 1.0' in text
    assert OPERATOR not in text
    assert "person" not in text


async def test_a_path_that_is_not_there_and_a_method_that_is_not_allowed(world: HubWorld) -> None:
    assert await get(world, "/nope?x=1") == (
        404,
        {"error": "NOT_FOUND", "error_description": "Not Found"},
    )
    status, body = await get(world, "/oauth2/token")
    assert (status, body["error"]) == (405, "METHOD_NOT_ALLOWED")
    async with asking(world) as session, session.delete(f"{world.url}/healthz") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
        assert (await response.json())["error"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("data", "headers", "status", "error"),
    [
        pytest.param(b"", FORM, 400, "unsupported_grant_type", id="empty"),
        pytest.param(
            b"{}", {"Content-Type": "application/json"}, 400, "invalid_request", id="json"
        ),
        pytest.param(b"x", {"Content-Type": "text/plain"}, 400, "invalid_request", id="text"),
        pytest.param(
            b"grant_type=a&grant_type=b", FORM, 400, "invalid_request", id="parameter twice"
        ),
        pytest.param(b"x" * (MAX_BODY_BYTES + 1), FORM, 413, "MESSAGE_TOO_LARGE", id="too large"),
        pytest.param(b"grant_type=%ff%fe", FORM, 400, None, id="not utf-8"),
        pytest.param(
            b"grant_type=x",
            {"Content-Type": "application/x-www-form-urlencoded; charset=no-such"},
            400,
            None,
            id="unknown charset",
        ),
        pytest.param(
            b"grant_type=client_credentials", FORM, 400, "invalid_client", id="no assertion"
        ),
    ],
)
async def test_bad_token_requests_get_json_and_no_text_of_ours(
    world: HubWorld, data: bytes, headers: dict[str, str], status: int, error: str | None
) -> None:
    got, body = await post(world, data, headers)
    assert got in {status, 401}
    assert {"error"} <= set(body) <= {"error", "error_description"}
    if error is not None:
        assert body["error"] == error
    assert "Traceback" not in str(body)
    assert "Error(" not in str(body)


async def test_token_answers_are_never_cached(world: HubWorld) -> None:
    async with (
        asking(world) as session,
        session.post(f"{world.url}/oauth2/token", data=b"", headers=FORM) as response,
    ):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_client_that_fetches_too_many_tokens_is_told_to_slow_down(
    tmp_path: Path,
) -> None:
    async with hub_world(tmp_path):
        pass
    path = tmp_path / "hub.toml"
    path.write_text(path.read_text() + "[tokens]\ntokens_per_minute = 2\n")
    async with hub_world(tmp_path) as world, world.operator_tokens() as tokens:
        for _ in range(2):
            await tokens.token("registry.read")
            tokens.forget("registry.read")
        with pytest.raises(TokenError) as caught:
            await tokens.token("registry.read")
        assert caught.value.code == "OVERLOADED"
        assert caught.value.retry_after_seconds == 60


async def test_an_address_that_asks_too_often_is_told_to_slow_down(tmp_path: Path) -> None:
    async with hub_world(tmp_path):
        pass
    path = tmp_path / "hub.toml"
    text = path.read_text()
    path.write_text(text.replace("[http]", "[http]\nrequests_per_minute = 3"))
    async with hub_world(tmp_path) as world:
        statuses = [(await post(world, b"grant_type=x"))[0] for _ in range(4)]
        assert statuses == [400, 400, 400, 429]


async def test_a_body_that_never_arrives_holds_nobody_up(world: HubWorld) -> None:
    context = ssl.create_default_context(cadata=world.ca_pem.decode())
    reader, writer = await asyncio.open_connection(
        "localhost", world.hub.http_port, ssl=context, server_hostname="localhost"
    )
    writer.write(
        b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    await writer.drain()
    assert await get(world, "/healthz") == (200, {"status": "ok"})
    await _closed(writer)
    assert await reader.read() == b""


@pytest.mark.parametrize(
    "line", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost", b"\x00\x01\x02\r\n\r\n"]
)
async def test_what_is_not_http_gets_no_text_of_ours(world: HubWorld, line: bytes) -> None:
    context = ssl.create_default_context(cadata=world.ca_pem.decode())
    reader, writer = await asyncio.open_connection(
        "localhost", world.hub.http_port, ssl=context, server_hostname="localhost"
    )
    writer.write(line)
    await writer.drain()
    if line.endswith(b"\r\n\r\n"):
        answer = await reader.read(4096)
        assert b"Traceback" not in answer
        assert b"gateway/" not in answer
    await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class Broken:
    """A feed that fails, with a text that must not leave."""

    def snapshot_json(self) -> bytes:
        raise RuntimeError("110101199001011234 synthetic secret")


async def no_list(digest: str) -> bytes | None:
    return None


@asynccontextmanager
async def bare_door(tmp_path: Path) -> AsyncIterator[tuple[HttpDoor, HubWorld]]:
    async with hub_world(tmp_path) as world:

        async def is_ready() -> bool:
            return True

        door = HttpDoor(
            HttpSettings(port=0),
            world.settings.tls,
            tokens_per_minute=10,
            jwks=world.hub.feed.jwks,
            snapshots=Broken(),
            status_lists=no_list,
            is_ready=is_ready,
            registry=CollectorRegistry(),
        )
        await door.bind()
        yield door, world
        await door.close()


async def test_an_unexpected_failure_leaves_as_an_incident_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with bare_door(tmp_path) as (door, world):
        url = f"https://localhost:{door.port}/v1/feed/snapshot"
        async with asking(world) as session, session.get(url) as response:
            assert response.status == 500
            body = await response.json()
    assert body["error"] == "INTERNAL"
    assert body["error_description"].startswith("incident ")
    assert "secret" not in json.dumps(body)


async def test_a_door_that_is_not_open_yet_says_so(tmp_path: Path) -> None:
    async with bare_door(tmp_path) as (door, world):
        url = f"https://localhost:{door.port}"
        async with asking(world) as session:
            async with session.post(f"{url}/oauth2/token", data=b"a=b", headers=FORM) as response:
                assert response.status == 503
            async with session.get(f"{url}/readyz") as response:
                assert response.status == 503


async def test_tls_files_that_do_not_load_are_named(tmp_path: Path) -> None:
    async def is_ready() -> bool:
        return True

    (tmp_path / "x.pem").write_text("not a certificate")
    door = HttpDoor(
        HttpSettings(port=0),
        TlsSettings(certificate=tmp_path / "x.pem", key=tmp_path / "x.pem"),
        tokens_per_minute=10,
        jwks={"keys": []},
        snapshots=Broken(),
        status_lists=no_list,
        is_ready=is_ready,
        registry=CollectorRegistry(),
    )
    with pytest.raises(HubSetupError) as caught:
        await door.bind()
    assert "x.pem" in str(caught.value)
