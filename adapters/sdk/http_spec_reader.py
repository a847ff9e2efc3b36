"""Reads the ``http`` form of a connector: how the platform is asked.

What comes back is described by :mod:`adapters.sdk.http_answer_reader`; the format
stands in :mod:`adapters.sdk.connectors`. Every problem is noted at its line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.sdk.http_answer_reader import (
    read_answer_form,
    read_import_answer,
    read_words,
)
from adapters.sdk.http_spec import (
    PLACEHOLDER,
    Algorithm,
    Ask,
    Auth,
    AuthKind,
    HttpSpec,
    ImportAsk,
    Method,
    Send,
)

if TYPE_CHECKING:
    from adapters.sdk.http_spec import FieldValue
    from gateway.codes.document_reader import Cursor

_WITH_NAME: Final = frozenset({"secret", "group", "field"})
_COMMON: Final = {"secret", "unix_s", "unix_ms", "nonce"}
_PLACEHOLDERS: Final = {
    "document": {"type", "number"},
    "qr_text": {"text", "group"},
    "import": {
        "document_type",
        "number",
        "name",
        "origin",
        "state",
        "level",
        "assessed_at",
        "negative_test",
        "valid_until",
        "reference",
    },
}


def read_http_spec(cursor: Cursor) -> HttpSpec | None:
    """Read the form, noting problems at the cursor; what it returns then is unusable."""
    secrets: set[str] = set()
    auth = _auth(cursor, secrets)
    ask: dict[str, Ask] = {}
    import_ask = None
    asks = cursor.member("ask", required=True)
    for kind in ("document", "qr_text"):
        inner = asks.member(kind) if asks else None
        if inner is not None:
            ask[kind] = _ask(inner, kind, secrets)
    if asks is not None:
        inner = asks.member("import")
        if inner is not None:
            import_ask = _import(inner, secrets)
        asks.done()
        if not ask:
            asks.note("asks for nothing", "add `document` or `qr_text`")
    answer = cursor.member("answer", required=True)
    cursor.done()
    if answer is None:
        return None
    form = read_answer_form(answer)
    return HttpSpec(
        auth=auth, ask=ask, import_ask=import_ask, secret_names=frozenset(secrets), **form
    )


def _auth(cursor: Cursor, secrets: set[str]) -> Auth | None:
    inner = cursor.member("auth")
    kind = inner.choice("kind", AuthKind) if inner else None
    if inner is None or kind is None:
        return None
    auth = None
    if kind is AuthKind.SIGNED:
        fields = {
            name: value
            for name, value in _fields(inner, _COMMON, secrets, required=False).items()
            if isinstance(value, str)
        }
        algorithm = inner.choice("algorithm", Algorithm) or Algorithm.SHA256
        over = inner.text("over") or ""
        _check_template(inner, "over", over, _COMMON | {"sorted", "field"}, secrets)
        key = inner.text("key", required=algorithm is Algorithm.HMAC_SHA256) or ""
        sign = inner.text("sign") or ""
        upper = inner.raw("upper", required=False) is True
        auth = Auth(
            kind, fields=fields, algorithm=algorithm, over=over, key=key, sign=sign, upper=upper
        )
    elif kind is AuthKind.BASIC:
        auth = Auth(kind, user=inner.text("user") or "", secret=inner.text("secret") or "")
    else:
        auth = Auth(
            kind,
            name=inner.text("name", pattern=r"[A-Za-z0-9-]+", what="a header name") or "",
            prefix=inner.text("prefix", required=False) or "",
            secret=inner.text("secret") or "",
        )
    inner.done()
    secrets.update(name for name in (auth.user, auth.secret, auth.key) if name)
    return auth


def _ask(cursor: Cursor, kind: str, secrets: set[str]) -> Ask:
    ask = _request(cursor, kind, secrets)
    cursor.done()
    return ask


def _import(cursor: Cursor, secrets: set[str]) -> ImportAsk:
    ask = _request(cursor, "import", secrets)
    times = cursor.text("times", required=False) or "unix_s"
    zone = cursor.text("zone", required=False, pattern="UTC", what="UTC")
    answer = cursor.member("answer", required=True)
    cursor.done()
    return ImportAsk(ask=ask, times=times, zone=zone, **read_import_answer(answer))


def _request(cursor: Cursor, kind: str, secrets: set[str]) -> Ask:
    types: dict[int, str] | None = None
    if kind != "qr_text":
        inner = cursor.member("document_types")
        if inner is not None:
            types = {int(name): word for name, word in read_words(inner) if name.isdecimal()}
    send = cursor.choice("send", Send) or Send.JSON
    ask = Ask(
        method=cursor.choice("method", Method) or Method.POST,
        path=cursor.text("path", pattern=r"/[\x21-\x7e]*", what="a path that begins with /") or "",
        send=send,
        idempotent=cursor.raw("idempotent", required=False) is True,
        fields=_fields(cursor, _COMMON | _PLACEHOLDERS[kind], secrets, nested=send is Send.JSON),
        document_types=types,
    )
    if ask.method is Method.GET and ask.send is not Send.QUERY:
        cursor.note("sends a body with GET", "write `send: query`", "send")
    return ask


def _fields(
    cursor: Cursor,
    known: set[str],
    secrets: set[str],
    *,
    required: bool = True,
    nested: bool = False,
) -> dict[str, FieldValue]:
    inner = cursor.member("fields", required=required)
    return {} if inner is None else _field_values(inner, known, secrets, nested=nested)


def _field_values(
    cursor: Cursor, known: set[str], secrets: set[str], *, nested: bool
) -> dict[str, FieldValue]:
    found: dict[str, FieldValue] = {}
    for name in cursor.names():
        value = cursor.raw(name)
        if isinstance(value, dict):
            if not nested:
                cursor.note("holds members, which only a JSON body can", "write `send: json`", name)
            inner = cursor.member(name)
            if inner is not None:
                found[name] = _field_values(inner, known, secrets, nested=nested)
            continue
        # An empty text is a value that platforms ask for.
        text = "" if value == "" else cursor.text(name)
        if text is not None:
            _check_template(cursor, name, text, known, secrets)
            found[name] = text
    return found


def _placeholders(known: set[str]) -> str:
    """Say which placeholders may stand there."""
    words = (f"{{{word}:NAME}}" if word in _WITH_NAME else f"{{{word}}}" for word in sorted(known))
    return "use " + " ".join(words)


def _check_template(
    cursor: Cursor, name: str, template: str, known: set[str], secrets: set[str]
) -> None:
    for match in PLACEHOLDER.finditer(template):
        word, argument = match[1], match[2]
        takes_argument = word in _WITH_NAME
        if word not in known or takes_argument != (argument is not None):
            cursor.note(f"has an unknown placeholder {match[0]}", _placeholders(known), name)
        elif word == "secret":
            secrets.add(argument)
