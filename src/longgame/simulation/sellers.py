"""The market's sellers as agents of PettingZoo (the extra ``market``): a policy recommends, customers choose, sellers learn.

    from longgame.simulation.sellers import Sellers

    market = Sellers(policy)
    seen, _ = market.reset(seed=0)
    while market.agents:
        seen, earned, *_ = market.step({seller: market.action_space(seller).sample() for seller in market.agents})

A ``ParallelEnv`` (Terry et al., "PettingZoo: Gym for Multi-Agent Reinforcement Learning", NeurIPS 2021): all act at once, a
day a step.

- *Action*: a number of ``market.MODES``: what the seller does today.
- *Observation* (:data:`SEEN`): what the seller knows of its own thing, what it did, how often that was looked at and bought
  yesterday by a customer, and what share of the others promoted and cut.
- *Reward*: what was earned today, a customer.
- Nobody is ever ``terminated``; all are ``truncated`` when ``days`` are over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.protocols import Policy
from longgame.rng import derive
from longgame.simulation.environment import Environment
from longgame.simulation.market import AWAY, MODES, PLAIN, Market, MarketConfig
from longgame.simulation.training import GREEDY, draw
from longgame.slate import Exploration
from longgame.types import F32, F64, I64

try:
    from gymnasium import spaces
    from pettingzoo import ParallelEnv
except ImportError:
    raise MissingExtra("longgame.simulation.sellers", "pettingzoo", "market") from None

SEEN = ("quality", "cost", *MODES, "looks", "purchases", "others promoted", "others cut")
"""Numbers of an observation, in their order; all lie in [0, 1] but for looks and purchases, which are not below 0."""
Told = dict[str, Any]


class Sellers(ParallelEnv):
    """S sellers in a market of ``config``, where ``policy`` makes slates of ``slots`` out of what they show.

    ``policy`` sees what it sees in ``Environment(market, slots, steps, remembers=False)``. The same seed and actions give the
    same market. Nothing can be rendered.
    """

    metadata: dict[str, Any] = {"name": "longgame_market_v0", "render_modes": []}  # noqa: RUF012 - PettingZoo's own form
    render_mode = None

    def __init__(
        self,
        policy: Policy,
        config: MarketConfig | None = None,
        slots: int = 3,
        steps: int = 20,
        days: int = 30,
        explore: Exploration = GREEDY,
    ) -> None:
        if days < 1:
            raise ConfigError(f"Sellers: days must be 1 or more, got {days}")
        self._market = Market(replace(config or MarketConfig(), restless=0.0))
        self._world = Environment(self._market, slots, steps, remembers=False)
        self._policy, self._days, self._explore = policy, days, explore
        self.possible_agents = [f"seller_{number:02d}" for number in range(self._market.config.sellers)]
        self.agents: list[str] = []
        high = np.where(np.isin(SEEN, ("looks", "purchases")), np.inf, 1.0).astype(np.float32)
        self._seen = spaces.Box(np.zeros(len(SEEN), np.float32), high)
        self.observation_spaces = dict.fromkeys(self.possible_agents, self._seen)
        self.action_spaces = {name: spaces.Discrete(len(MODES)) for name in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Told, Told]:
        """A new population, all sellers plain; without a seed the next after the last. ``options`` mean nothing."""
        if seed is not None or not hasattr(self, "_seeds"):
            self._seeds = derive(seed or 0, "sellers")
        self.agents, self._day = list(self.possible_agents), 0
        population = int(self._seeds.integers(2**62))
        self._draws = derive(population, "draws")
        self._world.reset(population)
        self._market.act(np.full(len(self.agents), PLAIN))
        nothing = np.zeros(len(self.agents))
        return self._tell(nothing, nothing), {name: {} for name in self.agents}

    def step(self, actions: Mapping[str, int]) -> tuple[Told, dict[str, float], dict[str, bool], dict[str, bool], Told]:
        """A day. Raises ConfigError where a seller's action is missing or is no mode."""
        modes = self._modes(actions)
        self._market.act(modes)
        before = self._market.earned.sum(axis=0)
        seen = self._world.observe()
        slates, _ = draw(self._policy, seen, self._world.slots, self._explore, self._draws)
        step = self._world.live(slates)
        self._day += 1
        b, filled = self._world.users, (slates >= 0) & seen.here[:, None]
        looks, bought = (np.bincount(slates[at], minlength=len(modes)) / b for at in (filled, filled & (step.reward > 0)))
        earned = (self._market.earned.sum(axis=0) - before) / b
        over, names = self._day >= self._days, self.agents
        told = self._tell(looks, bought)
        self.agents = [] if over else names
        rewards = dict(zip(names, earned.tolist(), strict=True))
        return told, rewards, dict.fromkeys(names, False), dict.fromkeys(names, over), {name: {} for name in names}

    def _modes(self, actions: Mapping[str, int]) -> I64:
        for name in self.agents:
            if name not in actions or not 0 <= int(actions[name]) <= AWAY:
                raise ConfigError(f"step: {name} must do a number from 0 to {AWAY}, got {actions.get(name, 'nothing')}")
        return np.array([int(actions[name]) for name in self.agents], np.int64)

    def _tell(self, looks: F64, bought: F64) -> dict[str, F32]:
        """What each seller sees. Columns of a slate are sellers: all of them are offered, in their order."""
        market, modes = self._market, self._market.modes[0]
        promoted, cut = np.isin(modes, (1, 3)), np.isin(modes, (2, 3))
        others = max(len(modes) - 1, 1)
        columns = [market.quality, market.cost, *np.eye(len(MODES))[modes].T, looks, bought]
        columns += [(all_.sum() - all_) / others for all_ in (promoted, cut)]
        rows = np.stack(columns, axis=1).astype(np.float32)
        return dict(zip(self.agents, rows, strict=True))
