"""Kinds of feed entries, known and unknown, and the body that withdraws one.

A kind that this reader does not know is one for younger readers: its entries are kept
verbatim, chained, counted and digested, and otherwise ignored. One whose body says
``"critical": true`` must be understood, and a reader that does not refuses it
(FEED_UNSUPPORTED) and stays where it is.

A *tombstone* is an entry whose body is exactly ``{"withdrawn": {"reason": …}}``: what
was live under its kind and subject is no more.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import msgspec

from gateway.attestation import base64url

MAX_KIND_LENGTH: Final = 32
"""Characters of a kind."""
MAX_WITHDRAWAL_REASON_LENGTH: Final = 256
"""As ``hutong.v1.DistrustRequest.reason``."""

_KIND: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{MAX_KIND_LENGTH - 1}}}", re.ASCII)
_WITHDRAWN: Final = "withdrawn"


class FeedKind(StrEnum):
    """What an entry changes.

    ``FeedKind("something-newer")`` gives a kind that is not ``is_known``; it compares
    and hashes by its text, and never is (``is``) another.
    """

    AUTHORITY = "authority"
    SCHEME = "scheme"
    POLICY = "policy"
    DISTRUST = "distrust"
    STATUS = "status"
    REHEARSAL = "rehearsal"
    NOTICE = "notice"
    SUPERIOR = "superior"
    SILENCE = "silence"
    HUB_KEYS = "hub-keys"
    HUB_REHEARSAL = "hub-rehearsal"

    @property
    def is_known(self) -> bool:
        """Whether this reader knows what such an entry says."""
        return self.value in FeedKind._value2member_map_

    @classmethod
    def _missing_(cls, value: object) -> FeedKind | None:
        if not (isinstance(value, str) and _KIND.fullmatch(value)):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = "UNKNOWN"
        unknown._value_ = value
        return unknown


def withdrawal(reason: str) -> dict[str, Any]:
    """Returns the body of a tombstone; the reason never holds a personal value."""
    return {_WITHDRAWN: {"reason": reason}}


def is_withdrawal(body: dict[str, Any]) -> bool:
    """Whether a body is a tombstone's."""
    if len(body) != 1:
        return False
    said = body.get(_WITHDRAWN)
    return (
        isinstance(said, dict)
        and said.keys() == {"reason"}
        and isinstance(said["reason"], str)
        and len(said["reason"]) <= MAX_WITHDRAWAL_REASON_LENGTH
    )


class _Shell(msgspec.Struct):
    body: dict[str, msgspec.Raw]


_decode_shell: Final = msgspec.json.Decoder(_Shell).decode


def looks_withdrawn(token: str) -> bool:
    """Whether an entry says that it is a tombstone, its signature not looked at.

    Only to sort the list of a snapshot before its digests are compared; what cannot be
    read is none.
    """
    try:
        payload = base64url.decode(token.split(".")[1].encode("ascii"))
        if b'"withdrawn"' not in payload:
            return False
        body = _decode_shell(payload).body
        raw = body.get(_WITHDRAWN)
        return (
            raw is not None and len(body) == 1 and is_withdrawal({_WITHDRAWN: _plain(bytes(raw))})
        )
    except (IndexError, ValueError, RecursionError):
        return False


def _plain(raw: bytes) -> Any:
    return msgspec.json.decode(raw)
