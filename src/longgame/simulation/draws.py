"""Draws that worlds share, many rows at a time."""

from __future__ import annotations

import numpy as np

from longgame.types import F32, F64, I64


def spread(rng: np.random.Generator, rows: int, count: int, among: int) -> I64:
    """(rows, count) distinct numbers below ``among`` in each row, every one of them uniform.

    A row is a walk round the numbers in steps of one length, which has no divisor with ``among`` in common: two draws a row
    instead of ``count``. So two numbers of a row are independent (nearly, where ``among`` is no prime), three are not.
    """
    if among == 1:
        return np.zeros((rows, count), np.int64)
    strides = _strides(among)
    first = rng.integers(among, size=rows)
    stride = strides[rng.integers(len(strides), size=rows)]
    out: I64 = (first[:, None] + stride[:, None] * np.arange(count)) % among
    return out


_KNOWN: dict[int, I64] = {}


def _strides(among: int) -> I64:
    """Lengths of step that come by every number below ``among``."""
    if among not in _KNOWN:
        _KNOWN[among] = np.flatnonzero(np.gcd(np.arange(among), among) == 1).astype(np.int64)
    return _KNOWN[among]


def sigmoid(x: F64) -> F64:
    """Log-odds -> chances."""
    out: F64 = 1 / (1 + np.exp(-x))
    return out


def third(phrases: tuple[tuple[str, ...], ...], value: float, rng: np.random.Generator) -> str:
    """One of the phrases for the third of [0, 1] that ``value`` lies in: how a text tells a number."""
    some = phrases[min(int(value * 3), 2)]
    return some[rng.integers(len(some))]


def seen(slots: int, alone: bool = False) -> F64:
    """(K,) log-share of the looks at the first slot that each slot gets: lower ones are seen less. ``alone``: all are first."""
    out: F64 = np.zeros(slots) if alone else -np.log1p(0.15 * np.arange(slots))
    return out


def standard(columns: F64) -> F32:
    """(I, D) -> (I, D) each column with mean 0 and deviation 1; one that is the same throughout is 0."""
    deviation = columns.std(axis=0)
    out: F32 = ((columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)).astype(np.float32)
    return out
