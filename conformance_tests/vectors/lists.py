"""A region's status list: its base, and the newest word on it in the feed.

Base lists are those of draft-ietf-oauth-status-list; the change statement is ours
(docs/spec/status.md).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import b64
from conformance_tests.vectors.keys import digest
from conformance_tests.vectors.plan import CITY, DAY, LIST, NOW
from conformance_tests.vectors.tokens import key_of, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance_tests.vectors.plan import VerifierPlan

LIST_TYPE = "statuslist+jwt"
CHANGE_TYPE = "hutong-status+jwt"
SIZE = 1024
BOMB_BYTES = 64 * 1024 * 1024
"""What a list of 1 024 entries never unpacks to."""


@dataclass(frozen=True, slots=True)
class BaseList:
    """A base list as signed.

    Attributes:
        token: the list.
        size: its entries.
        bits: of an entry.
    """

    token: str
    size: int
    bits: int


def packed(values: Mapping[int, int], *, bits: int, size: int = SIZE) -> bytes:
    """Entries as bytes, the first in the lowest bits."""
    data = bytearray(size * bits // 8)
    for index, value in values.items():
        place = index * bits
        data[place // 8] |= value << (place % 8)
    return bytes(data)


def base_list(plan: VerifierPlan) -> BaseList:
    """The city's list at the start of the day.

    Members of ``plan.list``: ``bits``; ``base``, the value of the attestation's entry;
    ``iat``, ``exp``, ``uri``, ``typ``, ``key``, ``bomb`` and ``claims`` break it.
    """
    has = plan.list
    bits = int(has.get("bits", 1))
    values = {int(plan.status or 0) % SIZE: int(has.get("base", 0)), 7: 1, 9: 1}
    data = packed(values, bits=bits)
    if has.get("bomb"):
        data = bytes(BOMB_BYTES)
    claims = {
        "iss": CITY,
        "sub": has.get("uri", LIST),
        "iat": NOW + int(has.get("iat", -8 * 3600)),
        "exp": NOW + int(has.get("exp", DAY)),
        "ttl": 3600,
        "status_list": {"bits": bits, "lst": b64(zlib.compress(data, 9))},
        **has.get("claims", {}),
    }
    key = key_of(has.get("key", "city/attest"))
    return BaseList(key.sign(put(claims, {}), has.get("typ", LIST_TYPE)), SIZE, bits)


def at_hand(plan: VerifierPlan) -> list[str]:
    """The base lists that the reader has; ``missing`` and ``other`` of ``plan.list`` say which."""
    if plan.list.get("missing"):
        return []
    if plan.list.get("other"):
        return [base_list(replace(plan, list={**plan.list, "iat": -4 * 3600})).token]
    return [base_list(plan).token]


def status_entry(plan: VerifierPlan) -> tuple[str, dict[str, Any]]:
    """Subject and body of the newest status entry.

    Members of ``plan.list``: ``change``, the value that the word gives the attestation's
    entry; ``change_key``, ``change_iss``, ``change_typ``, ``change_uri``, ``size``.
    """
    has = plan.list
    base = base_list(plan)
    changes: dict[str, list[int]] = {"1": [3, 5]}
    if "change" in has:
        value = str(has["change"])
        changes[value] = sorted([*changes.get(value, []), int(plan.status or 0)])
    claims = {
        "iss": has.get("change_iss", CITY),
        "iat": NOW - 3600,
        "uri": has.get("change_uri", LIST),
        "base": {
            "digest": digest(base.token),
            "size": int(has.get("size", base.size)),
            "bits": base.bits,
        },
        "seq": int(has.get("seq", 4)),
        "changes": changes,
    }
    if "changes" in has:
        claims["changes"] = has["changes"]
    key = key_of(has.get("change_key", "city/attest"))
    token = key.sign(claims, has.get("change_typ", CHANGE_TYPE))
    return LIST, {"statement": token}
