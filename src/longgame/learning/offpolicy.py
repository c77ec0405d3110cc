"""A policy held against the log: the columns that off-policy estimates need, built from joined decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from longgame.arrays import State
from longgame.evaluation import ope
from longgame.evaluation.intervals import Estimate
from longgame.language.features import Features
from longgame.learning.batches import Trajectories, make_batch, positions_of
from longgame.learning.batches import columns as batch_columns
from longgame.protocols import Policy, SlateRule
from longgame.rng import derive
from longgame.slate import Exploration, rules_allow, slot_log_probs, slot_marginals
from longgame.types import F32, F64, I64

RewardModel = Callable[[State, F32], F32]
"""State of B, (B, C, D) -> (B, C) expected reward of a slot that shows the item."""


@dataclass(frozen=True)
class Columns:
    """One policy on N logged decisions."""

    reward: F64
    """(N, K) of each slot; 0 in an empty one"""
    future: F64
    """(N,) discounted reward of the user's later decisions, whoever made them"""
    logged_logp: F64
    """(N,) log-probability of the slate when it was logged"""
    target_logp: F64
    """(N,) the same under the policy in question"""
    slot_weights: F64
    """(N, K) the probability that the target shows the item in the slot, whatever is above it, over the same of the
    policy that made the log; 1 in an empty slot"""
    model_logged: F64
    """(N,) what the reward model expects of the slate that was shown"""
    model_target: F64
    """(N,) what it expects of the target's slate"""

    @property
    def slate(self) -> F64:
        """(N,) reward of the whole slate"""
        total: F64 = self.reward.sum(axis=1)
        return total


@dataclass(frozen=True)
class Replay:
    """What a policy is replayed with: everything of a recommender but its retriever, which the log has replaced."""

    features: Features
    steps: int
    explore: Exploration
    rules: Sequence[SlateRule] = ()
    seed: int = 0
    draws: int = 16
    """Slates sampled for each row to average over what stands above a slot."""

    def columns(
        self, log: Trajectories, chosen: I64, policy: Policy, model: RewardModel | None = None, logged: F64 | None = None
    ) -> Columns:
        """Hold ``policy`` against the rows numbered ``chosen``, 256 at a time.

        ``logged`` (N, K) is what :func:`logged_marginals` says of these rows. Without it the logged propensities stand in,
        which are probabilities given the slots before: right for one slot, and for more only where slots hardly meet.
        """
        if not len(chosen):
            empty = np.zeros(0)
            return Columns(np.zeros((0, 1)), empty, empty, empty, np.ones((0, 1)), empty, empty)
        parts = [self._columns(log, chosen[i : i + 256], policy, model, i) for i in range(0, len(chosen), 256)]
        width = max(p.slot_weights.shape[1] for p in parts)
        columns = {name: [getattr(p, name) for p in parts] for name in vars(parts[0])}
        for name, empty_slot in (("slot_weights", 1.0), ("reward", 0.0)):
            columns[name] = [np.pad(c, ((0, 0), (0, width - c.shape[1])), constant_values=empty_slot) for c in columns[name]]
        made = Columns(**{name: np.concatenate(column) for name, column in columns.items()})
        if logged is None:
            return made
        _, propensity, *_ = batch_columns([log.rows[i] for i in chosen.tolist()])
        return replace(made, slot_weights=made.slot_weights * propensity / logged)

    def shown(self, log: Trajectories, chosen: I64, policy: Policy) -> F64:
        """(N, K) the probability that ``policy`` shows each logged item in its slot, whatever is above it."""
        columns = self.columns(log, chosen, policy)
        _, propensity, *_ = batch_columns([log.rows[i] for i in chosen.tolist()])
        return columns.slot_weights * propensity

    def _columns(self, log: Trajectories, chosen: I64, policy: Policy, model: RewardModel | None, part: int) -> Columns:
        batch = make_batch(log, chosen, self.features, self.steps, self.rules)
        positions = positions_of([log.rows[i] for i in chosen.tolist()], batch.mask.shape[1])
        scores = policy.score(batch.state, batch.items, batch.mask)
        filled = batch.action >= 0
        rng, allow = derive(self.seed, "off-policy", str(part)), rules_allow(self.rules, positions)
        marginals = slot_marginals(scores, batch.mask, batch.action.shape[1], self.explore, rng, self.draws, allow)
        marginals *= filled[:, :, None]
        shown = np.take_along_axis(marginals, np.maximum(batch.action, 0)[:, :, None], axis=2)[:, :, 0]
        expected = np.zeros(batch.mask.shape) if model is None else model(batch.state, batch.items).astype(np.float64)
        picked = np.take_along_axis(expected, np.maximum(batch.action, 0), axis=1)
        return Columns(
            batch.reward.astype(np.float64),
            batch.future.astype(np.float64),
            np.log(batch.propensity).sum(axis=1),
            slot_log_probs(scores, batch.allowed, batch.action, self.explore).sum(axis=1),
            np.where(filled, shown / batch.propensity, 1.0),
            (picked * filled).sum(axis=1),
            (marginals * expected[:, None, :]).sum(axis=(1, 2)),
        )


_DRAWS = 64
"""Slates sampled for a ratio's denominator, where an error weighs more; asked once a row."""
Loggers = Mapping[str, tuple[Replay, Policy]]
"""Version of a policy -> how to replay it: those that made the log, on the log's own catalogue."""


def logged_marginals(log: Trajectories, chosen: I64, loggers: Loggers) -> F64:
    """(N, K) the probability that the policy that made the row shows each item in its slot, whatever is above it.

    The log has the probability given the slots above; with one slot that is the same. With more, the policy that made
    the decision is asked again. NaN in a row whose policy is not among ``loggers``: it cannot be judged by.
    """
    rows = [log.rows[i] for i in chosen.tolist()]
    action, out, *_ = batch_columns(rows)
    several = (action >= 0).sum(axis=1) > 1
    made_by = np.array([row.versions.policy for row in rows], object)
    for version in sorted({str(v) for v in made_by[several]}):
        mine = np.flatnonzero(several & (made_by == version))
        if version in loggers:
            replay, policy = loggers[version]
            shown = _DRAWS * replace(replay, draws=_DRAWS).shown(log, chosen[mine], policy)
            # The slots that were above it count as one more draw: what was picked is never said to be impossible.
            width = shown.shape[1]
            out[mine, :width] = (shown + out[mine, :width]) / (_DRAWS + 1)
        else:
            out[mine] = np.nan
    return out


def estimates(columns: Columns, confidence: float = 0.95) -> dict[str, Estimate]:
    """Every estimate of the reward of a slate under the policy, by name."""
    c = columns
    plain = (c.slate, c.logged_logp, c.target_logp)
    return {
        "ips": ope.ips(*plain, confidence),
        "snips": ope.snips(*plain, confidence),
        "dr": ope.doubly_robust(*plain, c.model_logged, c.model_target, confidence),
        "slots": ope.slot_additive(c.reward, c.slot_weights, confidence)[0],
    }
