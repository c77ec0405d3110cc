"""What is learned for the long run beside what is learned for today, in worlds that have a trap (docs/worlds.md).

    python benchmarks/worlds_long_term.py [--world video|feed|shop] [--seeds 5] [--first 0] [--users 2000] [--json FILE]

The *trap* is that what is best today is not best in the long run; that a way round it can be learned from the reward alone is
the claim. Per seed: the same Q-learner, settings and budget twice, once with the objective's discount and once with 0; a
population lives with it while it learns. Then one new population lives ``DAYS`` days with each policy; nobody learns, nobody
who left is replaced; the return is the undiscounted sum of the objective's reward, per user. Beside them chance, and two that
know the world's truth: who shows the most for today (*knows today*), and who weighs today and what is felt at the best
price (*wise*, a yardstick and no upper bound). The intervals are paired over seeds, Student's t. *share*: of the way from
chance to *wise*. Settings and prices were chosen on seeds from 100 on (``--first 100``), never on those reported.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy loads: two threads get in each other's way
    os.environ.setdefault(_name, "1")

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from longgame.algorithms.critic import Pace
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import State
from longgame.artefacts import write_whole
from longgame.protocols import Policy, World
from longgame.rng import derive
from longgame.simulation import Environment, Training, train, trial
from longgame.simulation.feed import Feed
from longgame.simulation.shop import Shop
from longgame.simulation.video import Video
from longgame.types import F32, F64, Bool
from longgame.wiring.workspace import one_thread

DAYS = 60


class Told:
    """A policy that asks the world itself."""

    version = "told"

    def __init__(self, scores: Callable[[], F64]) -> None:
        self._scores = scores

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        return np.where(mask, self._scores(), 0.0).astype(np.float32)

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def about(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class Study:
    """A world and how it is learned in."""

    world: Callable[[], Any]
    today: Callable[[Any], F64]
    """What is offered, scored by one who knows the truth of today."""
    scale: tuple[float, float]
    """A unit of values in the long run, and of today's."""
    slots: int = 4
    hidden: int = 32
    history: int = 20
    remembers: bool = False
    rate: float = 2e-3
    follow: float = 0.005
    decay: float = 2.0
    together: bool = True
    training: Training = field(
        default_factory=lambda: Training(steps=80_000, every=20, warm=8_000, ahead=10, explore=(1.0, 0.5))
    )


STUDIES: dict[str, Study] = {
    "video": Study(Video, lambda w: w.wise(0.0), scale=(100.0, 10.0)),
    "feed": Study(Feed, lambda w: w.wise(0.0, 0.0), scale=(30.0, 3.0), decay=0.5),
    "shop": Study(Shop, lambda w: w.wise(0.0), scale=(5.0, 0.5), decay=0.5),
}


def learned(study: Study, seed: int, discount: float | None) -> Policy:
    """The policy that the study's learner comes to, with the world's discount or another one."""
    world: World = study.world()
    objective = world.objective if discount is None else replace(world.objective, discount=discount)
    place = Environment(world, study.slots, study.history, study.remembers, objective)
    updates = (study.training.steps - study.training.warm) // study.training.every
    network = TowersConfig(place.width, place.context, hidden=study.hidden)
    pace, scale = Pace(study.rate, updates, study.follow, study.decay), study.scale[discount == 0]
    mind = Dqn(DqnConfig(network, study.slots, pace, together=study.together, scale=scale, seed=seed))
    train(place, mind, study.training, seed)
    return mind.policy


def returns(study: Study, seed: int, users: int) -> dict[str, float]:
    """The return of each policy, on one population."""
    world = study.world()
    place = Environment(world, study.slots, study.history, study.remembers)
    chance = derive(seed, "chance")
    policies: dict[str, Policy] = {
        "chance": Told(lambda: chance.random(world.offered().shape)),
        "knows today": Told(lambda: study.today(world)),
        "wise": Told(world.wise),
        "myopic": learned(study, seed, 0.0),
        "longgame": learned(study, seed, None),
    }
    return {name: float(trial(place, policy, users, 1_000 + seed, days=DAYS).mean()) for name, policy in policies.items()}


def interval(values: F64) -> tuple[float, float, float]:
    """Mean and Student's 95 % interval over seeds; one seed says nothing of others."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, -np.inf, np.inf
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def summary(cells: list[dict[str, float]]) -> dict[str, Any]:
    columns = {name: np.array([cell[name] for cell in cells]) for name in cells[0]}
    gap = columns["wise"] - columns["chance"]
    return {
        "returns": {name: interval(values) for name, values in columns.items()},
        "share": {name: interval((values - columns["chance"]) / gap) for name, values in columns.items()},
        "longgame - myopic": interval(columns["longgame"] - columns["myopic"]),
        "longgame / myopic": interval(columns["longgame"] / columns["myopic"]),
    }


def show(name: str, found: Mapping[str, Any]) -> None:
    print(f"\n{name}: return of {DAYS} days a user, 95 % intervals over seeds")
    for policy, (mean, low, high) in found["returns"].items():
        print(f"  {policy:12s} {mean:8.2f} [{low:.2f}, {high:.2f}]   share {found['share'][policy][0]:.2f}")
    for title in ("longgame - myopic", "longgame / myopic"):
        mean, low, high = found[title]
        print(f"  {title:18s} {mean:.2f} [{low:.2f}, {high:.2f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=sorted(STUDIES), action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    one_thread()
    out: dict[str, Any] = {}
    for name in args.world or list(STUDIES):
        cells: list[dict[str, float]] = []
        for seed in range(args.first, args.first + args.seeds):
            began = time.perf_counter()
            cells.append(returns(STUDIES[name], seed, args.users))
            told = ", ".join(f"{policy} {value:.2f}" for policy, value in cells[-1].items())
            print(f"{name} seed {seed}: {told} ({time.perf_counter() - began:.0f} s)", flush=True)
            out[name] = {"seeds": list(range(args.first, seed + 1)), "cells": cells, **summary(cells)}
            if args.json:
                write_whole(args.json, json.dumps(out, indent=1).encode())
        show(name, out[name])


if __name__ == "__main__":
    main()
