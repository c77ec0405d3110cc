"""Neural-linear Thompson sampling: a network says what matters of a user and an item, a Bayesian regression how sure it is.

Riquelme, Tucker & Snoek: "Deep Bayesian Bandits Showdown", ICLR 2018, section 4 (NeuralLinear). A network learns what a slot
brings by least squares; a Bayesian linear regression on its last layer is what is drawn from. That layer are the terms of
the sum that a score is (``terms``: the products of the user's numbers with the item's, and the item's own appeal).

Deviations: the prior's mean is the network's own sum of its terms and not 0, so that a supervised start is where it begins;
the noise is given and not inferred; the regression reads the network's slow copy, and what was seen through an older network
fades (``window``) instead of being read anew, for a stream is not kept. M draws make exact probabilities (``matching``).
Myopic by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace
from longgame.algorithms.dqn import Offered
from longgame.algorithms.matching import TermsPolicy
from longgame.algorithms.regression import Posterior
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.networks import to_arrays
from longgame.rng import derive
from longgame.types import F64


@dataclass(frozen=True)
class NeuralLinearConfig:
    """How the network learns, and how sure the regression is of what."""

    network: AnyNetworkConfig
    pace: Pace = field(default_factory=Pace)
    prior: float = 1.0
    """Precision of each weight before any data, above 0."""
    noise: float = 0.5
    """Standard deviation of a slot's reward round its mean, above 0."""
    window: int = 5_000
    """Slots that the regression is as sure as, at most: older ones fade. Where a log is passed over several times it is never
    as sure as of more than that has (``log_has``)."""
    draws: int = 256
    """M posterior draws a snapshot holds."""
    smoothing: float = 0.1
    """What a place in a draw's order counts for each 1 of the place before, in (0, 1): of a slot's draws, about the share that
    the next best has (``matching``)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.prior, self.noise, self.draws, self.window) <= 0 or not 0 < self.smoothing < 1:
            raise ConfigError(
                f"NeuralLinearConfig: prior, noise, draws and window must be above 0 and smoothing lie in (0, 1), got {self}"
            )


def squared_error(told: Tensor, reward: Tensor, filled: Tensor) -> Tensor:
    """(B, K) three times -> the mean over the slots that were filled; 0 where there are none."""
    return ((told - reward) ** 2 * filled).sum() / filled.sum().clamp(min=1)


class NeuralLinear:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network."""

    def __init__(self, config: NeuralLinearConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._learned = Learned(config.network, config.pace, config.seed, start)
        self._window = config.window
        terms = self._learned.network.width_of_terms
        self._posterior = Posterior(terms + 1, config.prior, config.noise, np.append(np.ones(terms), 0.0))

    def log_has(self, slots: int) -> None:
        """How many slots there are that it is handed again and again: seen three times they prove no more than once."""
        self._window = max(1, min(self.config.window, slots))

    @property
    def policy(self) -> TermsPolicy:
        config = self.config
        draws = self._posterior.draws(config.draws, derive(config.seed, "neural-linear"))
        about = {"network": asdict(config.network), "smoothing": config.smoothing}
        return TermsPolicy(about, {**to_arrays(self._learned.target, "network."), "draws": draws})

    def update(self, batch: Batch) -> Mapping[str, float]:
        network, slow = self._learned.network, self._learned.target
        shown = Offered(batch.items, batch.mask).take(torch.from_numpy(batch.action))
        filled = batch.action >= 0
        reward = np.where(filled, batch.reward, np.float32(0.0))
        with self._learned.learning():
            told = network.score(network.user(batch.state), shown)
        loss = self._learned.step(squared_error(told, torch.from_numpy(reward), torch.from_numpy(filled)))
        with torch.no_grad():
            terms = slow.terms(slow.user(batch.state), shown).double().numpy()
        x = np.concatenate([terms, np.ones((*filled.shape, 1))], axis=2)[filled]
        error: F64 = reward[filled] - x @ self._posterior.mean
        self._posterior.learn(x, reward[filled].astype(np.float64), max(0.0, 1.0 - len(x) / self._window))
        return {"loss": loss, "error": float(np.mean(error**2)) if len(error) else 0.0}

    def state_dict(self) -> Arrays:
        return {**self._learned.state_dict(""), **self._posterior.state_dict()}

    def load_state_dict(self, state: Arrays) -> None:
        self._learned.load_state_dict(state, "")
        self._posterior.load_state_dict(state)
