"""What is learned for the long run beside what is learned for today, in worlds that have a trap (docs/worlds.md).

    python benchmarks/worlds_long_term.py [--world video|feed|shop] [--seeds 5] [--first 0] [--users 2000] [--json FILE]

The *trap* is that what is best today is not best in the long run; that a way round it can be learned from the reward alone is
the claim. Per seed: the same Q-learner, settings and budget twice, once with the objective's discount and once with 0; a
population lives with it while it learns. Then one new population lives ``DAYS`` days with each policy; nobody learns, nobody
who left is replaced; the return is the undiscounted sum of the objective's reward, per user. Beside them chance, and two that
know the world's truth: who shows the most for today (*knows today*), and who weighs today and what is felt at the best
price (*wise*, a yardstick and no upper bound). Intervals are Student's over seeds, of differences paired. Settings were chosen
on seed 100, prices on seed 101 (``--first 100``), never on those reported; both learners got the same, but for the scale.
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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.critic import Pace
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import State
from longgame.artefacts import write_whole
from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.evaluation.returns import Arm, markdown
from longgame.evaluation.returns import Study as Done
from longgame.protocols import Policy, World
from longgame.rng import derive
from longgame.simulation import Environment, Training, train, trial
from longgame.simulation.feed import Feed
from longgame.simulation.shop import Shop
from longgame.simulation.video import Video
from longgame.types import F32, F64, Bool
from longgame.wiring.workspace import one_thread

DAYS = 60
WHAT = {
    "random": "any slate",
    "myopic": "dqn with a discount of 0",
    "dqn": "learned from the objective's reward and discount",
    "knows today": "the truth of today's reward, and nothing after it",
    "wise": "the truth of today and of what is felt, at the best price: a yardstick, no upper bound",
}


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
    mind = Dqn(DqnConfig(network, pace, together=study.together, scale=scale, seed=seed))
    train(place, mind, study.training, seed)
    return mind.policy


def returns(study: Study, seed: int, users: int) -> dict[str, float]:
    """The return of each policy, on one population."""
    world = study.world()
    place = Environment(world, study.slots, study.history, study.remembers)
    chance = derive(seed, "chance")
    policies: dict[str, Policy] = {
        "random": Told(lambda: chance.random(world.offered().shape)),
        "knows today": Told(lambda: study.today(world)),
        "wise": Told(world.wise),
        "myopic": learned(study, seed, 0.0),
        "dqn": learned(study, seed, None),
    }
    return {name: float(trial(place, policy, users, 1_000 + seed, days=DAYS).mean()) for name, policy in policies.items()}


def show(study: Done) -> None:
    print(f"\n{markdown(study)}\n")
    for other in ("myopic", "random"):
        gap = difference(study, "dqn", other)
        print(f"dqn - {other}: {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")


def difference(study: Done, one: str, other: str) -> Estimate:
    """Paired over seeds: both were tried on the same populations."""
    found = {arm.name: arm.returns for arm in study.arms}
    return over_seeds(found[one] - found[other])


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
        cells: list[Mapping[str, float]] = []
        for seed in range(args.first, args.first + args.seeds):
            began = time.perf_counter()
            cells.append(returns(STUDIES[name], seed, args.users))
            told = ", ".join(f"{policy} {value:.2f}" for policy, value in cells[-1].items())
            print(f"{name} seed {seed}: {told} ({time.perf_counter() - began:.0f} s)", flush=True)
            done = Done(name, [Arm(p, np.array([c[p] for c in cells]), WHAT[p]) for p in WHAT], best="wise")
            out[name] = {**done.to_json(), "dqn - myopic": asdict(difference(done, "dqn", "myopic"))}
            if args.json:
                write_whole(args.json, json.dumps(out, indent=1).encode())
        show(done)


if __name__ == "__main__":
    main()
