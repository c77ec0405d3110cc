"""What reinforcement learning adds to the supervised network on a log without decisions: liked items, ranked, three seeds.

    python benchmarks/learned_policy.py [--data PATH] [--seeds 3] [--minutes 15] [--workers 2] [--json FILE]

PATH is anything ``longgame.datasets`` reads and must have ratings; without it, ``ml100k`` under ``$LONGGAME_DATA`` or
``../shared/data``. Per user in order of time the last event is the test, the one before the validation; all unseen items
are ranked. Every choice is made on the validation events. All models side by side are in ``ranking.py``.

The learned policy is REINFORCE with the top-K correction, started from the supervised network of its seed and trained
on the same log: what a user rated 4 or more counts 1, and the policy that chose it is the supervised softmax of another
seed. "liked" is NDCG@10 over the test events that count.

Training stops adding seeds when ``--minutes`` are over, and says so.
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
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import islice, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.reinforce import Reinforce, ReinforceConfig
from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.evaluation.compare import BASELINES
from longgame.evaluation.intervals import Estimate, bootstrap
from longgame.evaluation.ranking import RankingResult, Scorer, evaluate_model, over_runs
from longgame.evaluation.splits import leave_last_out, together
from longgame.learning.organic import PolicyScorer, actions, organic_batches
from longgame.models import MODELS
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.rng import derive
from longgame.slate import Exploration
from longgame.types import F32, F64, Objective
from longgame.wiring.reading import read

K = 10
JUDGES = 3000
"""Users on whom a choice is made, at most."""
STEP = 50
"""Updates of the policy between two looks at the validation events."""


@dataclass(frozen=True)
class Data:
    """A log cut in three, and the text vectors of its items."""

    train: Interactions
    validation: Interactions
    test: Interactions
    features: F32
    liked: float
    """Value from which an event counts."""

    @property
    def before(self) -> Interactions:
        """All but the test events."""
        return together(self.train, self.validation)


@dataclass(frozen=True)
class PolicyChoice:
    """How the policy learns from the log."""

    learning_rate: float
    discount: float
    """Of rewards a day later."""
    updates: int = 300
    """The most; tuning looks every ``STEP`` updates and keeps the best of those looks."""


@dataclass
class Row:
    """One line of the table."""

    name: str
    runs: list[RankingResult]
    liked: list[RankingResult]
    seconds: float
    chosen: dict[str, Any] = field(default_factory=dict)


def open_data(path: Path) -> Data:
    """The log at ``path`` and what the encoder makes of its items."""
    known = read(path, say=print)
    if np.unique(known.log.value).size < 2:
        raise SystemExit(f"{path}: nothing is rated, so no event is worth more than another and no policy is learned")
    return Data(*leave_last_out(known.log), known.features, 4.0)


def some(target: Interactions, most: int = JUDGES) -> Interactions:
    """The events of ``most`` users, drawn once and for all."""
    chosen = derive(0, "judges").permutation(len(target.users)) < most
    return target.select(chosen[target.user])


def judged(name: str, scorers: Sequence[Scorer], data: Data, started: float, chosen: dict[str, Any]) -> Row:
    """Each scorer (a seed) on the test events."""
    seconds = time.perf_counter() - started
    runs = [evaluate_model(s, data.before, data.test, K) for s in scorers]
    good = data.test.select(data.test.value >= data.liked)
    row = Row(name, runs, [evaluate_model(s, data.before, good, K) for s in scorers], seconds, chosen)
    print(line(row), flush=True)
    return row


def baselines(data: Data) -> list[Row]:
    """Popularity, recency item-kNN and EASE with their defaults."""
    rows = []
    for name in BASELINES:
        started = time.perf_counter()
        config = MODELS[name].config()
        model = MODELS[name].make(config)
        model.fit(data.before, data.features)
        rows.append(judged(name, [model], data, started, asdict(config)))
    return rows


def train_network(config: SequenceConfig, log: Interactions, features: F32) -> tuple[Arrays, int]:
    """In a process of its own: the fitted arrays and the passes that were best."""
    import torch

    torch.set_num_threads(1)
    model = SequenceModel(config)
    model.fit(log, features)
    return model.state_dict(), model.best_epoch


def network(config: SequenceConfig, arrays: Arrays) -> SequenceModel:
    model = SequenceModel(config)
    model.load_state_dict(arrays)
    return model


def train_policy(
    choice: PolicyChoice, config: SequenceConfig, start: Arrays, behaviour: Arrays, data: Data, tuning: bool
) -> tuple[PolicyChoice, float, PolicyScorer]:
    """REINFORCE from ``start`` on a log whose behaviour is estimated by ``behaviour``, in a process of its own.

    When tuning, on the training events, keeping the number of updates with the best NDCG@10 over the validation events
    that count; else ``choice.updates`` on all but the test events.
    """
    import torch

    torch.set_num_threads(1)
    model, other = network(config, start), network(config, behaviour)
    vectors = model.item_vectors(data.features)
    objective = Objective({"rating": 1.0}, discount=choice.discount, floor={"rating": data.liked}, window=timedelta(hours=1))
    acted = actions(data.train if tuning else data.before, objective)
    learner = Reinforce(
        ReinforceConfig(
            config.network(), choice.learning_rate, top_k=K, explore=Exploration(1.0, 0.01), seed=config.seed,
            discount_future=choice.discount > 0,
        ),
        model.network_arrays(),
    )  # fmt: skip
    target = some(data.validation.select(data.validation.value >= data.liked))

    def look() -> tuple[float, PolicyScorer]:
        scorer = PolicyScorer(learner.policy, vectors, config.steps)
        return (float(evaluate_model(scorer, data.train, target, K).ndcg.mean()) if tuning else 0.0), scorer

    best, kept, at = -1.0, look()[1], 0
    stream = (
        batch
        for epoch in range(100)
        for batch in organic_batches(
            acted, vectors, other, config.steps, 128, derive(config.seed, "policy", str(epoch)), sample=1024
        )
    )
    for number, batch in enumerate(islice(stream, choice.updates), 1):
        learner.update(batch)
        if tuning and number % STEP == 0:
            value, scorer = look()
            if value > best:
                best, kept, at = value, scorer, number
    return (replace(choice, updates=at), best, kept) if tuning else (choice, 0.0, look()[1])


def learned(data: Data, seeds: int, until: float, workers: int) -> list[Row]:
    """The supervised network and the policy that starts from it, a process a seed."""
    config = SequenceConfig()
    before, configs = data.before, [replace(config, seed=seed) for seed in range(seeds)]
    started = time.perf_counter()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        supervised: list[tuple[Arrays, int]] = []
        while len(supervised) < seeds and (not supervised or time.perf_counter() < until):
            wave = configs[len(supervised) : len(supervised) + workers]
            supervised += pool.map(partial(train_network, log=before, features=data.features), wave)
        if len(supervised) < seeds:
            print(f"  out of time: {len(supervised)} seeds of {seeds}")
        models = [network(c, arrays) for c, (arrays, _) in zip(configs, supervised, strict=False)]
        chosen = {**asdict(config), "best_epoch": [epoch for _, epoch in supervised]}
        rows = [judged("supervised network", models, data, started, chosen)]
        started = time.perf_counter()
        # Trained for so many passes as the others and not until the validation events are ranked best: a start chosen by
        # the events that judge it could only get worse.
        passes = int(np.median([epoch for _, epoch in supervised]))
        start = pool.submit(
            train_network, replace(config, epochs=max(passes, 1), patience=0), data.train, data.features
        ).result()[0]
        choices = [PolicyChoice(*c) for c in product((3e-5, 1e-4, 3e-4), (0.0, 0.5))]
        tuned = list(
            pool.map(partial(train_policy, config=config, start=start, behaviour=start, data=data, tuning=True), choices)
        )
        base = float(evaluate_model(network(config, start), data.train, some(_liked(data)), K).ndcg.mean())
        choice, value, _ = max(tuned, key=lambda t: t[1])
        for candidate, reached, _ in tuned:
            print(f"    {candidate}: {reached:.4f}")
        print(f"  policy: {choice}, validation NDCG@{K} liked {value:.4f}, at the start {base:.4f}", flush=True)
        again = [
            pool.submit(train_policy, choice, c, arrays, supervised[(i + 1) % len(supervised)][0], data, False)
            for i, (c, (arrays, _)) in enumerate(zip(configs, supervised, strict=False))
        ]
        rows.append(judged("learned policy (REINFORCE)", [f.result()[2] for f in again], data, started, asdict(choice)))
    return rows


def _liked(data: Data) -> Interactions:
    return data.validation.select(data.validation.value >= data.liked)


HEADER = f"""| model | Recall@{K} | NDCG@{K} | MRR | coverage@{K} | NDCG@{K} liked | seeds |
|---|---|---|---|---|---|---|"""


def cell(runs: Sequence[RankingResult], metric: Any) -> tuple[Estimate, float]:
    seeds = over_runs(runs, metric, derive(0, "bootstrap", metric))
    return seeds.estimate, seeds.spread


def line(row: Row) -> str:
    """A row of the table: the mean, its interval over users and, for several seeds, the spread between them."""
    cells = []
    for runs, metric in ((row.runs, "recall"), (row.runs, "ndcg"), (row.runs, "mrr"), (row.liked, "ndcg")):
        estimate, spread = cell(runs, metric)
        between = f" ± {spread:.4f}" if len(runs) > 1 else ""
        cells.append(f"{estimate}{between}")
    cells.insert(3, f"{np.mean([run.coverage for run in row.runs]):.3f}")
    return f"| {row.name} | " + " | ".join(cells) + f" | {len(row.runs)} |"


def compare(rows: Sequence[Row]) -> list[str]:
    """The network against the best baseline, the policy against the network; paired over users, seeds averaged."""
    out = []
    plain, deep = rows[: len(BASELINES)], rows[len(BASELINES) :]
    best = max(plain, key=lambda row: float(row.runs[0].ndcg.mean()))
    for first, second in zip(deep, (best, deep[0]), strict=False):
        for label, one, two in ((f"NDCG@{K}", first.runs, second.runs), (f"NDCG@{K} liked", first.liked, second.liked)):
            gap = bootstrap(mean(one) - mean(two), derive(0, "difference"))
            out.append(f"{first.name} less {second.name}: {label} {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
    return out


def mean(runs: Sequence[RankingResult]) -> F64:
    """(n,) each user's NDCG, the mean over the seeds."""
    out: F64 = np.mean([run.ndcg for run in runs], axis=0)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if not asked.data.exists():
        raise SystemExit(f"{asked.data}: there is no such data; say where it is with --data or LONGGAME_DATA")
    started = time.perf_counter()
    data = open_data(asked.data)
    rows = baselines(data)
    rows += learned(data, asked.seeds, started + 60 * asked.minutes / 2, asked.workers)
    print("\n" + HEADER, *map(line, rows), "", *compare(rows), sep="\n")
    print(f"\n{len(rows[0].runs[0].users):,} users; {(time.perf_counter() - started) / 60:.1f} minutes")
    if asked.json:
        asked.json.write_text(json.dumps({row.name: report(row) for row in rows}, indent=1, default=str), "utf-8")


def report(row: Row) -> dict[str, Any]:
    """A row as JSON."""
    out: dict[str, Any] = {"config": row.chosen, "seconds": row.seconds, "seeds": len(row.runs)}
    for metric in ("recall", "ndcg", "mrr"):
        estimate, spread = cell(row.runs, metric)
        out[metric] = {**asdict(estimate), "spread": spread}
    out["coverage"] = float(np.mean([run.coverage for run in row.runs]))
    return out


if __name__ == "__main__":
    main()
