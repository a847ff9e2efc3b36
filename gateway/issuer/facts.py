"""Facts that people and feeding systems bring: declarations, stays, contacts.

Facts are appended. Each bears who brought it (the client) and when; none replaces an
earlier one, and only a correction withdraws one. Whoever brings a fact about somebody
gets that person assessed in the same transaction, so nobody ever sees the one without
the other.

What a later statement does to an earlier one is decided when the level is assessed, not
here: a stay that "lasts" ends where a later stay begins. The same stay told again is
one stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.codes import TriState
from gateway.issuer.assess import Clocks
from gateway.issuer.checks import check_declaration, check_stays
from gateway.issuer.contacts import Contacts
from gateway.issuer.days import DAY_SECONDS, to_seconds
from gateway.issuer.errors import DeclarationMissingError, ProxyNotAllowedError
from gateway.issuer.rules import NOTABLE_FROM_DECICELSIUS
from gateway.issuer.store import schema
from gateway.issuer.values import (
    ANSWER_NUMBERS,
    STAY_NUMBERS,
    SYMPTOM_BITS,
    Cause,
    Code,
    StayKind,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.codes import Document
    from gateway.issuer.assess import Assessor
    from gateway.issuer.contacts import ReportedContacts
    from gateway.issuer.people import Known, People
    from gateway.issuer.store import IssuerStore
    from gateway.issuer.values import ContactReport, HealthDeclaration, Stay


class Facts:
    """Takes facts; see the module."""

    def __init__(self, store: IssuerStore, people: People, assessor: Assessor) -> None:
        self._store = store
        self._people = people
        self._assessor = assessor
        self._contacts = Contacts(store, people, assessor)

    async def declare_health(
        self, declaration: HealthDeclaration, *, client: str, now: datetime
    ) -> Code:
        """Take a health declaration, also as the day's check-in, and assess at once.

        A proxy that has declared before is recorded and may act from then on.

        Args:
            declaration: what is declared.
            client: who brings it.
            now: the moment.

        Raises:
            RequestError: a field breaks its rule.
            ProxyNotAllowedError: the proxy has never declared.
            StoreError: the database failed; nothing was taken.
        """
        check_declaration(declaration, now)
        seconds = to_seconds(now)
        lookup = self._people.box.lookup(declaration.identity.document)
        days = self._assessor.rules.in_force(now).declaration_days
        async with self._store.write() as connection:
            await self._store.lock_people(connection, [lookup])
            proxy_id = None
            if declaration.proxy is not None:
                proxy_id = await self._people.find_on(connection, declaration.proxy)
                if proxy_id is None:
                    raise ProxyNotAllowedError("whoever declares for somebody declares first")
            known = await self._people.known(connection, lookup)
            if known is None:
                person_id = await self._enter(connection, declaration, lookup, client, seconds)
            else:
                person_id = known.person_id
                await self._follow(connection, declaration, known, client, seconds)
            await self.insert(connection, person_id, proxy_id, declaration, client, seconds)
            if proxy_id is not None:
                await self._record_proxy(connection, person_id, proxy_id, client, seconds)
            before = None if known is None else known.code
            declared_at = seconds if before is None else max(seconds, before.declared_at)
            return await self._assessor.one(
                connection,
                person_id,
                before,
                now=seconds,
                cause=Cause.DECLARATION,
                clocks=Clocks(declared_at, declared_at + days * DAY_SECONDS),
            )

    async def insert(
        self,
        connection: AsyncConnection,
        person_id: int,
        proxy_id: int | None,
        declaration: HealthDeclaration,
        client: str,
        now: int,
    ) -> None:
        """Append a checked declaration, within a transaction that holds the person's locks."""
        await connection.execute(
            sa.insert(schema.declarations),
            {
                "person_id": person_id,
                "proxy_id": proxy_id,
                "recorded_at": now,
                "client": client,
                **_declared(declaration),
            },
        )

    async def report_contacts(
        self, contacts: Sequence[ContactReport], *, client: str, now: datetime
    ) -> ReportedContacts:
        """Take contacts, each with its own outcome: :meth:`Contacts.report`."""
        return await self._contacts.report(contacts, client=client, now=now)

    async def _enter(
        self,
        connection: AsyncConnection,
        declaration: HealthDeclaration,
        lookup: bytes,
        client: str,
        now: int,
    ) -> int:
        """Take a person in: identity, residence, and contacts that were kept."""
        identity = declaration.identity
        inserted = await connection.execute(
            sa.insert(schema.people).returning(schema.people.c.id),
            {
                "lookup": lookup,
                "sealed": self._people.box.seal(lookup, identity),
                "digest": self._people.box.digest(identity),
                "home": int(identity.division),
                "recorded_at": now,
                "client": client,
            },
        )
        person_id: int = inserted.scalar_one()
        await self._settle(connection, person_id, identity.division, client, now)
        table = schema.contacts
        await connection.execute(
            sa.update(table)
            .where(table.c.lookup == lookup, table.c.person_id.is_(None))
            .values(person_id=person_id, known_at=now)
        )
        return person_id

    async def _follow(
        self,
        connection: AsyncConnection,
        declaration: HealthDeclaration,
        known: Known,
        client: str,
        now: int,
    ) -> None:
        """Keep what an identity said before, and notice a move."""
        identity = declaration.identity
        digest = self._people.box.digest(identity)
        if digest == known.digest:
            return
        people, before = schema.people, schema.identities_before
        columns = [people.c.id, people.c.sealed, people.c.recorded_at, people.c.client]
        await connection.execute(
            sa.insert(before).from_select(
                ["person_id", "sealed", "recorded_at", "client", "replaced_at"],
                sa.select(*columns, sa.literal(now, sa.BigInteger)).where(
                    people.c.id == known.person_id
                ),
            )
        )
        await connection.execute(
            sa.update(people)
            .where(people.c.id == known.person_id)
            .values(
                sealed=self._people.box.seal(known.lookup, identity),
                digest=digest,
                home=int(identity.division),
                recorded_at=now,
                client=client,
            )
        )
        if int(identity.division) != known.home:
            await self._settle(connection, known.person_id, identity.division, client, now)

    async def _settle(
        self, connection: AsyncConnection, person_id: int, division: str, client: str, now: int
    ) -> None:
        await connection.execute(
            sa.insert(schema.stays),
            {
                "person_id": person_id,
                "kind": STAY_NUMBERS[StayKind.RESIDENCE],
                "division": int(division),
                "entered_at": now,
                "left_at": None,
                "recorded_at": now,
                "client": client,
            },
        )

    async def _record_proxy(
        self, connection: AsyncConnection, person_id: int, proxy_id: int, client: str, now: int
    ) -> None:
        insert: Any = postgresql.insert if self._store.is_postgres else sqlite.insert
        await connection.execute(
            insert(schema.proxies).on_conflict_do_nothing(),
            {
                "person_id": person_id,
                "proxy_id": proxy_id,
                "recorded_at": now,
                "client": client,
            },
        )

    async def declare_itinerary(
        self,
        document: Document,
        stays: Sequence[Stay],
        *,
        proxy: Document | None,
        client: str,
        now: datetime,
    ) -> Code:
        """Take stays of the last 14 days, all or none, and assess at once.

        Raises:
            RequestError: a field breaks its rule.
            DeclarationMissingError: the person has never declared.
            ProxyNotAllowedError: the proxy is not recorded for this person.
            StoreError: the database failed; nothing was taken.
        """
        check_stays(stays, now)
        seconds = to_seconds(now)
        lookup = self._people.box.lookup(document)
        async with self._store.write() as connection:
            await self._store.lock_people(connection, [lookup])
            known = await self._people.known(connection, lookup)
            if known is None:
                raise DeclarationMissingError("the person has never declared")
            if proxy is not None and not await self._people.may_act_on(
                connection, known.person_id, proxy
            ):
                raise ProxyNotAllowedError("nobody is recorded who may act for this person")
            told = await self._told(connection, known.person_id)
            new = [each for each in map(_stay_key, stays) if each not in told]
            if new:
                await connection.execute(
                    sa.insert(schema.stays),
                    [
                        {
                            "person_id": known.person_id,
                            "kind": STAY_NUMBERS[StayKind.JOURNEY],
                            "division": division,
                            "entered_at": entered_at,
                            "left_at": left_at,
                            "recorded_at": seconds,
                            "client": client,
                        }
                        for division, entered_at, left_at in new
                    ],
                )
            return await self._assessor.one(
                connection, known.person_id, known.code, now=seconds, cause=Cause.ITINERARY
            )

    async def _told(
        self, connection: AsyncConnection, person_id: int
    ) -> set[tuple[int, int, int | None]]:
        table = schema.stays
        rows = await connection.execute(
            sa.select(table.c.division, table.c.entered_at, table.c.left_at).where(
                table.c.person_id == person_id,
                table.c.kind == STAY_NUMBERS[StayKind.JOURNEY],
                table.c.withdrawn_at.is_(None),
            )
        )
        return {(row.division, row.entered_at, row.left_at) for row in rows}


def _declared(declaration: HealthDeclaration) -> dict[str, int]:
    symptoms = sum(SYMPTOM_BITS[symptom] for symptom in declaration.symptoms)
    answers = declaration.answers
    given = (answers.contact, answers.risk_area, answers.overseas)
    temperature = declaration.temperature_decicelsius
    is_notable = (
        symptoms != 0
        or temperature >= NOTABLE_FROM_DECICELSIUS
        or any(answer is not TriState.NO for answer in given)
    )
    return {
        "temperature": temperature,
        "symptoms": symptoms,
        "contact": ANSWER_NUMBERS[answers.contact],
        "risk_area": ANSWER_NUMBERS[answers.risk_area],
        "overseas": ANSWER_NUMBERS[answers.overseas],
        "notable": int(is_notable),
    }


def _stay_key(stay: Stay) -> tuple[int, int, int | None]:
    left_at = None if stay.left_at is None else to_seconds(stay.left_at)
    return (int(stay.division), to_seconds(stay.entered_at), left_at)
