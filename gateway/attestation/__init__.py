"""Attestations: claims, signing, strict verifying, sealing, armour, pseudonyms.

A pure room: bytes, a clock and trust come in, values go out. No I/O, no network,
no gRPC. Randomness is the operating system's and is used for keys, nonces and
ephemeral secrets only.
"""

from __future__ import annotations

from gateway.attestation.armour import from_armour, is_armour, to_armour
from gateway.attestation.bound import bound_to, check_bound
from gateway.attestation.cache import VerifiedToken, VerifiedTokenCache
from gateway.attestation.claim_set import (
    MAX_CARRIED_SECONDS,
    MAX_IMPORT_SECONDS,
    MAX_ONLINE_SECONDS,
    NONCE_BYTES,
    AttestationUse,
)
from gateway.attestation.claims import Attestation, StatusReference, claims_to_json, parse_claims
from gateway.attestation.disclosed import DisclosedAttestation
from gateway.attestation.errors import (
    ArmourError,
    AttestationError,
    AttestationFault,
    KeyMaterialError,
    SealingError,
    SubjectError,
)
from gateway.attestation.jwk import thumbprint
from gateway.attestation.keys import (
    Algorithm,
    SigningKey,
    VerificationKey,
    generate_signing_key,
    public_jwk,
    public_key_from_jwk,
    signing_key,
    signing_key_from_jwk,
    signing_key_to_jwk,
    verification_key_from_jwk,
)
from gateway.attestation.padding import (
    ANSWER_BUCKET_BYTES,
    IMPORT_ANSWER_BUCKET_BYTES,
    IMPORT_BUCKET_BYTES,
    QUESTION_BUCKET_BYTES,
    pad,
)
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.pseudonym import pseudonym
from gateway.attestation.sd_jwt import Disclosure
from gateway.attestation.sealing import (
    MAX_ANSWER_ENVELOPE_BYTES,
    MAX_QUESTION_ENVELOPE_BYTES,
    REPLY_KEY_BYTES,
    Binding,
    Profile,
    SealingKey,
    SealingPublicKey,
    generate_sealing_key,
    open_answer,
    open_import,
    open_import_answer,
    open_question,
    public_sealing_jwk,
    seal_answer,
    seal_import,
    seal_import_answer,
    seal_question,
    sealing_key_from_jwk,
    sealing_key_to_jwk,
    sealing_public_key_from_jwk,
)
from gateway.attestation.signing import TOKEN_TYPE, sign_attestation
from gateway.attestation.verifying import MAX_TOKEN_BYTES, AttestationVerifier, KeySource

__all__ = [
    "ANSWER_BUCKET_BYTES",
    "IMPORT_ANSWER_BUCKET_BYTES",
    "IMPORT_BUCKET_BYTES",
    "MAX_ANSWER_ENVELOPE_BYTES",
    "MAX_CARRIED_SECONDS",
    "MAX_IMPORT_SECONDS",
    "MAX_ONLINE_SECONDS",
    "MAX_QUESTION_ENVELOPE_BYTES",
    "MAX_TOKEN_BYTES",
    "NONCE_BYTES",
    "QUESTION_BUCKET_BYTES",
    "REPLY_KEY_BYTES",
    "TOKEN_TYPE",
    "Algorithm",
    "ArmourError",
    "Attestation",
    "AttestationError",
    "AttestationFault",
    "AttestationUse",
    "AttestationVerifier",
    "Binding",
    "DisclosedAttestation",
    "Disclosure",
    "KeyMaterialError",
    "KeySource",
    "Profile",
    "SealingError",
    "SealingKey",
    "SealingPublicKey",
    "SigningKey",
    "StatusReference",
    "SubjectError",
    "VerificationKey",
    "VerifiedToken",
    "VerifiedTokenCache",
    "bound_to",
    "check_bound",
    "claims_to_json",
    "from_armour",
    "generate_sealing_key",
    "generate_signing_key",
    "is_armour",
    "open_answer",
    "open_import",
    "open_import_answer",
    "open_question",
    "pad",
    "parse_claims",
    "pseudonym",
    "public_jwk",
    "public_key_from_jwk",
    "public_sealing_jwk",
    "seal_answer",
    "seal_import",
    "seal_import_answer",
    "seal_question",
    "sealing_key_from_jwk",
    "sealing_key_to_jwk",
    "sealing_public_key_from_jwk",
    "sign_attestation",
    "signing_key",
    "signing_key_from_jwk",
    "signing_key_to_jwk",
    "thumbprint",
    "to_armour",
    "verification_key_from_jwk",
    "verify_presentation",
]
