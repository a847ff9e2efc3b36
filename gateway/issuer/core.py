"""The issuer's heart: everything between its services and its database.

:func:`open_issuer` puts the parts together; each part says in its own module what it
promises. No part knows gRPC, HTTP, QR codes or the attestation: those stand above.

Example::

    async with await open_issuer("sqlite:///issuer.db", box) as issuer:
        code = await issuer.facts.declare_health(declaration, client="app", now=now)
        code.level, code.declaration_holds(now)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import sqlalchemy as sa

from gateway.issuer.areas import Areas
from gateway.issuer.assess import Assessor
from gateway.issuer.corrections import Corrections
from gateway.issuer.facts import Facts
from gateway.issuer.people import People
from gateway.issuer.recompute import Recompute
from gateway.issuer.rules import shipped_rules
from gateway.issuer.runs import SPAN, Runs
from gateway.issuer.store import IssuerStore, schema
from gateway.issuer.store.store import DEFAULT_POOL
from gateway.issuer.trace import Trace

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.codes import Document
    from gateway.issuer.people import IdentityBox
    from gateway.issuer.rules import RuleBook
    from gateway.issuer.values import Code


@dataclass(frozen=True, slots=True)
class Issuer:
    """The parts, over one database.

    Attributes:
        store: transactions.
        people: finding people, identities, proxies.
        assessor: the rule.
        facts: declarations, itineraries, contacts.
        areas: lists of areas of risk.
        corrections: what people say is wrong.
        trace: everything about a person.
        recompute: the daily run.
    """

    store: IssuerStore
    people: People
    assessor: Assessor
    facts: Facts
    areas: Areas
    corrections: Corrections
    trace: Trace
    recompute: Recompute

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.store.close()

    async def code(self, document: Document) -> Code | None:
        """The current code of whoever holds a document; None: never declared.

        Whether its declaration still holds, ``Code.declaration_holds`` says: where it
        does not, the answer is DECLARATION_EXPIRED and no level.
        """
        people = schema.people
        return await self._code(people.c.lookup == self.people.box.lookup(document))

    async def code_of(self, person_id: int) -> Code | None:
        """The current code of a person; None: there is no such person."""
        return await self._code(schema.people.c.id == person_id)

    async def _code(self, where: sa.ColumnElement[bool]) -> Code | None:
        people, codes = schema.people, schema.codes
        async with self.store.read() as connection:
            row = (
                await connection.execute(
                    sa.select(codes).join(people, people.c.id == codes.c.person_id).where(where)
                )
            ).one_or_none()
        if row is None:
            return None
        return self.assessor.code(row.person_id, row._mapping)  # noqa: SLF001  public API


async def open_issuer(
    dsn: str,
    box: IdentityBox,
    *,
    rules: RuleBook | None = None,
    may_migrate: bool = True,
    pool_size: int = DEFAULT_POOL,
    span: int = SPAN,
) -> Issuer:
    """Open the database and put the parts together.

    Args:
        dsn: see :mod:`gateway.issuer.store.engine`.
        box: the identity keys.
        rules: None: those that come with this package.
        may_migrate: False: refuse a database that is behind.
        pool_size: connections kept open.
        span: people in one transaction of a run.

    Raises:
        StoreError: the database cannot be used.
        RuleError: a rule does not load.
    """
    book = shipped_rules() if rules is None else rules
    store = await IssuerStore.open(dsn, may_migrate=may_migrate, pool_size=pool_size)
    people = People(store, box)
    assessor = Assessor(store, book)
    runs = Runs(store, assessor, span=span)
    areas = Areas(store, runs)
    return Issuer(
        store=store,
        people=people,
        assessor=assessor,
        facts=Facts(store, people, assessor),
        areas=areas,
        corrections=Corrections(store, people, assessor, areas, runs),
        trace=Trace(store, people, book),
        recompute=Recompute(store, runs),
    )
