"""The manifest of a batch: what refuses the file, what is one row's outcome."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codes import Document
from gateway.edge.errors import ManifestError
from gateway.edge.manifest import COLUMNS, MAX_MANIFEST_BYTES, MAX_ROWS, parse_manifest
from gateway.edge.presentation import CarriedAttestation, LocalCode

RESIDENT = "11010519491231002X"  # the example of GB 11643 itself: synthetic


def write(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def test_the_three_kinds_of_presentation_are_read() -> None:
    rows = parse_manifest(
        write(
            [
                {
                    "ref": "a-1",
                    "origin": "3301",
                    "document_type": "10",
                    "document_number": RESIDENT.lower(),
                },
                {"ref": "a-2", "qr_text": "synthetic code, with a comma\nand a line end"[:28]},
                {"attestation": "eyJh.bbbb.cccc", "origin": "330100"},
            ]
        )
    )
    document, code, carried = (row.presentation for row in rows)
    assert isinstance(document, Document)
    assert document.number == RESIDENT
    assert rows[0].origin == "330100"
    assert code == LocalCode("synthetic code, with a comma")
    assert carried == CarriedAttestation("eyJh.bbbb.cccc")
    assert [row.ref for row in rows] == ["a-1", "a-2", "row-4"]
    assert [row.line for row in rows] == [2, 3, 4]


def test_a_byte_order_mark_and_empty_lines_are_no_fault() -> None:
    assert len(parse_manifest(b"\xef\xbb\xbfqr_text\r\nsynthetic\r\n\r\n")) == 1


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "MANIFEST_HEADER", 1),
        (b"\n", "MANIFEST_HEADER", 1),
        (b"qr_text\n", "MANIFEST_EMPTY", None),
        (b"qr_text,qr_text\nx,y\n", "MANIFEST_DUPLICATE_COLUMN", 1),
        (b"qr_txt\nx\n", "MANIFEST_HEADER", 1),
        (b"ref,origin\na,3301\n", "MANIFEST_HEADER", 1),
        ("qr_text\n健康码\n".encode("gb18030"), "MANIFEST_ENCODING", 2),
        ("qr_text\nx\n".encode("utf-16"), "MANIFEST_ENCODING", 1),
        (b"qr_text\nx\x00\n", "MANIFEST_ENCODING", 2),
        (b"qr_text,ref\nx\n", "MANIFEST_MALFORMED", 2),
        (b"qr_text,ref\nx,a,b\n", "MANIFEST_MALFORMED", 2),
        (b'qr_text\n"x\ny"z\n', "MANIFEST_MALFORMED", 2),
        (b'qr_text\nx\n"never closed\n', "MANIFEST_MALFORMED", 3),
        (b"qr_text\n" + b"x" * 200_000, "MANIFEST_MALFORMED", 2),
        (b"qr_text,ref\nx,a\ny,a\n", "MANIFEST_DUPLICATE_REF", 3),
        (b"qr_text,ref\nx,a b\n", "MANIFEST_MALFORMED", 2),
        (b'qr_text,ref\n"x\ny",a\nz,b c\n', "MANIFEST_MALFORMED", 4),
        (b"x" * (MAX_MANIFEST_BYTES + 1), "MANIFEST_TOO_LARGE", None),
        (b"qr_text\n" + b"x\n" * (MAX_ROWS + 1), "MANIFEST_TOO_LARGE", MAX_ROWS + 2),
    ],
)
def test_an_unreliable_file_is_refused_whole_with_its_line(
    data: bytes, code: str, line: int | None
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    assert caught.value.code == code
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "PRESENTATION_MALFORMED"),
        ({"qr_text": "x", "attestation": "y"}, "PRESENTATION_MALFORMED"),
        ({"qr_text": "x", "document_type": "10"}, "PRESENTATION_MALFORMED"),
        ({"qr_text": "x" * 3000}, "PRESENTATION_TOO_LONG"),
        ({"qr_text": "x" * 20000}, "PRESENTATION_TOO_LONG"),
        ({"qr_text": "a\x07b"}, "PRESENTATION_MALFORMED"),
        ({"qr_text": "x", "origin": "99"}, "DIVISION_UNKNOWN"),
        ({"qr_text": "x", "origin": "Hangzhou"}, "DIVISION_INVALID"),
        ({"document_type": "10", "document_number": RESIDENT}, "ORIGIN_REQUIRED"),
        (
            {"document_type": "10", "document_number": RESIDENT[:-1] + "1", "origin": "11"},
            "DOCUMENT_INVALID",
        ),
        ({"document_type": "77", "document_number": "AB1234", "origin": "11"}, "DOCUMENT_INVALID"),
        ({"document_type": "ten", "document_number": "AB1234", "origin": "11"}, "DOCUMENT_INVALID"),
        ({"attestation": "HUTONG1:not an armour"}, "ARMOUR_INVALID"),
    ],
)
def test_a_fault_of_one_traveller_is_that_rows_outcome(row: dict[str, str], code: str) -> None:
    bad, good = parse_manifest(write([{"ref": "bad"} | row, {"ref": "good", "qr_text": "ok"}]))
    assert bad.presentation is None
    assert bad.fault is not None
    assert bad.fault.code == code
    assert good.presentation == LocalCode("ok")


def test_no_message_and_no_repr_repeats_a_traveller() -> None:
    rows = parse_manifest(
        write(
            [
                {"document_type": "10", "document_number": RESIDENT[:-1] + "1", "origin": "11"},
                {"document_type": "10", "document_number": RESIDENT, "origin": "11"},
                {"qr_text": RESIDENT},
            ]
        )
    )
    assert RESIDENT[:-1] not in repr(rows)
    with pytest.raises(ManifestError) as caught:
        # No header: the first line is a traveller.
        parse_manifest(f"{RESIDENT},10\n".encode())
    assert RESIDENT not in str(caught.value)


_text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co"]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(_text.map(str.strip).filter(bool), min_size=1, max_size=20))
def test_every_text_survives_the_file(texts: list[str]) -> None:
    rows = parse_manifest(write([{"qr_text": text} for text in texts]))
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        assert row.fault is not None or row.presentation in (
            LocalCode(text.strip(" \t\r\n")),
            CarriedAttestation(text),
        )


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=400) | st.text(alphabet='qr_text,"\n\r ab\x00', max_size=80).map(str.encode)
)
def test_any_bytes_are_rows_or_a_manifest_error(data: bytes) -> None:
    try:
        rows = parse_manifest(data)
    except ManifestError:
        return
    assert len({row.ref for row in rows}) == len(rows)
    assert all((row.presentation is None) == (row.fault is not None) for row in rows)
