"""Asks Chongqing's platform about a holder; Python because the wire is encrypted.

Needs the secrets ``app_key``, which names the client in a header, and ``sm4_key``, 32
hexadecimal digits. A QR text travels as it was scanned, under SM4. A health card, which
the same person may show at the same counter, is no 渝康码 and is not sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from adapters.schemes.chongqing.wire import (
    KEY_BYTES,
    encrypt,
    parse_answer,
    parse_records,
    write_card,
    write_stand_in,
)
from adapters.sdk import OutcomeReport, QrText
from adapters.sdk.errors import AdapterConfigError, UnreadableError
from gateway.codes.documents import DocumentType
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sdk import Deadline, Fetched, Presentation
    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.upstream import UpstreamReply

_BY_QR: Final = "/ykm/getHealthCardInfo/ykm"
_BY_CARD: Final = "/ykm/getHealthCardInfo/zjhm"

_log = structlog.get_logger(__name__)


class ChongqingConnector:
    """Connects Chongqing.

    Args:
        context: what a connector is given.

    Raises:
        AdapterConfigError: a secret is missing, or the key is none.
    """

    def __init__(self, context: ConnectorContext) -> None:
        self._app_key = context.secrets.get("app_key", "")
        try:
            self._key = bytes.fromhex(context.secrets.get("sm4_key", ""))
        except ValueError:
            self._key = b""
        if not self._app_key or len(self._key) != KEY_BYTES:
            raise AdapterConfigError(
                "the connector needs the secrets app_key and sm4_key, the latter 32 "
                "hexadecimal digits"
            )
        self._stand_in = write_stand_in(self._key)
        self._upstream = context.upstream
        self._scheme = context.scheme
        self._now = context.now

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Ask about one traveller; see :class:`~adapters.sdk.reports.Connector`."""
        asked = None
        if isinstance(presentation, QrText):
            if self._scheme.match_qr(presentation.text, self._now()) is None:
                return OutcomeReport(Outcome.WRONG_REGION)
            path, text = _BY_QR, presentation.text
        elif presentation.type is DocumentType.RESIDENT_IDENTITY_CARD:
            asked = presentation
            path, text = _BY_CARD, write_card(presentation.number)
        else:
            return OutcomeReport(Outcome.NOT_FOUND)
        reply = await self._upstream.request(
            "GET",
            path,
            deadline=deadline,
            params={"ciphertext": encrypt(self._key, text)},
            headers={"appKey": self._app_key},
            idempotent=True,
        )
        if isinstance(reply, OutcomeReport):
            return reply
        try:
            return parse_answer(reply.body, self._key, self._scheme.timezone, asked)
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    def interpret(self, body: bytes) -> Fetched:
        """Read a reply; see :class:`~adapters.sdk.interpreting.Interpreter`."""
        return parse_answer(body, self._key, self._scheme.timezone, None)

    def read_stand_in(self) -> None:
        """Read a record of nobody; see :class:`~adapters.sdk.nobody.StandInReader`."""
        parse_records(self._stand_in, self._key, self._scheme.timezone, None)

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
        return await self._upstream.request(
            "GET",
            path,
            deadline=deadline,
            params=fields,
            headers={"appKey": self._app_key},
            idempotent=True,
        )
