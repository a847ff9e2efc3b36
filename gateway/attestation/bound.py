"""The commitment of an imported attestation to the document it is about.

An attestation names its subject by a pseudonym that nobody but its issuer can make.
So that the destination can tell that the person in front of it is the one the origin
was asked about, an attestation of use ``import`` carries ``bound``: a SHA-256 over a
label, the nonce of the question, and type and number of the document. The nonce is
16 random bytes that only the asker and the issuer know; it travels to the
destination inside the sealed import. Without it nobody can try the numbers of a city
against the commitment, and two attestations about one person share nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from gateway.attestation.claim_set import NONCE_BYTES
from gateway.attestation.errors import SubjectError
from gateway.errors import InternalError

if TYPE_CHECKING:
    from gateway.attestation.claims import Attestation
    from gateway.codes.documents import Document

_LABEL: Final = b"hutong/v1/bound\0"


def bound_to(nonce: bytes, document: Document) -> bytes:
    """Commits to a document: 32 bytes.

    The input is of one reading: label and nonce have a fixed length, the type takes
    two bytes (big endian), the number is the rest.

    Args:
        nonce: the question's, 16 random bytes.
        document: in its normal form (upper case, no spaces).

    Raises:
        InternalError: the nonce is not 16 bytes.
    """
    if len(nonce) != NONCE_BYTES:
        raise InternalError(f"a nonce has {NONCE_BYTES} bytes")
    kind = int(document.type).to_bytes(2, "big")
    return hashlib.sha256(_LABEL + nonce + kind + document.number.encode()).digest()


def check_bound(attestation: Attestation, nonce: bytes, document: Document) -> None:
    """Holds a verified attestation against the document that is shown.

    Raises:
        SubjectError: it is about somebody else, or does not say about whom, or the
            nonce is another question's.
    """
    bound = attestation.bound
    if (
        bound is None
        or len(nonce) != NONCE_BYTES
        or not hmac.compare_digest(bound, bound_to(nonce, document))
    ):
        raise SubjectError("not about the document that is shown")
