"""Group commit by itself, with a write that the test holds and breaks at will."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from longgame.store.group_commit import GroupCommit


class Disk:
    """Answers each piece of work with its square; refuses what is negative. The first write waits for ``gate``."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun, self.gate = threading.Event(), threading.Event()

    def write(self, group: Sequence[int]) -> list[int]:
        self.groups.append(list(group))
        self.begun.set()
        assert self.gate.wait(30)
        if any(work < 0 for work in group):
            raise ValueError(f"no room for {min(group)}")
        return [work * work for work in group]


class Queue(deque[Any]):
    """Says when as many wait as the test needs."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.full = size, threading.Event()

    def append(self, ticket: Any) -> None:
        super().append(ticket)
        if len(self) == self.size:
            self.full.set()


def submit_while_held(disk: Disk, commits: GroupCommit[int, int], works: Sequence[int]) -> list[Future[int]]:
    """The first of ``works`` is being written while the others come to wait; then the gate opens."""
    queue = Queue(len(works) - 1)
    commits._waiting = queue
    with ThreadPoolExecutor(len(works)) as pool:
        answers = [pool.submit(commits.submit, works[0])]
        assert disk.begun.wait(30)
        answers += [pool.submit(commits.submit, work) for work in works[1:]]
        assert queue.full.wait(30)
        disk.gate.set()
    return answers


def test_what_waits_is_written_together() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write)
    answers = submit_while_held(disk, commits, [2, 3, 4, 5, 6])
    assert [answer.result() for answer in answers] == [4, 9, 16, 25, 36]
    assert [sorted(group) for group in disk.groups] == [[2], [3, 4, 5, 6]]


def test_only_the_faulty_one_of_a_group_fails() -> None:
    disk = Disk()
    answers = submit_while_held(disk, GroupCommit(disk.write), [2, 3, -7, 5])
    assert [answer.result() for answer in (answers[0], answers[1], answers[3])] == [4, 9, 25]
    with pytest.raises(ValueError, match="no room for -7"):
        answers[2].result()
    assert sorted(map(len, disk.groups)) == [1, 1, 1, 1, 3]


def test_a_database_that_refuses_as_a_whole_is_asked_once() -> None:
    disk = Disk()
    answers = submit_while_held(disk, GroupCommit(disk.write, alone=lambda error: False), [2, 3, -7])
    assert answers[0].result() == 4
    for answer in answers[1:]:
        with pytest.raises(ValueError, match="no room"):
            answer.result()
    assert len(disk.groups) == 2


def test_a_group_is_bounded() -> None:
    disk = Disk()
    answers = submit_while_held(disk, GroupCommit(disk.write, limit=2), [2, 3, 4, 5, 6])
    assert [answer.result() for answer in answers] == [4, 9, 16, 25, 36]
    assert [len(group) for group in disk.groups] == [1, 2, 2]


def test_a_leader_that_is_interrupted_leaves_no_one_waiting() -> None:
    class Interrupted(Disk):
        def write(self, group: Sequence[int]) -> list[int]:
            answers = super().write(group)
            if len(self.groups) == 2:
                raise KeyboardInterrupt
            return answers

    disk = Interrupted()
    answers = submit_while_held(disk, GroupCommit(disk.write), [2, 3, 4, 5])
    ended = [answer.exception() for answer in answers]
    assert sum(isinstance(end, KeyboardInterrupt) for end in ended) == 1
    assert sorted(answer.result() for answer in answers if not answer.exception())[0] == 4
    assert sum(end is None for end in ended) == 3
    assert [len(group) for group in disk.groups] == [1, 3, 2]
