"""How keys change at the reference hub."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError
from conformance_tests.peer.hub_book import INVALID, NOT_FOUND, PRECONDITION, check_new_key, kid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance_tests.peer.hub_book import Book, PeerMember

LEAD_SECONDS = 60
"""Four refresh periods of 15 seconds."""
_MAX_AGE_SECONDS = 3600


class ReferenceKeys:
    """Changes keys as the specification asks, but for the one fault of its book.

    Args:
        book: what the hub knows.
        challenge: seals a challenge to a sealing key and remembers it.
    """

    def __init__(self, book: Book, challenge: Callable[..., pb.SealedChallenge]) -> None:
        self._book = book
        self._challenge = challenge

    def change(self, caller: PeerMember, request: pb.ChangeKeysRequest) -> pb.ChangeKeysResponse:
        """Take a change in.

        Raises:
            RefusedError: why not.
        """
        member, body = self._read(caller, request.statement)
        added = body.get("add", [])
        signing = [key for key in added if key["use"] != "seal"]
        for key in added:
            check_new_key(self._book.fault, key)
            self._check_lead(member, key, body)
        if signing and self._book.fault == "new-key-unproven" and not request.key_proofs:
            signing = []
        self._book.prove(request.statement, member.urn, list(request.key_proofs), signing)
        self._check_moves(member, body)
        sealing = [key for key in added if key["use"] == "seal"]
        member.change, member.change_id = body, crypto.random_text()
        challenges = [self._challenge(member.urn, key, member.challenges) for key in sealing]
        if challenges and self._book.fault != "sealing-key-published-early":
            return pb.ChangeKeysResponse(enrolment_id=member.change_id, challenges=challenges)
        sequence = self._apply(member, body)
        name = member.change_id if challenges else ""
        return pb.ChangeKeysResponse(enrolment_id=name, challenges=challenges, sequence=sequence)

    def proven(self, member: PeerMember) -> None:
        """Apply a change whose challenges were opened."""
        if member.change is not None:
            self._apply(member, member.change)

    def _read(self, caller: PeerMember, token: str) -> tuple[PeerMember, dict[str, Any]]:
        book, member = self._book, caller
        refused = RefusedError(INVALID, "STATEMENT_INVALID")
        foreign = crypto.unsafe_claims(token)["iss"] != caller.urn
        if foreign:
            if book.fault != "change-by-anybody":
                raise refused
            member = book.members[crypto.unsafe_claims(token)["iss"]]
        kid = kid_of(token)
        key = member.key(kid)
        if key is None or (key["use"] != "state" and book.fault != "change-by-any-key"):
            raise refused
        ended = "tainted_from" in key or "revoked_at" in key
        if ended and book.fault != "change-by-tainted-key":
            raise refused
        named = {kid: member.named()[kid]}
        claims = book.statement(token, named, "change-signature-ignored")
        old = claims["iat"] < time.time() - _MAX_AGE_SECONDS
        if old and book.fault != "change-of-any-age":
            raise refused
        if claims["iat"] < member.changed_at and book.fault != "change-out-of-order" and not old:
            raise refused
        member.changed_at = claims["iat"]
        return member, claims["body"]

    def _check_lead(self, member: PeerMember, key: dict[str, Any], body: dict[str, Any]) -> None:
        revoked = {move["key_id"] for move in body.get("revoke", ())}
        stands = any(
            other["use"] == key["use"]
            and not {"tainted_from", "revoked_at"} & set(other)
            and other["jwk"]["kid"] not in revoked
            for other in member.keys
        )
        early = key["not_before"] < time.time() + LEAD_SECONDS
        ignored = stands and early and self._book.fault == "lead-ignored"
        waits = not stands and early and self._book.fault == "no-emergency"
        if (stands and early and not ignored) or waits:
            raise RefusedError(INVALID, "LEAD_TIME_TOO_SHORT")

    def _check_moves(self, member: PeerMember, body: dict[str, Any]) -> None:
        for name in ("retire", "taint", "revoke"):
            for move in body.get(name, ()):
                found = member.key(move["key_id"])
                if found is None:
                    if self._book.fault == "change-in-part":
                        self._apply(member, {"add": body.get("add", [])})
                    raise RefusedError(NOT_FOUND, "NOT_FOUND")
                if "revoked_at" in found:
                    raise RefusedError(PRECONDITION, "WRONG_STATE")

    def _apply(self, member: PeerMember, body: dict[str, Any]) -> int:
        book, now = self._book, int(time.time())
        for key in body.get("add", ()):
            if member.key(key["jwk"]["kid"]) is None:
                undated = self._book.fault == "publication-undated"
                member.keys.append({**key, **({"published_at": 0} if undated else {})})
                book.held[key["jwk"]["kid"]] = member.urn
        for name, moment in (("retire", "not_after"), ("taint", "tainted_from")):
            for move in body.get(name, ()):
                said = move.get("at", move.get("from"))
                self._move(member, move, moment, said)
        for move in body.get("revoke", ()):
            self._move(member, move, "revoked_at", now)
            book.past.add(move["key_id"])
            if book.fault == "revoked-key-forgotten":
                member.keys = [key for key in member.keys if key["jwk"]["kid"] != move["key_id"]]
        member.change, member.change_id = None, ""
        self._withdraw_broken(member, body)
        sequence = book.publish_record(member)
        book.note("change-keys", member.urn, member.urn, "", sequence)
        return sequence

    def _move(self, member: PeerMember, move: dict[str, Any], name: str, moment: int) -> None:
        found = member.key(move["key_id"])
        if found is not None:
            found[name] = moment
            found["reason"] = move["reason"]

    def _withdraw_broken(self, member: PeerMember, body: dict[str, Any]) -> None:
        since = {move["key_id"]: move["from"] for move in body.get("taint", ())}
        since |= {move["key_id"]: 0 for move in body.get("revoke", ())}
        for place, token in list(member.published.items()):
            kid = kid_of(token)
            signed = crypto.unsafe_claims(token)["iat"]
            if kid not in since or signed < since[kid]:
                continue
            if self._book.fault != "tainted-statement-kept":
                del member.published[place]
                self._book.tombstone(*place, "the key that signed it has ended")
