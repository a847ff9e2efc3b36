"""The adapter SDK: what a city needs to take part, and as little of it as possible.

A city writes a folder with ``scheme.yaml`` and ``vectors.yaml`` (format:
:mod:`gateway.codes.schemes`). Where its platform speaks HTTP and JSON, the
``connector`` member of the scheme says how (:mod:`adapters.sdk.connectors`);
where the wire is odd, a Python class does. Everything else is here: translation,
attestation, sealing, the server, enrolment.

Names are loaded when they are first used, so that ``hutong adapter lint`` does not
pay for the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from adapters.sdk.attest import Attester as Attester
    from adapters.sdk.breaker import Breaker as Breaker
    from adapters.sdk.breaker import RetryBudget as RetryBudget
    from adapters.sdk.city import load_city as load_city
    from adapters.sdk.connectors import ConnectorContext as ConnectorContext
    from adapters.sdk.connectors import open_connector as open_connector
    from adapters.sdk.conversion import Imported as Imported
    from adapters.sdk.conversion import Importer as Importer
    from adapters.sdk.conversion import ImportOrder as ImportOrder
    from adapters.sdk.errors import AdapterConfigError as AdapterConfigError
    from adapters.sdk.errors import EnrolmentError as EnrolmentError
    from adapters.sdk.errors import QuestionError as QuestionError
    from adapters.sdk.errors import UnreadableError as UnreadableError
    from adapters.sdk.interpreting import Interpreter as Interpreter
    from adapters.sdk.interpreting import open_interpreter as open_interpreter
    from adapters.sdk.keys import AdapterKeys as AdapterKeys
    from adapters.sdk.keys import generate_keys as generate_keys
    from adapters.sdk.keys import load_keys as load_keys
    from adapters.sdk.keys import save_keys as save_keys
    from adapters.sdk.replica import HubReplica as HubReplica
    from adapters.sdk.replica import ReplicaSettings as ReplicaSettings
    from adapters.sdk.reports import Connector as Connector
    from adapters.sdk.reports import Deadline as Deadline
    from adapters.sdk.reports import Fetched as Fetched
    from adapters.sdk.reports import LocalReport as LocalReport
    from adapters.sdk.reports import OutcomeReport as OutcomeReport
    from adapters.sdk.reports import Presentation as Presentation
    from adapters.sdk.reports import QrText as QrText
    from adapters.sdk.reports import Reports as Reports
    from adapters.sdk.server import AdapterParts as AdapterParts
    from adapters.sdk.server import AdapterServer as AdapterServer
    from adapters.sdk.server import load_adapter as load_adapter
    from adapters.sdk.server import platform_connector as platform_connector
    from adapters.sdk.settings import AdapterSettings as AdapterSettings
    from adapters.sdk.settings import load_settings as load_settings
    from adapters.sdk.translation import translate as translate
    from adapters.sdk.upstream import Upstream as Upstream
    from adapters.sdk.upstream import UpstreamReply as UpstreamReply
    from adapters.sdk.upstream import UpstreamSettings as UpstreamSettings
    from adapters.sdk.vectors import check_vectors as check_vectors
    from adapters.sdk.vectors import run_vectors as run_vectors
    from gateway.codes.documents import Document as Document

_HOMES: Final = {
    "Attester": "adapters.sdk.attest",
    "Breaker": "adapters.sdk.breaker",
    "RetryBudget": "adapters.sdk.breaker",
    "load_city": "adapters.sdk.city",
    "ConnectorContext": "adapters.sdk.connectors",
    "open_connector": "adapters.sdk.connectors",
    "Imported": "adapters.sdk.conversion",
    "Importer": "adapters.sdk.conversion",
    "ImportOrder": "adapters.sdk.conversion",
    "AdapterConfigError": "adapters.sdk.errors",
    "EnrolmentError": "adapters.sdk.errors",
    "QuestionError": "adapters.sdk.errors",
    "UnreadableError": "adapters.sdk.errors",
    "Interpreter": "adapters.sdk.interpreting",
    "open_interpreter": "adapters.sdk.interpreting",
    "AdapterKeys": "adapters.sdk.keys",
    "generate_keys": "adapters.sdk.keys",
    "load_keys": "adapters.sdk.keys",
    "save_keys": "adapters.sdk.keys",
    "HubReplica": "adapters.sdk.replica",
    "ReplicaSettings": "adapters.sdk.replica",
    "Connector": "adapters.sdk.reports",
    "Deadline": "adapters.sdk.reports",
    "Fetched": "adapters.sdk.reports",
    "LocalReport": "adapters.sdk.reports",
    "OutcomeReport": "adapters.sdk.reports",
    "Presentation": "adapters.sdk.reports",
    "QrText": "adapters.sdk.reports",
    "Reports": "adapters.sdk.reports",
    "AdapterParts": "adapters.sdk.server",
    "AdapterServer": "adapters.sdk.server",
    "load_adapter": "adapters.sdk.server",
    "platform_connector": "adapters.sdk.server",
    "AdapterSettings": "adapters.sdk.settings",
    "load_settings": "adapters.sdk.settings",
    "translate": "adapters.sdk.translation",
    "Upstream": "adapters.sdk.upstream",
    "UpstreamReply": "adapters.sdk.upstream",
    "UpstreamSettings": "adapters.sdk.upstream",
    "check_vectors": "adapters.sdk.vectors",
    "run_vectors": "adapters.sdk.vectors",
    "Document": "gateway.codes.documents",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
