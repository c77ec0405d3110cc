"""What differs between SQLite and PostgreSQL, and only that: connecting, locking and writing many rows at once."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from longgame.errors import ConfigError, MissingExtra, StoreError
from longgame.store.codec import COLUMNS

_LOG_COLUMNS: Final = ", ".join(COLUMNS)
_UPSERT: Final = (
    "INSERT INTO current (first, type, id, newest, digest) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (type, id) DO UPDATE SET newest = excluded.newest, digest = excluded.digest"
)
_WORD: Final = "INSERT INTO word (number, word) VALUES (?, ?)"


class Dialect(Protocol):
    """One kind of database."""

    def engine(self, url: URL) -> Engine:
        """Connections that commit each statement by itself until :meth:`begin`."""

    def begin(self, connection: Connection) -> None:
        """Open a transaction that no other writer, in any process, can be inside of at the same time."""

    def known(self, connection: Connection, source: str, keys: Collection[str]) -> list[Any]:
        """The rows of ``source`` (a SELECT that ends in a column's name) whose column is one of ``keys``."""

    def insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows (all COLUMNS) to the log."""

    def insert_words(self, connection: Connection, rows: Sequence[tuple[int, str]]) -> None: ...

    def point(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert or move rows (first, type, id, newest, digest) of ``current``."""


class Sqlite:
    """One file. WAL lets readers go on while one writes; ``synchronous=FULL`` syncs it before a commit returns."""

    def __init__(self, busy_seconds: float) -> None:
        self._busy = busy_seconds

    def engine(self, url: URL) -> Engine:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise ConfigError(f"store {url}: sqlite needs a file, as in sqlite:///log.db; for a log in memory use memory:")
        if not Path(url.database).parent.is_dir():
            raise StoreError(f"store {url}: the folder {Path(url.database).parent} is missing; create it first")
        engine = create_engine(url, pool_size=16, max_overflow=-1, pool_use_lifo=True, connect_args={"timeout": self._busy})
        event.listen(engine, "connect", self._prepare)
        return engine

    def _prepare(self, raw: Any, _: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # no BEGIN but ours
        cursor = raw.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            self._make_wal(cursor)
        for pragma in (
            "synchronous = FULL",
            "cache_size = -65536",  # KiB, taken only as pages are used
            "mmap_size = 1073741824",
            "wal_autocheckpoint = 16000",  # pages: 64 MB; a page written often is then copied to the file once
            "journal_size_limit = 67108864",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def _make_wal(self, cursor: Any) -> None:
        """The change of mode does not wait for a lock as statements do, so two first openings must take turns here."""
        deadline = time.monotonic() + self._busy
        while True:
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
                return
            except cursor.connection.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def begin(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def known(self, connection: Connection, source: str, keys: Collection[str]) -> list[Any]:
        listed = orjson.dumps(list(keys)).decode()
        return list(connection.exec_driver_sql(f"{source} IN (SELECT value FROM json_each(?))", (listed,)))

    def insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        connection.exec_driver_sql(f"INSERT INTO log ({_LOG_COLUMNS}) VALUES ({marks})", list(rows))

    def insert_words(self, connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
        connection.exec_driver_sql(_WORD, list(rows))

    def point(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        connection.exec_driver_sql(_UPSERT, list(rows))


class Postgres:
    """A server, reached with psycopg 3."""

    LOCK: Final = 7_402_113_001
    """Key of the advisory lock: the same for every writer of a database."""

    def __init__(self, busy_seconds: float) -> None:
        self._busy = busy_seconds

    def engine(self, url: URL) -> Engine:
        if find_spec("psycopg") is None:
            raise MissingExtra("PostgreSQL", "psycopg", "postgres")
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            pool_size=8,
            max_overflow=8,
            pool_use_lifo=True,
            pool_pre_ping=True,
            connect_args={} if "connect_timeout" in url.query else {"connect_timeout": 10},
        )

    def begin(self, connection: Connection) -> None:
        # Numbers are given in the order of commits only if one writer at a time has any: with two, a reader's
        # cursor passes the number that is still uncommitted and never comes back for it.
        wait = f"SET LOCAL lock_timeout = {int(self._busy * 1000)}"
        connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED; {wait}; SELECT pg_advisory_xact_lock({self.LOCK})")

    def known(self, connection: Connection, source: str, keys: Collection[str]) -> list[Any]:
        return list(connection.exec_driver_sql(f"{source} = ANY(%s)", (list(keys),)))

    def insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        self._copy(connection, f"log ({_LOG_COLUMNS})", rows)

    def insert_words(self, connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
        self._copy(connection, "word (number, word)", rows)

    def point(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        connection.exec_driver_sql(_UPSERT.replace("?", "%s"), list(rows))

    def _copy(self, connection: Connection, target: str, rows: Sequence[tuple[Any, ...]]) -> None:
        from psycopg import Error

        raw: Any = connection.connection.driver_connection
        try:
            with raw.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        except Error as error:  # raised past SQLAlchemy, which has no COPY
            raise DBAPIError.instance("COPY", None, error, Error, dialect=connection.dialect) from error
