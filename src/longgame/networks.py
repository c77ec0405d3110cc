"""The torch network that models are pre-trained on and policies start from. Torch loads when this module does.

One network reads a user's history of item vectors and scores item vectors against it. It never sees an item's
id: what it knows of an item is its vector, so an item it was not trained on can be scored at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import State
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.types import F32


@dataclass(frozen=True)
class NetworkConfig:
    """The size of a :class:`UserNetwork`."""

    width: int
    """D, width of an item vector."""
    context: int = 0
    """F, context features of a request."""
    hidden: int = 64
    """H, width inside; a multiple of ``heads``."""
    heads: int = 2
    blocks: int = 1
    steps: int = 50
    """T, history steps the attention can tell apart."""
    dropout: float = 0.0
    """Share of activations dropped in training, in [0, 1)."""
    gated: bool = False
    """Whether blocks are those of LiGR."""
    pairs: tuple[tuple[int, int], ...] = ()
    """(P, 2) numbers of a context and of an item vector that say the same of a user and of an item: their products are added
    to the score, each with a weight of its own. -1 for the first: the item's number alone."""

    def __post_init__(self) -> None:
        if self.hidden % self.heads or min(self.width, self.hidden, self.heads, self.blocks, self.steps) < 1:
            raise ConfigError(f"NetworkConfig: sizes must be 1 or more and hidden a multiple of heads, got {self}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"NetworkConfig.dropout: must lie in [0, 1), got {self.dropout}")
        object.__setattr__(self, "pairs", tuple((int(own), int(its)) for own, its in self.pairs))  # JSON has lists
        if not all(-1 <= own < self.context and 0 <= its < self.width for own, its in self.pairs):
            raise ConfigError(
                f"NetworkConfig.pairs: must be columns of a context of {self.context} and of item vectors of {self.width}, "
                f"got {self.pairs}"
            )


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, normalised before each (pre-norm), as in SASRec.

    Where a step stands is told by a learned bias per head and distance between steps, not by its place in the
    window (SASRec's absolute positions): a history then reads the same however far into a window it ends.

    *Gated*, what a branch adds is multiplied by a sigmoid of what it read, and the feed-forward layer is SwiGLU: the LiGR
    block (Borisyuk et al., "From Features to Transformers", 2025) that eSASRec takes.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        h = config.hidden
        self.heads, self.drop = config.heads, config.dropout
        self.before_attention, self.before_feed = nn.LayerNorm(h), nn.LayerNorm(h)
        self.qkv, self.out = nn.Linear(h, 3 * h), nn.Linear(h, h)
        self.feed = _SwiGLU(h, 2 * h) if config.gated else nn.Sequential(nn.Linear(h, 2 * h), nn.GELU(), nn.Linear(2 * h, h))
        self.gates = nn.ModuleList(nn.Linear(h, h) for _ in range(2 * config.gated))
        self.distance = nn.Parameter(torch.zeros(config.heads, config.steps))

    def forward(self, x: Tensor, attend: Tensor, apart: Tensor) -> Tensor:
        """(B, T, H), (B, 1, S, T) additive mask, (S, T) distances -> (B, S, H): the last S steps after the block."""
        (b, t, h), s = x.shape, len(apart)
        q, k, v = self.qkv(self.before_attention(x)).view(b, t, 3, self.heads, h // self.heads).permute(2, 0, 3, 1, 4)
        mask = attend + self.distance[:, apart]
        mixed = functional.scaled_dot_product_attention(q[:, :, t - s :], k, v, attn_mask=mask)
        x = x[:, t - s :]
        x = x + self._gated(0, x, self.out(mixed.transpose(1, 2).reshape(b, s, h)))
        fed: Tensor = x + self._gated(1, x, self.feed(self.before_feed(x)))
        return fed

    def _gated(self, branch: int, x: Tensor, added: Tensor) -> Tensor:
        dropped = functional.dropout(added, self.drop, self.training)
        return torch.sigmoid(self.gates[branch](x)) * dropped if self.gates else dropped


class _SwiGLU(nn.Module):
    """Shazeer, "GLU Variants Improve Transformer", 2020, eq. 6."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(width, 2 * inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.enter(x).chunk(2, dim=-1)
        out: Tensor = self.leave(functional.silu(gate) * value)
        return out


def _small(width: int) -> nn.Sequential:
    last = nn.Linear(32, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, 32), nn.GELU(), last)


class UserNetwork(nn.Module):
    """History -> user vector; user vector and item vectors -> scores; user vector -> value of the state.

    A user vector is H wide, and P wider where there are ``pairs``: what the user wants of each such number of an item.
    """

    def __init__(self, config: NetworkConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.enter = nn.Linear(config.width, config.hidden)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
            self.norm = nn.LayerNorm(config.hidden)
            self.context = nn.Linear(config.context, config.hidden, bias=False) if config.context else None
            self.item = nn.Linear(config.width, config.hidden, bias=False)
            self.appeal = _small(config.width)
            self.worth = _small(config.hidden)
            self.match = nn.Parameter(torch.zeros(len(config.pairs))) if config.pairs else None
            nn.init.normal_(self.enter.weight, std=config.width**-0.5)
            nn.init.normal_(self.item.weight, std=config.width**-0.5)

    def steps(self, history: Tensor, present: Tensor, context: Tensor, last: bool = False) -> Tensor:
        """(B, T, D), (B, T), (B, F) -> (B, T, H): the user as they were after each step, or (B, 1, H) after the ``last``."""
        t = history.shape[1]
        place = torch.arange(t)
        apart = place[:, None] - place[None, :]
        # A step may always look at itself, so a row of padding has something to attend to and no NaN appears.
        seen = ((apart >= 0) & present[:, None, :]) | (apart == 0)
        attend = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[:, None]
        x = functional.dropout(self.enter(history), self.config.dropout, self.training)
        apart = apart.clamp(0, self.config.steps - 1)
        for number, block in enumerate(self.blocks, start=1):
            only = t - 1 if last and number == len(self.blocks) else 0  # what no later block asks for is not computed
            x = block(x, attend[:, :, only:], apart[only:])
        if self.context is not None:
            x = x + self.context(context)[:, None, :]
        out: Tensor = self.norm(x)
        return out

    def user(self, state: State) -> Tensor:
        """State of B -> (B, H+P)."""
        present = state.present
        # Padding stands in front and is never attended to: what is padding for all of B need not be computed.
        first = min(int(present.any(axis=0).argmax()), present.shape[1] - 1) if present.any() else present.shape[1] - 1
        history = tensor(state.history[:, first:])
        context = tensor(state.context)
        read = self.steps(history, tensor(present[:, first:]), context, last=True)[:, 0]
        return read if self.match is None else torch.cat([read, self._own(context) * self.match], dim=1)

    def _own(self, context: Tensor) -> Tensor:
        """(B, F) -> (B, P) the user's side of the pairs."""
        own = [own for own, _ in self.config.pairs]
        return functional.pad(context, (0, 1), value=1.0)[:, own]  # -1 is the last column: 1

    def score(self, user: Tensor, items: Tensor) -> Tensor:
        """(B, H+P) and (B, C, D), or (C, D) for one set of candidates that all share -> (B, C) log-preferences."""
        wanted, appeal = self.query(user), self.appeal(items)[..., 0]
        out: Tensor = (wanted @ items.T if items.dim() == 2 else (items @ wanted[:, :, None])[:, :, 0]) + appeal
        return out

    @property
    def width_of_terms(self) -> int:
        """Z of :meth:`terms`."""
        return self.config.hidden + 1 + len(self.config.pairs)

    def terms(self, user: Tensor, items: Tensor) -> Tensor:
        """(B, H+P) and (B, C, D) or (C, D) -> (B, C, Z) whose sum over Z is the score: each product, and the appeal."""
        its = items[..., [its for _, its in self.config.pairs]]
        product = user[:, None] * torch.cat([self.item(items), its], dim=-1)
        return torch.cat([product, self.appeal(items).expand(*product.shape[:2], 1)], dim=2)

    def query(self, user: Tensor) -> Tensor:
        """(B, H+P) -> (B, D): what a user asks of items. Its product with an item's vector is the score, but for its appeal."""
        # (u W) . x rather than u . (W x): the product over C candidates stays in D, and nothing of C x H is built.
        h = self.config.hidden
        wanted = user[:, :h] @ self.item.weight
        if self.match is not None:
            wanted = wanted.index_add(1, torch.tensor([its for _, its in self.config.pairs]), user[:, h:])
        return wanted

    def value(self, user: Tensor) -> Tensor:
        """(B, H+P) -> (B,)."""
        out: Tensor = self.worth(user[:, : self.config.hidden])[:, 0]
        return out


def tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """An array as a tensor, without a copy where that is safe."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def tensor_items(items: F32) -> Tensor:
    """(B, C, D) -> the same, or (C, D) where all rows are one broadcast set: work done once instead of B times."""
    return tensor(items[0] if items.strides[0] == 0 else items)


def to_arrays(module: nn.Module, prefix: str = "") -> dict[str, np.ndarray[Any, Any]]:
    """Copies of a module's parameters, by name."""
    return {prefix + name: value.detach().numpy().copy() for name, value in module.state_dict().items()}


def from_arrays(module: nn.Module, arrays: Arrays, prefix: str = "") -> None:
    """Copy parameters in. Raises ArtefactError naming the first one that is missing or of another shape."""
    wanted = module.state_dict()
    for name, value in wanted.items():
        got = arrays.get(prefix + name)
        if got is None or tuple(got.shape) != tuple(value.shape):
            found = "nothing" if got is None else f"shape {got.shape}"
            raise ArtefactError(f"checkpoint: {prefix + name} must have shape {tuple(value.shape)}, got {found}")
    module.load_state_dict({name: torch.from_numpy(np.array(arrays[prefix + name])) for name in wanted})


def optimizer_arrays(optimizer: torch.optim.Adam, prefix: str = "optimizer.") -> dict[str, np.ndarray[Any, Any]]:
    """Copies of Adam's moments and steps, by the parameter's number."""
    held = optimizer.state_dict()["state"]
    return {f"{prefix}{i}.{k}": v.detach().numpy().copy() for i, moments in held.items() for k, v in moments.items()}


def load_optimizer(optimizer: torch.optim.Adam, arrays: Arrays, prefix: str = "optimizer.") -> None:
    """The inverse of :func:`optimizer_arrays`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith(prefix):
            number, moment = name.removeprefix(prefix).split(".", 1)
            state.setdefault(int(number), {})[moment] = torch.from_numpy(np.array(value))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
