"""Which hubs a reader's own feed leads to, under which keys, held to what.

Pure: from what the feeds say that are held so far to where every hub stands. Each
feed that is fetched then may lead further.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from gateway.errors import TrustError
from gateway.trust import names
from gateway.trust.anchor import anchor_of
from gateway.trust.authority import ALL_KINDS, MAX_ATTESTATION_SECONDS, MAX_PATH_LENGTH
from gateway.trust.errors import Missing
from gateway.trust.members import MemberState
from gateway.trust.times import from_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.authority import Authority
    from gateway.trust.bundle import TrustBundle
    from gateway.trust.keys import MemberKey

_BEGINNING: Final = from_seconds(0)

MAX_HUBS: Final = 1024
"""Feeds of one reader: every prefecture's hub, three times over."""


class Relation(StrEnum):
    """How a hub stands to the reader's own."""

    SUPERIOR = "superior"
    """Above it."""
    SUBORDINATE = "subordinate"
    """Below it, or below one that stands above it."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a superior lets a hub, and everybody below it, do.

    Attributes:
        prefixes: divisions it answers for.
        kinds: what may be signed, see ``ALL_KINDS``.
        max_attestation_seconds: longest life of an attestation.
        path_length: hubs that may stand below, one under another.
    """

    prefixes: tuple[str, ...]
    kinds: frozenset[str] = ALL_KINDS
    max_attestation_seconds: int = MAX_ATTESTATION_SECONDS
    path_length: int = MAX_PATH_LENGTH

    def covers(self, prefixes: Sequence[str]) -> bool:
        """Whether all of these prefixes lie inside."""
        return all(names.covers(self.prefixes, prefix) for prefix in prefixes)


@dataclass(frozen=True, slots=True)
class HubPlace:
    """Where a hub stands, as those above it say.

    Attributes:
        hub: its URN.
        relation: to the reader's own hub.
        through: URN of the hub in whose feed it is named.
        anchor: what verifies its feed; None: no feed key is believed any more.
        constraint: what it is held to; None: a superior, held to nothing.
        fault: why nothing of it is believed; None: it is.
        behind: hubs on whose word it rests, the reader's own first, itself last.
    """

    hub: str
    relation: Relation
    through: str
    anchor: TrustAnchor | None
    constraint: Constraint | None
    fault: Missing | None
    behind: tuple[str, ...]


def hub_places(
    own_hub: str, own: TrustBundle, feeds: Mapping[str, TrustBundle]
) -> dict[str, HubPlace]:
    """Returns every hub that the own feed leads to, as far as the others are held.

    Args:
        own_hub: URN of the reader's own hub.
        own: what its feed says.
        feeds: what the feeds of other hubs say, by URN.
    """
    found: dict[str, HubPlace] = {}
    chain = [(own_hub, own)]
    behind: tuple[str, ...] = (own_hub,)
    while (superior := _superior(chain[-1][1])) is not None:
        hub, anchor = superior
        if hub == own_hub or hub in found:
            break  # they say that they stand above each other
        behind = (*behind, hub)
        found[hub] = HubPlace(hub, Relation.SUPERIOR, chain[-1][0], anchor, None, None, behind)
        if hub not in feeds:
            break
        chain.append((hub, feeds[hub]))
    for depth, (hub, bundle) in enumerate(chain, start=1):
        _descend(found, own_hub, hub, bundle, feeds, None, None, behind[:depth])
    return found


def own_constraint(own_hub: str, superior: TrustBundle) -> Constraint | None:
    """Returns what the superior holds the reader's own hub to; None: it does not name it."""
    record = next((item for item in _hubs(superior) if item.urn == own_hub), None)
    return None if record is None else _constraint(record)


def _descend(
    found: dict[str, HubPlace],
    own_hub: str,
    hub: str,
    bundle: TrustBundle,
    feeds: Mapping[str, TrustBundle],
    constraint: Constraint | None,
    fault: Missing | None,
    behind: tuple[str, ...],
) -> None:
    for record in _hubs(bundle):
        if record.urn == own_hub or record.urn in found or len(found) >= MAX_HUBS:
            continue
        own, own_fault = _narrowed(constraint, record)
        anchor = _anchor(record.urn, record.keys)
        own_fault = fault or own_fault or (Missing.HUB_UNKNOWN if anchor is None else None)
        path = (*behind, record.urn)
        found[record.urn] = HubPlace(
            record.urn, Relation.SUBORDINATE, hub, anchor, own, own_fault, path
        )
        if record.urn in feeds:
            below = feeds[record.urn]
            _descend(found, own_hub, record.urn, below, feeds, own, own_fault, path)


def _narrowed(above: Constraint | None, record: Authority) -> tuple[Constraint, Missing | None]:
    own = _constraint(record)
    fault = None
    if record.state is MemberState.SUSPENDED:
        fault = Missing.AUTHORITY_SUSPENDED
    elif record.state is MemberState.WITHDRAWN:
        fault = Missing.AUTHORITY_WITHDRAWN
    if above is None:
        return own, fault
    if above.path_length < 1 or not above.covers(record.prefixes):
        fault = fault or Missing.CONSTRAINT_EXCEEDED
    narrowed = Constraint(
        own.prefixes,
        own.kinds & above.kinds,
        min(own.max_attestation_seconds, above.max_attestation_seconds),
        max(0, min(own.path_length, above.path_length - 1)),
    )
    return narrowed, fault


def _constraint(record: Authority) -> Constraint:
    return Constraint(
        record.prefixes, record.kinds, record.max_attestation_seconds, record.path_length
    )


def _hubs(bundle: TrustBundle) -> list[Authority]:
    return list(bundle.all_hubs())


def _superior(bundle: TrustBundle) -> tuple[str, TrustAnchor | None] | None:
    superior = bundle.superior()
    return None if superior is None else (superior.hub, _anchor(superior.hub, superior.keys))


def _anchor(hub: str, keys: Iterable[MemberKey]) -> TrustAnchor | None:
    # A key that is distrusted from any instant on verifies no feed: its entries say
    # themselves when they were made.
    # Its feed is older than its membership, so that a key has no first moment here.
    believed = [
        replace(key, not_before=_BEGINNING)
        for key in keys
        if key.tainted_from is None and key.revoked_at is None
    ]
    try:
        return replace(anchor_of(hub, believed), is_bound=True)
    except TrustError:
        return None
