"""What a region says about itself, inside the hub's entry (docs/spec/feed.md)."""

from __future__ import annotations

from typing import Any

from conformance_tests.vectors.keys import vector_key

TYPE = "hutong-statement+jwt"


def statement(
    issuer: str, key: str, kind: str, document: dict[str, Any], iat: int
) -> dict[str, Any]:
    """The body of an entry that holds a statement.

    Args:
        issuer: who speaks.
        key: name of who signs.
        kind: of the statement.
        document: what it says.
        iat: when.
    """
    claims = {"iss": issuer, "iat": iat, "kind": kind, "body": document}
    return {"statement": vector_key(key).sign(claims, TYPE)}
