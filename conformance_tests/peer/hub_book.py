"""What the reference hub knows: members, their keys, the audit, and its chain.

Everything is in memory and changes in one step. Statements and proofs are read here, from
docs/spec/registry.md; who may hand them in, and when, is ``hub_registry``'s to say.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError, metadata
from conformance_tests.roles.hub_members import KEY_PROOF, PROOF_SECONDS, STATEMENT, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwcrypto import jwk

    from conformance_tests.vectors.chain import Chain

LEEWAY_SECONDS = 60
SCOPES = {
    "region": {"exchange.query", "registry.publish"},
    "checkpoint": {"exchange.query"},
    "operator": {"registry.read", "registry.approve"},
    "hub": {"exchange.query", "registry.publish"},
}
PURPOSES = {
    "region": ["HOLDER", "PLATFORM"],
    "checkpoint": ["CHECKPOINT", "HOLDER", "TRANSPORT", "VENUE", "WORKPLACE"],
}
ALL_KINDS = ("attestation", "scheme", "policy", "status")
_LIFE_SECONDS = 86_400
IN_FEED = {"region", "hub"}
_WARN_SECONDS = 30 * 86_400
_HISTORY = ("published_at", "tainted_from", "revoked_at", "reason")
_Context = grpc.aio.ServicerContext[Any, Any]
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXISTS = grpc.StatusCode.ALREADY_EXISTS
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND
DENIED = grpc.StatusCode.PERMISSION_DENIED


@dataclass(slots=True, eq=False)
class PeerMember:
    """A member and how far it is.

    Attributes:
        urn: its name.
        kind: what it is.
        body: of its enrolment.
        state: name of a ``MemberState`` in lower case.
        enrolment: names the enrolment.
        keys: as the feed carries them, history included.
        challenges: plaintexts by key id that are not opened yet.
        approvals: who approved so far.
        approved: whether it ever took part.
        waiting: statements to publish on approval.
        published: tokens by kind and subject.
        change: a change of keys that waits for its challenges.
        change_id: what names it.
        changed_at: ``iat`` of the newest change that was taken.
        warned: whether a notice of a key that ends soon stands in the feed.
        purposes: of a caller that a hub below introduced; empty: as its kind says.
        via: hubs that its question has passed.
        until: end of the grant that introduced it; zero: none did.
        path_length: of a hub, how many may stand below it.
    """

    urn: str
    kind: str
    body: dict[str, Any]
    state: str
    enrolment: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    challenges: dict[str, bytes] = field(default_factory=dict, repr=False)
    approvals: list[str] = field(default_factory=list)
    approved: bool = False
    waiting: list[tuple[str, str, str]] = field(default_factory=list)
    published: dict[tuple[str, str], str] = field(default_factory=dict)
    change: dict[str, Any] | None = None
    change_id: str = ""
    changed_at: int = 0
    warned: bool = False
    purposes: list[str] = field(default_factory=list)
    via: list[str] = field(default_factory=list)
    until: int = 0
    path_length: int = 0

    def key(self, kid: str) -> dict[str, Any] | None:
        """A key by its id."""
        return next((key for key in self.keys if key["jwk"]["kid"] == kid), None)

    def named(self) -> dict[str, jwk.JWK]:
        """Its signing keys by id."""
        signing = [key["jwk"] for key in self.keys if key["use"] != "seal"]
        return {members["kid"]: crypto.load_key(members) for members in signing}

    @property
    def prefixes(self) -> list[str]:
        """What it answers for while it takes part."""
        return list(self.body.get("prefixes", ()))

    def to_proto(self) -> pb.Member:
        """The member as the registry shows it."""
        return pb.Member(
            urn=self.urn,
            kind=pb.MemberKind.Value(f"MEMBER_KIND_{self.kind.upper()}"),
            state=pb.MemberState.Value(f"MEMBER_STATE_{self.state.upper()}"),
            prefixes=self.prefixes,
            key_ids=[key["jwk"]["kid"] for key in self.keys],
            approved_by=self.approvals,
            approvals_needed=2,
            allowance=pb.Allowance(
                kinds=ALL_KINDS, max_attestation_seconds=_LIFE_SECONDS, path_length=self.path_length
            )
            if self.kind in IN_FEED
            else None,
        )


@dataclass(slots=True)
class Book:
    """Everything that the reference hub knows.

    Attributes:
        fault: the deliberate fault; empty for none.
        hub: URN of the hub.
        chain: its feed.
        token_key: signs access tokens and grants.
        members: by URN.
        past: ids of keys that belong to nobody any more.
        held: ids of keys that were proven, and whose they are.
        audit: oldest first.
        barred: kinds that a region may not sign, by URN.
        listeners: called after every change of members.
    """

    fault: str
    hub: str
    chain: Chain
    token_key: jwk.JWK = field(default_factory=crypto.new_signing_key)
    members: dict[str, PeerMember] = field(default_factory=dict)
    past: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    audit: list[pb.AuditRecord] = field(default_factory=list)
    barred: dict[str, str] = field(default_factory=dict)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    _spent: set[str] = field(default_factory=set)

    # -- who calls ----------------------------------------------------------------

    def access_token(self, urn: str, scope: str, key_id: str = "") -> str:
        """Give a token to who proved a key."""
        now = int(time.time())
        claims = {
            "iss": self.hub,
            "aud": self.hub,
            "sub": urn,
            "client_id": urn,
            "client_key": key_id,
            "scope": scope,
            "iat": now,
            "exp": now + 600,
        }
        return crypto.sign(claims, self.token_key, "at+jwt")

    def caller(self, context: _Context, scope: str) -> PeerMember:
        """Whoever calls.

        Raises:
            RefusedError: it may not.
        """
        token = metadata(context, "authorization").removeprefix("Bearer ")
        if not token:
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        try:
            claims, _ = crypto.read_signed(token, {self.token_key["kid"]: self.token_key}, "at+jwt")
        except ValueError as error:
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID") from error
        member = self.active(claims["sub"], scope, claims["scope"])
        if self.is_taken_back(member, claims["client_key"]):
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        return member

    def is_taken_back(self, member: PeerMember, key_id: str) -> bool:
        """Whether a member no longer stands by a key, or never had it."""
        held = [key for key in member.keys if key["jwk"]["kid"] == key_id]
        sound = held and not {"revoked_at", "tainted_from"} & held[0].keys()
        return not sound and self.fault != "token-outlives-its-key"

    def active(self, urn: str, scope: str, given: str) -> PeerMember:
        """A member that takes part and may do something.

        Raises:
            RefusedError: it does not, or may not.
        """
        member = self.members.get(urn)
        if member is None or member.state != "active":
            raise RefusedError(DENIED, "CALLER_SUSPENDED")
        if scope not in given.split() and self.fault != f"{scope.split('.')[1]}-by-anybody":
            raise RefusedError(DENIED, "SCOPE_MISSING")
        return member

    # -- the feed and the audit -----------------------------------------------------

    def write(self, kind: str, subject: str, body: dict[str, Any]) -> int:
        """Put an entry into the feed; return its number."""
        self.chain.append(kind, subject, body, int(time.time()))
        return self.chain.sequence

    def tombstone(self, kind: str, subject: str, reason: str) -> int:
        """End what stands under a kind and a subject."""
        return self.write(kind, subject, {"withdrawn": {"reason": reason}})

    def note(self, action: str, subject: str, by: str, reason: str, sequence: int) -> None:
        """Write a line of the audit."""
        record = pb.AuditRecord(
            number=len(self.audit) + 1,
            actor=by,
            action=action,
            subject=subject,
            reason=reason,
            sequence=sequence,
        )
        record.at.GetCurrentTime()
        self.audit.append(record)

    def publish_record(self, member: PeerMember) -> int:
        """Put the record of an authority into the feed; zero: it is none."""
        if member.kind not in IN_FEED:
            return 0
        now = int(time.time())
        for key in member.keys:
            key.setdefault("published_at", now)
        body = {name: value for name, value in member.body.items() if name != "keys"}
        body |= {
            "keys": [dict(key) for key in member.keys],
            "state": member.state,
            "max_attestation_seconds": _LIFE_SECONDS,
        }
        if member.urn in self.barred:
            body["kinds"] = sorted({*ALL_KINDS} - {self.barred[member.urn]})
        if member.path_length:
            body["path_length"] = member.path_length
        return self.write("authority", member.urn, body)

    def warn(self, member: PeerMember) -> None:
        """Say in the feed which keys of an authority end within 30 days (HT-REG-19)."""
        now = time.time()
        ending = [key for key in member.keys if key.get("not_after", now * 2) < now + _WARN_SECONDS]
        if not ending or member.kind not in IN_FEED:
            return
        other = self.fault == "warned-of-another-key"
        keys = [
            {
                "key_id": crypto.random_text() if other else key["jwk"]["kid"],
                "use": key["use"],
                "not_after": key["not_after"],
            }
            for key in ending
        ]
        body = {"topic": "key-expiring", "at": ending[0]["not_after"], "keys": keys}
        self.write("notice", f"{member.urn}#key-expiring", body)
        member.warned = True

    def changed(self) -> None:
        """Tell whoever follows the members."""
        for listener in self.listeners:
            listener()

    def adapters(self) -> list[PeerMember]:
        """Active authorities with an endpoint that may be reached."""
        return [
            member
            for member in self.members.values()
            if member.state == "active"
            and ".invalid:" not in member.body.get("endpoint", ".invalid:")
        ]

    def spent(self, token_id: str) -> bool:
        """Whether a proof was used before; it is from now on."""
        used = token_id in self._spent
        self._spent.add(token_id)
        return used

    # -- statements and proofs --------------------------------------------------------

    def statement(self, token: str, keys: dict[str, jwk.JWK], ignored: str) -> dict[str, Any]:
        """Read a statement.

        Args:
            token: as it was handed in.
            keys: that may have signed it.
            ignored: the fault that does without the signature.

        Raises:
            RefusedError: STATEMENT_INVALID.
        """
        try:
            claims, _ = crypto.read_signed(token, keys, STATEMENT)
        except ValueError as error:
            if kid_of(token) not in keys or self.fault != ignored:
                raise RefusedError(INVALID, "STATEMENT_INVALID") from error
            claims = crypto.unsafe_claims(token)
        if claims["iat"] > time.time() + LEEWAY_SECONDS:
            raise RefusedError(INVALID, "STATEMENT_INVALID")
        return claims

    def prove(self, statement: str, issuer: str, proofs: list[str], keys: list[Any]) -> None:
        """Hold proofs against the keys that need one.

        Raises:
            RefusedError: POSSESSION_NOT_PROVEN.
        """
        wanted = {key["jwk"]["kid"]: crypto.load_key(key["jwk"]) for key in keys}
        for token in proofs:
            self._prove_one(token, statement, issuer, wanted)
        if wanted and self.fault != "proof-not-needed":
            raise RefusedError(PRECONDITION, "POSSESSION_NOT_PROVEN")

    def _prove_one(
        self, token: str, statement: str, issuer: str, wanted: dict[str, jwk.JWK]
    ) -> None:
        refused = RefusedError(PRECONDITION, "POSSESSION_NOT_PROVEN")
        try:
            claims, kid = crypto.read_signed(token, wanted, KEY_PROOF)
        except ValueError as error:
            if self.fault != "proof-signature-ignored":
                raise refused from error
            claims = crypto.unsafe_claims(token)
            kid = kid_of(token)
        del wanted[kid]
        now = time.time()
        wrong = {
            "proof-for-any-hub": claims["aud"] != self.hub,
            "proof-for-any-statement": claims["digest"] != digest_of(statement),
            "proof-of-any-age": not claims["iat"] - LEEWAY_SECONDS
            <= now
            <= claims["exp"] + LEEWAY_SECONDS,
            "proof-for-anybody": claims["iss"] != issuer
            or claims["exp"] - claims["iat"] > PROOF_SECONDS,
            "proof-taken-twice": self.spent(claims["jti"]),
        }
        for name, is_wrong in wrong.items():
            if is_wrong and self.fault != name:
                raise refused


def kid_of(token: str) -> str:
    """Which key a token names, unverified."""
    head = token.split(".", maxsplit=1)[0]
    return str(crypto.unsafe_claims(f".{head}.").get("kid", ""))


def check_new_key(fault: str, key: dict[str, Any]) -> None:
    """Hold a key that a member brings against its form.

    Raises:
        RefusedError: KEY_MALFORMED or STATEMENT_INVALID.
    """
    members = key["jwk"]
    if key["use"] == "seal":
        kid = crypto.load_seal_key(members).kid
    else:
        kid = crypto.load_key(members)["kid"]
    if kid != members["kid"] and fault != "key-id-unchecked":
        raise RefusedError(INVALID, "KEY_MALFORMED")
    if any(name in key for name in _HISTORY):
        raise RefusedError(INVALID, "STATEMENT_INVALID")
