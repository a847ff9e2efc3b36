"""What members of the reference hub publish, and packs of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hutong.v1 import registry_service_pb2 as pb

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError
from conformance_tests.peer.hub_book import INVALID, kid_of

if TYPE_CHECKING:
    from conformance_tests.peer.hub_book import Book, PeerMember

_PACK_BYTES = 16 << 20
_NEEDED = {"scheme": {"versions", "vectors"}, "policy": {"rules", "ages"}}
"""Members without which a document is none; the reference hub looks no further."""


class ReferencePublishing:
    """Publishes as the specification asks, but for the one fault of its book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def checked(self, member: PeerMember, token: str) -> tuple[str, str, str]:
        """Kind, subject and token of a statement that may be published.

        Raises:
            RefusedError: why it may not.
        """
        book = self._book
        state = {key["jwk"]["kid"] for key in member.keys if key["use"] == "state"}
        named = member.named()
        known = {kid: key for kid, key in named.items() if kid in state}
        kid = kid_of(token)
        if kid in named and kid not in state and book.fault == "statement-by-any-key":
            known = named
        claims = book.statement(token, known, "publish-signature-ignored")
        kind, body = claims["kind"], claims["body"]
        if claims["iss"] != member.urn and book.fault != "published-by-anybody":
            raise RefusedError(INVALID, "STATEMENT_INVALID")
        served = [body["region"]] if kind == "policy" else body["prefixes"]
        own = all(each.startswith(tuple(member.prefixes)) for each in served)
        if not own and book.fault != "statement-for-any-division":
            raise RefusedError(INVALID, "STATEMENT_INVALID")
        if not _NEEDED[kind] <= set(body) and book.fault != "published-unread":
            said = f"{kind.upper()}_MALFORMED: it says nothing"
            if book.fault == "finding-unnamed":
                said = "it says nothing"
            raise RefusedError(INVALID, f"{kind.upper()}_INVALID", said=said)
        if book.barred.get(member.urn) == kind and book.fault != "kinds-ignored":
            raise RefusedError(INVALID, "STATEMENT_INVALID")
        name = body["region"] if kind == "policy" else body["family"]
        return kind, f"{member.urn}#{name}", token

    def publish(self, member: PeerMember, token: str) -> pb.PublishStatementResponse:
        """Put a statement into the feed."""
        author = member
        if self._book.fault == "published-by-anybody":
            author = self._book.members[crypto.unsafe_claims(token)["iss"]]
        kind, subject, _ = self.checked(author, token)
        body: dict[str, Any] = {"statement": token}
        if kind == "scheme" and self._book.fault == "statement-annotated":
            body["seen"] = True
        sequence = self._book.write(kind, subject, body)
        author.published[kind, subject] = token
        self._book.note(f"publish-{kind}", subject, member.urn, "", sequence)
        return pb.PublishStatementResponse(sequence=sequence)

    def pack(self, request: pb.MakePackRequest) -> bytes:
        """Make a pack.

        Raises:
            RefusedError: PACK_TOO_LARGE.
        """
        chain, fault = self._book.chain, self._book.fault
        kept = []
        for link in chain.live():
            whose = link.subject.partition("#")[0].rpartition(":")[2]
            near = any(whose.startswith(prefix) for prefix in request.prefixes)
            left_out = fault == "pack-without-policies" and link.kind == "policy"
            if (near or not request.prefixes) and not left_out:
                kept.append(link.token)
        manifest = chain.key.sign(
            {"iss": self._book.hub, "iat": int(time.time())}, "hutong-pack+jwt"
        )
        data = "\n".join(["hutong-pack 1", manifest, *kept, ""]).encode()
        if len(data) > (request.max_bytes or _PACK_BYTES):
            if fault != "pack-cut-to-fit":
                raise RefusedError(INVALID, "PACK_TOO_LARGE")
            data = data[: request.max_bytes]
        return data
