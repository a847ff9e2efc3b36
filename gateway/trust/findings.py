"""What the linter may find: names, weights, and what a refusal says.

The table of docs/reference/lint.md is held against :data:`WEIGHTS` by a test.
Names are stable: operators filter by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from gateway.errors import TrustError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_SUBJECT: Final = 256
"""As ``hutong.v1.Finding.subject``."""
MAX_MESSAGE: Final = 512
"""As ``hutong.v1.Finding.message``."""


class Weight(StrEnum):
    """How much a finding weighs; names as ``hutong.v1.FindingWeight``."""

    ERROR = "error"
    """It will not be published."""
    WARNING = "warning"
    """It will be published; its owner should look at it."""


class FindingName(StrEnum):
    """Every finding."""

    STATEMENT_MALFORMED = "STATEMENT_MALFORMED"
    STATEMENT_MEMBER = "STATEMENT_MEMBER"
    STATEMENT_SCOPE = "STATEMENT_SCOPE"
    STATEMENT_SIGNATURE = "STATEMENT_SIGNATURE"
    KEY_ENCODING = "KEY_ENCODING"
    KEY_LENGTH = "KEY_LENGTH"
    KEY_DUPLICATE_ID = "KEY_DUPLICATE_ID"
    KEY_ENDED = "KEY_ENDED"
    KEY_HISTORY_CLAIMED = "KEY_HISTORY_CLAIMED"
    KEY_LIFETIME_TOO_LONG = "KEY_LIFETIME_TOO_LONG"
    KEY_WITHOUT_END = "KEY_WITHOUT_END"
    KEY_NOT_ACTIVE = "KEY_NOT_ACTIVE"
    KEY_EXPIRES_SOON = "KEY_EXPIRES_SOON"
    KEY_WITHOUT_SUCCESSOR = "KEY_WITHOUT_SUCCESSOR"
    KEY_CHANGE_REFUSED = "KEY_CHANGE_REFUSED"
    LEAD_TIME_TOO_SHORT = "LEAD_TIME_TOO_SHORT"
    ENDPOINT_UNREACHABLE = "ENDPOINT_UNREACHABLE"
    REGION_NOT_HEARD = "REGION_NOT_HEARD"
    SCHEME_MALFORMED = "SCHEME_MALFORMED"
    SCHEME_OVERLAP = "SCHEME_OVERLAP"
    SCHEME_INCOMPLETE = "SCHEME_INCOMPLETE"
    SCHEME_NOT_IN_FORCE = "SCHEME_NOT_IN_FORCE"
    SCHEME_QR_AMBIGUOUS = "SCHEME_QR_AMBIGUOUS"
    POLICY_MALFORMED = "POLICY_MALFORMED"
    POLICY_REGION = "POLICY_REGION"
    POLICY_UNREACHABLE_RULE = "POLICY_UNREACHABLE_RULE"
    POLICY_FUTURE = "POLICY_FUTURE"
    POLICY_ENDED = "POLICY_ENDED"


_WARNINGS: Final = frozenset(
    {
        FindingName.KEY_WITHOUT_END,
        FindingName.KEY_NOT_ACTIVE,
        FindingName.KEY_EXPIRES_SOON,
        FindingName.KEY_WITHOUT_SUCCESSOR,
        FindingName.ENDPOINT_UNREACHABLE,
        FindingName.REGION_NOT_HEARD,
        FindingName.SCHEME_NOT_IN_FORCE,
        FindingName.SCHEME_QR_AMBIGUOUS,
        FindingName.POLICY_FUTURE,
        FindingName.POLICY_ENDED,
    }
)

WEIGHTS: Final[Mapping[FindingName, Weight]] = {
    name: Weight.WARNING if name in _WARNINGS else Weight.ERROR for name in FindingName
}
"""How much each finding weighs."""

_CODES: Final = (
    (FindingName.LEAD_TIME_TOO_SHORT.value, "LEAD_TIME_TOO_SHORT"),
    (FindingName.KEY_CHANGE_REFUSED.value, "STATEMENT_INVALID"),
    ("KEY_", "KEY_MALFORMED"),
    ("SCHEME_", "SCHEME_INVALID"),
    ("POLICY_", "POLICY_INVALID"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the linter found.

    Attributes:
        name: what, stable.
        subject: what it is about: a key id, a family, a rule; may be empty.
        message: what is wrong and what to do, for people; no value of the document.
    """

    name: FindingName
    subject: str
    message: str

    @property
    def weight(self) -> Weight:
        """How much it weighs."""
        return WEIGHTS[self.name]


class LintError(TrustError):
    """The linter found an error; ``code`` is a reason of the wire."""

    default_code = "STATEMENT_INVALID"


def finding(name: FindingName, subject: str, message: str) -> Finding:
    """Makes a finding, cut to what the wire carries."""
    return Finding(name, subject[:MAX_SUBJECT], message[:MAX_MESSAGE])


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns the findings without repetition, errors first, otherwise as they came."""
    kept = dict.fromkeys(findings)
    return tuple(sorted(kept, key=lambda item: item.weight is not Weight.ERROR))


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Refuses what has an error; warnings pass.

    Raises:
        LintError: KEY_MALFORMED, SCHEME_INVALID, POLICY_INVALID, LEAD_TIME_TOO_SHORT
            or STATEMENT_INVALID, after the first error, which its text names.
    """
    for item in findings:
        if item.weight is Weight.ERROR:
            code = next((code for begin, code in _CODES if item.name.startswith(begin)), None)
            about = f" ({item.subject})" if item.subject else ""
            raise LintError(f"{item.name}{about}: {item.message}", code=code)
