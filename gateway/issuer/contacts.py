"""Contacts of cases, as feeding systems report them: taken, known, kept or refused.

A contact of somebody unknown is **kept**: it stands under the keyed digest of the
document and concerns the person from the first declaration on. The same contact sent
again is ``KNOWN``, also when a correction withdrew it since, because a feed repeats
itself; a later date, a more serious kind, another case or another feeder is news.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateway.issuer.checks import check_contacts, contact_fault
from gateway.issuer.days import to_seconds
from gateway.issuer.store import schema
from gateway.issuer.values import CONTACT_NUMBERS, Cause, ContactOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.issuer.assess import Assessor
    from gateway.issuer.people import People
    from gateway.issuer.store import IssuerStore
    from gateway.issuer.values import ContactReport

SLICE: Final = 100
"""Contacts taken in one transaction: a call of a thousand must not hold the locks of a
thousand people at once, nor fill PostgreSQL's table of locks."""


@dataclass(frozen=True, slots=True)
class ReportedContacts:
    """What became of a batch.

    Attributes:
        outcomes: one for each contact, in order.
        changed: people whose level changed.
    """

    outcomes: tuple[ContactOutcome, ...]
    changed: int


class Contacts:
    """Takes contacts; see the module."""

    def __init__(self, store: IssuerStore, people: People, assessor: Assessor) -> None:
        self._store = store
        self._people = people
        self._assessor = assessor

    async def report(
        self, contacts: Sequence[ContactReport], *, client: str, now: datetime
    ) -> ReportedContacts:
        """Take contacts, each with its own outcome, and assess those people at once.

        A contact of somebody unknown is kept and concerns the person from the first
        declaration on. A batch is taken in slices of their own transactions; one that
        fails may be sent again.

        Raises:
            RequestError: the batch is empty or too large.
            StoreError: the database failed; earlier slices may have been taken.
        """
        check_contacts(contacts, now)
        window = self._assessor.rules.in_force(now).contact_window_days
        outcomes = [ContactOutcome.REFUSED] * len(contacts)
        sound = [
            (place, contact)
            for place, contact in enumerate(contacts)
            if not contact_fault(contact, now, window)
        ]
        changed = 0
        for part in _slices(sound):
            changed += await self._take(part, outcomes, client, to_seconds(now))
        return ReportedContacts(tuple(outcomes), changed)

    async def _take(
        self,
        part: Sequence[tuple[int, ContactReport]],
        outcomes: list[ContactOutcome],
        client: str,
        now: int,
    ) -> int:
        lookups = [self._people.box.lookup(contact.document) for _, contact in part]
        table = schema.contacts
        async with self._store.write() as connection:
            await self._store.lock_people(connection, lookups)
            ids = await self._locked(connection, lookups)
            newest = await self._newest(connection, lookups, client)
            rows: list[dict[str, Any]] = []
            for (place, contact), lookup in zip(part, lookups, strict=True):
                at = to_seconds(contact.at)
                key = (lookup, contact.reference, CONTACT_NUMBERS[contact.kind])
                if newest.get(key, -1) >= at:
                    outcomes[place] = ContactOutcome.KNOWN
                    continue
                newest[key] = at
                person_id = ids.get(lookup)
                taken = person_id is not None
                outcomes[place] = ContactOutcome.TAKEN if taken else ContactOutcome.KEPT
                rows.append(
                    {
                        "person_id": person_id,
                        "lookup": lookup,
                        "kind": CONTACT_NUMBERS[contact.kind],
                        "at": at,
                        "division": int(contact.division),
                        "reference": contact.reference,
                        "known_at": now if taken else None,
                        "recorded_at": now,
                        "client": client,
                    }
                )
            if not rows:
                return 0
            await connection.execute(sa.insert(table), rows)
            people = [ids[row["lookup"]] for row in rows if row["lookup"] in ids]
            assessed = await self._assessor.several(
                connection, people, now=now, cause=Cause.CONTACT
            )
            return assessed.changed

    async def _locked(
        self, connection: AsyncConnection, lookups: Sequence[bytes]
    ) -> dict[bytes, int]:
        people, codes = schema.people, schema.codes
        rows = await connection.execute(
            sa.select(people.c.lookup, people.c.id)
            .join(codes, codes.c.person_id == people.c.id)
            .where(people.c.lookup.in_(set(lookups)))
            .order_by(people.c.id)
            .with_for_update(key_share=True, of=codes)
        )
        return {row.lookup: row.id for row in rows}

    async def _newest(
        self, connection: AsyncConnection, lookups: Sequence[bytes], client: str
    ) -> dict[tuple[bytes, str, int], int]:
        table = schema.contacts
        rows = await connection.execute(
            sa.select(
                table.c.lookup,
                table.c.reference,
                table.c.kind,
                sa.func.max(table.c.at).label("at"),
            )
            .where(table.c.lookup.in_(set(lookups)), table.c.client == client)
            .group_by(table.c.lookup, table.c.reference, table.c.kind)
        )
        return {(row.lookup, row.reference, row.kind): row.at for row in rows}


def _slices(
    items: Sequence[tuple[int, ContactReport]],
) -> Iterator[Sequence[tuple[int, ContactReport]]]:
    for begin in range(0, len(items), SLICE):
        yield items[begin : begin + SLICE]
