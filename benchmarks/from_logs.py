"""Worlds learned from logs: how like the log they are, and what is learned in them, with and without a price on doubt.

    python benchmarks/from_logs.py [--data PATH ...] [--seeds 5] [--steps 40000] [--json FILE]

Each PATH holds ratings, in any form that ``longgame.simulation.logged`` reads; without it ``ml100k``, ``coat`` and
``llm_ratings`` under ``$LONGGAME_DATA`` or ``../shared/data``, as far as they are there.

*How like.* The first table is ``simulation.held_out``: likes are foretold of ratings that were held out (of Coat also of coats
that were dealt at random), ends and returns of users of whom no habit was learned; AUC and log loss beside what is plain. A
seed is another split, another choice of users, other raters. *Least* and *most* are the squared errors where the raters
agree best and least: an uncertainty that means something has the first below the second.

*What is learned there.* A linear bandit and ``dqn``, as ``longgame simulate`` has them, live in the world with each penalty and
are tried by their best scores on others, 20 items offered, slates of 4, 30 steps, beside chance, what was rated best on
average, and who knows the chances of likes. Likes and doubts are told apart, each without the other: a penalty should lower
the doubts, and cost likes.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy loads: two threads get in each other's way
    os.environ.setdefault(_name, "1")

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.rank import RankPolicy
from longgame.arrays import State
from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.protocols import Policy
from longgame.simulation import Environment, trial
from longgame.simulation.behaviour import Fitting
from longgame.simulation.from_logs import FromLogs, FromLogsConfig
from longgame.simulation.held_out import Check, check
from longgame.simulation.logged import Lived, learned, told
from longgame.slate import Exploration
from longgame.types import F32, Bool, Objective
from longgame.wiring.workspace import one_thread
from longgame.wiring.worlds import algorithm_for, live

SETS, SLOTS, OFFERED, LIVED, USERS, DAYS = ("ml100k", "coat", "llm_ratings"), 4, 20, 64, 1_000, 30
LEARNERS, PENALTIES = ("linear-thompson", "dqn"), (0.0, 1.0, 4.0)
LIKES, DOUBTS = Objective({"like": 1.0}), Objective({"doubt": -1.0}, by_value=frozenset({"doubt"}))


class Scores:
    """What a world or its vectors say of what is offered."""

    version = "scores"

    def __init__(self, world: FromLogs, knows: bool) -> None:
        self._world, self._knows = world, knows

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        """The chances of likes, or how well the items were rated: the second number of a vector (``logged.seen_of``)."""
        return self._world.chances(self._world.offered()).astype(np.float32) if self._knows else items[..., 1]

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def about(self) -> Mapping[str, Any]:
        return {}


def tried(lived: Lived, policy: Policy | bool, seed: int, explore: Exploration | None = None) -> dict[str, float]:
    """Likes and doubts that a user brings in a month; a policy that is a truth value is :class:`Scores`."""
    out = {}
    for what, objective, sign in (("likes", LIKES, 1.0), ("doubts", DOUBTS, -1.0)):
        world = FromLogs(lived, FromLogsConfig(USERS, OFFERED, penalty=float(sign < 0)))  # else a look would be a response
        chosen = Scores(world, policy) if isinstance(policy, bool) else policy
        drawn = explore or Exploration(1e-6, 0.0)
        found = trial(Environment(world, SLOTS, objective=objective), chosen, USERS, seed, drawn, DAYS)
        out[what] = sign * float(found.mean())
    return out


def lives(lived: Lived, seed: int, steps: int) -> dict[str, dict[str, float]]:
    """Policy -> likes and doubts."""
    out = {
        "random": tried(lived, RankPolicy(0.0), seed, Exploration(1.0, 1.0)),
        "rated best": tried(lived, False, seed),
        "knows": tried(lived, True, seed),
    }
    for name in LEARNERS:
        for penalty in PENALTIES:
            world = Environment(FromLogs(lived, FromLogsConfig(LIVED, OFFERED, penalty)), SLOTS)
            made, training = algorithm_for(name, world, max(out["random"]["likes"] / 8, 1e-3), steps, seed)
            live(world, made, training, seed)
            out[f"{name}, penalty {penalty:g}"] = tried(lived, made.policy, seed)
    return out


def like_it(checks: list[Check]) -> None:
    print("\n| held out | cases | share | AUC | plain | log loss | plain | off by |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in range(len(checks[0].rows)):
        mine = [one.rows[row] for one in checks]
        figures = [_told([getattr(one, name) for one in mine], 3) for name in ("auc", "plain_auc", "loss", "plain_loss", "off")]
        cases, share = np.mean([one.cases for one in mine]), np.mean([one.share for one in mine])
        print(f"| {mine[0].what} | {cases:,.0f} | {share:.3f} | {' | '.join(figures)} |")
    least, most = (_told([one.doubt.error[place] for one in checks], 3) for place in (0, 1))
    print(f"\nsquared error where the raters agree best: {least}, least: {most}")
    picks = [f"{_told([c.doubt.picked[p] for c in checks], 3)} at {p:g}" for p in checks[0].doubt.picked]
    print(f"liked among held-out picks by penalty: {'; '.join(picks)}; any {_told([c.doubt.any for c in checks], 3)}")


def _told(values: list[float], digits: int) -> str:
    found: Estimate = over_seeds(np.array(values))
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def lived_there(runs: list[dict[str, dict[str, float]]]) -> None:
    print("\n| policy | likes a user | doubts a user | likes less those without a penalty |\n| --- | ---: | ---: | ---: |")
    for name in runs[0]:
        likes, doubts = ([run[name][what] for run in runs] for what in ("likes", "doubts"))
        first = f"{name.partition(',')[0]}, penalty {PENALTIES[0]:g}"
        charged = first in runs[0] and name != first
        gap = _told([run[name]["likes"] - run[first]["likes"] for run in runs], 2) if charged else ""
        print(f"| {name} | {_told(likes, 2)} | {_told(doubts, 2)} | {gap} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="*", help="ratings; the three sets above if left out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000, help="decisions that are learned from")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    one_thread()
    home = Path(os.environ.get("LONGGAME_DATA", "../shared/data"))
    paths = given.data or [home / name for name in SETS if (home / name).exists()]
    if not paths:
        raise SystemExit(f"{home}: holds none of {', '.join(SETS)}; say where ratings are with --data or LONGGAME_DATA")
    figures = {}
    for path in paths:
        ratings = told(path)
        print(f"\n## {ratings.name}: {len(ratings.log):,} ratings, liked is {ratings.liked:g} or more", flush=True)
        checks = [check(ratings, Fitting(seed=seed)) for seed in range(given.seeds)]
        like_it(checks)
        runs = []
        for seed in range(given.seeds):
            runs.append(lives(learned(ratings, Fitting(seed=seed)), seed, given.steps))
            said = ", ".join(f"{name} {run['likes']:.2f}" for name, run in runs[-1].items())
            print(f"  seed {seed}: likes {said}", flush=True)
        lived_there(runs)
        figures[ratings.name] = {"checks": [asdict(one) for one in checks], "lives": runs}
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1), "utf-8")


if __name__ == "__main__":
    main()
