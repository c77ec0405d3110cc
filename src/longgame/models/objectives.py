"""What a network may be taught beside what came next: to know a history again, to agree with its own mean, to stand a push.

Functions of tensors; who calls them, with what, is the trainer's business.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_TEMPERATURE = 0.2
"""Of the contrast: how much nearer the own view must be."""
_RAMP = 5
"""Passes until the mean of the weights is trusted in full."""


def info_nce(first: Tensor, second: Tensor) -> Tensor:
    """Two views of B histories, (B, H) each -> how badly each is told from the 2 (B - 1) views of the others; a scalar.

    CL4SRec (Xie et al., ICDE 2022), eq. 3, both ways and averaged; as in SimCLR (Chen et al., ICML 2020) likeness is the
    cosine over a temperature, for the length of a vector that left a layer norm says nothing. B must be 2 or more.
    """
    views = functional.normalize(torch.cat([first, second]), dim=1)
    count = len(views)
    own = torch.eye(count, dtype=torch.bool)
    like = (views @ views.T / _TEMPERATURE).masked_fill(own, -math.inf)
    return functional.cross_entropy(like, torch.arange(count).roll(count // 2))


def disagreement(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, I) scores each -> the mean of KL(teacher || student) over the rows; no gradient goes to the teacher.

    The consistency cost of Mean Teacher (Tarvainen and Valpola, NeurIPS 2017, section 2), whose squared difference of
    probabilities says nothing over thousands of items: each is near zero.
    """
    wanted = functional.log_softmax(teacher.detach(), dim=1)
    return functional.kl_div(functional.log_softmax(student, dim=1), wanted, reduction="batchmean", log_target=True)


def trust(number: int) -> float:
    """The share of its weight that the disagreement has in pass ``number``: a mean of untrained weights teaches nothing.

    exp(-5 (1 - x)^2), as in Mean Teacher, section 3.

    >>> trust(0) < 0.01 < 0.1 < trust(3), trust(5), trust(40)
    (True, 1.0, 1.0)
    """
    return math.exp(-5 * (1 - min(1.0, number / _RAMP)) ** 2)


def push(gradient: Tensor, size: float) -> Tensor:
    """(n, D) gradient of a loss at n vectors -> (n, D) the step of length ``size`` at each that raises the loss fastest.

    The fast gradient step of APR (He et al., SIGIR 2018, section 3), each vector on its own as in their implementation.
    """
    return size * functional.normalize(gradient, dim=1)
