"""A policy held against the log: the columns that off-policy estimates need, built from joined decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from longgame.arrays import State
from longgame.evaluation import ope
from longgame.evaluation.intervals import Estimate
from longgame.language.features import Features
from longgame.learning.batches import Trajectories, make_batch, positions_of
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
    """(N, K) P_target(item in slot) / P_logged(item in slot); 1 in an empty slot"""
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

    def columns(self, log: Trajectories, chosen: I64, policy: Policy, model: RewardModel | None = None) -> Columns:
        """Hold ``policy`` against the rows numbered ``chosen``, 256 at a time."""
        if not len(chosen):
            empty = np.zeros(0)
            return Columns(np.zeros((0, 1)), empty, empty, empty, np.ones((0, 1)), empty, empty)
        parts = [self._columns(log, chosen[i : i + 256], policy, model, i) for i in range(0, len(chosen), 256)]
        width = max(p.slot_weights.shape[1] for p in parts)
        columns = {name: [getattr(p, name) for p in parts] for name in vars(parts[0])}
        for name, empty_slot in (("slot_weights", 1.0), ("reward", 0.0)):
            columns[name] = [np.pad(c, ((0, 0), (0, width - c.shape[1])), constant_values=empty_slot) for c in columns[name]]
        return Columns(**{name: np.concatenate(column) for name, column in columns.items()})

    def _columns(self, log: Trajectories, chosen: I64, policy: Policy, model: RewardModel | None, part: int) -> Columns:
        batch = make_batch(log, chosen, self.features, self.steps, self.rules)
        positions = positions_of([log.rows[i] for i in chosen.tolist()], batch.mask.shape[1])
        scores = policy.score(batch.state, batch.items, batch.mask)
        filled = batch.action >= 0
        rng, allow = derive(self.seed, "off-policy", str(part)), rules_allow(self.rules, positions)
        marginals = slot_marginals(scores, batch.mask, batch.action.shape[1], self.explore, rng, allow=allow)
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
