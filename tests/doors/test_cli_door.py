"""The command line as a door: whatever is typed or lies in a file, an exit code and one line.

Commands run in this process through ``main``, the entry point of ``hutong``. None of
them may reach a server: addresses lead to a port where nobody listens.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
import structlog
from hutong.v1 import registry_service_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.main import main
from gateway.cli.operator_client import member_view
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_CODES = {0, 1, 2, 64}
MARKER = "330102199001010059"  # synthetic; a value that no message may repeat
GATE = "urn:hutong:checkpoint:440100:north-gate"
CITY = Path(__file__).parents[2] / "adapters" / "schemes" / "hangzhou"


@dataclass(frozen=True)
class Left:
    """How a command left."""

    code: int
    out: str
    err: str


class _Stdin(io.TextIOWrapper):
    def isatty(self) -> bool:
        return False


def hutong(*words: str, stdin: bytes = b"") -> Left:
    """Run one command as the shell would."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}
    with (
        patch.object(sys, "argv", ["hutong", *words]),
        patch.object(sys, "stdin", _Stdin(io.BytesIO(stdin), encoding="utf-8")),
        patch.dict(os.environ, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
    assert "Traceback" not in err.getvalue()
    assert "a defect:" not in err.getvalue(), err.getvalue()
    assert code in EXIT_CODES
    return Left(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    # Commands that serve configure the logging of their process, which here is ours.
    handlers = logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a hub and an operator's folder, none of which has a server."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "anchor.json").write_bytes(FederationSimulator().anchor.to_bytes())
    made = hutong(
        "checkpoint", "init", "--urn", GATE, "--hub", "localhost:1", "--http",
        "https://localhost:1", "--anchor", str(folder / "anchor.json"),
        "--config", str(folder / "checkpoint.toml"),
    )  # fmt: skip
    assert made.code == 0, made.err
    made = hutong("hub", "init", "--dir", str(folder / "hub"), "--grpc", "localhost:1")
    assert made.code == 0, made.err
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        # The folder of a checkpoint's replica is made by whoever opens it first.
        if path.is_file()
        and path.parent.name != "state"
        and not path.name.endswith(("-wal", "-shm"))
    }


# --- malformed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("hub", "init", "--grpc", "localhost:²"),
        ("hub", "init", "--grpc", "localhost:" + "9" * 5000),
        ("hub", "init", "--http", "localhost"),
        ("hub", "members", "--state", "unknown"),
        ("adapter", "explain", str(CITY), "--at", "0001-01-01T00:00:00+23:00"),
        ("adapter", "explain", str(CITY), "--at", "2020-02-30"),
        ("checkpoint", "ask", "x", "--timeout", "nan"),
        ("platform", "serve", "hangzhou", "--port", "99999"),
        ("platform", "fault", "show", "--city", "hangzhou", "--admin-url", "http://x:99999"),
        ("platform", "fault", "show", "--city", "hangzhou", "--admin-url", "http://["),
        ("platform", "fault", "set", "slow=nan", "--city", "hangzhou"),
        ("platform", "population", "atlantis"),
        ("no-such-group",),
        ("hub", "no-such-command"),
    ],
)
def test_a_wrong_command_line_leaves_with_64(words: tuple[str, ...], tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        left = hutong(*words)
    assert left.code == 64, left.err
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    "words",
    [
        ("checkpoint", "verify"),
        ("checkpoint", "ask"),
        ("hub", "approve"),
        ("adapter", "lint"),
        ("platform", "population"),
    ],
)
def test_an_argument_that_is_not_utf_8_is_refused(words: tuple[str, ...]) -> None:
    # The way the interpreter hands over the byte 0xff of a command line.
    left = hutong(*words, "\udcff" + MARKER)
    assert left.code == 64
    assert "not UTF-8" in left.err
    assert MARKER not in left.out + left.err


def test_what_cannot_stand_in_a_certificate_leaves_no_files(tmp_path: Path) -> None:
    for name in ("é", "", "x" * 300):
        left = hutong("hub", "init", "--dir", str(tmp_path / "hub"), "--name", name)
        assert (left.code, "HUB_SETUP" in left.err) == (2, True)
        left = hutong("adapter", "keygen", str(tmp_path / "city"), "--host", name or "é")
        assert left.code == 2 or name.startswith("x")
        if name.startswith("x"):
            continue
        assert "ADAPTER_CONFIG" in left.err
        assert files(tmp_path) == {}


@pytest.mark.parametrize("dsn", ["other://user:{}@x", "postgresql://user:{}@x:port/y", "sqlite://"])
def test_a_dsn_that_is_none_is_refused_and_not_repeated(dsn: str, tmp_path: Path) -> None:
    left = hutong("hub", "init", "--dir", str(tmp_path), "--store", dsn.format(MARKER))
    assert (left.code, "STORE_FAILED" in left.err) == (2, True)
    assert MARKER not in left.out + left.err


def test_a_file_where_a_folder_should_be_is_no_defect(place: Path) -> None:
    before = files(place)
    inside = str(place / "anchor.json" / "x.toml")
    for words in (
        ("checkpoint", "init", "--urn", GATE, "--hub", "h:1", "--http", "https://h:1",
         "--anchor", "a", "--config", inside),
        ("checkpoint", "status", "--config", inside),
        ("hub", "init", "--dir", inside),
        ("hub", "anchor", "--dir", inside),
        ("hub", "run", "--dir", inside),
        ("adapter", "keygen", inside),
        ("adapter", "lint", inside),
        ("adapter", "serve", inside),
    ):  # fmt: skip
        assert hutong(*words).code == 2, words
    assert files(place) == before


# --- files of every command: malformed, truncated, wrong encoding, oversized ----------

_GARBAGE = {
    "empty": b"",
    "not utf-8": b"\xff\xfe" + MARKER.encode(),
    "utf-16": MARKER.encode("utf-16"),
    "open": b'{"a": "' + MARKER.encode(),
    "another type": b'[{"a": "' + MARKER.encode() + b'"}]',
    "members twice": f'{{"hub": "{MARKER}", "hub": "{MARKER}"}}'.encode(),
    "deep": b"[" * 100_000 + MARKER.encode(),
    "oversized": MARKER.encode() * 1_000_000,
    "nothing but zeros": bytes(4096),
}

_READERS = {
    "checkpoint.toml": ("checkpoint", "status", "--config", "checkpoint.toml"),
    "anchor.json": ("checkpoint", "status", "--config", "checkpoint.toml"),
    "checkpoint-key.json": ("checkpoint", "sync", "--config", "checkpoint.toml"),
    "hub/hub.toml": ("hub", "run", "--dir", "hub"),
    "hub/anchor.json": ("hub", "anchor", "--dir", "hub"),
    "hub/keys/feed.json": ("hub", "run", "--dir", "hub"),
    "hub/tls/hub.pem": ("hub", "run", "--dir", "hub"),
    "hub/operator/operator.toml": ("hub", "status", "--dir", "hub"),
    "hub/operator/key.json": ("hub", "status", "--dir", "hub"),
    "hub/operator/ca.pem": ("hub", "status", "--dir", "hub"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", _READERS)
def test_a_file_that_is_garbage_is_named_and_not_quoted(name: str, place: Path) -> None:
    path = place / name
    kept = path.read_bytes()
    before = files(place)
    try:
        with contextlib.chdir(place):
            for fault, data in _GARBAGE.items():
                if (name, fault) == ("hub/hub.toml", "empty"):
                    continue  # every setting has a default: that hub would run
                path.write_bytes(data)
                left = hutong(*_READERS[name])
                assert left.code == 2, (name, fault, left)
                assert MARKER not in left.out + left.err, (name, fault)
    finally:
        path.write_bytes(kept)
    assert files(place) == before


def test_an_operator_file_of_another_shape_is_refused(place: Path) -> None:
    path = place / "operator.toml"
    good = (place / "hub/operator/operator.toml").read_text()
    for text in (
        good + f'unknown = "{MARKER}"\n',
        good.replace("urn =", "urm ="),
        good + 'urn = "again"\n',
    ):
        path.write_text(text)
        left = hutong("hub", "status", "--operator", str(path))
        assert (left.code, "HUB_SETUP" in left.err) == (2, True)
        assert MARKER not in left.err


def test_a_city_file_that_is_garbage_has_its_problem_and_line(tmp_path: Path) -> None:
    for file in CITY.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    for name in ("scheme.yaml", "vectors.yaml"):
        kept = (tmp_path / name).read_bytes()
        for fault, data in _GARBAGE.items():
            (tmp_path / name).write_bytes(data)
            left = hutong("adapter", "lint", str(tmp_path), "--json")
            assert left.code == 1, (name, fault, left.err)
            found = json.loads(left.out)
            assert found["loads"] is False
            assert found["problems"]
            assert MARKER not in left.out + left.err, (name, fault)
        (tmp_path / name).write_bytes(kept)
    assert hutong("adapter", "lint", str(tmp_path)).code == 0


# --- any words at all; commands that serve until they are stopped are left out --------

_COMMANDS = [
    ("checkpoint", "init"), ("checkpoint", "enrol"), ("checkpoint", "sync"),
    ("checkpoint", "status"), ("checkpoint", "ask"), ("checkpoint", "fetch"),
    ("checkpoint", "verify"), ("checkpoint", "batch"), ("hub", "init"), ("hub", "status"),
    ("hub", "members"), ("hub", "approve"), ("hub", "suspend"), ("hub", "anchor"),
    ("adapter", "new"), ("adapter", "keygen"), ("adapter", "lint"), ("adapter", "test"),
    ("adapter", "explain"), ("adapter", "enrol"),
    ("platform", "population"), ("platform", "fault", "show"), ("platform", "fault", "set"),
    ("platform", "fault", "clear"),
]  # fmt: skip
_OPTIONS = [
    "--config", "--json", "--urn", "--hub", "--http", "--anchor", "--file", "--from",
    "--document-file", "--document-type", "--timeout", "--out", "--results", "--resume",
    "--dir", "--grpc", "--name", "--operator", "--store", "--state", "--key", "--reason",
    "--region", "--host", "--at", "--ca", "--city", "--admin-url", "--admin-token", "--size",
    "--seed", "--verbose", "--help", "--", "-", "-c", "-f",
]  # fmt: skip
_VALUES = [
    "330100", "33", "0", "-1", "nan", "1e999", "²", "é", "localhost:1", "https://localhost:1",
    "http://[", "sqlite:///x.db", "other://x", GATE, "urn:hutong:region:330100", "hangzhou",
    "x.csv", "hub", ".", "/dev/null", "HUTONG1:", "a.b.c", "[bold]", "[/]", "\x1b[31m", "\x07",
    "2020-03-01T12:00:00+08:00", "9999-12-31T23:59:59-23:00", "slow=1", "x" * 5000,
]  # fmt: skip
_texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)


@given(
    command=st.sampled_from(_COMMANDS),
    words=st.lists(st.sampled_from(_OPTIONS) | st.sampled_from(_VALUES) | _texts, max_size=6),
    stdin=st.binary(max_size=64),
)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_words_leave_with_a_code_and_never_with_a_traceback(
    tmp_path: Path, command: tuple[str, ...], words: list[str], stdin: bytes
) -> None:
    # What lies outside the folder is out of reach: a path is typed as it is meant.
    words = [word for word in words if word == "/dev/null" or not word.startswith(("/", "~", ".."))]
    with contextlib.chdir(tmp_path):
        hutong(*command, *words, stdin=stdin)


# --- what a hub answers ---------------------------------------------------------------


def test_a_member_of_a_kind_that_a_newer_hub_added_is_shown_by_its_number() -> None:
    newer = registry_service_pb2.Member(urn=GATE, kind=9, state=77)  # type: ignore[arg-type]  # wrong on purpose, or built loosely
    view = member_view(newer)
    assert (view.kind, view.state) == ("9", "77")
