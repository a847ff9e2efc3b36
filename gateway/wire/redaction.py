"""What never reaches a log line or a status text.

Two nets, one behind the other. The first is a denylist of member names: what
stands under such a name is dropped whatever it is. The second looks at every
remaining text and cuts out what looks like a resident identity number, a
compact JWT or JWE, or an armoured attestation (``HUTONG1:``).

It is a net under the house rule that such values are not logged at all, not a
licence to log them. Pure; used by ``gateway.wire.logging`` and
``gateway.wire.errors``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

REDACTED: Final = "[redacted]"

_DENIED_NAMES: Final = frozenset(
    {
        "access_token",
        "answer",
        "assertion",
        "attestation",
        "authorization",
        "carried",
        "client_assertion",
        "code_claim",
        "document",
        "document_number",
        "envelope",
        "grant",
        "holder",
        "id_card",
        "jwt",
        "level",
        "name_of_person",
        "nonce",
        "number",
        "password",
        "payload",
        "person",
        "phone",
        "plaintext",
        "presentation",
        "private",
        "private_key",
        "pseudonym",
        "qr",
        "qr_text",
        "question",
        "reply_key",
        "secret",
        "statement_token",
        "sub",
        "subject",
        "token",
    }
)
"""Names under which rooms of this project keep personal or secret values.

``level`` is a person's colour; structlog's own severity is added after
redaction, so that the two never meet."""

_PATTERNS: Final = re.compile(
    # Resident identity numbers (GB 11643): 17 digits and a check character;
    # written with or without separators between area, birth date and serial.
    r"(?<![0-9])[1-9][0-9]{5}[ -]?(?:1[89]|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]"
    r"[ -]?[0-9]{3}[0-9Xx](?![0-9])"
    r"|(?<![0-9])[0-9]{17}[0-9Xx](?![0-9])"
    # Compact JWS and JWE: base64url of `{"` followed by at least one dot.
    r"|eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_.-]*"
    # Armour: the alphanumeric QR alphabet after our mark.
    r"|HUTONG1:[0-9A-Za-z $%*+./:_-]*"
)

_MAX_DEPTH = 6
"""Nesting that is still looked into; a log entry nested deeper is a mistake."""


def redact_text(text: str) -> str:
    """Cut out of a text what looks like a personal or secret value."""
    return _PATTERNS.sub(REDACTED, text)


def redact_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Redact the members of a log entry, nested ones included."""
    return {key: _redact_member(key, value, 0) for key, value in entry.items()}


def redaction_processor(
    logger: object, method_name: str, event_dict: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    """Redact in the shape structlog calls its processors."""
    del logger, method_name
    return redact_entry(event_dict)


def _redact_member(key: object, value: Any, depth: int) -> Any:
    if isinstance(key, str) and key.lower() in _DENIED_NAMES:
        return REDACTED
    return _redact_value(value, depth)


def _redact_value(value: Any, depth: int) -> Any:  # noqa: PLR0911  one line a type
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        # An identity number that was read as a number is still one.
        return redact_text(str(value)) if redact_text(str(value)) == REDACTED else value
    if isinstance(value, str):
        return redact_text(value)
    if depth >= _MAX_DEPTH:
        return REDACTED
    if isinstance(value, dict):
        return {
            redact_text(str(key)): _redact_member(key, inner, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redact_value(inner, depth + 1) for inner in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value)} bytes]"
    return redact_text(str(value))
