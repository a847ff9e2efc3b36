"""The first schema: people, facts, areas, codes, corrections, runs.

What a fact says can never be changed and no row of the past can be deleted: triggers
refuse it, whoever asks. Only the columns that say that a fact was withdrawn, and those
by which a kept contact finds its person, may be filled later.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

_Id: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_FROZEN: Final = {
    "identities_before": ("person_id", "sealed", "recorded_at", "client", "replaced_at"),
    "declarations": (
        *("person_id", "proxy_id", "temperature", "symptoms", "contact", "risk_area"),
        *("overseas", "notable", "recorded_at", "client"),
    ),
    "stays": ("person_id", "kind", "division", "entered_at", "left_at", "recorded_at", "client"),
    "contacts": ("lookup", "kind", "at", "division", "reference", "recorded_at", "client"),
    "area_lists": ("revision", "valid_from", "source", "recorded_at", "client"),
    "areas": ("revision", "division", "risk", "recorded_at", "client"),
    "level_changes": ("person_id", "at", "previous", "level", "rule", "area", "cause"),
    "corrections": ("person_id", "subject", "statement", "recorded_at", "client"),
}
"""What a row of the past says, by table."""

_POSTGRES_FUNCTION: Final = """
CREATE FUNCTION issuer_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("lookup", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("home", sa.Integer, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("lookup", name="uq_people_lookup"),
    )
    op.create_table(
        "identities_before",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("replaced_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identities_before"),
    )
    op.create_index("ix_identities_before_person", "identities_before", ["person_id"])
    op.create_table(
        "proxies",
        sa.Column("person_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("proxy_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "proxy_id", name="pk_proxies"),
    )


def _create_facts() -> None:
    op.create_table(
        "declarations",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("proxy_id", sa.BigInteger),
        sa.Column("temperature", sa.SmallInteger, nullable=False),
        sa.Column("symptoms", sa.SmallInteger, nullable=False),
        sa.Column("contact", sa.SmallInteger, nullable=False),
        sa.Column("risk_area", sa.SmallInteger, nullable=False),
        sa.Column("overseas", sa.SmallInteger, nullable=False),
        sa.Column("notable", sa.SmallInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("withdrawn_by", sa.String(64)),
        sa.Column("withdrawn_why", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_declarations"),
    )
    op.create_index(
        "ix_declarations_notable",
        "declarations",
        ["person_id"],
        postgresql_where=sa.text("notable = 1"),
        sqlite_where=sa.text("notable = 1"),
    )
    op.create_index("ix_declarations_person", "declarations", ["person_id", "recorded_at"])
    op.create_table(
        "stays",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("division", sa.Integer, nullable=False),
        sa.Column("entered_at", sa.BigInteger, nullable=False),
        sa.Column("left_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("withdrawn_by", sa.String(64)),
        sa.Column("withdrawn_why", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_stays"),
    )
    op.create_index("ix_stays_division", "stays", ["division", "person_id"])
    op.create_index("ix_stays_person", "stays", ["person_id"])
    op.create_table(
        "contacts",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger),
        sa.Column("lookup", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("division", sa.Integer, nullable=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("known_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("withdrawn_by", sa.String(64)),
        sa.Column("withdrawn_why", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        sa.UniqueConstraint(
            "lookup", "reference", "client", "kind", "at", name="uq_contacts_lookup"
        ),
    )
    op.create_index("ix_contacts_person", "contacts", ["person_id"])


def _create_areas() -> None:
    op.create_table(
        "area_lists",
        sa.Column("revision", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("valid_from", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("assessed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("revision", name="pk_area_lists"),
    )
    op.create_table(
        "areas",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("division", sa.Integer, nullable=False),
        sa.Column("risk", sa.SmallInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("withdrawn_by", sa.String(64)),
        sa.Column("withdrawn_why", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_areas"),
        sa.UniqueConstraint("revision", "division", name="uq_areas_revision"),
    )
    op.create_table(
        "area_spells",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("division", sa.Integer, nullable=False),
        sa.Column("risk", sa.SmallInteger, nullable=False),
        sa.Column("from_at", sa.BigInteger, nullable=False),
        sa.Column("until_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_area_spells"),
    )
    op.create_index("ix_area_spells_division", "area_spells", ["division"])


def _create_derived() -> None:
    op.create_table(
        "codes",
        sa.Column("person_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("assessed_at", sa.BigInteger, nullable=False),
        sa.Column("declared_at", sa.BigInteger, nullable=False),
        sa.Column("declaration_until", sa.BigInteger, nullable=False),
        sa.Column("area", sa.Integer, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("rule", sa.SmallInteger, nullable=False),
        sa.Column("remaining", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_codes"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "level_changes",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.SmallInteger),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("rule", sa.SmallInteger, nullable=False),
        sa.Column("area", sa.Integer, nullable=False),
        sa.Column("cause", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_level_changes"),
    )
    op.create_index("ix_level_changes_person", "level_changes", ["person_id"])
    op.create_table(
        "corrections",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("answered_at", sa.BigInteger),
        sa.Column("answered_by", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_corrections"),
    )
    op.create_index("ix_corrections_person", "corrections", ["person_id"])
    op.create_index(
        "uq_corrections_open",
        "corrections",
        ["person_id", "subject"],
        unique=True,
        postgresql_where=sa.text("status = 1"),
        sqlite_where=sa.text("status = 1"),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("cause", sa.SmallInteger, nullable=False),
        sa.Column("revision", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_table(
        "run_lanes",
        sa.Column("run_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("lane", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("assessed", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "lane", name="pk_run_lanes"),
    )
    op.create_table(
        "run_divisions",
        sa.Column("run_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("division", sa.Integer, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "division", name="pk_run_divisions"),
    )


def _refuse_changes() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    if on_postgres:
        op.execute(_POSTGRES_FUNCTION)
    for table, columns in _FROZEN.items():
        for name, event in (("change", f"UPDATE OF {', '.join(columns)}"), ("delete", "DELETE")):
            head = f"CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table}"
            if on_postgres:
                op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION issuer_refuse_change()")
            else:
                op.execute(f"{head} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")


def upgrade() -> None:
    """Build the schema of version 0.2."""
    _create_people()
    _create_facts()
    _create_areas()
    _create_derived()
    _create_runs()
    _refuse_changes()
