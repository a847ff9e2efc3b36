"""What the issuer refuses, and what fails in it.

::

    HutongError
    ├── CallerError
    │   ├── RequestError             INVALID_REQUEST, with the offending fields
    │   ├── DeclarationMissingError  DECLARATION_MISSING
    │   ├── ProxyNotAllowedError     PROXY_NOT_ALLOWED
    │   ├── NotFoundError            NOT_FOUND
    │   ├── WrongStateError          WRONG_STATE
    │   └── RuleError                RULE_INVALID, with every problem of the file
    └── InternalError
        ├── StoreError               see gateway.database.errors
        └── IdentityError            IDENTITY_UNREADABLE

The codes of the first five are reasons on the wire; the others become INTERNAL
with an incident id. No message holds a value from a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import CallerError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.codes import Problem
    from gateway.wire.errors import FieldFault


class RequestError(CallerError):
    """Fields of a request break their rules.

    Attributes:
        fields: each with its path in the request message, for example
            ``stays[2].left_at``, and the rule it breaks.
    """

    default_code = "INVALID_REQUEST"

    def __init__(self, fields: Iterable[FieldFault]) -> None:
        self.fields = tuple(fields)
        super().__init__("; ".join(f"{each.field}: {each.description}" for each in self.fields))


class DeclarationMissingError(CallerError):
    """The person has never declared, or the declaration is past its validity."""

    default_code = "DECLARATION_MISSING"


class ProxyNotAllowedError(CallerError):
    """Whoever acts has never declared, or is not recorded for this person."""

    default_code = "PROXY_NOT_ALLOWED"


class NotFoundError(CallerError):
    """No such person or correction."""

    default_code = "NOT_FOUND"


class WrongStateError(CallerError):
    """The object's state does not allow this."""

    default_code = "WRONG_STATE"


class RuleError(CallerError):
    """A rule file does not load.

    Attributes:
        problems: everything found wrong, each with its line.
    """

    default_code = "RULE_INVALID"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("the rule does not load:\n" + "\n".join(map(str, self.problems)))


class IdentityError(InternalError):
    """A sealed identity does not open: another key file than the one it was sealed with."""

    default_code = "IDENTITY_UNREADABLE"
