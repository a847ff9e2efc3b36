from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes.yamldoc import (
    MAX_DEPTH,
    MAX_NODES,
    Problem,
    YamlDocument,
    YamlError,
    parse_yaml,
    path_text,
)

LIMIT = 1 << 18


def parse(text: str) -> YamlDocument:
    return parse_yaml(text.encode(), max_bytes=LIMIT)


def test_scalars_follow_the_narrow_rules() -> None:
    document = parse(
        "a: 2020-02-11\nb: no\nc: 01\nd: 12:30\ne: 7\nf: -1.5\ng: true\nh:\ni: '7'\nj: 0x10\n"
        "k: 1_000\nl: .inf\nm: 1e3\n"
    )
    assert document.value == {
        "a": "2020-02-11",
        "b": "no",
        "c": "01",
        "d": "12:30",
        "e": 7,
        "f": -1.5,
        "g": True,
        "h": None,
        "i": "7",
        "j": "0x10",
        "k": "1_000",
        "l": ".inf",
        "m": "1e3",
    }


def test_keys_stay_as_written() -> None:
    assert parse("00: a\n330100: b\ntrue: c\n").value == {"00": "a", "330100": "b", "true": "c"}


def test_lines_are_those_of_the_keys_and_items() -> None:
    document = parse("# head\nid: x\nrules:\n  - a: 1\n    b: 2\n  -\n    a: 3\n")
    assert document.line(()) == 2
    assert document.line(("id",)) == 2
    assert document.line(("rules", 0, "b")) == 5
    assert document.line(("rules", 1, "a")) == 7


def test_the_line_of_a_missing_part_is_that_of_what_is_around_it() -> None:
    document = parse("id: x\nrules:\n  - a: 1\n")
    assert document.line(("rules", 0, "missing", "deeper")) == 3
    assert document.line(("nothing",)) == 1


def test_who_reads_the_same_bytes_again_gets_a_value_of_their_own() -> None:
    text = "a: {b: [1, {c: x}]}\n"
    first = parse(text)
    value: Any = first.value
    value["a"]["b"][1]["c"] = "changed"
    value["a"]["b"].append(2)
    again = parse(text)
    assert again.value == {"a": {"b": [1, {"c": "x"}]}}
    assert again.line(("a", "b", 1, "c")) == first.line(("a", "b", 1, "c")) == 1


def test_a_document_that_was_read_is_refused_where_less_is_allowed() -> None:
    parse("a: 1\n")
    with pytest.raises(YamlError, match="exceeds"):
        parse_yaml(b"a: 1\n", max_bytes=4)


def test_a_document_made_of_values_has_no_lines() -> None:
    assert YamlDocument({"a": 1}).line(("a",)) == 0


def test_problem_is_one_line_with_line_path_message_and_fix() -> None:
    document = parse("a:\n  - b: 1\n")
    problem = document.problem(("a", 0, "b"), "too small", "raise it")
    assert problem == Problem(2, "a[0].b", "too small", "raise it")
    assert str(problem) == "line 2: a[0].b: too small; raise it"
    assert str(Problem(0, "", "bad", "mend it")) == "bad; mend it"


def test_path_text() -> None:
    assert path_text(("rules", 2, "match", "levels")) == "rules[2].match.levels"
    assert path_text(()) == ""


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("a: 1\na: 2\n", 2, "stands twice"),
        ('a: 1\n"a": 2\n', 2, "stands twice"),
        ("a: &x 1\nb: *x\n", 1, "anchor"),
        ("&k a: 1\n", 1, "anchor"),
        ("a: 1\n*k : 2\n", 2, "key that is not text"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("!!str a: 1\n", 1, "tag"),
        ("? [a]\n: 1\n", 1, "key that is not text"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: 'x\n", 2, "not YAML"),
        ("a: 1\nb: \x07\n", 2, "control character"),
        ("a: 1234567890123456\n", 1, "digits"),
        ("a:\n\t- b\n", 2, "not YAML"),
    ],
)
def test_what_the_reader_leaves_out_is_refused_with_its_line(
    text: str, line: int, message: str
) -> None:
    with pytest.raises(YamlError, match=message) as caught:
        parse(text)
    assert caught.value.line == line
    assert caught.value.problem.line == line
    assert caught.value.code == "YAML_INVALID"


def test_bytes_that_are_not_utf8_are_refused_with_their_line() -> None:
    with pytest.raises(YamlError, match="UTF-8") as caught:
        parse_yaml(b"a: 1\nb: \xff\n", max_bytes=LIMIT)
    assert caught.value.line == 2


def test_size_is_bounded_inclusively() -> None:
    data = b"a: 1\n"
    assert parse_yaml(data, max_bytes=len(data)).value == {"a": 1}
    with pytest.raises(YamlError, match="exceeds"):
        parse_yaml(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_bounded_before_anything_is_built(opening: str) -> None:
    with pytest.raises(YamlError):
        parse(opening * 50_000)


def test_the_deepest_document_accepted() -> None:
    parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(YamlError, match="nesting"):
        parse("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_the_number_of_values_is_bounded() -> None:
    with pytest.raises(YamlError, match="values"):
        parse("[" + "1," * MAX_NODES + "]")


def test_an_error_never_quotes_the_document() -> None:
    with pytest.raises(YamlError) as caught:
        parse("a: *SECRET1\nb: 'x' SECRET2\n")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(YamlError) as caught:
        parse("b: 'x' SECRET2\n")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(YamlError) as caught:
        parse("SECRET3: 1\nSECRET3: 2\n")
    assert "SECRET" not in str(caught.value)


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn")))
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | _TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_TEXT.filter(bool), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_VALUES)
def test_json_reads_back_as_the_same_value(value: Any) -> None:
    assert parse(json.dumps(value, ensure_ascii=False)).value == value


@given(_VALUES)
def test_what_pyyaml_writes_reads_back_as_the_same_value(value: Any) -> None:
    text = yaml.dump(
        value, Dumper=_NoAliases, allow_unicode=True, default_style='"', sort_keys=False
    )
    if "!!" not in text:
        assert parse(text).value == value


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@given(st.binary(max_size=200) | st.text(alphabet="abc:-[]{}#&*!|>'\"%@`?\n\t ,0", max_size=80))
def test_any_bytes_give_a_document_or_a_yaml_error(data: bytes | str) -> None:
    raw = data if isinstance(data, bytes) else data.encode()
    try:
        line = parse_yaml(raw, max_bytes=150).line(())
    except YamlError as error:
        line = error.line
    assert line >= 1
