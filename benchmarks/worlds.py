"""Worlds of RecSim, and what SlateQ learns in them: returns beside chance, plain policies and one that knows the truth.

    python benchmarks/worlds.py [--seeds 5] [--steps 120000] [--only TEXT] [--peer PYTHON] [--json FILE] [--html FILE]

Interest evolution at 10 candidates and 2 slots, and at 50 and 2; long-term satisfaction at 10 and 1. A seed is a population to
live with and another one to be tried on, 2,000 users. SlateQ sees what RecSim tells an agent (the user's interests, the
topics of what is offered) and what a log holds of the session (what was watched, how many slates); no quality, no time that is
left, no choice function. It is tried without exploration. Settings were chosen on seeds 0 and 1 of other populations (100 and
101 are the first that are reported), at 10 candidates; how many users are lived with, on seed 0 at 50, and how many decisions
an update, on seeds 0 to 2 at 50: 478 after 32 (one seed; 449 [384, 514] on the reported ones), 487, 511 and 492 after 16.

The oracle knows the time that each video takes and the user's choice: the best slate at a price of time, the price being the
best of a few. Goals: SlateQ >= 280 and >= 430 (lower 95 % bound over 5 seeds), beside RLlib's own bars of 160 and 162.
With ``--peer``, the Python of an environment with ``recsim-no-tf``, RecSim itself runs the plain policies in the same run.
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
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.critic import Pace
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.slateq import SlateQ, SlateQConfig
from longgame.algorithms.slates import slate_scores
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import State
from longgame.evaluation.returns import Arm, Study, markdown, page
from longgame.protocols import Policy
from longgame.simulation import Environment, Training, train, trial
from longgame.simulation.interest_evolution import LENGTH, NOTHING, TOPICS, WAIT, InterestEvolution, InterestEvolutionConfig
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.slate import Exploration
from longgame.types import F32, Bool
from longgame.wiring.workspace import one_thread

FIRST, USERS, CURVE_USERS, LOOK = 100, 2_000, 300, 10_000
PRICES = (1.2, 1.4, 1.6, 1.8, 2.0, 2.4)
"""Of a minute of the user's time, in minutes watched, that the oracle tries."""
Score = Callable[[Environment, State, F32], F32]


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    candidates: int
    slots: int
    goal: float
    scale: float
    lived: int
    """Users that are lived with at once. With few of them each has many sessions in the same number of decisions, and what is
    learned of the end of one is used in the next: where a session lasts for hundreds of slates, 64 have too few."""
    every: int
    """Decisions an update."""
    plain: Mapping[str, Score]
    users: int = USERS
    """That each policy is tried on, a seed."""

    @property
    def label(self) -> str:
        return f"{self.name}, {self.candidates} candidates, {self.slots} slots"

    def world(self, users: int) -> Environment:
        if self.name == "interest evolution":
            return Environment(InterestEvolution(InterestEvolutionConfig(users, self.candidates)), self.slots)
        return Environment(LongTermSatisfaction(LongTermSatisfactionConfig(users, self.candidates)), self.slots)


class Rule:
    """A policy that scores by a function; one that looks at the world is no policy but an oracle."""

    version = "rule"

    def __init__(self, world: Environment, score: Score) -> None:
        self._world, self._score = world, score

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        return self._score(self._world, state, items)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {}

    def about(self) -> Mapping[str, Any]:
        return {}


def knows(price: float) -> Score:
    """The best slate for one who knows the choice, and how much of the user's time each video takes, priced at ``price``."""

    def score(world: Environment, state: State, items: F32) -> F32:
        truth = world.world
        assert isinstance(truth, InterestEvolution)
        rows = np.arange(world.users)[:, None]
        weight = (1.0 + truth.interest[rows, truth.topic[truth.offered()]]) / NOTHING
        worth, nothing = LENGTH - price * truth.costs(), np.full(world.users, -price * WAIT)
        scores = slate_scores(weight, worth, nothing, np.ones(weight.shape, np.bool_), world.slots)
        return scores.astype(np.float32)

    return score


EVOLUTION: Mapping[str, Score] = {
    "myopic": lambda world, state, items: (items * state.context[:, None, :TOPICS]).sum(axis=2),
    "topics in order": lambda world, state, items: (items @ np.arange(TOPICS)).astype(np.float32),
}
SATISFACTION: Mapping[str, Score] = {
    "clickbait": lambda world, state, items: items[..., 0],
    "kale": lambda world, state, items: items[..., 1],
}
SETTINGS = (
    Setting("interest evolution", 10, 2, 280.0, 20.0, 64, 32, EVOLUTION),
    Setting("interest evolution", 50, 2, 430.0, 20.0, 16, 16, EVOLUTION),
    Setting("long-term satisfaction", 10, 1, 1150.0, 100.0, 64, 32, SATISFACTION),
    Setting("long-term satisfaction", 200, 1, 1150.0, 100.0, 64, 32, SATISFACTION, users=10_000),
)
WHAT = {
    "random": "any slate",
    "myopic": "what is liked most now",
    "topics in order": "the topics that are best on average, told",
    "clickbait": "the most clickbait, always",
    "kale": "the least, always",
    "oracle": "knows qualities, choice and time",
    "slateq": "learned from minutes watched",
}


def mind(setting: Setting, world: Environment, steps: int, seed: int) -> tuple[SlateQ, Training]:
    every = setting.every
    pace = Pace(1e-3, lasts=steps // every, follow=0.05)
    network = TowersConfig(world.width, world.context, hidden=64)
    config = SlateQConfig(network, setting.slots, pace=pace, scale=setting.scale, seed=seed)
    return SlateQ(config), Training(steps, every=every, ahead=10, capacity=60_000)


def learned(setting: Setting, steps: int, seed: int) -> tuple[float, list[int], list[float], float]:
    """The return at the end, what was seen on the way, and the seconds that learning took."""
    world, trying = setting.world(setting.lived), setting.world(CURVE_USERS)
    made, training = mind(setting, world, steps, seed)
    at: list[int] = []
    values: list[float] = []
    spent = 0.0
    begun = time.perf_counter()

    def look(done: int, metrics: Mapping[str, float], policy: Policy) -> None:
        nonlocal spent
        if done // LOOK > len(at):
            paused = time.perf_counter()
            at.append(len(at) * LOOK + LOOK)
            values.append(float(trial(trying, policy, CURVE_USERS, seed).mean()))
            spent += time.perf_counter() - paused

    train(world, made, training, seed, look)
    seconds = time.perf_counter() - begun - spent
    return float(trial(setting.world(1000), made.policy, setting.users, seed).mean()), at, values, seconds


def study(setting: Setting, seeds: int, steps: int) -> Study:
    plain: dict[str, list[float]] = {}
    for seed in range(FIRST, FIRST + seeds):
        world = setting.world(1000)
        any_slate = trial(world, RankPolicy(0.0), setting.users, seed, Exploration(1.0, 1.0))
        plain.setdefault("random", []).append(float(any_slate.mean()))
        for name, score in setting.plain.items():
            plain.setdefault(name, []).append(float(trial(world, Rule(world, score), setting.users, seed).mean()))
    arms = [Arm(name, np.array(values), WHAT[name]) for name, values in plain.items()]
    if setting.name == "interest evolution":
        world = setting.world(1000)
        first = {price: float(trial(world, Rule(world, knows(price)), 1000, 1).mean()) for price in PRICES}
        best = knows(max(first, key=lambda price: first[price]))
        found = [float(trial(world, Rule(world, best), setting.users, seed).mean()) for seed in range(FIRST, FIRST + seeds)]
        arms.append(Arm("oracle", np.array(found), WHAT["oracle"]))
    runs = []
    for seed in range(FIRST, FIRST + seeds):
        runs.append(learned(setting, steps, seed))
        print(f"  {setting.label}, seed {seed}: {runs[-1][0]:.1f} after {runs[-1][3]:.0f} s", flush=True)
    returns, at, values, seconds = zip(*runs, strict=True)
    curve = np.array(values)
    arms.append(Arm("slateq", np.array(returns), WHAT["slateq"], np.array(at[0]), curve, np.array(seconds)))
    best_arm = "oracle" if setting.name == "interest evolution" else "clickbait"
    return Study(setting.label, arms, best=best_arm)


def beside(peer: Path, setting: Setting, done: Study) -> dict[str, Any]:
    """RecSim's own returns of the plain policies, and how far ours are from them in standard errors."""
    script = Path(__file__).parent / "peers" / "recsim_returns.py"
    names = ["random", *setting.plain]
    command = [str(peer), "-W", "ignore", str(script), setting.name, str(setting.candidates), str(setting.slots), "400", *names]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    ours = {arm.name: arm.returns for arm in done.arms}
    for name in names:
        own, theirs = ours[name].mean(), found[name]
        print(f"  {name}: ours {own:.1f}, RecSim {theirs['mean']:.1f} +- {theirs['error']:.1f} ({theirs['rate']:,.0f} steps/s)")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=120_000, help="decisions that are learned from")
    parser.add_argument("--only", default="", help="settings whose name holds this")
    parser.add_argument("--peer", type=Path, help="Python of an environment that has recsim-no-tf")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--html", type=Path, help="write tables and learning curves here")
    given = parser.parse_args()
    one_thread()
    studies, peers = [], {}
    for setting in SETTINGS:
        if given.only not in setting.label:
            continue
        done = study(setting, given.seeds, given.steps)
        studies.append(done)
        low = done.arms[-1].estimate.low
        print(f"\n{done.world}\n\n{markdown(done)}\n\ngoal {setting.goal:g}: the lower bound is {low / setting.goal:.2f} of it")
        if given.peer:
            peers[done.world] = beside(given.peer, setting, done)
    if given.json:
        figures = {"studies": [done.to_json() for done in studies], "recsim": peers}
        given.json.write_text(json.dumps(figures, indent=1), "utf-8")
    if given.html:
        about = {"seeds": str(given.seeds), "decisions learned from": f"{given.steps:,}", "users a trial": f"{USERS:,} or more"}
        given.html.write_text(page("What is learned in worlds", studies, about), "utf-8")


if __name__ == "__main__":
    main()
