"""Joined decisions -> Batch: the future of each, the state after it, and where a future cannot be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.language.features import Features
from longgame.learning.join import Joined
from longgame.protocols import Algorithm, SlateRule
from longgame.slate import replay_allowed, rules_allow
from longgame.state import state_of
from longgame.types import F32, F64, I64, Bool, Objective, UserId

_DAY = 86_400_000_000


@dataclass(frozen=True)
class Trajectories:
    """Joined decisions in order of time, with what the log tells of the future of each."""

    rows: Sequence[Joined]
    future: F64
    """(N,) discounted rewards of the user's later decisions, as of the decision's own time"""
    following: I64
    """(N,) row of the user's next decision, -1 where there is none"""
    discount: F64
    """(N,) worth now of a reward at that decision; 0 where there is none: the user left"""
    told: Bool
    """(N,) False where the log ends within the objective's horizon: a cut, and no end. Such a row is not learned from."""


def trajectories(rows: Sequence[Joined], objective: Objective) -> Trajectories:
    """Follow each user through ``rows``: one sort and one walk backwards, whatever a user's number of decisions.

    The future is exact up to the end of ``rows``; a told row misses less than 5 % of the weight of what follows.
    """
    rows = sorted(rows, key=lambda r: (r.at, r.cursor))
    n, gamma = len(rows), objective.discount
    future, discount = np.zeros(n), np.zeros(n)
    following = np.full(n, -1, np.int64)
    after: dict[UserId, tuple[int, float]] = {}
    for i in range(n - 1, -1, -1):
        row = rows[i]
        if row.user in after and gamma > 0:
            j, worth = after[row.user]
            discount[i] = gamma ** ((rows[j].at - row.at) / _DAY)
            following[i], future[i] = j, discount[i] * worth
        after[row.user] = (i, sum(row.rewards) + future[i])
    horizon = round(objective.horizon.total_seconds() * 1e6)
    end = rows[-1].at if rows else 0
    told = np.array([row.at + horizon <= end for row in rows], np.bool_)
    return Trajectories(rows, future, following, discount, told)


def as_learned(log: Trajectories, rows: I64, algorithm: Algorithm) -> Trajectories:
    """The log as the algorithm is to see it: each slot's reward clipped where it says so (``robust.Clipped``), futures anew.

    It is told how many slots the ``rows`` (n,) have that it learns from, where it asks (``NeuralLinear.log_has``).
    """
    if hasattr(algorithm, "log_has"):
        algorithm.log_has(sum(len(log.rows[i].picks) for i in rows.tolist()))
    limit = getattr(algorithm, "clips_rewards", None)
    if limit is None:
        return log
    clipped = [replace(row, rewards=[min(max(r, -limit), limit) for r in row.rewards]) for row in log.rows]
    future = np.zeros(len(clipped))
    for i in range(len(clipped) - 1, -1, -1):  # what follows stands behind
        j = int(log.following[i])
        if j >= 0:
            future[i] = log.discount[i] * (sum(clipped[j].rewards) + future[j])
    return replace(log, rows=clipped, future=future)


def make_batch(log: Trajectories, chosen: I64, features: Features, steps: int, rules: Sequence[SlateRule] = ()) -> Batch:
    """The rows numbered ``chosen`` (B,) as one Batch. Candidates the catalogue no longer knows are masked."""
    rows = [log.rows[i] for i in chosen.tolist()]
    after = np.where(log.following[chosen] >= 0, log.following[chosen], chosen)
    next_rows = [log.rows[i] for i in after.tolist()]
    widest = max(len(r.candidates) for r in [*rows, *next_rows])
    positions, next_positions = positions_of(rows, widest), positions_of(next_rows, widest)
    mask = positions >= 0
    action, propensity, reward, response = columns(rows)
    for row, (joined, slots) in enumerate(zip(rows, action, strict=True)):  # a pick of an item that is gone
        action[row] = [-1 if a >= 0 and joined.candidates[a] < 0 else a for a in slots.tolist()]
    gone = action < 0
    propensity[gone], reward[gone], response[gone] = 1.0, 0.0, False
    return Batch(
        states(rows, features, steps),
        _items(positions, features),
        mask,
        replay_allowed(mask, action, rules_allow(rules, positions)),
        action,
        propensity,
        reward,
        response,
        log.future[chosen].astype(np.float32),
        log.discount[chosen].astype(np.float32),
        states(next_rows, features, steps),
        _items(next_positions, features),
        next_positions >= 0,
    )


def batches(
    log: Trajectories, features: Features, steps: int, size: int, rng: np.random.Generator, rules: Sequence[SlateRule] = ()
) -> Iterator[Batch]:
    """One pass over the told rows in random order, ``size`` rows a batch; the last one may be shorter."""
    order = rng.permutation(np.flatnonzero(log.told))
    for start in range(0, len(order), size):
        yield make_batch(log, order[start : start + size], features, steps, rules)


def columns(rows: Sequence[Joined]) -> tuple[I64, F64, F32, Bool]:
    """Picks, propensities, rewards and responses (B, K), padded with -1, 1, 0 and False."""
    k = max(1, max((len(r.picks) for r in rows), default=1))
    action = np.full((len(rows), k), -1, np.int64)
    propensity = np.ones((len(rows), k), np.float64)
    reward, response = np.zeros((len(rows), k), np.float32), np.zeros((len(rows), k), np.bool_)
    for i, row in enumerate(rows):
        n = len(row.picks)
        action[i, :n], propensity[i, :n] = row.picks, row.propensities
        reward[i, :n], response[i, :n] = row.rewards, row.responses
    return action, propensity, reward, response


def states(rows: Sequence[Joined], features: Features, steps: int) -> State:
    """The states that were served, State of B. Raises ConfigError where the context changed its width on the way."""
    widths = {len(row.context) for row in rows}
    if len(widths) > 1:
        raise ConfigError(
            f"learning: the log holds decisions with {' and '.join(map(str, sorted(widths)))} context numbers; "
            "keep context.names as it was, or begin a new log"
        )
    return State.stack([state_of(row.history, row.context, features, steps) for row in rows])


def positions_of(rows: Sequence[Joined], widest: int) -> I64:
    """(B, C) catalogue positions of the candidates, padded with -1 at the end to C = ``widest``."""
    positions = np.full((len(rows), widest), -1, np.int64)
    for i, row in enumerate(rows):
        positions[i, : len(row.candidates)] = row.candidates
    return positions


def _items(positions: I64, features: Features) -> F32:
    """(B, C) -> vectors (B, C, D)."""
    if len(positions) > 1 and (positions == positions[0]).all():  # one set for all: no copy a row
        shared = features.take(positions[0])
        return np.broadcast_to(shared, (len(positions), *shared.shape))
    return features.take(positions)
