"""Asks Shanghai: whose QR text it is, and then, apart from that, which colour.

Two systems. The e-licence library resolves a QR text to a person, inside a session
that ends without notice: whoever is refused logs in anew and asks once more. The
colour is asked for by document, as ``options.http`` of ``scheme.yaml`` says; where no
such interface is configured, and where it holds no colour of the person, the answer
is a record in the state 身份已核验, which the scheme maps to EVIDENCE_ONLY. A fault of
either call is that fault: nobody is green, nor evidence, because a system is down.

Needs the secrets ``user`` and ``password`` of the library, and those of ``http``.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapters.schemes.http_part import read_http_part, require_secrets
from adapters.sdk.errors import AdapterConfigError, UnreadableError
from adapters.sdk.http_connector import HttpConnector
from adapters.sdk.reports import LocalReport, OutcomeReport, QrText, Reports
from gateway.codes.documents import Document, DocumentError, DocumentType, parse_document
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.reports import Deadline, Fetched, Presentation
    from adapters.sdk.upstream import UpstreamReply

_LOGIN: Final = "/elicence/login"
_SCAN: Final = "/elicence/scanCertQrCode"

_OK: Final = "0"
_SESSION_ENDED: Final = "401"
_OUTCOMES: Final = {
    "404": Outcome.NOT_FOUND,
    "410": Outcome.CODE_EXPIRED,
    "415": Outcome.WRONG_REGION,
    "420": Outcome.NOT_APPLIED,
    "428": Outcome.HOLDER_MUST_UPDATE,
    "429": Outcome.SOURCE_BUSY,
}
"""Return codes of the library; all chosen, see the scheme."""

_CHECK: Final = {
    "pos": "跨省核验点",
    "use": "健康信息核验",
    "orgName": "互通",
    "username": "互通",
    "itemCode": "HUTONG-HEALTH",
    "businessCode": "HUTONG-HEALTH",
}
"""What a scan must say of who scans and why (members of K1, values chosen)."""

_IDENTITY_ONLY: Final = "身份已核验"

_log = structlog.get_logger(__name__)


class ShanghaiConnector:
    """Connects Shanghai.

    Args:
        context: what a connector is given; ``options.http`` describes the interface
            for the colour and may be left out.

    Raises:
        AdapterConfigError: ``options.http`` is not of the form, or a secret is missing.
    """

    def __init__(self, context: ConnectorContext) -> None:
        login = require_secrets(context, "user", "password")
        self._login = {"username": login["user"], "password": login["password"]}
        self._upstream = context.upstream
        self._scheme = context.scheme
        self._now = context.now
        self._session: str | None = None
        self._logging_in = asyncio.Lock()
        self._colours: HttpConnector | None = None
        if "http" in context.options:
            wire = read_http_part(context)
            self._colours = HttpConnector(
                wire,
                scheme=context.scheme,
                upstream=context.upstream,
                secrets=require_secrets(context, *wire.secret_names),
                now=context.now,
            )

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Ask about one traveller; see :class:`~adapters.sdk.reports.Connector`."""
        if not isinstance(presentation, QrText):
            return await self._colour_of(presentation, deadline)
        try:
            person = await self._resolve(presentation.text, deadline)
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)
        if isinstance(person, OutcomeReport):
            return person
        colour = await self._colour_of(person, deadline)
        if isinstance(colour, OutcomeReport):
            if colour.outcome is not Outcome.NOT_FOUND:
                return colour
            colour = Reports((self._identity_only(),))
        return replace(colour, subject=person)

    def interpret(self, body: bytes) -> Fetched:
        """Read the reply about a colour; see :class:`~adapters.sdk.interpreting.Interpreter`."""
        if self._colours is None:
            raise AdapterConfigError("no interface for the colour is configured")
        return self._colours.interpret(body)

    def read_stand_in(self) -> None:
        """Read a record of nobody; see :class:`~adapters.sdk.nobody.StandInReader`."""
        if self._colours is not None:
            self._colours.read_stand_in()

    async def catalogue(
        self, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the catalogue door; see :class:`~adapters.sdk.catalogue.CatalogueDoor`."""
        if self._colours is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        return await self._colours.catalogue(fields, deadline)

    async def changes(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the change feed; see :class:`~adapters.sdk.watching.ChangeDoor`."""
        if self._colours is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        return await self._colours.changes(path, fields, deadline)

    async def close(self) -> None:
        """Close the connections to the platform."""
        await self._upstream.close()

    async def _colour_of(self, person: Document, deadline: Deadline) -> Fetched:
        if self._colours is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        return await self._colours.fetch(person, deadline)

    def _identity_only(self) -> LocalReport:
        now = self._now().replace(microsecond=0)
        return LocalReport(
            state=_IDENTITY_ONLY,
            issued_by=self._scheme.authority,
            assessed_at=now,
            source_at=now,
        )

    async def _resolve(self, text: str, deadline: Deadline) -> Document | OutcomeReport:
        """Whose text it is, asked once more where the session has ended."""
        if self._scheme.match_qr(text, self._now()) is None:
            return OutcomeReport(Outcome.WRONG_REGION)
        # A kiosk does the same with what its scanner leaves behind the text.
        text = text.rstrip("\r\n")
        ended: str | None = None
        while True:
            session = await self._living_session(deadline, ended)
            if isinstance(session, OutcomeReport):
                return session
            fields = {"sessionId": session, "certQrCode": text, **_CHECK}
            answer = await self._call(_SCAN, fields, deadline)
            if isinstance(answer, OutcomeReport):
                return answer
            if answer["code"] != _SESSION_ENDED or ended is not None:
                return _person(answer)
            ended = session

    async def _living_session(self, deadline: Deadline, ended: str | None) -> str | OutcomeReport:
        """A session that is not the ended one; one login at a time."""
        try:
            async with asyncio.timeout(deadline.remaining_seconds()), self._logging_in:
                if self._session is None or self._session == ended:
                    answer = await self._call(_LOGIN, self._login, deadline)
                    if isinstance(answer, OutcomeReport):
                        return answer
                    refusal = _refusal(answer)
                    if refusal is not None:
                        return refusal
                    self._session = _member(answer.get("data"), "sessionId")
                return self._session
        except TimeoutError:
            return OutcomeReport(Outcome.SOURCE_TIMED_OUT)

    async def _call(
        self, path: str, fields: dict[str, str], deadline: Deadline
    ) -> dict[str, Any] | OutcomeReport:
        reply = await self._upstream.request(
            "POST", path, deadline=deadline, form=fields, idempotent=True
        )
        if isinstance(reply, OutcomeReport):
            return reply
        try:
            answer = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise UnreadableError("no JSON") from None
        if not isinstance(answer, dict):
            raise UnreadableError("no object")
        _member(answer, "code")
        return answer


def _person(answer: dict[str, Any]) -> Document | OutcomeReport:
    """The one person that the library names; its text and name are not kept."""
    refusal = _refusal(answer)
    if refusal is not None:
        return refusal
    found = answer.get("data")
    people = found if isinstance(found, list) else [found]
    if not any(people):
        return OutcomeReport(Outcome.NOT_FOUND)
    numbers = {_member(person, "zjhm").upper() for person in people}
    if len(numbers) > 1:
        return OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)
    try:
        return parse_document(DocumentType.RESIDENT_IDENTITY_CARD, numbers.pop())
    except DocumentError:
        raise UnreadableError("no resident identity number", ("data", "zjhm")) from None


def _refusal(answer: dict[str, Any]) -> OutcomeReport | None:
    code = answer["code"]
    if code == _OK:
        return None
    outcome = _OUTCOMES.get(code)
    if outcome is None:
        raise UnreadableError("a return code that is not listed", ("code",))
    return OutcomeReport(outcome)


def _member(value: Any, name: str) -> str:
    member = value.get(name) if isinstance(value, dict) else None
    if not isinstance(member, str) or not member:
        raise UnreadableError("missing", (name,))
    return member
