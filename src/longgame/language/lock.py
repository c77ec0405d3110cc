"""One writer at a time, across processes. The system frees the lock of a process that dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longgame.errors import ArtefactError

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock on ``path`` within the block. Raises ArtefactError at once if another holds it."""
    with path.open("ab") as file:
        try:
            _take(file.fileno())
        except OSError:
            raise ArtefactError(f"{path.parent}: another process is writing here; let it finish, then run again") from None
        yield
