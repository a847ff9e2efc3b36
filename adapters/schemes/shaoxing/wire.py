"""Writes and opens Shaoxing's SOAP call ``QueryHealthCode``; pure.

The question and the answer are XML documents carried as text inside the SOAP
envelope. From sources: the method, the password and the members of the question.
Choices: the names of the envelope, and that XML stands in it as text.
"""

from __future__ import annotations

import hashlib
from html import escape
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from adapters.schemes.shaoxing.xml_reader import parse_xml
from adapters.sdk.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

METHOD: Final = "QueryHealthCode"

_ZONE: Final = ZoneInfo("Asia/Shanghai")


def make_password(app_id: str, now: datetime, method: str = METHOD) -> str:
    """The password of a day: MD5 over app, method and the date in Shanghai.

    MD5 is what the service checks; it protects nothing that TLS does not.
    """
    day = now.astimezone(_ZONE).strftime("%Y%m%d")
    return hashlib.md5(f"{app_id}{method}{day}".encode(), usedforsecurity=False).hexdigest()


def write_question(app_id: str, password: str, members: Mapping[str, str]) -> bytes:
    """Write the call.

    Args:
        app_id: of the hospital.
        password: of the day.
        members: of the question, by name.
    """
    question = write_members("Request", members)
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
        f'<{METHOD} xmlns="urn:synthetic:sxjkm"><appId>{escape(app_id)}</appId>'
        f"<password>{password}</password>"
        f"<request>{escape(question)}</request></{METHOD}>"
        "</soap:Body></soap:Envelope>"
    ).encode()


def write_members(name: str, members: Mapping[str, str]) -> str:
    """Write an element of elements."""
    inner = "".join(f"<{member}>{escape(text)}</{member}>" for member, text in members.items())
    return f"<{name}>{inner}</{name}>"


def open_answer(body: bytes) -> dict[str, Any]:
    """Open the envelope and the document inside it.

    Returns:
        The inner document as JSON values: text, mapping, or a list where elements of
        one name stand side by side. The code inside it is not looked at.

    Raises:
        UnreadableError: either is no XML, or the envelope holds no document as text.
    """
    document: Any = {"Envelope": parse_xml(body)}
    path = ("Envelope", "Body", f"{METHOD}Response", f"{METHOD}Result")
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    if not isinstance(document, str) or not document:
        raise UnreadableError("holds no document as text", path)
    inner = parse_xml(document)
    if not isinstance(inner, dict):
        raise UnreadableError("the inner document has no members", path)
    return inner
