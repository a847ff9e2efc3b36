from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gateway.codes.qr_pattern import QrPattern, QrPatternError, compile_pattern

ACCEPTED = [
    "^abc$",
    r"^https?://code\.example/\?id=[0-9a-f]{32}$",
    r"^[0-9]{1,8}[a-z]{1,8}$",
    r"^(?:SKM|HZM):[A-Z0-9]{4,64}$",
    r"^(?P<kind>[a-z]{2})-(?P<number>[0-9]{17}[0-9X])$",
    r"^\{\"id\":\"[0-9a-f]{8}\"\}$",
    r"^[^&]{1,64}&v=\d{1,3}$",
    r"^健康码:\w{1,40}$",
    r"^(?:ab){3}$",
    r"^a(?:[0-9]{2}){4}.{0,100}$",
    r"^(?:a|b[0-9]{1,4}|c?)x$",
    r"^[a\-z]{1,3}$",
]

REFUSED = {
    "abc$": "must begin",
    "^abc": "must begin",
    r"^abc\$": "must begin",
    "^a*$": "not accepted",
    "^a+$": "not accepted",
    "^a{2,}$": "a quantifier is",
    "^a{0}$": "lies within",
    "^a{3,2}$": "lies within",
    "^a{1,4096}$": "lies within",
    "^a??$": "one quantifier",
    "^a{1,2}?$": "one quantifier",
    "^a{1,2}{1,2}$": "one quantifier",
    "^(?:a{1,9}){1,9}$": "nested quantifiers",
    "^(?:a?){3}$": "may be empty",
    "^(?:(?:a{1,3}b){1,3}c){1,3}$": "nested quantifiers",
    "^[0-9]{1,8}[0-9]{1,8}$": "ambiguous",
    r"^\d{1,8}\w$": "ambiguous",
    "^a?a$": "ambiguous",
    "^.{0,9}x$": "ambiguous",
    "^(?:ab)?(?:ac)$": "ambiguous",
    "^(?:a|ab)c$": "same character",
    "^(?:a|[a-z])c$": "same character",
    "^a|b$": "inside a group",
    "^(a)$": "groups are",
    "^(?=a)a$": "groups are",
    "^(?i:a)$": "groups are",
    r"^(?P<a>x)\1$": "are accepted",
    r"^(?P<9>x)$": "identifier",
    "^(?P<a>x)(?P<a>y)$": "not a regular expression",
    "^(?:a$": "not closed",
    "^a)$": "closing bracket",
    "^[a$": "in the middle",
    "^[]$": "an empty class",
    "^[^]$": "an empty class",
    "^[z-a]$": "backwards",
    "^[a-é]$": "ASCII",
    "^[[:alpha:]]$": "escape",
    r"^\p{L}$": "are accepted",
    r"^\s$": "are accepted",
    "^a{1$": "in the middle",
    "^" + "(?:" * 9 + "a" + ")" * 9 + "$": "too deeply",
    "^" + "a" * 600 + "$": "longer",
}


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_a_pattern_that_never_guesses_is_accepted(pattern: str) -> None:
    compile_pattern(pattern)


@pytest.mark.parametrize(("pattern", "expected"), REFUSED.items())
def test_a_pattern_that_could_run_long_or_is_none_is_refused(pattern: str, expected: str) -> None:
    with pytest.raises(QrPatternError, match=re.escape(expected)):
        compile_pattern(pattern)


def test_text_beyond_the_bound_never_matches() -> None:
    pattern = QrPattern("^.{0,2048}$", "330100")
    assert pattern.matches("x" * 2048)
    assert not pattern.matches("x" * 2049)
    assert pattern.groups("x" * 2049) == {}


def test_a_line_end_behind_the_text_does_not_match() -> None:
    assert not QrPattern("^abc$", "330100").matches("abc\n")


def test_the_document_number_is_read_only_where_the_pattern_carries_one() -> None:
    carries = QrPattern("^id:(?P<number>[0-9X]{18})$", "330100", "document", 10)
    assert carries.document_number("id:330102199001010055") == "330102199001010055"
    assert carries.document_number("id:1") is None
    text = QrPattern("^id:(?P<number>[0-9X]{18})$", "330100")
    assert text.document_number("id:330102199001010055") is None


pieces = st.sampled_from(
    ["a", "b", "[0-9]", "[a-c]", "[^a]", ".", r"\d", r"\w", "a?", "[0-9]{1,9}", "[a-c]{0,5}",
     "(?:ab)?", "(?:a|b)", "(?:a{1,3}b)?", "-", "(?:cd){2}", "x{2}", r"\w{1,50}"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces, max_size=8), st.text("ab09-xcd", max_size=40))
def test_what_is_accepted_means_what_python_means(parts: list[str], text: str) -> None:
    source = "^" + "".join(parts) + "$"
    try:
        pattern = QrPattern(source, "330100")
    except QrPatternError:
        reject()
    assert pattern.matches(text) == bool(re.fullmatch(source, text, re.ASCII))


@settings(max_examples=60, deadline=None)
@given(st.text("^$()[]{}?:|ab0-9,\\d.*+P<n>", max_size=24))
def test_any_text_is_a_pattern_or_refused_with_its_own_error(source: str) -> None:
    with contextlib.suppress(QrPatternError):
        compile_pattern("^" + source + "$")


@settings(max_examples=40, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=12), st.sampled_from("ab0-"))
def test_an_accepted_pattern_is_quick_on_the_worst_text(parts: list[str], fill: str) -> None:
    try:
        pattern = QrPattern("^" + "".join(parts) + "$", "330100")
    except QrPatternError:
        reject()
    began = time.perf_counter()
    for ending in ("!", ""):
        pattern.matches(fill * 2047 + ending)
    assert time.perf_counter() - began < 1.0  # a machine under load; guessing takes hours
