"""EASE: a linear item-item model with a closed form. Steck: "Embarrassingly Shallow Autoencoders for Sparse Data",
WWW 2019.

With X (U, I) who took what and P = (X'X + lambda I)^-1, the weights are B = I - P diag(1 / diag P) (eq. 8) and a
user's scores the sum of the rows of B for what they took. It knows no text, and no order
but one: a history can be made to fade when it is scored (``half_life``), which the paper does not do.

Three more things are not in the paper, and off by default; tuning finds what they are worth. Who took much can count less
(``user_damping``: row u of X is weighted n_u^-a), what many took can count less (``item_damping``: column i is divided by
n_i^b for the fit, and multiplied by it again in what it speaks for), and the price of a weight can grow with the item
(``penalty_growth``: lambda_i ~ n_i^c). Each is scaled so that the mean of diag X'X, and with it the meaning of lambda, stays.

The weights are dense: fitting takes 12 bytes times I squared of memory (4.8 GB for 20,000 items) and time that grows
with I cubed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.histories import TIE_BREAK, known, matrix, one, popularity, seen_matrix, times
from longgame.models.space import OneOf, Real, Space
from longgame.types import F32, F64, I64


@dataclass(frozen=True)
class EaseConfig:
    """How strongly the weights are held back."""

    penalty: float = 200.0
    """lambda, above 0: the squared weights' price. More for sparser logs."""
    half_life: float = np.inf
    """Events after which an item of the history counts half when scoring; infinite, as in the paper: order is nothing."""
    user_damping: float = 0.0
    """a in [0, 1]: a user of n items weighs n^-a. 0: as in the paper, where who took much decides most."""
    item_damping: float = 0.0
    """b in [0, 1]: an item's column is divided by n^b."""
    penalty_growth: float = 0.0
    """c in [0, 1]: an item's penalty grows with n^c."""
    largest: int = 20_000
    """Items above which fitting is refused, for memory's sake."""

    SPACE: ClassVar[Space] = {
        "penalty": Real(10.0, 5000.0, log=True),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)),
        "user_damping": Real(0.0, 1.0),
        "item_damping": Real(0.0, 0.5),
        "penalty_growth": Real(0.0, 1.0),
    }

    def __post_init__(self) -> None:
        if not min(self.penalty, self.half_life) > 0 or self.largest < 1:
            raise ConfigError(f"EaseConfig: penalty and half_life must be above 0 and largest 1 or more, got {self}")
        if not all(0 <= share <= 1 for share in (self.user_damping, self.item_damping, self.penalty_growth)):
            raise ConfigError(f"EaseConfig: user_damping, item_damping and penalty_growth must lie in [0, 1], got {self}")


class Ease:
    """Dense item-item weights; an empty history scores by popularity."""

    name = "ease"

    def __init__(self, config: EaseConfig | None = None) -> None:
        self.config = config or EaseConfig()
        self._weights: F32 = np.zeros((0, 0), np.float32)  # (I, I) row: what was taken, column: what it speaks for
        self._tie: F32 = np.zeros(0, np.float32)  # (I,)

    def fit(self, log: Interactions, features: F32) -> None:
        """Raises ConfigError for a catalogue of more than ``largest`` items."""
        count = len(log.items)
        if count > self.config.largest:
            need = f"{12 * count**2 / 1e9:.0f} GB"
            raise ConfigError(
                f"Ease.fit: at most {self.config.largest} items, got {count}, for which it would need {need}; "
                "use item-knn, whose weights are sparse, or raise EaseConfig.largest"
            )
        self._weights = _weights(log, self.config) if count else np.zeros((0, 0), np.float32)
        self._tie = TIE_BREAK * popularity(log)

    def score(self, histories: I64) -> F32:
        histories = known(histories, len(self._tie))
        if len(histories) == 1:
            item, weight = one(histories[0], self.config.half_life)
            return (weight @ self._weights[item] + self._tie)[None]
        taken = matrix(histories, len(self._tie), self.config.half_life)
        out = times(taken, self._weights)
        out += self._tie
        return out

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"weights": self._weights.copy(), "tie": self._tie.copy()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._weights, self._tie = np.array(state["weights"], np.float32), np.array(state["tie"], np.float32)


def _weights(log: Interactions, config: EaseConfig) -> F32:
    """(I, I) B of eq. 8, whose diagonal is 0. One float64 array is factored and inverted in place."""
    from scipy.linalg.lapack import dpotrf, dpotri

    taken = seen_matrix(log)
    user, item = np.maximum(taken.sum(axis=1), 1.0), np.maximum(taken.sum(axis=0), 1.0)
    if config.user_damping:
        kept = user**-config.user_damping
        taken.data *= np.repeat(np.sqrt(kept * user.sum() / (kept * user).sum()), np.diff(taken.indptr)).astype(np.float32)
    together: F64 = (taken.T @ taken).astype(np.float64).toarray()
    mean = np.trace(together) / len(together)
    damped = item**-config.item_damping
    if config.item_damping:
        together *= damped
        together *= damped[:, None]
        together *= mean * len(together) / max(np.trace(together), 1e-300)
    growth = item**config.penalty_growth
    together[np.diag_indices_from(together)] += config.penalty * growth / growth.mean()
    lower, _ = dpotrf(together.T, lower=1, overwrite_a=1)
    inverse, _ = dpotri(lower, lower=1, overwrite_c=1)  # only the lower triangle holds the inverse
    scale = 1.0 / np.diag(inverse)
    out = np.empty(inverse.shape, np.float32)
    for row in range(len(out)):
        out[row, : row + 1] = inverse[row, : row + 1]
        out[: row + 1, row] = inverse[row, : row + 1]
    out *= -scale.astype(np.float32)
    np.fill_diagonal(out, 0.0)
    if config.item_damping:
        out *= damped[:, None]
        out /= damped
    return out
