"""How fast the worlds step and Q-learning learns, beside RecSim and d3rlpy: one machine, one run, one thread each.

    python benchmarks/speed.py [--recsim PYTHON] [--d3rlpy PYTHON] [--seeds 5] [--seconds 2] [--json FILE] [--html FILE]

Each PYTHON is that of an environment with the peer (``peers/recsim_steps.py``, ``peers/d3rlpy_updates.py``); without them
ours is measured alone. All times are the processor's, so that a neighbour who takes turns on the core counts little. Rounds of
both take turns, one a seed, with users or data of its own; figures and how many times theirs ours is are means over seeds with
Student's 95 % interval.

*Steps.* A step is one user's slate of two random videos or items and what came of it: for ours ``Environment.observe`` and
``step`` of 256 users at once, new users included, and the same through Gymnasium's vector environment; for RecSim ``step``,
and ``reset`` where a session ended.

*Updates.* 1,000 items, batches of 256, a state of 128 numbers (of ours: the mean of a history and its newest item, 64 each),
two hidden layers of 256, Adam. d3rlpy's network has an output for each of the 1,000; ours a third matrix (256, 256) and the
table of items' vectors (1,000, 64), which it reads and does not learn: that is the point of it, and the parameters stand
beside. Compared are DQN with DQN, double DQN with double DQN and CQL (double in both) with discrete CQL, none of them dueling;
ours as it is by default, double and dueling, stands below. ``--hidden 375`` gives ours d3rlpy's number of parameters.
An update is the loss, its gradient, Adam and the slow copy, which d3rlpy copies every 8,000 updates and we follow in each; the
gradient's length is bounded in ours only. Drawing the batch is timed apart.
"""

# ruff: noqa: E402 - the threads are set before numpy loads
from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy loads
    os.environ[_name] = "1"

import gymnasium
import numpy as np
import torch

import longgame.simulation.gym  # noqa: F401 - registers the worlds
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import State
from longgame.evaluation.intervals import over_seeds
from longgame.evaluation.returns import Arm, Study, page
from longgame.protocols import World
from longgame.rng import derive
from longgame.simulation import Environment, Observation, Replay, Step
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.types import I64

USERS, SLOTS, ITEMS, WIDTH, BATCH, GOAL = 256, 2, 1_000, 64, 256, 3.0
PEARL, PEARL_BATCH, PEARL_GOAL = 12.9, 128, 20.0
"""Updates a second that Pearl is published to make at that batch, and how many times as many are the goal."""
STEPS_GOAL = {10: 300_000, 50: 100_000}
WORLDS: dict[str, tuple[str, Callable[[int], World]]] = {
    "interest_evolution": ("InterestEvolution", lambda c: InterestEvolution(InterestEvolutionConfig(USERS, c))),
    "long_term_satisfaction": ("LongTermSatisfaction", lambda c: LongTermSatisfaction(LongTermSatisfactionConfig(USERS, c))),
}
Figures = dict[str, Any]


def heard(process: subprocess.Popen[str], peer: str) -> Figures:
    """The next line that is meant for us."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith("@ "):
            return dict(json.loads(line[2:]))
    raise SystemExit(f"speed: {peer}'s process ended; its message stands above")


def started(python: str, script: str, *words: object) -> subprocess.Popen[str]:
    path = Path(__file__).parent / "peers" / script
    call = [python, "-W", "ignore", str(path.resolve()), *map(str, words)]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rate(step: Callable[[], object], seconds: float) -> float:
    """Steps of all users a second of the processor's time."""
    for _ in range(5):
        step()
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        step()
        count += USERS
    return count / spent


def random_slates(rng: np.random.Generator, candidates: int) -> I64:
    """(B, 2) two different columns."""
    slates: I64 = (rng.integers(candidates, size=(USERS, 1)) + np.array([[0, 1]])) % candidates
    return slates


def steps(recsim: str | None, seeds: int, seconds: float) -> list[Study]:
    told = []
    for name, (id, made) in WORLDS.items():
        for candidates, goal in STEPS_GOAL.items():
            rng, world = derive(0, name), Environment(made(candidates), SLOTS)
            many = gymnasium.make_vec(f"longgame/{id}-v0", num_envs=USERS, candidates=candidates, slots=SLOTS)

            def ours(world: Environment = world, rng: np.random.Generator = rng, c: int = candidates) -> None:
                world.observe()
                world.step(random_slates(rng, c))

            def vector(many: Any = many, rng: np.random.Generator = rng, c: int = candidates) -> None:
                many.step(random_slates(rng, c))

            got: dict[str, list[float]] = {"longgame": [], "longgame by Gymnasium": [], "RecSim": []}
            for seed in range(seeds):
                world.reset(seed)
                many.reset(seed=seed)
                got["longgame"].append(rate(ours, seconds))
                got["longgame by Gymnasium"].append(rate(vector, seconds))
                if recsim:
                    process = started(recsim, "recsim_steps.py", name, candidates, SLOTS, seconds, seed)
                    got["RecSim"].append(heard(process, "RecSim")["rate"])
                    process.wait()
            told.append(study(f"{name}, {candidates} candidates, steps a second", got))
            first = told[-1].arms[0].estimate
            print(f"  {said(told[-1])}; goal {goal:,}: the lower bound is {first.low / goal:.2f} of it", flush=True)
    return told


def study(what: str, got: dict[str, list[float]]) -> Study:
    """Rates by who made them, a number a seed."""
    return Study(what, [Arm(name, np.array(rates)) for name, rates in got.items() if rates])


def said(done: Study) -> str:
    """A line of rates, with intervals and how many times the last is in the first."""
    e = [(arm.name, arm.estimate) for arm in done.arms]
    line = f"{done.world}: " + ", ".join(f"{name} {x.value:,.0f} [{x.low:,.0f}, {x.high:,.0f}]" for name, x in e)
    if done.arms[-1].name in ("RecSim", "d3rlpy"):
        times = over_seeds(done.arms[0].returns / done.arms[-1].returns)
        line += f"; {times.value:.2f} [{times.low:.2f}, {times.high:.2f}] times"
    return line


def replay(rng: np.random.Generator) -> Replay:
    """What d3rlpy is given: 20,000 decisions out of all items, a fiftieth of them ends."""
    vectors = rng.standard_normal((ITEMS, WIDTH)).astype(np.float32)
    users, days = 200, 101
    held = Replay(days, users, vectors, 0.99)
    offered = np.broadcast_to(np.arange(ITEMS), (users, ITEMS))
    items, here = np.broadcast_to(vectors, (users, ITEMS, WIDTH)), np.ones(users, np.bool_)
    for _ in range(days):
        past = rng.integers(ITEMS, size=(users, 1))
        state = State(vectors[past], past, np.zeros((users, 0), np.float32))
        reward = rng.random((users, 1)).astype(np.float32)
        step = Step(reward, reward > 0.5, rng.random(users) < 0.02)
        shown = rng.integers(ITEMS, size=(users, 1))
        held.add(Observation(state, items, offered >= 0, offered, here), shown, np.full((users, 1), 1 / ITEMS), step)
    return held


def updates(d3rlpy: str | None, seeds: int, hidden: int, size: int, count: int = 30) -> list[Study]:
    torch.set_num_threads(1)
    network = TowersConfig(WIDTH, 0, hidden)
    plain = DqnConfig(network, double=False, dueling=False)
    ours = {
        "DQN": Dqn(plain),
        "DoubleDQN": Dqn(replace(plain, double=True)),
        "DiscreteCQL": Dqn(replace(plain, double=True, conservative=1.0)),
        "as by default": Dqn(DqnConfig(network)),
    }
    peer = started(d3rlpy, "d3rlpy_updates.py", 2 * WIDTH, ITEMS, size) if d3rlpy else None
    theirs = heard(peer, "d3rlpy")["parameters"] if peer else {}
    try:
        rates = _rates(ours, peer, theirs, seeds, size, count)
    finally:
        if peer:
            assert peer.stdin
            peer.stdin.close()
            peer.wait()
    told_all = [study(f"{name}, updates a second at batch {size}", got) for name, got in rates.items()]
    for done in told_all:
        line = f"  {said(done)}" + (f", goal {GOAL:g}" if len(done.arms) > 1 else "")
        if size == PEARL_BATCH:
            line += f"; {done.arms[0].estimate.value / PEARL:.1f} times Pearl's {PEARL} as published, goal {PEARL_GOAL:g}"
        print(line, flush=True)
    learned = ", ".join(f"{name} {parameters(a):,}" for name, a in ours.items())
    print(f"  parameters: {learned}" + (f"; d3rlpy {', '.join(f'{n} {c:,}' for n, c in theirs.items())}" if theirs else ""))
    return told_all


def _rates(
    ours: dict[str, Dqn], peer: subprocess.Popen[str] | None, theirs: Figures, seeds: int, size: int, count: int
) -> dict[str, dict[str, list[float]]]:
    """What is timed -> whose -> updates a second, one a seed; both take turns."""
    rates: dict[str, dict[str, list[float]]] = {}
    for seed in range(-1, seeds):
        rng = derive(seed + 1, "updates")
        held = replay(rng)
        for name, algorithm in ours.items():
            got = {"longgame": _timed(held, algorithm, rng, size, count)}
            if peer and name in theirs:
                assert peer.stdin
                peer.stdin.write(f"{name} {count}\n")
                peer.stdin.flush()
                told = heard(peer, "d3rlpy")
                got["d3rlpy"] = (told["draw"], told["update"])
            if seed >= 0:  # the first is for warming up
                for who, (draw, update) in got.items():
                    rates.setdefault(name, {}).setdefault(who, []).append(count / update)
                    rates.setdefault(f"{name}, with the draw", {}).setdefault(who, []).append(count / (draw + update))
    return rates


def _timed(held: Replay, algorithm: Dqn, rng: np.random.Generator, size: int, count: int) -> tuple[float, float]:
    """Seconds of drawing so many batches, and of learning from them."""
    draw = update = 0.0
    for _ in range(count):
        start = time.process_time()
        batch = held.draw(size, rng)
        drawn = time.process_time()
        algorithm.update(batch)
        draw, update = draw + drawn - start, update + time.process_time() - drawn
    return draw, update


def parameters(algorithm: Dqn) -> int:
    """Numbers that the network learns."""
    return sum(a.size for name, a in algorithm.state_dict().items() if name.startswith("network."))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recsim", help="the Python of an environment with recsim-no-tf")
    parser.add_argument("--d3rlpy", help="the Python of an environment with d3rlpy 2.8.1")
    parser.add_argument("--what", choices=["steps", "updates", "both"], default="both")
    parser.add_argument("--seeds", type=int, default=5, help="rounds, each with users or data of its own")
    parser.add_argument("--seconds", type=float, default=2.0, help="of stepping a round")
    parser.add_argument("--hidden", type=int, default=256, help="width of our layers")
    parser.add_argument("--batch", type=int, default=BATCH, help="decisions of an update; Pearl's 12.9 a second are of 128")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--html", type=Path, help="write tables here")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error(f"--seeds must be 2 or more, for an interval, got {given.seeds}")
    done: list[Study] = []

    def keep(more: list[Study]) -> None:
        """Written as soon as it is there."""
        done.extend(more)
        if given.json:
            given.json.write_text(json.dumps([one.to_json() for one in done], indent=2), "utf-8")
        if given.html:
            about = {"seeds": str(given.seeds), "time": "the processor's, one thread"}
            given.html.write_text(page("How fast worlds step and Q-learning learns", done, about, "a second"), "utf-8")

    if given.what != "updates":
        print("steps a second, one thread:")
        keep(steps(given.recsim, given.seeds, given.seconds))
    if given.what != "steps":
        print("updates a second, one thread:")
        keep(updates(given.d3rlpy, given.seeds, given.hidden, given.batch))


if __name__ == "__main__":
    main()
