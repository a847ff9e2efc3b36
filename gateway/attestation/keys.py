"""Signing keys, verification keys and their JWK form (RFC 7517, 7518, 7638, 8037).

Two algorithms and no more: ``ES256`` (P-256) and ``Ed25519`` under its own name
(RFC 9864 deprecates ``EdDSA``). A key id is always the RFC 7638 thumbprint with
SHA-256, so it cannot be chosen and cannot collide by accident.

A JWK is read strictly (``jwk``): exactly the members of its type beside the optional
``kid``, ``alg``, ``use`` and ``key_ops``, coordinates of full length, the point
on the curve, ``kid`` equal to the thumbprint, ``alg`` equal to the algorithm.
A public key that carries private members is refused, so that a leaked private
key cannot be enrolled unnoticed.

``repr`` of a signing key shows its id and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, get_args

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.attestation import base64url
from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.jwk import (
    COORDINATE_BYTES,
    check_description,
    check_members,
    p256_coordinates,
    p256_point,
    read_member,
    thumbprint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.attestation.claim_set import Claims

Algorithm: TypeAlias = Literal["ES256", "Ed25519"]
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

ALGORITHMS: Final[frozenset[str]] = frozenset(get_args(Algorithm))
# Lengths of a division prefix: province, prefecture, county.
_PREFIX_LENGTHS: Final = (2, 4, 6)
_REGION_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its id.

    Attributes:
        key_id: RFC 7638 thumbprint of the public key.
        algorithm: ``ES256`` or ``Ed25519``.
        private: the key itself; never shown.
    """

    key_id: str
    algorithm: Algorithm
    private: PrivateKey = field(repr=False)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self.private.public_key()


class ClaimsRule(Protocol):
    """What trust no longer believes of a key's holder; see ``gateway.trust.distrust``."""

    def touches_claims(self, claims: Claims) -> bool:
        """Whether an attestation with these claims is not to be believed."""
        ...


# Beyond the last second that a claim can name (`code_claim.LAST_SECOND`).
_NO_END: Final = 253_402_300_800


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key as the trust bundle binds it: to an issuer, divisions and a time.

    Attributes:
        key_id: RFC 7638 thumbprint.
        issuer: URN of the authority that holds the key.
        algorithm: the only algorithm under which the key verifies.
        public_key: the key itself.
        prefixes: division prefixes (2, 4 or 6 digits) that the holder may speak for.
        not_before: first moment of use, inclusive, UTC.
        not_after: end of use, exclusive, UTC; None: open.
        max_lifetime_seconds: longest ``exp - iat`` that the superior grants this
            authority; None: the limits of the profile alone.
        tainted_from: what it signed from then on is not believed; None: no such
            instant.
        is_revoked: nothing that it signed is believed.
        distrusts: what else is not believed of what it signed; part of the key, so
            that whoever remembers a verification by its key forgets it with them.
        first_second: ``not_before``, seconds since the epoch.
        end_second: ``not_after`` likewise; beyond every claim: open.
        believed_until_second: what it signed from this second on is not believed;
            0: nothing is.
        has_own_region: whether ``prefixes`` contain the region that ``issuer`` names.
    """

    key_id: str
    issuer: str
    algorithm: Algorithm
    public_key: PublicKey = field(repr=False)
    prefixes: tuple[str, ...]
    not_before: datetime
    not_after: datetime | None = None
    max_lifetime_seconds: int | None = None
    tainted_from: datetime | None = None
    is_revoked: bool = False
    distrusts: tuple[ClaimsRule, ...] = ()
    first_second: int = field(init=False, repr=False, compare=False)
    end_second: int = field(init=False, repr=False, compare=False)
    believed_until_second: int = field(init=False, repr=False, compare=False)
    has_own_region: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if algorithm_of(self.public_key) != self.algorithm:
            raise KeyMaterialError("the key is not one of its algorithm")
        for prefix in self.prefixes:
            # An empty prefix would contain the whole country.
            if len(prefix) not in _PREFIX_LENGTHS or not (prefix.isascii() and prefix.isdigit()):
                raise KeyMaterialError("a division prefix has 2, 4 or 6 digits")
        for moment in (self.not_before, self.not_after, self.tainted_from):
            if moment is not None and moment.tzinfo is None:
                raise KeyMaterialError("every time needs a zone")
        # A verification compares seconds, and asks for the region; once a key.
        fill = object.__setattr__
        fill(self, "first_second", int(self.not_before.timestamp()))
        fill(self, "end_second", _second_or(self.not_after, _NO_END))
        believed = 0 if self.is_revoked else _second_or(self.tainted_from, _NO_END)
        fill(self, "believed_until_second", believed)
        fill(self, "has_own_region", self.issuer[-_REGION_DIGITS:].startswith(self.prefixes))


def _second_or(moment: datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else int(moment.timestamp())


def generate_signing_key(algorithm: Algorithm = "ES256") -> SigningKey:
    """Makes a fresh key from the operating system's randomness."""
    private: PrivateKey
    if algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "Ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        raise KeyMaterialError("the algorithm is neither ES256 nor Ed25519")
    return signing_key(private)


def signing_key(private: PrivateKey) -> SigningKey:
    """Gives a private key its id.

    Raises:
        KeyMaterialError: the key is of another type or curve.
    """
    public = private.public_key()
    algorithm = algorithm_of(public)
    return SigningKey(thumbprint(_coordinates(public)), algorithm, private)


def algorithm_of(public_key: object) -> Algorithm:
    """Returns the one algorithm of a public key.

    Raises:
        KeyMaterialError: the key is of another type or curve.
    """
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
        public_key.curve, ec.SECP256R1
    ):
        return "ES256"
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    raise KeyMaterialError("the key is neither on P-256 nor on Ed25519")


def public_jwk(key: SigningKey | VerificationKey) -> dict[str, str]:
    """Returns the public JWK with ``kid``, ``alg`` and ``use``."""
    return {
        **_coordinates(key.public_key),
        "kid": key.key_id,
        "alg": key.algorithm,
        "use": "sig",
    }


def public_key_from_jwk(jwk: Mapping[str, Any]) -> tuple[str, Algorithm, PublicKey]:
    """Reads a public signing key strictly.

    Returns:
        Its thumbprint, its algorithm and the key.

    Raises:
        KeyMaterialError: see the module's contract.
    """
    public = _read_public(jwk, private_members=frozenset())
    algorithm = algorithm_of(public)
    return _check_description(jwk, algorithm, "verify"), algorithm, public


def verification_key_from_jwk(
    jwk: Mapping[str, Any],
    *,
    issuer: str,
    prefixes: tuple[str, ...],
    not_before: datetime,
    not_after: datetime | None = None,
    max_lifetime_seconds: int | None = None,
    tainted_from: datetime | None = None,
    is_revoked: bool = False,
) -> VerificationKey:
    """Reads a public JWK and binds it to issuer, divisions and time.

    Raises:
        KeyMaterialError: the JWK or one of the bounds does not hold.
    """
    key_id, algorithm, public = public_key_from_jwk(jwk)
    return VerificationKey(
        key_id,
        issuer,
        algorithm,
        public,
        prefixes,
        not_before,
        not_after,
        max_lifetime_seconds,
        tainted_from,
        is_revoked,
    )


def signing_key_to_jwk(key: SigningKey) -> dict[str, str]:
    """Returns the private JWK. The caller keeps it secret."""
    if isinstance(key.private, ed25519.Ed25519PrivateKey):
        secret = key.private.private_bytes_raw()
    else:
        scalar = key.private.private_numbers().private_value
        secret = scalar.to_bytes(COORDINATE_BYTES, "big")
    return {**public_jwk(key), "d": base64url.encode(secret)}


def signing_key_from_jwk(jwk: Mapping[str, Any]) -> SigningKey:
    """Reads a private JWK strictly.

    Raises:
        KeyMaterialError: the public half breaks the module's contract, or ``d``
            is missing, malformed or the secret of another key.
    """
    public = _read_public(jwk, private_members=frozenset({"d"}))
    algorithm = algorithm_of(public)
    key_id = _check_description(jwk, algorithm, "sign")
    secret = read_member(jwk, "d", COORDINATE_BYTES)
    private: PrivateKey
    if algorithm == "Ed25519":
        private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    else:
        try:
            private = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        except ValueError:
            raise KeyMaterialError("member d is out of range") from None
    if private.public_key() != public:
        raise KeyMaterialError("the private and the public half do not belong together")
    return SigningKey(key_id, algorithm, private)


def _check_description(jwk: Mapping[str, Any], algorithm: Algorithm, operation: str) -> str:
    return check_description(jwk, algorithm=algorithm, use="sig", operations=frozenset({operation}))


def _read_public(jwk: Mapping[str, Any], *, private_members: frozenset[str]) -> PublicKey:
    kind = (jwk.get("kty"), jwk.get("crv"))
    if kind == ("EC", "P-256"):
        check_members(jwk, frozenset({"kty", "crv", "x", "y"}) | private_members)
        return p256_point(jwk)
    if kind == ("OKP", "Ed25519"):
        check_members(jwk, frozenset({"kty", "crv", "x"}) | private_members)
        # Any 32 bytes are taken by the library; a point off the curve fails at
        # the first verification, which refuses.
        return ed25519.Ed25519PublicKey.from_public_bytes(read_member(jwk, "x", COORDINATE_BYTES))
    raise KeyMaterialError("the key is neither on P-256 nor on Ed25519")


def _coordinates(public: PublicKey) -> dict[str, str]:
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(raw)}
    return p256_coordinates(public)
