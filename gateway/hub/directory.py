"""Who takes part, as the exchange sees it: in memory, live.

The registry implements :class:`MemberDirectory`; the exchange asks it on every
call, so that a suspension counts at once. No call here waits or does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CallerKind(StrEnum):
    """What a caller is; the names are those of ``MemberKind`` on the wire."""

    REGION = "REGION"
    CHECKPOINT = "CHECKPOINT"
    OPERATOR = "OPERATOR"


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
    """

    urn: str
    kind: CallerKind
    region: str
    scopes: frozenset[str]
    purposes: frozenset[str]
    active: bool


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """An authority that answers.

    Attributes:
        authority: its URN, for example ``urn:hutong:region:330100``.
        prefixes: division prefixes it answers for, 2, 4 or 6 digits each.
        endpoint: ``host:port`` of its AdapterService.
        tls_ca_pem: PEM text of the only roots to trust; None: the system's.
        active: False: its regions answer ``REGION_SUSPENDED``.
    """

    authority: str
    prefixes: tuple[str, ...]
    endpoint: str
    tls_ca_pem: str | None
    active: bool


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
