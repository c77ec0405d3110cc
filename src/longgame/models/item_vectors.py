"""What a sequence network knows an item by: its text, standardised, and an identity that is learned from its own events.

    e_i = s_i P + r_i,   s_i = (t_i - mean) W

with t_i the text's vector as it came, frozen, and W the directions in which texts differ most, each made as wide as the
others: MiniLM's and its like are crowded into a cone (Mu and Viswanath, ICLR 2018), where little tells two titles apart. How
text and identity share the D numbers of an item is one of two:

- ``projected``: P is learned, r_i has all D numbers, small at first;
- ``subspace``: the text has the first numbers for itself, unchanged, and r_i has the rest, as in AlphaFuse (Hu et al., SIGIR
  2025), which learns identities in the directions of the texts' vectors that vary least.

r_i is left out at random in training, as in DropoutNet (Volkovs et al., NeurIPS 2017): so text alone must do too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from longgame.models.embeddings import drawn
from longgame.types import F32, I64, ItemId

JOINTS = ("projected", "subspace")
"""How text and identity are joined."""


@dataclass(frozen=True)
class Standard:
    """Text vectors made comparable: centred, turned to their principal directions, each direction as wide as the others."""

    mean: F32
    """(X,)"""
    turn: F32
    """(X, S)"""

    @staticmethod
    def of(features: F32, some: I64, width: int) -> Standard:
        """Learned from the texts of the items ``some``; ``width`` directions, or as many as there are.

        What comes out has length 1 on average. Items without text, whose vectors are zero, are not asked.
        """
        told = features[some][features[some].any(axis=1)].astype(np.float64)
        if not len(told):
            return Standard(np.zeros(features.shape[1], np.float32), np.zeros((features.shape[1], 0), np.float32))
        mean = told.mean(axis=0)
        centred = told - mean
        spread, directions = np.linalg.eigh(centred.T @ centred / len(told))
        spread, directions = spread[::-1], directions[:, ::-1]
        count = min(width, int((spread > 1e-6 * max(spread[0], 1e-12)).sum()))
        # A sign that does not depend on the library: the largest entry of a direction is positive.
        sign = np.sign(np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0))
        turn = (directions * sign)[:, :count] / np.sqrt(spread[:count] * max(count, 1))
        return Standard(mean.astype(np.float32), turn.astype(np.float32))

    def __call__(self, features: F32) -> F32:
        """(n, X) -> (n, S); zeros for an item without text."""
        out: F32 = np.asarray((features - self.mean) @ self.turn, np.float32)
        out[~features.any(axis=1)] = 0.0
        return out


class ItemVectors(nn.Module):
    """P and the identities of the items, under training."""

    def __init__(self, ids: Sequence[ItemId], text: int, width: int, joint: str, seed: int) -> None:
        """``text`` is S; in a ``subspace`` the text has the first S of the ``width`` numbers."""
        super().__init__()
        # Drawn from the item's id, not from its place: another order of the catalogue is the same model.
        start = drawn(ids, width, seed, "item")
        own = np.ones(width, np.float32)
        if joint == "subspace":
            own[:text] = 0.0
            project = np.eye(text, width, dtype=np.float32)
        else:
            noise = drawn([ItemId(str(row)) for row in range(text)], width, seed, "text")
            start, project = start * np.float32(0.1 if text else 1.0), noise
        self.project = nn.Parameter(torch.from_numpy(project), requires_grad=joint != "subspace")
        self.residual = nn.Parameter(torch.from_numpy(start * own))
        self.register_buffer("own", torch.from_numpy(own), persistent=False)
        self.own: Tensor

    def forward(self, text: Tensor, items: Tensor, text_alone: float) -> Tensor:
        """(I, S), (n,) positions -> (n, D)."""
        residual = self.residual[items] * self.own
        if text_alone and text.shape[1]:
            residual = residual * (torch.rand(len(items), 1) >= text_alone)
        out: Tensor = text[items] @ self.project + residual
        return out
