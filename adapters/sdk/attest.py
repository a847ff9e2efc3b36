"""Attesting: a unified code becomes a signed statement for one audience.

The life of an attestation ends at the earliest of: five minutes (online), ten (to be
converted) or what the scheme grants (carried), what the hub grants this authority, and every clock
of every report in it, the end of the scheme's version included. A code that has
no whole second left is CODE_EXPIRED, not an attestation that is dead on arrival.

Nothing is signed that a strict reader would refuse: a report issued outside the
authority's prefixes, or one too large for the wire, is CANNOT_DETERMINE as a
whole, because leaving one out would claim to be complete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from adapters.sdk.reports import OutcomeReport
from gateway.attestation import base64url
from gateway.attestation.bound import bound_to
from gateway.attestation.claims import (
    MAX_IMPORT_SECONDS,
    Attestation,
    AttestationUse,
    claims_to_json,
)
from gateway.attestation.pseudonym import pseudonym
from gateway.attestation.sd_jwt import Draft, draft_disclosed, sign_disclosed
from gateway.attestation.signing import TOKEN_TYPE, sign_payload
from gateway.codes.levels import Outcome
from gateway.codes.scheme_model import SchemeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from adapters.sdk.issued import IssuedLedger
    from adapters.sdk.issued_store import IssuedRow
    from gateway.attestation.keys import SigningKey
    from gateway.attestation.sd_jwt import Disclosure
    from gateway.codes.documents import Document
    from gateway.codes.scheme_model import Scheme
    from gateway.codes.unified import UnifiedCode

ONLINE_SECONDS: Final = 300
"""Half of what the profile allows: an online attestation is read at once."""
MAX_ATTESTATION_BYTES: Final = 8192
"""As ``hutong.v1.Answer.attestation``."""

# Base64url makes four characters of three bytes; header, signature and dots take 232.
_MAX_PAYLOAD_BYTES: Final = (MAX_ATTESTATION_BYTES - 256) * 3 // 4
_TOKEN_ID_BYTES: Final = 16  # 128 random bits (HT-ATT-11)
# Who converts may stand anywhere, and must not learn the pseudonym by which the
# destination's own gates know a person (docs/adr/0013). No URN has this character.
_CONVERTED: Final = "#import"
_QR_TEXT: Final = 0  # not a document type: the pseudonym is that of a QR text

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Issuance:
    """What is the same for every attestation of a batch.

    Attributes:
        audience: region URN of the destination.
        issued_at: whole seconds, UTC.
        online_until: latest end of one for online use.
        carried_until: latest end of one that is carried.
        import_until: latest end of one that is converted.
        rows: what has to be on disk before the carried ones of the batch leave.
    """

    audience: str
    issued_at: datetime
    online_until: datetime
    carried_until: datetime
    import_until: datetime
    rows: list[IssuedRow] = field(default_factory=list, repr=False)


class Attester:
    """Signs unified codes for one authority.

    Args:
        authority: URN.
        prefixes: divisions the authority may speak for.
        scheme: sets the life of carried attestations.
        key: the attestation key.
        pseudonym_secret: at least 32 random bytes.
        max_seconds: longest life the hub grants this authority.
        random_bytes: the source of token ids.
        ledger: gives carried attestations their place in a status list; None: they
            have none and cannot be revoked.
        unnamed_seconds: longest life of a carried attestation about a QR text whose
            holder the platform does not name; None: as of any other.
    """

    def __init__(
        self,
        *,
        authority: str,
        prefixes: tuple[str, ...],
        scheme: Scheme,
        key: SigningKey,
        pseudonym_secret: bytes,
        max_seconds: int = 86_400,
        random_bytes: Callable[[int], bytes] = os.urandom,
        ledger: IssuedLedger | None = None,
        unnamed_seconds: int | None = None,
    ) -> None:
        self._authority = authority
        self._prefixes = prefixes
        self._scheme = scheme
        self._key = key
        self._secret = pseudonym_secret
        self._max_seconds = max_seconds
        self._random_bytes = random_bytes
        self._ledger = ledger
        self._unnamed = None if unnamed_seconds is None else timedelta(seconds=unnamed_seconds)

    def use(self, key: SigningKey) -> None:
        """Sign with another attestation key from now on."""
        self._key = key

    def pseudonym(self, audience: str, subject: Document | str) -> str:
        """Return the pseudonym of a person, or of a QR text where no more is known."""
        if isinstance(subject, str):
            return pseudonym(self._secret, audience, _QR_TEXT, subject)
        return pseudonym(self._secret, audience, int(subject.type), subject.number)

    def begin(self, audience: str, now: datetime) -> Issuance:
        """Begin to attest a batch: what is the same for all of it is found once.

        Args:
            audience: region URN of the destination.
            now: the clock.
        """
        issued_at = now.replace(microsecond=0)
        try:
            version = self._scheme.version_at(issued_at)
        except SchemeError:
            return Issuance(audience, issued_at, issued_at, issued_at, issued_at)
        seconds = min(version.clocks.carried_max_seconds, self._max_seconds)
        carried = issued_at + timedelta(seconds=seconds)
        online = issued_at + timedelta(seconds=min(ONLINE_SECONDS, self._max_seconds))
        imported = issued_at + timedelta(seconds=min(MAX_IMPORT_SECONDS, self._max_seconds))
        if version.valid_until is not None:
            end = version.valid_until
            carried, online, imported = min(carried, end), min(online, end), min(imported, end)
        return Issuance(audience, issued_at, online, carried, imported)

    def claims(
        self,
        code: UnifiedCode,
        subject: Document | str,
        nonce: bytes | None,
        issuance: Issuance,
        *,
        is_import: bool = False,
    ) -> bytes | OutcomeReport:
        """Say what is to be signed.

        Args:
            code: what to state.
            subject: whose code it is; a text is that of a QR code.
            nonce: the question's, for online use or an import; None: carried.
            issuance: from :meth:`begin`.
            is_import: it is to be converted; bound to the document, where the subject
                is one, and to the nonce.

        Returns:
            The payload, or the outcome where no attestation can be made.
        """
        if not self._may_speak_for(code):
            _log.warning("report_of_another_region", authority=self._authority)
            return OutcomeReport(Outcome.CANNOT_DETERMINE, scheme=code.scheme)
        issued_at = issuance.issued_at
        use, bound, latest = AttestationUse.ONLINE, None, issuance.online_until
        if is_import:
            use, latest = AttestationUse.IMPORT, issuance.import_until
            if nonce is not None and not isinstance(subject, str):
                bound = bound_to(nonce, subject)
            nonce = None
        elif nonce is None:
            use, latest = AttestationUse.CARRIED, issuance.carried_until
            if self._unnamed is not None and isinstance(subject, str):
                latest = min(latest, issued_at + self._unnamed)
        expires_at = _end(code, latest)
        if expires_at <= issued_at:
            return OutcomeReport(Outcome.CODE_EXPIRED, scheme=code.scheme)
        status = serial = None
        if use is AttestationUse.CARRIED and self._ledger is not None:
            allotted = self._ledger.allot(subject, code, issued_at=issued_at, expires_at=expires_at)
            if allotted is None:
                return OutcomeReport(Outcome.SOURCE_BUSY, scheme=code.scheme)
            status, serial = allotted.reference, allotted.serial
            issuance.rows.append(allotted.row)
        # By position, which is the order of the class: this runs for every answer.
        attestation = Attestation(
            self._authority,
            issuance.audience,
            issued_at,
            issued_at,
            expires_at,
            base64url.encode(self._random_bytes(_TOKEN_ID_BYTES)),
            self.pseudonym(issuance.audience + (_CONVERTED if is_import else ""), subject),
            code,
            use,
            nonce,
            bound,
            status,
            serial,
        )
        payload = claims_to_json(attestation)
        if len(payload) > _MAX_PAYLOAD_BYTES:
            _log.warning("attestation_too_large", authority=self._authority)
            return OutcomeReport(Outcome.CANNOT_DETERMINE, scheme=code.scheme)
        return payload

    def _may_speak_for(self, code: UnifiedCode) -> bool:
        prefixes = self._prefixes
        return code.issued_by.startswith(prefixes) and (
            not code.also or all(other.issued_by.startswith(prefixes) for other in code.also)
        )

    def in_part(
        self, payload: bytes, disclosure: Disclosure, code: UnifiedCode
    ) -> Draft | OutcomeReport:
        """Make what :meth:`claims` said disclosable in part; the outcome: too large."""
        draft = draft_disclosed(payload, disclosure, self._random_bytes)
        beside = sum(len(text) + 1 for text in draft.disclosures)
        if len(draft.payload) + beside * 3 // 4 > _MAX_PAYLOAD_BYTES:
            _log.warning("attestation_too_large", authority=self._authority)
            return OutcomeReport(Outcome.CANNOT_DETERMINE, scheme=code.scheme)
        return draft

    def sign(self, draft: Draft) -> str:
        """Sign what :meth:`claims` or :meth:`in_part` said; return the token."""
        if draft.disclosures:
            return sign_disclosed(draft, self._key)
        return sign_payload(draft.payload, self._key, TOKEN_TYPE)


def _end(code: UnifiedCode, end: datetime) -> datetime:
    """Return the earliest of ``end`` and every clock of every report."""
    for report in code.reports:
        if report.valid_until is not None and report.valid_until < end:
            end = report.valid_until
        if report.declaration_valid_until is not None and report.declaration_valid_until < end:
            end = report.declaration_valid_until
    return end
