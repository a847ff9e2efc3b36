from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sdk import (
    AdapterConfigError,
    ConnectorContext,
    Deadline,
    Document,
    LocalReport,
    OutcomeReport,
    QrText,
    Reports,
    Upstream,
    UpstreamSettings,
    open_connector,
)
from adapters.sdk.connectors import read_connector
from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import read_answer
from adapters.sdk.http_connector import HttpConnector
from gateway.codes.documents import DocumentType
from gateway.codes.levels import Outcome
from gateway.codes.schemes import SchemeError, load_scheme
from gateway.codes.yamldoc import parse_yaml
from tests.adapters.sdk.adapter_world import CONNECTOR, NOW, PERSON
from tests.codes.scheme_samples import SCHEME, VECTORS

QR = "https://code.example/?id=0123456789abcdef0123456789abcdef"


def scheme_with(connector: str) -> Any:
    return load_scheme((SCHEME + connector).encode(), vectors=VECTORS.encode())


def problems(connector: str) -> list[str]:
    with pytest.raises(SchemeError) as caught:
        read_connector(parse_yaml((SCHEME + connector).encode(), max_bytes=99_999))
    first = SCHEME.count("\n")
    assert all(problem.line > first for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


CHANGES = [
    ("http:", "htpp:", "neither python nor http"),
    ("http:", "python: a.b:C\n  http:", "neither python nor http, or both"),
    ("kind: header", "kind: magic", "is not one of the known words"),
    ("secret: token", "geheim: token", "is not a known member"),
    ("method: POST", "method: PUT", "is not one of the known words"),
    ("path: /query", "path: query", "is not a path that begins with /"),
    ("send: json", "send: xml", "is not one of the known words"),
    ("method: POST", "method: GET", "sends a body with GET"),
    ("{number}", "{text}", "has an unknown placeholder"),
    ("{number}", "{secret}", "has an unknown placeholder"),
    ("{404: NOT_FOUND}", "{404: GREEN}", "is not one of the known words"),
    ('ok: ["0"]', "ok: []", "is not a list of 1 to 256 items"),
    ("        state: {path: state}\n", "", "`state` is missing"),
    ("state: {path: state}", "state: {path: state, value: 绿码}", "has a path and a value"),
    ("source_at: {path: at", "source_at: {zone: Mars, path: at", "is not UTC"),
    ("assessed_at: {path: at, time:", "assessed_at: {path: at, tiem:", "is not a known member"),
    ("records: data", "records: data..x", "is not a path"),
    ("    ask:", "    aks:", "`ask` is missing"),
]


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_one_wrong_member_of_a_connector_is_named_with_its_line(
    old: str, new: str, expected: str
) -> None:
    assert old in CONNECTOR
    found = problems(CONNECTOR.replace(old, new, 1))
    assert any(expected in problem for problem in found), found


def test_a_scheme_without_a_connector_says_so() -> None:
    with pytest.raises(SchemeError, match="no connector"):
        read_connector(parse_yaml(SCHEME.encode(), max_bytes=99_999))


class ExampleConnector:
    def __init__(self, context: ConnectorContext) -> None:
        self.context = context

    async def fetch(self, presentation: object, deadline: object) -> Reports:
        return Reports(())

    async def close(self) -> None:
        pass


def test_a_python_connector_is_made_with_its_context() -> None:
    connector = (
        "connector:\n  python: tests.adapters.sdk.test_connectors:ExampleConnector\n"
        "  options: {channel: provincial}\n"
    )
    scheme = scheme_with(connector)
    upstream = Upstream(UpstreamSettings(url="https://platform.example"))
    made = open_connector(scheme, upstream=upstream, secrets={"a": "b"}, now=lambda: NOW)
    assert type(made).__name__ == "ExampleConnector"
    context = made.context  # type: ignore[attr-defined]  # looks inside
    assert context.options == {"channel": "provincial"}
    assert "b" not in repr(context).split("secrets")[0].split("'")
    missing = scheme_with("connector: {python: 'no.such:Thing'}\n")
    with pytest.raises(AdapterConfigError, match="cannot be imported"):
        open_connector(missing, upstream=upstream, secrets={}, now=lambda: NOW)


@pytest.mark.parametrize(
    "url", ["platform.example", "ftp://platform.example", "http://platform.example", "https://"]
)
def test_an_address_that_is_none_or_is_in_clear_is_refused(url: str) -> None:
    with pytest.raises(AdapterConfigError):
        Upstream(UpstreamSettings(url=url))


async def ask(
    connector: str, presentation: Any, answer: Any, *, secrets: dict[str, str]
) -> tuple[Any, web.Request, dict[str, Any]]:
    """Ask over a real socket; return what came, the request and its fields."""
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        text = await request.text()
        if request.method == "GET":
            fields = dict(request.query)
        elif request.content_type == "application/json":
            fields = json.loads(text)
        else:
            fields = dict(await request.post())
        seen.extend([request, fields])
        return web.json_response(answer)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    running = web.AppRunner(app, shutdown_timeout=0.1)
    await running.setup()
    await web.TCPSite(running, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{running.addresses[0][1]}"
    made = open_connector(
        scheme_with(connector),
        upstream=Upstream(UpstreamSettings(url=url)),
        secrets=secrets,
        now=lambda: NOW,
    )
    try:
        fetched = await made.fetch(presentation, Deadline.after(5))
    finally:
        await made.close()
        await running.cleanup()
    return (fetched, *(seen or [None, {}]))


DOCUMENT = Document(DocumentType.RESIDENT_IDENTITY_CARD, PERSON)

SIGNED = CONNECTOR.replace(
    "auth: {kind: header, name: X-Token, secret: token}",
    """auth:
      kind: signed
      fields: {appId: "{secret:app}", ts: "{unix_ms}"}
      algorithm: hmac-sha256
      key: key
      over: "{sorted}&path={field:appId}"
      sign: sign
      upper: true""",
)


@pytest.mark.asyncio
async def test_a_signed_request_carries_the_signature_the_description_names() -> None:
    secrets = {"app": "synthetic-app", "key": "synthetic-key"}
    _, _, fields = await ask(SIGNED, DOCUMENT, {"code": "0"}, secrets=secrets)
    stamp = str(int(NOW.timestamp() * 1000))
    over = f"appId=synthetic-app&number={PERSON}&ts={stamp}&type=1&path=synthetic-app"
    expected = hmac.new(b"synthetic-key", over.encode(), hashlib.sha256).hexdigest().upper()
    assert fields == {
        "type": "1", "number": PERSON, "appId": "synthetic-app", "ts": stamp, "sign": expected,
    }  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
async def test_a_plain_digest_signs_where_the_platform_wants_one(algorithm: str) -> None:
    connector = SIGNED.replace("hmac-sha256", algorithm).replace("      key: key\n", "")
    connector = connector.replace("      upper: true", "").replace("{field:appId}", "{secret:app}")
    _, _, fields = await ask(connector, DOCUMENT, {"code": "0"}, secrets={"app": "x"})
    stamp = str(int(NOW.timestamp() * 1000))
    over = f"appId=x&number={PERSON}&ts={stamp}&type=1&path=x"
    assert fields["sign"] == hashlib.new(algorithm, over.encode()).hexdigest()


@pytest.mark.asyncio
async def test_basic_and_form_are_sent_as_described() -> None:
    connector = CONNECTOR.replace(
        "{kind: header, name: X-Token, secret: token}",
        "{kind: basic, user: user, secret: password}",
    ).replace("send: json", "send: form")
    secrets = {"user": "synthetic", "password": "pass:word"}
    _, request, fields = await ask(connector, DOCUMENT, {"code": "0"}, secrets=secrets)
    assert base64.b64decode(request.headers["Authorization"].split()[1]) == b"synthetic:pass:word"
    assert fields == {"type": "1", "number": PERSON}


@pytest.mark.asyncio
async def test_a_group_of_the_schemes_pattern_can_be_asked_instead_of_the_text() -> None:
    scheme = SCHEME.replace("id=[0-9a-f]{32}$", "id=(?P<id>[0-9a-f]{32})$")
    connector = CONNECTOR.replace('{code: "{text}"}', '{code: "{group:id}", n: "{nonce}"}')
    assert scheme != SCHEME

    made = load_scheme((scheme + connector).encode(), vectors=VECTORS.encode())
    asked: dict[str, str] = {}

    class Recording:
        async def request(self, method: str, path: str, **sent: Any) -> OutcomeReport:
            asked.update(sent["params"], path=path)
            return OutcomeReport(Outcome.NOT_FOUND)

        async def close(self) -> None:
            pass

    spec = read_connector(parse_yaml((scheme + connector).encode(), max_bytes=99_999)).http
    assert spec is not None
    reader = HttpConnector(
        spec,
        scheme=made,
        upstream=Recording(),  # type: ignore[arg-type]  # wrong on purpose, or built loosely
        secrets={"token": "t"},
        now=lambda: NOW,
    )
    await reader.fetch(QrText(QR), Deadline.after(1))
    assert asked["code"] == "0123456789abcdef0123456789abcdef"
    assert len(asked["n"]) == 32


@pytest.mark.asyncio
async def test_a_document_type_the_platform_does_not_know_is_not_asked() -> None:
    passport = Document(DocumentType.PASSPORT, "E12345678")
    fetched, request, _ = await ask(CONNECTOR, passport, {}, secrets={"token": "t"})
    assert fetched == OutcomeReport(Outcome.NOT_FOUND)
    assert request is None


@pytest.mark.asyncio
async def test_a_kind_of_presentation_that_is_not_described_is_not_asked() -> None:
    connector = (
        CONNECTOR[: CONNECTOR.index("      qr_text:")]
        + (CONNECTOR[CONNECTOR.index("    answer:") :])
    )
    fetched, request, _ = await ask(connector, QrText(QR), {}, secrets={"token": "t"})
    assert fetched == OutcomeReport(Outcome.NOT_FOUND)
    assert request is None


NESTED = CONNECTOR.replace(
    "records: data",
    """json_strings: [datas]
      flags:
        - {path: datas.qrcode_expired, is: true, outcome: CODE_EXPIRED}
        - {path: datas.form, is: 2, outcome: HOLDER_MUST_UPDATE}
      records: datas.data""",
).replace('at, time: "%Y%m%d%H%M%S"}', "at, time: unix_ms}", 1)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ({"qrcode_expired": True, "data": None}, Outcome.CODE_EXPIRED),
        ({"form": 2, "data": []}, Outcome.HOLDER_MUST_UPDATE),
        ({"form": True, "qrcode_expired": 1, "data": []}, Outcome.NOT_FOUND),
    ],
)
async def test_json_inside_json_and_flags_are_read(inner: Any, expected: Outcome) -> None:
    answer = {"code": 0, "datas": json.dumps(inner)}
    fetched, _, _ = await ask(NESTED, DOCUMENT, answer, secrets={"token": "t"})
    assert fetched == OutcomeReport(expected)


@pytest.mark.asyncio
async def test_times_are_read_in_the_zone_the_scheme_names() -> None:
    record = {"number": "n", "state": "绿码", "city": "杭州市", "at": 1583020800000, "why": None}
    connector = NESTED.replace('time: "%Y%m%d%H%M%S"}', "time: unix_ms}")
    answer = {"code": 0, "datas": json.dumps({"data": record})}
    fetched, _, _ = await ask(connector, DOCUMENT, answer, secrets={"token": "t"})
    assert isinstance(fetched, Reports)
    assert fetched.reports[0].assessed_at == datetime(2020, 3, 1, tzinfo=UTC)
    local, _, _ = await ask(
        CONNECTOR,
        DOCUMENT,
        {"code": "0", "data": [{**record, "at": "20200301080000"}]},
        secrets={"token": "t"},
    )
    assert local.reports[0].assessed_at == datetime(2020, 3, 1, tzinfo=UTC)


SPEC = read_connector(parse_yaml((SCHEME + CONNECTOR).encode(), max_bytes=99_999)).http
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["绿码", "0", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "data", "state", "city", "at", "number", "why"]),
            inner,
            max_size=7,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_any_body_is_reports_or_an_outcome_or_unreadable(body: bytes) -> None:
    assert SPEC is not None
    try:
        fetched = read_answer(SPEC, body, ZoneInfo("Asia/Shanghai"))
    except UnreadableError:
        return
    assert isinstance(fetched, Reports | OutcomeReport)
    if isinstance(fetched, Reports):
        assert fetched.reports
        assert all(isinstance(report, LocalReport) for report in fetched.reports)
        assert all(report.assessed_at.tzinfo for report in fetched.reports if report.assessed_at)
