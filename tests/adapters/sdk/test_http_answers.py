"""Answers of platforms, read as a connector in YAML describes them."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sdk import Deadline, LocalReport, OutcomeReport, Reports, UpstreamReply
from adapters.sdk.connectors import read_connector
from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import read_answer
from adapters.sdk.http_connector import HttpConnector
from gateway.codes.documents import Document, DocumentType
from gateway.codes.itinerary import Itinerary, Place
from gateway.codes.levels import Outcome
from gateway.codes.schemes import SchemeError, load_scheme
from gateway.codes.yamldoc import parse_yaml
from tests.codes.scheme_samples import SCHEME, VECTORS

if TYPE_CHECKING:
    from adapters.sdk.http_spec import HttpSpec

ZONE = ZoneInfo("Asia/Shanghai")
MORNING = datetime(2020, 3, 1, tzinfo=UTC)
PERSON = "33010219900101008X"  # synthetic

ANSWER: dict[str, Any] = {
    "json_strings": ["data", "data.result"],
    "code": [
        {"path": "flag", "ok": ["1"], "outcomes": {"9": "SOURCE_BUSY"}, "retry_after_seconds": 5},
        {"path": "data.flag", "ok": ["0"], "outcomes": {"111": "CODE_EXPIRED"}},
        {"path": "data.result.code", "ok": ["ok"], "outcomes": {"none": "NOT_FOUND"}},
    ],
    "records": "data.result.people",
    "report": {
        "state": {"join": [{"path": "colour"}, {"path": "kind", "map": {"7": "本域"}}],
                  "separator": "/"},
        "issued_by": {"path": "area", "pad": 6},
        "assessed_at": {"path": "at", "time": "unix_s"},
        "source_at": {"path": "at", "time": "unix_s"},
        "negative_test_at": {"path": "sampled", "time": "%Y/%m/%d %H:%M"},
        "itinerary": {
            "records": "cities",
            "division": {"path": "code", "map": {"杭州": "3301", "北京": "11"}, "pad": 6},
            "starred": {"path": "star", "true": "1", "false": "0"},
            "window_days": {"path": "days"},
            "as_of": {"path": "until", "time": "%Y.%m.%d %H:%M"},
        },
    },
}  # fmt: skip

RECORD: dict[str, Any] = {
    "colour": "绿码",
    "kind": "7",
    "area": "3301",
    "at": 1583020800,
    "sampled": "2020/02/28 08:00",
    "cities": [{"code": "杭州", "star": "1"}, {"code": "北京", "star": "0"}],
    "days": 14,
    "until": "2020.03.01 00:00",
}


def spec_of(answer: dict[str, Any], ask: dict[str, Any] | None = None) -> HttpSpec:
    asking = {"method": "POST", "path": "/q", "send": "json", "fields": {"no": "{number}"}}
    connector = {"http": {"ask": {"document": asking, **(ask or {})}, "answer": answer}}
    text = yaml.safe_dump({"connector": connector}, allow_unicode=True, sort_keys=False)
    form = read_connector(parse_yaml(text.encode(), max_bytes=99_999))
    assert form.http is not None
    return form.http


def problems(answer: dict[str, Any], ask: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(SchemeError) as caught:
        spec_of(answer, ask)
    assert all(
        problem.line and problem.message and problem.fix for problem in caught.value.problems
    )
    return [str(problem) for problem in caught.value.problems]


SPEC = spec_of(ANSWER)


def body(record: Any = RECORD, **changes: Any) -> bytes:
    """An answer with two envelopes around it; a test changes one thing of it."""
    result = changes.get("result", {"code": "ok", "people": [record]})
    data = {"flag": "0", "result": json.dumps(result), **changes.get("data", {})}
    return json.dumps({"flag": "1", "data": json.dumps(data), **changes.get("outer", {})}).encode()


def one(record: dict[str, Any], spec: HttpSpec = SPEC) -> LocalReport:
    fetched = read_answer(spec, body(record), ZONE)
    assert isinstance(fetched, Reports)
    (report,) = fetched.reports
    return report


def test_all_members_of_a_twice_nested_answer_are_read() -> None:
    assert one(RECORD) == LocalReport(
        state="绿码/本域",
        issued_by="330100",
        assessed_at=MORNING,
        source_at=MORNING,
        negative_test_at=datetime(2020, 2, 28, tzinfo=UTC),
        itinerary=Itinerary(
            14,
            datetime(2020, 2, 29, 16, tzinfo=UTC),
            (Place("330100", starred=True), Place("110000")),
        ),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # The outermost code decides, whatever stands below it, JSON or not.
        ({"outer": {"flag": "9"}}, OutcomeReport(Outcome.SOURCE_BUSY, 5)),
        ({"outer": {"flag": "9", "data": "系统繁忙"}}, OutcomeReport(Outcome.SOURCE_BUSY, 5)),
        ({"data": {"flag": "111"}}, OutcomeReport(Outcome.CODE_EXPIRED)),
        ({"data": {"flag": "111", "result": "二维码已失效"}}, OutcomeReport(Outcome.CODE_EXPIRED)),
        ({"result": {"code": "none"}}, OutcomeReport(Outcome.NOT_FOUND)),
        ({"result": {"code": "ok", "people": []}}, OutcomeReport(Outcome.NOT_FOUND)),
        ({"result": {"code": "ok", "people": None}}, OutcomeReport(Outcome.NOT_FOUND)),
        ({"result": {"code": "ok", "people": ""}}, OutcomeReport(Outcome.NOT_FOUND)),
        ({"result": {"code": "ok", "people": {}}}, OutcomeReport(Outcome.NOT_FOUND)),
        ({"result": {"code": "ok"}}, OutcomeReport(Outcome.NOT_FOUND)),
    ],
)
def test_every_envelope_is_checked_the_outermost_first(
    changes: dict[str, Any], expected: OutcomeReport
) -> None:
    assert read_answer(SPEC, body(**changes), ZONE) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"outer": {"flag": "7"}},
        {"outer": {"flag": None}},
        {"data": {"flag": "7"}},
        {"data": {"result": "not JSON"}},
        {"outer": {"data": "not JSON"}},
        {"outer": {"data": {"flag": "0"}}},  # not nested where the wire nests
        {"data": {"result": json.dumps(json.dumps({"code": "ok", "people": []}))}},  # once more
        {"outer": {"data": json.dumps(json.dumps({"flag": "0"}))}},
        {"result": {"code": "other"}},
        {"result": {"code": "ok", "people": "绿码"}},
        {"result": {"code": "ok", "people": 7}},
        {"result": {"code": "ok", "people": ["绿码"]}},
        {"result": {"code": "ok", "people": [RECORD] * 17}},
        {"data": {"result": '{"code": "ok", "people": [], "people": [1]}'}},
    ],
)
def test_an_envelope_of_another_form_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        read_answer(SPEC, body(**changes), ZONE)


def test_records_that_are_one_record_are_one() -> None:
    plain = spec_of({**ANSWER, "json_strings": [], "code": {"path": "code", "ok": ["0"]},
                     "records": "data"})  # fmt: skip
    many = json.dumps({"code": 0, "data": [RECORD]}).encode()
    single = json.dumps({"code": 0, "data": RECORD}).encode()
    assert read_answer(plain, single, ZONE) == read_answer(plain, many, ZONE)


def test_records_below_a_member_that_is_text_are_unreadable_and_not_nobody() -> None:
    plain = spec_of({**ANSWER, "json_strings": [], "code": {"path": "code", "ok": ["0"]},
                     "records": "data.people"})  # fmt: skip
    for data in ("busy", 7, True, [1]):
        with pytest.raises(UnreadableError):
            read_answer(plain, json.dumps({"code": 0, "data": data}).encode(), ZONE)
    for data in (None, "", {}, [], {"people": None}):
        nobody = read_answer(plain, json.dumps({"code": 0, "data": data}).encode(), ZONE)
        assert nobody == OutcomeReport(Outcome.NOT_FOUND)


@pytest.mark.parametrize(
    ("kind", "state"), [("7", "绿码/本域"), (None, "绿码"), ("", "绿码"), ("absent", "绿码")]
)
def test_a_later_part_of_a_state_that_is_not_stated_is_skipped(
    kind: str | None, state: str
) -> None:
    record = {**RECORD, "kind": kind}
    if kind == "absent":
        del record["kind"]
    assert one(record).state == state


@pytest.mark.parametrize(
    "change",
    [
        {"colour": None},
        {"colour": ""},
        {"colour": True},
        {"kind": "8"},
        {"kind": {"a": 1}},
        {"area": "33a1"},
        {"area": "33"[:1]},
        {"area": "3301001"},
        {"area": "99"},
        {"sampled": "28.02.2020"},
        {"cities": [{"code": "杭州", "star": "2"}]},
        {"cities": [{"code": "杭州"}]},
        {"cities": [{"code": "绍兴", "star": "0"}]},
        {"cities": [{"star": "0"}]},
        {"cities": "杭州"},
        {"cities": ["杭州"]},
        {"days": None},
        {"days": 0},
        {"days": 32},
        {"days": "two weeks"},
        {"until": None},
        {"until": "yesterday"},
    ],
)
def test_one_member_of_another_form_makes_the_record_unreadable(change: dict[str, Any]) -> None:
    assert one(RECORD)
    with pytest.raises(UnreadableError):
        one({**RECORD, **change})


def test_places_that_are_not_told_are_none_and_no_places_are_an_empty_list() -> None:
    assert one({**RECORD, "cities": None}).itinerary is None
    nowhere = one({**RECORD, "cities": []}).itinerary
    assert nowhere is not None
    assert nowhere.places == ()


def test_a_place_that_stands_twice_is_starred_if_one_of_them_is() -> None:
    cities = [{"code": "北京", "star": star} for star in ("0", "1", "0")]
    itinerary = one({**RECORD, "cities": cities}).itinerary
    assert itinerary is not None
    assert itinerary.places == (Place("110000", starred=True),)


def test_a_star_may_be_a_boolean_or_never_be_told() -> None:
    answer = deepcopy(ANSWER)
    answer["report"]["itinerary"]["starred"] = {"path": "star", "true": True, "false": False}
    spec = spec_of(answer)
    city = {"code": "北京", "star": True}
    itinerary = one({**RECORD, "cities": [city]}, spec).itinerary
    assert itinerary is not None
    assert itinerary.places[0].starred
    with pytest.raises(UnreadableError):
        one({**RECORD, "cities": [{**city, "star": "1"}]}, spec)
    del answer["report"]["itinerary"]["starred"]
    untold = one({**RECORD, "cities": [city]}, spec_of(answer)).itinerary
    assert untold is not None
    assert not untold.places[0].starred


SUBJECT = spec_of({**ANSWER, "subject": {"path": "no", "document_type": 10}})


def test_whom_a_record_is_about_is_read_whatever_the_case_of_its_x() -> None:
    for number in (PERSON, PERSON.lower()):
        fetched = read_answer(SUBJECT, body({**RECORD, "no": number}), ZONE)
        assert isinstance(fetched, Reports)
        assert fetched.subject == Document(DocumentType.RESIDENT_IDENTITY_CARD, PERSON)


@pytest.mark.asyncio
async def test_a_record_of_somebody_else_than_was_asked_about_is_unparsable() -> None:
    scheme = load_scheme(SCHEME.encode(), vectors=VECTORS.encode())
    upstream = Saying(body({**RECORD, "no": PERSON.lower()}))
    connector = HttpConnector(
        SUBJECT,
        scheme=scheme,
        upstream=upstream,  # type: ignore[arg-type]  # says one answer, without a network
        secrets={},
        now=lambda: MORNING,
    )
    asked = Document(DocumentType.RESIDENT_IDENTITY_CARD, PERSON)
    assert isinstance(await connector.fetch(asked, Deadline.after(1)), Reports)
    other = Document(DocumentType.RESIDENT_IDENTITY_CARD, "330102199001010055")
    fetched = await connector.fetch(other, Deadline.after(1))
    assert fetched == OutcomeReport(Outcome.SOURCE_UNPARSABLE)


class Saying:
    """An upstream that says one answer."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def request(self, *_: Any, **__: Any) -> UpstreamReply:
        return UpstreamReply(200, self.body)


@pytest.mark.parametrize("number", ["3301**********0011", "", None, 5])
def test_a_number_that_is_not_whole_is_not_read_as_one(number: Any) -> None:
    with pytest.raises(UnreadableError):
        read_answer(SUBJECT, body({**RECORD, "no": number}), ZONE)


def test_records_about_two_people_are_ambiguous() -> None:
    people = [{**RECORD, "no": PERSON}, {**RECORD, "no": "330102199001010055"}]
    fetched = read_answer(SUBJECT, body(result={"code": "ok", "people": people}), ZONE)
    assert fetched == OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)


def test_a_platform_without_dates_can_be_described_and_never_gives_a_level() -> None:
    report = {"state": {"value": "身份已核验"}, "issued_by": {"value": "310000"}}
    answer = {"records": "data", "report": {**report, "undated": True}}
    fetched = read_answer(spec_of(answer), b'{"data": {"a": 1}}', ZONE)
    assert fetched == Reports((LocalReport(state="身份已核验", issued_by="310000"),))
    assert any("`assessed_at` is missing" in p for p in problems({**answer, "report": report}))


REPORT = ANSWER["report"]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"code": []}, "is not a list of 1 to 8 items"),
    ({"code": [{"path": "a"}]}, "`ok` is missing"),
    ({"code": [{"path": "a", "ok": ["0"], "okay": []}]}, "is not a known member"),
    ({"json_strings": ["a..b"]}, "is not a path"),
    ({"subject": {"path": "no", "document_type": 11}}, "is no type of document"),
    ({"subject": {"path": "no"}}, "`document_type` is missing"),
    ({"report": {**REPORT, "state": {"join": [{"path": "a"}]}}}, "is not a list of 2 to 8"),
    ({"report": {**REPORT, "state": {"join": [{"path": "a"}, {"pth": "b"}]}}}, "`path` is missing"),
    ({"report": {**REPORT, "state": {"path": "a", "separator": "/"}}}, "nothing is joined"),
    (
        {"report": {**REPORT, "state": {"path": "a", "join": [{"path": "a"}, {"path": "b"}]}}},
        "joins beside them",
    ),
    ({"report": {**REPORT, "issued_by": {"path": "a", "pad": "6"}}}, "is not an integer from 1"),
    ({"report": {**REPORT, "undated": "yes"}}, "is neither true nor false"),
]
_ITINERARY = REPORT["itinerary"]
WRONG += [
    ({"report": {**REPORT, "itinerary": {**_ITINERARY, **change}}}, expected)
    for change, expected in (
        ({"starred": {"path": "a"}}, "`true` is missing"),
        ({"starred": {"path": "a", "true": 1}}, "is neither a word nor true or false"),
        ({"window_days": {"value": "40"}}, "is no number of days"),
        ({"records": None}, "`records` is missing"),
        ({"as_of": {"path": "a"}}, "`time` is missing"),
        ({"stars": 1}, "is not a known member"),
    )
]


@pytest.mark.parametrize(("change", "expected"), WRONG)
def test_one_wrong_member_of_an_answer_is_named_with_its_line(
    change: dict[str, Any], expected: str
) -> None:
    found = problems({**ANSWER, **change})
    assert any(expected in problem for problem in found), found


def test_only_a_json_body_holds_fields_inside_fields() -> None:
    nested = {"head": {"appId": "x", "empty": ""}, "body": {"deep": {"no": "{number}"}}}
    ask = {"method": "POST", "path": "/q", "send": "json", "fields": nested}
    assert spec_of(ANSWER, {"document": ask}).ask["document"].fields == nested
    found = problems(ANSWER, {"document": {**ask, "send": "form"}})
    assert any("fields.head" in p and "only a JSON body can" in p for p in found)
    unknown = problems(ANSWER, {"document": {**ask, "fields": {"a": {"b": "{text}"}}}})
    assert any("fields.a.b" in p and "unknown placeholder" in p for p in unknown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["绿码", "0", "ok", "", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(RECORD)), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    record=st.fixed_dictionaries({}, optional=dict.fromkeys(RECORD, json_values)).map(
        lambda change: {**RECORD, **change}
    )
)
def test_any_record_is_read_or_unreadable(record: dict[str, Any]) -> None:
    try:
        fetched = read_answer(SPEC, body(record), ZONE)
    except UnreadableError:
        return
    assert isinstance(fetched, Reports)


@settings(max_examples=200, deadline=None)
@given(outer=json_values, data=json_values, result=json_values)
def test_any_envelopes_are_read_or_unreadable(outer: Any, data: Any, result: Any) -> None:
    wrapped = {"flag": "1", "data": json.dumps({"flag": "0", "result": json.dumps(result)})}
    for answer in (outer, {"flag": "1", "data": json.dumps(data)}, wrapped):
        try:
            fetched = read_answer(SPEC, json.dumps(answer).encode(), ZONE)
        except UnreadableError:
            continue
        assert isinstance(fetched, Reports | OutcomeReport)
