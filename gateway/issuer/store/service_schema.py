"""The tables of the issuer's services, beside those of its facts.

What stands here is of the moment and none of it is a fact: calls that were applied
for, codes that are shown, assertions that were used, and who does the daily run. Rows
that are over are deleted after a while; people, facts and levels never are.

Several processes share these tables, so one statement decides who was first.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gateway.issuer.store.schema import MAX_CLIENT, metadata

# Assertions that clients used, until they are expired anyway.
used_assertions: Final = sa.Table(
    "used_assertions",
    metadata,
    # SHA-256 of client and jti: a client may choose a jti of any shape.
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_used_assertions_expires_at", "expires_at"),
)

# Calls that were applied for and not made yet; making one deletes its row.
calls: Final = sa.Table(
    "calls",
    metadata,
    sa.Column("serial", sa.String(32), primary_key=True),
    sa.Column("nonce", sa.LargeBinary(32), nullable=False),
    sa.Column("client", sa.String(MAX_CLIENT), nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_calls_expires_at", "expires_at"),
)

# Codes that were made, by the SHA-256 of their random reference.
shown_codes: Final = sa.Table(
    "shown_codes",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("medium", sa.SmallInteger, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("valid_until", sa.BigInteger, nullable=False),
    sa.Column("client", sa.String(MAX_CLIENT), nullable=False),
    sa.Index("ix_shown_codes_valid_until", "valid_until"),
)

# What is done once a day, and which process does it.
schedule: Final = sa.Table(
    "schedule",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    # Number of the Shanghai day for which it was last done.
    sa.Column("done_on", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(32), nullable=False),
    sa.Column("held_until", sa.BigInteger, nullable=False),
)
