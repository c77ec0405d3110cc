"""Brings the tables up to date when a store is opened; of two processes that open at once, one does it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from longgame.errors import StoreError
from longgame.store.schema import HEAD, VERSION_TABLE


def upgrade(engine: Engine, transaction: Callable[[], AbstractContextManager[Connection]], where: str) -> None:
    """``transaction`` opens the store's write transaction, which lets one process in at a time."""
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    with transaction() as connection:
        version = _version(connection)  # anew: the other process may have been first
        if version != HEAD:
            _migrate(connection, version, where)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return version


def _migrate(connection: Connection, version: str | None, where: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    if version is not None and version not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(f"{where}: has schema {version!r}, this longgame knows up to {HEAD!r}; install a newer longgame")

    def steps(revision: Any, _: object) -> list[object]:
        return list(scripts._upgrade_revs("head", revision))

    with EnvironmentContext(config, scripts, fn=steps):
        scripts.run_env()
