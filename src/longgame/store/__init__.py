"""The append-only log. ``open_store`` picks the implementation by URL; each loads only when it is asked for."""

from __future__ import annotations

from longgame.errors import ConfigError
from longgame.protocols import EventStore

__all__ = ["open_store"]

_KNOWN = "memory:, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"


def open_store(url: str) -> EventStore:
    """The log at ``url``: ``memory:``, ``sqlite:///log.db`` or ``postgresql://…``; made or upgraded if need be.

    ConfigError for a URL of another kind, MissingExtra without psycopg, StoreError if the log cannot be opened.
    """
    if url == "memory:":
        from longgame.store.memory import MemoryStore

        return MemoryStore()
    if url.partition(":")[0] in ("sqlite", "postgresql", "postgres", "postgresql+psycopg"):
        from longgame.store.sql import SqlStore

        return SqlStore(url)
    raise ConfigError(f"store: the kind of log {url.partition(':')[0]!r} is not known; use {_KNOWN}")
