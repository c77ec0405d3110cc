"""Whether a user would choose what is shown: a calibrated model of choices beside language models that play the user.

    python benchmarks/choices.py [--data PATH] [--folds 5] [--seeds 3] [--json FILE]

PATH is a folder with ``decisions.csv`` (user, film shown, whether it truly is among the user's held-out films, what a language
model in the user's role said), ``movie_detail.csv`` and ``train.txt`` (what each user had seen before); without it
``llm_users`` under ``$LONGGAME_DATA`` or ``../shared/data``. Recommenders are fitted on ``train.txt`` alone and score what was
shown. A logistic regression on the logarithms of the places that they give it says how probable the choice is; it is learned
on other users than it is judged on, and so is the line above which it says yes, the one with the best balanced accuracy.

Balanced accuracy is the mean of the shares of right answers on what was and on what was not chosen: .5 for who does not
know. Calibration is the mean difference between what is foretold and what happens, over ten groups of equal size. Intervals are
bootstrapped over users and seeds. Beside the whole: each recommender alone, popularity, and the language model's own answers.

The goal: .60 (the language model in the user's role .551).
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.evaluation.intervals import Estimate, crossed
from longgame.language import MiniLM
from longgame.models import MODELS
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool, ItemId, UserId

GOAL = 0.60
RANKERS = ("popularity", "item-knn", "user-knn", "ease", "als", "slim")
"""Of the recommenders, those that need no order, which the log has not."""
PRICE = 1.0
"""Of squared coefficients of standardised scores, against the sum of the losses."""


@dataclass(frozen=True)
class Shown:
    """What was shown to whom, and what came of it; n rows."""

    log: Interactions
    """What users had seen before."""
    texts: tuple[str, ...]
    """Of the items."""
    user: I64
    item: I64
    chosen: Bool
    said: F32
    """(n, 3) the language model in the user's role: whether it fits, whether it watches, the rating that it gives or 0"""
    mean_rating: F32
    """(n,) as the user was told it"""


def read(path: Path) -> Shown:
    """Raises SystemExit where a file is missing."""
    files = {name: path / name for name in ("decisions.csv", "movie_detail.csv", "train.txt")}
    for file in files.values():
        if not file.exists():
            raise SystemExit(f"{file}: there is no such file; say where it is with --data or LONGGAME_DATA")
    with files["movie_detail.csv"].open(encoding="utf-8", newline="") as rows:
        films = {
            row["title"]: (int(row["movie_id"]), f"{row['title']}. {row['genres']}. {row['summary']}")
            for row in csv.DictReader(rows)
        }
    seen = {
        int(parts[0]): sorted(map(int, parts[1:]))
        for line in files["train.txt"].read_text().splitlines()
        if (parts := line.split())
    }
    items = 1 + max(max(number for number, _ in films.values()), max(max(s, default=0) for s in seen.values()))
    offsets = np.cumsum([0, *(len(seen.get(user, ())) for user in range(1 + max(seen)))]).astype(np.int64)
    item = np.array([i for user in range(1 + max(seen)) for i in seen.get(user, ())], np.int64)
    names = tuple(UserId(str(u)) for u in range(1 + max(seen))), tuple(ItemId(str(i)) for i in range(items))
    log = Interactions(*names, offsets, item, np.zeros(len(item), np.int64), np.ones(len(item), np.float32))
    texts = [""] * items
    for number, text in films.values():
        texts[number] = text
    with files["decisions.csv"].open(encoding="utf-8", newline="") as rows:
        table = [row for row in csv.DictReader(rows) if row["title"] in films]
    return Shown(
        log,
        tuple(texts),
        np.array([int(row["user"]) for row in table]),
        np.array([films[row["title"]][0] for row in table]),
        np.array([row["held_out_positive"] == "1" for row in table]),
        np.array([[float(row[name] or 0) for name in ("llm_align", "llm_watch", "llm_rating")] for row in table], np.float32),
        np.array([float(row["shown_mean_rating"]) for row in table], np.float32),
    )


def scored(shown: Shown) -> dict[str, F64]:
    """Recommender -> (n,) logarithm of the place of each film shown among all films for its user."""
    features = MiniLM().embed(shown.texts) if MiniLM.installed() else np.zeros((len(shown.log.items), 0), np.float32)
    users, row = np.unique(shown.user, return_inverse=True)
    history = shown.log.padded(users)
    out = {}
    for name in (*RANKERS, "content") if features.shape[1] else RANKERS:
        model = MODELS[name].make(MODELS[name].config())
        model.fit(shown.log, features)
        scores = model.score(history)
        own = scores[row, shown.item]
        out[name] = np.array([float(np.log1p((scores[r] >= s).sum())) for r, s in zip(row.tolist(), own.tolist(), strict=True)])
        print(f"  {name} fitted", flush=True)
    return out


def logistic(x: F64, y: F64, price: float = PRICE) -> F64:
    """(n, p), (n,) in {0, 1} -> (p + 1,) coefficients, the level first: ridge-penalised, by Newton's steps."""
    x = np.column_stack([np.ones(len(x)), x])
    held = np.full(x.shape[1], price)
    held[0] = 0.0
    out = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ out, -30, 30)))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.diag(held + 1e-9), x.T @ (y - p) - held * out)
        out = out + step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(out)


def foretold(x: F64, shown: Shown, folds: int, seed: int) -> tuple[F64, Bool]:
    """(n,) how probable each choice is, and whether yes is said, each by what was learned from the other users."""
    users = np.unique(shown.user)
    part = np.zeros(users.max() + 1, np.int64)
    part[users] = derive(seed, "choices").permutation(len(users)) % folds
    y = shown.chosen.astype(np.float64)
    chance, yes = np.zeros(len(y)), np.zeros(len(y), np.bool_)
    for fold in range(folds):
        test = part[shown.user] == fold
        mean, spread = x[~test].mean(axis=0), x[~test].std(axis=0)
        z = (x - mean) / np.where(spread > 0, spread, 1)
        weights = logistic(z[~test], y[~test])
        p = 1 / (1 + np.exp(-(weights[0] + z @ weights[1:])))
        chance[test], yes[test] = p[test], p[test] >= line(p[~test], shown.chosen[~test])
    return chance, yes


def line(chance: F64, chosen: Bool) -> float:
    """The bound at or above which to say yes for the best balanced accuracy on these."""
    order = np.argsort(-chance, kind="stable")
    hits, alarms = np.cumsum(chosen[order]) / max(1, chosen.sum()), np.cumsum(~chosen[order]) / max(1, (~chosen).sum())
    return float(chance[order][np.argmax(hits - alarms)])


def balanced(yes: Bool, shown: Shown) -> F64:
    """(n,) what each answer adds to the balanced accuracy: its mean is that."""
    share = shown.chosen.mean()
    return np.where(yes == shown.chosen, np.where(shown.chosen, 0.5 / share, 0.5 / (1 - share)), 0.0)


def by_user(values: F64, shown: Shown) -> F64:
    """(U,) sums over each user's rows, scaled so that their mean is the mean of the rows."""
    users, row = np.unique(shown.user, return_inverse=True)
    return np.bincount(row, values) * len(users) / len(values)


def off(chance: F64, chosen: Bool) -> float:
    """Mean difference of what was foretold and what happened over ten groups."""
    groups = np.array_split(np.argsort(chance), 10)
    return float(np.mean([abs(chance[g].mean() - chosen[g].mean()) for g in groups]))


def judged(name: str, x: F64, shown: Shown, folds: int, seeds: int) -> dict[str, Any]:
    found = [foretold(x, shown, folds, seed) for seed in range(seeds)]
    told: Estimate = crossed(np.stack([by_user(balanced(yes, shown), shown) for _, yes in found]), derive(0, "choices", name))
    calibration = float(np.mean([off(chance, shown.chosen) for chance, _ in found]))
    print(f"  {name:<42} balanced accuracy {told}   off by {calibration:.3f}", flush=True)
    return {"name": name, "value": told.value, "low": told.low, "high": told.high, "off": calibration}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "llm_users")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    shown = read(given.data)
    users = len(np.unique(shown.user))
    print(f"{given.data.name}: {len(shown.user):,} films shown to {users:,} users, {shown.chosen.mean():.1%} chosen")
    scores = scored(shown)
    every = np.column_stack(list(scores.values()))
    said = shown.said.astype(np.float64)
    outright = crossed(by_user(balanced(shown.said[:, 1] > 0, shown), shown)[None], derive(0, "choices"))
    print(f"  {'the language model, whether it watches':<42} balanced accuracy {outright}")
    rows = [judged("the language model's answers, calibrated", said, shown, given.folds, given.seeds)]
    rows += [judged(name, column[:, None], shown, given.folds, given.seeds) for name, column in scores.items()]
    rows.append(judged("all recommenders", every, shown, given.folds, given.seeds))
    whole = judged("all, and the language model's answers", np.column_stack([every, said]), shown, given.folds, given.seeds)
    drawn = derive(0, "choices", "shuffled").permutation(len(every))
    rows += [whole, judged("the same, of other rows", np.column_stack([every, said])[drawn], shown, given.folds, given.seeds)]
    print(f"  goal {GOAL}, ours {rows[-3]['value']:.4f} without the language model: {rows[-3]['value'] / GOAL:.2f}")
    if given.json:
        given.json.write_text(json.dumps({"data": given.data.name, "outright": outright.value, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
