"""Who listens to whom: clicks foretold on Last.FM with a knowledge graph, by the protocol of KGCN, AUC.

    python benchmarks/clicks.py [--data PATH] [--seeds 5] [--json FILE]

PATH is a folder with ``kg.txt``, ``item_index2entity_id.txt`` and ``user_artists.dat``; without it ``lastfm_kg`` under
``$LONGGAME_DATA`` or ``../shared/data``. As in KGCN (Wang et al., WWW 2019): a pair of user and artist that is in the data
is 1, as many of each user's other artists, drawn uniformly, are 0; all rows are dealt 6:2:2 to training, validation and
test. The paper and those after it have .794 to .796. Negatives that are drawn uniformly are mostly artists whom nobody
listens to, so popularity goes far here, and stands beside.

Scores are made from the training rows that are 1; what they weigh together is a logistic regression on the validation rows.
Intervals are Student's over the seeds, each with negatives and a deal of its own.
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
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from longgame.datasets.triples import read_graph
from longgame.evaluation.intervals import over_seeds
from longgame.knowledge.graph import Graph
from longgame.knowledge.vectors import VectorConfig, embed
from longgame.rng import derive
from longgame.types import F64, I64, ItemId

PUBLISHED = 0.796
PRICE = 1.0
"""Of squared weights in the regression."""


def pairs(path: Path, items: dict[str, int]) -> I64:
    """(N, 2) user and artist, numbered from 0; artists without an entity are left out, as in KGCN."""
    users: dict[str, int] = {}
    out = []
    with path.open(encoding="utf-8") as rows:
        for line in list(rows)[1:]:
            user, artist, _ = line.split()
            if artist in items:
                out.append((users.setdefault(user, len(users)), items[artist]))
    return np.unique(np.array(out, np.int64), axis=0)


def dealt(positive: I64, count: int, seed: int) -> tuple[I64, I64, I64]:
    """Rows (user, artist, 1 or 0), 6:2:2."""
    rng = derive(seed, "clicks")
    rows = [np.column_stack([positive, np.ones(len(positive), np.int64)])]
    for user in range(positive[:, 0].max() + 1):
        own = positive[positive[:, 0] == user, 1]
        drawn = rng.choice(np.setdiff1d(np.arange(count), own), len(own), replace=False)
        rows.append(np.column_stack([np.full(len(own), user), drawn, np.zeros(len(own), np.int64)]))
    every = rng.permutation(np.concatenate(rows))
    first, second = int(0.6 * len(every)), int(0.8 * len(every))
    return every[:first], every[first:second], every[second:]


def auc(label: I64, score: F64) -> float:
    """The chance that a row that is 1 has the higher score; ties count half."""
    rank, ones = rankdata(score), int(label.sum())
    return float((rank[label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))


def scores(train: I64, rows: I64, count: int, graph: F64) -> dict[str, F64]:
    """What each way of looking says of ``rows``, from the training rows that are 1."""
    took = train[train[:, 2] == 1]
    users = max(int(train[:, 0].max()), int(rows[:, 0].max())) + 1
    log = csr_matrix((np.ones(len(took)), (took[:, 0], took[:, 1])), (users, count))
    popular = np.log1p(np.asarray(log.sum(axis=0)).ravel())
    length = np.sqrt(np.maximum(np.asarray(log.sum(axis=0)).ravel(), 1))
    together = (log.T @ log).toarray() / (length[:, None] * length)
    np.fill_diagonal(together, 0)
    near = np.asarray(log @ together)[rows[:, 0], rows[:, 1]]
    likeness = np.maximum(graph @ graph.T, 0)
    np.fill_diagonal(likeness, 0)
    alike = np.asarray(log @ likeness)[rows[:, 0], rows[:, 1]] / np.maximum(np.asarray(log.sum(axis=1)).ravel()[rows[:, 0]], 1)
    liked = likeness @ popular / np.maximum(likeness.sum(axis=1), 1e-9)
    return {
        "popularity": popular[rows[:, 1]],
        "item-kNN": np.log1p(near),
        "graph": alike,
        "popular neighbours in the graph": liked[rows[:, 1]],
    }


def weighed(columns: F64, label: I64) -> F64:
    """Weights of standardised columns and an intercept, by Newton's method."""
    x = np.column_stack([columns, np.ones(len(columns))])
    out: F64 = np.zeros(x.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-x @ out))
        slope = x.T @ (label - chance) - PRICE * out
        out += np.linalg.solve((x * (chance * (1 - chance))[:, None]).T @ x + PRICE * np.eye(len(out)), slope)
    return out


def measured(positive: I64, graph: Graph, shuffled: Graph, items: tuple[ItemId, ...], seed: int) -> dict[str, float]:
    train, held, test = dealt(positive, len(items), seed)
    out: dict[str, float] = {}
    plain = ["popularity", "item-kNN"]
    for which, known in (("", graph), (" shuffled", shuffled)):
        vectors = embed(known, VectorConfig(64, hop=0.5)).rows(items).astype(np.float64)
        sides = [scores(train, rows, len(items), vectors) for rows in (held, test)]
        if not which:
            out |= {name: auc(test[:, 2], sides[1][name]) for name in [*plain, "graph"]}
        for title, names in (("both plain", plain), (f"all, graph{which}", list(sides[0]))):
            columns = [np.column_stack([side[name] for name in names]) for side in sides]
            mean, spread = columns[0].mean(axis=0), columns[0].std(axis=0) + 1e-12
            weights = weighed((columns[0] - mean) / spread, held[:, 2])
            out[title] = auc(test[:, 2], (columns[1] - mean) / spread @ weights[:-1])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "lastfm_kg")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    asked = parser.parse_args()
    if not (asked.data / "user_artists.dat").exists():
        raise SystemExit(f"{asked.data}: there is no such data; say where it is with --data or LONGGAME_DATA")
    graph = read_graph(asked.data)
    positive = pairs(asked.data / "user_artists.dat", {item: row for row, item in enumerate(graph.items)})
    print(f"{len(graph):,} facts; {positive[:, 0].max() + 1:,} users, {len(graph.items):,} artists, {len(positive):,} pairs")
    found: dict[str, list[float]] = {}
    for seed in range(asked.seeds):
        shuffled = replace(graph, entity=derive(seed, "clicks", "shuffled").permutation(graph.entity))
        for name, value in measured(positive, graph, shuffled, graph.items, seed).items():
            found.setdefault(name, []).append(value)
    told = {name: over_seeds(np.array(values)) for name, values in found.items()}
    for name, figure in told.items():
        print(f"  {name:<34} AUC {figure}  published {PUBLISHED}: {figure.value / PUBLISHED:.3f}")
    if asked.json:
        asked.json.write_text(json.dumps({name: vars(figure) for name, figure in told.items()}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
