"""The part of a Python connector that YAML can still say.

A connector in Python may hand its ``options`` a member ``http`` of the form of
``connector.http`` (:mod:`adapters.sdk.connectors`), and write in Python only what is
odd about the city's wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.http_spec_reader import read_http_spec
from gateway.codes.document_reader import Cursor
from gateway.codes.yamldoc import YamlDocument

if TYPE_CHECKING:
    from adapters.sdk.connectors import ConnectorContext
    from adapters.sdk.http_spec import HttpSpec
    from gateway.codes.yamldoc import Problem


def read_http_part(context: ConnectorContext) -> HttpSpec:
    """Read ``options.http``.

    Raises:
        AdapterConfigError: it is not of the form; the message names every problem.
    """
    problems: list[Problem] = []
    options = Cursor(YamlDocument(dict(context.options)), (), problems)
    http = options.member("http", required=True)
    spec = read_http_spec(http) if http is not None else None
    if problems or spec is None:
        text = "; ".join(str(problem) for problem in problems)
        raise AdapterConfigError(f"the options of the connector do not load: {text}")
    return spec


def require_secrets(context: ConnectorContext, *names: str) -> dict[str, str]:
    """Return secrets by name.

    Raises:
        AdapterConfigError: one of them is not configured.
    """
    secrets = {name: context.secrets.get(name, "") for name in names}
    missing = sorted(name for name, secret in secrets.items() if not secret)
    if missing:
        raise AdapterConfigError(f"the connector needs the secrets {', '.join(missing)}")
    return secrets
