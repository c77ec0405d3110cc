"""Log -> decisions with what came of them. The only code that joins feedback to decisions, in one pass.

The pass follows commit order, so a state is rebuilt from the events that lay in the log when the decision was
written: the state that was served, not one that knows more. Rows leave in the order of their decisions, at the
first record that comes later than the objective's window: what has been handed out is a matter of the log alone,
never of when it was read, and one record from a clock that runs ahead closes no window but those open then. The
cursor names the first decision that is still open: who resumes there loses nothing and sees nothing twice.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from longgame.protocols import EventStore, ItemIndex
from longgame.state import events_read
from longgame.types import I32, Decision, DecisionId, Event, Item, ItemId, Objective, UserId, Versions, microseconds, moment


@dataclass(slots=True)
class Joined:
    """One decision and what came of it, small enough to hold a million: about 1 KB at 200 candidates."""

    cursor: int
    """Where the decision stands in the log."""
    id: DecisionId
    user: UserId
    at: int
    """microseconds"""
    candidates: I32
    """(C,) catalogue positions, -1 where the catalogue no longer knows the item"""
    picks: tuple[int, ...]
    propensities: tuple[float, ...]
    rewards: list[float]
    """One a pick, within the objective's window."""
    responses: list[bool]
    """One a pick: whether the user did anything with it in that time."""
    history: tuple[int, ...]
    """At most T catalogue positions, oldest first."""
    context: tuple[float, ...]
    versions: Versions
    said: dict[int, float] | None = None
    """Slot -> reward by what was written of it: the last word of it counts, and only that."""


_Step = tuple[int, str, int]
"""One event of a user: (microseconds, event id, catalogue position or -1), in the order of a history."""


class Join:
    """Follows a log from a cursor. Memory grows with the decisions that are open, not with the log.

    Feedback that arrives after its decision's window, names a slot that is empty or an item that was not in
    it counts nothing; ``late`` counts what came too late or to no decision, ``mismatched`` what did not fit its slot.
    ``said`` has what texts say (``Objective.by_text``), by event id, in the unit of ratings; a text that is not in it counts
    nothing. Whoever writes often of one slot has one voice, the last.
    ``items_written`` counts items that were new or changed: what the catalogue's vectors do not know yet.
    """

    def __init__(
        self,
        store: EventStore,
        index: ItemIndex,
        objective: Objective,
        steps: int,
        after: int = 0,
        said: Mapping[str, float] | None = None,
    ) -> None:
        self._said = said or {}
        self._store, self._index, self._objective, self._steps = store, index, objective, steps
        self._limit = events_read(steps)
        self._start = self._read = after
        self._window = round(objective.window.total_seconds() * 1e6)
        self._open: deque[Joined] = deque()
        self._by_id: dict[DecisionId, Joined] = {}
        self._recent: dict[UserId, list[_Step]] = {}
        self._cut: set[UserId] = set()
        """Users of whom only the latest events are held; of all others it is every event."""
        self._known: dict[tuple[ItemId, ...], I32] = {}
        self.late = self.mismatched = self.items_written = 0
        self.late_kinds: Counter[str] = Counter()
        """Kind of event -> how many came when the window of their decision had closed, of ``late``."""

    @property
    def cursor(self) -> int:
        """Everything at or before it has been handed out; start the next Join here."""
        return self._open[0].cursor - 1 if self._open else self._read

    def grow(self, index: ItemIndex) -> None:
        """Know more items from here on; the positions of those known before must be the same."""
        self._index = index
        self._known.clear()

    def rows(self, chunk: int = 10_000) -> Iterator[Joined]:
        """Hand out every decision whose window has closed, as far as the log goes now. Call again for what comes."""
        while True:
            records, after = self._store.read(self._read, chunk)
            if after == self._read:
                return
            for cursor, record in records:
                if cursor <= self._read:
                    continue  # somebody else went on while this generator slept
                self._read = cursor
                if isinstance(record, Event):
                    now = self._event(record)
                elif isinstance(record, Decision):
                    now = self._decision(cursor, record)
                else:
                    self.items_written += isinstance(record, Item)
                    continue
                while self._open and self._open[0].at + self._window < now:
                    row = self._open.popleft()
                    del self._by_id[row.id]
                    yield row
            self._read = max(self._read, after)

    def _decision(self, cursor: int, decision: Decision) -> int:
        request = decision.request
        at = microseconds(request.at)
        row = Joined(
            cursor,
            decision.id,
            request.user,
            at,
            self._positions(decision.candidates),
            decision.picks,
            decision.propensities,
            [0.0] * len(decision.picks),
            [False] * len(decision.picks),
            self._history(request.user, at, cursor),
            request.context,
            decision.versions,
        )
        self._open.append(row)
        self._by_id[row.id] = row
        return at

    def _event(self, event: Event) -> int:
        at = microseconds(event.at)
        position = self._index.get(event.item, -1)
        if event.decision is not None:
            row = self._by_id.get(event.decision)
            if row is None or at > row.at + self._window:
                self.late += 1
                self.late_kinds[event.kind] += 1
            elif event.slot is None or not _fits(row, event, event.slot, position):
                self.mismatched += 1
            else:
                row.rewards[event.slot] += self._reward(row, event, event.slot)
                # A skip is no response: the rule of simulation.Environment.
                row.responses[event.slot] |= self._objective.rewards.get(event.kind, 0.0) >= 0
        recent, step = self._loaded(event.user), (at, event.id, position)
        if event.user not in self._cut or step > recent[0]:
            insort(recent, step)
        if len(recent) > 2 * self._limit:
            del recent[: -self._limit]
            self._cut.add(event.user)
        return at

    def _reward(self, row: Joined, event: Event, slot: int) -> float:
        """What the event adds to its slot."""
        if not event.text or event.kind not in self._objective.by_text:
            return self._objective.reward(event.kind, event.value)
        value = self._said.get(event.id)
        if value is None:
            return 0.0
        row.said = row.said or {}
        before, now = row.said.get(slot, 0.0), self._objective.reward(event.kind, value)
        row.said[slot] = now
        return now - before

    def _history(self, user: UserId, before: int, cursor: int) -> tuple[int, ...]:
        """Positions of the last T different items in a row, strictly before; what ``state.recent_positions`` gives."""
        recent = self._loaded(user)
        past = recent[: bisect_left(recent, (before,))][-self._limit :]
        if len(past) < self._limit and user in self._cut:  # asked about a time that is no longer held
            past = self._past(user, moment(before), cursor)
        known = [p for _, _, p in past if p >= 0]
        picked = [p for i, p in enumerate(known) if i == 0 or known[i - 1] != p]
        return tuple(picked[-self._steps :])

    def _loaded(self, user: UserId) -> list[_Step]:
        recent = self._recent.get(user)
        if recent is None:
            # What the user had done before this pass began.
            recent = self._recent[user] = self._past(user, moment(2**55), self._start) if self._start > 0 else []
            if len(recent) == self._limit:
                self._cut.add(user)
        return recent

    def _past(self, user: UserId, before: datetime, until: int) -> list[_Step]:
        get = self._index.get
        return [(microseconds(e.at), e.id, get(e.item, -1)) for e in self._store.history(user, before, self._limit, until)]

    def _positions(self, candidates: tuple[ItemId, ...]) -> I32:
        # A small catalogue is offered whole, again and again: those rows share one array.
        known = self._known.get(candidates) if len(self._known) < 64 else None
        if known is None:
            get = self._index.get
            known = np.array([get(i, -1) for i in candidates], np.int32)
            if len(self._known) < 64:
                self._known[candidates] = known
        return known


def _fits(row: Joined, event: Event, slot: int, position: int) -> bool:
    """Whether the event is of the decision's user and of the item that was in the slot."""
    return event.user == row.user and slot < len(row.picks) and bool(row.candidates[row.picks[slot]] == position)
