"""What happened in an environment, kept as columns, and batches of it.

Its batches tell n-step returns and the state after them, and not the whole of the future (``Batch.future`` is 0): for
algorithms that learn from their own estimate of what comes next, or look no further than the slate.

Steps are kept once, in their order, with the row of the user's next decision beside each; vectors are looked up when a batch is
made. So a hundred thousand slates of fifty candidates take 40 MB, and the n-step return of any of them is a walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.simulation.environment import Observation, Step
from longgame.slate import replay_allowed
from longgame.types import F32, F64, I64, Bool

_UNKNOWN, _END = -1, -2


class Replay:
    """The newest ``capacity`` steps of an environment of B users; each is a day of all of them.

    ``discount`` is what a reward a day later is worth. ``priority`` in [0, 1]: 0 draws all alike, otherwise a decision is
    drawn in proportion to its last error to that power (Schaul et al., "Prioritized Experience Replay", ICLR 2016, eq. 1);
    weights against the bias that this makes (their section 3.4) are not used: ``Batch`` has none.
    """

    def __init__(self, capacity: int, users: int, vectors: F32, discount: float, ahead: int = 1, priority: float = 0.0) -> None:
        if min(capacity, users, ahead) < 1 or not 0 <= discount <= 1 or not 0 <= priority <= 1:
            raise ConfigError(
                "Replay: capacity, users and ahead must be 1 or more, discount and priority lie in [0, 1], got "
                f"{capacity}, {users}, {ahead}, {discount}, {priority}"
            )
        self._capacity, self._users, self._vectors = capacity, users, vectors
        self._discount, self._ahead, self._priority = discount, ahead, priority
        self._columns: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
        self._days = 0
        self._last = np.full(users, _UNKNOWN, np.int64)
        self._odds = np.zeros((capacity, users))
        self._new = np.zeros((capacity, users), np.bool_)

    def __len__(self) -> int:
        """Decisions that can be drawn."""
        return int(self._ready().sum()) if self._days else 0

    def add(self, seen: Observation, slates: I64, odds: F64, step: Step) -> None:
        """What was known, the slates that were drawn (B, K) with the probability of each pick, and what came of them."""
        day, here = self._days, seen.here
        shared = seen.positions.strides[0] == 0
        row: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
            "history": seen.state.items.astype(np.int32),
            "context": seen.state.context,
            "offered": (seen.positions[:1] if shared else seen.positions).astype(np.int32),
            "action": slates.astype(np.int32),
            "odds": odds.astype(np.float32),
            "reward": step.reward,
            "response": step.response,
            "here": here,
        }
        if not self._columns:
            self._columns = {name: np.zeros((self._capacity, *value.shape), value.dtype) for name, value in row.items()}
            self._following = np.full((self._capacity, self._users), _UNKNOWN, np.int64)
        place = day % self._capacity
        for name, value in row.items():
            self._columns[name][place] = value
        self._following[place] = _UNKNOWN
        self._new[place] = True
        self._odds[place] = np.where(here, self._odds.max(initial=1.0) or 1.0, 0.0)
        rows = np.flatnonzero(here)
        before = self._last[rows]
        known = rows[(before >= 0) & (before > day - self._capacity)]
        self._following[self._last[known] % self._capacity, known] = day
        self._last[rows] = day
        gone = np.flatnonzero(step.left)
        last = self._last[gone]
        held = gone[(last >= 0) & (last > day - self._capacity)]
        self._following[self._last[held] % self._capacity, held] = _END
        self._last[gone] = _UNKNOWN
        self._days += 1

    def draw(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` decisions, with repetition. Raises ConfigError where there is none yet."""
        if not self.ready:
            raise ConfigError("Replay.draw: no decision has an outcome yet; add more steps")
        ready = self._ready().ravel()
        if self._priority:
            total = np.cumsum(np.where(ready, self._odds.ravel()[: len(ready)] ** self._priority, 0.0))
            chosen = np.searchsorted(total, rng.random(size) * total[-1], side="right")
        else:
            places = np.flatnonzero(ready)
            chosen = places[rng.integers(len(places), size=size)]
        self._drawn = chosen
        return self._batch(*np.divmod(chosen, self._users))

    def fresh(self) -> I64:
        """(n,) the decisions of which has become known what followed since it was asked last, as :meth:`batches` takes them."""
        if not self._days:
            return np.zeros(0, np.int64)
        ready = self._ready()
        found = ready & self._new[: len(ready)]
        self._new[: len(ready)][found] = False
        return np.flatnonzero(found)

    def batches(self, chosen: I64, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """One pass over decisions that :meth:`fresh` told, in random order, ``size`` or fewer a batch, all about as many."""
        if len(chosen):
            for part in np.array_split(rng.permutation(chosen), -(-len(chosen) // size)):
                yield self._batch(*np.divmod(part, self._users))

    def learned(self, errors: F64) -> None:
        """The errors (B,) of the batch that was drawn last: what it will be drawn by."""
        self._odds.ravel()[self._drawn] = np.abs(errors) + 1e-3

    @property
    def ready(self) -> bool:
        """Whether there is anything to draw."""
        return self._days > 0 and bool(self._ready().any())

    def _ready(self) -> Bool:
        """(days kept, B) whose next decision, or end, is known and kept."""
        held = min(self._days, self._capacity)
        ready: Bool = (self._following[:held] != _UNKNOWN) & self._columns["here"][:held].astype(np.bool_)
        return ready

    def _batch(self, place: I64, row: I64) -> Batch:
        c = self._columns
        between, discount, after = self._walk(place, row)
        items, mask = self._offered(place, row)
        next_items, next_mask = self._offered(after, row)
        action = c["action"][place, row].astype(np.int64)
        return Batch(
            self._state(place, row),
            items,
            mask,
            replay_allowed(mask, action),
            action,
            c["odds"][place, row].astype(np.float64),
            np.asarray(c["reward"][place, row], np.float32),
            np.asarray(c["response"][place, row], np.bool_),
            np.zeros(len(place), np.float32),
            discount,
            self._state(after, row),
            next_items,
            next_mask,
            between,
        )

    def _walk(self, place: I64, row: I64) -> tuple[F32, F32, I64]:
        """Rewards on the way to the decision that is looked at, what one there is worth now, and its place.

        That decision is ``ahead`` on, or the last of which is known what came of it; nothing is worth anything after an end.
        """
        oldest = max(self._days - self._capacity, 0)
        day = oldest + (place - oldest) % self._capacity
        between, worth, at = np.zeros(len(place)), np.ones(len(place)), place
        going = np.ones(len(place), np.bool_)
        for number in range(self._ahead):
            following = self._following[at, row]
            if number:
                going &= following != _UNKNOWN
                reward = np.asarray(self._columns["reward"][at, row], np.float64).sum(axis=1)
                between += np.where(going, worth * reward, 0.0)
            worth = np.where(going & (following == _END), 0.0, worth)
            going &= following >= 0
            worth = np.where(going, worth * self._discount ** np.where(going, following - day, 0), worth)
            day = np.where(going, following, day)
            at = day % self._capacity
        return between.astype(np.float32), worth.astype(np.float32), at

    def _state(self, place: I64, row: I64) -> State:
        items = self._columns["history"][place, row].astype(np.int64)
        history = np.where(items[..., None] >= 0, self._vectors[items], np.float32(0.0))
        return State(history, items, np.asarray(self._columns["context"][place, row], np.float32))

    def _offered(self, place: I64, row: I64) -> tuple[F32, Bool]:
        offered = self._columns["offered"]
        if offered.shape[1] < self._users:  # all were offered the same
            days = offered[place, 0]
            if (days == days[0]).all():  # and on every day
                first = np.asarray(days[0], np.int64)
                shared = np.where(first[:, None] >= 0, self._vectors[first], np.float32(0.0))
                return np.broadcast_to(shared, (len(place), *shared.shape)), np.broadcast_to(first >= 0, days.shape)
            row = np.zeros_like(row)
        positions = offered[place, row].astype(np.int64)
        mask = positions >= 0
        items = self._vectors[positions]
        if not mask.all():
            items[~mask] = 0.0
        return items, mask
