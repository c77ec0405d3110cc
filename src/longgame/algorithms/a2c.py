"""Advantage actor-critic: the policy moves towards what did better than its state foretold.

Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016, section 4, synchronous (one learner for all
users that are lived with at once): with the n-step advantage

    A = r_t + gamma r_{t+1} + ... + gamma^n V(s_{t+n}) - V(s_t)

the gradient is that of log pi(a|s) A + entropy * H(pi(s)), and V moves towards what A is taken from. The policy is the softmax
over log-preferences that ``slate`` draws from, at its temperature and with its uniform share.

It learns on-policy: ``simulation.train`` lets it live with its newest policy, and hands it what came of that in
``Training.passes`` passes. The paper's is one; the default, and that of ``longgame simulate``, is 4, because one pass over few
decisions learned nothing: from the second on the policy has moved, and picks weigh by their ratio. On the log of another policy
each pick weighs by how much likelier this one makes it than that one did, up to ``cap`` (IMPALA's truncated weight, Espeholt et
al., ICML 2018, section 4.1, per slot), and V is what states were worth under whoever decided: one step of improvement on the
policy of the log.

Deviations, each because it moves the score:

- *Slates*: a slate is drawn slot by slot, and every slot answers for the whole slate's reward and what comes after: without
  bias, whatever the items of a slate do to each other, and with K times the noise of a slot's own reward.
- *Two networks* instead of two heads on one: what the critic learns does not bend what the policy reads.
- Advantages are n-step and not generalised (GAE): a batch has rows and no trajectories, the same from a world and from a log
  that others wrote; n is the batch's (``Training.ahead``), and a log has n = 1.
- Advantages are standardised over the batch; V(s_{t+n}) is the slowly following copy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from longgame.algorithms.actor import mean_of_filled
from longgame.algorithms.actor_critic import ActorCritic, ActorCriticConfig
from longgame.artefacts import Arrays
from longgame.errors import ConfigError


@dataclass(frozen=True)
class A2cConfig(ActorCriticConfig):
    """How the actor and its critic learn."""

    cap: float = 1.0
    """Largest importance ratio of a slot, above 0. What was drawn by the newest policy has ratios of 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cap > 0:
            raise ConfigError(f"A2cConfig: cap must be above 0, got {self}")


def actor_loss(logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor, cap: float) -> Tensor:
    """Minus the advantage that is gained: (B, K) log-chances of the picks now and as logged, (B,), (B, K) -> ().

    Its gradient is that of ``min(ratio, cap) * advantage * log pi``, the ratio being a number and no function.
    """
    ratio = (logp.detach() - logged).exp().clamp(max=cap)
    return -mean_of_filled(ratio * advantage[:, None] * logp, filled)


class A2c(ActorCritic):
    """The learner."""

    name = "a2c"

    def __init__(self, config: A2cConfig, start: Arrays | None = None) -> None:
        super().__init__(config, start)
        self.config = config

    def _loss(self, logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        ratio = float(mean_of_filled((logp.detach() - logged).exp(), filled))
        return actor_loss(logp, logged, advantage, filled, self.config.cap), {"ratio": ratio}
