"""How fast the worlds step and Q-learning learns, beside RecSim and d3rlpy: one machine, one run, one thread each.

    python benchmarks/speed.py [--recsim PYTHON] [--d3rlpy PYTHON] [--rounds 5] [--seconds 2] [--json FILE]

Each PYTHON is that of an environment with the peer (``peers/recsim_steps.py``, ``peers/d3rlpy_updates.py``); without them
ours is measured alone. All times are the processor's, so that a neighbour who takes turns on the core counts little; rounds of
both take turns, and the figure is the fastest of each.

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
from longgame.protocols import World
from longgame.rng import derive
from longgame.simulation import Environment, Observation, Replay, Step
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.types import I64

USERS, SLOTS, ITEMS, WIDTH, BATCH, GOAL = 256, 2, 1_000, 64, 256, 3.0
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


def steps(recsim: str | None, rounds: int, seconds: float) -> list[Figures]:
    told = []
    for name, (id, made) in WORLDS.items():
        for candidates, goal in STEPS_GOAL.items():
            rng, world = derive(0, name), Environment(made(candidates), SLOTS)
            many = gymnasium.make_vec(f"longgame/{id}-v0", num_envs=USERS, candidates=candidates, slots=SLOTS)
            world.reset(0)
            many.reset(seed=0)

            def ours(world: Environment = world, rng: np.random.Generator = rng, c: int = candidates) -> None:
                world.observe()
                world.step(random_slates(rng, c))

            def vector(many: Any = many, rng: np.random.Generator = rng, c: int = candidates) -> None:
                many.step(random_slates(rng, c))

            got: dict[str, float] = {"ours": 0.0, "gymnasium": 0.0, "recsim": 0.0}
            for _ in range(rounds):
                got["ours"] = max(got["ours"], rate(ours, seconds))
                got["gymnasium"] = max(got["gymnasium"], rate(vector, seconds))
                if recsim:
                    process = started(recsim, "recsim_steps.py", name, candidates, SLOTS, seconds)
                    got["recsim"] = max(got["recsim"], heard(process, "RecSim")["rate"])
                    process.wait()
            beside = f"; RecSim {got['recsim']:,.0f}: {got['ours'] / got['recsim']:.0f} times" if recsim else ""
            print(
                f"  {name}, {candidates} candidates: {got['ours']:,.0f} steps/s, goal {goal:,}: {got['ours'] / goal:.2f}; "
                f"by Gymnasium {got['gymnasium']:,.0f}{beside}",
                flush=True,
            )
            told.append({"world": name, "candidates": candidates, **got})
    return told


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


def updates(d3rlpy: str | None, rounds: int, hidden: int, size: int, count: int = 30) -> list[Figures]:
    torch.set_num_threads(1)
    rng = derive(0, "updates")
    held, network = replay(rng), TowersConfig(WIDTH, 0, hidden)
    plain = DqnConfig(network, double=False, dueling=False)
    ours = {
        "DQN": Dqn(plain),
        "DoubleDQN": Dqn(replace(plain, double=True)),
        "DiscreteCQL": Dqn(replace(plain, double=True, conservative=1.0)),
        "as by default": Dqn(DqnConfig(network)),
    }
    peer = started(d3rlpy, "d3rlpy_updates.py", 2 * WIDTH, ITEMS, size) if d3rlpy else None
    theirs = heard(peer, "d3rlpy")["parameters"] if peer else {}
    best: dict[str, list[float]] = {name: [0.0] * 4 for name in ours}
    for turn in range(rounds + 1):
        for name, algorithm in ours.items():
            draw = update = 0.0
            for _ in range(count):
                start = time.process_time()
                batch = held.draw(size, rng)
                drawn = time.process_time()
                algorithm.update(batch)
                draw, update = draw + drawn - start, update + time.process_time() - drawn
            got = [count / update, count / (draw + update), 0.0, 0.0]
            if peer and name in theirs:
                assert peer.stdin
                peer.stdin.write(f"{name} {count}\n")
                peer.stdin.flush()
                told = heard(peer, "d3rlpy")
                got[2:] = [count / told["update"], count / (told["draw"] + told["update"])]
            if turn:  # the first is for warming up
                best[name] = np.maximum(best[name], got).tolist()
    if peer:
        assert peer.stdin
        peer.stdin.close()
        peer.wait()
    return [_row(name, figures, parameters(ours[name]), theirs.get(name)) for name, figures in best.items()]


def parameters(algorithm: Dqn) -> int:
    """Numbers that the network learns."""
    return sum(a.size for name, a in algorithm.state_dict().items() if name.startswith("network."))


def _row(name: str, figures: list[float], own: int, theirs: int | None) -> Figures:
    alone, drawn, their_alone, their_drawn = figures
    beside = ""
    if theirs is not None:
        ratio = alone / their_alone
        beside = (
            f"; d3rlpy {their_alone:.0f} ({their_drawn:.0f}), {theirs:,} parameters: {ratio:.2f} times "
            f"({drawn / their_drawn:.2f}), goal {GOAL:g}: {ratio / GOAL:.2f}"
        )
    print(f"  {name}: {alone:.0f} updates/s ({drawn:.0f} with the draw), {own:,} parameters{beside}", flush=True)
    return {"name": name, "ours": alone, "with_draw": drawn, "d3rlpy": their_alone, "d3rlpy_with_draw": their_drawn}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recsim", help="the Python of an environment with recsim-no-tf")
    parser.add_argument("--d3rlpy", help="the Python of an environment with d3rlpy 2.8.1")
    parser.add_argument("--what", choices=["steps", "updates", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of stepping a round")
    parser.add_argument("--hidden", type=int, default=256, help="width of our layers")
    parser.add_argument("--batch", type=int, default=BATCH, help="decisions of an update; Pearl's 12.9 a second are of 128")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    figures: Figures = {}
    if given.what != "updates":
        print("steps a second, one thread:")
        figures["steps"] = steps(given.recsim, given.rounds, given.seconds)
    if given.what != "steps":
        print("updates a second, one thread:")
        figures["updates"] = updates(given.d3rlpy, given.rounds, given.hidden, given.batch)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
