"""Log-preferences and rules -> slates and the probability of each pick. All exploration is here.

One formula, :func:`pick_probabilities`, is the propensity that is logged, the numerator of every importance
ratio, the policy that a gradient moves and the target that off-policy evaluation asks about. A slate is drawn
slot by slot without replacement: with ``soft`` the softmax of the scores over what is still allowed,

    P(pick | picks before) = (1 - uniform) * soft + uniform / (number allowed)

so a slate's probability is the product over its slots (a Plackett-Luce model mixed with uniform).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from longgame.errors import ConfigError, ShapeError
from longgame.protocols import SlateRule
from longgame.shapes import check
from longgame.types import F32, F64, I64, Bool

Allow = Callable[[I64], Bool]
"""(B, k) columns chosen so far -> (B, C) what may come next, apart from what was chosen."""


@dataclass(frozen=True)
class Exploration:
    """How far the draw strays from the best score."""

    temperature: float = 1.0
    """Above 0: scores are divided by it before the softmax. Towards 0 the best score always wins."""
    uniform: float = 0.05
    """Share of each pick drawn uniformly from what is allowed, in [0, 1]: a floor under every propensity."""

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not 0 <= self.uniform <= 1:
            raise ConfigError(f"Exploration: need temperature > 0 and uniform in [0, 1], got {self}")


def pick_probabilities(scores: F32 | F64, allowed: Bool, explore: Exploration) -> F64:
    """(..., C), (..., C) -> (..., C), summing to 1 over what is allowed; all zeros where nothing is."""
    z = np.where(allowed, scores.astype(np.float64) / explore.temperature, -np.inf)
    top = z.max(axis=-1, keepdims=True, initial=-np.inf)
    soft = np.exp(z - np.where(np.isfinite(top), top, 0.0))
    count = allowed.sum(axis=-1, keepdims=True)
    soft /= np.where(count > 0, soft.sum(axis=-1, keepdims=True), 1.0)
    mixed: F64 = (1 - explore.uniform) * soft + explore.uniform * allowed / np.maximum(count, 1)
    return mixed


def sample_slates(
    scores: F32, mask: Bool, k: int, explore: Exploration, uniforms: F64, allow: Allow | None = None
) -> tuple[I64, F64]:
    """Draw B slates of up to ``k`` picks without replacement.

    ``scores`` (B, C), ``mask`` (B, C), ``uniforms`` (B, k) in [0, 1): the randomness, one number a slot.
    Returns picks (B, k), -1 in a slot that nothing was left for, and the probability (B, k) of each pick
    given the picks before it, 1 in an empty slot.
    """
    sizes = check({"K": k}, ("scores", scores, "B C"), ("mask", mask, "B C"), ("uniforms", uniforms, "B K"))
    if not np.isfinite(scores[mask]).all():
        raise ShapeError("sample_slates: scores must be finite where mask is True; the policy is broken")
    rows = np.arange(sizes["B"])
    picks = np.full((sizes["B"], k), -1, np.int64)
    odds = np.ones((sizes["B"], k), np.float64)
    free = mask.copy()
    for slot in range(k):
        allowed = free if allow is None else free & allow(picks[:, :slot])
        p = pick_probabilities(scores, allowed, explore)
        cumulative = np.cumsum(p, axis=1)
        target = uniforms[:, slot, None] * cumulative[:, -1:]
        # The first column whose cumulative probability exceeds the target: never one with probability 0.
        pick = (cumulative <= target).sum(axis=1)
        some = allowed.any(axis=1)
        if not some.any():
            break
        picks[some, slot] = pick[some]
        odds[some, slot] = p[rows[some], pick[some]]
        free[rows[some], pick[some]] = False
    return picks, odds


def rules_allow(rules: Sequence[SlateRule], positions: I64) -> Allow | None:
    """The slate rules over the catalogue positions (B, C) of B rows of candidates, -1 on padding."""
    if not rules:
        return None

    def allow(chosen: I64) -> Bool:
        open_ = np.ones(positions.shape, np.bool_)
        for row, picked in enumerate(chosen.tolist()):
            columns = [c for c in picked if c >= 0]
            for rule in rules:
                open_[row] &= rule.allow(positions[row], columns)
        return open_

    return allow


def replay_allowed(mask: Bool, action: I64, allow: Allow | None = None) -> Bool:
    """(B, C), (B, K) -> (B, K, C): what could be drawn in each slot of slates that were drawn."""
    k = action.shape[1]
    if k == 1 and allow is None:
        return mask[:, None, :]
    free = np.repeat(mask[:, None, :], k, axis=1)
    row, slot = np.nonzero(action >= 0)
    for later in range(1, k):  # a pick closes its column for every later slot
        taken = slot < later
        free[row[taken], later, action[row[taken], slot[taken]]] = False
    if allow is not None:
        for slot_number in range(k):
            free[:, slot_number] &= allow(action[:, :slot_number])
    return free


def slot_log_probs(scores: F32 | F64, allowed: Bool, action: I64, explore: Exploration) -> F64:
    """log P(action k | actions before), (B, C), (B, K, C), (B, K) -> (B, K); 0 in an empty slot.

    -inf where the scores' policy could never have made that pick.
    """
    p = _picked(pick_probabilities(scores[:, None, :], allowed, explore), action)
    with np.errstate(divide="ignore"):
        return np.where(action >= 0, np.log(p), 0.0)


def slot_log_prob_gradient(scores: F32 | F64, allowed: Bool, action: I64, explore: Exploration, weight: F64) -> F64:
    """Gradient of ``sum over k of weight_k * log P(action k)`` with respect to the scores, (B, C).

    The formula's own derivative, so that a policy gradient can never use another formula than the draw:
    d log p_a / d s_j = (1 - uniform) * soft_a * (1[a = j] - soft_j) / (p_a * temperature).
    """
    soft = pick_probabilities(scores[:, None, :], allowed, Exploration(explore.temperature, 0.0))
    count = allowed.sum(axis=2)
    soft_picked = _picked(soft, action)
    p = (1 - explore.uniform) * soft_picked + explore.uniform / np.maximum(count, 1)
    factor = np.where(
        action >= 0, weight * (1 - explore.uniform) * soft_picked / (np.maximum(p, 1e-300) * explore.temperature), 0.0
    )
    gradient: F64 = -(factor[:, :, None] * soft).sum(axis=1)
    row, slot = np.nonzero(action >= 0)
    np.add.at(gradient, (row, action[row, slot]), factor[row, slot])
    return gradient


def slot_marginals(
    scores: F32 | F64,
    mask: Bool,
    k: int,
    explore: Exploration,
    rng: np.random.Generator,
    draws: int = 16,
    allow: Allow | None = None,
) -> F64:
    """(B, K, C) the probability that a slate of ``k`` has each candidate in each slot, whatever came before.

    Unbiased: the mean over ``draws`` sampled slates of the probability of the next pick. Exact in the first slot.
    """
    b, c = mask.shape
    total = np.zeros((b, k, c))
    for _ in range(draws):
        picks, _ = sample_slates(np.asarray(scores, np.float32), mask, k, explore, rng.random((b, k)), allow)
        total += pick_probabilities(scores[:, None, :], replay_allowed(mask, picks, allow), explore)
    return total / draws


def _picked(p: F64, action: I64) -> F64:
    out: F64 = np.take_along_axis(p, np.maximum(action, 0)[:, :, None], axis=2)[:, :, 0]
    return out
