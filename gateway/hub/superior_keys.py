"""A hub's own keys as the hub above knows them: shown there first, ended there last.

Who reads this hub's feed by way of the hub above verifies it under the keys that stand in
its record there (HT-FED-6), and the hub above verifies grants under them. So a key to
come is added there, with that hub's lead time, before it stands in the own feed; and
what the own feed says has ended is ended there afterwards.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.hub.errors import HubSetupError
from gateway.hub.keys import load_signing_key
from gateway.hub.superior import load_superior
from gateway.trust.hub_key_life import ROTATED
from gateway.trust.keys import KeyState
from gateway.trust.lifecycle import KeyChange, KeyMove
from gateway.trust.times import from_seconds, to_seconds
from gateway.wire.channel import open_channel
from gateway.wire.key_change import MemberLine
from gateway.wire.token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.hub.settings import HubSettings
    from gateway.trust import MemberKey
    from gateway.wire.key_change import KeyView


@dataclass(frozen=True, slots=True)
class AtSuperior:
    """This hub at the hub above.

    Attributes:
        urn: of the hub above.
        line: to it.
        state_key: signs this hub's statements there.
        private: gives a private key of this hub by its id.
        clock: the time, UTC.
    """

    urn: str
    line: MemberLine
    state_key: SigningKey
    private: Callable[[str], SigningKey | None]
    clock: Callable[[], datetime]

    async def add(self, key: MemberKey) -> None:
        """Show a key to come; one that is known already stays as it is.

        Raises:
            RpcFailure: the hub above refuses, or cannot be reached.
            TokenError: it gives no token.
            HubSetupError: this hub is not admitted there, or the key's file is away.
        """
        if key.key_id not in await self._known():
            await self._change(KeyChange(add=(key,)))

    async def settle(self, keys: Sequence[MemberKey]) -> bool:
        """Do there what the own feed says already; return whether anything was left to do.

        Args:
            keys: the hub's own, as its feed has them.

        Raises:
            RpcFailure: the hub above refuses, or cannot be reached.
            TokenError: it gives no token.
            HubSetupError: this hub is not admitted there, or a key's file is away.
        """
        change = self._missing(keys, await self._known())
        if change is None:
            return False
        await self._change(change)
        return True

    def _missing(self, keys: Sequence[MemberKey], known: dict[str, KeyView]) -> KeyChange | None:
        now = self.clock()
        live = (KeyState.PUBLISHED, KeyState.ACTIVE)
        add = tuple(
            # When it was published, the hub above says of its own feed.
            replace(key, published_at=None, reason=None)
            for key in keys
            if key.key_id not in known and key.state(now) in live
        )
        revoke, retire = [], []
        for key in keys:
            view = known.get(key.key_id)
            if view is None or view.distrusted_from is not None:
                continue
            if key.revoked_at is not None:
                revoke.append(KeyMove(key.key_id, None, key.reason or ROTATED))
            elif key.not_after is not None and view.not_after is None:
                # Whoever comes late ends it from now on: nothing ends in the past.
                end = max(key.not_after, from_seconds(to_seconds(now) + 1))
                retire.append(KeyMove(key.key_id, end, key.reason or ROTATED))
        if not (add or revoke or retire):
            return None
        return KeyChange(add=add, revoke=tuple(revoke), retire=tuple(retire))

    async def _known(self) -> dict[str, KeyView]:
        standing = await self.line.standing()
        if standing.state != "ACTIVE":
            raise HubSetupError(
                f"this hub is {standing.state.lower()} at {self.urn}",
                fix="change its keys once its operators have admitted it",
            )
        return {key.key_id: key for key in standing.keys}

    async def _change(self, change: KeyChange) -> None:
        proving = []
        for key in change.add:
            private = self.private(key.key_id)
            if private is None:
                raise HubSetupError(f"the file of the {key.use.value} key {key.key_id} is not here")
            proving.append(private)
        await self.line.change(change, self.state_key, proving=proving, now=self.clock())


@asynccontextmanager
async def open_superior(
    settings: HubSettings,
    private: Callable[[str], SigningKey | None],
    *,
    clock: Callable[[], datetime],
) -> AsyncIterator[AtSuperior | None]:
    """Open the line to the hub above; None: there is none.

    Args:
        settings: of this hub, with resolved paths.
        private: gives a private key of this hub by its id.
        clock: the time, UTC.

    Raises:
        HubSetupError: what was written of the hub above cannot be used.
    """
    superior = load_superior(settings.superior)
    if superior is None:
        yield None
        return
    state_key = load_signing_key(settings.superior.parent / "state.json")
    tokens = TokenClient(superior.token_url, settings.urn, superior.key, superior.ca_pem, clock)
    async with open_channel(superior.target, ca_pem=superior.ca_pem) as channel:
        try:
            line = MemberLine(channel, tokens, urn=settings.urn, hub_urn=superior.urn)
            yield AtSuperior(superior.urn, line, state_key, private, clock)
        finally:
            await tokens.close()
