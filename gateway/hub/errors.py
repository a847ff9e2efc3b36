"""What the hub's registry, feed and set-up refuse.

Codes that are reasons of the wire stand in ``error.proto``::

    CallerError
    └── RegistryError     NOT_FOUND, WRONG_STATE, AUTHORITY_EXISTS, PREFIX_TAKEN,
                          POSSESSION_NOT_PROVEN, STATEMENT_INVALID, KEY_MALFORMED,
                          SCHEME_INVALID, POLICY_INVALID, PAGE_TOKEN_INVALID,
                          SEQUENCE_AHEAD, SHUTTING_DOWN
    InternalError
    └── HubSetupError     HUB_SETUP
"""

from __future__ import annotations

from gateway.errors import CallerError, InternalError


class RegistryError(CallerError):
    """A request of the registry or the feed is refused; ``code`` says why."""


class HubSetupError(InternalError):
    """The hub's directory, settings or key files cannot be used."""

    default_code = "HUB_SETUP"
