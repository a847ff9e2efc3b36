"""What stands in a hub's feed about a member, and the trust anchor of its readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.plan import DAY, HUB, NOW
from conformance_tests.vectors.tokens import key_of, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance_tests.vectors.plan import VerifierPlan

FEED_KEY = "hub/feed"
SCHEME_KEY = "city/schemes"
FOUNDED = NOW - 60 * DAY
"""When the hub and its regions began."""
_TIMES = {"not_before", "not_after", "published_at", "tainted_from", "revoked_at"}


def anchor(hub: str = HUB, name: str = "hub") -> dict[str, Any]:
    """The trust anchor that a hub hands to its readers.

    Args:
        hub: its URN.
        name: of its keys.
    """
    return {
        "hub": hub,
        "keys": [
            {"use": use, "jwk": vector_key(f"{name}/{use}").public} for use in ("feed", "token")
        ],
    }


def at(offset: int) -> int:
    """A moment of the world, from seconds beside its present."""
    return NOW + offset


def member_key(use: str, name: str, change: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A key object of a record; the times of a change are seconds from the present."""
    jwk: dict[str, Any] = dict(key_of(name).public)
    if use == "seal":
        jwk["alg"] = "ECDH-ES"
    moved = {
        member: at(value) if member in _TIMES and value is not None else value
        for member, value in (change or {}).items()
    }
    return put({"use": use, "jwk": jwk, "not_before": FOUNDED}, moved)


def record(urn: str, name: str, plan: VerifierPlan | None = None) -> dict[str, Any]:
    """The record of a region, as the feed carries it."""
    code = urn.rpartition(":")[2].removesuffix("00")
    attest = member_key("attest", f"{name}/attest", plan.key if plan else None)
    body: dict[str, Any] = {
        "urn": urn,
        "kind": "region",
        "name_zh": "",
        "name_en": name.capitalize(),
        "prefixes": [code],
        "endpoint": "127.0.0.1:1",
        "keys": [
            attest,
            member_key("attest", f"{name}/attest-ed25519"),
            member_key("state", f"{name}/state", plan.signer if plan else None),
            *(member_key(use, f"{name}/{use}") for use in ("authenticate", "seal")),
        ],
        "state": "active",
        "max_attestation_seconds": 86_400,
    }
    if plan and plan.catalogue_story:
        # A key of its own, so that a case may change the one that signs catalogues.
        body["keys"].append(member_key("state", SCHEME_KEY))
    return put(body, plan.city) if plan else body
