"""The log in a SQL database: SQLite for one machine, PostgreSQL for several.

Thread-safe, and several processes may have one log open. Places in the log (``seq``) are given 1, 2, 3 … inside
a transaction that only one writer at a time can be in, so the order of places is the order of commits and a
reader's cursor cannot pass a row that appears later. ``dialects`` has what differs between the databases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Select, bindparam, func, make_url, select
from sqlalchemy.exc import ArgumentError

from longgame.errors import ConfigError, StoreError
from longgame.store.codec import (
    DECISION,
    EVENT,
    ITEM,
    USER,
    Row,
    check_words,
    decode,
    digest,
    encode,
    instant,
    storable,
    words_of,
)
from longgame.store.dialects import Dialect, Postgres, Sqlite
from longgame.store.group_commit import GroupCommit
from longgame.store.schema import CURRENT, IS_DECISION, IS_EVENT, LOG, WORD
from longgame.store.trouble import is_contested, reported
from longgame.store.upgrade import upgrade
from longgame.store.words import WordCache
from longgame.types import Decision, DecisionId, Event, Item, Record, User, UserId

_DIALECTS: dict[str, type[Sqlite] | type[Postgres]] = {
    "sqlite": Sqlite,
    "postgresql": Postgres,
    "postgresql+psycopg": Postgres,
    "postgres": Postgres,
}
KNOWN = "memory:, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
"""The URLs of logs, for messages."""

_HISTORY = (
    select(LOG)
    .where(IS_EVENT, LOG.c.user_id == bindparam("user"), LOG.c.at < bindparam("before"))
    .order_by(LOG.c.at.desc(), LOG.c.id.desc())
    .limit(bindparam("limit"))
)
_HISTORY_UNTIL = _HISTORY.where(LOG.c.seq <= bindparam("until"))
_READ = select(LOG).where(LOG.c.seq > bindparam("after")).order_by(LOG.c.seq).limit(bindparam("limit"))
_DECISION = select(LOG).where(IS_DECISION, LOG.c.id == bindparam("id"))
_CURRENT = (
    select(CURRENT.c.first, *LOG.c)
    .join(LOG, LOG.c.seq == CURRENT.c.newest)
    .where(CURRENT.c.type == bindparam("type"), CURRENT.c.first > bindparam("after"))
    .order_by(CURRENT.c.first)
    .limit(bindparam("limit"))
)
_USER = select(LOG).join(CURRENT, LOG.c.seq == CURRENT.c.newest).where(CURRENT.c.type == USER, CURRENT.c.id == bindparam("id"))
_WORDS = select(WORD.c.word).where(WORD.c.number >= bindparam("number")).order_by(WORD.c.number)
_PAGE = 1000
"""Items or users fetched at a time."""


class SqlStore:
    """An EventStore in a SQL database."""

    def __init__(self, url: str, *, busy_seconds: float = 30.0) -> None:
        """Opens the log and makes or upgrades its tables. ``busy_seconds``: how long to wait for another writer."""
        try:
            parsed = make_url(url)
            self._dialect: Dialect = _DIALECTS[parsed.drivername](busy_seconds)
        except (ArgumentError, ValueError, KeyError):
            raise ConfigError(f"store: {url.partition(':')[0]!r} is no kind of log it knows; use {KNOWN}") from None
        self._where = f"store {parsed.render_as_string(hide_password=True)}"
        self._closed = False
        with reported(self._where, "open the log"):
            self._engine = self._dialect.engine(parsed)
            try:
                upgrade(self._engine, self._transaction, self._where)
            except BaseException:
                self._engine.dispose()
                raise
        self._words = WordCache(self._load_words)
        self._commits: GroupCommit[list[Row], list[bool]] = GroupCommit(
            self._append, alone=lambda error: not is_contested(error)
        )

    def put(self, records: Iterable[Record]) -> list[bool]:
        rows = self._encode(list(records))
        return self._commits.submit(rows, len(rows)) if rows else []

    def items(self) -> Iterator[Item]:
        return cast("Iterator[Item]", self._current(ITEM))

    def users(self) -> Iterator[User]:
        return cast("Iterator[User]", self._current(USER))

    def user(self, id: UserId) -> User | None:
        rows = self._select("read a user", _USER, id=id) if storable(id) else ()
        return cast(User, decode(rows[0], self._words)) if rows else None

    def decision(self, id: DecisionId) -> Decision | None:
        rows = self._select("read a decision", _DECISION, id=id) if storable(id) else ()
        return cast(Decision, decode(rows[0], self._words)) if rows else None

    def history(self, user: UserId, before: datetime, limit: int, until: int | None = None) -> list[Event]:
        asked = {"user": user, "before": instant(before), "limit": limit}
        if limit < 1 or not storable(user):
            return []
        if until is None:
            rows = self._select("read a history", _HISTORY, **asked)
        else:
            rows = self._select("read a history", _HISTORY_UNTIL, **asked, until=until)
        return [cast(Event, decode(row, self._words)) for row in reversed(rows)]

    def read(self, after: int, limit: int) -> tuple[list[tuple[int, Record]], int]:
        if limit < 1:
            return [], after
        rows = self._select("read the log", _READ, after=after, limit=limit)
        found = [(row[0], decode(row, self._words)) for row in rows]
        return found, found[-1][0] if found else after

    def close(self) -> None:
        self._closed = True
        self._engine.dispose()

    def _select(self, doing: str, query: Select[Any], **values: object) -> Sequence[Any]:
        self._check_open()
        with reported(self._where, doing), self._engine.connect() as connection:
            return connection.execute(query, values).fetchall()

    def _current(self, type_: int) -> Iterator[Record]:
        first, rows = 0, self._select("list what is current", _CURRENT, type=type_, after=0, limit=_PAGE)
        while rows:
            for row in rows:
                yield decode(row[1:], self._words)
            first = rows[-1][0]
            rows = self._select("list what is current", _CURRENT, type=type_, after=first, limit=_PAGE)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self._where}: is closed; open it again with open_store")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A write transaction: one at a time over all processes, committed at the end, rolled back by any error."""
        with self._engine.connect() as connection:
            self._dialect.begin(connection)
            yield connection
            connection.commit()

    def _encode(self, records: list[Record]) -> list[Row]:
        """All rows, or RecordError. Words that have no number yet get one here, before the log is touched."""
        rows: list[Row | None] = []
        missing: dict[str, None] = {}
        for record in records:
            try:
                rows.append(encode(record, self._words.numbers))
            except KeyError:
                words, numbers = words_of(cast(Decision, record)), self._words.numbers
                unknown = [word for word in words if not isinstance(word, str) or word not in numbers]
                check_words(unknown)
                missing.update(dict.fromkeys(unknown))
                rows.append(None)
        self._check_open()
        if missing:
            self._number(missing)
        return [row or encode(record, self._words.numbers) for row, record in zip(rows, records, strict=True)]

    def _load_words(self, number: int) -> list[str]:
        return [word for (word,) in self._select("read the words", _WORDS, number=number)]

    def _number(self, words: Iterable[str]) -> None:
        """Give numbers to words. If what follows fails they stay, unused: nobody can see them."""
        self._words.catch_up()
        if all(word in self._words.numbers for word in words):
            return
        with reported(self._where, "number words"), self._transaction() as connection:
            known = {word for (word,) in self._dialect.known(connection, "SELECT word FROM word WHERE word", list(words))}
            size = connection.execute(select(func.max(WORD.c.number))).scalar()
            start = 0 if size is None else size + 1
            new = [word for word in words if word not in known]
            if new:
                self._dialect.insert_words(connection, list(zip(range(start, start + len(new)), new, strict=True)))
        self._words.catch_up()

    def _append(self, puts: Sequence[list[Row]]) -> list[list[bool]]:
        """Write what several callers put, as one transaction."""
        with reported(self._where, "write the log"), self._transaction() as connection:
            return self._append_in(connection, puts)

    def _append_in(self, connection: Connection, puts: Sequence[list[Row]]) -> list[list[bool]]:
        ids: tuple[set[str], ...] = (set(), set(), set(), set())
        for rows in puts:
            for row in rows:
                ids[row[0]].add(row[1])
        known = {kind: self._known_ids(connection, kind, ids[kind]) for kind in (EVENT, DECISION)}
        newest = {kind: self._digests(connection, kind, ids[kind]) for kind in (ITEM, USER)}
        seq: int = connection.execute(select(func.coalesce(func.max(LOG.c.seq), 0))).scalar_one()
        log: list[tuple[Any, ...]] = []
        current: dict[tuple[int, str], tuple[Any, ...]] = {}
        answers: list[list[bool]] = []
        for rows in puts:
            answer: list[bool] = []
            for row in rows:
                kind, id = row[0], row[1]
                if kind in known:
                    new = id not in known[kind]
                    known[kind].add(id)
                else:
                    contents = digest(row[-1] or b"")
                    first, before = newest[kind].get(id, (seq + 1, None))
                    new = contents != before
                    if new:
                        newest[kind][id] = (first, contents)
                        current[kind, id] = (first, kind, id, seq + 1, contents)
                if new:
                    seq += 1
                    log.append((seq, *row))
                answer.append(new)
            answers.append(answer)
        if log:
            self._dialect.insert(connection, log)
        if current:
            self._dialect.point(connection, list(current.values()))
        return answers

    def _known_ids(self, connection: Connection, kind: int, ids: set[str]) -> set[str]:
        if not ids:
            return set()
        return {id for (id,) in self._dialect.known(connection, f"SELECT id FROM log WHERE type = {kind} AND id", ids)}

    def _digests(self, connection: Connection, kind: int, ids: set[str]) -> dict[str, tuple[int, bytes]]:
        if not ids:
            return {}
        query = f"SELECT id, first, digest FROM current WHERE type = {kind} AND id"
        return {id: (first, contents) for id, first, contents in self._dialect.known(connection, query, ids)}
