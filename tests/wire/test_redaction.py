from __future__ import annotations

import io
import json
import logging
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.logging import configure_logging, frames_of
from gateway.wire.redaction import REDACTED, redact_entry, redact_text

# Synthetic: area, birth date and serial of nobody.
NUMBER = "330106199001011234"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzeW50aGV0aWMifQ.c2lnbmF0dXJl"
ARMOUR = "HUTONG1:NCFOXN%TS3DH3ZSUZK+.V0ETD%65NL-AH"


@pytest.mark.parametrize(
    "value",
    [
        NUMBER,
        "33010619900101123X",
        "33010619900101123x",
        "330106 19900101 1234",
        "330106-19900101-1234",
        "999999999999999999",
        JWT,
        JWT.rpartition(".")[0] + ".",
        "eyJhbGciOiJFQ0RILUVTIn0..aXY.Y3Q.dGFn",
        ARMOUR,
    ],
)
@pytest.mark.parametrize("frame", ["{}", "before {} after", "x={},y", "号{}号", '"{}"'])
def test_what_looks_personal_or_secret_is_cut_out(value: str, frame: str) -> None:
    text = redact_text(frame.format(value))
    assert value not in text
    assert value[:12] not in text
    assert REDACTED in text


@pytest.mark.parametrize(
    "text",
    [
        "urn:hutong:region:330100",
        "440100@2020-04",
        "incident 0304d4fe702ec086",
        "2020-04-01T08:00:00Z",
        "a" * 43,
        "1234567890123456789012",
        "eye",
    ],
)
def test_what_operators_need_stays(text: str) -> None:
    assert redact_text(text) == text


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_identity_number_never_survives_whatever_stands_around_it(
    before: str, after: str
) -> None:
    # A digit beside it makes it another number.
    if before[-1:].isdigit() or after[:1].isdigit():
        return
    assert NUMBER not in redact_text(before + NUMBER + after)


@pytest.mark.parametrize(
    "name", ["qr_text", "document", "number", "level", "token", "Grant", "ENVELOPE", "sub", "nonce"]
)
def test_denied_names_are_dropped_whatever_they_hold(name: str) -> None:
    assert redact_entry({name: "harmless"}) == {name: REDACTED}
    assert redact_entry({"outer": {name: 5}}) == {"outer": {name: REDACTED}}
    assert redact_entry({"list": [{name: None}]}) == {"list": [{name: REDACTED}]}


def test_values_of_every_kind_are_looked_into() -> None:
    class Person:
        def __str__(self) -> str:
            return f"Person({NUMBER})"

    entry = redact_entry(
        {
            "text": f"of {NUMBER}",
            "number_as_integer": int(NUMBER),
            "bytes": NUMBER.encode(),
            "object": Person(),
            "tuple": (NUMBER, {NUMBER}),
            "key": {NUMBER: 1},
            "count": 12,
            "share": 0.5,
            "flag": True,
            "none": None,
        }
    )
    assert NUMBER not in json.dumps(entry)
    assert (entry["count"], entry["share"], entry["flag"], entry["none"]) == (12, 0.5, True, None)
    assert entry["bytes"] == "[18 bytes]"


def test_nesting_without_end_is_cut() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert REDACTED in json.dumps(redact_entry({"loop": loop}))


def fail() -> None:
    raise ValueError(f"marker {NUMBER}")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging()
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_an_entry_is_one_json_line_with_time_and_severity(logged: io.StringIO) -> None:
    structlog.get_logger().warning("drain_cut_short", calls_in_flight=3, token=JWT)
    entry = json.loads(logged.getvalue())
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "event": "drain_cut_short",
        "calls_in_flight": 3,
        "token": REDACTED,
        "severity": "warning",
    }


def test_an_exception_is_logged_by_type_and_frames_without_its_text(logged: io.StringIO) -> None:
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("failed")
    entry = json.loads(logged.getvalue())
    assert entry["exception_type"] == "ValueError"
    assert entry["frames"][-1].startswith("wire/test_redaction.py:")
    assert "marker" not in logged.getvalue()


def test_foreign_records_are_redacted_too(logged: io.StringIO) -> None:
    try:
        fail()
    except ValueError:
        logging.getLogger("some.library").exception("could not read %s", NUMBER)
    line = logged.getvalue()
    assert "some.library" in line
    assert "ValueError" in line
    assert NUMBER not in line
    assert "marker" not in line


def test_frames_are_bounded_and_name_no_machine() -> None:
    def deep(left: int) -> None:
        if left == 0:
            raise RecursionError
        deep(left - 1)

    with pytest.raises(RecursionError) as caught:
        deep(100)
    frames = frames_of(caught.value.__traceback__)
    assert len(frames) == 24
    assert all(frame.count("/") == 1 for frame in frames)


def test_a_log_line_that_nobody_can_read_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        configure_logging()
    stream.close()
    structlog.get_logger("test").info("told", member="nobody")
    logging.getLogger("some.library").warning("told")
