"""What a gate sees of an attestation whose holder shows a part of it.

A member that is not disclosed is None, and so is one that the issuer says the code
does not have; ``disclosed`` tells the two apart. Whoever decides must treat what is
not disclosed as unknown, never as absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation.claims import Attestation, StatusReference
from gateway.attestation.code_claim import CodeClaim
from gateway.codes.unified import UnifiedCode

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.claim_set import AttestationUse
    from gateway.codes.levels import Basis, Level
    from gateway.codes.unified import Declarations, Release

CODE_MEMBERS: Final = CodeClaim.__struct_fields__
"""Every member that a code may have, in the order in which they are written."""


class CodePart(CodeClaim, forbid_unknown_fields=True, gc=False, kw_only=True):
    """The ``code`` claim where a part is told: what is withheld, or not there, is unset.

    Made only by ``read_disclosed``; whoever looks at a claim that may be one of these
    asks ``told`` what is known of it.
    """

    told: frozenset[str]


@dataclass(frozen=True, slots=True, repr=False)
class DisclosedCode:
    """The disclosed members of a unified code; see :class:`~gateway.codes.UnifiedCode`.

    Attributes:
        disclosed: names of the members that were disclosed, those that the code does
            not have among them. ``level`` and ``issued_by`` always are.
    """

    disclosed: frozenset[str]
    level: Level
    issued_by: str
    scheme: str | None = None
    state: str | None = None
    assessed_at: datetime | None = None
    source_at: datetime | None = None
    basis: frozenset[Basis] = frozenset()
    valid_until: datetime | None = None
    declared_at: datetime | None = None
    declaration_valid_until: datetime | None = None
    release: Release | None = None
    area: str | None = None
    declarations: Declarations | None = None
    rule: str | None = None
    negative_test_at: datetime | None = None
    also: tuple[UnifiedCode, ...] = ()

    def __repr__(self) -> str:
        """Without what it says about the person."""
        return f"DisclosedCode(issued_by={self.issued_by!r}, …)"

    @property
    def withheld(self) -> frozenset[str]:
        """Names of the members that were not disclosed."""
        return frozenset(CODE_MEMBERS) - self.disclosed


@dataclass(frozen=True, slots=True)
class DisclosedAttestation:
    """A verified attestation, shown in part; the frame is always in sight.

    Attributes:
        issuer: as in :class:`~gateway.attestation.Attestation`, and so are all others.
        audience: likewise.
        issued_at: likewise.
        not_before: likewise.
        expires_at: likewise.
        token_id: likewise.
        use: online or carried.
        code: what was disclosed of it.
        subject: the pseudonym; None: not disclosed.
        nonce: exactly when the use is online.
        status: likewise.
        serial: likewise.
    """

    issuer: str
    audience: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    token_id: str = field(repr=False)
    use: AttestationUse
    code: DisclosedCode = field(repr=False)
    subject: str | None = field(default=None, repr=False)
    nonce: bytes | None = field(default=None, repr=False)
    status: StatusReference | None = None
    serial: int | None = None

    def whole(self) -> Attestation | None:
        """The attestation, where nothing of it is held back; else None."""
        code = self.code
        if code.withheld or self.subject is None:
            return None
        members: dict[str, Any] = {name: getattr(code, name) for name in CODE_MEMBERS}
        return Attestation(
            self.issuer,
            self.audience,
            self.issued_at,
            self.not_before,
            self.expires_at,
            self.token_id,
            self.subject,
            UnifiedCode(**members),
            self.use,
            self.nonce,
            None,
            self.status,
            self.serial,
        )
