"""The hub's HTTP door under bad input: the reason, no change, nothing repeated."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.attestation import base64url
from gateway.hub.keys import load_signing_key
from tests.doors.hub_door import MARKER, MARKER_WORD, Door, hub_door
from tests.hub.hub_world import HUB, OPERATOR

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.attestation.keys import SigningKey

pytestmark = pytest.mark.asyncio

FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def post(
    door: Door, body: bytes, content_type: str = FORM, **headers: str
) -> tuple[int, Any]:
    async with (
        door.world.session() as session,
        session.post(
            f"{door.world.url}/oauth2/token",
            data=body,
            headers={"Content-Type": content_type} | headers,
        ) as response,
    ):
        text = await response.text()
        door.assert_silent(text, dict(response.headers))
        return response.status, json.loads(text)


async def raw(door: Door, data: bytes) -> bytes:
    context = ssl.create_default_context(cadata=door.world.ca_pem.decode())
    reader, writer = await asyncio.open_connection(
        "localhost", door.world.hub.http_port, ssl=context
    )
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.read(8192)
    finally:
        writer.close()


def sign(key: SigningKey, payload: bytes, **header: Any) -> str:
    head = json.dumps({"alg": "ES256", "typ": "JWT", "kid": key.key_id} | header).encode()
    signed = f"{base64url.encode(head)}.{base64url.encode(payload)}"
    private: Any = key.private
    r, s = utils.decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{base64url.encode(r.to_bytes(32) + s.to_bytes(32))}"


def form(assertion: str, **more: str) -> bytes:
    members = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    return urlencode(members | more).encode("utf-8", "surrogatepass")


def claims(**changes: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    good = {"iss": OPERATOR, "sub": OPERATOR, "aud": HUB, "exp": now + 60, "jti": "synthetic-1"}
    return good | changes


async def test_bodies_that_are_no_form_are_refused_with_400_and_change_nothing(
    tmp_path: Path,
) -> None:
    planted = f"client_id={MARKER}&scope={MARKER_WORD}".encode()
    async with hub_door(tmp_path) as door:
        before = await door.state()
        cases: list[tuple[bytes, str, dict[str, str]]] = [
            (planted, f"{FORM}; charset=no-such", {}),
            (planted, f"{FORM}; charset=zlib_codec", {}),
            (planted + b"\x80", f"{FORM}; charset=undefined", {}),
            (planted, FORM, {"Content-Encoding": "gzip"}),
            (planted, "multipart/form-data; boundary=x", {}),
            (planted + b"&scope=twice", FORM, {}),
            (f'{{"client_id": "{MARKER}"}}'.encode(), "application/json", {}),
        ]
        for body, content_type, headers in cases:
            status, answer = await post(door, body, content_type, **headers)
            assert (status, answer["error"]) == (400, "invalid_request"), (content_type, headers)
        status, _ = await post(door, gzip.compress(planted)[:-6], **{"Content-Encoding": "gzip"})
        assert status == 400
        for bomb in (b"a=" + b"x" * 20_000, gzip.compress(b"a=" + b"x" * 20_000_000)):
            packed = {} if bomb.startswith(b"a=") else {"Content-Encoding": "gzip"}
            status, answer = await post(door, bomb, **packed)
            assert (status, answer["error"]) == (413, "MESSAGE_TOO_LARGE")
        assert await door.state() == before
        door.assert_silent()


async def test_an_assertion_with_two_readings_or_an_id_no_store_keeps_is_refused(
    tmp_path: Path,
) -> None:
    async with hub_door(tmp_path) as door:
        key = load_signing_key(tmp_path / "operator/key.json")
        before = await door.state()
        good = json.dumps(claims())
        twice = good[:-1] + f', "jti": "{MARKER_WORD}"}}'
        deep = good[:-1] + ', "x": ' + "[" * 1400 + "]" * 1400 + "}"
        payloads = [
            twice.encode(),
            deep.encode(),
            good.encode("utf-16"),
            good.encode()[:-1],
            *(
                json.dumps(claims(**change)).encode()
                for change in (
                    {"jti": "a\0b"},
                    {"jti": "\ud800"},
                    {"iss": MARKER_WORD},
                    {"aud": "urn:hutong:hub:330000"},
                    {"exp": claims()["exp"] - 3600},
                    {"nbf": claims()["exp"] + 3600},
                )
            ),
        ]
        for payload in payloads:
            status, answer = await post(door, form(sign(key, payload)))
            assert (status, answer["error"]) == (400, "invalid_client"), payload[:200]
        for header in ({"crit": ["exp"]}, {"alg": "none"}, {"b64": False, "crit": ["b64"]}):
            status, answer = await post(door, form(sign(key, good.encode(), **header)))
            assert (status, answer["error"]) == (400, "invalid_client"), header
        assert await door.state() == before
        door.assert_silent()
        status, _ = await post(door, form(sign(key, good.encode())))
        assert status == 200


_HEADS = {
    "malformed": f"{MARKER} nonsense\r\n\r\n".encode(),
    "unknown method": f"{MARKER_WORD.upper()} / HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "unknown version": f"GET /{MARKER} HTTP/9.9\r\n\r\n".encode(),
    "wrong encoding": b"GET /" + MARKER.encode() + b"\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad address": f"GET http://{MARKER_WORD}:bad/ HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "bad header": f"GET / HTTP/1.1\r\n{MARKER_WORD} : x\r\n\r\n".encode(),
    "zero in a header": f"GET / HTTP/1.1\r\nX: {MARKER}\0\r\n\r\n".encode(),
    "oversized line": f"GET /{MARKER * 600} HTTP/1.1\r\n\r\n".encode(),
    "oversized header": f"GET / HTTP/1.1\r\nHost: x\r\nX: {MARKER * 600}\r\n\r\n".encode(),
    "bad length": f"POST /oauth2/token HTTP/1.1\r\nContent-Length: {MARKER_WORD}\r\n\r\n".encode(),
    "bad chunk": (
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: {FORM}\r\n\r\n{MARKER_WORD}\r\n"
    ).encode(),
    "unknown expectation": (
        f"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nExpect: {MARKER_WORD}\r\n"
        "Content-Length: 1\r\n\r\nx"
    ).encode(),
    "unknown packing": (
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Encoding: br\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: 3\r\n\r\nabc"
    ).encode(),
}


async def test_what_is_no_http_is_refused_as_json_and_not_repeated(tmp_path: Path) -> None:
    async with hub_door(tmp_path) as door:
        before = await door.state()
        for fault, data in _HEADS.items():
            head, _, body = (await raw(door, data)).partition(b"\r\n\r\n")
            door.assert_silent(head, body)
            assert b" 4" in head.splitlines()[0], (fault, head)
            assert json.loads(body)["error"] in {"INVALID_REQUEST", "invalid_request"}, fault
        assert await door.state() == before


async def test_any_body_under_any_headers_is_answered_below_500(tmp_path: Path) -> None:
    texts = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
    types = st.sampled_from([FORM, "", "text/plain", f"{FORM}; charset=utf-7"]) | texts

    async with hub_door(tmp_path) as door:
        loop = asyncio.get_running_loop()

        @given(
            body=st.binary(max_size=200)
            | st.dictionaries(
                st.sampled_from(["grant_type", "scope", "client_id", "client_assertion"])
                | st.text(max_size=5),
                st.sampled_from(["client_credentials", ASSERTION_TYPE, "a.b.c"]) | st.text(),
                max_size=4,
            ).map(lambda form: urlencode(form, errors="replace").encode()),
            content_type=types,
            encoding=st.sampled_from(["", "gzip", "deflate", "identity", "x"]),
        )
        @settings(
            max_examples=60,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        def tried(body: bytes, content_type: str, encoding: str) -> None:
            headers = {"Content-Encoding": encoding} if encoding else {}
            future = asyncio.run_coroutine_threadsafe(
                post(door, body, content_type.strip(), **headers), loop
            )
            status, answer = future.result(10)
            assert 400 <= status < 500
            assert set(answer) <= {"error", "error_description"}

        await asyncio.to_thread(tried)
