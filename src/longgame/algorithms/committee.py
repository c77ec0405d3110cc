"""Several critics of one Q-learner: a value is what they agree on.

    value = mean of Q_m - caution * their standard deviation

Each of M networks is a ``dqn`` of its own that follows its own target (Ensemble-DQN: Agarwal, Schuurmans & Norouzi, "An
Optimistic Perspective on Offline Reinforcement Learning", ICML 2020) and learns from a half of every batch, drawn for it
alone (a row that none drew goes to one of them), so that they differ where few rows speak: what one mistakes for good the
others do not. *caution* above 0 holds down what they do not agree on, which a log that lacks an item, or few events that were
forged, make (pessimism by spread: An et al., NeurIPS 2021). The critics are ``Dqn``'s in every option: double, dueling, sarsa,
conservative, pushed states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from longgame.algorithms.critic import network_config, network_from
from longgame.algorithms.dqn import Dqn, DqnConfig, values
from longgame.algorithms.robust import cautious, some_rows
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.networks import tensor, tensor_items, to_arrays
from longgame.rng import derive
from longgame.types import F32, F64, Bool


@dataclass(frozen=True)
class CommitteeConfig:
    """How many there are, and how far they must agree."""

    critic: DqnConfig
    critics: int = 5
    """M, 1 or more; each costs its time."""
    caution: float = 0.0
    """Standard deviations that are taken off the mean, 0 or more."""

    def __post_init__(self) -> None:
        if self.critics < 1 or self.caution < 0:
            raise ConfigError(f"CommitteeConfig: critics must be 1 or more and caution not below 0, got {self}")


class CommitteePolicy:
    """Values of M frozen networks, in units of the scale: to be drawn by at a low temperature."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config, the number of ``critics``, ``dueling``, ``caution`` and a ``name``."""
        self._about = dict(about)
        config = network_config(about["network"])
        self._networks = [network_from(config, arrays, f"{number}.") for number in range(about["critics"])]
        self.version = f"{about['name']}-{digest(self.state_dict(), caution=about['caution'])}"

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        offered = tensor_items(items)
        open_, dueling = tensor(mask), self._about["dueling"]  # what dueling takes off differs from critic to critic
        worth = [values(network, network.user(state), offered, open_, dueling).numpy() for network in self._networks]
        return cautious(np.stack(worth), self._about["caution"])

    def state_dict(self) -> Arrays:
        return {name: a for number, net in enumerate(self._networks) for name, a in to_arrays(net, f"{number}.").items()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "committee", **self._about}


class Committee:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: all critics begin there."""

    def __init__(self, config: CommitteeConfig, start: Arrays | None = None) -> None:
        self.config = config
        seeds = range(config.critic.seed, config.critic.seed + config.critics)
        self._critics = [Dqn(replace(config.critic, seed=seed), start) for seed in seeds]

    @property
    def policy(self) -> CommitteePolicy:
        config = self.config
        about = {"network": asdict(config.critic.network), "critics": config.critics, "caution": config.caution}
        about["dueling"] = config.critic.dueling
        name = self._critics[0].policy.version.rpartition("-")[0]
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for number, critic in enumerate(self._critics):
            arrays |= to_arrays(critic.learned.target, f"{number}.")
        return CommitteePolicy({**about, "name": name}, arrays)

    def update(self, batch: Batch) -> Mapping[str, float]:
        told: dict[str, list[float]] = {}
        errors: list[F64] = []
        for critic, keep in zip(self._critics, self._halves(len(batch)), strict=True):
            for name, value in critic.update(some_rows(batch, keep)).items():
                told.setdefault(name, []).append(value)
            errors.append(critic.errors)
        self.errors: F64 = np.max(errors, axis=0)  # (B,), for a replay by priority
        return {name: float(np.mean(values)) for name, values in told.items()}

    def _halves(self, rows: int) -> Bool:
        """(M, B) which rows each critic learns from; each row is some critic's, so that its error is known."""
        m = self.config.critics
        rng = derive(self.config.critic.seed, "committee", str(self._critics[0].learned.updates))
        keep: Bool = rng.random((m, rows)) < 0.5
        keep |= ~keep.any(axis=0) & (rng.integers(m, size=rows) == np.arange(m)[:, None])
        return keep if m > 1 else np.ones((1, rows), np.bool_)

    def state_dict(self) -> Arrays:
        return {name: a for number, one in enumerate(self._critics) for name, a in one.state_dict(f"{number}.").items()}

    def load_state_dict(self, state: Arrays) -> None:
        for number, critic in enumerate(self._critics):
            critic.load_state_dict(state, f"{number}.")
