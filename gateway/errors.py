"""The one error root, and its families by whose fault it is.

Every error that crosses a room's border is one of these. Its ``code`` is a
stable upper-snake name; for errors that reach the wire it equals the reason in
``google.rpc.ErrorInfo`` (see ``protos/hutong/v1/error.proto``). Messages name
fields, limits and states, never a value that could be personal::

    HutongError
    ├── CallerError        the caller sent something wrong
    ├── PeerError          another party of the federation failed
    ├── TrustError         something signed or sealed does not hold
    └── InternalError      our own fault

A leaf sets ``code`` as a class attribute, or takes it per instance where one
class covers several codes.
"""

from __future__ import annotations

from typing import ClassVar


class HutongError(Exception):
    """Root of everything raised on purpose.

    Attributes:
        code: stable upper-snake name of the failure.
        fix: what a person can do about it; None: the message says it all.
    """

    default_code: ClassVar[str] = "INTERNAL"
    code: str

    def __init__(self, message: str, *, code: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.code = code if code is not None else self.default_code
        self.fix = fix


class CallerError(HutongError):
    """The caller sent something that cannot be accepted."""

    default_code = "INVALID_REQUEST"


class PeerError(HutongError):
    """Another party (an adapter, a platform, a hub) failed."""

    default_code = "ADAPTER_UNREACHABLE"


class TrustError(HutongError):
    """Something signed or sealed does not hold."""

    default_code = "STATEMENT_INVALID"


class InternalError(HutongError):
    """Our own fault."""

    default_code = "INTERNAL"
