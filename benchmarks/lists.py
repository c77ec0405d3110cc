"""Whether reinforcement learning helps on a real log: one supervised checkpoint before and after list-wise training, 5 seeds.

    python benchmarks/lists.py [--data PATH] [--seeds 5] [--updates 300] [--validation] [--out FOLDER] [--json FILE]

PATH is anything ``longgame.datasets`` reads; without it, ``ml100k`` under ``$LONGGAME_DATA`` or ``../shared/data``. Per user
the last event is the test and is touched once; with ``--validation`` the one before it is judged instead, for choices. All
items that a user has not had are ranked.

For each seed the sequence model is fitted, and from *that* checkpoint, item vectors fixed, three are trained for as many
updates on the same windows of the same log (``learning.lists``): the supervised loss as it was; the supervised loss over what
the user has not had yet; and the same with the reward of drawn lists beside it. So the table tells apart what more training,
what masks and what lists bring. Goal: NDCG@10 of the last >= 5 % above the checkpoint's, recall at 10 and 50 not below.

Fits are kept in ``--out`` and found again.
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
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.evaluation.fingerprint import code
from longgame.evaluation.intervals import Estimate, crossed
from longgame.evaluation.ranking import Scorer, evaluate_model
from longgame.evaluation.splits import leave_last_out, together
from longgame.language import VectorCache
from longgame.learning.lists import ListConfig, learn_lists
from longgame.learning.organic import PolicyScorer
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.rng import derive
from longgame.types import F32, F64
from longgame.wiring.reading import read
from longgame.wiring.workspace import one_thread

GOAL = 0.05
BEFORE = "before: the supervised checkpoint"
ARMS: Mapping[str, Mapping[str, Any]] = {
    "supervised on, over all items": {"lists": 0.0, "unseen": False},
    "supervised on, over what was not had": {"lists": 0.0},
    "lists beside it": {},
}
METRICS = ("ndcg@10", "recall@10", "recall@50")


def checkpoint(seed: int, log: Interactions, features: F32, folder: Path, name: str) -> SequenceModel:
    """The sequence model of a seed with its defaults, fitted or found."""
    model = SequenceModel(SequenceConfig(seed=seed))
    path = folder / f"{name}-{seed}-{code()[:12]}.npz"
    if path.exists():
        with np.load(path) as held:
            model.load_state_dict(dict(held))
        return model
    started = time.perf_counter()
    model.fit(log, features)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, **dict[str, Any](model.state_dict()))
    print(f"  seed {seed}: fitted in {time.perf_counter() - started:.0f} s, best after {model.best_epoch} passes", flush=True)
    return model


def judged(scorer: Scorer, known: Interactions, asked: Interactions) -> F64:
    """(3, n) the metrics of each user."""
    ten, fifty = (evaluate_model(scorer, known, asked, k) for k in (10, 50))
    return np.stack([ten.ndcg, ten.recall, fifty.recall])


def of_seed(seed: int, updates: int, log: Interactions, asked: Interactions, features: F32, out: Path, name: str) -> list[F64]:
    """The checkpoint, then each arm."""
    model = checkpoint(seed, log, features, out, name)
    vectors = model.item_vectors(features)
    found = [judged(model, log, asked)]
    for arm, changed in ARMS.items():
        started = time.perf_counter()
        config = replace(ListConfig(updates=updates, seed=seed), **changed)
        policy = learn_lists(config, model.config.network(), model.network_arrays(), vectors, log)
        found.append(judged(PolicyScorer(policy, vectors, model.config.steps), log, asked))
        told = ", ".join(
            f"{m} {after:.4f} ({after / before - 1:+.1%})"
            for m, before, after in zip(METRICS, found[0].mean(axis=1), found[-1].mean(axis=1), strict=True)
        )
        print(f"  seed {seed}, {arm}: {told}, {time.perf_counter() - started:.0f} s", flush=True)
    return found


def told(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"


def table(values: F64) -> tuple[list[str], dict[str, Any]]:
    """(S, arms, 3, n) -> a table in Markdown, and the figures."""
    names = [BEFORE, *ARMS]
    lines = ["| | " + " | ".join(f"{m} | less before" for m in METRICS) + " |", "|---|" + "---:|" * (2 * len(METRICS))]
    figures: dict[str, Any] = {}
    for arm, name in enumerate(names):
        cells = []
        for m, metric in enumerate(METRICS):
            mean = float(values[:, arm, m].mean())
            gap = crossed(values[:, arm, m] - values[:, 0, m], derive(0, "lists", name, metric))
            figures.setdefault(name, {})[metric] = {"value": mean, "less before": asdict(gap)}
            cells.append(f"{mean:.4f} | {told(gap) if arm else ''}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--validation", action="store_true", help="judge by the validation events, and leave the test alone")
    parser.add_argument("--out", type=Path, help="folder for checkpoints; lists/NAME if left out")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    asked = parser.parse_args()
    if not asked.data.exists():
        raise SystemExit(f"{asked.data}: there is no such data; say where it is with --data or LONGGAME_DATA")
    one_thread()
    started = time.perf_counter()
    out = asked.out or Path("lists") / asked.data.name
    known = read(asked.data, cache=VectorCache(out / "vectors"), say=print)
    train, validation, test = leave_last_out(known.log)
    log, target = (train, validation) if asked.validation else (together(train, validation), test)
    name = "validation" if asked.validation else "test"
    seeds = range(asked.first, asked.first + asked.seeds)
    values = np.array([of_seed(s, asked.updates, log, target, known.features, out, name) for s in seeds])
    lines, figures = table(values)
    gain = values[:, -1, 0].mean() / values[:, 0, 0].mean() - 1
    by_lists = crossed(values[:, -1, 0] - values[:, -2, 0], derive(0, "lists", "alone"))
    print(f"\n{known.name}, {name} events of {values.shape[-1]:,} users, {asked.seeds} seeds\n")
    print("\n".join(lines))
    print(f"\nNDCG@10 {gain:+.1%} of the checkpoint's; goal {GOAL:+.0%}, ratio {gain / GOAL:.2f}")
    print(f"of that by lists, less the same training without them: {told(by_lists)}")
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    if asked.json:
        content = {"arms": figures, "lists alone": asdict(by_lists), "seeds": asked.seeds, "updates": asked.updates}
        asked.json.write_text(json.dumps(content, indent=1), "utf-8")


if __name__ == "__main__":
    main()
