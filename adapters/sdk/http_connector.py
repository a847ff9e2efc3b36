"""Asks a platform that speaks HTTP and JSON, as the scheme's connector describes it.

:mod:`adapters.sdk.http_answer` reads what comes back; what it cannot read is
SOURCE_UNPARSABLE.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as randomness
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import read_answer
from adapters.sdk.http_spec import PLACEHOLDER, Algorithm, Ask, AuthKind, Method, Send
from adapters.sdk.http_stand_in import read_stand_in, stand_in_record
from adapters.sdk.reports import OutcomeReport, QrText, Reports
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from adapters.sdk.http_spec import Auth, FieldValue, HttpSpec
    from adapters.sdk.reports import Deadline, Fetched, Presentation
    from adapters.sdk.upstream import Upstream, UpstreamReply
    from gateway.codes.scheme_model import Scheme

_CATALOGUE: Final = Ask(Method.GET, "/catalogue", Send.QUERY, True, {}, None)  # noqa: FBT003 - idempotent, by position as the class has it
"""The same door in every city, behind its own authentication (adapters.platforms.catalogue)."""

_log = structlog.get_logger(__name__)


class HttpConnector:
    """A connector without code.

    Args:
        spec: the description.
        scheme: for its zone and its QR patterns.
        upstream: calls the platform.
        secrets: secrets by name; every one that the description names is there.
        now: wall clock.
    """

    def __init__(
        self,
        spec: HttpSpec,
        *,
        scheme: Scheme,
        upstream: Upstream,
        secrets: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        self._spec = spec
        self._scheme = scheme
        self._upstream = upstream
        self._secrets = secrets
        self._now = now
        asked_by_qr = spec.ask.get("qr_text")
        self._groups = frozenset(_groups(asked_by_qr.fields) if asked_by_qr else ())
        self._stand_in = stand_in_record(spec)

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Ask about one traveller; see :class:`~adapters.sdk.reports.Connector`."""
        is_qr = isinstance(presentation, QrText)
        ask = self._spec.ask.get("qr_text" if is_qr else "document")
        if ask is None:
            return OutcomeReport(Outcome.NOT_FOUND)
        values = self._values(presentation, ask)
        if isinstance(values, OutcomeReport):
            return values
        reply = await self._send(ask, values, deadline, self._spec.statuses.keys())
        if isinstance(reply, OutcomeReport):
            return reply
        if reply.status in self._spec.statuses:
            return OutcomeReport(self._spec.statuses[reply.status])
        try:
            return _about(self.interpret(reply.body), presentation)
        except UnreadableError as error:
            _log.warning("platform_answer_unreadable", why=str(error))
            return OutcomeReport(Outcome.SOURCE_UNPARSABLE)

    def interpret(self, body: bytes) -> Fetched:
        """Read an answer; see :class:`~adapters.sdk.interpreting.Interpreter`."""
        return read_answer(self._spec, body, self._scheme.timezone)

    def read_stand_in(self) -> None:
        """Read a record of nobody; see :class:`~adapters.sdk.nobody.StandInReader`."""
        if self._stand_in is not None:
            read_stand_in(self._spec, self._stand_in, self._scheme.timezone)

    async def _send(
        self, ask: Ask, values: Mapping[str, str], deadline: Deadline, accept: Collection[int]
    ) -> UpstreamReply | OutcomeReport:
        fields = self._fill_all(ask.fields, values)
        headers = _sign(self._spec.auth, fields, self._secrets, lambda t: self._fill(t, values))
        return await self._upstream.request(
            ask.method.value,
            ask.path,
            deadline=deadline,
            params=fields if ask.send is Send.QUERY else None,
            form=fields if ask.send is Send.FORM else None,
            json=fields if ask.send is Send.JSON else None,
            headers=headers,
            idempotent=ask.idempotent,
            accept=accept,
        )

    async def catalogue(
        self, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the catalogue door; see :class:`~adapters.sdk.catalogue.CatalogueDoor`."""
        return await self._send(
            replace(_CATALOGUE, fields=fields), self._common_values(), deadline, ()
        )

    async def changes(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Ask the change feed; see :class:`~adapters.sdk.watching.ChangeDoor`."""
        ask = replace(_CATALOGUE, path=path, fields=fields)
        return await self._send(ask, self._common_values(), deadline, ())

    async def close(self) -> None:
        """Close the connections to the platform."""
        await self._upstream.close()

    def _values(self, presentation: Presentation, ask: Ask) -> dict[str, str] | OutcomeReport:
        """Return what the placeholders of a request stand for."""
        values = self._common_values()
        if isinstance(presentation, QrText):
            pattern = self._scheme.match_qr(presentation.text, self._now())
            if pattern is None:
                return OutcomeReport(Outcome.WRONG_REGION)
            groups = pattern.groups(presentation.text)
            if not self._groups <= groups.keys():
                # Ours, but without what the platform would be asked about.
                return OutcomeReport(Outcome.CANNOT_DETERMINE)
            values["text"] = presentation.text
            values.update({f"group:{name}": text for name, text in groups.items()})
            return values
        word = str(int(presentation.type))
        if ask.document_types is not None:
            known = ask.document_types.get(int(presentation.type))
            if known is None:
                return OutcomeReport(Outcome.NOT_FOUND)
            word = known
        return {**values, "type": word, "number": presentation.number}

    def _common_values(self) -> dict[str, str]:
        now = self._now()
        return {
            "unix_s": str(int(now.timestamp())),
            "unix_ms": str(int(now.timestamp() * 1000)),
            "nonce": randomness.token_hex(16),
        }

    def _fill_all(
        self, fields: Mapping[str, FieldValue], values: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            name: self._fill(value, values)
            if isinstance(value, str)
            else self._fill_all(value, values)
            for name, value in fields.items()
        }

    def _fill(self, template: str, values: Mapping[str, str]) -> str:
        def one(match: Any) -> str:
            if match[1] == "secret":
                return self._secrets[match[2]]
            return values.get(f"{match[1]}:{match[2]}" if match[2] else match[1], "")

        return PLACEHOLDER.sub(one, template)


def _groups(fields: Mapping[str, FieldValue]) -> Iterator[str]:
    """Yield the groups of a QR text that fields are filled with."""
    for value in fields.values():
        if isinstance(value, str):
            yield from (m[2] for m in PLACEHOLDER.finditer(value) if m[1] == "group")
        else:
            yield from _groups(value)


def _about(fetched: Fetched, presentation: Presentation) -> Fetched:
    """Return what was fetched, if it is about whom the platform was asked.

    Raises:
        UnreadableError: it is about somebody else.
    """
    if (
        isinstance(fetched, Reports)
        and fetched.subject is not None
        and not isinstance(presentation, QrText)
        and fetched.subject.number != presentation.number
    ):
        raise UnreadableError("a record of somebody else")
    return fetched


def _sign(
    auth: Auth | None,
    fields: dict[str, Any],
    secrets: Mapping[str, str],
    fill: Callable[[str], str],
) -> dict[str, str]:
    """Add what proves who asks: header members are returned, fields are added in place."""
    if auth is None:
        return {}
    if auth.kind is AuthKind.HEADER:
        return {auth.name: auth.prefix + secrets[auth.secret]}
    if auth.kind is AuthKind.BASIC:
        pair = f"{secrets[auth.user]}:{secrets[auth.secret]}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    fields.update({name: fill(template) for name, template in auth.fields.items()})
    # Fields inside fields have no place in a signature of this kind.
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    ordered = "&".join(f"{name}={texts[name]}" for name in sorted(texts))

    def one(match: Any) -> str:
        if match[1] == "sorted":
            return ordered
        return texts.get(match[2], "") if match[1] == "field" else fill(match[0])

    text = PLACEHOLDER.sub(one, auth.over).encode()
    if auth.algorithm is Algorithm.HMAC_SHA256:
        digest = hmac.new(secrets[auth.key].encode(), text, hashlib.sha256).hexdigest()
    elif auth.algorithm is Algorithm.MD5:
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()  # the platform's choice
    else:
        digest = hashlib.sha256(text).hexdigest()
    fields[auth.sign] = digest.upper() if auth.upper else digest
    return {}
