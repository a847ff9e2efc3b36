"""What catalogues of other regions say about an attestation that would be admitted.

Asked only where the decision admits, and able only to take that back: a catalogue
makes nobody green, and a catalogue that cannot be read is no reason to admit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gateway.attestation.disclosed import DisclosedAttestation
from gateway.catalogue import CatalogueStoreError
from gateway.catalogue.listing import ListingFile
from gateway.edge.reasons import LISTED_SINCE, LISTINGS_UNREADABLE, SUBJECT_WITHHELD

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.attestation import Attestation
    from gateway.recognition import Reason

_log = structlog.get_logger(__name__)


def listed_since(
    catalogue_file: Path | None, attestation: Attestation | DisclosedAttestation
) -> Reason | None:
    """Say why a person decides instead; None: nothing stands against the admission.

    Args:
        catalogue_file: store of this checkpoint; None: it was given none.
        attestation: what would be admitted.
    """
    if catalogue_file is None:
        return None
    if isinstance(attestation, DisclosedAttestation):
        # A catalogue knows people by their pseudonyms and codes by their dates.
        return SUBJECT_WITHHELD
    try:
        return LISTED_SINCE if ListingFile(catalogue_file).contradicts(attestation) else None
    except CatalogueStoreError as error:
        _log.error("listings_unreadable", code=error.code)
        return LISTINGS_UNREADABLE
