"""A language model's ratings in the role of personas, foretold without asking it: how near, and how fast.

Ratings are dealt to folds. Of each fold's training a tenth is set aside to choose the price of the factors by, then the model
is fitted on all of it and foretells the fold. Beside it: plain biases, and the model with its defaults.

What the personas say of themselves can be read too: a few directions of their texts' vectors tell, by ridge regression an item,
what biases leave. That rater and the factors are mixed in the shares that are best on the tenth. It is the row *with*; in
*shuffled* the personas have each other's texts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from longgame.arrays import Interactions
from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.evaluation.language import Reading, Told
from longgame.evaluation.ratings import Biases, Rater, folds, rmse
from longgame.models import MODELS
from longgame.rng import derive
from longgame.types import F32, F64, I64

PRICES = (0.15, 0.2, 0.25, 0.3, 0.4, 0.6)
"""Of squared factors, over the root of their owner's ratings."""
WIDTH = 128
"""Factors where the price is chosen: with a price that fits, more do not harm."""
FOLDS = 5
DIRECTIONS = 12
"""Of the personas' texts."""
SHARES = (10.0, 30.0, 100.0, 300.0, 1000.0)
"""Prices of an item's ridge regression on them, in ratings."""


def fitted(name: str, train: Interactions, seed: int, **settings: Any) -> Rater:
    model = MODELS[name].make(MODELS[name].config(seed=seed, **settings))
    model.fit(train, np.zeros((len(train.items), 0), np.float32))
    return cast(Rater, model)


def error(rater: Rater, test: Interactions) -> float:
    """RMSE."""
    return rmse(rater.rate(test.user, test.item).astype(np.float64) - test.value)


@dataclass(frozen=True)
class Together:
    """The mean of several raters."""

    raters: tuple[Rater, ...]
    name: str = "together"

    def rate(self, users: I64, items: I64) -> F32:
        """As ``protocols.RatingModel``."""
        out: F32 = np.mean([rater.rate(users, items) for rater in self.raters], axis=0, dtype=np.float32)
        return out


@dataclass(frozen=True)
class ByPersona:
    """What is told of a rating by who the persona is, above biases: one ridge regression an item, of the same price."""

    known: F32
    """(U, k) each persona"""
    weight: F32
    """(I, k)"""

    @staticmethod
    def fit(known: F32, log: Interactions, left: F64, price: float) -> ByPersona:
        """From (U, k) numbers of the personas and the (N,) rest of each rating of ``log``."""
        width = known.shape[1]
        rows, items = known[log.user].astype(np.float64), len(log.items)
        product = np.empty((items, width, width))
        for a in range(width):
            for b in range(a, width):
                product[:, a, b] = product[:, b, a] = np.bincount(log.item, rows[:, a] * rows[:, b], items)
        target = np.stack([np.bincount(log.item, rows[:, a] * left, items) for a in range(width)], axis=1)
        weight = np.linalg.solve(product + price * np.eye(width), target[..., None])[..., 0]
        return ByPersona(known, weight.astype(np.float32))

    def tell(self, users: I64, items: I64) -> F32:
        """(N,)"""
        out: F32 = np.einsum("nk,nk->n", self.known[users], self.weight[items], dtype=np.float32)
        return out


@dataclass(frozen=True)
class Informed:
    """Factors, and biases with what the personas tell, in shares."""

    factors: Rater
    biases: Rater
    told: ByPersona
    share: float
    """Of the second, in [0, 1]."""
    name: str = "informed"

    def rate(self, users: I64, items: I64) -> F32:
        """As ``protocols.RatingModel``."""
        other = self.biases.rate(users, items) + self.told.tell(users, items)
        out: F32 = ((1 - self.share) * self.factors.rate(users, items) + self.share * other).astype(np.float32)
        return out


def directions(vectors: F32) -> F32:
    """(U, X) vectors of the personas' texts -> (U, k) their leading directions, all of deviation 1."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    width = min(DIRECTIONS, int((size > 1e-6 * size[0]).sum()) if len(size) and size[0] > 0 else 0)
    return np.asarray(left[:, :width] * np.sqrt(len(vectors)), np.float32)


def _held(train: Interactions, seed: int) -> tuple[Interactions, Interactions]:
    held = derive(seed, "distilled", "held out").random(len(train)) < 0.1
    return train.select(~held), train.select(held)


@dataclass(frozen=True)
class Chosen:
    """A model's price with the smallest error on a tenth of the training, and the model fitted on the other nine."""

    name: str
    seed: int
    price: float
    part: Interactions
    judge: Interactions
    rater: Rater

    @staticmethod
    def of(name: str, train: Interactions, seed: int) -> Chosen:
        part, judge = _held(train, seed)
        raters = {price: fitted(name, part, seed, penalty=price, width=WIDTH) for price in PRICES}
        price = min(PRICES, key=lambda one: error(raters[one], judge))
        return Chosen(name, seed, price, part, judge, raters[price])

    def again(self, train: Interactions) -> Rater:
        """Fitted on all of the training, at the price."""
        return fitted(self.name, train, self.seed, penalty=self.price, width=WIDTH)

    def informed(self, factors: Rater, train: Interactions, known: F32) -> Informed:
        """``factors``, fitted on all of the training, mixed with what (U, k) ``known`` tells; price and share are chosen on the
        tenth."""
        biases, left = _above(self.part)
        users, items, value = self.judge.user, self.judge.item, self.judge.value.astype(np.float64)
        plain = biases.rate(users, items)
        trials = {price: plain + ByPersona.fit(known, self.part, left, price).tell(users, items) for price in SHARES}
        price = min(trials, key=lambda one: rmse(trials[one] - value))
        own = self.rater.rate(users, items).astype(np.float64)
        apart = trials[price] - own
        share = float(np.clip((value - own) @ apart / max(float(apart @ apart), 1e-12), 0.0, 1.0))
        biases, left = _above(train)
        return Informed(factors, biases, ByPersona.fit(known, train, left, price), share)


def _above(log: Interactions) -> tuple[Biases, F64]:
    """Biases, and (N,) what they leave of each rating."""
    biases = Biases()
    biases.fit(log, np.zeros((len(log.items), 0), np.float32))
    return biases, log.value.astype(np.float64) - biases.rate(log.user, log.item)


def distilled(
    log: Interactions,
    personas: F32 | None,
    names: Sequence[str] = ("svd",),
    count: int = FOLDS,
    seeds: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    on_fold: Callable[[str], None] = lambda line: None,
) -> list[Reading]:
    """Every rater's RMSE over all folds and ratings a second, for ``seeds`` dealings of the folds.

    ``personas`` are (U, X) vectors of what the users of ``log`` say they are, None where nothing does: then no row has a
    language model in it. Intervals are Student's over the dealings; one has none. Raises DataError where no rating differs.
    """
    off, rate, kind = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list), dict[str, Told]()
    for seed in range(seeds):
        squares, count_of = defaultdict[str, float](float), 0
        for number, fold in enumerate(folds(log, count, seed)):
            raters, count_of = _raters(fold.train, personas, names, seed), count_of + len(fold.test)
            for name, (told, rater) in raters.items():
                start = clock()
                squares[name] += error(rater, fold.test) ** 2 * len(fold.test)
                rate[name].append(len(fold.test) / max(clock() - start, 1e-9))
                kind[name] = told
            on_fold(f"dealing {seed + 1} of {seeds}, fold {number + 1} of {count}")
        for name, sum_ in squares.items():
            off[name].append(float(np.sqrt(sum_ / count_of)))
    return [Reading(name, {"rmse": _over(values)}, float(np.median(rate[name])), kind[name]) for name, values in off.items()]


def _over(values: Sequence[float]) -> Estimate:
    return over_seeds(np.array(values))


def _raters(train: Interactions, personas: F32 | None, names: Sequence[str], seed: int) -> Mapping[str, tuple[Told, Rater]]:
    """All that are judged, fitted."""
    out: dict[str, tuple[Told, Any]] = {}
    known = None if personas is None else directions(personas)
    for name in names:
        best = Chosen.of(name, train, seed)
        factors = best.again(train)
        if known is not None and known.shape[1]:
            drawn = derive(0, "shuffled").permutation(len(known))
            out[f"{name}, and what personas say"] = "with", best.informed(factors, train, known)
            out[f"{name}, and what other personas say"] = "shuffled", best.informed(factors, train, known[drawn])
        out[f"{name}, price chosen"] = "without", factors
        out[f"{name}, defaults"] = "without", fitted(name, train, seed)
    if len(names) > 1:
        own = tuple(out[f"{name}, price chosen"][1] for name in names)
        out["together"] = "without", Together(own)
    out["plain biases"] = "without", _above(train)[0]
    return out
