"""The protected header of a token: exactly ``alg``, ``kid`` and ``typ``, each once.

No ``crit``, no key inside or behind a URL, and a type of its own (RFC 8725 §3.11), so
that no token of another kind is taken for an attestation.

A region signs with a key or two, so the header of its next token is byte for byte that
of its last. What was read strictly once, in a token that verified, is remembered.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.attestation import base64url, strict_json
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.jwk import KEY_ID_LENGTH
from gateway.attestation.keys import ALGORITHMS

# About 140 characters hold an honest header; no point in parsing a longer one.
_MAX_HEADER_SEGMENT: Final = 512
# Headers of the keys in force: a key or two of each of some hundred regions.
_MAX_REMEMBERED: Final = 1024
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_KEY_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{{KEY_ID_LENGTH}}}", re.ASCII)


class KnownHeaders(dict[str, tuple[str, str]]):
    """Header segments of tokens that verified, each with its algorithm and key id.

    Filled after a signature held and not before, so a stranger cannot fill it.

    Args:
        token_type: ``typ`` of all of them.
    """

    __slots__ = ("token_type",)

    def __init__(self, token_type: str) -> None:
        super().__init__()
        self.token_type = token_type

    def remember(self, segment: str, algorithm: str, key_id: str) -> None:
        """Remembers the header of a token that verified."""
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        self[segment] = (algorithm, key_id)


def parse_header(segment: str, token_type: str) -> tuple[str, str]:
    """Reads a header for the first time; returns algorithm and key id.

    Args:
        segment: the first of a token, ASCII.
        token_type: what ``typ`` must be.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED``, ``ATTESTATION_HEADER`` or
            ``ATTESTATION_ALGORITHM``.
    """
    if len(segment) > _MAX_HEADER_SEGMENT:
        raise _bad_header()
    try:
        header = strict_json.loads(base64url.decode(segment.encode()))
    except strict_json.DoubledMemberError:
        raise _bad_header() from None
    except ValueError:
        raise malformed() from None
    if not isinstance(header, dict) or header.keys() != _HEADER_MEMBERS:
        raise _bad_header()
    algorithm, key_id = header["alg"], header["kid"]
    if header["typ"] != token_type:
        raise _bad_header()
    if not (isinstance(key_id, str) and _KEY_ID.fullmatch(key_id)):
        raise _bad_header()
    if not (isinstance(algorithm, str) and algorithm in ALGORITHMS):
        raise AttestationError(
            "alg is none of the profile", code=AttestationFault.ATTESTATION_ALGORITHM
        )
    return algorithm, key_id


def malformed() -> AttestationError:
    """Makes the error of a token that is not in the form of one."""
    return AttestationError(
        "not three segments of canonical base64url that hold JSON",
        code=AttestationFault.ATTESTATION_MALFORMED,
    )


def _bad_header() -> AttestationError:
    return AttestationError(
        "the header is not exactly alg, kid and typ", code=AttestationFault.ATTESTATION_HEADER
    )
