"""One writer at a time, across processes. The system frees the lock of a process that dies."""

from __future__ import annotations

import sys
import time
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


NAP = 0.01
"""Seconds between two tries for a lock that another holds."""


@contextmanager
def exclusive(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock on ``path`` within the block. Raises ArtefactError if another holds it for ``patience`` seconds.

    Another is any other block, of this process too.
    """
    end = time.monotonic() + patience
    with path.open("ab") as file:
        while True:
            try:
                _take(file.fileno())
                break
            except OSError:
                if time.monotonic() >= end:
                    message = f"{path.parent}: another process is writing here; let it finish, then run again"
                    raise ArtefactError(message) from None
            time.sleep(NAP)
        yield
