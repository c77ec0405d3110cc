"""Probability matching: an item is shown as often as it is the best under what may be true.

Thompson sampling draws one possible truth and shows its best item. The probability of that has no closed form, and a log
without probabilities proves nothing. So a snapshot holds M possible truths, and an item's log-preference is the logarithm of
the share of them in which it is the best: at temperature 1 the sampler then picks it as often as that, and the propensity is
exact. (Deviation from all of Thompson sampling: M draws stand for the posterior.)

A slate needs more than the best: once that is shown, what is next must be told from what is last. So in each truth every place
has a share, ``smoothing`` times that of the place before it, and an item's share is the mean over truths of the share of its
place. A truth alone then fills each slot with the best that is left, but for about ``smoothing`` of the draws, and no
log-preference is infinite. Where truths disagree the first slot is exact but for that; in later slots those that were right
about what is shown already keep their say, for one score an item cannot tell which truth an earlier pick came from.
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

_LEAST = 1e-300
"""The smallest share: its logarithm is finite."""

_RANKED = 32
"""Items that have places in every truth, at least: more than a slate has slots."""


def log_shares(payoffs: Iterable[F32 | F64], mask: Bool, smoothing: float) -> F32:
    """B times (M, C) what items bring in each of M truths, (B, C) -> (B, C) log of each item's share.

    ``smoothing`` in (0, 1): what a place in a truth's order has for each 1 of the place before. Items alike, such as two of
    one text, share what their places have. Where the mask is False the share is next to nothing.
    """
    share = np.zeros(mask.shape, np.float64)
    for row, payoff in enumerate(payoffs):  # row by row: M x C payoffs stay near the caches
        if mask[row].any():
            share[row, mask[row]] = place_shares(payoff[:, mask[row]], smoothing)
    out: F32 = np.log(np.maximum(share, _LEAST)).astype(np.float32)
    return out


def place_shares(payoff: F32 | F64, smoothing: float) -> F64:
    """(M, C), C 1 or more -> (C,) the mean over M of what places have: ``smoothing`` ** place over the sum of all places'.

    Of many items those have places that are best in some truth, or on the mean among the best ``_RANKED``; the rest are last.
    """
    m, c = payoff.shape
    kept = np.arange(c)
    if c > _RANKED:  # to sort thousands of items M times would cost more than all else
        mean = payoff.mean(axis=0)
        least = np.partition(mean, c - _RANKED)[c - _RANKED]
        kept = np.flatnonzero((mean >= least) | (payoff == payoff.max(axis=1, keepdims=True)).any(axis=0))
        payoff = payoff[:, kept]
    n = len(kept)
    worth = smoothing ** np.arange(n, dtype=np.float64)
    whole = worth.sum() + (c - n) * smoothing**n
    out: F64 = np.full(c, smoothing**n / whole)
    places = np.broadcast_to(worth / whole, (m, n))
    order = np.argsort(-payoff, axis=1)
    ranked = np.take_along_axis(payoff, order, axis=1)
    alike = ranked[:, 1:] == ranked[:, :-1]
    if alike.any():
        first = np.concatenate([np.ones((m, 1), np.bool_), ~alike], axis=1)  # of those that tie
        group = first.ravel().cumsum() - 1
        places = (np.bincount(group, places.ravel()) / np.bincount(group))[group]
    out[kept] = np.bincount(order.ravel(), places.ravel(), minlength=n) / m
    return out


class TermsPolicy:
    """M truths, each a weight for every term of the sum that a network's score is (``terms``), and one for itself."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config and the ``smoothing``."""
        self._about = dict(about)
        self._network = network_from(network_config(about["network"]), arrays, "network.")
        self._draws = np.array(arrays["draws"], np.float32)  # (M, P+1)
        self.version = f"neural-linear-{digest(self.state_dict(), smoothing=about['smoothing'])}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        with torch.inference_mode():
            terms = self._network.terms(self._network.user(state), tensor_items(items)).numpy()
        own, rest = self._draws[:, -1:], self._draws[:, :-1]
        payoffs = (rest @ row.T + own for row in terms)
        return log_shares(payoffs, mask, self._about["smoothing"])

    def state_dict(self) -> Arrays:
        return {**to_arrays(self._network, "network."), "draws": self._draws.copy()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "neural-linear", **self._about}
