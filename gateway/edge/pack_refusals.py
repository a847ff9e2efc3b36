"""Why a checkpoint cannot use what its hub said, in words that say what to do.

``gateway.trust.pack`` refuses by stable codes; whoever stands at a gate with a stick in
the hand needs to know which other pack to fetch, or that the clock on the wall is right
and the one in the machine is not. The codes stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.trust.errors import FeedError, FeedFault, PackError
from gateway.trust.times import LEEWAY
from gateway.wire.replica_store import ReplicaError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from gateway.trust.pack import PackManifest, PackReplica

_SPANS: Final = ((86400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s"))
_WHOLE: Final = "or a whole pack, made without --after"


class ClockBehindError(ReplicaError):
    """The newest word of the hub is dated ahead of this machine's clock.

    Attributes:
        behind: by how much.
    """

    default_code = FeedFault.FEED_FROM_FUTURE.value

    def __init__(self, behind: timedelta) -> None:
        zh, en = span(behind)
        super().__init__(
            f"本机时钟比枢纽最近一次签发慢 {zh}，无法据以判定。 "
            f"This machine's clock is {en} behind the newest word of its hub, so nothing can be "
            "decided by it",
            fix="把本机时钟校准后重试 set this machine's clock; if it is right, the hub's was "
            "wrong: tell its operator",
        )
        self.behind = behind


def span(length: timedelta) -> tuple[str, str]:
    """A span of time in Chinese and in English, in its largest unit of which it has two."""
    seconds = int(length.total_seconds())
    size, zh, en = next((one for one in _SPANS if seconds >= 2 * one[0]), _SPANS[-1])
    return f"{seconds // size} {zh}", f"{seconds // size} {en}"


def refuse_ahead(manifest: PackManifest, now: datetime) -> None:
    """Refuse a pack that was made ahead of this machine's clock.

    Raises:
        ClockBehindError: FEED_FROM_FUTURE.
    """
    if manifest.issued_at > now + LEEWAY:
        raise ClockBehindError(manifest.issued_at - now)


def refuse_delta(manifest: PackManifest, held: PackReplica | None) -> None:
    """Refuse a delta that does not continue what is held, and say which pack does.

    What is wrong with a whole pack is for ``load_pack`` to say.

    Raises:
        FeedError: FEED_GAP: it continues a newer, an older or no state that is held.
        PackError: PACK_INVALID: it is for other divisions than are held.
    """
    if not manifest.after:
        return
    gap = FeedFault.FEED_GAP
    if held is None:
        raise FeedError(
            f"the delta continues a pack that ends at {manifest.after}, and none was loaded here",
            code=gap,
            fix="load the whole pack that it continues first, " + _WHOLE,
        )
    if manifest.after > held.sequence:
        raise FeedError(
            f"the delta continues {manifest.after}, which is newer than {held.sequence}, where "
            "what is held ends: one in between is missing",
            code=gap,
            fix=f"load the deltas from {held.sequence} to {manifest.after} first, or fetch one "
            f"made with --after {held.sequence}, {_WHOLE}",
        )
    if manifest.after < held.sequence < manifest.sequence:
        raise FeedError(
            f"the delta continues {manifest.after}, which is older than {held.sequence}, where "
            "what is held ends",
            code=gap,
            fix=f"fetch one made with --after {held.sequence}, {_WHOLE}",
        )
    if manifest.prefixes != held.prefixes and manifest.after == held.sequence:
        here, there = (", ".join(of.prefixes) or "all divisions" for of in (held, manifest))
        options = "".join(f" --prefix {prefix}" for prefix in held.prefixes) or " no --prefix"
        raise PackError(
            f"the delta is for {there}, and what is held is for {here}",
            fix=f"fetch one made with{options}, {_WHOLE}",
        )


def ends_where(manifest: PackManifest, held: PackReplica | None) -> bool:
    """Whether a delta ends exactly where what is held ends, so that it has no news."""
    return (
        held is not None
        and manifest.after > 0
        and (manifest.sequence, manifest.digest) == (held.sequence, held.digest)
        and manifest.prefixes == held.prefixes
        and manifest.issued_at <= held.as_of
    )
