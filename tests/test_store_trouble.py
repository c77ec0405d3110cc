"""Opening and writing where the place is wrong, locked, full or damaged: what the message says."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import OperationalError

from longgame.errors import ConfigError, MissingExtra, StoreError
from longgame.store import open_store
from longgame.store.schema import HEAD, METADATA, VERSION_TABLE
from longgame.store.sql import SqlStore
from longgame.store.trouble import reported
from longgame.types import Event, ItemId, UserId


def event(id: str) -> Event:
    return Event(id, datetime(2024, 1, 1, tzinfo=UTC), UserId("ann"), ItemId("lamp"), "click")


@pytest.mark.parametrize(
    "url",
    ["", "log.db", "memory", "memory://x", "mysql://h/d", "postgresql+asyncpg://h/d", "sqlite://", "sqlite:///:memory:"],
)
def test_urls_of_no_known_kind(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///"):
        open_store(url)


def test_postgres_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longgame.store.dialects.find_spec", lambda name: None)
    assert importlib.util.find_spec("psycopg")
    with pytest.raises(MissingExtra, match=r"longgame\[postgres\]"):
        open_store("postgresql://host/log")


def test_a_server_that_is_not_there_and_no_password_in_the_message() -> None:
    with pytest.raises(StoreError, match="start the server or correct host and port") as caught:
        open_store("postgresql://ann:sesame@127.0.0.1:1/log")
    assert "sesame" not in str(caught.value)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"folder .*nowhere is missing; create it"):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'log.db'}")


def test_a_path_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"could not open the log: unable to open .* allowed to write"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("This is a letter, not a database. " * 100)
    with pytest.raises(StoreError, match=r"not a database; .*restore a backup"):
        open_store(f"sqlite:///{tmp_path / 'log.db'}")


def test_a_database_with_other_tables_of_these_names(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "log.db")) as raw:
        raw.execute("CREATE TABLE log (line TEXT)")
    with pytest.raises(StoreError, match="already exists; this database holds other tables"):
        open_store(f"sqlite:///{tmp_path / 'log.db'}")


def test_a_log_of_a_newer_version(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path / 'log.db'}").close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as raw:
        raw.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        raw.commit()
    with pytest.raises(StoreError, match=r"'9999', this longgame knows up to '0001'; install a newer"):
        open_store(f"sqlite:///{tmp_path / 'log.db'}")


def test_damage_within_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = open_store(f"sqlite:///{path}")
    store.put([event(f"e{n}") for n in range(3_000)])
    store.close()
    whole = bytearray(path.read_bytes())
    whole[3 * 4096 :] = b"\xa5" * (len(whole) - 3 * 4096)
    path.write_bytes(whole)
    with pytest.raises(StoreError, match="restore a backup"):
        damaged = SqlStore(f"sqlite:///{path}")
        try:
            damaged.read(0, 10_000)
        finally:
            damaged.close()


def test_a_lock_that_is_not_given_up(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", busy_seconds=0)
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked; another process holds the log"):
            store.put([event("e")])
        assert store.read(0, 10) == ([], 0)
    assert store.put([event("e")]) == [True]
    store.close()


FILLS = """
import resource, signal, sys
from datetime import UTC, datetime
from longgame.errors import StoreError
from longgame.store import open_store
from longgame.types import Event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
n = 0
try:
    while True:
        store.put([Event(f"e{n + i}", datetime(2024, 1, 1, tzinfo=UTC), "ann", "lamp", "click") for i in range(100)])
        n += 100
except StoreError as error:
    print(n, error)
print(len(store.read(0, 10**6)[0]))
"""


def test_a_disk_that_is_full_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    done = subprocess.run([sys.executable, "-c", FILLS, url], text=True, capture_output=True, check=True)
    said, kept = done.stdout.splitlines()
    acknowledged = int(said.split()[0])
    assert acknowledged > 100 and "could not write the log" in said and "write again" in said
    assert int(kept) == acknowledged
    store = open_store(url)
    rows, cursor = store.read(0, 10**6)
    assert [r.id for _, r in rows] == [f"e{n}" for n in range(acknowledged)]
    assert store.put([event("after")]) == [True] and cursor == acknowledged
    store.close()


@pytest.mark.parametrize(
    ("cause", "mend"),
    [
        ('connection failed: FATAL:  password authentication failed for user "ann"', "correct the user or the password"),
        ('connection failed: FATAL:  database "lgo" does not exist', "create it, or correct the URL"),
        ('could not extend file "base/1": No space left on device', "free space on the server's disk"),
        ("database or disk is full", "free space on that disk"),
        ("attempt to write a readonly database", "allowed to write the file and its folder"),
        ("permission denied for schema public", "grant this user the right"),
        ("canceling statement due to lock timeout", "another process holds the log"),
        ("the moon is in the way", "see the database's own log"),
    ],
)
def test_each_cause_says_how_to_mend_it(cause: str, mend: str) -> None:
    with pytest.raises(StoreError, match="store X: could not write: ") as caught, reported("store X", "write"):
        raise OperationalError("INSERT", {"secret": 1}, Exception(cause))
    assert mend in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}")
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert context.get_current_revision() == HEAD
        differences: list[Any] = compare_metadata(context, METADATA)
    store.close()
    assert differences == []


def test_settings_that_durability_rests_on(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}")
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    plans = {
        "EXPLAIN QUERY PLAN SELECT * FROM log WHERE type = 0 AND user_id = 'u' AND at < 9 AND seq <= 4 "
        "ORDER BY at DESC, id DESC LIMIT 50": "log_history",
        "EXPLAIN QUERY PLAN SELECT * FROM log WHERE type = 1 AND id = 'd'": "log_decision",
        "EXPLAIN QUERY PLAN SELECT id FROM log WHERE type = 0 AND id IN (SELECT value FROM json_each('[]'))": "log_event",
    }
    with store._engine.connect() as connection:
        for query, index in plans.items():
            plan = " ".join(row[-1] for row in connection.exec_driver_sql(query))
            assert f"USING INDEX {index}" in plan or f"USING COVERING INDEX {index}" in plan, plan
            assert "ORDER BY" not in plan
    store.close()
