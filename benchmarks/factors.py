"""Factor models beside the library ``implicit``, one thread each, in one run: time to fit, how well they rank, top 10 for all.

    python benchmarks/factors.py [--data PATH] [--rounds 3] [--json FILE]

PATH is anything ``longgame.datasets`` reads; without it, ``ml1m_m1`` under ``$LONGGAME_DATA`` or ``../shared/data``. Where
the log has a handful of moments only, as adjacency lists do, the last is the published test and is left alone. A tenth of
each user's events, drawn, is held out, the rest fitted on; all unseen items are ranked. Times are the least of ``--rounds``
fits, after one that is not counted: it compiles ours (``first``), and warms the caches of both.

The goals: 64 factors and 15 iterations in at most 1.2 times the time of implicit's; 20,000 users a second.
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
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.evaluation.ranking import evaluate_model
from longgame.models import MODELS
from longgame.models.als import AlsConfig
from longgame.models.bpr import BprConfig
from longgame.models.histories import seen_matrix
from longgame.retrieval import top_unseen
from longgame.rng import derive
from longgame.types import F32, I64, Event

K, WIDTH, ITERATIONS, EPOCHS = 20, 64, 15, 60


def read(path: Path) -> tuple[Interactions, Interactions]:
    """What is fitted on and what is held out."""
    records = open_source(path).read(Report())
    events = [record for record in records if isinstance(record, Event)]
    log = Interactions.of(events, tuple(dict.fromkeys(event.item for event in events)))
    moments = np.unique(log.at)
    if 1 < len(moments) <= 10:
        log = log.select(log.at < moments[-1])
    lot = derive(0, "held out").random(len(log))
    order = np.lexsort((lot, log.user))  # each user's events shuffled within his own rows
    place = np.empty(len(log), np.int64)
    place[order] = np.arange(len(log)) - log.offsets[log.user]
    out = place < np.round(0.1 * np.diff(log.offsets))[log.user]
    print(f"{path.name}: {len(log.users):,} users, {len(log.items):,} items, {len(log):,} events, {out.sum():,} held out")
    return log.select(~out), log.select(out)


class Theirs:
    """Factors that a library trained, of the users of a log, in the place of a model."""

    def __init__(self, users: F32, items: F32, log: Interactions) -> None:
        self._users, self._items = users, items
        # Histories are told apart by their bytes: the seam passes what a user did and not who he is.
        rows = [log.history(user) for user in range(len(log.users))]
        self._place = {row.tobytes(): user for user, row in enumerate(rows)}

    def score(self, histories: I64) -> F32:
        users = [self._place[row[row >= 0].tobytes()] for row in histories]
        return np.asarray(self._users[users] @ self._items.T, np.float32)


def least(fit: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Seconds of the first fit and of the fastest of ``rounds`` more."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        fit()
        times.append(time.perf_counter() - start)
    return times[0], min(times[1:])


def line(name: str, seconds: tuple[float, float], scorer: Any, train: Interactions, target: Interactions) -> dict[str, Any]:
    result = evaluate_model(scorer, train, target, K)
    recall, ndcg = float(result.recall.mean()), float(result.ndcg.mean())
    print(
        f"  {name:<52} {seconds[1]:>7.2f} s  (first {seconds[0]:>6.2f} s)   R@{K} {recall:.4f}   N@{K} {ndcg:.4f}", flush=True
    )
    return {"name": name, "seconds": seconds[1], "first": seconds[0], "recall": recall, "ndcg": ndcg}


def als(train: Interactions, target: Interactions, rounds: int) -> list[dict[str, Any]]:
    """Ours, and implicit's with its own settings and with the nearest it has to ours."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    config = AlsConfig(width=WIDTH, iterations=ITERATIONS)
    model = MODELS["als"].make(config)
    nothing = np.zeros((len(train.items), 0), np.float32)
    rows = [line(f"ALS-{WIDTH} x {ITERATIONS}, ours", least(lambda: model.fit(train, nothing), rounds), model, train, target)]
    taken = csr_matrix(seen_matrix(train))
    # implicit puts weight on what was taken where iALS puts it on what was not, and knows one price for all.
    mean = len(train) / len(train.users)
    single = config.unobserved * mean / len(train.items)
    nearest = {"alpha": 1 / single, "regularization": config.penalty * mean * (1 + config.unobserved) / single}
    for name, settings in (("its defaults", {}), ("our weights and mean price", nearest)):
        made: list[Any] = []

        def fit(settings: dict[str, float] = settings, made: list[Any] = made) -> None:
            made[:] = [AlternatingLeastSquares(WIDTH, iterations=ITERATIONS, num_threads=1, random_state=0, **settings)]
            made[0].fit(taken, show_progress=False)

        seconds = least(fit, rounds)
        theirs = Theirs(made[0].user_factors, made[0].item_factors, train)
        rows.append(line(f"ALS-{WIDTH} x {ITERATIONS}, implicit, {name}", seconds, theirs, train, target))
    ratio = rows[0]["seconds"] / min(row["seconds"] for row in rows[1:])
    print(f"  ours takes {ratio:.2f} times implicit's time; goal 1.2: {1.2 / ratio:.2f}")
    return rows


def bpr(train: Interactions, target: Interactions) -> list[dict[str, Any]]:
    """Ours, and implicit's with the same rates, which do not shrink there."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    config = BprConfig(width=WIDTH, epochs=EPOCHS)
    model = MODELS["bpr"].make(config)
    nothing = np.zeros((len(train.items), 0), np.float32)
    rows = [line(f"BPR-{WIDTH} x {EPOCHS}, ours", least(lambda: model.fit(train, nothing), 1), model, train, target)]
    taken = csr_matrix(seen_matrix(train))
    for rate in (config.learning_rate, 0.01):
        theirs = BayesianPersonalizedRanking(
            WIDTH, learning_rate=rate, regularization=config.penalty, iterations=EPOCHS, num_threads=1, random_state=0
        )
        start = time.perf_counter()
        theirs.fit(taken, show_progress=False)
        seconds = time.perf_counter() - start
        scorer = Theirs(theirs.user_factors, theirs.item_factors, train)
        rows.append(line(f"BPR-{WIDTH} x {EPOCHS}, implicit, rate {rate}", (seconds, seconds), scorer, train, target))
    return rows


def everybody(train: Interactions, rounds: int) -> list[dict[str, Any]]:
    """Top 10 unseen of all users, a second, histories folded in; implicit's recommend beside it, on one thread as well."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    nothing, out = np.zeros((len(train.items), 0), np.float32), []
    for name, settings in (("als", {"width": WIDTH}), ("als", {}), ("bpr", {}), ("ease", {}), ("slim", {})):
        model = MODELS[name].make(MODELS[name].config(**settings))
        model.fit(train, nothing)
        for threads in (1, 2):
            own = partial(top_unseen, model.score, train, 10, threads=threads)
            rate = len(train.users) / least(own, rounds)[1]
            label = f"{name}{f'-{model.config.width}' if hasattr(model.config, 'width') else ''}"  # type: ignore[attr-defined]
            print(f"  top 10 for all, {label:<8} {threads} threads {rate:>9,.0f} users/s; goal 20,000: {rate / 20_000:.2f}")
            out.append({"name": label, "threads": threads, "users_a_second": rate})
    taken, users = csr_matrix(seen_matrix(train)), np.arange(len(train.users))
    theirs = AlternatingLeastSquares(WIDTH, iterations=1, num_threads=1, random_state=0)
    theirs.fit(taken, show_progress=False)
    for folded in (False, True):
        rate = len(users) / least(lambda again=folded: theirs.recommend(users, taken, 10, recalculate_user=again), rounds)[1]  # type: ignore[misc]
        print(
            f"  top 10 for all, implicit's ALS, {'folded in' if folded else 'factors known'} {rate:>9,.0f} users/s", flush=True
        )
        out.append({"name": f"implicit, {'folded in' if folded else 'factors known'}", "users_a_second": rate})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml1m_m1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    train, target = read(given.data)
    rows = als(train, target, given.rounds) + bpr(train, target)
    figures = {"data": given.data.name, "fits": rows, "top": everybody(train, given.rounds)}
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
