"""What the services around the issuer's heart refuse, beside :mod:`gateway.issuer.errors`.

::

    HutongError
    ├── CallerError
    │   └── CallNotAppliedError   CALL_NOT_APPLIED
    └── InternalError
        └── IssuerSetupError      ISSUER_SETUP

Who asks, and whether they may, is refused as :class:`~gateway.wire.errors.RpcFailure`
with TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED or SCOPE_MISSING; a page token as
PAGE_TOKEN_INVALID.
"""

from __future__ import annotations

from gateway.errors import CallerError, InternalError


class CallNotAppliedError(CallerError):
    """The serial number and nonce are of no call that this client may make now.

    Used before, another client's, expired, of the other kind, or never given: nothing
    tells these apart.
    """

    default_code = "CALL_NOT_APPLIED"


class IssuerSetupError(InternalError):
    """The issuer's directory, settings or key files cannot be used."""

    default_code = "ISSUER_SETUP"
