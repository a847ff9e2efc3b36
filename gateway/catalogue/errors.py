"""What can be wrong with a catalogue, by whose fault it is.

::

    HutongError
    ├── TrustError
    │   └── CatalogueError        what is signed does not hold; codes below
    ├── PeerError
    │   └── CatalogueSourceError  CATALOGUE_SOURCE_FAILED
    ├── CallerError
    │   └── CatalogueUseError     CATALOGUE_USE
    └── InternalError
        └── CatalogueStoreError   CATALOGUE_STORE_FAILED

No message names a person, a pseudonym or a level.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.errors import CallerError, InternalError, PeerError, TrustError


class CatalogueFault(StrEnum):
    """Why a file is refused as a whole."""

    CATALOGUE_MALFORMED = "CATALOGUE_MALFORMED"
    """The first line is no header of this profile, or the file ends within a line."""
    CATALOGUE_SIGNATURE = "CATALOGUE_SIGNATURE"
    """The header is not signed by a statement key of its issuer that was valid then."""
    CATALOGUE_AUDIENCE = "CATALOGUE_AUDIENCE"
    """It was made for another region."""
    CATALOGUE_KIND = "CATALOGUE_KIND"
    """It is a file of the other kind."""
    CATALOGUE_FROM_FUTURE = "CATALOGUE_FROM_FUTURE"
    """It is dated ahead of this machine's clock."""
    CATALOGUE_TOO_OLD = "CATALOGUE_TOO_OLD"
    """It was made too long ago to be news."""
    CATALOGUE_TRUNCATED = "CATALOGUE_TRUNCATED"
    """The file is shorter or longer than its header says."""
    CATALOGUE_ALTERED = "CATALOGUE_ALTERED"
    """The rows are not the ones that were signed."""
    CATALOGUE_ROLLED_BACK = "CATALOGUE_ROLLED_BACK"
    """A newer one of this issuer was taken already."""
    CATALOGUE_FORKED = "CATALOGUE_FORKED"
    """It does not follow the one that was taken before it."""
    CATALOGUE_GAP = "CATALOGUE_GAP"
    """One or more between the last one taken and this one are missing."""
    CATALOGUE_TRUST_TOO_OLD = "CATALOGUE_TRUST_TOO_OLD"
    """This machine has not heard of its hub for too long to believe a key."""


class CatalogueError(TrustError):
    """A catalogue is refused as a whole; nothing of it is taken."""

    default_code = CatalogueFault.CATALOGUE_MALFORMED


class CatalogueSourceError(PeerError):
    """What the rows are read from does not answer, or not as agreed."""

    default_code = "CATALOGUE_SOURCE_FAILED"


class CatalogueUseError(CallerError):
    """It was asked for something that cannot be done."""

    default_code = "CATALOGUE_USE"


class CatalogueStoreError(InternalError):
    """The store of catalogues cannot be used."""

    default_code = "CATALOGUE_STORE_FAILED"
