"""What keeps learning from being led astray by few events, beside dropout (``networks``) and L2 (``Pace.decay``).

- *Clipped rewards* (Mnih et al., Nature 2015): no event is worth more than so much, so that one that was forged moves little.
- *Pushed states* (Goodfellow et al., ICLR 2015; of what a network made of its input, Miyato et al., ICLR 2017): values are
  learned where the user's vector is, and where a small push leads that raises the loss fastest.
- *Several critics* that must agree are in ``committee``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.protocols import Algorithm, Policy
from longgame.types import F32


def clipped(batch: Batch, limit: float) -> Batch:
    """The same rows with no slot's reward above ``limit`` or below minus that.

    What the log tells of the future (``future``, ``between``) are sums over many decisions, of which a batch no longer says
    how many: each reward in them is clipped where they are added up (``learning.batches.as_learned``).
    """
    return replace(batch, reward=np.clip(batch.reward, -limit, limit))


def pushed(user: Tensor, loss: Tensor, share: float) -> Tensor:
    """(B, H) vectors and the loss they led to -> each moved by ``share`` of its length to where the loss rises fastest.

    The push is a constant to whoever learns from it, and leaves a vector that the loss does not depend on where it is.
    """
    (slope,) = torch.autograd.grad(loss, user, retain_graph=True)
    length = slope.norm(dim=1, keepdim=True)
    way = torch.where(length > 0, slope / length.clamp(min=1e-30), 0.0)
    out: Tensor = user + (share * user.norm(dim=1, keepdim=True) * way).detach()
    return out


class Clipped:
    """An algorithm that learns from clipped rewards; all else is its own."""

    def __init__(self, algorithm: Algorithm, limit: float) -> None:
        if not limit > 0:
            raise ConfigError(f"Clipped.limit: must be above 0, got {limit}")
        self.algorithm, self.limit = algorithm, limit

    @property
    def policy(self) -> Policy:
        return self.algorithm.policy

    @property
    def clips_rewards(self) -> float:
        """What no reward is to be above or below minus that, in futures too: for who adds them up."""
        return self.limit

    def __getattr__(self, name: str) -> Any:
        """What some algorithms say of themselves and others do not (``counts``, ``lives_by``, ``errors``, ``log_has`` ...)."""
        if name == "algorithm":  # a copy under way has none yet
            raise AttributeError(name)
        return getattr(self.algorithm, name)

    def update(self, batch: Batch) -> Mapping[str, float]:
        return self.algorithm.update(clipped(batch, self.limit))

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return self.algorithm.state_dict()

    def load_state_dict(self, state: Arrays) -> None:
        self.algorithm.load_state_dict(state)


def some_rows(batch: Batch, keep: np.ndarray[Any, Any]) -> Batch:
    """The same batch in which only the rows where ``keep`` (B,) is True say anything: the others have empty slates."""
    held = keep[:, None]
    return replace(
        batch,
        action=np.where(held, batch.action, -1),
        propensity=np.where(held, batch.propensity, 1.0),
        reward=np.where(held, batch.reward, np.float32(0.0)),
        response=batch.response & held,
    )


def cautious(worth: F32, caution: float) -> F32:
    """(M, B, C) values of M critics -> (B, C) their mean less ``caution`` times their standard deviation."""
    out: F32 = (worth.mean(axis=0) - caution * worth.std(axis=0)).astype(np.float32)
    return out
