"""Q-learning and SARSA in a table: a user's state and an item are each the group of vectors they are nearest to.

    Q(s, a) <- Q(s, a) + rate (r + gamma max over a' of Q(s', a') - Q(s, a))

Watkins & Dayan, "Q-learning", Machine Learning 1992; with *sarsa* the item that would be drawn next instead of the best
(Rummery & Niranjan 1994), as an expectation over the draw (van Seijen et al., 2009), for a batch does not say what was drawn.
Items are grouped too, so that an item of tomorrow has the value of its group. The rate of a cell is 1 over its visits, and
never below ``rate``: a mean at first, that forgets later.

Deviations: states and items are groups that move a little as more is seen (``clusters``), so that the table is of what they are
now; a cell that was never visited has the mean of its items' group over all states, and the mean of all where there is none;
a slate of K is worth the sum of its items, each slot learning its own reward and a K-th of what comes after, as in ``dqn``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longgame.algorithms.ahead import best_slates
from longgame.algorithms.clusters import Clusters
from longgame.algorithms.dqn import expected_slates
from longgame.algorithms.slots import slot_targets
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest, shaped
from longgame.errors import ConfigError
from longgame.slate import Exploration
from longgame.types import F32, F64, I64, Bool


@dataclass(frozen=True)
class TabularConfig:
    """The size of the table and how it learns."""

    width: int
    """D, width of an item vector."""
    context: int = 0
    """F, context features of a request."""
    states: int = 32
    """Groups of states."""
    groups: int = 32
    """Groups of items."""
    rate: float = 0.02
    """Share of the way that a visit moves a cell, at least, in (0, 1]."""
    sarsa: Exploration | None = None
    """The exploration under which the next items are drawn; None: they are the best (Q-learning)."""

    def __post_init__(self) -> None:
        if min(self.width, self.states, self.groups) < 1 or self.context < 0 or not 0 < self.rate <= 1:
            raise ConfigError(f"TabularConfig: width, states and groups must be 1 or more and rate lie in (0, 1], got {self}")


def averaged(table: F64, visits: F64, state: I64, group: I64, target: F64, rate: float) -> tuple[F64, F64]:
    """(S, G) values and visits, and n visits: (n,) cells and what they should say -> the same afterwards.

    Several visits of a cell count as if they came one after the other from their mean.
    """
    came, sums = np.zeros_like(visits), np.zeros_like(table)
    np.add.at(came, (state, group), 1.0)
    np.add.at(sums, (state, group), target)
    visits = visits + came
    share = np.maximum(came / np.maximum(visits, 1.0), 1.0 - (1.0 - rate) ** came)
    return table + share * (sums / np.maximum(came, 1.0) - table), visits


def filled_in(table: F64, visits: F64) -> F64:
    """(S, G), (S, G) -> (S, G) with a value in the cells that nobody visited: their column's mean, else the mean of all."""
    total = (table * visits).sum() / max(float(visits.sum()), 1.0)
    column = visits.sum(axis=0)
    mean = np.where(column > 0, (table * visits).sum(axis=0) / np.maximum(column, 1.0), total)
    return np.where(visits > 0, table, mean)


def summary(state: State) -> F64:
    """(B, V) what a state is grouped by: the mean of the history, its newest item, the context."""
    present = state.present
    count = np.maximum(present.sum(axis=1, keepdims=True), 1)
    mean = (state.history * present[:, :, None]).sum(axis=1) / count
    return np.concatenate([mean, state.history[:, -1], state.context], axis=1).astype(np.float64)


class TabularPolicy:
    """A frozen table: values, in units of the reward, to be drawn by at a low temperature."""

    def __init__(self, config: TabularConfig, arrays: Arrays) -> None:
        self._config = config
        self._states, self._items, self._table = (
            _clusters(config)[0],
            _clusters(config)[1],
            np.array(arrays["table"], np.float32),
        )
        self._states.load_state_dict(arrays, "states.")
        self._items.load_state_dict(arrays, "items.")
        self.version = f"{_name(config)}-{digest(self.state_dict())}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        own, group = self._states.nearest(summary(state)), _groups(self._items, items)
        out: F32 = self._table[own[:, None], group]
        return out

    def state_dict(self) -> Arrays:
        return {**self._states.state_dict("states."), **self._items.state_dict("items."), "table": self._table.copy()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "tabular", "config": asdict(self._config)}


class Tabular:
    """The learner."""

    def __init__(self, config: TabularConfig) -> None:
        self.config = config
        self._states, self._items = _clusters(config)
        self._table: F64 = np.zeros((config.states, config.groups))
        self._visits: F64 = np.zeros((config.states, config.groups))

    @property
    def policy(self) -> TabularPolicy:
        table = {"table": filled_in(self._table, self._visits).astype(np.float32)}
        return TabularPolicy(self.config, {**self._states.state_dict("states."), **self._items.state_dict("items."), **table})

    def update(self, batch: Batch) -> Mapping[str, float]:
        row, slot = np.nonzero(batch.action >= 0)
        shown = batch.items[row, batch.action[row, slot]]
        seen = summary(batch.state)
        self._states.learn(seen)
        self._items.learn(shown.astype(np.float64))
        state, group = self._states.nearest(seen)[row], self._items.nearest(shown)
        target = self._targets(batch)[row, slot]
        error = target - self._table[state, group]
        self.errors: F64 = np.zeros(len(batch))  # (B,), for a replay by priority
        np.maximum.at(self.errors, row, abs(error))
        self._table, self._visits = averaged(self._table, self._visits, state, group, target, self.config.rate)
        return {
            "value": float(self._table[state, group].mean()) if len(row) else 0.0,
            "error": float(np.mean(error**2)) if len(row) else 0.0,
        }

    def _targets(self, batch: Batch) -> F64:
        """(B, K) reward of each slot and its share of what comes after."""
        table = filled_in(self._table, self._visits)
        own = self._states.nearest(summary(batch.next_state))
        worth = table[own[:, None], _groups(self._items, batch.next_items)]
        slots = (batch.action >= 0).sum(axis=1)
        if self.config.sarsa is None:
            after = best_slates(worth, batch.next_mask, slots)
        else:
            drawn = expected_slates(worth, batch.next_mask, slots, self.config.sarsa)
            after = (drawn * np.where(batch.next_mask, worth, 0.0)).sum(axis=1)
        return slot_targets(batch, after)

    def state_dict(self) -> Arrays:
        learned = {"table": self._table.copy(), "visits": self._visits.copy()}
        return {**self._states.state_dict("states."), **self._items.state_dict("items."), **learned}

    def load_state_dict(self, state: Arrays) -> None:
        self._states.load_state_dict(state, "states.")
        self._items.load_state_dict(state, "items.")
        self._table, self._visits = (shaped(state, name, self._table.shape) for name in ("table", "visits"))


def _clusters(config: TabularConfig) -> tuple[Clusters, Clusters]:
    return Clusters(config.states, 2 * config.width + config.context), Clusters(config.groups, config.width)


def _groups(clusters: Clusters, items: F32) -> I64:
    """(B, C, D) -> (B, C); one broadcast set is looked up once."""
    if items.strides[0] == 0:
        return np.broadcast_to(clusters.nearest(items[0]), items.shape[:2])
    return clusters.nearest(items)


def _name(config: TabularConfig) -> str:
    return "tabular-q" if config.sarsa is None else "tabular-sarsa"
