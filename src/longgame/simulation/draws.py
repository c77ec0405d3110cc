"""Draws that worlds share, many rows at a time."""

from __future__ import annotations

import numpy as np

from longgame.types import I64


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
