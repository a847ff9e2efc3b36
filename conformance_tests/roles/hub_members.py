"""Members that the suite plays towards a disposable hub: keys, statements, proofs.

Pure: what a member signs and opens, written from docs/spec/registry.md. Every key is made
for one run, every moment is handed in.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance_tests import crypto

if TYPE_CHECKING:
    from jwcrypto import jwk

STATEMENT = "hutong-statement+jwt"
KEY_PROOF = "hutong-key-proof+jwt"
PROOF_SECONDS = 600
"""Longest life of a proof (docs/spec/registry.md)."""
HOUR_SECONDS = 3600
YEAR_SECONDS = 365 * 86_400
NOWHERE = "adapter.invalid:7500"
"""Where no adapter listens: .invalid never resolves (RFC 6761)."""
_SIGNING = {
    "region": ("attest", "state", "authenticate"),
    "checkpoint": ("state", "authenticate"),
    "operator": ("state", "authenticate"),
    "hub": ("feed", "token", "state", "authenticate"),
}


@dataclass(frozen=True, slots=True)
class MemberKey:
    """One key of a member, with its private half.

    Attributes:
        use: what it is for.
        pair: of a signing key.
        seal: of a sealing key.
        not_before: first moment of use, seconds since 1970.
        not_after: end of use.
    """

    use: str
    not_before: int
    not_after: int
    pair: jwk.JWK | None = field(default=None, repr=False)
    seal: crypto.SealKey | None = field(default=None, repr=False)

    @property
    def kid(self) -> str:
        """Its thumbprint."""
        return str(self.pair["kid"]) if self.pair is not None else self._sealing().kid

    def body(self) -> dict[str, Any]:
        """The object that statements carry."""
        if self.pair is not None:
            members = crypto.public_members(self.pair)
        else:
            members = {**self._sealing().members, "kid": self.kid}
        return {
            "use": self.use,
            "jwk": members,
            "not_before": self.not_before,
            "not_after": self.not_after,
        }

    def _sealing(self) -> crypto.SealKey:
        if self.seal is None:
            raise TypeError("neither a signing nor a sealing key")
        return self.seal


def new_key(use: str, now: int, *, begins: int = -HOUR_SECONDS) -> MemberKey:
    """Make a key of a use.

    Args:
        use: what it is for.
        now: the present.
        begins: first moment of use, seconds from the present.
    """
    begin = now + begins
    made = {"seal": crypto.new_seal_key()} if use == "seal" else {"pair": crypto.new_signing_key()}
    return MemberKey(use, begin, begin + YEAR_SECONDS, **made)


@dataclass(slots=True)
class SuiteMember:
    """A member with its keys.

    Attributes:
        urn: its name.
        kind: ``region``, ``checkpoint``, ``operator`` or ``hub``.
        keys: the one that signs statements first among those of its use.
        prefixes: of a region or hub.
        endpoint: of a region or hub.
        ca_pem: roots of that endpoint.
        enrolment: what the hub named the enrolment; empty before.
    """

    urn: str
    kind: str
    keys: list[MemberKey]
    prefixes: list[str] = field(default_factory=list)
    endpoint: str = ""
    ca_pem: str = ""
    enrolment: str = ""

    def key(self, use: str) -> MemberKey:
        """The first key of a use."""
        return next(key for key in self.keys if key.use == use)

    def pair(self, use: str) -> jwk.JWK:
        """The first signing key of a use."""
        found = self.key(use).pair
        if found is None:
            raise TypeError("a sealing key signs nothing")
        return found

    @property
    def division(self) -> str:
        """The six digits of its URN."""
        return self.urn.split(":")[3]

    def body(self) -> dict[str, Any]:
        """The body of its enrolment."""
        body: dict[str, Any] = {
            "urn": self.urn,
            "kind": self.kind,
            "name_zh": "",
            "name_en": "Conformance suite",
            "keys": [key.body() for key in self.keys],
            "prefixes": self.prefixes,
        }
        if self.kind == "checkpoint":
            body["region"] = self.division
        if self.endpoint:
            body["endpoint"] = self.endpoint
        if self.ca_pem:
            body["tls_ca_pem"] = self.ca_pem
        return body

    def state(
        self,
        kind: str,
        body: dict[str, Any],
        now: int,
        *,
        by: jwk.JWK | None = None,
        kid: str | None = None,
    ) -> str:
        """Sign a statement.

        Args:
            kind: of the statement.
            body: what it says.
            now: becomes ``iat``.
            by: the key; None: its own statement key.
            kid: the key id that it names, if another's.
        """
        claims = {"iss": self.urn, "iat": now, "kind": kind, "body": body}
        return crypto.sign(claims, by or self.pair("state"), STATEMENT, kid=kid)

    def open(self, challenge: Any, hub: str) -> bytes:
        """Open a challenge that was sealed to one of its keys.

        Raises:
            OpenFailedError: it does not open, or is sealed to another key.
        """
        binding = crypto.Binding(self.urn, hub, "ENROLMENT")
        for key in self.keys:
            if key.seal is not None and key.kid == challenge.key_id:
                return crypto.open_question(key.seal, challenge.envelope, binding)
        raise crypto.OpenFailedError


def digest_of(token: str) -> str:
    """The digest by which proofs, lists and entries name a token."""
    return crypto.b64(hashlib.sha256(token.encode()).digest())


def proof(
    pair: jwk.JWK,
    issuer: str,
    digest: str,
    hub: str,
    now: int,
    *,
    by: jwk.JWK | None = None,
) -> str:
    """Prove possession of a signing key.

    Args:
        pair: the key that is proven.
        issuer: URN of the member.
        digest: of the statement that names the key.
        hub: for whom.
        now: becomes ``iat``.
        by: who really signs; None: the key itself.
    """
    claims = {
        "iss": issuer,
        "aud": hub,
        "iat": now,
        "exp": now + PROOF_SECONDS,
        "jti": crypto.random_text(),
        "digest": digest,
    }
    return crypto.sign(claims, by or pair, KEY_PROOF, kid=pair["kid"])


def region(
    division: str, now: int, *, endpoint: str = NOWHERE, ca_pem: str = "", state_keys: int = 1
) -> SuiteMember:
    """A region that answers for its own division."""
    keys = [new_key(use, now) for use in (*_SIGNING["region"], "seal")]
    keys += [new_key("state", now) for _ in range(state_keys - 1)]
    urn = f"urn:hutong:region:{division}"
    return SuiteMember(urn, "region", keys, [shortest(division)], endpoint, ca_pem)


def caller(kind: str, division: str, now: int) -> SuiteMember:
    """A checkpoint that stands in a division, or an operator; its name is new."""
    label = f"suite-{secrets.token_hex(6)}"
    place = f"{division}:" if kind == "checkpoint" else ""
    keys = [new_key(use, now) for use in _SIGNING[kind]]
    return SuiteMember(f"urn:hutong:{kind}:{place}{label}", kind, keys)


def hub_below(division: str, now: int, *, endpoint: str, ca_pem: str = "") -> SuiteMember:
    """A hub that answers for a division."""
    keys = [new_key(use, now) for use in _SIGNING["hub"]]
    urn = f"urn:hutong:hub:{division}"
    return SuiteMember(urn, "hub", keys, [shortest(division)], endpoint, ca_pem)


def shortest(division: str) -> str:
    """The prefix of a division: ``3301`` of ``330100``."""
    while division.endswith("00"):
        division = division[:-2]
    return division
