"""What travels between a client and Chongqing's platform; pure.

Both ways JSON under SM4 in ECB mode, written in hexadecimal. The mode hides neither
repetition nor tampering: it is what the platform takes, and protects nothing that
TLS does not. So whatever comes out of a ciphertext is read as if anybody had written
it: UTF-8, no member twice, every member of its type, times in exactly one form.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

from adapters.sdk import LocalReport, OutcomeReport, Reports
from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import parse_json
from gateway.codes.documents import Document, DocumentError, DocumentType, parse_document
from gateway.codes.levels import Outcome
from gateway.codes.unified import MAX_ALSO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

KEY_BYTES: Final = 16
"""An SM4 key (GB/T 32907)."""

CITY: Final = "500000"

_BLOCK_BITS: Final = 128
_BLOCK_DIGITS: Final = 32
_OK: Final = "0"
_OUTCOMES: Final = {
    "1001": Outcome.NOT_APPLIED,
    "1002": Outcome.NOT_FOUND,
    "1003": Outcome.CODE_EXPIRED,
    "1004": Outcome.WRONG_REGION,
    "1005": Outcome.HOLDER_MUST_UPDATE,
    "1429": Outcome.SOURCE_BUSY,
}
_HEX: Final = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_DIVISION: Final = re.compile(r"50[0-9]{4}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_MAX_STATE: Final = 64  # UnifiedCode.state


def encrypt(key: bytes, text: str) -> str:
    """Write a text as the platform takes it: SM4-ECB, PKCS 7, upper-case hexadecimal."""
    padder = PKCS7(_BLOCK_BITS).padder()
    clear = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(SM4(key), ECB()).encryptor()  # noqa: S305 - the platform's mode
    return (encryptor.update(clear) + encryptor.finalize()).hex().upper()


def decrypt(key: bytes, digits: str) -> bytes:
    """Read what the platform wrote so.

    Raises:
        UnreadableError: it is no such text, or was written under another key.
    """
    if not _HEX.fullmatch(digits) or len(digits) % _BLOCK_DIGITS:
        raise UnreadableError("no whole blocks in hexadecimal", ("CipherText",))
    decryptor = Cipher(SM4(key), ECB()).decryptor()  # noqa: S305 - the platform's mode
    unpadder = PKCS7(_BLOCK_BITS).unpadder()
    try:
        clear = decryptor.update(bytes.fromhex(digits)) + decryptor.finalize()
        return unpadder.update(clear) + unpadder.finalize()
    except ValueError:
        raise UnreadableError("does not open", ("CipherText",)) from None


def write_card(number: str) -> str:
    """Return the text that asks about a document number."""
    return json.dumps({"zjhm": number}, separators=(",", ":"))


def write_stand_in(key: bytes) -> str:
    """Write a record of nobody, born in 2100, in the form of anybody's; encrypted."""
    record = {
        "zjhm": "500103210001010015",
        "jkmzt": "绿色",
        "jkmyy": "synthetic",
        "xzqh": CITY,
        "pdsj": "2020-03-01 00:00:00",
        "gxsj": "2020-03-01 00:00:00",
    }
    return encrypt(key, json.dumps(record, ensure_ascii=False))


def parse_answer(
    body: bytes, key: bytes, zone: ZoneInfo, asked: Document | None
) -> Reports | OutcomeReport:
    """Read the reply to a question.

    Args:
        body: as it came.
        key: opens it.
        zone: in which its times are written.
        asked: the document that was asked about; None: a QR text was, or it is not
            known.

    Raises:
        UnreadableError: it is not of this wire, or about somebody else.
    """
    answer = parse_json(body)
    if not isinstance(answer, dict):
        raise UnreadableError("no document")
    code = _text(answer, "code")
    if code != _OK:
        outcome = _OUTCOMES.get(code)
        if outcome is None:
            raise UnreadableError("a result code that is not known", ("code",))
        return OutcomeReport(outcome)
    return parse_records(_text(answer, "CipherText"), key, zone, asked)


def parse_records(
    digits: str, key: bytes, zone: ZoneInfo, asked: Document | None
) -> Reports | OutcomeReport:
    """Read the part of a reply that is encrypted; see :func:`parse_answer`."""
    records = parse_json(decrypt(key, digits), ("CipherText",))
    records = [records] if isinstance(records, dict) else records
    if not isinstance(records, list) or len(records) > MAX_ALSO + 1:
        raise UnreadableError("neither a record nor a list of them", ("CipherText",))
    if not records:
        return OutcomeReport(Outcome.NOT_FOUND)
    people = {_holder(record) for record in records}
    if len(people) > 1:
        return OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)
    holder = people.pop()
    if asked is not None and asked != holder:
        raise UnreadableError("a record of somebody else", ("zjhm",))
    return Reports(tuple(_report(record, zone) for record in records), holder)


def _holder(record: Any) -> Document:
    number = _text(record, "zjhm")
    try:
        return parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number.upper())
    except DocumentError:
        raise UnreadableError("no identity number", ("zjhm",)) from None


def _report(record: Mapping[str, Any], zone: ZoneInfo) -> LocalReport:
    state = _text(record, "jkmzt")
    if len(state) > _MAX_STATE:
        raise UnreadableError("too long", ("jkmzt",))
    if not _DIVISION.fullmatch(_text(record, "xzqh")):
        raise UnreadableError("issued outside Chongqing", ("xzqh",))
    reason = record.get("jkmyy")
    if reason is not None and not isinstance(reason, str):
        raise UnreadableError("no text", ("jkmyy",))
    return LocalReport(
        state=state,
        issued_by=CITY,
        assessed_at=_moment(record, "pdsj", zone),
        source_at=_moment(record, "gxsj", zone),
        reason=reason or None,
    )


def _text(record: Any, name: str) -> str:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, str) or not value:
        raise UnreadableError("missing or no text", (name,))
    return value


def _moment(record: Mapping[str, Any], name: str, zone: ZoneInfo) -> datetime:
    text = _text(record, name)
    if not _TIME.fullmatch(text):
        raise UnreadableError("a time in another form", (name,))
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableError("no such moment", (name,)) from None
