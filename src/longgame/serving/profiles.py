"""Profiles of a log's users: looked up, and corrected for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from longgame.errors import RecordError
from longgame.profiles import UNCORRECTED, Corrections, Population, Profile, Tags, corrections_id
from longgame.protocols import EventStore
from longgame.types import UserId

Change = Callable[[Corrections, Tags], Corrections]
"""What a user said before, and the tags there are -> what they say now."""


class Profiles:
    """What is known of the users of one log. Safe to call from several threads."""

    def __init__(self, store: EventStore, limit: int) -> None:
        """``limit``: newest events of a user that are counted."""
        self._store, self._limit = store, limit
        self._correcting = threading.Lock()

    def of(self, user: UserId, now: datetime, population: Population) -> Profile:
        """The profile at a moment; an empty one for a user nobody has heard of."""
        history = self._store.history(user, now, self._limit)
        return Profile.of(population, self._store.user(user), history, self.corrections(user))

    def corrections(self, user: UserId) -> Corrections:
        """What a user said of their own profile."""
        try:
            id = corrections_id(user)
        except RecordError:  # too long to have any
            return UNCORRECTED
        return Corrections.of(self._store.user(id))

    def correct(self, user: UserId, change: Change, population: Population) -> Corrections:
        """Change what a user said; durable when it returns, and in force from the next decision on.

        One change at a time in a process; of two processes that change one user's at the same moment the later one holds.
        Raises RecordError for a tag that the catalogue does not have.
        """
        with self._correcting:
            changed = change(self.corrections(user), population.tags)
            self._store.put([changed.record(user)])
        return changed
