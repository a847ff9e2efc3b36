"""Asks Hebei's platform as YAML says, and reads the verdict above the reports.

The wire is described in ``scheme.yaml`` (``options.http``). What YAML cannot say is
one rule: where the platform finds something that no single report tells (``hasWarm``
is other than 未见异常, or missing), reports that are all low are CANNOT_DETERMINE. A
restriction stands as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.schemes.http_part import read_http_part, require_secrets
from adapters.sdk.http_answer import member_at, parse_json, read_document
from adapters.sdk.http_connector import HttpConnector
from adapters.sdk.reports import OutcomeReport, Reports
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.reports import Fetched


class HebeiConnector(HttpConnector):
    """Connects Hebei.

    Args:
        context: what a connector is given; ``options`` hold ``http`` and ``verdict``:
            the ``path`` of the verdict, the word that is ``ok``, the ``low`` states.

    Raises:
        AdapterConfigError: ``options.http`` is not of the form, or a secret is missing.
    """

    def __init__(self, context: ConnectorContext) -> None:
        self._wire = read_http_part(context)
        verdict = context.options["verdict"]
        self._verdict_path = tuple(verdict["path"].split("."))
        self._ok: str = verdict["ok"]
        self._low = frozenset(verdict["low"])
        super().__init__(
            self._wire,
            scheme=context.scheme,
            upstream=context.upstream,
            secrets=require_secrets(context, *self._wire.secret_names),
            now=context.now,
        )

    def interpret(self, body: bytes) -> Fetched:
        """Read an answer; see :class:`~adapters.sdk.interpreting.Interpreter`."""
        fetched, document = read_document(self._wire, parse_json(body), self._scheme.timezone)
        if not isinstance(fetched, Reports):
            return fetched
        verdict = member_at(document, self._verdict_path)
        if verdict != self._ok and all(report.state in self._low for report in fetched.reports):
            return OutcomeReport(Outcome.CANNOT_DETERMINE, state=fetched.reports[0].state)
        return fetched
