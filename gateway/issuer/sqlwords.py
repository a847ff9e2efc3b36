"""Words that the compiled rule is written in, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from gateway.issuer.values import LEVEL_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.elements import ColumnElement

    from gateway.issuer.rules import Rule

NOW: Final = sa.bindparam("now", type_=sa.BigInteger)
"""When the assessment is made, in seconds since 1970."""


class Greatest(FunctionElement[int]):
    """The greatest of its arguments, none of them NULL."""

    inherit_cache = True
    type = sa.BigInteger()
    name = "greatest"


class Least(FunctionElement[int]):
    """The least of its arguments, none of them NULL."""

    inherit_cache = True
    type = sa.BigInteger()
    name = "least"


@compiles(Greatest)
@compiles(Least)
def _extreme(element: FunctionElement[int], compiler: SQLCompiler, **kw: Any) -> str:
    return f"{element.name}({compiler.process(element.clauses, **kw)})"


@compiles(Greatest, "sqlite")
def _greatest_sqlite(element: Greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"


@compiles(Least, "sqlite")
def _least_sqlite(element: Least, compiler: SQLCompiler, **kw: Any) -> str:
    return f"min({compiler.process(element.clauses, **kw)})"


def number(value: int) -> ColumnElement[int]:
    """A whole number, written into the statement."""
    # Written into the statement: the rule is part of the plan, and a partial index is
    # only used for a condition that is known when planning.
    return sa.cast(sa.literal_column(str(value)), sa.BigInteger)


def plain(value: int) -> ColumnElement[int]:
    """A small number as the tables hold it, written into the statement."""
    return sa.literal_column(str(value), sa.SmallInteger)


def among(column: ColumnElement[int], values: Iterable[int]) -> ColumnElement[bool]:
    """Whether a column holds one of some small numbers."""
    return column.in_([plain(value) for value in sorted(values)])


def exposure(
    rule: Rule, person: ColumnElement[int], day: ColumnElement[int], division: ColumnElement[int]
) -> Any:
    """One branch of the exposures: who is bound by a rule, from which day, where."""
    return sa.select(
        person.label("person_id"),
        number(rule.number).label("number"),
        number(LEVEL_NUMBERS[rule.level]).label("level"),
        number(rule.release_days).label("needed"),
        day.label("day"),
        division.label("division"),
    )
