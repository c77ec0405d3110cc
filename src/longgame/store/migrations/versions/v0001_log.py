"""The log, the current contents of items and users, and the words that decisions repeat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the three tables and their indexes."""
    op.create_table(
        "log",
        sa.Column("seq", SERIAL, primary_key=True, autoincrement=False),
        sa.Column("type", sa.SmallInteger, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger),
        sa.Column("user_id", TEXT),
        sa.Column("item_id", TEXT),
        sa.Column("kind", TEXT),
        sa.Column("value", sa.Double),
        sa.Column("text", TEXT),
        sa.Column("decision_id", TEXT),
        sa.Column("slot", sa.Integer),
        sa.Column("body", sa.LargeBinary),
    )
    _partial("log_event", ["id"], "type = 0", unique=True)
    _partial("log_decision", ["id"], "type = 1", unique=True)
    _partial("log_history", ["user_id", "at", "id"], "type = 0", unique=False)
    op.create_table(
        "current",
        sa.Column("first", SERIAL, primary_key=True, autoincrement=False),
        sa.Column("type", sa.SmallInteger, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )
    op.create_index("current_id", "current", ["type", "id"], unique=True)
    op.create_table(
        "word",
        sa.Column("number", SERIAL, primary_key=True, autoincrement=False),
        sa.Column("word", TEXT, nullable=False),
    )
    op.create_index("word_word", "word", ["word"], unique=True)


def _partial(name: str, columns: list[str], where: str, *, unique: bool) -> None:
    op.create_index(name, "log", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
