"""Algorithms by name, made as the settings say: bandits, tables, and those for logs that nobody can add to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from longgame.algorithms.bcq import Bcq, BcqConfig
from longgame.algorithms.critic import Pace
from longgame.algorithms.decision_transformer import (
    DecisionTransformer,
    DecisionTransformerConfig,
)
from longgame.algorithms.drn import Drn, DrnConfig
from longgame.algorithms.ensemble_thompson import EnsembleThompson, EnsembleThompsonConfig
from longgame.algorithms.iql import Iql, IqlConfig
from longgame.algorithms.kernel_ucb import KernelUcb, KernelUcbConfig
from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.linucb import LinUcb, LinUcbConfig
from longgame.algorithms.neural_linear import NeuralLinear, NeuralLinearConfig
from longgame.algorithms.regression import size
from longgame.algorithms.tabular import Tabular, TabularConfig
from longgame.algorithms.towers import TowersConfig
from longgame.artefacts import Arrays
from longgame.networks import NetworkConfig
from longgame.protocols import Algorithm
from longgame.settings import Settings
from longgame.slate import Exploration
from longgame.wiring.workspace import exploration

Make = Callable[[Settings, NetworkConfig, Arrays], Algorithm]
"""Settings, the network of the supervised model and its arrays -> an algorithm that begins there."""


def _tabular(sarsa: bool) -> Make:
    def make(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
        return Tabular(TabularConfig(network.width, network.context, sarsa=exploration(settings) if sarsa else None))

    return make


def _iql(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
    s = settings.policy
    return Iql(IqlConfig(network, Pace(s.learning_rate), explore=exploration(settings), seed=s.seed), start)


MINDS: Mapping[str, Make] = {
    "linucb": lambda s, network, start: LinUcb(LinUcbConfig(network.width, network.context)),
    "kernel-ucb": lambda s, network, start: KernelUcb(KernelUcbConfig(network.width, network.context)),
    "neural-linear": lambda s, network, start: NeuralLinear(
        NeuralLinearConfig(network, Pace(s.policy.learning_rate), seed=s.policy.seed), start
    ),
    "ensemble-thompson": lambda s, network, start: EnsembleThompson(
        EnsembleThompsonConfig(network, Pace(s.policy.learning_rate), seed=s.policy.seed), start
    ),
    "tabular-q": _tabular(False),
    "tabular-sarsa": _tabular(True),
    "iql": _iql,
    "bcq": lambda s, network, start: Bcq(BcqConfig(network, Pace(s.policy.learning_rate), seed=s.policy.seed), start),
    "decision-transformer": lambda s, network, start: DecisionTransformer(
        DecisionTransformerConfig(network, Pace(s.policy.learning_rate), seed=s.policy.seed), start
    ),
    "drn": lambda s, network, start: Drn(DrnConfig(network, Pace(s.policy.learning_rate), seed=s.policy.seed), start),
}
"""``policy.algorithm`` -> what makes it; the rest are in ``training.make_algorithm``."""

_MOST = 500
"""Features of a regression that is asked hundreds of times a minute: where there were more, the context is left out."""

Live = Callable[[TowersConfig, Pace, float, Exploration, int], Algorithm]
"""A network of a world's size, a pace, a unit of returns, the exploration that settles there, a seed."""

LIVING: Mapping[str, Live] = {
    "tabular-q": lambda net, pace, scale, explore, seed: Tabular(TabularConfig(net.width, net.context, 128, 64)),
    "tabular-sarsa": lambda net, pace, scale, explore, seed: Tabular(
        TabularConfig(net.width, net.context, 128, 64, sarsa=explore)
    ),
    "linear-thompson": lambda net, pace, scale, explore, seed: LinearThompson(
        LinearThompsonConfig(net.width, net.context, products=size(net.width, net.context) <= _MOST, seed=seed)
    ),
    "linucb": lambda net, pace, scale, explore, seed: LinUcb(
        LinUcbConfig(net.width, net.context, products=size(net.width, net.context) <= _MOST)
    ),
    "neural-linear": lambda net, pace, scale, explore, seed: NeuralLinear(NeuralLinearConfig(net, pace, seed=seed)),
    "ensemble-thompson": lambda net, pace, scale, explore, seed: EnsembleThompson(
        EnsembleThompsonConfig(net, pace, scale=scale, seed=seed)
    ),
    "iql": lambda net, pace, scale, explore, seed: Iql(IqlConfig(net, pace, scale=scale, seed=seed)),
    "bcq": lambda net, pace, scale, explore, seed: Bcq(BcqConfig(net, pace, scale=scale, seed=seed)),
    "drn": lambda net, pace, scale, explore, seed: Drn(DrnConfig(net, pace, scale=scale, seed=seed)),
}
"""Those that learn from what they live through (``worlds.algorithm_for``)."""

DRAWN = ("linear-thompson", "neural-linear", "ensemble-thompson", "iql", "drn")
"""Of those, the ones whose scores are log-preferences: they explore at temperature 1, and not at one towards 0."""
