"""What pictures are worth beside texts, and what one costs that is missing: items nobody met, in the shop that draws its own.

    python benchmarks/pictures.py [--seeds 5] [--json FILE] [--policy [--size small]]

The text says what a thing is and how it is sold; its colour, which customers have a liking for, and its quality are in the
picture alone. 1,000 customers were shown 40 slates of 4 from 280 items, drawn uniformly, and stay as they are. Then they are
shown 60 items that nobody met, for validation, and 60 others for the test, 8 slates of each. Who clicks what is foretold by a
logistic regression on two numbers: the score of ``content`` from a customer's clicks, and the appeal that ridge regression
tells from an item's vector. The regression is learned on the validation items, by which ``content`` is chosen too. AUC is over
all that was shown in the test; R2 is how much of the quality, which no click shows, ridge regression tells of the same items.

With ``--policy`` the whole of longgame runs in that shop (``longgame demo``, less serving) on the text alone and on
both, and what counts is purchases a customer of the policy that looks ahead.

Intervals are Student's over the seeds: each is a shop, its pictures and its customers.
"""

# ruff: noqa: E402 - threads are set before numpy loads
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # beside a busy neighbour two threads are slower than one
    os.environ.setdefault(_name, "1")

import argparse
import json
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from longgame.arrays import Interactions
from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.language import Features, MiniLM, understand
from longgame.language.efficientnet import EfficientNetLite0
from longgame.language.fusion import Fusion
from longgame.language.ridge import Ridge
from longgame.models.content import Content, ContentConfig
from longgame.rng import derive
from longgame.simulation.pictures import draw, write
from longgame.simulation.shop import Shop, ShopConfig
from longgame.types import F32, F64, I64, Event, UserId

USERS, K, LOOKS = 1000, 4, 1.0
OLD, NEW = 280, 60
"""Items that are known, and those of the validation and of the test each."""
VISITS, JUDGED = 40, 8
CONFIGS = tuple(ContentConfig(half_life=np.inf, whiten=w, aligned=a) for w, a in ((0.0, 0), (0.5, 0), (0.5, 16), (0.5, 64)))
"""Among which validation chooses, for each way of reading on its own."""


class Log:
    """What customers were shown, and what they clicked."""

    def __init__(self, shop: Shop, items: I64, visits: int, rng: np.random.Generator) -> None:
        shown, users = [], np.repeat(np.arange(USERS), K)
        for _ in range(visits):
            slates = items[np.argsort(rng.random((USERS, len(items))), axis=1)[:, :K]]
            chance, _ = shop.chances(slates)
            shown.append(np.column_stack([users, slates.ravel(), rng.random(USERS * K) < chance.ravel()]))
        self.rows: I64 = np.concatenate(shown).astype(np.int64)

    @property
    def clicked(self) -> I64:
        return self.rows[:, 2]


def interactions(shop: Shop, log: Log) -> Interactions:
    ids, start = tuple(item.id for item in shop.catalogue()), datetime(2030, 1, 1, tzinfo=UTC)
    events = (
        Event(f"e{n}", start + timedelta(minutes=n), UserId(f"{user:04d}"), ids[item], "click")
        for n, (user, item, took) in enumerate(log.rows.tolist())
        if took
    )
    return Interactions.of(events, ids)


def histories(log: Log) -> I64:
    """(U, T) items that each customer clicked, oldest first."""
    held: list[list[int]] = [[] for _ in range(USERS)]
    for user, item, took in log.rows.tolist():
        if took:
            held[user].append(item)
    out = np.full((USERS, max(map(len, held))), -1, np.int64)
    for user, items in enumerate(held):
        out[user, : len(items)] = items
    return out


def auc(label: I64, score: F64) -> float:
    """The chance that a row that is 1 has the higher score; ties count half."""
    rank, ones = rankdata(score), int(label.sum())
    return float((rank[label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))


def weighed(columns: F64, label: I64) -> F64:
    """Weights of columns and an intercept, by Newton's method."""
    x = np.column_stack([columns, np.ones(len(columns))])
    out: F64 = np.zeros(x.shape[1])
    for _ in range(20):
        chance = 1 / (1 + np.exp(-x @ out))
        out += np.linalg.solve((x * (chance * (1 - chance))[:, None]).T @ x + np.eye(len(out)), x.T @ (label - chance) - out)
    return out


def appeal(log: Log, vectors: F32) -> F64:
    """(I,) log-odds of a click, told from vectors; learned from the items that were shown."""
    shown = np.bincount(log.rows[:, 1], minlength=len(vectors))
    clicks = np.bincount(log.rows[:, 1], log.clicked, minlength=len(vectors))
    rate = np.log((clicks + 1) / (shown - clicks + 4))
    return Ridge.fit(vectors[:OLD], rate[:OLD, None]).predict(vectors)[:, 0]


class Trial:
    """One shop: what was clicked in it, and what any item vectors are worth there."""

    def __init__(self, seed: int) -> None:
        self.seed, self.shop = seed, Shop(ShopConfig(users=USERS, items=OLD + 2 * NEW, looks=LOOKS, budget=np.inf, seed=seed))
        rng = derive(seed, "benchmark", "pictures")
        parts = np.split(np.arange(OLD + 2 * NEW), [OLD, OLD + NEW])
        self.log, self.held, self.test = (
            Log(self.shop, items, visits, rng) for items, visits in zip(parts, (VISITS, JUDGED, JUDGED), strict=True)
        )
        self.seen = interactions(self.shop, self.log)
        self.history = histories(self.log)

    def by(self, score: F64) -> tuple[F64, F64]:
        """(U, I) -> of the rows shown in validation and test."""
        a, b = (score[log.rows[:, 0], log.rows[:, 1]] for log in (self.held, self.test))
        return a, b

    def auc(self, columns: list[F64]) -> tuple[float, float]:
        """Of validation and test, for (U, I) columns."""
        held, test = (np.column_stack(list(side)) for side in zip(*map(self.by, columns), strict=True))
        mean, spread = held.mean(axis=0), held.std(axis=0) + 1e-12
        weights = weighed((held - mean) / spread, self.held.clicked)
        sides = ((held, self.held), (test, self.test))
        a, b = (auc(log.clicked, (side - mean) / spread @ weights[:-1]) for side, log in sides)
        return a, b

    def worth(self, vectors: F32, beside: list[F64] | None = None) -> dict[str, float]:
        """AUC in the test with the config that validation chooses, and what is told of quality; ``beside`` other columns."""
        told = np.broadcast_to(appeal(self.log, vectors), (USERS, len(vectors)))
        found = []
        for config in CONFIGS:
            model = Content(config)
            model.fit(self.seen, vectors)
            found.append(self.auc([model.score(self.history).astype(np.float64), told, *(beside or [])]))
        quality = self.shop.quality
        guess = Ridge.fit(vectors[:OLD], quality[:OLD, None]).predict(vectors[-NEW:])[:, 0]
        out = 1 - ((guess - quality[-NEW:]) ** 2).mean() / quality[-NEW:].var()
        return {"AUC": max(found)[1], "R2 of quality": float(out)}

    def plain(self) -> list[F64]:
        """(U, I) without an encoder: how often a customer clicked in a category, and how popular it is."""
        groups = np.eye(8)[self.shop.category]
        own = np.zeros((USERS, 8))
        for row in self.history.T:
            known = row >= 0
            own[known] += groups[row[known]]
        every = np.broadcast_to((own.sum(axis=0) / np.maximum(groups[:OLD].sum(axis=0), 1)) @ groups.T, (USERS, len(groups)))
        return [np.log1p(own) @ groups.T, every]

    def truth(self) -> float:
        """AUC of the chances that clicks are drawn from."""
        count = len(self.shop.catalogue())
        each = [self.shop.chances(np.full((USERS, 1), item))[0] for item in range(count)]  # each in the first slot
        return self.auc([_odds(np.concatenate(each, axis=1))])[1]


def _odds(chance: F64) -> F64:
    kept = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.log(kept / (1 - kept))


def readings(trial: Trial, text: Features, pictures: Features) -> dict[str, F32]:
    """Ways of reading the same catalogue -> (I, D)."""
    rng, count = derive(trial.seed, "benchmark", "missing"), len(text)
    none = replace(text, vectors=np.zeros_like(text.vectors))
    new = np.arange(count) >= OLD
    half = rng.permutation(count) < count // 2
    shuffled = replace(pictures, vectors=pictures.vectors[rng.permutation(count)])

    def without(rows: np.ndarray[Any, np.dtype[np.bool_]], of: Features) -> Features:
        return replace(of, vectors=np.where(rows[:, None], 0, of.vectors).astype(np.float32))

    both = Fusion.fit(text, pictures)
    lacking = without(half, pictures)
    halves = Fusion.fit(text, lacking)
    return {
        "text": text.vectors,
        "picture": both.features(none, pictures, complete=False).vectors,
        "both": both.features(text, pictures).vectors,
        "both, pictures shuffled": Fusion.fit(text, shuffled).features(text, shuffled).vectors,
        "pictures of half the items": halves.features(text, lacking).vectors,
        "pictures of half the items, without dropout": halves.features(text, lacking, complete=False).vectors,
        "new items lack pictures": Fusion.fit(text, without(new, pictures)).features(text, without(new, pictures)).vectors,
        "new items lack pictures, without dropout": both.features(text, without(new, pictures), complete=False).vectors,
        "new items lack texts": both.features(without(new, text), pictures).vectors,
        "new items lack texts, without dropout": both.features(without(new, text), pictures, complete=False).vectors,
    }


def measured(seed: int) -> tuple[dict[str, dict[str, float]], float]:
    """Figures by way of reading, and pictures a second of processor time, decoding included."""
    trial = Trial(seed)
    items = trial.shop.catalogue()
    drawn, model = [draw(trial.shop, number) for number in range(len(items))], EfficientNetLite0()
    model.embed(drawn[:2])
    began = time.process_time()  # of this process alone: what runs beside it takes turns
    seen = model.embed(drawn)
    rate = len(drawn) / (time.process_time() - began)
    text = understand(items, MiniLM())
    read, plain = readings(trial, text, Features("p", text.ids, seen)), trial.plain()
    out = {name: trial.worth(vectors) for name, vectors in read.items()}
    out["the category alone"] = {"AUC": trial.auc(plain)[1]}
    for name in ("text", "both", "both, pictures shuffled"):
        out[f"the category and {name}"] = {"AUC": trial.worth(read[name], plain)["AUC"]}
    out["the truth"] = {"AUC": trial.truth()}
    return out, rate


def policy(seeds: int, scale: str) -> dict[str, Estimate]:
    """Purchases a customer of what was learned in the shop with pictures, by what it reads."""
    from longgame.settings import Settings
    from longgame.wiring.demo import SIZES, demo_settings, live_with, run_seed
    from longgame.wiring.workspace import workspace

    size, found = replace(SIZES[scale], looks=LOOKS), dict[str, list[float]]()
    with tempfile.TemporaryDirectory() as held:
        shots = Path(held) / "shots"
        write(size.shop(1), shots)
        for name, use in (("text", False), ("both", True)):
            settings = demo_settings(Path(held), Settings())
            section = settings.pictures.model_copy(update={"use": use, "folder": str(shots)})
            for seed in range(1, seeds + 1):
                folder = Path(held) / f"{name}-{seed}"
                folder.mkdir()
                own: dict[str, Any] = {"store": settings.store.model_copy(update={"url": f"sqlite:///{folder / 'log.db'}"})}
                own |= {"data": settings.data.model_copy(update={"folder": str(folder)}), "pictures": section}
                with workspace(settings.model_copy(update=own)) as ws:
                    world, trained = run_seed(ws, ws.store, size, seed, print)
                    returns = live_with(trained, ws.settings, world, size, seed)
                for who in ("random", "myopic", "learned"):
                    found.setdefault(f"{name}, {who}", []).append(float(returns[who].reward.mean()))
    for who in ("myopic", "learned"):
        found[f"both less text, {who}"] = [a - b for a, b in zip(found[f"both, {who}"], found[f"text, {who}"], strict=True)]
    found["both, learned less myopic"] = [a - b for a, b in zip(found["both, learned"], found["both, myopic"], strict=True)]
    return {name: over_seeds(np.array(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--policy", action="store_true", help="purchases of a learned policy instead")
    parser.add_argument("--size", default="small", choices=("tiny", "small", "full"), help="of the shop of --policy")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.policy:
        said: dict[str, Any] = {name: vars(figure) for name, figure in policy(asked.seeds, asked.size).items()}
        for name, figure in said.items():
            print(f"  {name:<26} {figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]")
    else:
        runs = [measured(seed) for seed in range(asked.seeds)]
        print(f"{np.median([rate for _, rate in runs]):.0f} pictures a second of one core, median over seeds")
        said = {}
        for name, kinds in runs[0][0].items():
            figures = {kind: over_seeds(np.array([found[name][kind] for found, _ in runs])) for kind in kinds}
            other = "the category and text" if name.startswith("the category and") else "text"
            gaps = np.array([found[name]["AUC"] - found[other]["AUC"] for found, _ in runs])
            figures[f"above {other} by"] = over_seeds(gaps)
            print(f"  {name:<46} " + "  ".join(f"{kind} {figure}" for kind, figure in figures.items()))
            said[name] = {kind: vars(figure) for kind, figure in figures.items()}
    if asked.json:
        asked.json.write_text(json.dumps(said, indent=1), "utf-8")


if __name__ == "__main__":
    main()
