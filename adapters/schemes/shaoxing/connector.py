"""Asks Shaoxing's SOAP service about a holder; Python because the wire is XML.

What the service is asked and what its answer means stand in ``options.http`` of
``scheme.yaml``, whose fields become the members of the XML question. Written here is
only what is odd: a password that names the day, and XML as text inside SOAP.

Needs the secret ``app_id``. The service takes identity numbers alone; there is no QR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from adapters.schemes.http_part import read_http_part, require_secrets
from adapters.schemes.shaoxing.wire import (
    METHOD,
    make_password,
    open_answer,
    write_members,
    write_question,
)
from adapters.schemes.shaoxing.xml_reader import parse_xml
from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import read_document
from adapters.sdk.http_stand_in import read_stand_in, stand_in_record
from adapters.sdk.reports import OutcomeReport, QrText
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.reports import Deadline, Fetched, Presentation
    from adapters.sdk.upstream import UpstreamReply

_HEADERS: Final = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{METHOD}"'}

_CATALOGUE: Final = "QueryCatalogue"
"""What the password of the catalogue door names in place of the method. Chosen."""

_log = structlog.get_logger(__name__)


class ShaoxingConnector:
    """Connects Shaoxing.

    Args:
        context: what a connector is given.

    Raises:
        AdapterConfigError: the secret is missing, or ``options.http`` is not of the form.
    """

    def __init__(self, context: ConnectorContext) -> None:
        self._app_id = require_secrets(context, "app_id")["app_id"]
        self._spec = read_http_part(context)
        self._stand_in = write_members("HealthCode", stand_in_record(self._spec) or {})
        self._upstream = context.upstream
        self._scheme = context.scheme
        self._now = context.now

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Ask about one traveller; see :class:`~adapters.sdk.reports.Connector`."""
        if isinstance(presentation, QrText):
            # The service reads no QR; the province's own goes to the province.
            return OutcomeReport(Outcome.WRONG_REGION)
        ask = self._spec.ask["document"]
        if int(presentation.type) not in (ask.document_types or {}):
            return OutcomeReport(Outcome.NOT_FOUND)
        # The service refuses a lower-case x.
        number = presentation.number.upper()
        members = {name: str(text).replace("{number}", number) for name, text in ask.fields.items()}
        password = make_password(self._app_id, self._now())
        reply = await self._upstream.request(
            ask.method.value,
            ask.path,
            deadline=deadline,
            data=write_question(self._app_id, password, members),
            headers=_HEADERS,
            idempotent=ask.idempotent,
        )
        if isinstance(reply, OutcomeReport):
            return reply
        try:
            return self.interpret(reply.body)
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    def interpret(self, body: bytes) -> Fetched:
        """Read the reply to a question; see :class:`~adapters.sdk.interpreting.Interpreter`."""
        return read_document(self._spec, open_answer(body), self._scheme.timezone)[0]

    def read_stand_in(self) -> None:
        """Read a record of nobody; see :class:`~adapters.sdk.nobody.StandInReader`."""
        read_stand_in(self._spec, parse_xml(self._stand_in), self._scheme.timezone)

    async def catalogue(
        self, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the catalogue door; see :class:`~adapters.sdk.catalogue.CatalogueDoor`."""
        return await self._door("/catalogue", fields, deadline)

    async def changes(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the change feed; see :class:`~adapters.sdk.watching.ChangeDoor`."""
        return await self._door(path, fields, deadline)

    async def close(self) -> None:
        """Close the connections to the platform."""
        await self._upstream.close()

    async def _door(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        password = make_password(self._app_id, self._now(), _CATALOGUE)
        return await self._upstream.request(
            "GET",
            path,
            deadline=deadline,
            params={"appId": self._app_id, "password": password, **fields},
            idempotent=True,
        )
