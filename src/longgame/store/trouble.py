"""What a database says when it cannot, turned into a StoreError that says where it was and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from longgame.errors import StoreError

_MEND: Final = (
    ("disk is full", "free space on that disk and write again; nothing of this write was kept"),
    ("no space left", "free space on the server's disk and write again; nothing of this write was kept"),
    ("disk i/o error", "the disk, its quota or the file size limit refuses; mend that and write again"),
    ("locked", "another process holds the log; end it or let it finish, then write again"),
    ("lock timeout", "another process holds the log; end it or let it finish, then write again"),
    ("malformed", "the file is damaged; restore a backup (docs/store.md)"),
    ("not a database", "the file is damaged or something else; name another file or restore a backup (docs/store.md)"),
    ("unable to open", "the folder must exist and this user must be allowed to write in it"),
    ("readonly", "this user must be allowed to write the file and its folder"),
    ("permission denied", "grant this user the right to create tables in the schema, and to read and write them"),
    ("password", "correct the user or the password in the URL"),
    ("does not exist", "create it, or correct the URL"),
    ("already exists", "this database holds other tables of these names; give the log one of its own"),
    ("connection", "start the server or correct host and port in the URL, then try again"),
)
_OTHERWISE: Final = "see the database's own log"


@contextmanager
def reported(where: str, doing: str) -> Iterator[None]:
    """Within it, what SQLAlchemy raises becomes ``StoreError: where: could not doing: cause; how to mend``."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        mend = next((advice for sign, advice in _MEND if sign in cause.lower()), _OTHERWISE)
        raise StoreError(f"{where}: could not {doing}: {cause}; {mend}") from error


def is_contested(error: Exception) -> bool:
    """Whether the database as a whole refuses (locked, full, gone), so that trying parts of the write is no use."""
    return isinstance(error.__cause__, OperationalError)
