"""Every learner that can live in a world, in one world, with one budget: returns with intervals, and learning curves.

    python benchmarks/learners.py [--seeds 5] [--first 100] [--steps 30000] [--learner NAME ...] [--json FILE] [--html FILE]

The world is interest evolution (docs/worlds.md) with 10 candidates and slates of 2, in which what is liked most now
(*liked now*, and *dqn, myopic*, the same learner with a discount of 0) is far from what pays in the long run. All have
the same number of decisions, the same network where they have one, and what ``longgame simulate --algorithm`` gives
them: looked at on seed 0 for A2C and PPO, and not tuned to so few decisions for the others. SlateQ alone knows that one
item of a slate is taken. *As a sum*, both items of a slate are credited with all that follows (``dqn``'s ``together``);
*slot by slot*, which is all that the others can, each with half of it: they differ in that as well. A seed is a
population to live with, one to be tried on, and first weights; policies are tried by their best scores, without
exploration. Intervals are Student's over seeds. ``--json FILE`` is written after each run and gone on from: what is in
it is not done again.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy loads: two threads get in each other's way
    os.environ.setdefault(_name, "1")

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.rank import RankPolicy
from longgame.arrays import State
from longgame.artefacts import write_whole
from longgame.errors import ConfigError
from longgame.evaluation.returns import Arm, Study, markdown, page
from longgame.protocols import Policy
from longgame.simulation import Environment, trial
from longgame.simulation.interest_evolution import TOPICS, InterestEvolution, InterestEvolutionConfig
from longgame.slate import Exploration
from longgame.types import F32, Bool
from longgame.wiring.workspace import one_thread
from longgame.wiring.worlds import ALGORITHMS, algorithm_for, live

CANDIDATES, SLOTS, LIVED, USERS, CURVE_USERS, LOOKS, SCALE = 10, 2, 64, 1_000, 200, 6, 20.0
MYOPIC = "dqn, myopic"
PLAIN = {"random": "any slate", "liked now": "what is liked most now, told"}
VALUES = "values"
KINDS = {
    "preferences": ("a2c", "ppo", "grpo", "sac"),
    "points of item space": ("ddpg", "td3"),
    "tables": ("tabular-q", "tabular-sarsa"),
    "today's rewards": ("linear-thompson", "linucb", "neural-linear"),
    "values near what was shown, or explored by other networks": ("iql", "bcq", "drn", "ensemble-thompson"),
}
"""What learners learn that are no learners of values."""
WHAT = {
    MYOPIC: "the same as dqn, with a discount of 0",
    "dqn": "values of items, learned as a sum",
    "sarsa": "the same, of what would be drawn",
    "slateq": "values of what is taken",
    "a2c": "actor and critic, on-policy",
    "ppo": "the same, clipped, several passes",
    "grpo": "lists compared in groups, by a model",
    "sac": "soft actor, twin critics of a sum",
    "ddpg": "an actor in item space, critic of a sum",
    "td3": "the same, twin critics",
    "tabular-q": "a table of clusters, slot by slot",
    "tabular-sarsa": "the same, of what would be drawn",
    "linear-thompson": "a Bayesian line",
    "linucb": "a linear bandit",
    "neural-linear": "a Bayesian line on a network",
    "ensemble-thompson": "networks that disagree, slot by slot",
    "iql": "a quantile of the values shown",
    "bcq": "the best of what was likely to be shown, slot by slot",
    "drn": "a duel of networks, slot by slot",
}


class Liked:
    """What the user's interests, which are told, say of each item."""

    version = "liked now"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        out: F32 = (items * state.context[:, None, :TOPICS]).sum(axis=2)
        return out

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def about(self) -> Mapping[str, Any]:
        return {}


def world(users: int, myopic: bool = False) -> Environment:
    made = InterestEvolution(InterestEvolutionConfig(users, CANDIDATES))
    return Environment(made, SLOTS, objective=replace(made.objective, discount=0.0) if myopic else None)


def plain(name: str, seed: int) -> dict[str, Any]:
    policy: Policy = RankPolicy(0.0) if name == "random" else Liked()
    drawn = Exploration(1.0, 1.0) if name == "random" else Exploration(1e-6, 0.0)
    return {"return": float(trial(world(USERS), policy, USERS, seed, drawn).mean())}


def learned(name: str, seed: int, steps: int) -> dict[str, Any]:
    """The return at the end, what was seen on the way, and the seconds that learning took."""
    place, trying = world(LIVED, name == MYOPIC), world(CURVE_USERS)
    scale = SCALE / 10 if name == MYOPIC else SCALE  # what a slate brings, instead of what is to come
    made, lived = algorithm_for(name.partition(",")[0], place, scale, steps, seed)
    at: list[int] = []
    curve: list[float] = []
    spent, begun = 0.0, time.perf_counter()

    def look(done: int, metrics: Mapping[str, float], policy: Policy) -> None:
        nonlocal spent
        if done * LOOKS // steps > len(at):
            paused = time.perf_counter()
            at.append((len(at) + 1) * steps // LOOKS)
            curve.append(float(trial(trying, policy, CURVE_USERS, seed).mean()))
            spent += time.perf_counter() - paused

    live(place, made, lived, seed, look)
    seconds = time.perf_counter() - begun - spent
    found = float(trial(world(USERS), made.policy, USERS, seed).mean())
    return {"return": found, "steps": at, "curve": curve, "seconds": seconds}


def studies(runs: Mapping[str, Any], names: list[str], steps: int) -> list[Study]:
    """A table and a picture for each kind of learner; chance and what is liked now beside each."""
    kinds = {name: kind for kind, some in KINDS.items() for name in some}
    out = []
    for kind in (VALUES, *KINDS):
        mine = [name for name in names if kinds.get(name, VALUES) == kind]
        arms = [arm for name in (*PLAIN, *mine) if (arm := _arm(name, runs)) is not None]
        if mine and len(arms) > len(PLAIN):
            out.append(Study(f"{kind}: interest evolution, {CANDIDATES} candidates, {SLOTS} slots, {steps:,} decisions", arms))
    return out


def _arm(name: str, runs: Mapping[str, Any]) -> Arm | None:
    mine = [run for key, run in runs.items() if key.rpartition("/")[0] == name]
    if not mine:
        return None
    returns, what = np.array([run["return"] for run in mine]), PLAIN.get(name) or WHAT.get(name, "learned")
    if name in PLAIN:
        return Arm(name, returns, what)
    seen = min(len(run["curve"]) for run in mine)
    curve = np.array([run["curve"][:seen] for run in mine])
    return Arm(name, returns, what, np.array(mine[0]["steps"][:seen]), curve, np.array([run["seconds"] for run in mine]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--steps", type=int, default=30_000, help="decisions that are learned from")
    parser.add_argument("--learner", action="append", choices=[MYOPIC, *ALGORITHMS], help="only these; may be said again")
    parser.add_argument("--json", type=Path, help="write the figures here, and go on from what is there")
    parser.add_argument("--html", type=Path, help="write tables and learning curves here")
    given = parser.parse_args()
    one_thread()
    names = given.learner or [MYOPIC, *sorted(ALGORITHMS)]
    runs: dict[str, Any] = {}
    if given.json and given.json.exists():
        kept = json.loads(given.json.read_text("utf-8"))
        if kept["decisions"] != given.steps:
            raise ConfigError(f"{given.json}: holds runs of {kept['decisions']:,} decisions, got --steps {given.steps:,}")
        runs = kept["runs"]
    for seed in range(given.first, given.first + given.seeds):
        for name in (*PLAIN, *names):
            if f"{name}/{seed}" in runs:
                continue
            run = plain(name, seed) if name in PLAIN else learned(name, seed, given.steps)
            runs[f"{name}/{seed}"] = run
            took = f" in {run['seconds']:.0f} s" if "seconds" in run else ""
            print(f"seed {seed}, {name}: {run['return']:.1f}{took}", flush=True)
            if given.json:
                write_whole(given.json, json.dumps({"decisions": given.steps, "runs": runs}, indent=1).encode())
    done = studies(runs, names, given.steps)
    for study in done:
        print(f"\n{study.world}\n\n{markdown(study)}")
    if given.json:
        told = {"decisions": given.steps, "runs": runs, "studies": [study.to_json() for study in done]}
        write_whole(given.json, json.dumps(told, indent=1).encode())
    if given.html:
        about = {"seeds": str(given.seeds), "decisions learned from": f"{given.steps:,}", "users a trial": f"{USERS:,}"}
        given.html.write_text(page("What learners reach in one world", done, about), "utf-8")


if __name__ == "__main__":
    main()
