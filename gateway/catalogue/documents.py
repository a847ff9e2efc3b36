"""The document of a row, sealed to the audience: what makes a catalogue *identified*.

A catalogue is pseudonymous unless somebody asks for more. Then type and number of each
person's document travel in the row, sealed to the audience's encryption key and bound
to issuer, audience and the row's own pseudonym: they stand in clear in no file and in
no database, and they open in no other row. All plaintexts have the same length, so
that the length of an envelope does not tell the type.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from gateway.attestation import base64url, strict_json
from gateway.attestation.errors import SealingError
from gateway.attestation.sealing import Binding, open_catalogued, seal_catalogued
from gateway.codes.documents import Document, DocumentError, parse_document

if TYPE_CHECKING:
    from gateway.attestation.sealing_keys import SealingKey, SealingPublicKey

PLAINTEXT_BYTES: Final = 64
"""The longest document (32 characters) takes 55."""


def seal_document(
    public: SealingPublicKey, document: Document, *, issuer: str, audience: str, sub: str
) -> str:
    """Seals the document of one row.

    Args:
        public: the audience's encryption key.
        document: whose row it is.
        issuer: URN.
        audience: URN.
        sub: pseudonym of the row.

    Returns:
        base64url of the envelope.
    """
    members = {"number": document.number, "type": int(document.type)}
    plaintext = json.dumps(members, separators=(",", ":")).encode().ljust(PLAINTEXT_BYTES)
    envelope = seal_catalogued(public, plaintext, Binding(audience, issuer, sub))
    return base64url.encode(envelope)


def open_document(
    private: SealingKey, sealed: str, *, issuer: str, audience: str, sub: str
) -> Document:
    """Opens the document of one row; the audience alone can.

    Raises:
        SealingError: it does not open with this key for this row.
    """
    try:
        envelope = base64url.decode(sealed.encode("ascii"))
        plaintext = open_catalogued(private, envelope, Binding(audience, issuer, sub))
        members = strict_json.loads(plaintext.rstrip(b" "))
        return parse_document(members["type"], members["number"])
    except (DocumentError, ValueError, TypeError, KeyError, AttributeError):
        raise SealingError("the envelope does not hold a document") from None
