"""The log in memory: simulation and most tests run on it. It does what the SQL stores do, and forgets at the end."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import cast

from longgame.errors import RecordError, StoreError
from longgame.store.codec import check_decision, check_words, decode, encode, instant, words_of
from longgame.types import Decision, DecisionId, Event, Item, Record, User, UserId, microseconds

_Contents = tuple[Item | User, bytes | None]


def _no_words(numbers: object) -> list[str]:
    raise AssertionError("items and users hold no numbered words")


class MemoryStore:
    """An EventStore that lasts as long as the object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log: list[Record] = []
        self._events: set[str] = set()
        self._decisions: dict[str, Decision] = {}
        self._items: dict[str, _Contents] = {}
        self._users: dict[str, _Contents] = {}
        self._histories: dict[str, list[tuple[int, str, int]]] = {}
        """User to (at, event id, place in the log), sorted."""
        self._words: set[str] = set()
        """Already found fit to be stored."""
        self._closed = False

    def put(self, records: Iterable[Record]) -> list[bool]:
        staged = [self._checked(record) for record in records]
        with self._lock:
            self._check_open()
            return [self._append(record, body) for record, body in staged]

    def items(self) -> Iterator[Item]:
        self._check_open()
        with self._lock:
            return iter([cast(Item, item) for item, _ in self._items.values()])

    def users(self) -> Iterator[User]:
        self._check_open()
        with self._lock:
            return iter([cast(User, user) for user, _ in self._users.values()])

    def user(self, id: UserId) -> User | None:
        self._check_open()
        return cast("User | None", self._users.get(id, (None, None))[0])

    def decision(self, id: DecisionId) -> Decision | None:
        self._check_open()
        return self._decisions.get(id)

    def history(self, user: UserId, before: datetime, limit: int, until: int | None = None) -> list[Event]:
        end = (instant(before),)
        self._check_open()
        if limit < 1:
            return []
        with self._lock:
            places = self._histories.get(user, [])
            last = bisect_left(places, end)
            if until is None:
                chosen = [place for _, _, place in places[max(0, last - limit) : last]]
            else:
                chosen = []
                while last and len(chosen) < limit:
                    last -= 1
                    if places[last][2] <= until:
                        chosen.append(places[last][2])
                chosen.reverse()
            return [cast(Event, self._log[place - 1]) for place in chosen]

    def read(self, after: int, limit: int) -> tuple[list[tuple[int, Record]], int]:
        self._check_open()
        if limit < 1:
            return [], after
        start = max(after, 0)
        with self._lock:
            found = list(enumerate(self._log[start : start + limit], start + 1))
        return found, found[-1][0] if found else after

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("store memory: is closed; what it held is gone")

    def _checked(self, record: Record) -> tuple[Record, bytes | None]:
        """The record as a SQL store would give it back, or RecordError; the bytes tell contents apart."""
        if type(record) is Decision:
            check_decision(record)
            words = words_of(record)
            try:
                if not self._words.issuperset(words):
                    check_words(words)
                    self._words.update(words)
            except TypeError:
                raise RecordError(f"Decision {record.id!r}: candidates must be text, got {record!r:.200}") from None
            return record, None
        row = encode(record, {})
        if type(record) is Event:
            return record, None
        # Read back: what the caller does to his dict of attributes must not change the log.
        return decode((0, *row), _no_words), row[-1]

    def _append(self, record: Record, body: bytes | None) -> bool:
        place = len(self._log) + 1
        if isinstance(record, Event):
            if record.id in self._events:
                return False
            self._events.add(record.id)
            entry = (microseconds(record.at), record.id, place)
            insort(self._histories.setdefault(record.user, []), entry)
        elif isinstance(record, Decision):
            if record.id in self._decisions:
                return False
            self._decisions[record.id] = record
        else:
            contents = self._items if isinstance(record, Item) else self._users
            if contents.get(record.id, (None, None))[1] == body:
                return False
            contents[record.id] = (record, body)
        self._log.append(record)
        return True
