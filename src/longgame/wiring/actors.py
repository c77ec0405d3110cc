"""Learners that move a policy by its gradient, by name: of the size and with the settings of a log, and of a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from longgame.algorithms.a2c import A2c, A2cConfig
from longgame.algorithms.critic import Pace
from longgame.algorithms.grpo import Grpo, GrpoConfig
from longgame.algorithms.ppo import Ppo, PpoConfig
from longgame.algorithms.sac import Sac, SacConfig
from longgame.algorithms.towers import TowersConfig
from longgame.algorithms.wolpertinger import Wolpertinger, WolpertingerConfig
from longgame.artefacts import Arrays
from longgame.networks import NetworkConfig
from longgame.protocols import Algorithm
from longgame.settings import Settings
from longgame.simulation import Training
from longgame.slate import Exploration

_FOLLOW = 0.05
"""Share of the way that a critic's slow copy moves an update."""
_WAIT = 20
"""On a log: updates of critics that know nothing before they move what begins at the supervised network."""
_HELD = 0.05
"""On a log: weight of the divergence of grpo's lists from the supervised network's."""


def _a2c_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    p = s.policy
    rate, critic = Pace(p.learning_rate), Pace(p.learning_rate, follow=_FOLLOW)
    return A2c(A2cConfig(network, rate, critic, p.entropy, explore=explore, seed=p.seed, cap=p.ratio_cap), start)


def _ppo_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    p = s.policy
    rate, critic, clip = Pace(p.learning_rate), Pace(p.learning_rate, follow=_FOLLOW), p.trust or float("inf")
    return Ppo(PpoConfig(network, rate, critic, p.entropy, explore=explore, seed=p.seed, clip=clip), start)


def _grpo_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    p = s.policy
    return Grpo(GrpoConfig(network, Pace(p.learning_rate), beta=_HELD, explore=explore, wait=_WAIT, seed=p.seed), start)


def _sac_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    rate = Pace(s.policy.learning_rate)
    return Sac(SacConfig(network, rate, rate, wait=_WAIT, seed=s.policy.seed), start)


def _ddpg_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    rate = Pace(s.policy.learning_rate)
    return Wolpertinger(WolpertingerConfig.ddpg(network, pace=rate, actor=rate, wait=_WAIT, seed=s.policy.seed), start)


def _td3_log(s: Settings, network: NetworkConfig, start: Arrays, explore: Exploration) -> Algorithm:
    rate = Pace(s.policy.learning_rate)
    return Wolpertinger(WolpertingerConfig(network, rate, rate, wait=_WAIT, seed=s.policy.seed), start)


FROM_LOGS: Mapping[str, Callable[[Settings, NetworkConfig, Arrays, Exploration], Algorithm]] = {
    "a2c": _a2c_log,
    "ppo": _ppo_log,
    "grpo": _grpo_log,
    "sac": _sac_log,
    "ddpg": _ddpg_log,
    "td3": _td3_log,
}
"""Name -> what learns from a log, with the exploration that its policy is served with, from the supervised network on."""


def _a2c(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = Training(steps, warm=1, ahead=10, batch=160, days=5, passes=4)  # one pass, the paper's, learns nothing in so few
    pace = Pace(3e-3, lasts=_updates(lived), follow=_FOLLOW)
    return A2c(A2cConfig(network, pace, pace, entropy=_BONUS, scale=scale, explore=_LIVES, seed=seed)), lived


def _ppo(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = Training(steps, warm=1, ahead=10, days=16, passes=8)
    pace = Pace(3e-3, lasts=_updates(lived), follow=_FOLLOW)
    return Ppo(PpoConfig(network, pace, pace, entropy=_BONUS, scale=scale, explore=_LIVES, seed=seed)), lived


def _grpo(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = replayed(steps, temperature=1.0, explore=(0.3, 0.02))
    pace = Pace(1e-3, lasts=steps // lived.every, follow=_FOLLOW)
    return Grpo(GrpoConfig(network, pace, scale=scale, seed=seed)), lived


def _sac(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = replayed(steps, temperature=1.0, explore=(0.3, 0.02))
    pace = Pace(1e-3, lasts=steps // lived.every, follow=_FOLLOW)
    return Sac(SacConfig(network, pace, pace, together=slots > 1, scale=scale, seed=seed)), lived


def _ddpg(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = replayed(steps)
    pace = Pace(1e-3, lasts=steps // lived.every, follow=_FOLLOW)
    more = {"pace": pace, "actor": pace, "together": slots > 1, "scale": scale, "seed": seed}
    return Wolpertinger(WolpertingerConfig.ddpg(network, **more)), lived


def _td3(network: TowersConfig, slots: int, scale: float, steps: int, seed: int) -> tuple[Algorithm, Training]:
    lived = replayed(steps)
    pace = Pace(1e-3, lasts=steps // lived.every, follow=_FOLLOW)
    return Wolpertinger(WolpertingerConfig(network, pace, pace, together=slots > 1, scale=scale, seed=seed)), lived


IN_WORLDS: Mapping[str, Callable[[TowersConfig, int, float, int, int], tuple[Algorithm, Training]]] = {
    "a2c": _a2c,
    "ppo": _ppo,
    "grpo": _grpo,
    "sac": _sac,
    "ddpg": _ddpg,
    "td3": _td3,
}
"""Name -> what learns by living through so many steps, and how it lives: network, slots, unit of values, steps, seed."""
_LIVES, _BONUS = Exploration(1.0, 0.02), 1e-3


def replayed(steps: int, **more: Any) -> Training:
    """How an algorithm lives that learns from a replay: as ``dqn`` does, unless ``more`` says otherwise."""
    return Training(**{"steps": steps, "warm": max(1, min(4_000, steps // 4)), "ahead": 10, "capacity": 60_000, **more})


def _updates(lived: Training) -> int:
    """Of an algorithm that learns on-policy."""
    return max(1, lived.steps * lived.passes // lived.batch)
