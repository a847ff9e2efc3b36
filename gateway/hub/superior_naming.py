"""What a hub's own feed says of the hub above: who it is, and under which keys it signs.

Readers below have the superior's keys from nowhere else (HT-FED-6). They are named when
the superior is taken up, and again with every set of keys that it publishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.attestation.keys import public_jwk
from gateway.trust import FeedKind, KeyUse
from gateway.trust.entries import superior_body
from gateway.trust.keys import parse_member_key
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.attestation.keys import VerificationKey
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.mirror import StoreMirror
    from gateway.hub.superior import Superior
    from gateway.trust.keys import MemberKey


async def name_superior(mirror: StoreMirror, feed: HubFeed, superior: Superior) -> None:
    """Tell the readers of the own feed who stands above, once a set of its keys."""
    keys = [_member_key(key) for key in superior.anchor.feed_keys.values()]
    async with mirror.change() as change:
        known = feed.bundle.superior()
        if (
            known is None
            or known.hub != superior.urn
            or not _has_been_named(keys, known.keys, superior.anchor.number)
        ):
            body = superior_body(superior.urn, keys)
            await mirror.append(change, [(FeedKind.SUPERIOR, superior.urn, body)])
    await mirror.refresh()


def _member_key(key: VerificationKey) -> MemberKey:
    end = {} if key.not_after is None else {"not_after": to_seconds(key.not_after)}
    return parse_member_key(
        {
            "use": KeyUse.FEED.value,
            "jwk": public_jwk(key),
            "not_before": to_seconds(key.not_before),
            **end,
        }
    )


def _has_been_named(keys: Sequence[MemberKey], known: Sequence[MemberKey], number: int) -> bool:
    """Whether the own feed says as much; the anchor of long ago takes nothing back."""
    said = {key.key_id: key.not_after for key in known}
    if number:
        return said == {key.key_id: key.not_after for key in keys}
    return all(key.key_id in said for key in keys)
