"""Off-policy estimates: what a policy would have earned, from the log of others. Plain functions over columns.

Each takes the narrowest thing it needs: N rewards and N log-probabilities of what was logged, under the policy
that logged it and under the one in question. A row is one decision, and rows count as independent.
"""

from __future__ import annotations

import numpy as np

from longgame.evaluation.intervals import Estimate, normal
from longgame.shapes import check
from longgame.types import F64


def ips(reward: F64, logged_logp: F64, target_logp: F64, confidence: float = 0.95) -> Estimate:
    """Inverse propensity scores (Horvitz & Thompson 1952): the mean of ``w * reward``. Unbiased, noisy."""
    w = weights(reward, logged_logp, target_logp)
    return _mean(w * reward, w, confidence)


def snips(reward: F64, logged_logp: F64, target_logp: F64, confidence: float = 0.95) -> Estimate:
    """Self-normalised IPS (Swaminathan & Joachims, NeurIPS 2015, eq. 4): a little bias for much less noise.

    NaN where no logged choice is one the target could have made.
    """
    w = weights(reward, logged_logp, target_logp)
    n, total = len(w), float(w.sum())
    if total == 0.0:
        return Estimate(np.nan, np.nan, np.nan, n, 0.0)
    value = float((w * reward).sum() / total)
    stderr = float(np.sqrt((w**2 * (reward - value) ** 2).sum()) / total)
    return normal(value, stderr, n, effective(w), confidence)


def doubly_robust(
    reward: F64, logged_logp: F64, target_logp: F64, model_logged: F64, model_target: F64, confidence: float = 0.95
) -> Estimate:
    """Doubly robust (Dudik, Langford & Li, ICML 2011, eq. 2): right if the propensities or the reward model are.

    ``model_logged`` (N,) is the reward a model expects of what was shown, ``model_target`` (N,) what it expects of
    the target policy. The model must come from other rows.
    """
    w = weights(reward, logged_logp, target_logp)
    check({"N": len(w)}, ("model_logged", model_logged, "N"), ("model_target", model_target, "N"))
    return _mean(model_target + w * (reward - model_logged), w, confidence)


def slate_additive(reward: F64, slot_weights: F64, baseline: F64, confidence: float = 0.95) -> tuple[Estimate, F64]:
    """The pseudo-inverse estimate for slates (Swaminathan et al., NeurIPS 2017, eq. 6): ``reward`` (N,) of whole slates.

    ``slot_weights`` (N, K) are ratios slot by slot, P_target(item in slot k) / P_logged(item in slot k): K ratios are
    added where :func:`ips` multiplies them, which is right if the slate's reward is a sum over its slots, and keeps
    hundreds of times more effective rows. ``baseline`` (N,), any guess of the reward that does not look at the slate,
    takes noise away and no more. Returns the estimate and its N terms, so that two policies can be compared in pairs.
    """
    check({}, ("reward", reward, "N"), ("slot_weights", slot_weights, "N K"), ("baseline", baseline, "N"))
    return _terms(baseline + (reward - baseline) * (1 + (slot_weights - 1).sum(axis=1)), slot_weights, confidence)


def slot_additive(reward: F64, slot_weights: F64, confidence: float = 0.95) -> tuple[Estimate, F64]:
    """The reward of a slate where each slot's own ``reward`` (N, K) is known: the item-position estimate (Li et al. 2018).

    ``slot_weights`` as for :func:`slate_additive`, but a slot's ratio meets that slot's reward alone, so the noise of the
    other slots stays out: right if what a slot earns depends on the item in it and not on its neighbours. The mean
    reward of each slot is the baseline. Returns the estimate and its N terms.
    """
    check({}, ("reward", reward, "N K"), ("slot_weights", slot_weights, "N K"))
    baseline = reward.mean(axis=0) if len(reward) else np.zeros(reward.shape[1])
    return _terms((baseline + (reward - baseline) * slot_weights).sum(axis=1), slot_weights, confidence)


def weights(reward: F64, logged_logp: F64, target_logp: F64) -> F64:
    """(N,) importance ratios, after a check of the columns."""
    check({}, ("reward", reward, "N"), ("logged_logp", logged_logp, "N"), ("target_logp", target_logp, "N"))
    w: F64 = np.exp(target_logp - logged_logp)
    return w


def effective(w: F64) -> float:
    """Kish's effective number of rows: how many unweighted rows would tell as much."""
    square = float((w**2).sum())
    return float(w.sum()) ** 2 / square if square > 0 else 0.0


def _mean(terms: F64, w: F64, confidence: float) -> Estimate:
    n = len(terms)
    stderr = float(terms.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return normal(float(terms.mean()) if n else np.nan, stderr, n, effective(w), confidence)


def _terms(terms: F64, slot_weights: F64, confidence: float) -> tuple[Estimate, F64]:
    """The mean of N terms; its effective number is the mean of the slots' own."""
    n = len(terms)
    per_slot = [effective(slot_weights[:, k]) for k in range(slot_weights.shape[1])]
    stderr = float(terms.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return normal(float(terms.mean()) if n else np.nan, stderr, n, float(np.mean(per_slot)), confidence), terms
