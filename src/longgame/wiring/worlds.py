"""Worlds by name, and an algorithm that learns in one: what ``longgame simulate --algorithm`` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from longgame.algorithms.critic import Pace
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.slateq import SlateQ, SlateQConfig
from longgame.algorithms.towers import TowersConfig
from longgame.errors import ConfigError
from longgame.evaluation.returns import Arm, Study
from longgame.protocols import Algorithm, Policy, World
from longgame.simulation import Environment, Training, train, train_once, trial
from longgame.simulation.behaviour import Fitting
from longgame.simulation.feed import Feed, FeedConfig
from longgame.simulation.from_logs import FromLogs, FromLogsConfig
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.logged import learned, told
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.simulation.market import Market, MarketConfig
from longgame.simulation.sessions import Sessions, SessionsConfig
from longgame.simulation.shop import Shop, ShopConfig
from longgame.simulation.training import Watch
from longgame.simulation.video import Video, VideoConfig
from longgame.slate import Exploration
from longgame.wiring.actors import IN_WORLDS, replayed
from longgame.wiring.minds import DRAWN, LIVING

WORLDS: Mapping[str, Callable[[int, int], World]] = {
    "shop": lambda users, items: Shop(ShopConfig(users, items)),
    "video": lambda users, items: Video(VideoConfig(users, items)),
    "feed": lambda users, items: Feed(FeedConfig(users, items)),
    "interest-evolution": lambda users, items: InterestEvolution(InterestEvolutionConfig(users, items)),
    "long-term-satisfaction": lambda users, items: LongTermSatisfaction(LongTermSatisfactionConfig(users, items)),
    "market": lambda users, items: Market(MarketConfig(users, items)),
    "sessions": lambda users, items: Sessions(SessionsConfig(users, items, flips=items // 2)),
}
"""Name -> a world of so many users, in which so many items are offered."""
OFFERED: Mapping[str, int] = {"shop": 150, "market": 12, "sessions": 20, "log": 20}
"""Items that are offered where nobody says how many; 10 elsewhere."""
LOG = "log"
"""The name of a world that is learned from a log (``from_log``)."""
ALGORITHMS = ("slateq", "dqn", "sarsa", *IN_WORLDS, *LIVING)
"""Those that learn from what they live through."""
LOGGED = ("cql", "reinforce", "decision-transformer", "kernel-ucb")
"""Those that learn from logs alone."""
_TRIED, _LIVED = 500, 64
"""Users that a policy is tried on at once, and users that an algorithm lives with."""
_SESSIONS = {"interest-evolution", "long-term-satisfaction", "sessions"}
"""Worlds whose users leave within hundreds of slates, and are tried until they do."""
_SESSION, _MONTH = 2_000, 30
"""Days of a trial, at most: in those, and in worlds that go on."""


Made = Callable[[int], World]
"""Users -> a world of so many."""


def named(kind: str, items: int) -> Made:
    """The world of that name. Raises ConfigError for another."""
    if kind not in WORLDS:
        raise ConfigError(f"simulate: --world must be one of {', '.join((*WORLDS, LOG))}, got {kind!r}")
    return lambda users: WORLDS[kind](users, items)


def from_log(data: Path, items: int, penalty: float, liked: float | None, seed: int) -> Made:
    """The world learned from a log, in which so many items are offered. Raises DataError where it tells too little."""
    lived = learned(told(data, liked), Fitting(seed=seed))
    offered = min(items, len(lived.told.items))
    return lambda users: FromLogs(lived, FromLogsConfig(users, offered, penalty))


def algorithm_for(kind: str, world: Environment, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    """An algorithm of ``ALGORITHMS`` of the size of a world, and how it lives there for so many steps."""
    network = TowersConfig(world.width, world.context, hidden=64)
    if kind in IN_WORLDS:
        return IN_WORLDS[kind](network, world.slots, scale, steps, seed)
    lived = replayed(steps, temperature=1.0) if kind in DRAWN else replayed(steps)
    pace = Pace(lasts=steps // lived.every, follow=0.05)
    if kind == "slateq":
        return SlateQ(SlateQConfig(network, world.slots, pace=pace, scale=scale, seed=seed)), lived
    settled = Exploration(lived.temperature, lived.explore[1])  # once exploration has settled
    if kind in LIVING:
        return LIVING[kind](network, pace, scale, settled, seed), lived
    sarsa = settled if kind == "sarsa" else None
    together = world.slots > 1  # else an item is credited with one slot's share of what it does later
    return Dqn(DqnConfig(network, pace, sarsa=sarsa, scale=scale, together=together, seed=seed)), lived


def live(world: Environment, algorithm: Algorithm, lived: Training, seed: int, watch: Watch | None = None) -> None:
    """``algorithm`` learns as it can: one that counts is told of each decision once, for a replay shows it many times."""
    if getattr(algorithm, "counts", False):
        train_once(world, algorithm, lived.steps, seed, Exploration(lived.temperature, lived.explore[1]), watch)
    else:
        train(world, algorithm, lived, seed, watch)


def study(
    kind: str,
    made_for: Made,
    algorithm: str,
    users: int,
    slots: int,
    days: int | None,
    steps: int,
    seeds: int,
    say: Callable[[str], None] = lambda line: None,
    first: int = 0,
) -> Study:
    """``algorithm`` learns from ``steps`` decisions in the world that ``made_for`` makes, and is tried on ``users``
    others for ``days`` days, beside chance.

    A seed is a population to live with, one to be tried on, and the network's first weights. Without ``days`` users are
    followed until they leave where a session has an end, and for 30 days elsewhere. Raises ConfigError for unknown names.
    """
    if algorithm not in ALGORITHMS:
        elsewhere = "; it learns from a log: `longgame train --algorithm " + algorithm + "`" if algorithm in LOGGED else ""
        raise ConfigError(f"simulate: --algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}{elsewhere}")
    days = days or (_SESSION if kind in _SESSIONS else _MONTH)
    any_slate = Exploration(1.0, 1.0)
    chance, found, seconds = [], [], []
    for seed in range(first, first + seeds):
        trying = Environment(made_for(min(users, _TRIED)), slots)
        if trying.candidates <= slots:
            raise ConfigError(
                f"simulate: --k must be below --items, else every slate holds all that is offered, got {slots} slots for "
                f"{trying.candidates} items"
            )
        chance.append(float(trial(trying, RankPolicy(0.0), users, seed, any_slate, days).mean()))
        world = Environment(made_for(_LIVED), slots)
        made, training = algorithm_for(algorithm, world, max(abs(chance[-1]) / 8, 1e-3), steps, seed)
        begun = time.perf_counter()
        live(world, made, training, seed, _telling(say, seed, steps))
        seconds.append(time.perf_counter() - begun)
        found.append(float(trial(trying, made.policy, users, seed, days=days).mean()))
        say(f"seed {seed}: {found[-1]:,.1f} a user, {chance[-1]:,.1f} by chance, learned in {seconds[-1]:.0f} s")
    arms = [
        Arm("random", np.array(chance), "any slate"),
        Arm(algorithm, np.array(found), "learned", seconds=np.array(seconds)),
    ]
    return Study(kind, arms)


def _telling(say: Callable[[str], None], seed: int, steps: int) -> Callable[[int, Mapping[str, float], Policy], None]:
    """Says how far it is, ten times."""
    tenth, told = max(1, steps // 10), 0

    def tell(done: int, metrics: Mapping[str, float], policy: Policy) -> None:
        nonlocal told
        if done // tenth > told:
            told = done // tenth
            say(f"seed {seed}: {done:,} decisions, " + ", ".join(f"{name} {value:.3g}" for name, value in metrics.items()))

    return tell
