"""Errors of the adapter, each a leaf of :mod:`gateway.errors`.

::

    CallerError
    ├── AdapterConfigError    ADAPTER_CONFIG: settings, keys or a connector cannot be used
    └── QuestionError         the reasons of AdapterService.Query, see docs/spec/adapter.md
    PeerError
    └── EnrolmentError        ENROLMENT_FAILED: the hub did not take the enrolment

:class:`UnreadableError` stands beside them: it never leaves the adapter, which
answers SOURCE_UNPARSABLE instead.
"""

from __future__ import annotations

from gateway.errors import CallerError, PeerError


class AdapterConfigError(CallerError):
    """The adapter cannot start with what it was given."""

    default_code = "ADAPTER_CONFIG"


class QuestionError(CallerError):
    """A sealed question is refused as a whole; ``code`` is its wire reason."""


class EnrolmentError(PeerError):
    """The hub did not take the enrolment, or did not decide in time."""

    default_code = "ENROLMENT_FAILED"


class UnreadableError(Exception):
    """A platform's answer is not of its wire.

    Args:
        why: what is wrong with it, in words that no value of the answer is part of.
        path: the member it is about, as names and list positions; None or empty:
            the whole answer.
    """

    def __init__(self, why: str, path: tuple[str, ...] | None = None) -> None:
        super().__init__(f"{'.'.join(path)}: {why}" if path else why)
        self.why = why
        self.path = path or ()
