"""What may be a member: kinds, states, and the rules that every record keeps.

They hold alike for the member's own words (``EnrolmentBody``) and for the hub's
record of it (``Authority``), and go by shape (``names``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from gateway.attestation.errors import KeyMaterialError
from gateway.trust import names
from gateway.trust.errors import StatementError
from gateway.trust.keys import KeyUse

if TYPE_CHECKING:
    from gateway.trust.keys import MemberKey

MAX_PREFIXES: Final = 64
"""A province has at most 21 prefectures; a region that names counties fits too."""

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_ENDPOINT = re.compile(rf"{_HOST}:([0-9]{{1,5}})", re.ASCII)
_MAX_PORT: Final = 65_535
_PEM = re.compile(
    r"\s*(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+", re.ASCII
)


class MemberKind(StrEnum):
    """What a member is."""

    REGION = "region"
    CHECKPOINT = "checkpoint"
    OPERATOR = "operator"
    HUB = "hub"
    """A hub that stands below this one and answers for its prefixes."""


class MemberState(StrEnum):
    """Where a member stands. The feed knows only the last three."""

    CHALLENGED = "challenged"
    """Signing keys proven, sealing keys not yet."""
    PENDING = "pending"
    """Everything proven; waits for an operator."""
    ACTIVE = "active"
    """Takes part."""
    SUSPENDED = "suspended"
    """Stopped by an operator; may be approved again."""
    WITHDRAWN = "withdrawn"
    """Ended for good: its name and its prefixes are free, its keys stay as history."""


# Which uses each kind must have a key for; it may have no others.
_USES: Final[dict[MemberKind, frozenset[KeyUse]]] = {
    MemberKind.REGION: frozenset({KeyUse.ATTEST, KeyUse.STATE, KeyUse.SEAL, KeyUse.AUTHENTICATE}),
    MemberKind.CHECKPOINT: frozenset({KeyUse.STATE, KeyUse.AUTHENTICATE}),
    MemberKind.OPERATOR: frozenset({KeyUse.STATE, KeyUse.AUTHENTICATE}),
    MemberKind.HUB: frozenset({KeyUse.FEED, KeyUse.TOKEN, KeyUse.STATE, KeyUse.AUTHENTICATE}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """What is said of a member, by itself at enrolment or by the hub in the feed.

    Attributes:
        urn: its name; of the shape that its kind has.
        kind: what it is.
        name_zh: Chinese name, may be empty.
        name_en: English name, may be empty. One of the two is not.
        keys: every use its kind needs, and no other.
        prefixes: divisions a region or a hub answers for, shortest form; empty for
            others.
        endpoint: ``host:port`` of a region's adapter or of a hub; None for others.
        tls_ca_pem: certificates under which the endpoint's is checked; None: the
            system's.
    """

    urn: str
    kind: MemberKind
    name_zh: str
    name_en: str
    keys: tuple[MemberKey, ...]
    prefixes: tuple[str, ...] = ()
    endpoint: str | None = None
    tls_ca_pem: str | None = None


def check_member(member: MemberRecord, *, stands_in: str | None = None) -> None:
    """Holds a member's own words, or the hub's record, against the rules.

    Args:
        member: whose fields are checked, after their types.
        stands_in: six digits that it names beside its URN; None: it names none.

    Raises:
        StatementError: a name, URN, division, endpoint or certificate is out of place.
        KeyMaterialError: a key is missing for a use of its kind, or one too many.
    """
    if not (member.name_zh or member.name_en):
        raise StatementError("a member has a name")
    if not (member.name_zh + member.name_en).isprintable():
        raise StatementError("a name holds a character that cannot be shown")
    uses = frozenset(key.use for key in member.keys)
    if uses != _USES[member.kind]:
        raise KeyMaterialError("a member has a key for each use of its kind and for no other")
    if member.kind in (MemberKind.REGION, MemberKind.HUB):
        if stands_in is not None:
            raise StatementError("the division of a region or hub stands in its URN alone")
        _check_answering(member)
        return
    if member.prefixes or member.endpoint is not None or member.tls_ca_pem is not None:
        raise StatementError("only a region or a hub has prefixes and an endpoint")
    if member.kind is MemberKind.CHECKPOINT:
        if stands_in is None or names.checkpoint_region_of(member.urn) != stands_in:
            raise StatementError("a checkpoint stands in the region that its URN names")
    elif not names.is_operator_urn(member.urn) or stands_in is not None:
        raise StatementError("an operator has an operator's URN and no region")


def _check_answering(member: MemberRecord) -> None:
    of = names.region_of if member.kind is MemberKind.REGION else names.hub_of
    own = of(member.urn)
    if own is None:
        raise StatementError("a region has a region's URN and a hub a hub's")
    _check_prefixes(member.prefixes, names.shortest(own))
    if member.endpoint is None:
        raise StatementError("a region or a hub has an endpoint")
    port = _ENDPOINT.fullmatch(member.endpoint)
    if port is None or not 1 <= int(port[1]) <= _MAX_PORT:
        raise StatementError("an endpoint is host:port")
    if member.tls_ca_pem is not None and not _PEM.fullmatch(member.tls_ca_pem):
        # Also keeps a private key, pasted along, out of a public feed.
        raise StatementError("tls_ca_pem holds something other than certificates")


def _check_prefixes(prefixes: tuple[str, ...], own: str) -> None:
    if not 1 <= len(prefixes) <= MAX_PREFIXES:
        raise StatementError(f"a region or a hub answers for 1 to {MAX_PREFIXES} prefixes")
    for place, prefix in enumerate(prefixes):
        if not names.is_prefix(prefix):
            raise StatementError("a division prefix has 2, 4 or 6 digits, none of them trailing 00")
        if not prefix.startswith(own):
            raise StatementError("a region or a hub answers only for divisions inside its own")
        if names.covers((*prefixes[:place], *prefixes[place + 1 :]), prefix):
            raise StatementError("a prefix stands twice or inside another")
