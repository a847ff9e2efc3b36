"""What may be wrong with something that trust rests on.

All are trust errors of ``gateway.errors``::

    TrustError
    ├── KeyMaterialError   KEY_MALFORMED (of gateway.attestation)
    ├── StatementError     STATEMENT_INVALID
    ├── KeyChangeError     the codes of KeyChangeFault
    ├── DistrustError      DISTRUST_INVALID
    ├── PossessionError    POSSESSION_NOT_PROVEN
    ├── AnchorError        ANCHOR_INVALID
    ├── FeedError          the codes of FeedFault
    ├── TrustLookupError   the codes of Missing
    └── PackError          PACK_INVALID

Messages name members and limits. What they are about is public (keys, regions,
schemes), yet no value of a member is repeated.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.attestation.errors import KeyMaterialError as KeyMaterialError
from gateway.errors import TrustError


class StatementError(TrustError):
    """A signed statement, or the record in it, does not hold."""

    default_code = "STATEMENT_INVALID"


class KeyChangeFault(StrEnum):
    """Why a change of keys is refused."""

    STATEMENT_INVALID = "STATEMENT_INVALID"
    """Not a change of keys: shape, a key twice, a key it cannot bring."""
    LEAD_TIME_TOO_SHORT = "LEAD_TIME_TOO_SHORT"
    """A key would be used before every reader can have seen it."""
    WRONG_STATE = "WRONG_STATE"
    """A key does not go from where it stands to where the change wants it."""
    NOT_FOUND = "NOT_FOUND"
    """The member has no such key."""


class KeyChangeError(TrustError):
    """A change of keys is refused as a whole; ``code`` is one of ``KeyChangeFault``."""

    default_code = KeyChangeFault.STATEMENT_INVALID.value

    def __init__(
        self, message: str, *, code: KeyChangeFault = KeyChangeFault.STATEMENT_INVALID
    ) -> None:
        super().__init__(message, code=code.value)


class DistrustError(TrustError):
    """A distrust names nothing, or a span that is none."""

    default_code = "DISTRUST_INVALID"


class PossessionError(TrustError):
    """Possession of a key was not proven."""

    default_code = "POSSESSION_NOT_PROVEN"


class AnchorError(TrustError):
    """A trust anchor file does not load."""

    default_code = "ANCHOR_INVALID"


class FeedFault(StrEnum):
    """Every reason for which a reader of the feed refuses an input."""

    FEED_MALFORMED = "FEED_MALFORMED"
    """Not what the feed may carry: shape, size, an inner statement, a foreign prefix."""
    FEED_SIGNATURE = "FEED_SIGNATURE"
    """Not signed by a feed key of the anchored hub."""
    FEED_ROLLED_BACK = "FEED_ROLLED_BACK"
    """Older than what the reader holds."""
    FEED_GAP = "FEED_GAP"
    """Entries are missing in between; the reader must catch up or take a snapshot."""
    FEED_FORK = "FEED_FORK"
    """Another history than the one the reader holds."""
    FEED_FROM_FUTURE = "FEED_FROM_FUTURE"
    """Issued further ahead than clocks may differ."""
    FEED_UNSUPPORTED = "FEED_UNSUPPORTED"
    """An entry of an unknown kind says that a reader must understand it."""


class FeedError(TrustError):
    """An input of the feed is refused; ``code`` is one of ``FeedFault``."""

    default_code = FeedFault.FEED_MALFORMED.value

    def __init__(
        self,
        message: str,
        *,
        code: FeedFault = FeedFault.FEED_MALFORMED,
        fix: str | None = None,
    ) -> None:
        super().__init__(message, code=code.value, fix=fix)


class Missing(StrEnum):
    """Why the bundle has no answer."""

    KEY_UNKNOWN = "KEY_UNKNOWN"
    """The issuer has no such key for this use."""
    AUTHORITY_SUSPENDED = "AUTHORITY_SUSPENDED"
    """The authority exists and an operator has stopped it."""
    AUTHORITY_WITHDRAWN = "AUTHORITY_WITHDRAWN"
    """The authority has left for good."""
    CONSTRAINT_EXCEEDED = "CONSTRAINT_EXCEEDED"
    """A superior does not allow it."""
    HUB_UNKNOWN = "HUB_UNKNOWN"
    """No feed of that hub is held."""
    UNKNOWN_REGION = "UNKNOWN_REGION"
    """No authority answers for this division."""
    SEALING_KEY_UNKNOWN = "SEALING_KEY_UNKNOWN"
    """The authority has no sealing key that is valid now."""
    POLICY_UNKNOWN = "POLICY_UNKNOWN"
    """The region has published no policy that is believed."""


class TrustLookupError(TrustError):
    """The trust bundle does not answer; ``code`` is one of ``Missing``."""

    default_code = Missing.KEY_UNKNOWN.value

    def __init__(self, message: str, *, code: Missing) -> None:
        super().__init__(message, code=code.value)


class PackError(TrustError):
    """An air-gapped pack does not hold; nothing was changed."""

    default_code = "PACK_INVALID"
