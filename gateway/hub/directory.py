"""Who takes part, as the exchange sees it: in memory, live.

The registry implements :class:`MemberDirectory`; the exchange asks it on every
call, so that a suspension counts at once. No call here waits or does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.attestation.keys import VerificationKey


class CallerKind(StrEnum):
    """What a caller is; the names are those of ``MemberKind`` on the wire."""

    REGION = "REGION"
    CHECKPOINT = "CHECKPOINT"
    OPERATOR = "OPERATOR"
    HUB = "HUB"


@dataclass(frozen=True, slots=True)
class CallerRecord:
    """A member that may ask.

    Attributes:
        urn: of the member, for example ``urn:hutong:checkpoint:440100:north-gate``.
        kind: what it is.
        region: six-digit division where it stands; empty for operators.
        scopes: scopes a token of this member may carry.
        purposes: names of ``Purpose`` without prefix, for example ``CHECKPOINT``.
        active: False stops it at once, whatever its token says.
        via: hubs that its question has passed on the way here, the caller's own
            first; empty for a member of this hub.
        grant_expires_at: Unix seconds, exclusive, of the grant that a hub introduced
            it with; None for a member of this hub.
        client_keys: ids of the keys by which it may have fetched a token that still
            counts; None: nobody looks, as it has no token here.
    """

    urn: str
    kind: CallerKind
    region: str
    scopes: frozenset[str]
    purposes: frozenset[str]
    active: bool
    via: tuple[str, ...] = ()
    grant_expires_at: int | None = None
    client_keys: frozenset[str] | None = None

    @property
    def accounted_as(self) -> str:
        """Who is counted: the member, or the hub that speaks for the caller."""
        return self.via[-1] if self.via else self.urn


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """An authority that answers.

    Attributes:
        authority: its URN, for example ``urn:hutong:region:330100``.
        prefixes: division prefixes it answers for, 2, 4 or 6 digits each.
        endpoint: ``host:port`` of its AdapterService.
        tls_ca_pem: PEM text of the only roots to trust; None: the system's.
        active: False: its regions answer ``REGION_SUSPENDED``.
        is_hub: it is a hub that answers for everything below it.
    """

    authority: str
    prefixes: tuple[str, ...]
    endpoint: str
    tls_ca_pem: str | None
    active: bool
    is_hub: bool = False


@dataclass(frozen=True, slots=True)
class HubRecord:
    """A hub that stands below this one.

    Attributes:
        urn: of the hub.
        prefixes: division prefixes inside which its callers stand.
        token_keys: keys that sign its grants, by id; those that still verify.
        active: False: nobody it speaks for gets in.
    """

    urn: str
    prefixes: tuple[str, ...]
    token_keys: Mapping[str, VerificationKey]
    active: bool


class HubDirectory(Protocol):
    """What the exchange asks of hubs below; the registry implements it."""

    def hub(self, urn: str) -> HubRecord | None:
        """Return a hub that was admitted, suspended ones included."""
        ...


class MemberDirectory(Protocol):
    """What the registry offers to the exchange."""

    def caller(self, client_urn: str) -> CallerRecord | None:
        """Return a member, suspended ones included; None where there is none."""
        ...

    def adapters(self) -> Sequence[AdapterRecord]:
        """Return every authority with an endpoint, suspended ones included."""
        ...

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the event loop after every change of members."""
        ...
