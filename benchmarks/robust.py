"""What the options against forged events are worth: Q-learning on a shop's log of which 0, 5 and 20 % of events are forged.

    python benchmarks/robust.py [--seeds 5] [--first 100] [--steps 40000] [--option NAME ...] [--json FILE] [--html FILE]

Customers live in the shop (docs/worlds.md) with slates drawn at random; a seller then promotes ``PROMOTED`` items of the
worst quarter by quality, and forges visits. A *forged visit* is a decision of the log, any one, in which it now says that a
promoted item was shown (where it was not, in place of another item, whose events are gone with it), was clicked, and was
bought ``BOUGHT`` times: a click and each purchase are events. The *share* is of all events of the log, day by day. A forger
who buys often in a visit gets more out of an event, for what is learned of an item is a mean over its showings. What the
log tells of the customer (the state, what they did later, when they left) is as it was: nothing in it tells a forged visit
from a true one, which is the harder case.

Each option learns from that same log, which nobody adds to, by the same number of updates, and is tried by its best scores
for ``DAYS`` days on new customers, none of them forged: the return of a customer, and the *exposure*, which is the share of
all slots that show a promoted item. Beside them chance, and the same learner with a discount of 0 (*myopic*) on the true
log. A seed is a population to live with, one to be tried on, promoted items and first weights. Intervals are Student's over
seeds, of differences to *plain* paired at the same share. How strong the options are was chosen on seed 0, of two strengths
or three, and the budget on seeds 0 and 1, never on those reported. ``--json FILE`` is written after each run and gone on from:
what is in it is not done again.
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
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.committee import Committee, CommitteeConfig
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.robust import Clipped
from longgame.artefacts import write_whole
from longgame.errors import ConfigError
from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.evaluation.returns import Arm, Study, page
from longgame.protocols import Algorithm, Policy
from longgame.rng import derive
from longgame.simulation import Environment, Observation, Replay, Step, draw, trial
from longgame.simulation.shop import Shop, ShopConfig
from longgame.simulation.training import GREEDY
from longgame.slate import Exploration
from longgame.types import F64, I64
from longgame.wiring.workspace import one_thread
from longgame.wiring.worlds import algorithm_for

SLOTS, LIVED, USERS, DAYS, SCALE, BATCH, UPDATES = 4, 250, 500, 60, 5.0, 256, 800
PROMOTED, BOUGHT, SHARES = 3, 3, (0.0, 0.05, 0.2)
ANY = Exploration(1.0, 1.0)
OPTIONS: Mapping[str, tuple[str, Callable[[DqnConfig], Algorithm]]] = {
    "plain": ("dqn as it is", Dqn),
    "L2": ("weight decay 5", lambda c: Dqn(replace(c, pace=replace(c.pace, decay=5.0)))),
    "dropout": ("a tenth of activations", lambda c: Dqn(replace(c, network=replace(c.network, dropout=0.1)))),
    "critics": ("three, caution 4", lambda c: Committee(CommitteeConfig(c, 3, 4.0))),
    "pushed": ("user vectors, by half", lambda c: Dqn(replace(c, push=0.5))),
    "clipped": ("no slot above one purchase", lambda c: Clipped(Dqn(c), 1.0)),
    "conservative": ("CQL's term, weight .02", lambda c: Dqn(replace(c, conservative=0.02))),
}
"""Name -> what it is, and the learner it makes of plain settings."""
BESIDE = {"random": "any slate", "myopic": "plain with a discount of 0, on the true log"}


class Watched(Environment):
    """The shop, with an eye on some items: ``shown`` counts the slots of those who came, and among them theirs."""

    def __init__(self, users: int, items: I64) -> None:
        super().__init__(Shop(ShopConfig(users, budget=np.inf)), SLOTS)
        self.watched, self.shown = items, np.zeros(2)

    def step(self, slates: I64) -> Step:
        here = slates[self.world.here()]  # the shop offers all of its items: columns are positions
        self.shown += here.size, np.isin(here, self.watched).sum()
        return super().step(slates)


def promoted(seed: int) -> I64:
    """(PROMOTED,) positions of what the seller promotes: of the worst quarter by quality."""
    quality = Shop(ShopConfig(1)).quality
    worst = quality.argsort()[: len(quality) // 4]
    out: I64 = derive(seed, "promoted").choice(worst, PROMOTED, replace=False)
    return out


def forged(slates: I64, step: Step, rows: I64, items: I64, rng: np.random.Generator) -> tuple[I64, Step]:
    """The slates and what came of them, as the log has it after forged visits in ``rows``."""
    slates, reward, response = slates.copy(), step.reward.copy(), step.response.copy()
    item = rng.choice(items, len(rows))
    held = slates[rows] == item[:, None]
    slot = np.where(held.any(axis=1), held.argmax(axis=1), rng.integers(SLOTS, size=len(rows)))
    slates[rows, slot], reward[rows, slot], response[rows, slot] = item, BOUGHT, True
    return slates, replace(step, reward=reward, response=response)


@lru_cache(maxsize=1)
def lived(seed: int, steps: int) -> list[tuple[Observation, I64, F64, Step]]:
    """The days of ``steps`` true decisions, drawn at random: kept, for all shares and options begin with them."""
    world, rng, out, made = Environment(Shop(ShopConfig(LIVED, budget=np.inf)), SLOTS), derive(seed, "log"), [], 0
    seen = world.reset(seed)
    while made < steps:
        slates, odds = draw(RankPolicy(0.0), seen, SLOTS, ANY, rng)
        out.append((seen, slates, odds, world.step(slates)))
        made += int(seen.here.sum())
        seen = world.observe()
    return out


@lru_cache(maxsize=3)
def log(seed: int, steps: int, share: float, limit: float, discount: float) -> Replay:
    """``steps`` decisions, of whose events ``share`` are forged; no slot's reward above ``limit``.

    It is here that rewards are clipped: a replay adds up those of ten decisions, and a sum no longer says how many.
    """
    days, items, rng, owed = lived(seed, steps), promoted(seed), derive(seed, "forged", str(share)), 0.0
    replay = Replay(len(days), LIVED, Shop().vectors, discount, ahead=10)
    for seen, slates, odds, step in days:
        events = step.response.sum() + step.reward.sum()  # a click is a response, a purchase is worth 1
        owed += share / (1 - share) * float(events) / (1 + BOUGHT)
        here = np.flatnonzero(seen.here)
        rows = rng.choice(here, min(int(owed), len(here)), replace=False)
        owed -= len(rows)
        told, after = forged(slates, step, rows, items, rng)
        replay.add(seen, told, odds, replace(after, reward=np.minimum(after.reward, np.float32(limit))))
    return replay


def learned(name: str, seed: int, share: float, steps: int) -> dict[str, float]:
    """What an option of ``OPTIONS``, or *myopic*, comes to on that log."""
    world, myopic = Environment(Shop(ShopConfig(LIVED, budget=np.inf)), SLOTS), name == "myopic"
    plain, _ = algorithm_for("dqn", world, SCALE / 10 if myopic else SCALE, steps, seed)
    assert isinstance(plain, Dqn)
    config = replace(plain.config, pace=replace(plain.config.pace, lasts=UPDATES))
    made = OPTIONS["plain" if myopic else name][1](config)
    replay = log(seed, steps, share, getattr(made, "clips_rewards", np.inf), 0.0 if myopic else world.objective.discount)
    rng, begun = derive(seed, "updates"), time.perf_counter()
    for _ in range(UPDATES):
        made.update(replay.draw(BATCH, rng))
    seconds = time.perf_counter() - begun
    return {**tried(made.policy, seed, GREEDY), "seconds": seconds}


def tried(policy: Policy, seed: int, explore: Exploration) -> dict[str, float]:
    """What new customers bring, and the share of slots that promoted items have."""
    world = Watched(USERS, promoted(seed))
    brought = float(trial(world, policy, USERS, seed, explore, DAYS).mean())
    return {"return": brought, "exposure": float(world.shown[1] / world.shown[0])}


def one(name: str, seed: int, share: float, steps: int) -> dict[str, float]:
    """A run."""
    return tried(RankPolicy(0.0), seed, ANY) if name == "random" else learned(name, seed, share, steps)


def column(runs: Mapping[str, Any], name: str, share: float, what: str) -> F64:
    """(S,) of an arm, one a seed."""
    return np.array([run[what] for key, run in runs.items() if key.rpartition("/")[0] == f"{name}/{share}"])


def studies(runs: Mapping[str, Any], names: list[str]) -> list[Study]:
    """One a share; chance and *myopic*, which nobody forged anything for, stand in each."""
    out = []
    for share in SHARES:
        arms = [Arm(name, column(runs, name, 0.0, "return"), what) for name, what in BESIDE.items()]
        for name in names:
            returns, seconds = column(runs, name, share, "return"), column(runs, name, share, "seconds")
            arms.append(Arm(name, returns, OPTIONS[name][0], seconds=seconds))
        out.append(Study(f"shop, {share:.0%} of events forged", arms))
    return out


def gaps(runs: Mapping[str, Any], name: str, share: float) -> dict[str, Estimate]:
    """The return and the exposure of an option less those of *plain* at the same share, paired over seeds."""
    both = ("return", "exposure")
    return {what: over_seeds(column(runs, name, share, what) - column(runs, "plain", share, what)) for what in both}


def markdown(runs: Mapping[str, Any], names: list[str]) -> str:
    """One row an option and a share; differences are to *plain* at that share."""
    lines = ["| forged | option | return | less plain's | exposure, % | less plain's |", "|---:|---|---|---|---|---|"]
    rows = [*((0.0, name) for name in BESIDE), *((share, name) for share in SHARES for name in names)]
    for share, name in rows:
        cells = [f"{share:.0%}", name]
        for what, unit in (("return", 1.0), ("exposure", 100.0)):
            compared = name not in BESIDE and name != "plain"
            gap = _cell(gaps(runs, name, share)[what], unit, "+") if compared else ""
            cells += [_cell(over_seeds(column(runs, name, share, what)), unit), gap]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(e: Estimate, unit: float, sign: str = "") -> str:
    form = f"{sign}.{2 if unit == 1.0 else 1}f"
    return f"{e.value * unit:{form}} [{e.low * unit:{form}}, {e.high * unit:{form}}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--steps", type=int, default=40_000, help="decisions of the log")
    parser.add_argument("--option", action="append", choices=list(OPTIONS), help="only these and plain; may be said again")
    parser.add_argument("--json", type=Path, help="write the figures here, and go on from what is there")
    parser.add_argument("--html", type=Path, help="write tables here")
    given = parser.parse_args()
    one_thread()
    names = [name for name in OPTIONS if name == "plain" or not given.option or name in given.option]
    runs: dict[str, Any] = {}
    if given.json and given.json.exists():
        kept = json.loads(given.json.read_text("utf-8"))
        if kept["decisions"] != given.steps:
            raise ConfigError(f"{given.json}: holds runs of {kept['decisions']:,} decisions, got --steps {given.steps:,}")
        runs = kept["runs"]
    asked = [(name, 0.0) for name in BESIDE] + [(name, share) for share in SHARES for name in names]
    for seed in range(given.first, given.first + given.seeds):
        for name, share in asked:
            key = f"{name}/{share}/{seed}"
            if key in runs:
                continue
            runs[key] = run = one(name, seed, share, given.steps)
            print(f"seed {seed}, {share:.0%}, {name}: {run['return']:.2f}, exposure {run['exposure']:.1%}", flush=True)
            if given.json:
                write_whole(given.json, json.dumps({"decisions": given.steps, "runs": runs}, indent=1).encode())
    mine = {key: run for key, run in runs.items() if given.first <= int(key.rpartition("/")[2]) < given.first + given.seeds}
    print(f"\n{markdown(mine, names)}")
    done = studies(mine, names)
    if given.json:
        differences = {f"{n}/{s}": {w: asdict(e) for w, e in gaps(mine, n, s).items()} for s in SHARES for n in names}
        told = {"decisions": given.steps, "runs": runs, "studies": [s.to_json() for s in done], "less plain": differences}
        write_whole(given.json, json.dumps(told, indent=1).encode())
    if given.html:
        about = {"seeds": str(given.seeds), "decisions of the log": f"{given.steps:,}", "users a trial": f"{USERS:,}"}
        given.html.write_text(page("Options under forged events", done, about), "utf-8")


if __name__ == "__main__":
    main()
