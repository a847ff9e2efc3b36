"""Reads what Zhejiang's provincial gateway answers, and writes a conversion; pure.

The answer is a document inside a document. Reading is strict: UTF-8, no member
twice, members of the type the wire gives them, times in exactly the province's
form. Whatever is not understood raises `UnreadableError`; nothing is guessed and
nothing is replaced by the present.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk import LocalReport, OutcomeReport, Reports
from adapters.sdk.conversion import Imported
from adapters.sdk.errors import UnreadableError
from gateway.codes.conversion import ImportRefusal
from gateway.codes.documents import Document, DocumentError, DocumentType, parse_document
from gateway.codes.levels import Outcome
from gateway.codes.unified import MAX_ALSO

if TYPE_CHECKING:
    from adapters.sdk.conversion import ImportOrder

CITIES: Final = {
    "杭州市": "330100",
    "宁波市": "330200",
    "温州市": "330300",
    "嘉兴市": "330400",
    "湖州市": "330500",
    "绍兴市": "330600",
    "金华市": "330700",
    "衢州市": "330800",
    "舟山市": "330900",
    "台州市": "331000",
    "丽水市": "331100",
}
"""The eleven cities of Zhejiang by the name that ``mffd`` carries."""

EVERYWHERE: Final = "跨域互认码"
"""The ordinary code type; a choice, see scheme.yaml."""

GREEN_WORD: Final = "绿码"

OK: Final = "00"
QUOTA: Final = "18"
SECRET_REFUSED: Final = frozenset({"13", "15"})
"""Envelope codes that a fresh secret may mend: signature wrong, secret expired."""

_CARD: Final = "IDENTITY_CARD"
"""The document type (``zjlx``) that sources show; others are not known."""

_INNER: Final = {
    "JKM_NOT_APPLIED": Outcome.NOT_APPLIED,
    "JKM_MUST_UPDATE": Outcome.HOLDER_MUST_UPDATE,
    "JKM_QR_EXPIRED": Outcome.CODE_EXPIRED,
    "JKM_QR_UNKNOWN": Outcome.NOT_FOUND,
    "JKM_QR_NOT_OURS": Outcome.WRONG_REGION,
}

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}[+-][0-9]{4}", re.ASCII
)
_OWN_RECORD: Final = "JKM_OWN_RECORD"

_MAX_STATE: Final = 64  # UnifiedCode.state
_MAX_SECRET: Final = 256
_MAX_EPOCH_MS: Final = 253_402_300_799_000  # the end of the year 9999


@dataclass(frozen=True, slots=True, repr=False)
class Envelope:
    """The outer document.

    Attributes:
        code: the gateway's own code.
        datas: the inner part as it stands: JSON text, or a document.
    """

    code: str
    datas: Any


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What a refresh call gave; both are secrets.

    Attributes:
        request: signs queries.
        request_ends_at: exclusive.
        refresh: signs the next refresh.
        refresh_ends_at: exclusive.
    """

    request: str
    request_ends_at: datetime
    refresh: str
    refresh_ends_at: datetime


STAND_IN: Final = Envelope(
    OK,
    json.dumps(
        {
            "success": True,
            "data": [
                {
                    "sfzh": "330100210001010014",
                    "zjlx": _CARD,
                    "mffd": "杭州市",
                    "mzt": GREEN_WORD,
                    "mlx": EVERYWHERE,
                    "zjgxsj": "2020-03-01T00:00:00.000+0000",
                    "hmcmyy": "synthetic",
                }
            ],
        },
        ensure_ascii=False,
    ),
)
"""A record of nobody, born in 2100, in the form of anybody's."""


def parse_envelope(body: bytes) -> Envelope:
    """Read the outer document.

    Raises:
        UnreadableError: it is none.
    """
    document = _parse(body)
    code = document.get("code") if isinstance(document, dict) else None
    if not isinstance(code, str) or not isinstance(document, dict):
        raise UnreadableError("no envelope with a code")
    return Envelope(code, document.get("datas"))


def parse_secrets(envelope: Envelope) -> Secrets:
    """Read what a refresh call answered.

    Raises:
        UnreadableError: a member is missing or of another type.
    """
    document = _inner(envelope)
    return Secrets(
        request=_secret(document, "requestSecret"),
        request_ends_at=_epoch_ms(document, "requestSecretEndTime"),
        refresh=_secret(document, "refreshSecret"),
        refresh_ends_at=_epoch_ms(document, "refreshSecretEndTime"),
    )


def parse_answer(envelope: Envelope, asked_number: str | None) -> Reports | OutcomeReport:
    """Read what a query answered.

    Args:
        envelope: with code ``00``.
        asked_number: the document number that was asked about, upper case; None: a
            QR text was asked about, and any one person may come back.

    Raises:
        UnreadableError: something is missing, of another type, or about somebody
            else.
    """
    document = _inner(envelope)
    records = document.get("data")
    if document.get("success") is not True:
        error = document.get("errorCode")
        outcome = _INNER.get(error) if isinstance(error, str) else None
        if document.get("success") is not False or outcome is None:
            raise UnreadableError("a refusal that is not known")
        return OutcomeReport(outcome)
    if not isinstance(records, list) or len(records) > MAX_ALSO + 1:
        raise UnreadableError("no list of records, or too many")
    people = {_text(record, "sfzh").upper() for record in records}
    if len(people) > 1:
        return OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)
    if asked_number is not None and people - {asked_number}:
        raise UnreadableError("a record of somebody else")
    reports = tuple(_report(record) for record in records)
    return Reports(reports, None if asked_number else _subject(records))


def write_import(order: ImportOrder) -> dict[str, str]:
    """Write the form that enters a code converted from another region's."""
    return {
        "ywlsh": order.reference,
        "zjlx": _CARD,
        "sfzh": order.document.number,
        "xm": order.name,
        "lydq": order.origin,
        "hsjcsj": write_time(order.negative_test_at) if order.negative_test_at else "",
        "yxqz": write_time(order.valid_until),
    }


def parse_import(envelope: Envelope) -> Imported | ImportRefusal:
    """Read what the import door answered.

    Args:
        envelope: with code ``00``.

    Raises:
        UnreadableError: nothing was entered, for a reason that is none of ours to
            give, or the answer does not say how the code looks and when it ends.
    """
    document = _inner(envelope)
    if document.get("success") is not True:
        if document.get("success") is False and document.get("errorCode") == _OWN_RECORD:
            return ImportRefusal.OWN_RECORD
        raise UnreadableError("a refusal that is not known")
    data = document.get("data")
    return Imported(_text(data, "ewm"), parse_time(_text(data, "yxqz")))


def write_time(moment: datetime) -> str:
    """Write a time as the province does: UTC, milliseconds, offset without colon."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def parse_time(text: str) -> datetime:
    """Read a time such as ``2021-08-10T08:49:17.000+0000``; UTC, whole seconds.

    Raises:
        UnreadableError: another form, or no such moment.
    """
    if not _TIME.fullmatch(text):
        raise UnreadableError("a time in another form")
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return moment.replace(microsecond=0) if moment.microsecond else moment
    except (ValueError, OverflowError):
        raise UnreadableError("no such moment") from None


def _subject(records: list[Any]) -> Document | None:
    """The one person whose records these are; None: there is none, or no such document."""
    if not records or any(record.get("zjlx") != _CARD for record in records):
        return None
    try:
        return parse_document(DocumentType.RESIDENT_IDENTITY_CARD, records[0]["sfzh"])
    except DocumentError:
        # The records may be right all the same; they are only not tied to a card.
        return None


def _report(record: Any) -> LocalReport:
    city = _text(record, "mffd")
    if city not in CITIES:
        raise UnreadableError("an issuing city that is none of Zhejiang's")
    updated = parse_time(_text(record, "zjgxsj"))
    reason = record.get("hmcmyy")
    if reason is not None and not isinstance(reason, str):
        raise UnreadableError("a reason that is no text")
    return LocalReport(
        state=_state(_text(record, "mzt"), _text(record, "mlx")),
        issued_by=CITIES[city],
        assessed_at=updated,
        source_at=updated,
        valid_until=_moment(record, "yxqz"),
        reason=reason or None,
        scope=city,
        negative_test_at=_moment(record, "hsjcsj"),
    )


def _moment(record: Any, name: str) -> datetime | None:
    """A time that only a converted code carries; None: it is absent, null or empty."""
    if record.get(name) in (None, ""):
        return None
    return parse_time(_text(record, name))


def _state(word: str, kind: str) -> str:
    """The state word, with the code type beside a green that is not good everywhere."""
    state = f"{word}/{kind}" if word == GREEN_WORD and kind != EVERYWHERE else word
    if len(state) > _MAX_STATE:
        raise UnreadableError("a state that is too long")
    return state


def _inner(envelope: Envelope) -> dict[str, Any]:
    if not isinstance(envelope.datas, str):
        raise UnreadableError("datas is no text")
    document = _parse(envelope.datas.encode("utf-8", "surrogatepass"))
    if not isinstance(document, dict):
        raise UnreadableError("datas holds no document")
    return document


def _parse(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise UnreadableError("no JSON") from None


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(members)
    if len(document) != len(members):
        raise ValueError("a member stands twice")
    return document


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once)


def _text(document: Any, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, str) or not value:
        raise UnreadableError(f"{name} is missing or no text")
    return value


def _secret(document: dict[str, Any], name: str) -> str:
    value = _text(document, name)
    if len(value) > _MAX_SECRET:
        raise UnreadableError(f"{name} is too long")
    return value


def _epoch_ms(document: dict[str, Any], name: str) -> datetime:
    value = document.get(name)
    if type(value) is not int or not 0 <= value <= _MAX_EPOCH_MS:
        raise UnreadableError(f"{name} is no time in milliseconds")
    return datetime.fromtimestamp(value / 1_000, UTC)
