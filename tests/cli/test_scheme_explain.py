"""A saved reply is explained with the code that reads it in service, and nothing of it leaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from adapters.platforms import CREDENTIALS, platform
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import QrText, Upstream, UpstreamReply
from gateway.cli.scheme_files import read_scheme_folder, shipped_folders
from gateway.cli.scheme_mask import shape, shown, shown_key
from gateway.cli.scheme_reply import explain_reply
from gateway.cli.scheme_trace import trace_record
from gateway.cli.terminal import Exit
from tests.adapters.platforms.support import Clock
from tests.adapters.platforms.test_every_city import (
    CITIES,
    final,
    moments,
    open_city,
    presentations,
    words,
)
from tests.cli.scheme_city import SCHEME, line_of, run, write_city

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.schemes.support import City

AT = ("--at", "2021-03-01T12:00:00+08:00")
SECRETS = ("测试甲乙丙", "330600210001010014", "10000000017", "某人的原文", "0000f00d")


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return write_city(tmp_path / "example")


def record(**changed: Any) -> dict[str, Any]:
    return {
        "colour": "R",
        "city": "330600",
        "at": "2021-03-01 08:00:00",
        "changed": "2021-03-01 08:00:00",
        "why": "与某人的原文密切接触",
        "holder": "测试甲乙丙",
        "idcard": "330600210001010014",
        "phone": "10000000017",
        "token": "0000f00d",
        **changed,
    }


def reply(*records: dict[str, Any], code: str = "0", **head: Any) -> bytes:
    document = {"head": {"code": code, **head}, "body": {"list": list(records)}}
    return json.dumps(document, ensure_ascii=False).encode()


def explained(city: Path, body: bytes, *words: str) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what people read, what programs read; nothing personal in either."""
    printed = run("explain", city, "-", *(words or AT), stdin=body)
    document = run("explain", city, "-", *(words or AT), "--json", stdin=body)
    for secret in SECRETS:
        assert secret not in printed.output + document.output
    assert document.exit_code == printed.exit_code
    return printed.exit_code, printed.output, json.loads(document.stdout)


def test_a_red_record_is_traced_from_the_member_to_the_level(city: Path) -> None:
    code, text, found = explained(city, reply(record()))
    assert code == Exit.OK
    assert found["result"] == "RED"
    (members,) = found["members"]
    state = next(one for one in members if one["member"] == "state")
    assert (state["source"], state["value"]) == ("colour", "红码")
    assert state["line"] == line_of(SCHEME, "state: {path: colour")
    (trace,) = found["records"]
    assert trace["rule_line"] == line_of(SCHEME, "集中隔离") - 2
    assert trace["hints"] == [
        {"contains": "密切接触", "basis": ["CONTACT"], "line": line_of(SCHEME, "life: end_of") + 3},
    ]
    assert found["code"]["basis"] == ["CONTACT"]
    assert found["unread"] == [
        "body.list.holder",
        "body.list.idcard",
        "body.list.phone",
        "body.list.token",
    ]
    assert "✓ the code holds until 2021-03-02 00:00, in 12 h" in text
    assert "‹字" in text


def test_a_file_is_read_as_standard_input_is(city: Path, tmp_path: Path) -> None:
    (tmp_path / "reply.json").write_bytes(reply(record()))
    done = run("explain", city, "reply.json", *AT, "--json")
    assert json.loads(done.stdout)["result"] == "RED"
    assert run("explain", city, "missing.json").exit_code == Exit.COULD_NOT_RUN


@pytest.mark.parametrize(
    ("changed", "result", "because"),
    [
        (
            {"at": "2021-02-28 08:00:00"},
            "CODE_EXPIRED",
            "the code ended 2021-03-01 00:00, 12 h ago",
        ),
        ({"changed": "2021-02-28 11:59:59"}, "CANNOT_DETERMINE", "1 d may"),
        ({"at": "2021-03-01 12:02:00"}, "SOURCE_UNPARSABLE", "assessed_at lies 2 min ahead"),
        ({"at": None}, "SOURCE_UNPARSABLE", "assessed_at is missing"),
        ({"colour": "grey"}, "CANNOT_DETERMINE", "the scheme maps 灰码 to CANNOT_DETERMINE"),
        ({"city": "440100"}, "CANNOT_DETERMINE", "330600 signs for 3306 only"),
    ],
)
def test_the_reason_names_the_check_that_decides(
    changed: dict[str, Any], result: str, because: str, city: Path
) -> None:
    _, text, found = explained(city, reply(record(**changed)))
    assert found["result"] == result
    assert because in " ".join(found["because"])
    assert because in text


@pytest.mark.parametrize(
    ("body", "result", "because", "line"),
    [
        (reply(code="31"), "NOT_APPLIED", "head.code 31 is NOT_APPLIED", '"31": NOT_APPLIED'),
        (reply(expired=True), "CODE_EXPIRED", "head.expired True is CODE", "{path: head.expired"),
        (reply(code="77"), "SOURCE_UNPARSABLE", "a result code that", "path: head.code"),
        (reply(record(colour="测试甲乙丙")), "SOURCE_UNPARSABLE", "colour: a word", "path: colour"),
        (reply(record(at="March")), "SOURCE_UNPARSABLE", "at: a time in another", "{path: at,"),
        (b"<html>", "SOURCE_UNPARSABLE", "no JSON", ""),
        (reply(), "NOT_FOUND", "NOT_FOUND", ""),
    ],
)
def test_what_never_comes_to_a_record_names_the_line_that_reads_it(
    body: bytes, result: str, because: str, line: str, city: Path
) -> None:
    code, _, found = explained(city, body)
    assert found["result"] == result
    assert code == (Exit.NEGATIVE if result == "SOURCE_UNPARSABLE" else Exit.OK)
    assert because in found["because"][0]
    if line:
        assert line_of(SCHEME, line) in {step["line"] for step in found["steps"]}


def test_of_several_records_the_one_that_decides_is_named(city: Path) -> None:
    _, text, found = explained(city, reply(record(colour="G"), record(colour="R")))
    assert found["result"] == "RED"
    assert found["code"]["also"][0]["level"] == "GREEN"
    assert "of 2 records the most restrictive stands first" in text
    _, _, found = explained(city, reply(record(colour="G"), record(colour="grey")))
    assert found["result"] == "CANNOT_DETERMINE"
    assert found["because"][0].startswith("record 2: the scheme maps 灰码")


def test_what_is_never_asked_is_told_instead_of_read(city: Path) -> None:
    _, _, found = explained(city, reply(record()), *AT, "--document", "20")
    assert found["result"] == "NOT_FOUND"
    assert found["steps"][0]["line"] == line_of(SCHEME, "document_types:")
    assert run("explain", city, "-", "--qr", "--document", "10").exit_code == Exit.USAGE


def test_before_the_first_version_nothing_is_determined(city: Path) -> None:
    _, text, found = explained(city, reply(record()), "--at", "2019-01-01")
    assert (found["result"], found["version"]) == ("CANNOT_DETERMINE", None)
    assert "no version of ex-jkm is in force then" in text


def test_a_state_that_is_almost_one_of_the_scheme_is_shown_as_a_question(city: Path) -> None:
    plain = SCHEME.replace(", map: {G: 绿码, Y: 黄码, R: 红码, grey: 灰码}", "")
    write_city(city, plain)
    _, text, found = explained(city, reply(record(colour="红 码")))
    assert found["result"] == "CANNOT_DETERMINE"
    assert "did it mean 红码?" in text
    _, text, _ = explained(city, reply(record(colour="测试甲乙丙")))
    assert "‹字×5›" in text


def test_a_connector_that_reads_no_saved_reply_says_what_it_lacks(city: Path) -> None:
    start = SCHEME.index("connector:")
    target = "tests.cli.test_scheme_explain:Deaf"
    write_city(city, SCHEME[:start] + f"connector:\n  python: {target}\n")
    done = run("explain", city, "-", stdin=b"{}")
    assert done.exit_code == Exit.COULD_NOT_RUN
    assert "offers no interpret(body)" in done.stderr


class Deaf:
    """A connector without ``interpret``."""

    def __init__(self, context: object) -> None:
        self.context = context


@pytest.mark.parametrize(
    ("value", "drawn"),
    [
        ("1990-01-02", "9999-99-99"),
        ("330600210001010014", "9×18"),
        ("张三", "字×2"),
        ("Zhang San", "a×5 aaa"),
        ("", "empty"),
        ([1, 2], "a list of 2"),
        (True, "true or false"),
    ],
)
def test_a_shape_tells_the_form_and_nothing_else(value: Any, drawn: str) -> None:
    assert shape(value) == drawn


def test_only_words_of_the_scheme_and_short_codes_are_shown() -> None:
    assert shown("绿码", {"绿码"}) == "绿码"
    assert shown("00", ()) == "00"
    assert shown("灰码", ()) == "灰码"
    for personal in ("张三", "330600210001010014", "10000000017", "Zhang"):
        assert personal not in shown(personal, {"绿码"})
    assert shown_key("codeState") == "codeState"
    for personal in ("330600210001010014", "张三", "id330600"):
        assert personal not in shown_key(personal)


@pytest.mark.parametrize("folder", shipped_folders(), ids=lambda folder: folder.name)
def test_for_every_vector_the_reason_is_the_engines_own(folder: Path) -> None:
    from adapters.sdk import LocalReport

    city = read_scheme_folder(folder)
    for vector in city.scheme.vectors:
        version = next((one for one in city.scheme.versions if one.in_force(vector.at)), None)
        for members in vector.reports if version is not None else ():
            trace = trace_record(city, version, LocalReport(**members), vector.at)
            first = next((check for check in trace.checks if check.holds is False), None)
            if first is None:
                assert trace.result == trace.maps_to, vector.name
            else:
                assert trace.result == first.outcome, vector.name
            assert "engine decided" not in trace.because


class _Recorder:
    """Keeps the last reply that a connector received."""

    def __init__(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        self.replies: list[object] = []
        ask = Upstream.request

        async def request(upstream: Upstream, *args: Any, **kwargs: Any) -> Any:
            reply = await ask(upstream, *args, **kwargs)
            self.replies.append(reply)
            return reply

        monkeypatch.setattr(Upstream, "request", request)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_an_explanation_ends_where_the_adapter_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = read_scheme_folder(SCHEMES_FOLDER / name)
    people = [platform(name).population.person(index) for index in range(25)]
    compared = 0
    for moment in moments(name):
        async with open_city(name, Clock(moment)) as city:
            recorder = _Recorder(city, monkeypatch)
            for asked in presentations(city):
                recorder.replies.clear()
                expected = words(await final(city, asked))
                last = recorder.replies[-1] if recorder.replies else None
                # Two calls may make an answer that no single reply holds.
                if not isinstance(last, UpstreamReply) or expected[0] == "EVIDENCE_ONLY":
                    continue
                found = explain_reply(
                    files,
                    last.body,
                    moment,
                    asked="qr_text" if isinstance(asked, QrText) else "document",
                    document_type=None,
                    secrets=CREDENTIALS[name],
                )
                assert found.result == expected[0], (asked, found.because)
                text = json.dumps(found.to_json(), ensure_ascii=False, default=str)
                for person in people:
                    for value in (person.number, person.number.lower(), person.name, person.phone):
                        assert value not in text
                compared += 1
        monkeypatch.undo()
    assert compared >= 5
