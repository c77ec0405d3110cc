"""The softmax over a catalogue as a loss: all of it, or a draw from it that stands for all of it.

The gradient is written out and taken a slice of rows at a time, so that memory is bounded whatever targets x items is, and
one slice stays near the caches. *Sampled*, the sum over the catalogue is estimated from the items drawn, each divided by
the chance that it was (Horvitz and Thompson, JASA 1952), the target being there for certain: the sampled softmax of Bengio
and Senécal (IEEE TNN 2008) with logQ correction, and without the bias of correcting the target itself (Khrylchenko et al.,
"Correcting the LogQ Correction", RecSys 2025). Drawn alike over the catalogue, and the other targets of the batch beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longgame.types import F64, I64

_SLICE = 500_000
"""Scores held at once: 2 MB."""


@dataclass(frozen=True)
class Draw:
    """Some of A items that stand for all of them."""

    column: I64
    """(n,) which, ascending"""
    target: I64
    """(M,) where among them each target is"""
    log_chance: F64
    """(n,) logarithm of the chance that each is among them"""


def draw(target: I64, share: F64, size: int, rng: np.random.Generator) -> Draw:
    """(M,) targets, (A,) share of the events that are of each item -> the targets and about ``size`` others.

    >>> drawn = draw(np.array([4, 0, 4]), np.array([.2, .2, .2, .2, .2]), 2, np.random.default_rng(0))
    >>> drawn.column[drawn.target]
    array([4, 0, 4])
    """
    count = len(share)
    alike = min(1.0, size / count)
    there = rng.random(count) < alike
    there[target] = True
    column = np.flatnonzero(there)
    # Not among them: neither drawn nor the target of any of the M events.
    missed = np.log1p(-np.minimum(share[column], 1 - 1e-9)) * len(target) + np.log1p(-min(alike, 1 - 1e-12))
    return Draw(column, np.searchsorted(column, target), np.log(-np.expm1(missed)))


def backward(
    wanted: Tensor,
    items: Tensor,
    appeal: Tensor,
    target: Tensor,
    weight: float = 1.0,
    log_chance: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> float:
    """The cross-entropy of (M, D) against (A, D) items and (A,) appeal at (M,) targets -> the sum of the losses.

    ``weight`` times the mean's gradient goes to all three. ``log_chance`` (A,): where the items are a :class:`Draw`.
    ``dtype`` is that of the three products; everything else, the exponentials and their sums above all, is float32.
    """
    count = len(target)
    rows = max(1, _SLICE // max(len(items), 1))
    with torch.no_grad():
        to_wanted, to_items, to_appeal = torch.empty_like(wanted), torch.zeros_like(items), torch.zeros_like(appeal)
        added = appeal if log_chance is None else appeal - log_chance
        loss, columns, many = 0.0, items.T.to(dtype), items.to(dtype)
        for first in range(0, count, rows):
            part, own = wanted[first : first + rows], target[first : first + rows, None]
            part = part.to(dtype)
            scores = (part @ columns).float().add_(added)
            if log_chance is not None:  # the row's own target was there for certain
                scores.scatter_add_(1, own, log_chance[own[:, 0], None])
            total = scores.logsumexp(dim=1, keepdim=True)
            loss += float((total - scores.gather(1, own)).sum())
            error = scores.sub_(total).exp_()  # softmax minus one-hot: the gradient at the scores
            error.scatter_add_(1, own, error.new_full(own.shape, -1.0))
            to_appeal += error.sum(dim=0)
            error = error.to(dtype)
            to_wanted[first : first + rows] = error @ many
            to_items += error.T @ part
    torch.autograd.backward([wanted, items, appeal], [part / count * weight for part in (to_wanted, to_items, to_appeal)])
    return loss
