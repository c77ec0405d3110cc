"""What is learned for the long run beside what is learned for today, in worlds that have a trap (docs/worlds.md).

    python benchmarks/worlds_long_term.py [--world video|feed|shop|market] [--seeds 5] [--first 0] [--users 2000] [--json FILE]

The *trap* is that what is best today is not best in the long run; that a way round it can be learned from the reward alone is
the claim. Per seed: the same Q-learner, settings and budget twice, once with the objective's discount and once with 0; a
population lives with it while it learns. Then one new population lives ``DAYS`` days with each policy; nobody learns, nobody
who left is replaced; the return is the undiscounted sum of the objective's reward, per user. Beside them chance, and two that
know the world's truth: who shows the most for today (*knows today*), and who weighs today and what is felt at the best
price (*wise*, a yardstick and no upper bound). Intervals are Student's over seeds, of differences paired. In the market,
sellers act at random while it is learned and tried, and then answer each policy (``simulation.exploit``). Settings were chosen
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
from longgame.simulation.exploit import PolicyOf, Trade, exploited, settled
from longgame.simulation.feed import Feed
from longgame.simulation.market import Market, MarketConfig
from longgame.simulation.shop import Shop
from longgame.simulation.video import Video
from longgame.types import F32, F64, Bool
from longgame.wiring.workspace import one_thread

DAYS, CUSTOMERS, ROUNDS = 60, 30, 3
"""Of a trial; and customers of each profile of sellers that is tried as long, and rounds of answers."""
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


SHORT = Training(steps=40_000, every=20, warm=4_000, ahead=10, explore=(1.0, 0.5))
STUDIES: dict[str, Study] = {
    "video": Study(Video, lambda w: w.wise(0.0), scale=(100.0, 10.0)),
    "feed": Study(Feed, lambda w: w.wise(0.0, 0.0), scale=(30.0, 3.0), decay=0.5),
    "market": Study(Market, lambda w: w.wise(0.0), scale=(5.0, 0.5), slots=3, decay=0.5, training=SHORT),
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


def returns(study: Study, seed: int, users: int) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The return of each policy, on one population, and in the market what sellers do about it."""
    place, made = Environment(study.world(), study.slots, study.history, study.remembers), policies(study, seed)
    out = {name: float(trial(place, of(place), users, 1_000 + seed, days=DAYS).mean()) for name, of in made.items()}
    return out, answers(made, 1_000 + seed) if isinstance(place.world, Market) else {}


def policies(study: Study, seed: int) -> dict[str, PolicyOf]:
    """What makes each policy in a world: those that know the truth ask that world."""
    chance, myopic, dqn = derive(seed, "chance"), learned(study, seed, 0.0), learned(study, seed, None)
    return {
        "random": lambda place: Told(lambda: chance.random(place.world.offered().shape)),
        "knows today": lambda place: Told(lambda: study.today(place.world)),
        "wise": lambda place: Told(told(place.world).wise),
        "myopic": lambda place: myopic,
        "dqn": lambda place: dqn,
    }


def told(world: Any) -> Any:
    """A world that has ``wise``: more than the protocol promises."""
    return world


def answers(made: Mapping[str, PolicyOf], seed: int) -> dict[str, dict[str, float]]:
    """What sellers gain by answering each policy, and where they come to (``simulation.exploit``)."""
    trade, out = Trade(MarketConfig(), days=DAYS, customers=CUSTOMERS), {}
    for name, of in made.items():
        if name in ("random", "knows today"):
            continue
        found, end = exploited(trade, of, seed), settled(trade, of, seed, ROUNDS)
        promoting = float(np.isin(end.modes, (1, 3)).mean())
        out[name] = {"gain": found.share, "honest": end.honest, "settled": end.returns, "promoting": promoting}
        print(f"  {name}: " + ", ".join(f"{what} {value:.2f}" for what, value in out[name].items()), flush=True)
    return out


def show(study: Done) -> None:
    print(f"\n{markdown(study)}\n")
    for other in ("myopic", "random"):
        gap = difference(study, "dqn", other)
        print(f"dqn - {other}: {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")


def show_answers(answered: list[Mapping[str, Mapping[str, float]]]) -> None:
    """Sellers' answers to each policy, over seeds."""
    print("\n| policy | sellers gain | return, honest sellers | after their answers | promoting |\n|---|---|---|---|---|")
    for name in answered[0]:
        cells = [over_seeds(np.array([a[name][what] for a in answered])) for what in answered[0][name]]
        print(f"| {name} | " + " | ".join(f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for e in cells) + " |")
    for what in ("gain", "settled"):
        gap = over_seeds(np.array([a["dqn"][what] - a["myopic"][what] for a in answered]))
        print(f"{what}, dqn - myopic: {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")


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
        answered: list[Mapping[str, Mapping[str, float]]] = []
        for seed in range(args.first, args.first + args.seeds):
            began = time.perf_counter()
            cell, answer = returns(STUDIES[name], seed, args.users)
            cells.append(cell)
            answered.append(answer)
            told = ", ".join(f"{policy} {value:.2f}" for policy, value in cells[-1].items())
            print(f"{name} seed {seed}: {told} ({time.perf_counter() - began:.0f} s)", flush=True)
            done = Done(name, [Arm(p, np.array([c[p] for c in cells]), WHAT[p]) for p in WHAT], best="wise")
            out[name] = {**done.to_json(), "dqn - myopic": asdict(difference(done, "dqn", "myopic")), "sellers": answered}
            if args.json:
                write_whole(args.json, json.dumps(out, indent=1).encode())
        show(done)
        if answered[0]:
            show_answers(answered)


if __name__ == "__main__":
    main()
