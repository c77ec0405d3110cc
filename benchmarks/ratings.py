"""Ratings foretold: SVD, SVD++ and time-aware factors beside plain biases and Surprise's, on the same folds in one run.

    python benchmarks/ratings.py [--data PATH] [--folds 5] [--seeds 3] [--peer PYTHON] [--peer-seeds 1] [--json FILE]

PATH is anything ``longgame.datasets`` reads; without it ``ml100k`` under ``$LONGGAME_DATA`` or ``../shared/data``. PYTHON is
that of an environment with scikit-surprise (``peers/surprise_svd.py`` says how to make one); without it ours stand alone.
Every model has its defaults, and a seed deals the folds anew and starts the models anew. Surprise is slow, so it runs on
the folds of the first ``--peer-seeds`` seeds only; it is compared with ours on those. Each fit is one thread of one process.
Seconds are those of a fit, the search for the number of passes in it, and without compiling, which a small fit does before.

"told when" is the model that is told the moment of each rating it is asked for, as in Koren, KDD 2009: the mood of that hour is
known where other ratings of the same sitting were learned from, which folds drawn at random bring about.

Then a split in time: fitted on the first ``--share`` of the ratings, the later ones foretold in their order, once by what
stands, once with ``update`` after each of ``--blocks`` blocks, itself never rated after it was learned from.

``--unlabelled SHARE`` is another table instead: of each fold's ratings that share, drawn, loses its value, as a view that was
never rated has none; SVD++ is fitted with and without those rows, on clean events and with 5 and 20 % of the items wrong.

The goal: RMSE of SVD++ on ML-100K .905.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
):  # before numpy loads: beside a busy neighbour two threads are slower than one
    os.environ[_name] = "1"

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.evaluation.intervals import over_seeds
from longgame.evaluation.noise import noisy
from longgame.evaluation.ratings import Biases, Entry, Fold, Rater, RatingTable, as_they_come, folds, in_time, judge, rmse
from longgame.evaluation.splits import Cut
from longgame.models import MODELS
from longgame.models.rating_fit import labelled
from longgame.rng import derive
from longgame.types import Event

GOAL, NAMES = 0.905, ("svd", "svd-plus-plus", "time-factors")
THEIRS = {"biases": "biases", "SVD": "svd", "SVD++": "svd-plus-plus"}
"""Surprise's name -> what of ours stands beside it."""


def read(path: Path) -> Interactions:
    events = [record for record in open_source(path).read(Report()) if isinstance(record, Event)]
    log = Interactions.of(events, tuple(dict.fromkeys(event.item for event in events)))
    print(f"{path.name}: {len(log.users):,} users, {len(log.items):,} items, {len(log):,} ratings")
    return log


def fresh(name: str, seed: int) -> Rater:
    config = MODELS[name].config()
    return cast(Rater, MODELS[name].make(replace(config, seed=config.seed + seed)))


def compile_all(log: Interactions) -> None:
    for name in NAMES:
        model = MODELS[name].make(MODELS[name].config(passes=1, patience=0))
        model.fit(log.select(np.arange(len(log)) % 50 == 0), np.zeros((len(log.items), 0), np.float32))


def ours(parts: Sequence[Fold], seed: int) -> RatingTable:
    entries = [Entry(name, MODELS[name].title, partial(fresh, name, seed)) for name in NAMES]
    timed = Entry("time-factors, told when", "", partial(fresh, "time-factors", seed), told=True)
    return judge(parts, [*entries, timed], f"seed {seed}", seed)


def theirs(python: str, parts: Sequence[Fold], seed: int) -> list[dict[str, Any]]:
    """What Surprise says of the same folds."""
    script = Path(__file__).parent / "peers" / "surprise_svd.py"
    value = np.concatenate([fold.test.value for fold in parts])
    with tempfile.TemporaryDirectory() as folder:
        for number, fold in enumerate(parts):
            for side, log in (("train", fold.train), ("test", fold.test)):
                rows = zip(log.user.tolist(), log.item.tolist(), log.value.tolist(), strict=True)
                lines = (f"{user}\t{item}\t{rating}\n" for user, item, rating in rows)
                (Path(folder) / f"{number}.{side}").write_text("".join(lines))
        command = [python, str(script), folder, str(len(parts)), str(value.min()), str(value.max()), str(seed)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"--peer: {python} could not run Surprise:\n{run.stderr[-2000:]}")
    return [json.loads(line[2:]) for line in run.stdout.splitlines() if line.startswith("@ ")]


def say_ours(tables: Sequence[RatingTable]) -> list[dict[str, Any]]:
    """A line a model: means over folds, and over seeds with Student's interval."""
    out = []
    for rows in zip(*(table.rows for table in tables), strict=True):
        error, mae = (over_seeds(np.array([getattr(row, name).value for row in rows])) for name in ("rmse", "mae"))
        seconds, gap = float(np.mean([row.seconds for row in rows])), rows[0].gap
        print(f"  {rows[0].name:<26} RMSE {error}   MAE {mae.value:.4f}   {seconds:6.2f} s a fit   less biases {gap}")
        told = {"name": rows[0].name, "rmse": error.value, "low": error.low, "high": error.high, "mae": mae.value}
        out.append({**told, "seconds": seconds, "folds": [list(row.folds) for row in rows]})
    return out


def say_theirs(found: Sequence[Sequence[dict[str, Any]]], tables: Sequence[RatingTable]) -> list[dict[str, Any]]:
    """Surprise's on the first seeds, and the ratio of its error to ours on the same folds (above 1: ours is smaller)."""
    by_name = defaultdict(list)
    for row in (row for rows in found for row in rows):
        by_name[row["name"]].append(row)
    out = []
    for name, rows in by_name.items():
        error, mae, seconds = (float(np.mean([row[key] for row in rows])) for key in ("rmse", "mae", "seconds"))
        beside = [row for table in tables[: len(found)] for row in table.rows if row.name == THEIRS[name]]
        mine, pace = np.mean([row.rmse.value for row in beside]), np.mean([row.seconds for row in beside])
        print(
            f"  Surprise's {name:<15} RMSE {error:.4f}   MAE {mae:.4f}   {seconds:6.2f} s a fit   over ours on the same folds: "
            f"RMSE {error / mine:.3f}, seconds {seconds / pace:.2f}"
        )
        out.append({"name": name, "rmse": error, "mae": mae, "seconds": seconds, "ratio": error / mine})
    return out


def later(log: Interactions, share: float, blocks: int) -> list[dict[str, Any]]:
    """The last ratings foretold in their order: by what stands, and by what learns on."""
    fold = in_time(Cut("time", share=1 - share).split(log))[0]
    train, test = fold.train, fold.test
    known = np.diff(train.offsets)[test.user] > 0
    users = len(np.unique(test.user[~known]))
    print(f"the first {share:.0%} learned, {len(test):,} later ones, {(~known).mean():.0%} of them by {users} new users:")
    out, features = [], np.zeros((len(log.items), 0), np.float32)
    for name in ("biases", *NAMES):
        for learn in (False, True):
            rater = Biases() if name == "biases" else fresh(name, 0)
            rater.fit(train, features)
            start = time.perf_counter()
            left = as_they_come(rater, test, blocks, learn).astype(np.float64) - test.value
            took = time.perf_counter() - start
            row = {"name": name, "learns": learn, "rmse": rmse(left), "known": rmse(left[known]), "new": rmse(left[~known])}
            print(
                f"  {name:<15} {'with update' if learn else 'as it stood':<12} RMSE {row['rmse']:.4f}   known users "
                f"{row['known']:.4f}   new ones {row['new']:.4f}   {1000 * took / blocks:.0f} ms a block",
                flush=True,
            )
            out.append({**row, "seconds": took})
    return out


def unlabelled(log: Interactions, count: int, seeds: int, share: float) -> list[dict[str, Any]]:
    """SVD++ with and without rows whose rating is not known, the same folds and the same noise in both."""
    print(f"{share:.0%} of the ratings of each fold without their value, SVD++; mean of folds, interval over seeds:")
    out, features = [], np.zeros((len(log.items), 0), np.float32)
    for noise in (0.0, 0.05, 0.2):
        found = np.empty((2, seeds, count))
        for seed in range(seeds):
            for number, fold in enumerate(folds(log, count, seed)):
                rng = derive(seed, "unlabelled", str(number))
                train = noisy(fold.train, noise, rng)
                hidden = replace(train, value=np.where(rng.random(len(train)) < share, np.nan, train.value).astype(np.float32))
                for place, known in enumerate((hidden.select(labelled(hidden)), hidden)):
                    rater = fresh("svd-plus-plus", seed)
                    rater.fit(known, features)
                    found[place, seed, number] = rmse(
                        rater.rate(fold.test.user, fold.test.item).astype(np.float64) - fold.test.value
                    )
        without, with_them, gap = (over_seeds(x.mean(axis=1)) for x in (*found, found[1] - found[0]))
        print(f"  noise {noise:.0%}: without {without}, with {with_them}, difference {gap}", flush=True)
        out.append({"noise": noise, "without": without.value, "with": with_them.value, "gap": [gap.value, gap.low, gap.high]})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer", help="a Python with scikit-surprise")
    parser.add_argument("--peer-seeds", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.8, help="of the ratings, learned before the split in time")
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--unlabelled", type=float, help="share of the ratings whose value is hidden: that table alone")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    log = read(given.data)
    compile_all(log)
    if given.unlabelled is not None:
        told = {"data": given.data.name, "share": given.unlabelled}
        told["rows"] = unlabelled(log, given.folds, given.seeds, given.unlabelled)
        if given.json:
            given.json.write_text(json.dumps(told, indent=2))
        return
    dealt = [folds(log, given.folds, seed) for seed in range(given.seeds)]
    tables = [ours(parts, seed) for seed, parts in enumerate(dealt)]
    figures: dict[str, Any] = {"data": given.data.name, "folds": given.folds, "seeds": given.seeds, "ours": say_ours(tables)}
    error = next(row["rmse"] for row in figures["ours"] if row["name"] == "svd-plus-plus")
    print(f"  SVD++: goal {GOAL}, ours {error:.4f}: {GOAL / error:.3f}", flush=True)
    if given.peer:
        found = [theirs(given.peer, parts, seed) for seed, parts in enumerate(dealt[: given.peer_seeds])]
        figures["surprise"] = say_theirs(found, tables)
    figures["later"] = later(log, given.share, given.blocks)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
