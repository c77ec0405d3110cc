"""A small network for worlds and bandits: what is known of a user on one side, an item on the other, and their product.

It has the same three ways in as ``networks.UserNetwork`` (``user``, ``score``, ``value``), so that an algorithm learns with
either. It reads a history as its mean and its newest item, which costs a hundredth of attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import State
from longgame.errors import ConfigError
from longgame.networks import tensor


@dataclass(frozen=True)
class TowersConfig:
    """The size of :class:`Towers`."""

    width: int
    """D, width of an item vector."""
    context: int = 0
    """F, context features of a request."""
    hidden: int = 128
    """Width of each layer, and of the vectors whose product is the score."""
    layers: int = 2
    """Of the user's side; the item's has one."""
    dropout: float = 0.0
    """Share of activations dropped in training, in [0, 1)."""

    def __post_init__(self) -> None:
        if min(self.width, self.hidden, self.layers) < 1 or self.context < 0 or not 0 <= self.dropout < 1:
            raise ConfigError(f"TowersConfig: width, hidden and layers must be 1 or more and dropout lie in [0, 1), got {self}")


class Towers(nn.Module):
    """State -> user vector; user vector and item vectors -> scores; user vector -> value of the state."""

    def __init__(self, config: TowersConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        h, entering = config.hidden, 2 * config.width + config.context
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sizes = [entering, *[h] * config.layers]
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
            self.wants = nn.Linear(h, h)
            self.item, self.appeal = nn.Linear(config.width, h), nn.Linear(config.width, 1)
            self.worth = nn.Linear(h, 1)
            for last in (self.appeal, self.worth):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def user(self, state: State) -> Tensor:
        """State of B -> (B, H)."""
        present = tensor(state.present)
        history = tensor(state.history)
        count = present.sum(dim=1, keepdim=True).clamp(min=1)
        x = torch.cat([history.sum(dim=1) / count, history[:, -1], tensor(state.context)], dim=1)
        for layer in self.layers:
            x = functional.dropout(functional.silu(layer(x)), self.config.dropout, self.training)
        return x

    def score(self, user: Tensor, items: Tensor) -> Tensor:
        """(B, H) and (B, C, D), or (C, D) for one set of candidates that all share -> (B, C)."""
        back, own = self._asks(user)
        if items.dim() == 2:
            return torch.addmm(own[:, None], back, items.T)
        out: Tensor = (items @ back[:, :, None])[:, :, 0] + own[:, None]
        return out

    @property
    def width_of_terms(self) -> int:
        """P of :meth:`terms`."""
        return self.config.hidden + 1

    def terms(self, user: Tensor, items: Tensor) -> Tensor:
        """(B, H) and (B, C, D) or (C, D) -> (B, C, P) whose sum over P is the score: each number of the product, the appeal."""
        product = self.wants(user)[:, None] * self.item(items) * self.config.hidden**-0.5
        return torch.cat([product, self.appeal(items).expand(*product.shape[:2], 1)], dim=2)

    def _asks(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H) -> (B, D), (B,): a user's scores of items x are x times the one plus the other.

        (u W) . x rather than u . (W x): the product over C candidates stays in D, and nothing of C x H is built. Where B is
        more than D the two matrices are multiplied first, which is less work.
        """
        item, bias, scale = self.item.weight, self.item.bias, self.config.hidden**-0.5
        if len(user) > self.config.width:
            asks, own = self.wants.weight.T @ item, self.wants.weight.T @ bias
            back, apart = torch.addmm(self.wants.bias @ item, user, asks), user @ own + self.wants.bias @ bias
        else:
            wants = self.wants(user)
            back, apart = wants @ item, wants @ bias
        return self.appeal.weight + back * scale, self.appeal.bias + apart * scale

    def query(self, user: Tensor) -> Tensor:
        """(B, H) -> (B, D): what a user asks of items. Its product with an item's vector is the score, but for one number."""
        return self._asks(user)[0]

    def value(self, user: Tensor) -> Tensor:
        """(B, H) -> (B,)."""
        out: Tensor = self.worth(user)[:, 0]
        return out
