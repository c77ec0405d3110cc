"""The append-only log. ``open_store`` picks the implementation by URL; each loads only when it is asked for."""

from __future__ import annotations

from longgame.protocols import EventStore

__all__ = ["open_store"]


def open_store(url: str) -> EventStore:
    """The log at ``url``: ``memory:``, ``sqlite:///log.db`` or ``postgresql://…``; made or upgraded if need be.

    ConfigError for a URL of another kind, MissingExtra without psycopg, StoreError if the log cannot be opened.
    """
    if url == "memory:":
        from longgame.store.memory import MemoryStore

        return MemoryStore()
    from longgame.store.sql import SqlStore

    return SqlStore(url)
