"""What hubs ask each other on their own behalf: who asks, and which way it goes on.

A question of a hub is introduced by a grant as a caller's is (docs/spec/federation.md),
with the hub that asked first as its ``sub`` and the hubs passed in ``via``. It is taken
from the hub above and from those below, nobody else. Such a grant introduces no caller:
whoever reads callers' grants refuses a hub as ``sub``, and here nothing else is taken.

It goes on to every hub next to this one that ``via`` does not name; one that came from
above goes down only. So it passes each hub once and ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.hub.delegation import grant_of
from gateway.hub.directory import CallerKind, CallerRecord
from gateway.trust import jws, names
from gateway.trust.federated import FederatedBundle
from gateway.trust.hub_places import own_constraint
from gateway.wire.errors import RpcFailure
from gateway.wire.hub_tokens import (
    EXCHANGE_SCOPE,
    GRANT_METADATA_KEY,
    GRANT_TYPE,
    MAX_TOKEN_BYTES,
    MAX_VIA,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc

    from gateway.hub.access import GrantMinter
    from gateway.hub.delegation import GrantReader
    from gateway.hub.directory import HubDirectory
    from gateway.hub.link_line import Metadata
    from gateway.hub.neighbours import Neighbours
    from gateway.hub.superior import Superior
    from gateway.trust import TrustBundle
    from gateway.wire.feed_tree import FeedTree

    Context = grpc.aio.ServicerContext[Any, Any]

NEXT_SHARE: Final = 0.8
"""What the next hub gets of the time: the one further away gives up first, so that
the nearer one can still say why."""


@dataclass(frozen=True, slots=True)
class HubAsk:
    """A question of a hub on its way.

    Attributes:
        record: the hub that asked first, and the hubs passed.
        is_from_above: whether the hub above sent it: it is not sent up again.
    """

    record: CallerRecord
    is_from_above: bool = False


class HubGrants:
    """Introduces this hub's questions, and reads the introductions of others.

    Args:
        hub_urn: this hub.
        minter: signs.
        reader: reads grants that hubs speak for themselves with.
        hubs: those below.
        superior: how the hub above is known; None: there is none.
    """

    def __init__(
        self,
        hub_urn: str,
        minter: GrantMinter,
        reader: GrantReader,
        hubs: HubDirectory,
        superior: Callable[[], Superior | None],
    ) -> None:
        self._minter = minter
        self._reader = reader
        self._hubs = hubs
        self._superior = superior
        self.own = HubAsk(
            CallerRecord(
                urn=hub_urn,
                kind=CallerKind.HUB,
                region=names.hub_of(hub_urn) or "",
                scopes=frozenset({EXCHANGE_SCOPE}),
                purposes=frozenset(),
                active=True,
            )
        )
        """A question that begins here."""

    def read(self, context: Context) -> HubAsk:
        """Return who asks.

        Raises:
            RpcFailure: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, SCOPE_MISSING,
                CALLER_SUSPENDED, AUDIENCE_NOT_ALLOWED, ROUTE_LOOP.
        """
        grant = grant_of(context)
        signer = _signer(grant)
        superior = self._superior()
        if superior is not None and signer == superior.urn:
            keys = superior.anchor.token_keys
            record = self._reader.read(grant, signer=signer, keys=keys, prefixes=None)
            return HubAsk(record, is_from_above=True)
        hub = self._hubs.hub(signer)
        if hub is None:
            raise RpcFailure("TOKEN_INVALID", "the grant is of no hub next to this one")
        if not hub.active:
            raise RpcFailure("CALLER_SUSPENDED", "the hub is not an active member")
        record = self._reader.read(grant, signer=signer, keys=hub.token_keys, prefixes=hub.prefixes)
        return HubAsk(record)

    def metadata(self, ask: HubAsk, hub: str) -> Metadata:
        """Return what introduces a question to the next hub."""
        return ((GRANT_METADATA_KEY, self._minter.grant(ask.record, hub).text),)


class HubsAround:
    """The hubs that this one leads to.

    Args:
        hub_urn: this hub.
        neighbours: those next to it.
        tree: what all feeds say.
        grants: introduces questions.
    """

    def __init__(
        self, hub_urn: str, neighbours: Neighbours, tree: FeedTree, grants: HubGrants
    ) -> None:
        self.hub_urn = hub_urn
        self.neighbours = neighbours
        self.grants = grants
        self._tree = tree

    def bundles(self) -> Iterator[TrustBundle]:
        """What each of the other feeds says, where something of it is held."""
        for replica in self._tree.replicas.values():
            bundle = replica.bundle if replica.is_usable else None
            if bundle is not None:
                yield bundle

    @property
    def bundle(self) -> TrustBundle | None:
        """What all feeds say together."""
        return self._tree.bundle

    @property
    def path_length(self) -> int | None:
        """How many hubs the one above allows below this one; None: nobody says so."""
        above = self.neighbours.above
        replica = None if above is None else self._tree.replicas.get(above)
        bundle = None if replica is None or not replica.is_usable else replica.bundle
        own = None if bundle is None else own_constraint(self.hub_urn, bundle)
        return None if own is None else own.path_length

    def behind(self, neighbour: str) -> frozenset[str]:
        """Return the hubs that a neighbour leads to, itself among them."""
        found = {neighbour}
        for hub in self._tree.replicas:
            place = self._tree.place(hub)
            if place is not None and place.behind[1] == neighbour:
                found.add(hub)
        return frozenset(found)

    def next_hop(self, authority: str) -> str | None:
        """Return the neighbour that leads to an authority; None: none does."""
        bundle = self.bundle
        if not isinstance(bundle, FederatedBundle):
            return None
        path = bundle.behind(authority)
        return path[1] if len(path) > 1 else None

    def onward(self, ask: HubAsk) -> tuple[str, ...]:
        """Return the neighbours that a question goes on to."""
        above = None if ask.is_from_above else self.neighbours.above
        passed = {*ask.record.via, self.hub_urn}
        if len(ask.record.via) + 1 >= MAX_VIA:
            return ()
        return tuple(
            hub for hub in (above, *self.neighbours.below) if hub is not None and hub not in passed
        )


def seconds_left(context: Context, most: float) -> float:
    """Return the seconds that a call may take, at most so many."""
    left: float | None = context.time_remaining()
    return most if left is None else max(0.0, min(most, left))


def _signer(grant: str) -> str:
    """Who a grant says has signed it; only to find the keys that tell."""
    try:
        claims = jws.take_apart(grant, typ=GRANT_TYPE, max_bytes=MAX_TOKEN_BYTES).claims()
    except jws.MalformedError:
        raise RpcFailure("TOKEN_INVALID", "the grant does not parse") from None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else ""
