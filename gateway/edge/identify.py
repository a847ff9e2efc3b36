"""Identify region: from what is presented to the region that must be asked.

A carried attestation was told apart before (``presentation``). A document says
nothing about where its holder's code is kept, so its origin must be given. A QR
text is held against the patterns of every scheme in the feed that is in force;
``gateway.codes.qr_pattern`` guarantees that this takes linear time. Where several
regions recognise one text, nobody guesses: a person is asked.

A region that nobody in the feed serves is served by the national code (the third
official path); a region that is merely suspended is not, for its own word stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.codes import Document, contains, division_prefix, parse_document
from gateway.codes.schemes import load_scheme
from gateway.edge.errors import AmbiguousPresentationError, Candidate, PresentationError
from gateway.errors import HutongError
from gateway.trust import Missing, TrustLookupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gateway.codes.qr_pattern import QrPattern
    from gateway.codes.schemes import Scheme
    from gateway.edge.questions import Askable
    from gateway.trust import TrustBundle

NATIONAL_REGION: Final = "100000"
"""The national issuer; see ``gateway.codes.divisions``."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom to ask, and with what.

    Attributes:
        region: six digits of the region whose adapter is asked.
        presentation: what is sent: the QR text, or the document it stands for.
        instead_of: six digits of the region that was meant, where nobody serves it
            and the national code is asked; None: the region itself is asked.
    """

    region: str
    presentation: Askable
    instead_of: str | None = None


def or_national(identified: Identified, bundle: TrustBundle) -> Identified:
    """Turn to the national code where no authority of the feed covers the region."""
    if not _is_unserved(identified.region, bundle) or _is_unserved(NATIONAL_REGION, bundle):
        return identified
    return replace(identified, region=NATIONAL_REGION, instead_of=identified.region)


def _is_unserved(region: str, bundle: TrustBundle) -> bool:
    try:
        bundle.authority_for(region)
    except TrustLookupError as error:
        return error.code == Missing.UNKNOWN_REGION
    return False


class SchemeIndex:
    """The schemes of the feed, ready to recognise QR texts."""

    def __init__(self, schemes: Iterable[Scheme]) -> None:
        self._schemes = tuple(sorted(schemes, key=lambda scheme: scheme.family))

    @classmethod
    def from_documents(cls, documents: Iterable[Mapping[str, Any]]) -> SchemeIndex:
        """Read the documents of the feed.

        A document that does not load (written for a later version of this
        software) recognises nothing here and hinders no other; its region can
        still be asked by naming it.
        """
        schemes: list[Scheme] = []
        for document in documents:
            try:
                schemes.append(load_scheme(dict(document)))
            except HutongError as error:
                _log.warning(
                    "scheme_ignored", code=error.code, family=str(document.get("family"))[:40]
                )
        return cls(schemes)

    def identify(self, presentation: Askable, *, origin: str | None, now: datetime) -> Identified:
        """Find the region to ask.

        Args:
            presentation: a QR text or a document.
            origin: six digits that a person named; None: nobody did. A named
                origin is asked even when no scheme of its own recognises the
                text: its platform knows best whether the code is its own.
            now: the clock; only versions in force recognise.

        Raises:
            PresentationError: ORIGIN_REQUIRED, a document came without origin;
                PRESENTATION_UNRECOGNISED, no scheme knows the text.
            AmbiguousPresentationError: several regions recognise it.
            DocumentError: the text stands for a document that cannot be one.
        """
        if isinstance(presentation, Document):
            if origin is None:
                raise PresentationError(
                    "a document needs the region its code is from", code="ORIGIN_REQUIRED"
                )
            return Identified(origin, presentation)
        found = self._matches(presentation.text, now)
        if origin is not None:
            found = {
                region: match
                for region, match in found.items()
                if contains(division_prefix(origin), region)
                or contains(division_prefix(region), origin)
            }
            if origin in found:
                found = {origin: found[origin]}
            if not found:
                return Identified(origin, presentation)
        if not found:
            raise PresentationError(
                "no scheme in the feed recognises this code", code="PRESENTATION_UNRECOGNISED"
            )
        if len(found) > 1:
            raise AmbiguousPresentationError(
                tuple(_candidate(region, scheme, now) for region, (scheme, _) in found.items())
            )
        [(region, (_, pattern))] = found.items()
        return Identified(region, _sent(presentation, pattern))

    def _matches(self, text: str, now: datetime) -> dict[str, tuple[Scheme, QrPattern]]:
        found: dict[str, tuple[Scheme, QrPattern]] = {}
        for scheme in self._schemes:
            pattern = scheme.match_qr(text, now)
            if pattern is not None:
                found.setdefault(pattern.region, (scheme, pattern))
        return found


def _candidate(region: str, scheme: Scheme, now: datetime) -> Candidate:
    return Candidate(region, scheme.version_at(now).id, scheme.name_zh, scheme.name_en)


def _sent(presentation: Askable, pattern: QrPattern) -> Askable:
    """The document that a QR text stands for, where its scheme says it does."""
    if isinstance(presentation, Document) or pattern.document_type is None:
        return presentation
    number = pattern.document_number(presentation.text)
    return presentation if number is None else parse_document(pattern.document_type, number)
