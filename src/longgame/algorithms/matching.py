"""Probability matching: an item is shown as often as it is the best under what may be true.

Thompson sampling draws one possible truth and shows its best item. The probability of that has no closed form, and a log
without probabilities proves nothing. So a snapshot holds M possible truths, and an item's log-preference is the logarithm of
the share of them in which it is the best: at temperature 1 the sampler then picks it as often as that, and the propensity is
exact. (Deviation from all of Thompson sampling: M draws stand for the posterior, smoothed by part of a win for every item.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from longgame.algorithms.critic import network_config, network_from
from longgame.arrays import State
from longgame.artefacts import Arrays, digest
from longgame.networks import tensor_items, to_arrays
from longgame.types import F32, F64, Bool


def log_shares(payoffs: Iterable[F32 | F64], mask: Bool, draws: int, smoothing: float) -> F32:
    """B times (M, C) what items bring in each of M = ``draws`` truths, (B, C) -> (B, C) log of each item's share of wins.

    Items alike, such as two of one text, share what they win. ``smoothing``: wins given to every item beforehand, above 0.
    """
    wins = np.zeros(mask.shape, np.float64)
    for row, payoff in enumerate(payoffs):  # row by row: M x C payoffs stay near the caches
        payoff[:, ~mask[row]] = -np.inf
        best = payoff == payoff.max(axis=1, keepdims=True)
        if np.count_nonzero(best) == len(best):
            wins[row] = best.sum(axis=0)
        else:
            wins[row] = (best / best.sum(axis=1, keepdims=True)).sum(axis=0)
    share = (wins + smoothing) / (draws + smoothing * mask.shape[1])
    out: F32 = np.log(share).astype(np.float32)
    return out


class TermsPolicy:
    """M truths, each a weight for every term of the sum that a network's score is (``terms``), and one for itself."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config and the ``smoothing``."""
        self._about = dict(about)
        self._network = network_from(network_config(about["network"]), arrays, "network.")
        self._draws = np.array(arrays["draws"], np.float32)  # (M, P+1)
        self.version = f"neural-linear-{digest(self.state_dict())}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        with torch.inference_mode():
            terms = self._network.terms(self._network.user(state), tensor_items(items)).numpy()
        own, rest = self._draws[:, -1:], self._draws[:, :-1]
        payoffs = (rest @ row.T + own for row in terms)
        return log_shares(payoffs, mask, len(self._draws), self._about["smoothing"])

    def state_dict(self) -> Arrays:
        return {**to_arrays(self._network, "network."), "draws": self._draws.copy()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "neural-linear", **self._about}
