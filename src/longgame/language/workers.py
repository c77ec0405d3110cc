"""Parts of a job at a time, each on one core.

Not OpenMP's threads: they wait for each other after every step, so that one other busy process makes two of them slower than
one. These share nothing and wait once, at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

_SHARE = "/sys/fs/cgroup/cpu.max"
"""Microseconds of processors that a container gets in so many."""
Part = TypeVar("Part", contravariant=True)
Made = TypeVar("Made", covariant=True)
P = TypeVar("P")
M = TypeVar("M")


class Work(Protocol[Part, Made]):
    """What is done with a part. Called from several threads at a time."""

    def __call__(self, part: Part, /) -> Made: ...


class Run(Protocol):
    """Does work on parts, and gives what came of each in their order."""

    def __call__(self, work: Work[P, M], parts: Iterable[P], /) -> Iterator[M]: ...


def cores() -> int:
    """How many this process may use: those that it may run on, and of a container no more than its share is worth."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path(_SHARE).read_text().split()
        return max(1, min(count, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no container, another kind of one, or "max"
        return count


@contextmanager
def workers(count: int, name: str) -> Iterator[Run]:
    """``count`` threads called ``name``, in each of which torch uses one core; 1: none but the caller's.

    torch's own thread count is put back after.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if count == 1:
            yield map
        else:
            with ThreadPoolExecutor(count, name, lambda: torch.set_num_threads(1)) as pool:
                yield pool.map
    finally:
        torch.set_num_threads(before)
