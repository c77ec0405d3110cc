"""Policies by their kind, read back from what they say of themselves: those of ``minds``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from longgame.algorithms.bcq import BcqPolicy
from longgame.algorithms.committee import CommitteePolicy
from longgame.algorithms.decision_transformer import DecisionTransformerPolicy
from longgame.algorithms.drn import DrnPolicy
from longgame.algorithms.ensemble_thompson import EnsembleThompsonPolicy
from longgame.algorithms.kernel_ucb import KernelUcbConfig, KernelUcbPolicy
from longgame.algorithms.linucb import LinUcbConfig, LinUcbPolicy
from longgame.algorithms.matching import TermsPolicy
from longgame.algorithms.tabular import TabularConfig, TabularPolicy
from longgame.artefacts import Arrays
from longgame.protocols import Policy
from longgame.slate import Exploration

POLICIES: Mapping[str, Callable[[Arrays, Mapping[str, Any]], Policy]] = {
    "linucb": lambda arrays, about: LinUcbPolicy(LinUcbConfig(**about["config"]), arrays),
    "kernel-ucb": lambda arrays, about: KernelUcbPolicy(KernelUcbConfig(**about["config"]), arrays),
    "neural-linear": lambda arrays, about: TermsPolicy(_some(about, "network", "smoothing"), arrays),
    "ensemble-thompson": lambda arrays, about: EnsembleThompsonPolicy(_some(about, "network", "smoothing"), arrays),
    "tabular": lambda arrays, about: TabularPolicy(_table(about["config"]), arrays),
    "bcq": lambda arrays, about: BcqPolicy(_some(about, "network", "threshold"), arrays),
    "decision-transformer": lambda arrays, about: DecisionTransformerPolicy(_some(about, "network", "target"), arrays),
    "committee": lambda arrays, about: CommitteePolicy(
        _some(about, "network", "critics", "dueling", "caution", "name"), arrays
    ),
    "drn": lambda arrays, about: DrnPolicy(_some(about, "network", "temperature"), arrays),
}
"""Kind of a policy -> what reads it back (``parts.load_policy``)."""


def _some(about: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: about[name] for name in names}


def _table(config: Mapping[str, Any]) -> TabularConfig:
    sarsa = None if config["sarsa"] is None else Exploration(**config["sarsa"])
    return TabularConfig(**{**config, "sarsa": sarsa})
