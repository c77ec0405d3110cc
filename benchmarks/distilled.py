"""A language model's ratings, foretold without it: how near a model of its ratings comes, and how fast, against asking it.

    python benchmarks/distilled.py [--data PATH] [--folds 5] [--seeds 3] [--json FILE]

PATH is a folder with ``llm_ratings.csv`` (item, user, rating: what a language model in the role of a persona gave a film);
without it ``llm_ratings`` under ``$LONGGAME_DATA`` or ``../shared/data``. Ratings are dealt to folds. Of each fold's training a
tenth is set aside to choose the price of the factors by, then the model is fitted on all of it and foretells the fold.
Beside it: plain biases, and the same models with their defaults. Intervals are Student's over the seeds' draws of the folds.

The goal: RMSE .80 (SVD++ in the data's paper .849), 10,000 ratings a second (an LLM call gives about three).
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
):  # before numpy loads: beside a busy neighbour two threads are slower than one
    os.environ.setdefault(_name, "1")

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from longgame.arrays import Interactions
from longgame.evaluation.intervals import over_seeds
from longgame.evaluation.ratings import Biases, Rater, folds
from longgame.models import MODELS
from longgame.rng import derive
from longgame.types import F32, ItemId, UserId

PRICES = (0.15, 0.2, 0.25, 0.3, 0.4, 0.6)
"""Of squared factors, over the root of their owner's ratings."""
MODELS_TRIED = ("svd", "svd-plus-plus")
WIDTH = 128
"""Factors where the price is chosen: with a price that fits, more do not harm."""


def read(path: Path) -> Interactions:
    """The ratings as a log; raises SystemExit where there are none."""
    file = path / "llm_ratings.csv"
    if not file.exists():
        raise SystemExit(f"{file}: there is no such file; say where it is with --data or LONGGAME_DATA")
    with file.open(encoding="utf-8", newline="") as rows:
        table = np.array([(float(r["user"]), float(r["item"]), float(r["rating"])) for r in csv.DictReader(rows)])
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    users, user = np.unique(table[:, 0].astype(np.int64), return_inverse=True)
    items, item = np.unique(table[:, 1].astype(np.int64), return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user))]).astype(np.int64)
    names = tuple(UserId(str(u)) for u in users), tuple(ItemId(str(i)) for i in items)
    at = np.arange(len(table), dtype=np.int64) * 1_000_000  # the file has no times, and no model here asks
    return Interactions(*names, offsets, item.astype(np.int64), at, table[:, 2].astype(np.float32))


def fitted(name: str, train: Interactions, seed: int, **settings: Any) -> Rater:
    model = MODELS[name].make(MODELS[name].config(seed=seed, **settings))
    model.fit(train, np.zeros((len(train.items), 0), np.float32))
    return cast(Rater, model)


def error(rater: Rater, test: Interactions) -> float:
    return float(np.sqrt(np.mean((rater.rate(test.user, test.item).astype(np.float64) - test.value) ** 2)))


def chosen(name: str, train: Interactions, seed: int) -> float:
    """The price with the smallest error on a tenth of the training."""
    held = derive(seed, "distilled", "held out").random(len(train)) < 0.1
    part, judge = train.select(~held), train.select(held)
    return min(PRICES, key=lambda price: error(fitted(name, part, seed, penalty=price, width=WIDTH), judge))


@dataclass(frozen=True)
class Together:
    """The mean of several raters."""

    raters: tuple[Rater, ...]
    name: str = "together"

    def rate(self, users: Any, items: Any) -> F32:
        out: F32 = np.mean([rater.rate(users, items) for rater in self.raters], axis=0, dtype=np.float32)
        return out


def measure(log: Interactions, count: int, seed: int, told: Callable[[str, float, float], None]) -> None:
    """One dealing of the folds: every model's RMSE over all of them, and ratings a second."""
    squares, rates = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for number, fold in enumerate(folds(log, count, seed)):
        biases = Biases()
        biases.fit(fold.train, np.zeros((len(log.items), 0), np.float32))
        raters: dict[str, Any] = {"plain biases": biases}
        for name in MODELS_TRIED:
            price = chosen(name, fold.train, seed)
            raters[f"{name}, defaults"] = fitted(name, fold.train, seed)
            raters[f"{name}, price chosen"] = fitted(name, fold.train, seed, penalty=price, width=WIDTH)
            print(f"  seed {seed}, fold {number}: {name} at {price}", flush=True)
        raters["both together"] = Together(tuple(raters[f"{name}, price chosen"] for name in MODELS_TRIED))
        for name, rater in raters.items():
            start = time.perf_counter()
            off = error(rater, fold.test)
            rates[name].append(len(fold.test) / (time.perf_counter() - start))
            squares[name].append(off**2 * len(fold.test))
    for name, parts in squares.items():
        told(name, float(np.sqrt(sum(parts) / len(log))), float(np.median(rates[name])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "llm_ratings")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    log = read(given.data)
    print(f"{given.data.name}: {len(log):,} ratings of {len(log.items):,} items by {len(log.users):,} personas")
    rmse, rate = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)

    def told(name: str, off: float, speed: float) -> None:
        rmse[name].append(off)
        rate[name].append(speed)

    for seed in range(given.seeds):
        measure(log, given.folds, seed, told)
    figures = {}
    for name, values in rmse.items():
        found, speed = over_seeds(np.array(values)), float(np.median(rate[name]))
        figures[name] = {"rmse": vars(found), "ratings a second": speed}
        goal = f"goal .80: {0.80 / found.value:.3f}; 10,000 a second: {speed / 10_000:,.0f}"
        print(f"  {name:<30} RMSE {found}  {speed:>12,.0f} ratings/s   {goal}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
