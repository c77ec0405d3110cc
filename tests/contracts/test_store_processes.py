"""The contract of EventStore where more than one process has the log: order of commits, crashes, first openings."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from longgame.errors import StoreError
from longgame.protocols import EventStore
from longgame.store import open_store
from longgame.store.sql import SqlStore
from longgame.types import Event, Item, ItemId, Record, UserId

DAY = datetime(2024, 5, 17, 8, 30, tzinfo=UTC)


def event(id: str, minutes: float = 0) -> Event:
    return Event(id, DAY + timedelta(minutes=minutes), UserId("ann"), ItemId("lamp"), "click")


def log(store: EventStore) -> list[tuple[int, Record]]:
    return store.read(0, 1_000_000)[0]


def test_a_reader_waits_for_a_writer_that_is_slow_to_commit(shared_url: str) -> None:
    """A has its places in the log but has not committed; B writes. The cursor must not pass A's rows."""
    slow, quick, reader = SqlStore(shared_url), SqlStore(shared_url), open_store(shared_url)
    insert, seen = slow._dialect.insert, []
    writer = threading.Thread(target=quick.put, args=([event("b1"), event("b2")],))

    def held(connection: Any, rows: Any) -> None:
        insert(connection, rows)
        writer.start()
        writer.join(0.25)  # with the lock it cannot end here; without it, it does or breaks
        seen.extend(reader.read(0, 10)[0])

    slow._dialect.insert = held  # type: ignore[method-assign]
    slow.put([event("a1"), event("a2")])
    writer.join()
    seen += reader.read(seen[-1][0] if seen else 0, 10)[0]
    assert [record.id for _, record in seen] == ["a1", "a2", "b1", "b2"]
    for opened in (slow, quick, reader):
        opened.close()


PUTS_FOR_EVER = """
import sys
from itertools import count
from datetime import UTC, datetime
from longgame.store import open_store
from longgame.types import Event
store = open_store(sys.argv[1])
for n in count():
    store.put([Event(f"e{n}", datetime(2024, 1, 1, tzinfo=UTC), "ann", "lamp", "click")])
    print(f"e{n}", flush=True)
"""

OPENS_WHEN_TOLD = """
import sys
from datetime import UTC, datetime
from longgame.store import open_store
from longgame.types import Event
print("ready", flush=True)
sys.stdin.readline()
store = open_store(sys.argv[1])
store.put([Event(sys.argv[2], datetime(2024, 1, 1, tzinfo=UTC), "ann", "lamp", "click")])
store.close()
"""


def _start(code: str, *args: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code, *args], text=True, stdin=pipe, stdout=pipe)


def test_what_was_acknowledged_survives_a_kill(shared_url: str) -> None:
    with _start(PUTS_FOR_EVER, shared_url) as writer:
        assert writer.stdout
        acknowledged = [writer.stdout.readline().strip() for _ in range(40)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().split()
    store = open_store(shared_url)
    kept = [record.id for _, record in log(store)]
    # One more may have been written than there was time to say.
    assert kept[: len(acknowledged)] == acknowledged and len(kept) - len(acknowledged) in (0, 1)
    assert store.put([event("after")]) == [True]
    store.close()


def test_processes_that_open_a_new_log_at_once(shared_url: str) -> None:
    starters = [_start(OPENS_WHEN_TOLD, shared_url, f"e{n}") for n in range(3)]
    for starter in starters:
        assert starter.stdout and starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin
        starter.stdin.write("go\n")
        starter.stdin.flush()
    for starter in starters:
        with starter:
            starter.communicate()
        assert starter.returncode == 0
    store = open_store(shared_url)
    assert sorted(record.id for _, record in log(store)) == ["e0", "e1", "e2"]
    store.close()


def test_a_log_opened_again_is_the_same_log(shared_url: str) -> None:
    first = open_store(shared_url)
    first.put([event("e1"), Item(ItemId("lamp"), "A lamp"), event("e2")])
    before = log(first)
    second = open_store(shared_url)
    first.close()
    assert log(second) == before
    assert second.put([event("e1"), Item(ItemId("lamp"), "A lamp"), event("e3")]) == [False, False, True]
    second.close()
    third = open_store(shared_url)
    assert len(log(third)) == 4
    third.close()


def test_a_database_that_the_server_does_not_have(server: str) -> None:
    with pytest.raises(StoreError, match="does not exist; create it, or correct the URL"):
        open_store(server.replace("/postgres?", "/nobody_made_this?"))
