"""Asks Zhejiang's provincial query; serves the province and Hangzhou alike.

Python and not YAML for two reasons: queries are signed with a secret that lives
for minutes and must be refreshed by a call of its own, and what a green record
means depends on a second member of it (the code type). The rest of the meaning
stands in ``scheme.yaml``.

Needs two secrets, ``app_key`` and ``app_secret``. One refresh runs at a time, and
whoever needs the secret waits for it. A query that is refused because of its
secret is asked once more with a fresh one; nothing else is asked twice here.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from adapters.schemes.zhejiang.wire import (
    OK,
    QUOTA,
    SECRET_REFUSED,
    STAND_IN,
    Envelope,
    Secrets,
    parse_answer,
    parse_envelope,
    parse_import,
    parse_secrets,
    write_import,
)
from adapters.sdk import OutcomeReport, QrText
from adapters.sdk.errors import AdapterConfigError, UnreadableError
from gateway.codes.documents import DocumentType
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sdk import Deadline, Fetched, Presentation
    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.conversion import Imported, ImportOrder
    from adapters.sdk.upstream import UpstreamReply
    from gateway.codes.conversion import ImportRefusal

_BY_KEY: Final = "/gateway/app/refreshTokenByKey"
_BY_SECRET: Final = "/gateway/app/refreshTokenBySec"  # noqa: S105 - a path
_BY_DOCUMENT: Final = "/gateway/api/qsjkmxxcx/1.0"
_BY_QR: Final = "/gateway/api/ewmcxjkm/1.0"
_IMPORT: Final = "/gateway/api/jkmhr/1.0"
_CATALOGUE: Final = "/catalogue"

_EARLY: Final = timedelta(seconds=30)
"""A secret that ends sooner is refreshed first: a call may wait as long on its way."""

_log = structlog.get_logger(__name__)


class ProvincialConnector:
    """Connects an authority of Zhejiang that reads the provincial query.

    Args:
        context: what a connector is given; needs ``app_key`` and ``app_secret``.

    Raises:
        AdapterConfigError: a secret is not configured.
    """

    def __init__(self, context: ConnectorContext) -> None:
        for name in ("app_key", "app_secret"):
            if not context.secrets.get(name):
                raise AdapterConfigError(f"the connector needs the secret {name}")
        self._app_key = context.secrets["app_key"]
        self._app_secret = context.secrets["app_secret"]
        self._upstream = context.upstream
        self._scheme = context.scheme
        self._now = context.now
        self._secrets: Secrets | None = None
        self._refreshing = asyncio.Lock()

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Ask about one traveller; see :class:`~adapters.sdk.reports.Connector`."""
        number: str | None = None
        if isinstance(presentation, QrText):
            if self._scheme.match_qr(presentation.text, self._now()) is None:
                return OutcomeReport(Outcome.WRONG_REGION)
            path, fields = _BY_QR, {"ewm": presentation.text}
        elif presentation.type is DocumentType.RESIDENT_IDENTITY_CARD:
            number = presentation.number
            path, fields = _BY_DOCUMENT, {"sfzh": number}
        else:
            # The province's interface takes resident identity numbers only.
            return OutcomeReport(Outcome.NOT_FOUND)
        try:
            envelope = await self._query(path, fields, deadline)
            if isinstance(envelope, OutcomeReport):
                return envelope
            return parse_answer(envelope, number)
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    async def import_code(
        self, order: ImportOrder, deadline: Deadline
    ) -> Imported | ImportRefusal | OutcomeReport:
        """Enter one code; see :class:`~adapters.sdk.conversion.Importer`.

        Only a scheme with an ``import`` rule is asked: Hangzhou's, not the province's.
        """
        if order.document.type is not DocumentType.RESIDENT_IDENTITY_CARD:
            return OutcomeReport(Outcome.NOT_FOUND)
        try:
            envelope = await self._query(_IMPORT, {}, deadline, write_import(order))
            return envelope if isinstance(envelope, OutcomeReport) else parse_import(envelope)
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    async def catalogue(
        self, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the catalogue door; see :class:`~adapters.sdk.catalogue.CatalogueDoor`.

        Its answer is no envelope of the gateway, but its refusal is one.
        """
        return await self._door(_CATALOGUE, b'"takenAt"', fields, deadline)

    async def changes(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the change feed; see :class:`~adapters.sdk.watching.ChangeDoor`."""
        return await self._door(path, b'"next"', fields, deadline)

    def interpret(self, body: bytes) -> Fetched:
        """Read the reply to a query; see :class:`~adapters.sdk.interpreting.Interpreter`."""
        envelope = parse_envelope(body)
        return parse_answer(envelope, None) if envelope.code == OK else _refusal(envelope)

    def read_stand_in(self) -> None:
        """Read a record of nobody; see :class:`~adapters.sdk.nobody.StandInReader`."""
        parse_answer(STAND_IN, None)

    async def close(self) -> None:
        """Close the connections to the platform."""
        await self._upstream.close()

    async def _query(
        self,
        path: str,
        fields: dict[str, str],
        deadline: Deadline,
        form: dict[str, str] | None = None,
    ) -> Envelope | OutcomeReport:
        """Ask with a living secret, and once more if that secret is refused."""
        refused: Secrets | None = None
        while True:
            secrets = await self._living_secrets(deadline, refused)
            if isinstance(secrets, OutcomeReport):
                return secrets
            envelope = await self._call(path, secrets.request, deadline, fields, form)
            if isinstance(envelope, OutcomeReport) or envelope.code == OK:
                return envelope
            if envelope.code not in SECRET_REFUSED or refused is not None:
                return _refusal(envelope)
            refused = secrets

    async def _door(
        self, path: str, mark: bytes, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask a door whose answer bears a mark and is no envelope of the gateway."""
        refused: Secrets | None = None
        try:
            while True:
                secrets = await self._living_secrets(deadline, refused)
                if isinstance(secrets, OutcomeReport):
                    return secrets
                reply = await self._send(path, secrets.request, deadline, dict(fields))
                if isinstance(reply, OutcomeReport) or mark in reply.body:
                    return reply
                envelope = parse_envelope(reply.body)
                if envelope.code not in SECRET_REFUSED or refused is not None:
                    return _refusal(envelope)
                refused = secrets
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    async def _living_secrets(
        self, deadline: Deadline, refused: Secrets | None
    ) -> Secrets | OutcomeReport:
        """A secret that lives long enough and is not the refused one."""
        if self._usable(refused) is None:
            try:
                # Not longer than the item's own time behind somebody else's refresh.
                async with asyncio.timeout(deadline.remaining_seconds()), self._refreshing:
                    if self._usable(refused) is None:
                        failure = await self._refresh(deadline)
                        if failure is not None:
                            return failure
            except TimeoutError:
                return OutcomeReport(Outcome.SOURCE_TIMED_OUT)
        return self._usable(refused) or OutcomeReport(Outcome.SOURCE_BUSY)

    def _usable(self, refused: Secrets | None) -> Secrets | None:
        secrets = self._secrets
        if secrets is None or secrets is refused:
            return None
        return secrets if secrets.request_ends_at - _EARLY > self._now() else None

    async def _refresh(self, deadline: Deadline) -> OutcomeReport | None:
        """Get fresh secrets, by the refresh secret where one lives, else by the app's own."""
        old, self._secrets = self._secrets, None
        if old is not None and old.refresh_ends_at - _EARLY > self._now():
            envelope = await self._call(_BY_SECRET, old.refresh, deadline, {})
            if isinstance(envelope, Envelope) and envelope.code == OK:
                self._secrets = parse_secrets(envelope)
                return None
        envelope = await self._call(_BY_KEY, self._app_secret, deadline, {})
        if isinstance(envelope, OutcomeReport):
            return envelope
        if envelope.code != OK:
            return _refusal(envelope)
        self._secrets = parse_secrets(envelope)
        return None

    async def _call(
        self,
        path: str,
        secret: str,
        deadline: Deadline,
        fields: dict[str, str],
        form: dict[str, str] | None = None,
    ) -> Envelope | OutcomeReport:
        reply = await self._send(path, secret, deadline, fields, form)
        return reply if isinstance(reply, OutcomeReport) else parse_envelope(reply.body)

    async def _send(
        self,
        path: str,
        secret: str,
        deadline: Deadline,
        fields: dict[str, str],
        form: dict[str, str] | None = None,
    ) -> UpstreamReply | OutcomeReport:
        moment = str(int(self._now().timestamp() * 1_000))
        # MD5 is what the gateway checks; it protects nothing that TLS does not.
        sign = hashlib.md5(
            f"{self._app_key}{secret}{moment}".encode(), usedforsecurity=False
        ).hexdigest()
        return await self._upstream.request(
            "GET" if form is None else "POST",
            path,
            deadline=deadline,
            params={"appKey": self._app_key, "requestTime": moment, "sign": sign, **fields},
            form=form,
            # A conversion too: the platform knows its reference again.
            idempotent=True,
        )


def _refusal(envelope: Envelope) -> OutcomeReport:
    """What a refusal of the gateway means; its text is not looked at."""
    if envelope.code == QUOTA:
        return OutcomeReport(Outcome.SOURCE_BUSY)
    # Two digits are a code; anything longer might be anything.
    code = envelope.code if len(envelope.code) <= 2 else "long"  # noqa: PLR2004 - as codes of the envelope are
    _log.warning("platform_refused", code=code)
    return OutcomeReport(Outcome.SOURCE_UNPARSABLE)
