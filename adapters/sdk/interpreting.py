"""Reads a reply that was saved, with the code that reads it in service, without a network.

``hutong scheme explain`` shows an engineer what becomes of a reply; tests and
measurements hold on to the same door. :class:`~adapters.sdk.http_connector.HttpConnector`
is an :class:`Interpreter`; a connector in Python offers the one method::

    class ExampleConnector:
        def interpret(self, body: bytes) -> Fetched:
            return parse_answer(body)          # what ``fetch`` does with the last reply
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from adapters.sdk.connectors import open_connector, read_connector
from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.upstream import Upstream, UpstreamSettings
from gateway.codes.yamldoc import YamlDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from adapters.sdk.reports import Fetched, OutcomeReport
    from adapters.sdk.upstream import UpstreamReply
    from gateway.codes.scheme_model import Scheme

STAND_IN: Final = "0" * 32
"""What a secret that nobody gave reads as: text, hexadecimal and base64 alike, so that
a connector can be made with it. It opens nothing."""


@runtime_checkable
class Interpreter(Protocol):
    """A connector that can read an answer it did not ask for itself."""

    def interpret(self, body: bytes) -> Fetched:
        """Turn the body of the platform's reply to a question into reports.

        Nothing is asked and nothing is remembered. Where a question takes several
        calls, it is the reply to the one that holds the state. Whom the reply was
        asked about is not known here, so it is not compared.

        Args:
            body: as it came, undecoded.

        Raises:
            UnreadableError: the answer is not of this wire; an OutcomeReport with
                SOURCE_UNPARSABLE says the same without a reason.
        """
        ...


def open_interpreter(
    scheme: Scheme, *, now: Callable[[], datetime], secrets: Mapping[str, str] | None = None
) -> Interpreter:
    """Make the connector that a scheme describes, cut off from its platform.

    Args:
        scheme: with its connector.
        now: wall clock.
        secrets: those that a body is sealed with, by name; every other one reads
            as :data:`STAND_IN`.

    Raises:
        SchemeError: SCHEME_INVALID, the ``connector`` member is not of the format.
        AdapterConfigError: the Python object cannot be imported or made, or it
            offers no ``interpret``.
    """
    form = read_connector(YamlDocument({"connector": dict(scheme.connector or {})}))
    names = form.http.secret_names if form.http else ()
    given: dict[str, str] = {**dict.fromkeys(names, STAND_IN), **(secrets or {})}
    connector = open_connector(scheme, upstream=_CutOff(), secrets=_Secrets(given), now=now)
    if not isinstance(connector, Interpreter):
        raise AdapterConfigError(
            f"{type(connector).__qualname__} reads no saved reply: it offers no interpret(body)"
        )
    return connector


class _CutOff(Upstream):
    """An upstream that calls nobody."""

    def __init__(self) -> None:
        # The address is reserved by RFC 2606 and is never looked up.
        super().__init__(UpstreamSettings(url="https://platform.invalid"))

    async def request(self, *_args: Any, **_kwargs: Any) -> UpstreamReply | OutcomeReport:
        raise AdapterConfigError("a reply is read without asking the platform")


class _Secrets(Mapping[str, str]):
    """Secrets of which every one is there."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def __getitem__(self, name: str) -> str:
        return self._given.get(name, STAND_IN)

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)
