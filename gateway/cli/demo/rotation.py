"""A city's engineer who changes a key: rehearsal, publication ahead, and the file."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from adapters.sdk.keys import key_file, load_keys
from gateway.attestation import generate_signing_key, signing_key_to_jwk
from gateway.cli.demo.regions import HANGZHOU
from gateway.cli.demo.waiting import until_found
from gateway.trust import KeyUse, signing_member_key
from gateway.trust.lifecycle import KeyChange
from gateway.wire.channel import open_channel
from gateway.wire.key_change import MemberLine
from gateway.wire.private_files import write_private_jwk
from gateway.wire.token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.cli.demo.federation import Federation
    from gateway.wire.key_change import RehearsalView

_LEAD: Final = timedelta(seconds=3)
"""Of the demo's hub (``federation._SHORT_LEAD``); one more is the change's own way."""


class Rotation:
    """Hangzhou's engineer: the key to come, and the line to the hub.

    Args:
        federation: whose hub.

    Attributes:
        starts_at: first use of the key to come, when it is published.
        asked: how often a gate asked meanwhile.
        failed: why it did not come out.
    """

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._folder = federation.folder / HANGZHOU.name / "keys"
        self._keys = load_keys(self._folder)
        self._coming = generate_signing_key()
        self._rehearsal = ""
        self.starts_at = datetime.now(UTC)
        self.asked = 0
        self.failed: list[str] = []

    @property
    def old_key_id(self) -> str:
        """Thumbprint of the key that signed until now."""
        return self._keys.attest.key_id

    @property
    def new_key_id(self) -> str:
        """Thumbprint of the key to come."""
        return self._coming.key_id

    async def rehearse(self) -> None:
        """Show the key to come to every connected checkpoint."""
        now = datetime.now(UTC)
        key = signing_member_key(self._coming, KeyUse.ATTEST, not_before=now + timedelta(hours=1))
        async with self._line() as line:
            self._rehearsal, _ = await line.rehearse(key, self._coming, self._keys.state, now=now)

    async def answers(self, count: int) -> RehearsalView:
        """Wait until so many checkpoints have answered."""
        async with self._line() as line:
            return await until_found(
                lambda: line.rehearsal(self._rehearsal),
                lambda view: view.verified + len(view.failures) >= count,
                every=0.2,
            )

    async def publish(self) -> int:
        """Publish the key ahead, and lay it beside the old one; returns the feed's number."""
        now = datetime.now(UTC)
        seconds = math.ceil((now + _LEAD).timestamp()) + 1
        self.starts_at = datetime.fromtimestamp(seconds, UTC)
        key = signing_member_key(self._coming, KeyUse.ATTEST, not_before=self.starts_at)
        async with self._line() as line:
            change = KeyChange(add=(key,))
            number = await line.change(change, self._keys.state, proving=[self._coming], now=now)
        write_private_jwk(
            key_file(self._folder, "attest", seconds), signing_key_to_jwk(self._coming)
        )
        return number

    @contextlib.asynccontextmanager
    async def _line(self) -> AsyncIterator[MemberLine]:
        federation = self._federation
        ca_pem = federation.ca_file.read_bytes()
        tokens = TokenClient(
            federation.token_url,
            HANGZHOU.urn,
            self._keys.authenticate,
            ca_pem,
            lambda: datetime.now(UTC),
        )
        async with open_channel(federation.hub_target, ca_pem=ca_pem) as channel, tokens:
            yield MemberLine(channel, tokens, urn=HANGZHOU.urn, hub_urn=federation.hub_urn)
