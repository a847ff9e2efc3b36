"""How a city's platform is reached: in YAML where it can be, in Python where not.

The ``connector`` member of ``scheme.yaml`` takes one of two forms. It is never
published. Secrets are not written in it: it names them, and ``adapter.toml``
says which file each one is in.

**Python**, for an odd wire::

    connector:
      python: adapters.schemes.example.connector:ExampleConnector
      options: {channel: provincial}      # handed on as written; may be left out

The object is called with one :class:`ConnectorContext` and returns a
:class:`~adapters.sdk.reports.Connector`. It makes its calls through
``context.upstream``, which turns every fault of the line into an outcome. Where its
platform takes codes converted from other regions, it is also an
:class:`~adapters.sdk.conversion.Importer`: it has a method ``import_code``.

Beside either stands the platform's change feed, where it has one
(:mod:`adapters.sdk.watching`)::

    connector:
      python: …                           # or http
      changes:
        path: /changes
        choices:                           # what no source tells
          - {what: …, why: …}

**HTTP and JSON**, without code::

    connector:
      http:
        auth: {kind: header, name: Authorization, prefix: "Bearer ", secret: token}
        #     {kind: basic, user: user, secret: password}      # both name secrets
        #     kind: signed                                     # adds request fields:
        #     fields: {appId: "{secret:app_id}", timestamp: "{unix_ms}"}
        #     algorithm: sha256                                # md5 sha256 hmac-sha256
        #     over: "{sorted}&key={secret:app_key}"            # what is hashed
        #     key: app_key                                     # secret, hmac only
        #     sign: sign                                       # field of the hex digest
        #     upper: true                                      # upper-case hex
        ask:                               # one entry a kind of presentation; a kind
          document:                        # without one is NOT_FOUND, unasked
            method: POST                   # GET or POST
            path: /health/code
            send: json                     # json form query
            idempotent: true               # may be retried; left out: false
            document_types: {10: "1"}      # our type → the platform's word; a type that
                                           # is missing is NOT_FOUND, unasked
            fields: {type: "{type}", number: "{number}", channel: "7"}
                                           # with send: json also fields inside fields:
                                           # {head: {appId: x}, body: {no: "{number}"}}
          qr_text:
            method: GET
            path: /health/decode
            send: query
            fields: {code: "{text}"}       # or "{group:id}": a group of the scheme's pattern
          import:                          # enters a code converted from another region's
                                           # attestation (`import` of the scheme's version
                                           # says when); left out: none is taken
            method: POST                   # members as above, and:
            path: /import
            send: json
            idempotent: true
            document_types: {10: "1"}
            times: "%Y-%m-%d %H:%M:%S"     # how {assessed_at} {negative_test} {valid_until}
                                           # are written: iso, unix_s, unix_ms or strftime;
                                           # left out: unix_s; in the scheme's zone, or
                                           # zone: UTC. {negative_test} is empty without one
            fields: {type: "{document_type}", number: "{number}", name: "{name}",
                     from: "{origin}", level: "{level}", colour: "{state}",
                     test: "{negative_test}", until: "{valid_until}", ref: "{reference}"}
                                           # {reference} is the same whenever the same
                                           # attestation is imported again
            answer:
              json_strings: []             # as below
              code: {path: code, ok: ["0"], own_record: ["31"]}   # or a list. own_record:
                                           # the person has a record that is less than green.
                                           # Any other word: not converted
              own_record_statuses: ["409"] # HTTP statuses that say the same; quoted
              qr_text: data.qr             # what the holder shows from now on
              valid_until: {path: data.until, time: unix_s}   # may be left out
        answer:
          statuses: {404: NOT_FOUND}       # HTTP status → outcome
          json_strings: [datas, datas.inner]   # members that hold JSON as text, the
                                           # outermost first
          code:                            # the platform's own return code; or a list of
                                           # these, one a nested envelope, the outermost first
            path: code
            ok: ["0"]
            outcomes: {"18": SOURCE_BUSY, "111": CODE_EXPIRED}   # any other code:
            retry_after_seconds: 30                              # SOURCE_UNPARSABLE
          flags:                           # a member with this value is an outcome
            - {path: data.qrcode_expired, is: true, outcome: CODE_EXPIRED}
          records: data                    # a list of records, or one; absent, null or
                                           # empty: NOT_FOUND. Left out: the whole answer
                                           # A member that is neither of these, nor absent:
                                           # SOURCE_UNPARSABLE
          same_person: sfzh                # records that differ here: AMBIGUOUS_SUBJECT
          subject: {path: sfzh, document_type: 10}   # the whole number of whose record it
                                           # is, where the platform states it: makes the
                                           # answer to a QR text one about that document.
                                           # Somebody else's than was asked about:
                                           # SOURCE_UNPARSABLE
          report:                          # member of LocalReport → where it is
            state: {path: mzt}             # or {join: [{path: mzt}, {path: mlx, map: {…}}],
                                           # separator: "/"}: parts that are absent, null or
                                           # empty are skipped, but the first is required
            issued_by: {path: city, map: {杭州市: "330100"}}    # or {value: "330100"}, or
                                           # {path: city, pad: 6}: filled up with zeros
            assessed_at: {path: zjgxsj, time: "%Y-%m-%dT%H:%M:%S.%f%z"}
            source_at: {path: changed, time: "%Y%m%d%H%M%S"}    # no zone in the text: the
                                           # scheme's zone, or zone: UTC
                                           # time: iso, unix_s, unix_ms or a strptime format
            reason: {path: hmcmyy}         # also: valid_until declared_at rule scope area
                                           #       declaration_valid_until release_days_done
                                           #       negative_test_at
            undated: true                  # the platform states no moment: assessed_at and
                                           # source_at may be left out, which leaves room for
                                           # outcomes such as EVIDENCE_ONLY, never for a level
            itinerary:                     # places, handed on with EVIDENCE_ONLY only
              records: cities              # within the record; absent or null: none are told
              division: {path: code, map: {…}}
              starred: {path: star, true: "1"}   # may be left out. With false: "0" any third
                                           # word is SOURCE_UNPARSABLE; either may be a boolean
              window_days: {value: "14"}   # or {path: days}
              as_of: {path: until, time: "%Y.%m.%d %H:%M:%S"}

Placeholders: ``{type}`` ``{number}`` (documents), ``{text}`` ``{group:NAME}`` (QR
texts), ``{secret:NAME}`` ``{unix_s}`` ``{unix_ms}`` ``{nonce}`` and, in ``over``,
``{sorted}`` (all fields that are text as ``a=1&b=2`` in order of their names) and
``{field:NAME}``. A path is names and list positions joined by dots.

A QR text that matches no pattern of the scheme in force is WRONG_REGION, unasked. One
whose pattern lacks a group that ``fields`` name is CANNOT_DETERMINE, unasked: so a text
that holds a credential is recognised and nothing of it is sent.
A state that is missing or no text (a bare number is none, unless it is mapped), a date
that is present but does not parse, a city that the map does not name:
SOURCE_UNPARSABLE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.http_connector import HttpConnector
from adapters.sdk.http_import import ImportingHttpConnector
from adapters.sdk.http_spec_reader import read_http_spec
from gateway.codes.document_reader import Cursor
from gateway.codes.scheme_model import SchemeError
from gateway.codes.yamldoc import YamlDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from adapters.sdk.http_spec import HttpSpec
    from adapters.sdk.reports import Connector
    from adapters.sdk.upstream import Upstream
    from gateway.codes.scheme_model import Scheme
    from gateway.codes.yamldoc import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorContext:
    """What a connector is given.

    Attributes:
        scheme: the city's scheme; for its zone and its QR patterns.
        upstream: calls the platform.
        secrets: secrets by name, from the files that adapter.toml names.
        now: wall clock, aware, UTC.
        options: the ``options`` of the connector in the scheme.
    """

    scheme: Scheme
    upstream: Upstream
    secrets: Mapping[str, str] = field(repr=False)
    now: Callable[[], datetime]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectorForm:
    """A connector as the scheme describes it; exactly one of the first two.

    Attributes:
        http: the HTTP and JSON form.
        python: ``module:name`` of the Python form.
        options: handed on to the Python form.
        changes: path of the platform's change feed; None: it has none.
    """

    http: HttpSpec | None
    python: str | None
    options: Mapping[str, Any]
    changes: str | None = None


def read_connector(document: YamlDocument) -> ConnectorForm:
    """Read the ``connector`` member of a scheme document.

    Raises:
        SchemeError: SCHEME_INVALID with every problem found.
    """
    problems: list[Problem] = []
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("connector"), dict):
        problem = document.problem((), "has no connector", "add `connector: …`")
        raise SchemeError("the scheme has no connector", problems=[problem])
    cursor = Cursor(document, ("connector",), problems)
    python = cursor.text("python", required=False, pattern=r"[\w.]+:\w+", what="module:name")
    options = cursor.raw("options", required=False)
    http = cursor.member("http")
    spec = read_http_spec(http) if http is not None else None
    changes = _changes(cursor)
    cursor.done()
    if cursor.has("python") == cursor.has("http"):
        cursor.note("is neither python nor http, or both", "write exactly one of the two")
    if problems:
        text = "\n".join(str(problem) for problem in problems)
        raise SchemeError(f"the connector does not load:\n{text}", problems=problems)
    return ConnectorForm(spec, python, options if isinstance(options, dict) else {}, changes)


def _changes(cursor: Cursor) -> str | None:
    inner = cursor.member("changes")
    if inner is None:
        return None
    path = inner.text("path", pattern=r"/[A-Za-z0-9/._-]{0,200}", what="a path from the root")
    for choice in inner.items("choices"):
        choice.text("what")
        choice.text("why")
        choice.done()
    inner.done()
    return path


def change_feed_path(scheme: Scheme) -> str | None:
    """Return the path of the change feed that a scheme names; None: it names none.

    Raises:
        SchemeError: SCHEME_INVALID, the ``connector`` member is not of the format.
    """
    connector = dict(scheme.connector or {})
    return read_connector(YamlDocument({"connector": connector})).changes if connector else None


def open_connector(
    scheme: Scheme,
    *,
    upstream: Upstream,
    secrets: Mapping[str, str],
    now: Callable[[], datetime],
) -> Connector:
    """Make the connector that a scheme describes.

    Raises:
        SchemeError: SCHEME_INVALID, the ``connector`` member is not of the format.
        AdapterConfigError: the Python object cannot be imported, or a secret that
            the connector names is not configured.
    """
    form = read_connector(YamlDocument({"connector": dict(scheme.connector or {})}))
    if form.http is not None:
        missing = sorted(form.http.secret_names - secrets.keys())
        if missing:
            raise AdapterConfigError(f"the connector needs the secrets {', '.join(missing)}")
        kind = HttpConnector if form.http.import_ask is None else ImportingHttpConnector
        return kind(form.http, scheme=scheme, upstream=upstream, secrets=secrets, now=now)
    context = ConnectorContext(
        scheme=scheme, upstream=upstream, secrets=secrets, now=now, options=form.options
    )
    return _load_python(form.python or "")(context)


def _load_python(target: str) -> Callable[[ConnectorContext], Connector]:
    module, _, name = target.partition(":")
    try:
        made = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        raise AdapterConfigError(f"the connector {target} cannot be imported") from None
    return cast("Callable[[ConnectorContext], Connector]", made)
