"""The tables as SQLAlchemy sees them. ``migrations`` makes them; a test holds the two to each other."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from longgame.store.codec import DECISION, EVENT

HEAD: Final = "0001"
"""The newest migration. A database that says so is opened without loading Alembic."""

VERSION_TABLE: Final = "longgame_version"

SERIAL: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")
"""SQLite keeps an INTEGER PRIMARY KEY as the row's own address; BIGINT would be a second index."""

TEXT: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared by code point everywhere, as Python compares: ties must break alike in every store."""

METADATA: Final = MetaData()

LOG: Final = Table(
    "log",
    METADATA,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    Column("type", SmallInteger, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("at", BigInteger),
    Column("user_id", TEXT),
    Column("item_id", TEXT),
    Column("kind", TEXT),
    Column("value", Double),
    Column("text", TEXT),
    Column("decision_id", TEXT),
    Column("slot", Integer),
    Column("body", LargeBinary),
)

IS_EVENT: Final[Any] = LOG.c.type == literal_column(str(EVENT))
IS_DECISION: Final[Any] = LOG.c.type == literal_column(str(DECISION))
"""Literals, not parameters: SQLite uses a partial index only where it can read the condition in the statement."""

Index("log_event", LOG.c.id, unique=True, sqlite_where=IS_EVENT, postgresql_where=IS_EVENT)
Index("log_decision", LOG.c.id, unique=True, sqlite_where=IS_DECISION, postgresql_where=IS_DECISION)
Index("log_history", LOG.c.user_id, LOG.c.at, LOG.c.id, sqlite_where=IS_EVENT, postgresql_where=IS_EVENT)

CURRENT: Final = Table(
    "current",
    METADATA,
    Column("first", SERIAL, primary_key=True, autoincrement=False),
    Column("type", SmallInteger, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("newest", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
Index("current_id", CURRENT.c.type, CURRENT.c.id, unique=True)

WORD: Final = Table(
    "word",
    METADATA,
    Column("number", SERIAL, primary_key=True, autoincrement=False),
    Column("word", TEXT, nullable=False),
)
Index("word_word", WORD.c.word, unique=True)
