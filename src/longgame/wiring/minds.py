"""Algorithms by name, made as the settings say: bandits, tables, and those for logs that nobody can add to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from longgame.algorithms.critic import Pace
from longgame.algorithms.ensemble_thompson import EnsembleThompson, EnsembleThompsonConfig, EnsembleThompsonPolicy
from longgame.algorithms.linucb import LinUcb, LinUcbConfig, LinUcbPolicy
from longgame.algorithms.matching import TermsPolicy
from longgame.algorithms.neural_linear import NeuralLinear, NeuralLinearConfig
from longgame.artefacts import Arrays
from longgame.networks import NetworkConfig
from longgame.protocols import Algorithm, Policy
from longgame.settings import Settings

Make = Callable[[Settings, NetworkConfig, Arrays], Algorithm]
"""Settings, the network of the supervised model and its arrays -> an algorithm that begins there."""


def _linucb(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
    return LinUcb(LinUcbConfig(network.width, network.context))


def _neural_linear(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
    s = settings.policy
    return NeuralLinear(NeuralLinearConfig(network, Pace(s.learning_rate), seed=s.seed), start)


def _ensemble(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
    s = settings.policy
    return EnsembleThompson(EnsembleThompsonConfig(network, Pace(s.learning_rate), seed=s.seed), start)


MINDS: Mapping[str, Make] = {
    "linucb": _linucb,
    "neural-linear": _neural_linear,
    "ensemble-thompson": _ensemble,
}
"""``policy.algorithm`` -> what makes it; the rest are in ``training.make_algorithm``."""

ONCE = ("linear-thompson", "linucb")
"""Those that count what they have seen, and must not count it twice: one pass over a log."""


POLICIES: Mapping[str, Callable[[Arrays, Mapping[str, object]], Policy]] = {
    "linucb": lambda arrays, about: LinUcbPolicy(LinUcbConfig(**about["config"]), arrays),  # type: ignore[arg-type]  # JSON
    "neural-linear": lambda arrays, about: TermsPolicy(_without_kind(about), arrays),
    "ensemble-thompson": lambda arrays, about: EnsembleThompsonPolicy(_without_kind(about), arrays),
}
"""Kind of a policy -> what reads it back (``parts.load_policy``)."""


def _without_kind(about: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in about.items() if name in ("network", "smoothing")}
