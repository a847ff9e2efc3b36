"""Which entries concern which divisions: what an air-gapped pack takes in (docs/spec/pack.md).

The same question is asked by whoever makes a pack, of what is live, and by whoever reads
it, of what has just been verified; both must come to the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.trust import names
from gateway.trust.authority import parse_authority
from gateway.trust.entries import payload_of
from gateway.trust.errors import PackError
from gateway.trust.feed import FeedKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gateway.trust.entries import LiveEntry
    from gateway.trust.feed import FeedEntry
    from gateway.trust.live import LiveSet

EVERYBODY: Final = ""
"""Stands for whom an entry concerns that concerns all."""


def select(live: LiveSet, prefixes: Collection[str]) -> list[LiveEntry]:
    """Returns what is in force for the regions of some divisions, in order.

    That is every authority that holds a prefix in or around one of them, what it
    published and revoked, what is distrusted of it, and what concerns everybody.
    """
    chosen = {
        urn
        for urn, held in live.authorities.items()
        if not prefixes or touches(held.authority.prefixes, prefixes)
    }
    return [
        entry
        for entry in live.entries()
        if (about := about_live(entry)) == EVERYBODY or about in chosen
    ]


def chosen_of(standing: Iterable[FeedEntry], prefixes: Collection[str]) -> list[FeedEntry]:
    """As :func:`select`, before anything is put into a set; without tombstones."""
    entries = [entry for entry in standing if not entry.is_tombstone]
    urns = {
        entry.subject
        for entry in entries
        if entry.kind is FeedKind.AUTHORITY
        and (not prefixes or touches(parse_authority(entry.body).prefixes, prefixes))
    }
    return [
        entry
        for entry in entries
        if (about := _about(entry.kind, entry.subject, entry.body)) == EVERYBODY or about in urns
    ]


def about_live(entry: LiveEntry) -> str:
    """URN of whom a live entry concerns; empty: everybody."""
    named = named_in_subject(entry.kind, entry.subject)
    if named is not None:
        return named
    return _about(entry.kind, entry.subject, payload_of(entry.token)["body"])


def _about(kind: FeedKind, subject: str, body: Mapping[str, Any]) -> str:
    """URN of whom an entry concerns; empty: everybody.

    Raises:
        PackError: the body does not say.
    """
    named = named_in_subject(kind, subject)
    if named is not None:
        return named
    try:
        if kind is FeedKind.DISTRUST:
            return str(body["rule"]["issuer"])
        return str(payload_of(body["statement"])["iss"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise PackError("an entry does not say whom it concerns") from None


def named_in_subject(kind: FeedKind, subject: str) -> str | None:
    """URN of whom a subject concerns; empty: everybody; None: the subject does not say."""
    if kind in (FeedKind.AUTHORITY, FeedKind.SILENCE):
        return subject
    if kind in (FeedKind.SCHEME, FeedKind.POLICY, FeedKind.NOTICE):
        urn = subject.partition("#")[0]
        return EVERYBODY if names.is_hub_urn(urn) and kind is FeedKind.NOTICE else urn
    if kind is FeedKind.STATUS:
        return f"urn:hutong:region:{subject.removeprefix('urn:hutong:status:')[:6]}"
    if kind in (FeedKind.DISTRUST, FeedKind.REHEARSAL):
        return None
    # The superior, and kinds that are not known here: left out, they might be missed.
    return EVERYBODY


def touches(held: Iterable[str], wanted: Collection[str]) -> bool:
    """Whether one of the prefixes held lies in or around one that is wanted."""
    return any(one.startswith(other) or other.startswith(one) for one in held for other in wanted)
