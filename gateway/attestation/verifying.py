"""The one strict reader of attestations: bytes, a clock and trust in, claims out.

A token passes when all of this holds, and raises otherwise:

1. at most 8 KiB, three segments of canonical base64url;
2. a header of exactly ``alg``, ``kid`` and ``typ``, each once, ``typ`` being
   ``hutong-attestation+jwt``, or that of ``sd_jwt`` where one in part is read (so no
   ``crit``, no key inside or behind a URL);
3. a closed, well-typed claim set without doubled members (``claims``);
4. the key that trust holds under exactly (``iss``, ``kid``), bound to ``alg``, in use
   at ``iat``, its divisions containing the issuer and every report; a key that has
   been retired since still verifies what it signed, for as long as that lives, and
   one that is tainted what it signed before;
5. the signature, for ES256 as raw ``r || s`` with both in range;
6. the times, with leeway on both sides, and the life that the key's superior set;
7. no distrust that trust binds to the key is about it;
8. the audience containing the region that reads;
9. the use: with a nonce, an online attestation that repeats it; without, a carried
   one; for a conversion, one of use ``import`` (whose commitment to a document is
   held against it by ``bound``). Anything else is a replay.

Nothing is returned and nothing is remembered before all of them hold. Errors
(``AttestationFault``) name no value of the token. Trust raises its own error,
which passes through: ``KEY_UNKNOWN``, or why an authority is not to be believed.

The hot path is written out here instead of going through a JOSE library: on the
same token those spend as much on the frame as on the signature.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from msgspec import UNSET

from gateway.attestation import base64url
from gateway.attestation.cache import VerifiedToken, VerifiedTokenCache
from gateway.attestation.claim_set import AttestationUse, Claims, read_claims
from gateway.attestation.claims import Attestation, attestation_of
from gateway.attestation.code_claim import to_seconds
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.header import KnownHeaders, malformed, parse_header
from gateway.attestation.regions import REGIONS, region_code, region_prefix
from gateway.attestation.sd_jwt import SD_TOKEN_TYPE, split
from gateway.attestation.sd_jwt_reader import disclosed_of, read_disclosed
from gateway.attestation.signature import check_signature
from gateway.attestation.signing import TOKEN_TYPE
from gateway.errors import CallerError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.attestation.keys import VerificationKey

_R = TypeVar("_R")

MAX_TOKEN_BYTES: Final = 8 * 1024
"""``Answer.attestation`` in exchange.proto."""
DEFAULT_LEEWAY_SECONDS: Final = 60
"""What two clocks that are set by hand or by a busy network may differ."""
MAX_LEEWAY_SECONDS: Final = 60
"""docs/spec/attestation.md, HT-ATT-6."""

_DOTS: Final = 2
# Asking the class of an enumeration for a member costs more than the check does.
_CARRIED: Final = AttestationUse.CARRIED


class KeySource(Protocol):
    """Where keys come from; the trust bundle is one."""

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """Returns the key that this issuer holds under this id.

        Raises:
            TrustError: there is none, or the issuer is not to be believed now.
        """
        ...


class AttestationVerifier:
    """Verifies attestations against one source of trust.

    Safe to share between threads. Example::

        verifier = AttestationVerifier(bundle, cache=VerifiedTokenCache(10_000))
        attestation = verifier.verify(
            token, audience="urn:hutong:region:440100", now=clock(), nonce=asked
        )
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        leeway_seconds: int = DEFAULT_LEEWAY_SECONDS,
        cache: VerifiedTokenCache | None = None,
    ) -> None:
        """Makes a verifier.

        Args:
            keys: asked for the key of every token, also on a cache hit.
            leeway_seconds: 0 to 60, added on both ends of the validity.
            cache: may be shared between verifiers; clear it when trust changes.

        Raises:
            InternalError: the leeway is out of bounds.
        """
        if not 0 <= leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise InternalError(f"leeway is 0 to {MAX_LEEWAY_SECONDS} seconds")
        self._keys = keys
        self._leeway_seconds = leeway_seconds
        self._cache = cache
        self._headers = KnownHeaders(TOKEN_TYPE)
        self._disclosed_headers = KnownHeaders(SD_TOKEN_TYPE)

    def verify(
        self,
        token: str | bytes,
        *,
        audience: str,
        now: datetime,
        nonce: bytes | None = None,
        is_import: bool = False,
    ) -> Attestation:
        """Verifies a compact token.

        Args:
            token: the token, as text or ASCII bytes.
            audience: URN of the region that reads, six digits.
            now: the reader's clock, with a zone.
            nonce: the nonce of the question that this answers; None: the token was
                carried here.
            is_import: the token is to be converted; ``nonce`` is not looked at.

        Raises:
            AttestationError: see the module's contract; ``code`` says which rule.
            TrustError: trust knows no such key, or does not believe the issuer.
            CallerError: ``audience`` or ``now`` is not what it must be.
        """
        if now.tzinfo is None or audience not in REGIONS:
            _check_reader(audience, now)
        # Fractions do not matter: every bound is a whole second.
        now_seconds = to_seconds(now)
        if isinstance(token, str) and len(token) <= MAX_TOKEN_BYTES and token.isascii():
            text = token
        else:
            text = _token_text(token)
        cache = self._cache
        if cache is None:
            claims, answered, _ = self._verify_signed(text, now_seconds, self._headers, read_claims)
            attestation = attestation_of(claims, answered)
        else:
            digest = sha256(text.encode()).digest()
            generation = cache.generation
            found = cache.get(digest, now_seconds)
            if found is None or not self._still_holds(found, now_seconds):
                claims, answered, key = self._verify_signed(
                    text, now_seconds, self._headers, read_claims
                )
                found = VerifiedToken(attestation_of(claims, answered), key, claims)
                cache.put(digest, found, generation)
            attestation = found.attestation
        if attestation.audience != audience:
            _check_audience(attestation, audience)
        if is_import:
            _check_import(attestation)
        elif nonce is not None or attestation.use is not _CARRIED:
            _check_question(attestation, nonce)
        return attestation

    def verify_disclosed(
        self, token: str | bytes, *, audience: str, now: datetime, nonce: bytes | None = None
    ) -> DisclosedAttestation:
        """Verifies an attestation that is shown in part (``sd_jwt``).

        It is held to everything that a whole one is held to, but for what it does not
        tell: a report that is withheld cannot be held against the divisions of the key,
        nor its end against ``exp``. A distrust that asks for what is withheld is about
        it. Nothing is remembered of it.

        The arguments are those of ``verify``.

        Raises:
            AttestationError: as ``verify``, and ``DISCLOSURE_INVALID``.
            TrustError: as ``verify``.
            CallerError: as ``verify``.
        """
        _check_reader(audience, now)
        now_seconds = to_seconds(now)
        signed, disclosures = split(_token_text(token).encode())
        claims, read, _ = self._verify_signed(
            signed.decode(),
            now_seconds,
            self._disclosed_headers,
            lambda payload: read_disclosed(payload, disclosures),
        )
        attestation = disclosed_of(claims, read)
        if attestation.audience != audience:
            _check_audience(attestation, audience)
        _check_question(attestation, nonce)
        return attestation

    def _verify_signed(
        self,
        text: str,
        now_seconds: int,
        headers: KnownHeaders,
        read: Callable[[bytes], tuple[Claims, _R]],
    ) -> tuple[Claims, _R, VerificationKey]:
        """Everything that does not depend on who reads and what was asked."""
        signing_input, _, signature_segment = text.rpartition(".")
        header_segment, _, payload_segment = signing_input.partition(".")
        known = headers.get(header_segment)
        if known is None and text.count(".") != _DOTS:
            raise malformed()
        algorithm, key_id = known or parse_header(header_segment, headers.token_type)
        try:
            payload, signature = base64url.decode_pair(payload_segment, signature_segment)
        except ValueError:
            raise malformed() from None
        claims, beside = read(payload)
        key = self._keys.attestation_key(claims.iss, key_id)
        if key.algorithm != algorithm:
            raise AttestationError(
                "alg is not the algorithm of the key",
                code=AttestationFault.ATTESTATION_ALGORITHM,
            )
        leeway = self._leeway_seconds
        issued = claims.iat
        # Rows of comparisons for what is as it should be; what is not is asked rule by rule.
        if not (
            key.first_second - leeway <= issued < key.end_second + leeway
            and issued < key.believed_until_second
        ):
            self._check_key_time(key, issued)
        check_signature(key, signature, signing_input.encode())
        if known is None:
            headers.remember(header_segment, algorithm, key_id)
        code = claims.code
        if not (
            key.has_own_region
            and claims.iss == key.issuer
            and code.issued_by.startswith(key.prefixes)
            and code.also is UNSET
        ):
            _check_divisions(claims, key)
        if (
            not claims.nbf - leeway <= now_seconds < claims.exp + leeway
            or key.max_lifetime_seconds is not None
        ):
            self._check_times(claims, key, now_seconds)
        if key.distrusts:
            _check_distrusts(claims, key)
        return claims, beside, key

    def _still_holds(self, found: VerifiedToken, now_seconds: int) -> bool:
        """Tells whether trust still gives the key that proved the entry.

        A key that was tainted, revoked or distrusted since is not equal to it.

        Raises:
            TrustError: as when the token were verified anew.
        """
        key = self._keys.attestation_key(found.attestation.issuer, found.key.key_id)
        if key is not found.key and key != found.key:
            return False
        self._check_times(found.claims, key, now_seconds)
        return True

    def _check_key_time(self, key: VerificationKey, issued: int) -> None:
        """Checks that the key was in use, and is believed, when it says that it signed."""
        leeway = self._leeway_seconds
        if issued >= key.believed_until_second:
            if key.is_revoked:
                raise AttestationError("the key is revoked", code=AttestationFault.KEY_REVOKED)
            raise AttestationError(
                "the key was tainted when it signed", code=AttestationFault.KEY_TAINTED
            )
        if not key.first_second - leeway <= issued < key.end_second + leeway:
            raise AttestationError(
                "the key was not in use when it signed", code=AttestationFault.KEY_NOT_VALID_NOW
            )

    def _check_times(self, claims: Claims, key: VerificationKey, now_seconds: int) -> None:
        leeway = self._leeway_seconds
        if now_seconds >= claims.exp + leeway:
            raise AttestationError("exp has passed", code=AttestationFault.ATTESTATION_EXPIRED)
        # `nbf` is never before `iat` (claims), so this covers both.
        if now_seconds < claims.nbf - leeway:
            raise AttestationError(
                "nbf lies ahead", code=AttestationFault.ATTESTATION_NOT_YET_VALID
            )
        longest = key.max_lifetime_seconds
        if longest is not None and claims.exp - claims.iat > longest:
            raise AttestationError(
                "exp lies further from iat than this authority may go",
                code=AttestationFault.LIFETIME_TOO_LONG,
            )


def _check_reader(audience: str, now: datetime) -> None:
    if now.tzinfo is None:
        raise CallerError("the time needs a zone")
    try:
        REGIONS.learn(audience)
    except ValueError:
        raise CallerError("the audience is the URN of one region") from None


def _token_text(token: str | bytes) -> str:
    if len(token) > MAX_TOKEN_BYTES:
        raise AttestationError(
            f"longer than {MAX_TOKEN_BYTES} bytes", code=AttestationFault.ATTESTATION_TOO_LARGE
        )
    if not token.isascii():
        raise malformed()
    return token if isinstance(token, str) else token.decode()


def _check_divisions(claims: Claims, key: VerificationKey) -> None:
    prefixes, code = key.prefixes, claims.code
    # `iss` was read as the URN of one region, so it ends in the six digits.
    if not claims.iss[-6:].startswith(prefixes):
        raise AttestationError(
            "iss lies outside the divisions of its key", code=AttestationFault.ISSUER_NOT_ALLOWED
        )
    also = code.also
    if not code.issued_by.startswith(prefixes) or (
        also is not UNSET and not all(other.issued_by.startswith(prefixes) for other in also)
    ):
        raise AttestationError(
            "a report was issued outside the divisions of the key",
            code=AttestationFault.ISSUER_NOT_ALLOWED,
        )


def _check_distrusts(claims: Claims, key: VerificationKey) -> None:
    if any(rule.touches_claims(claims) for rule in key.distrusts):
        raise AttestationError(
            "a distrust is about it", code=AttestationFault.ATTESTATION_DISTRUSTED
        )


def _check_audience(attestation: Attestation | DisclosedAttestation, reader: str) -> None:
    if not region_code(reader).startswith(region_prefix(attestation.audience)):
        raise AttestationError(
            "aud does not contain this region", code=AttestationFault.AUDIENCE_MISMATCH
        )


def _check_question(attestation: Attestation | DisclosedAttestation, nonce: bytes | None) -> None:
    if nonce is None:
        if attestation.use is not _CARRIED:
            raise AttestationError(
                "an attestation of another use than carried, without its question",
                code=AttestationFault.ATTESTATION_REPLAYED,
            )
    elif attestation.nonce is None or not hmac.compare_digest(attestation.nonce, nonce):
        raise AttestationError(
            "not the answer to this question", code=AttestationFault.ATTESTATION_REPLAYED
        )


def _check_import(attestation: Attestation) -> None:
    if attestation.use is not AttestationUse.IMPORT:
        raise AttestationError(
            "not made to be converted", code=AttestationFault.ATTESTATION_REPLAYED
        )
