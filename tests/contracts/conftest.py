"""Where a store can be tried: in memory, SQLite in a file, and a real PostgreSQL.

PostgreSQL is started by the ``pgserver`` wheel; with LONGGAME_TEST_POSTGRES set, that server is used instead.
Where neither works the tests fail: a contract that was skipped is not kept.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

FRESH = count()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of a PostgreSQL database that all tests share, each in a schema of its own."""
    given_url = os.environ.get("LONGGAME_TEST_POSTGRES")
    if given_url:
        yield given_url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pgserver, about the environment it finds
        from pgserver.postgres_server import get_server
    running = get_server(tempfile.mkdtemp(prefix="longgame-"), cleanup_mode="delete")
    yield running.get_uri()
    running.cleanup()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from _fresh(request, request.param, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of the stores that several processes can open."""
    yield from _fresh(request, request.param, tmp_path)


def _fresh(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> Iterator[str]:
    if backend == "memory":
        yield "memory:"
    elif backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'log.db'}"
    else:
        server: str = request.getfixturevalue("server")
        schema = f"test_{os.getpid()}_{next(FRESH)}"
        engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
            yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()
