"""Enters converted codes into a platform that speaks HTTP and JSON.

The ``import`` ask of the scheme's connector says how (:mod:`adapters.sdk.connectors`).
What the door answers in words that are not listed, or not at all, is a failure:
nothing counts as converted that the platform did not say it has entered.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import structlog

from adapters.sdk.conversion import Imported
from adapters.sdk.errors import AdapterConfigError, UnreadableError
from adapters.sdk.http_answer import member_at, moment_of, open_envelopes, parse_json, text_of
from adapters.sdk.http_connector import HttpConnector
from adapters.sdk.reports import OutcomeReport
from gateway.codes.conversion import ImportRefusal
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.sdk.conversion import ImportOrder
    from adapters.sdk.http_spec import HttpSpec, ImportAsk
    from adapters.sdk.reports import Deadline

_log = structlog.get_logger(__name__)


class ImportingHttpConnector(HttpConnector):
    """A connector without code whose platform takes codes of other regions.

    Args:
        spec: the description; it has an ``import`` ask.
        more: as for :class:`~adapters.sdk.http_connector.HttpConnector`.

    Raises:
        AdapterConfigError: the description has no ``import`` ask.
    """

    def __init__(self, spec: HttpSpec, **more: Any) -> None:
        super().__init__(spec, **more)
        if spec.import_ask is None:
            raise AdapterConfigError("the connector has no `import` to ask")
        self._import = spec.import_ask

    async def import_code(
        self, order: ImportOrder, deadline: Deadline
    ) -> Imported | ImportRefusal | OutcomeReport:
        """Enter one code; see :class:`~adapters.sdk.conversion.Importer`."""
        values = self._order_values(order)
        if values is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        door = self._import
        reply = await self._send(door.ask, values, deadline, door.own_record_statuses)
        if isinstance(reply, OutcomeReport):
            return reply
        if reply.status in door.own_record_statuses:
            return ImportRefusal.OWN_RECORD
        try:
            return self._read_entered(reply.body)
        except UnreadableError as error:
            _log.warning("import_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    def _order_values(self, order: ImportOrder) -> dict[str, str] | None:
        """Return what the placeholders stand for; None: a document the platform lacks."""
        types, kind = self._import.ask.document_types, int(order.document.type)
        word = str(kind) if types is None else types.get(kind)
        if word is None:
            return None
        test = order.negative_test_at
        return {
            **self._common_values(),
            "document_type": word,
            "number": order.document.number,
            "name": order.name,
            "origin": order.origin,
            "state": order.state,
            "level": order.level.value,
            "assessed_at": self._written(order.assessed_at),
            "negative_test": "" if test is None else self._written(test),
            "valid_until": self._written(order.valid_until),
            "reference": order.reference,
        }

    def _written(self, moment: datetime) -> str:
        """Return a moment as the platform wants it."""
        form = self._import.times
        if form == "unix_s":
            return str(int(moment.timestamp()))
        if form == "unix_ms":
            return str(int(moment.timestamp() * 1000))
        local = moment.astimezone(UTC if self._import.zone == "UTC" else self._scheme.timezone)
        return local.isoformat() if form == "iso" else local.strftime(form)

    def _read_entered(self, body: bytes) -> Imported | ImportRefusal:
        """Read what the door answered.

        Raises:
            UnreadableError: it does not say that the code was entered.
        """
        door = self._import
        refused = False

        def check(level: int, document: Any) -> bool:
            nonlocal refused
            code = door.codes[level]
            word = text_of(member_at(document, code.path), code.path)
            refused = word in code.own_record
            if not refused and word not in code.ok:
                raise UnreadableError("a result code that the scheme does not list", code.path)
            return refused

        paths = [code.path for code in door.codes]
        document = open_envelopes(parse_json(body), door.json_strings, paths, check)
        if refused:
            return ImportRefusal.OWN_RECORD
        text = member_at(document, door.qr_text)
        if not isinstance(text, str) or not text:
            raise UnreadableError("no QR text", door.qr_text)
        return Imported(text, _end(door, document, self._scheme.timezone))


def _end(door: ImportAsk, document: Any, zone: Any) -> datetime | None:
    member = door.valid_until
    if member is None or member.path is None:
        return None
    value = text_of(member_at(document, member.path), member.path)
    return moment_of(value, member, zone)
