"""What the sequence model may be taught on whole windows, beside what came next: the losses that need no label.

*Contrast*: two augmented views of a history are to be known as one among those of others (CL4SRec, Xie et al., ICDE 2022,
eq. 3 and 4). *Agreement*: on what comes after a window, which is told nowhere at the end of a history, the network is to
say of an augmented view what the running mean of its weights says of the window itself (Mean Teacher, Tarvainen and
Valpola, NeurIPS 2017). ``objectives`` has the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longgame.models.augment import Augmentation
from longgame.models.histories import packed
from longgame.models.objectives import disagreement, info_nce, trust
from longgame.networks import UserNetwork
from longgame.types import I64


@dataclass(frozen=True)
class Reader:
    """A network over the vectors of the items with events."""

    network: UserNetwork
    items: Tensor
    """(A, D)"""
    column: I64
    """(I+1,) position -> its row of ``items``; -1 of an item without events, and at the end, where position -1 finds it"""

    def steps(self, rows: I64, last: bool = False) -> Tensor:
        """(B, L) positions, -1 for nothing -> (B, L, H), or (B, 1, H) after the last step."""
        items = self.items
        vectors = torch.cat([items, items.new_zeros(1, items.shape[1])])[torch.from_numpy(self.column[rows])]
        return self.network.steps(vectors, torch.from_numpy(rows >= 0), torch.zeros(len(rows), 0), last)

    def user(self, rows: I64) -> Tensor:
        """(B, L) -> (B, H) after the last step."""
        return self.steps(rows, last=True)[:, 0]

    def scores(self, rows: I64) -> Tensor:
        """(B, L) -> (B, A) of what comes after the last step."""
        return self.network.score(self.user(rows), self.items)


def windows(before: I64, target: I64, steps: int) -> I64:
    """(B, L) each, as ``windows.batches`` gives them -> (B, T) all that is in them, at most the last ``steps``, in front -1."""
    return packed(np.concatenate([before[:, :1], target], axis=1))[:, -steps:]


def contrast(reader: Reader, rows: I64, augmentation: Augmentation, rng: np.random.Generator) -> Tensor | None:
    """How badly two views of each of the (B, T) windows are told from the others'; None where there are no two to tell."""
    rows = rows[(rows >= 0).sum(axis=1) >= 2]
    if len(rows) < 2:
        return None
    first, second = (reader.user(_ended(augmentation.view(rows, rng))) for _ in range(2))
    return info_nce(first, second)


def agreement(
    student: Reader, teacher: Reader, rows: I64, augmentation: Augmentation, number: int, rng: np.random.Generator
) -> Tensor:
    """How far the student, on a view of (B, T) windows, is from the teacher, who is trusted the more the later the pass."""
    with torch.no_grad():
        wanted = teacher.scores(rows)
    return trust(number) * disagreement(student.scores(_ended(augmentation.view(rows, rng))), wanted)


def _ended(rows: I64) -> I64:
    """(B, T) with what is empty behind the last event of each row moved to the front; gaps between events stay."""
    behind = (rows[:, ::-1] >= 0).argmax(axis=1)
    place = (np.arange(rows.shape[1]) - behind[:, None]) % rows.shape[1]
    return np.take_along_axis(rows, place, axis=1)
