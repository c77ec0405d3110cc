"""Clicks on advertisements in RecoGym's world (docs/worlds.md): what a bandit of ours learns from views and clicks alone.

    python benchmarks/sessions.py [--seeds 5] [--only 20|100] [--steps N] [--peer PYTHON] [--json FILE]

The products are those that RecoGym draws at its seed 42, whose agents' published rates stand beside ours: 20 products and 100,
10 flips. A seed is a population to live with while learning, and another to be tried on. Linear Thompson sampling sees what a
user looked at last and which ads were clicked; no interest, no product's likes. It learns from each ad once, and is tried by
what most of its draws say. A rate is the mean of the chances that clicks are drawn from, in 10,000 ads: clicks less noise.
Beside it: any ad; the *organic counter*, RecoGym's agent of that name (what was looked at most in sessions with the last view);
the one ad that is best for all; and who knows every chance. Settings were chosen on seeds 0 and 9, and 100 is the first that
is reported. Goals: .0236 and .0183, lower bounds over 5 seeds. With ``--peer``, the Python of an environment with
``recogym``, RecoGym's own agents learn and are tried in the same run (minutes an agent).
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy loads: two threads get in each other's way
    os.environ.setdefault(_name, "1")

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.artefacts import write_whole
from longgame.evaluation.returns import Arm, Study, markdown
from longgame.protocols import Policy
from longgame.rng import derive
from longgame.simulation import Environment, draw, train_once
from longgame.simulation.environment import Observation
from longgame.simulation.sessions import Products, Sessions, SessionsConfig
from longgame.simulation.training import GREEDY
from longgame.slate import Exploration
from longgame.types import F64, I64
from longgame.wiring.workspace import one_thread

FIRST, USERS, VIEWS, ADS, RECOGYM = 100, 2_000, 20, 100, 42
"""First seed, users who live side by side, views that are kept, ads of a trial a user, RecoGym's seed."""
MANY = 10_000.0
WHAT = {
    "random": "any ad",
    "organic counter": "what was looked at most beside the last view",
    "one for all": "the ad with the best rate over all users, told",
    "linear-thompson": "learned from views and clicks",
    "knows": "every chance",
}
Choose = Callable[[Observation], I64]


@dataclass(frozen=True)
class Setting:
    """One size of the world."""

    products: int
    goal: float
    steps: int
    """Ads that are learned from."""
    crossed: bool
    """Whether a view speaks for every product: the square of so many weights."""
    votes: int
    """Draws of the posterior that vote when it is tried."""

    def world(self) -> Environment:
        return Environment(Sessions(SessionsConfig(USERS, self.products), recogym_products(self.products)), 1, VIEWS, False)

    def config(self, seed: int, draws: int) -> LinearThompsonConfig:
        return LinearThompsonConfig(
            self.products, prior=4e4, noise=0.13, draws=draws, smoothing=1e-3, crossed=self.crossed, seed=seed
        )


SETTINGS = (Setting(20, 0.0236, 1_000_000, True, 512), Setting(100, 0.0183, 100_000, False, 64))


def recogym_products(number: int) -> Products:
    """Those of RecoGym at seed 42: its generator, in its order."""
    rng = np.random.RandomState(RECOGYM)
    return Products(rng.normal(size=(number, 5)), rng.normal(0.0, 3.0, size=(number, 1))[:, 0])


def rate(world: Environment, choose: Choose, seed: int) -> float:
    """Clicks that 10,000 ads bring, of users who are replaced when they leave."""
    truth, seen, chance, ads = sessions(world), world.reset(seed, "trial"), 0.0, 0
    for _ in range(ADS):
        slates = choose(seen)[:, None]
        chance += float(truth.chances(slates)[seen.here].sum())
        ads += int(seen.here.sum())
        world.step(slates)
        seen = world.observe()
    return MANY * chance / ads


def sessions(world: Environment) -> Sessions:
    assert isinstance(world.world, Sessions)
    return world.world


def by(policy: Policy, seed: int) -> Choose:
    rng = derive(seed, "draw")
    return lambda seen: draw(policy, seen, 1, GREEDY, rng)[0][:, 0]


def counter(world: Environment, seed: int, steps: int = 20_000) -> Choose:
    """RecoGym's ``OrganicCount``: the product with most views in sessions with the last view, by the product of both counts."""
    truth, rng, together = sessions(world), derive(seed, "counter"), np.zeros((world.width, world.width))
    world.reset(seed)
    for _ in range(steps // USERS):
        views = truth.browsed()
        counts = np.zeros((USERS, world.width))
        np.add.at(counts, (np.nonzero(views >= 0)[0], views[views >= 0]), 1.0)
        together += counts.T @ counts
        world.step(rng.integers(world.width, size=(USERS, 1)))
    best = together.argmax(axis=1)
    return lambda seen: best[seen.state.items[:, -1]]


def learned(setting: Setting, seed: int) -> tuple[Policy, float]:
    """What it comes to, as a vote of draws, and the processor's seconds."""
    mind, begun = LinearThompson(setting.config(seed, 32)), time.process_time()
    train_once(setting.world(), mind, setting.steps, seed, Exploration(1.0, 0.0))
    seconds = time.process_time() - begun
    judge = LinearThompson(replace(mind.config, draws=setting.votes))
    judge.load_state_dict(mind.state_dict())
    return judge.policy, seconds


def rates(setting: Setting, seed: int) -> tuple[dict[str, float], float]:
    """The rate of each, on one population."""
    world, rng = setting.world(), derive(seed, "chance")
    truth = sessions(world)
    world.reset(seed)
    best = int(truth.wise().mean(axis=0).argmax())
    policy, seconds = learned(setting, seed)
    choices: dict[str, Choose] = {
        "random": lambda seen: rng.integers(setting.products, size=USERS),
        "organic counter": counter(world, seed),
        "one for all": lambda seen: np.full(USERS, best),
        "linear-thompson": by(policy, seed),
        "knows": lambda seen: truth.wise().argmax(axis=1),
    }
    return {name: rate(world, choose, seed) for name, choose in choices.items()}, seconds


def study(setting: Setting, seeds: int) -> Study:
    cells: list[dict[str, float]] = []
    seconds: list[float] = []
    for seed in range(FIRST, FIRST + seeds):
        found, took = rates(setting, seed)
        cells.append(found)
        seconds.append(took)
        print(f"  seed {seed}: " + ", ".join(f"{n} {v:.1f}" for n, v in found.items()) + f" ({took:.0f} s)", flush=True)
    arms = [Arm(name, column(cells, name), what) for name, what in WHAT.items()]
    arms[3] = replace(arms[3], seconds=np.array(seconds))
    return Study(f"{setting.products} products, 10 flips, clicks in 10,000 ads", arms, best="knows")


def column(cells: list[dict[str, float]], name: str) -> F64:
    return np.array([cell[name] for cell in cells])


def beside(peer: Path, setting: Setting, users: int) -> dict[str, Any]:
    """RecoGym's own agents in RecoGym."""
    script = Path(__file__).parent / "peers" / "recogym_rates.py"
    size = [str(setting.products), "10", str(RECOGYM), str(users), str(users)]
    command = [str(peer), "-W", "ignore", str(script), *size, "organic counter", "LogReg-poly", "BanditMF"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    for name, told in found.items():
        p = told["clicks"] / told["ads"]
        error = np.sqrt(p * (1 - p) / told["ads"])
        print(f"  RecoGym's {name}: {MANY * p:.1f} +- {MANY * error:.1f} in 10,000 of {told['ads']:,} ads")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", type=int, choices=[s.products for s in SETTINGS], help="products")
    parser.add_argument("--steps", type=int, help="ads that are learned from")
    parser.add_argument("--peer", type=Path, help="Python of an environment that has recogym")
    parser.add_argument("--peer-users", type=int, default=1_000, help="that its agents learn from, and are tried on")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    one_thread()
    studies, peers = [], {}
    for setting in SETTINGS:
        if given.only not in (None, setting.products):
            continue
        size = replace(setting, steps=given.steps or setting.steps)
        done = study(size, given.seeds)
        studies.append(done)
        low = done.arms[3].estimate.low / MANY
        print(
            f"\n{done.world}\n\n{markdown(done)}\n\ngoal {size.goal}: the lower bound {low:.4f} is {low / size.goal:.3f} of it"
        )
        if given.peer:
            peers[done.world] = beside(given.peer, size, given.peer_users)
    if given.json:
        figures = {"studies": [done.to_json() for done in studies], "recogym": peers}
        write_whole(given.json, json.dumps(figures, indent=1).encode())


if __name__ == "__main__":
    main()
