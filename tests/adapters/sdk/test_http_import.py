"""The import door of a platform that speaks HTTP and JSON, as YAML describes it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.sdk import (
    AdapterConfigError,
    Deadline,
    Imported,
    Importer,
    ImportOrder,
    OutcomeReport,
    UpstreamReply,
    open_connector,
)
from adapters.sdk.connectors import read_connector
from adapters.sdk.http_import import ImportingHttpConnector
from gateway.codes.conversion import ImportRefusal
from gateway.codes.documents import Document, DocumentType
from gateway.codes.levels import Level, Outcome, TriState
from gateway.codes.schemes import SchemeError, load_scheme
from gateway.codes.unified import Declarations
from gateway.codes.yamldoc import parse_yaml
from tests.adapters.sdk.adapter_world import CONNECTOR
from tests.adapters.sdk.import_world import NAME, NOW, PERSON
from tests.codes.scheme_samples import SCHEME, VECTORS

DOOR = """\
      import:
        method: POST
        path: /import
        send: json
        idempotent: true
        document_types: {10: "1"}
        times: "%Y-%m-%d %H:%M:%S"
        fields:
          head: {token: "{secret:token}", at: "{unix_s}"}
          body:
            {type: "{document_type}", number: "{number}", name: "{name}", from: "{origin}",
             level: "{level}", colour: "{state}", since: "{assessed_at}",
             test: "{negative_test}", until: "{valid_until}", ref: "{reference}"}
        answer:
          json_strings: [data]
          code:
            - {path: code, ok: ["0"]}
            - {path: data.code, ok: [ok], own_record: [held]}
          own_record_statuses: ["409"]
          qr_text: data.qr
          valid_until: {path: data.until, time: unix_s}
"""
WITH_DOOR = CONNECTOR.replace("    answer:\n", DOOR + "    answer:\n", 1)

ORDER = ImportOrder(
    reference="R" * 43,
    document=PERSON,
    name=NAME,
    declarations=Declarations(TriState.NO, TriState.NO, TriState.NO),
    origin="440100",
    level=Level.GREEN,
    state="绿码",
    assessed_at=datetime(2020, 4, 1, 4, tzinfo=UTC),
    negative_test_at=datetime(2020, 3, 30, 16, 30, tzinfo=UTC),
    valid_until=datetime(2020, 4, 2, 4, tzinfo=UTC),
)


class Line:
    """An upstream that says one answer and remembers what was asked."""

    def __init__(self, answer: Any, status: int = 200) -> None:
        self.reply: Any = answer
        if not isinstance(answer, OutcomeReport):
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.reply = UpstreamReply(status, body)
        self.sent: dict[str, Any] = {}

    async def request(self, method: str, path: str, **sent: Any) -> Any:
        self.sent = {"method": method, "path": path, **sent}
        return self.reply

    async def close(self) -> None:
        pass


def connector(line: Line, text: str = WITH_DOOR) -> Any:
    scheme = load_scheme((SCHEME + text).encode(), vectors=VECTORS.encode())
    return open_connector(
        scheme,
        upstream=line,  # type: ignore[arg-type]  # says one answer, without a network
        secrets={"token": "synthetic-token"},
        now=lambda: NOW,
    )


def said(**inner: Any) -> dict[str, Any]:
    return {"code": 0, "data": json.dumps({"code": "ok", "qr": "https://x/1", **inner})}


async def entered(line: Line, order: ImportOrder = ORDER, text: str = WITH_DOOR) -> Any:
    return await connector(line, text).import_code(order, Deadline.after(1))


@pytest.mark.asyncio
async def test_the_door_is_told_all_of_the_order_in_the_platforms_own_words() -> None:
    line = Line(said(until=1585800000))
    result = await entered(line)
    assert result == Imported("https://x/1", datetime(2020, 4, 2, 4, tzinfo=UTC))
    assert (line.sent["method"], line.sent["path"]) == ("POST", "/import")
    assert line.sent["idempotent"] is True
    assert line.sent["headers"] == {"X-Token": "synthetic-token"}
    assert line.sent["json"] == {
        "head": {"token": "synthetic-token", "at": str(int(NOW.timestamp()))},
        "body": {
            "type": "1",
            "number": PERSON.number,
            "name": NAME,
            "from": "440100",
            "level": "GREEN",
            "colour": "绿码",
            "since": "2020-04-01 12:00:00",
            "test": "2020-03-31 00:30:00",
            "until": "2020-04-02 12:00:00",
            "ref": "R" * 43,
        },
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("times", "test"),
    [
        ("unix_s", "1585585800"),
        ("unix_ms", "1585585800000"),
        ("iso", "2020-03-31T00:30:00+08:00"),
        ('"%Y%m%d"\n        zone: UTC', "20200330"),
    ],
)
async def test_moments_are_written_as_the_platform_wants_them(times: str, test: str) -> None:
    line = Line(said(until=1585800000))
    await entered(line, text=WITH_DOOR.replace('"%Y-%m-%d %H:%M:%S"', times))
    assert line.sent["json"]["body"]["test"] == test


@pytest.mark.asyncio
async def test_what_the_origin_does_not_state_is_sent_empty() -> None:
    line = Line(said(until=1585800000))
    await entered(line, replace(ORDER, negative_test_at=None))
    assert line.sent["json"]["body"]["test"] == ""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "status"),
    [({"code": 0, "data": '{"code": "held"}'}, 200), (b"conflict", 409)],
)
async def test_the_door_says_that_a_record_stands_against_it(answer: Any, status: int) -> None:
    line = Line(answer, status)
    assert await entered(line) is ImportRefusal.OWN_RECORD
    assert list(line.sent["accept"]) == [409]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        {"code": 1, "data": json.dumps({"code": "ok", "qr": "https://x/1"})},
        {"code": 0, "data": json.dumps({"code": "other", "qr": "https://x/1"})},
        {"code": 0, "data": json.dumps({"qr": "https://x/1"})},
        {"code": 0, "data": {"code": "ok", "qr": "https://x/1"}},
        {"code": 0, "data": "ok"},
        {"code": 0},
        said(qr=None, until=1585800000),
        said(qr="", until=1585800000),
        said(qr=7, until=1585800000),
        said(),
        said(until="tomorrow"),
        said(until=None),
        b"not JSON",
        b"",
        b"[]",
    ],
)
async def test_what_does_not_say_that_it_was_entered_was_not(answer: Any) -> None:
    assert await entered(Line(answer)) == OutcomeReport(Outcome.SOURCE_UNPARSABLE)


@pytest.mark.asyncio
async def test_a_line_that_fails_is_its_outcome_and_an_unknown_document_is_not_asked() -> None:
    busy = OutcomeReport(Outcome.SOURCE_BUSY, 5)
    assert await entered(Line(busy)) == busy
    line = Line(said())
    passport = replace(ORDER, document=Document(DocumentType.PASSPORT, "E12345678"))
    assert await entered(line, passport) == OutcomeReport(Outcome.NOT_FOUND)
    assert not line.sent


def test_a_connector_is_an_importer_exactly_where_it_describes_a_door() -> None:
    assert isinstance(connector(Line({})), Importer)
    plain = connector(Line({}), CONNECTOR)
    assert not isinstance(plain, Importer)
    form = read_connector(parse_yaml((SCHEME + CONNECTOR).encode(), max_bytes=99_999))
    with pytest.raises(AdapterConfigError, match="no `import`"):
        ImportingHttpConnector(form.http, scheme=None, upstream=None, secrets={}, now=None)  # type: ignore[arg-type]  # refused before any is used


CHANGES = [
    ("path: /import", "path: import", "is not a path that begins with /"),
    ("{origin}", "{text}", "has an unknown placeholder"),
    ("{document_type}", "{type}", "has an unknown placeholder"),
    ("{secret:token}", "{secret}", "has an unknown placeholder"),
    ("          qr_text: data.qr\n", "", "`qr_text` is missing"),
    ('ok: ["0"]}', "ok: []}", "is not a list of 1 to 256 items"),
    ('["409"]', "[409]", "is not text"),
    ('["409"]', '["999"]', "is not a quoted HTTP status"),
    ("own_record: [held]", "own: [held]", "is not a known member"),
    ("{path: data.until, time: unix_s}", "{path: data.until}", "`time` is missing"),
    ('send: json\n        idempotent: true\n        document_types: {10: "1"}\n        times',
     'send: form\n        idempotent: true\n        document_types: {10: "1"}\n        times',
     "only a JSON body can"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_one_wrong_member_of_a_door_is_named_with_its_line(
    old: str, new: str, expected: str
) -> None:
    at = WITH_DOOR.index("      import:")
    text = WITH_DOOR[:at] + WITH_DOOR[at:].replace(old, new, 1)
    assert text != WITH_DOOR
    with pytest.raises(SchemeError) as caught:
        read_connector(parse_yaml((SCHEME + text).encode(), max_bytes=99_999))
    found = [str(problem) for problem in caught.value.problems]
    assert any(expected in problem and problem.startswith("line ") for problem in found), found


def test_a_door_without_an_answer_is_refused() -> None:
    text = (
        WITH_DOOR[: WITH_DOOR.index("        answer:\n          json_strings")]
        + (WITH_DOOR[WITH_DOOR.index("    answer:\n      statuses") :])
    )
    with pytest.raises(SchemeError) as caught:
        read_connector(parse_yaml((SCHEME + text).encode(), max_bytes=99_999))
    assert any("`answer` is missing" in str(problem) for problem in caught.value.problems)


def test_nothing_of_an_order_shows_in_its_repr() -> None:
    text = repr(ORDER) + repr(Imported("https://x/1"))
    for secret in (PERSON.number, NAME, "绿码", "https://x/1", "GREEN"):
        assert secret not in text
