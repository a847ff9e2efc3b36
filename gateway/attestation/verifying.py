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
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from msgspec import UNSET

from gateway.attestation import base64url, strict_json
from gateway.attestation.cache import VerifiedToken, VerifiedTokenCache
from gateway.attestation.claims import (
    Attestation,
    AttestationUse,
    Claims,
    attestation_of,
    read_claims,
)
from gateway.attestation.code_claim import to_seconds
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.keys import ALGORITHMS, COORDINATE_BYTES, KEY_ID_LENGTH, VerificationKey
from gateway.attestation.regions import REGIONS, region_code, region_prefix
from gateway.attestation.sd_jwt import SD_TOKEN_TYPE, split
from gateway.attestation.sd_jwt_reader import disclosed_of, read_disclosed
from gateway.attestation.signing import ES256, TOKEN_TYPE
from gateway.errors import CallerError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.attestation.disclosed import DisclosedAttestation

_R = TypeVar("_R")

MAX_TOKEN_BYTES: Final = 8 * 1024
"""``Answer.attestation`` in exchange.proto."""
DEFAULT_LEEWAY_SECONDS: Final = 60
"""What two clocks that are set by hand or by a busy network may differ."""
MAX_LEEWAY_SECONDS: Final = 60
"""docs/spec/attestation.md, HT-ATT-6."""

# About 140 characters hold an honest header; no point in parsing a longer one.
_MAX_HEADER_SEGMENT: Final = 512
# Headers of the keys in force: a key or two of each of some hundred regions.
_MAX_REMEMBERED_HEADERS: Final = 1024
_DOTS: Final = 2
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_KEY_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{{KEY_ID_LENGTH}}}", re.ASCII)
# SEC 2 §2.4.2: the order of P-256, below which r and s lie.
_P256_ORDER: Final = bytes.fromhex(
    "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"
)
_ZERO: Final = bytes(COORDINATE_BYTES)
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
        # Header segment -> (alg, kid), of tokens that verified: so a stranger
        # cannot fill it, and what is in it was read strictly once.
        self._headers: dict[str, tuple[str, str]] = {}
        self._disclosed_headers: dict[str, tuple[str, str]] = {}

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
            claims, answered, _ = self._verify_signed(text, now_seconds, TOKEN_TYPE, read_claims)
            attestation = attestation_of(claims, answered)
        else:
            digest = sha256(text.encode()).digest()
            generation = cache.generation
            found = cache.get(digest, now_seconds)
            if found is None or not self._still_holds(found, now_seconds):
                claims, answered, key = self._verify_signed(
                    text, now_seconds, TOKEN_TYPE, read_claims
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
            SD_TOKEN_TYPE,
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
        token_type: str,
        read: Callable[[bytes], tuple[Claims, _R]],
    ) -> tuple[Claims, _R, VerificationKey]:
        """Everything that does not depend on who reads and what was asked."""
        signing_input, _, signature_segment = text.rpartition(".")
        header_segment, _, payload_segment = signing_input.partition(".")
        headers = self._headers if token_type is TOKEN_TYPE else self._disclosed_headers
        known = headers.get(header_segment)
        if known is None and text.count(".") != _DOTS:
            raise _malformed()
        algorithm, key_id = known or _parse_header(header_segment, token_type)
        try:
            payload, signature = base64url.decode_pair(payload_segment, signature_segment)
        except ValueError:
            raise _malformed() from None
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
            _remember_header(headers, header_segment, algorithm, key_id)
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


def _remember_header(
    headers: dict[str, tuple[str, str]], segment: str, algorithm: str, key_id: str
) -> None:
    if len(headers) >= _MAX_REMEMBERED_HEADERS:
        headers.clear()
    headers[segment] = (algorithm, key_id)


def _token_text(token: str | bytes) -> str:
    if len(token) > MAX_TOKEN_BYTES:
        raise AttestationError(
            f"longer than {MAX_TOKEN_BYTES} bytes", code=AttestationFault.ATTESTATION_TOO_LARGE
        )
    if not token.isascii():
        raise _malformed()
    return token if isinstance(token, str) else token.decode()


def _parse_header(segment: str, token_type: str) -> tuple[str, str]:
    """Reads a header for the first time; returns algorithm and key id."""
    if len(segment) > _MAX_HEADER_SEGMENT:
        raise _bad_header()
    try:
        header = strict_json.loads(base64url.decode(segment.encode()))
    except strict_json.DoubledMemberError:
        raise _bad_header() from None
    except ValueError:
        raise _malformed() from None
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


def check_signature(key: VerificationKey, signature: bytes, signing_input: bytes) -> None:
    """Verifies a JWS signature under the key's own algorithm.

    Args:
        key: trusted.
        signature: raw ``r || s``, or that of Ed25519.
        signing_input: the bytes of header and payload with the dot between.

    Raises:
        AttestationError: SIGNATURE_INVALID.
    """
    if len(signature) != 2 * COORDINATE_BYTES:
        raise _bad_signature()
    # A key is of its algorithm's type (`VerificationKey`); asking its abstract class
    # again costs half a microsecond.
    public: Any = key.public_key
    try:
        if key.algorithm == "ES256":
            public.verify(_der(signature), sha256(signing_input).digest(), ES256)
        else:
            public.verify(signature, signing_input)
    except InvalidSignature:
        raise _bad_signature() from None


def _der(signature: bytes) -> bytes:
    """Writes ``r || s`` as the DER sequence that the library reads.

    Raises:
        AttestationError: a number is zero, or not below the order of the curve.
    """
    r_first, s_first = signature[0], signature[COORDINATE_BYTES]
    # The order begins with FF: in all but a hundredth of all signatures the first bytes
    # say that the numbers lie between zero and it, and that they have all their bytes.
    if 0 < r_first < 0xFF and 0 < s_first < 0xFF:  # noqa: PLR2004 - as just said
        head, middle = _DER_FRAMES[r_first >> 7][s_first >> 7]
        return head + signature[:COORDINATE_BYTES] + middle + signature[COORDINATE_BYTES:]
    r, s = signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]
    # Bytes of one length compare as the numbers they are.
    if not (_ZERO < r < _P256_ORDER and _ZERO < s < _P256_ORDER):
        raise _bad_signature()
    # DER has no leading zeros, but one in front of a number whose first bit is set.
    r, s = r.lstrip(b"\0"), s.lstrip(b"\0")
    r = b"\0" + r if r[0] & 0x80 else r
    s = b"\0" + s if s[0] & 0x80 else s
    return b"\x30%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def _der_frame(r_sign: int, s_sign: int) -> tuple[bytes, bytes]:
    """What stands before and between two numbers of 32 bytes, by their first bits."""
    r_length, s_length = COORDINATE_BYTES + r_sign, COORDINATE_BYTES + s_sign
    head = bytes([0x30, r_length + s_length + 4, 0x02, r_length, *bytes(r_sign)])
    return head, bytes([0x02, s_length, *bytes(s_sign)])


_DER_FRAMES: Final = tuple(tuple(_der_frame(r, s) for s in (0, 1)) for r in (0, 1))


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


def _malformed() -> AttestationError:
    return AttestationError(
        "not three segments of canonical base64url that hold JSON",
        code=AttestationFault.ATTESTATION_MALFORMED,
    )


def _bad_header() -> AttestationError:
    return AttestationError(
        "the header is not exactly alg, kid and typ", code=AttestationFault.ATTESTATION_HEADER
    )


def _bad_signature() -> AttestationError:
    return AttestationError(
        "the signature does not verify", code=AttestationFault.SIGNATURE_INVALID
    )
