"""Learners that move a policy by its gradient, by name: of the size and with the settings of a log, and of a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from longgame.algorithms.a2c import A2c, A2cConfig
from longgame.algorithms.critic import Pace
from longgame.algorithms.ppo import Ppo, PpoConfig
from longgame.algorithms.towers import TowersConfig
from longgame.artefacts import Arrays
from longgame.networks import NetworkConfig
from longgame.protocols import Algorithm
from longgame.settings import Settings
from longgame.simulation import Training
from longgame.slate import Exploration

_FOLLOW = 0.05
"""Share of the way that a critic's slow copy moves an update."""


def _a2c_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    p = s.policy
    rate, critic = Pace(p.learning_rate), Pace(p.learning_rate, follow=_FOLLOW)
    return A2c(A2cConfig(network, rate, critic, p.ratio_cap, p.entropy, explore=explore, seed=p.seed), start)


def _ppo_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    p = s.policy
    rate, critic, clip = Pace(p.learning_rate), Pace(p.learning_rate, follow=_FOLLOW), p.trust or float("inf")
    return Ppo(PpoConfig(network, rate, critic, clip, p.entropy, explore=explore, seed=p.seed), start)


FROM_LOGS: Mapping[str, Callable[[Settings, NetworkConfig, Arrays, Exploration], Algorithm]] = {
    "a2c": _a2c_log,
    "ppo": _ppo_log,
}
"""Name -> what learns from a log, with the exploration that its policy is served with, from the supervised network on."""


def _a2c(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = Training(steps, ahead=10, days=5, passes=1)
    pace = Pace(2e-3, lasts=_updates(lived), follow=_FOLLOW)
    return A2c(A2cConfig(network, pace, pace, entropy=_BONUS, scale=scale, explore=_LIVES, seed=seed)), lived


def _ppo(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = Training(steps, ahead=10, days=16, passes=4)
    pace = Pace(1e-3, lasts=_updates(lived), follow=_FOLLOW)
    return Ppo(PpoConfig(network, pace, pace, entropy=_BONUS, scale=scale, explore=_LIVES, seed=seed)), lived


IN_WORLDS: Mapping[str, Callable[[TowersConfig, int, float, int, int], tuple[Algorithm, Training]]] = {
    "a2c": _a2c,
    "ppo": _ppo,
}
"""Name -> what learns by living through so many steps, and how it lives: network, slots, unit of values, steps, seed."""
_LIVES, _BONUS = Exploration(1.0, 0.02), 1e-3


def _updates(lived: Training) -> int:
    """Of an algorithm that learns on-policy."""
    return max(1, lived.steps * lived.passes // lived.batch)
